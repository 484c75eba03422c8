//! [`Pipeline`]: a graph that is a straight line, made by an application.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use levada_engine::{
    graph::{GraphBuilder, ParamValue, Plan, Problems},
    plugin::Registry,
};
use levada_plugin::{Frame, Plugin, closure_plugin};

use crate::graph_file;

/// A node of a [`Pipeline`].
///
/// Made by [`WebRtcManager::create_source_node`](crate::WebRtcManager::create_source_node) and
/// [`create_sink_node`](crate::WebRtcManager::create_sink_node), by [`TransformNode::new`], or by
/// [`PipelineNode::new`] for any other node type.
pub struct PipelineNode {
    type_name: String,
    params: Vec<(String, ParamValue)>,
    input: String,
    output: String,
    plugin: Option<Plugin>,
}

impl PipelineNode {
    /// Names a node type that is linked into the host, such as `level`. Frames come in at its port
    /// `in` and go out at its port `out`.
    #[must_use]
    pub fn new(type_name: &str) -> PipelineNode {
        PipelineNode {
            type_name: type_name.into(),
            params: vec![],
            input: "in".into(),
            output: "out".into(),
            plugin: None,
        }
    }

    /// Adds the plugin that the node type comes from, such as one that
    /// [`levada_engine::plugin::load`] opened or an rlib crate describes.
    #[must_use]
    pub fn of_plugin(mut self, plugin: &Plugin) -> PipelineNode {
        self.plugin = Some(plugin.clone());
        self
    }

    /// Sets a param.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Into<ParamValue>) -> PipelineNode {
        self.params.push((name.into(), value.into()));
        self
    }

    /// Lets frames come in at `input` and go out at `output` instead.
    #[must_use]
    pub fn ports(mut self, input: &str, output: &str) -> PipelineNode {
        self.input = input.into();
        self.output = output.into();
        self
    }
}

/// A node that runs a closure on every frame.
pub struct TransformNode;

impl TransformNode {
    /// Makes a node whose instances each run a clone of `f`: `Some` goes on, `None` ends the frame's
    /// way. It may run on any thread of the engine or of the connection, and should take microseconds.
    // The name is that of the type an application thinks in; what a pipeline takes is the node.
    #[allow(clippy::new_ret_no_self)]
    pub fn new<F>(f: F) -> PipelineNode
    where
        F: FnMut(Frame) -> Option<Frame> + Clone + Send + 'static,
    {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        // Each closure is a node type of its own, so its name has to be.
        let name = format!("transform-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        PipelineNode {
            plugin: Some(closure_plugin(&name, f)),
            ..PipelineNode::new(&name)
        }
    }
}

/// A straight line of nodes: what the first puts out goes through the others to the last.
///
/// ```no_run
/// use levada::{Pipeline, PipelineNode, TransformNode};
///
/// let pipeline = Pipeline::new([
///     PipelineNode::new("test-audio").param("frequency", 440.0),
///     TransformNode::new(|frame| (frame.pts() < 1_000_000_000).then_some(frame)),
///     PipelineNode::new("level"),
/// ]);
/// ```
pub struct Pipeline {
    nodes: Vec<PipelineNode>,
}

impl Pipeline {
    /// Lines up nodes, from source to sink.
    #[must_use]
    pub fn new(nodes: impl IntoIterator<Item = PipelineNode>) -> Pipeline {
        Pipeline {
            nodes: nodes.into_iter().collect(),
        }
    }

    /// Plans the pipeline, as `levada run` does with a graph file.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn plan(&self) -> Result<Arc<Plan>, Problems> {
        let mut registry: Registry = graph_file::builtin_types();
        let mut graph = GraphBuilder::new("pipeline");
        let names: Vec<String> = self
            .nodes
            .iter()
            .enumerate()
            .map(|(at, node)| format!("{}-{at}", node.type_name))
            .collect();
        for (node, name) in self.nodes.iter().zip(&names) {
            if let Some(plugin) = &node.plugin {
                registry.add(plugin);
            }
            let mut added = graph.node(name, &node.type_name);
            for (param, value) in &node.params {
                added = added.param(param, value.clone());
            }
        }
        for (pair, name) in self.nodes.windows(2).zip(names.windows(2)) {
            graph.link(&format!(
                "{}.{} -> {}.{}",
                name[0], pair[0].output, name[1], pair[1].input
            ));
        }
        let graph = graph.build(&registry)?;
        Ok(Arc::new(Plan::new(graph, &registry)?))
    }
}
