//! What the ports of a node will carry, asked of its plugin before there is an instance: the extension
//! [`levada_abi::OFFERS`].
//!
//! A plugin's answer is not believed: the table is checked as a descriptor is, the text is bounded, and
//! patterns have to be within what the port states. Trials ask as well, with default params.

use std::ffi::c_void;

use levada_abi::{
    NodeConfig, NodeHandle, NodeTypeDesc, OFFERS, OffersVTable, ParamValue, Status, Text, is_open,
};

use super::{instance, registry::NodeType, trial_host};
use crate::graph::{self, Direction, Node, Refusal, parse_patterns};

/// The longest answer, in bytes.
const MAX_ANSWER: usize = 4096;

const CORRECT: &str = "correct the plugin, or use another node type";

/// The functions of [`OffersVTable`], behind its size.
const FUNCTIONS: usize = 1;
const _: () = assert!(size_of::<OffersVTable>() == (1 + FUNCTIONS) * size_of::<usize>());

/// What a plugin said.
#[derive(Default)]
struct Said {
    text: Vec<u8>,
    /// Why that is no answer.
    fault: Option<&'static str>,
}

impl Said {
    /// The text in one line; what is not UTF-8 is replaced.
    fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.text);
        text.replace(|c: char| c.is_control(), " ")
    }
}

unsafe extern "C" fn answer(call: *mut c_void, text: Text) {
    // SAFETY: made from a `Said` by `ask`, which waits for the call that this is part of.
    let said = unsafe { &mut *call.cast::<Said>() };
    said.text.clear();
    said.fault = if text.len > MAX_ANSWER {
        Some("has more than 4096 bytes")
    } else if text.len > 0 && text.ptr.is_null() {
        Some("lies at no valid address")
    } else {
        // SAFETY: valid during this call (contract of `Answer`); address and length are plausible.
        said.text.extend_from_slice(unsafe { text.as_bytes() });
        None
    };
}

/// The table of a type that has one, or what is wrong with it.
///
/// # Safety
/// The type's descriptor has been checked, and its plugin's `init` called.
pub(super) unsafe fn table(desc: &NodeTypeDesc) -> Result<Option<&'static OffersVTable>, String> {
    // SAFETY: the vtable is valid, and the name is static.
    let at = unsafe { ((*desc.vtable).get_ext)(Text::new(OFFERS)) };
    if at.is_null() {
        return Ok(None);
    }
    let wrong = |what: &str| Err(format!("its extension {OFFERS} {what}"));
    let words = at.cast::<[usize; 1 + FUNCTIONS]>();
    if !words.is_aligned() {
        return wrong("lies at an address that is not aligned");
    }
    // SAFETY: not null and aligned; its first word is its size (contract of `get_ext`).
    let size = unsafe { words.cast::<usize>().read() };
    if size < size_of::<OffersVTable>() {
        return wrong(&format!(
            "says a size of {size} bytes where this version of the contract has {}",
            size_of::<OffersVTable>()
        ));
    }
    // SAFETY: as long as it just said; read as words, because a function may not be null.
    if unsafe { (*words)[1] } == 0 {
        return wrong("has no function formats");
    }
    // SAFETY: static, and its function is there.
    Ok(Some(unsafe { &*at.cast::<OffersVTable>() }))
}

/// Asks about a port: the status, and what was said.
///
/// # Safety
/// As [`table`], which `table` is of; `values` are by the type's params.
unsafe fn ask(
    desc: &NodeTypeDesc,
    table: &OffersVTable,
    name: &str,
    values: &[ParamValue],
    port: usize,
) -> (Status, Said) {
    let config = NodeConfig {
        size: size_of::<NodeConfig>(),
        node: NodeHandle {
            slot: u32::MAX,
            generation: 0,
        },
        session: 0,
        name: Text::new(name),
        params: values.as_ptr(),
        params_len: values.len(),
        linked_ports: 1_u64.checked_shl(port as u32).unwrap_or(0),
        host: &raw const trial_host::HOST,
        data: desc.data,
        formats: std::ptr::null(),
        formats_len: 0,
    };
    let mut said = Said::default();
    let call = (&raw mut said).cast();
    // SAFETY: the config is as the contract asks, and `said` outlives the call.
    let status = unsafe { (table.formats)(&raw const config, port as u32, call, answer) };
    (status, said)
}

/// Asks about every port, with the params' defaults, and forgets the answers: for trials, which are about
/// crashes and hangs.
///
/// # Errors
/// When the table itself is not as the contract says.
///
/// # Safety
/// As [`table`].
pub(super) unsafe fn try_out(desc: &NodeTypeDesc) -> Result<(), String> {
    // SAFETY: as the caller vouches; lists and texts of a checked descriptor are valid.
    unsafe {
        let Some(table) = table(desc)? else {
            return Ok(());
        };
        let values: Vec<ParamValue> = desc.params.as_slice().iter().map(|p| p.default).collect();
        for port in 0..desc.ports.len {
            ask(desc, table, desc.name.as_str(), &values, port);
        }
    }
    Ok(())
}

/// What a port of a node will offer or accept; `None` where the type's own statement stands.
pub(super) fn of(
    node_type: &NodeType,
    node: &Node,
    port: usize,
) -> Result<Option<Vec<String>>, Refusal> {
    let stated = &node_type.info().ports[port];
    let wrong = |cause: String| Refusal {
        cause: format!("port \"{}\": {cause}", stated.name),
        remedy: CORRECT.to_owned(),
    };
    // SAFETY: a registry's types come from a `Plugin`.
    let Some(table) = (unsafe { table(node_type.desc()) }).map_err(wrong)? else {
        return Ok(None);
    };
    // What becomes of it is known once there is a session, so what an output carries is not; what an input takes does
    // not hang on what is there, and it is asked with the text as it is written.
    let is_value_open =
        |value: &graph::ParamValue| matches!(value, graph::ParamValue::Text(text) if is_open(text));
    let is_output = stated.direction == Direction::Output;
    if is_output && node.params.iter().any(|(_, value)| is_value_open(value)) {
        return Ok(None);
    }
    let values: Vec<ParamValue> = node
        .params
        .iter()
        .map(|(_, value)| match value {
            graph::ParamValue::Text(text) => instance::param(value, text),
            _ => instance::param(value, ""),
        })
        .collect();
    // SAFETY: as above; a graph's nodes have a value for each param of their type, in its order.
    let (status, said) = unsafe { ask(node_type.desc(), table, &node.name, &values, port) };
    if status == Status::UNSUPPORTED {
        return Ok(None);
    }
    if let Some(fault) = said.fault {
        return Err(wrong(format!("what the plugin says it will carry {fault}")));
    }
    if status == Status::PANICKED {
        return Err(wrong(format!(
            "when it was asked what it will carry, {}",
            said.shown()
        )));
    }
    if !status.is_ok() {
        return Err(refusal(&said.shown(), status, &stated.name));
    }
    let nonsense = |cause: &str| {
        wrong(format!(
            "the plugin says that it will carry \"{}\", {cause}",
            said.shown()
        ))
    };
    let Ok(text) = std::str::from_utf8(&said.text) else {
        return Err(nonsense("which is not UTF-8"));
    };
    let patterns = parse_patterns(text)
        .map_err(|cause| nonsense(&format!("which cannot be read: {cause}")))?;
    if patterns.is_empty() {
        return Err(nonsense("which is nothing"));
    }
    // Types state what can be read; that was checked when the plugin was loaded.
    let within = parse_patterns(&stated.formats.join(" ")).unwrap_or_default();
    let is_stated = |p: &graph::Pattern| within.is_empty() || within.iter().any(|s| p.is_within(s));
    if let Some(other) = patterns.iter().find(|p| !is_stated(p)) {
        return Err(nonsense(&format!(
            "but {other} is not within what its type states, {}",
            stated.formats.join(" ")
        )));
    }
    Ok(Some(patterns.iter().map(ToString::to_string).collect()))
}

/// Why a node cannot be used, as it says itself.
fn refusal(said: &str, status: Status, port: &str) -> Refusal {
    let said = said.trim();
    let (cause, remedy) = said.rsplit_once("; ").unwrap_or((said, ""));
    Refusal {
        cause: match cause {
            "" => format!(
                "it cannot be used with these params, by its port \"{port}\", and does not say why (status {})",
                status.0
            ),
            cause => cause.to_owned(),
        },
        remedy: match remedy {
            "" => "change its params, or what they name".to_owned(),
            remedy => remedy.to_owned(),
        },
    }
}
