//! [`Registry`]: the node types that graphs may name.

use std::{collections::BTreeMap, sync::Arc};

use levada_abi::{
    NOWHERE, NodeTypeDesc, ParamDesc, Plugin, PortDesc, Text, cost, direction, param_kind,
    port_flags, type_flags,
};

use super::offers;
use crate::graph::{
    Catalog, Cost, Direction, Node, ParamInfo, ParamKind, ParamValue, PortInfo, Refusal, TypeInfo,
};

/// A node type of a plugin.
#[derive(Clone)]
pub struct NodeType {
    plugin: Plugin,
    index: usize,
    info: TypeInfo,
}

impl NodeType {
    fn new(plugin: &Plugin, index: usize) -> NodeType {
        let info = describe(plugin, &plugin.types()[index]);
        NodeType {
            plugin: plugin.clone(),
            index,
            info,
        }
    }

    /// What validation and people know of it.
    #[must_use]
    pub fn info(&self) -> &TypeInfo {
        &self.info
    }

    /// Whether a node of this type belongs to one peer, so that its graph is a template for
    /// sessions.
    #[must_use]
    pub fn is_for_peers(&self) -> bool {
        self.desc().flags & type_flags::PEER != 0
    }

    pub(crate) fn desc(&self) -> &NodeTypeDesc {
        &self.plugin.types()[self.index]
    }

    pub(crate) fn ports(&self) -> &[PortDesc] {
        // SAFETY: the lists of a `Plugin`'s types are valid while it lives, and `self` holds it.
        unsafe { self.desc().ports.as_slice() }
    }
}

/// The node types that graphs may name. A type that is added later hides an earlier one of the same
/// name.
#[derive(Clone, Default)]
pub struct Registry {
    types: BTreeMap<String, Arc<NodeType>>,
    hints: BTreeMap<String, String>,
}

impl Registry {
    /// Adds a plugin's node types, and returns the types that they hide: name, and the plugin that
    /// offered it.
    pub fn add(&mut self, plugin: &Plugin) -> Vec<(String, String)> {
        let mut hidden = Vec::new();
        for index in 0..plugin.types().len() {
            let node_type = NodeType::new(plugin, index);
            let name = node_type.info.name.clone();
            if let Some(old) = self.types.insert(name.clone(), Arc::new(node_type)) {
                hidden.push((name, old.plugin.name().to_owned()));
            }
        }
        hidden
    }

    /// Says how to get a converter for an encoding (`video/h264`), for graphs that need one and have none:
    /// an imperative clause, such as `name its plugin: [plugins] h264 = { path = "../plugins/h264" }`.
    pub fn add_hint(&mut self, encoding: &str, hint: &str) {
        self.hints.insert(encoding.to_owned(), hint.to_owned());
    }

    /// The node type of this name.
    #[must_use]
    pub fn node_type(&self, name: &str) -> Option<&Arc<NodeType>> {
        self.types.get(name)
    }

    /// All node types, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<NodeType>> {
        self.types.values()
    }
}

impl Catalog for Registry {
    fn get(&self, type_name: &str) -> Option<&TypeInfo> {
        self.types.get(type_name).map(|t| &t.info)
    }

    fn names(&self) -> Vec<&str> {
        self.types.keys().map(String::as_str).collect()
    }

    fn port_formats(&self, node: &Node, port: usize) -> Result<Option<Vec<String>>, Refusal> {
        match self.types.get(&node.type_name) {
            Some(node_type) => offers::of(node_type, node, port),
            None => Ok(None),
        }
    }

    fn hint(&self, encoding: &str) -> Option<&str> {
        self.hints.get(encoding).map(String::as_str)
    }
}

fn text(text: Text) -> String {
    // SAFETY: the texts of a `Plugin`'s descriptors are valid while it lives; callers hold it.
    unsafe { text.as_str() }.to_owned()
}

fn words(list: Text) -> Vec<String> {
    text(list)
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect()
}

fn describe(plugin: &Plugin, desc: &NodeTypeDesc) -> TypeInfo {
    // SAFETY: the lists of a `Plugin`'s types are valid while it lives, and `plugin` is held.
    let (ports, params) = unsafe { (desc.ports.as_slice(), desc.params.as_slice()) };
    TypeInfo {
        name: text(desc.name),
        summary: text(desc.summary),
        plugin: plugin.name().to_owned(),
        plugin_version: plugin.version().to_owned(),
        ports: ports.iter().map(describe_port).collect(),
        params: params.iter().map(describe_param).collect(),
        converter: desc.flags & type_flags::CONVERTER != 0,
        cost: match desc.cost {
            cost::HEAVY => Cost::Heavy,
            cost::BLOCKING => Cost::Blocking,
            _ => Cost::Light,
        },
        live: desc.flags & type_flags::LIVE != 0,
        latency_ns: desc.latency_ns,
    }
}

fn describe_port(port: &PortDesc) -> PortInfo {
    PortInfo {
        name: text(port.name),
        direction: if port.direction == direction::INPUT {
            Direction::Input
        } else {
            Direction::Output
        },
        formats: words(port.formats),
        forwards_to: (port.direction == direction::INPUT && port.forwards_to != NOWHERE)
            .then_some(port.forwards_to as usize),
        required: port.flags & port_flags::REQUIRED != 0,
        read_only: port.flags & port_flags::READ_ONLY != 0,
    }
}

fn describe_param(param: &ParamDesc) -> ParamInfo {
    let value = &param.default;
    let (kind, default) = match param.kind {
        param_kind::FLOAT => (ParamKind::Float, ParamValue::Float(value.float)),
        param_kind::INTEGER => (ParamKind::Integer, ParamValue::Integer(value.integer)),
        param_kind::BOOL => (ParamKind::Bool, ParamValue::Bool(value.integer != 0)),
        param_kind::CHOICE => (
            ParamKind::Choice(words(param.choices)),
            ParamValue::Text(text(value.text)),
        ),
        param_kind::PATH => (ParamKind::Path, ParamValue::Text(text(value.text))),
        _ => (ParamKind::Text, ParamValue::Text(text(value.text))),
    };
    ParamInfo {
        name: text(param.name),
        kind,
        default: (param.required == 0).then_some(default),
        min: param.min.is_finite().then_some(param.min),
        max: param.max.is_finite().then_some(param.max),
        unit: text(param.unit),
        help: text(param.help),
    }
}
