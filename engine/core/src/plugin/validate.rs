//! Checks a plugin's description before any of it is believed.
//!
//! A plugin in C can leave any field null or wild. Lengths, names, numbers and null pointers are
//! checked here; that a pointer which is not null points to what it should is the plugin's word,
//! and the trial in a child process has tested it.

use std::path::Path;

use levada_abi::{
    ABI_MAJOR, ABI_MINOR, HostVTable, List, NOWHERE, NodeTypeDesc, NodeVTable, ParamDesc,
    PluginDesc, PortDesc, Status, Text, cost, direction, param_kind, port_flags, type_flags,
};

use super::error::LoadError;
use crate::graph::parse_patterns;

const MAX_TYPES: usize = 256;
const MAX_PORTS: usize = 64;
const MAX_PARAMS: usize = 256;
const MAX_NAME: usize = 64;
const MAX_TEXT: usize = 4096;
const MAX_STATE: usize = 16 << 20;
const MAX_ALIGN: usize = 4096;
const MAX_OUT: u32 = 65_536;
/// No version of a struct of the contract is larger, in bytes.
const MAX_STRUCT: usize = 4096;

/// A description that has been checked.
pub(super) struct Valid {
    pub name: &'static str,
    pub version: &'static str,
    pub types: Vec<NodeTypeDesc>,
    pub init: Option<unsafe extern "C" fn(host: *const HostVTable) -> Status>,
}

/// Where the fault lies in the description, and what it is.
struct Fault {
    place: String,
    cause: String,
}

type Checked<T = ()> = Result<T, Fault>;

fn fault<T>(place: &str, cause: impl Into<String>) -> Checked<T> {
    Err(Fault {
        place: place.to_owned(),
        cause: cause.into(),
    })
}

/// Checks the description `desc` of the plugin file `path`.
///
/// # Safety
/// `desc` is null or what the library's entry answered, and the library stays open for ever.
pub(super) unsafe fn plugin(path: &Path, desc: *const PluginDesc) -> Result<Valid, LoadError> {
    let of_path = |fault: Fault| LoadError::Descriptor {
        path: path.to_owned(),
        place: fault.place,
        cause: fault.cause,
    };
    // SAFETY: as the caller vouches; the struct is plain data, and `init` may be null.
    let desc = unsafe { sized(desc, "the plugin's description") }.map_err(of_path)?;
    let version = (desc.abi_version >> 16, desc.abi_version & 0xffff);
    if version.0 != ABI_MAJOR || version.1 > ABI_MINOR {
        return Err(LoadError::Version {
            path: path.to_owned(),
            plugin: version,
            host: (ABI_MAJOR, ABI_MINOR),
        });
    }
    // SAFETY: the texts and lists of a description are static (contract).
    unsafe {
        (|| {
            Ok(Valid {
                name: name(desc.name, "the plugin")?,
                version: text(desc.version, MAX_TEXT, "the plugin", "version")?,
                types: types(desc.types)?,
                init: desc.init,
            })
        })()
        .map_err(of_path)
    }
}

/// Borrows a struct that begins with its own size.
///
/// # Safety
/// `at` is null or points to a static struct of at least the size that it says, any bytes of which
/// make a `T`.
unsafe fn sized<T>(at: *const T, place: &str) -> Checked<&'static T> {
    if at.is_null() {
        return fault(place, "is null");
    }
    if !at.is_aligned() {
        return fault(place, "lies at an address that is not aligned");
    }
    // SAFETY: not null, aligned, and at least as long as its size field.
    let size = unsafe { at.cast::<usize>().read() };
    if size < size_of::<T>() || size > MAX_STRUCT {
        let known = size_of::<T>();
        return fault(
            place,
            format!("says a size of {size} bytes where this version of the contract has {known}"),
        );
    }
    // SAFETY: as above, and long enough, as it just said.
    Ok(unsafe { &*at })
}

/// Borrows a list.
///
/// # Safety
/// The list is null or names static elements, any bytes of which make a `T`.
unsafe fn list<T>(list: List<T>, max: usize, place: &str, what: &str) -> Checked<&'static [T]> {
    if list.len > max {
        return fault(place, format!("has {} {what}, at most {max}", list.len));
    }
    if list.len > 0 && (list.ptr.is_null() || !list.ptr.is_aligned()) {
        return fault(place, format!("has a list of {what} at no valid address"));
    }
    // SAFETY: the caller vouches for the elements; address and length are plausible.
    Ok(unsafe { list.as_slice() })
}

/// Borrows a text.
///
/// # Safety
/// The text is null or names static bytes.
unsafe fn text(text: Text, max: usize, place: &str, what: &str) -> Checked<&'static str> {
    if text.len > max {
        let len = text.len;
        return fault(place, format!("has a {what} of {len} bytes, at most {max}"));
    }
    if text.len > 0 && text.ptr.is_null() {
        return fault(place, format!("has a {what} at no valid address"));
    }
    // SAFETY: the caller vouches for the bytes; address and length are plausible.
    match std::str::from_utf8(unsafe { text.as_bytes() }) {
        Ok(text) => Ok(text),
        Err(_) => fault(place, format!("has a {what} that is not UTF-8")),
    }
}

/// Borrows a name.
///
/// # Safety
/// As [`text`].
unsafe fn name(name: Text, place: &str) -> Checked<&'static str> {
    // SAFETY: the caller vouches for it.
    let name = unsafe { text(name, MAX_NAME, place, "name") }?;
    let allowed = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    if name.is_empty() || !name.bytes().all(allowed) {
        return fault(
            place,
            format!("has the name {name:?}, which is not made of a-z, 0-9, _ and -"),
        );
    }
    Ok(name)
}

fn unique(names: &mut Vec<&'static str>, name: &'static str, place: &str) -> Checked {
    if names.contains(&name) {
        return fault(place, format!("has the name {name:?}, which is taken"));
    }
    names.push(name);
    Ok(())
}

/// # Safety
/// The list is what a description holds.
unsafe fn types(types: List<NodeTypeDesc>) -> Checked<Vec<NodeTypeDesc>> {
    // SAFETY: plain data (contract).
    let listed = unsafe { list(types, MAX_TYPES, "the plugin", "node types") }?;
    if listed.is_empty() {
        return fault("the plugin", "has no node types");
    }
    let mut names = vec![];
    let mut valid = Vec::with_capacity(listed.len());
    let size = size_of::<NodeTypeDesc>();
    for (n, desc) in listed.iter().enumerate() {
        let place = format!("node type {n}");
        // Elements of another size would lie elsewhere; no version of major 1 has them yet.
        if desc.size != size {
            let said = desc.size;
            return fault(
                &place,
                format!("says a size of {said} bytes instead of {size}"),
            );
        }
        // SAFETY: texts, lists and vtable of a node type are static (contract).
        unsafe {
            let name = name(desc.name, &place)?;
            unique(&mut names, name, &place)?;
            node_type(desc, &format!("node type \"{name}\""))?;
        }
        valid.push(*desc);
    }
    Ok(valid)
}

/// # Safety
/// `desc` is what a description holds.
unsafe fn node_type(desc: &NodeTypeDesc, place: &str) -> Checked {
    // SAFETY: texts and lists of a node type are static plain data (contract).
    let (ports, params) = unsafe {
        text(desc.summary, MAX_TEXT, place, "summary")?;
        (
            list(desc.ports, MAX_PORTS, place, "ports")?,
            list(desc.params, MAX_PARAMS, place, "params")?,
        )
    };
    if desc.cost > cost::BLOCKING {
        return fault(place, format!("has an unknown cost {}", desc.cost));
    }
    if desc.flags & !(type_flags::LIVE | type_flags::PEER | type_flags::CONVERTER) != 0 {
        return fault(place, format!("has unknown flags {:#x}", desc.flags));
    }
    if !desc.state_align.is_power_of_two() || desc.state_align > MAX_ALIGN {
        let align = desc.state_align;
        return fault(
            place,
            format!("has a state_align of {align}, no power of two up to {MAX_ALIGN}"),
        );
    }
    if desc.state_size > MAX_STATE {
        let size = desc.state_size;
        return fault(
            place,
            format!("has a state_size of {size} bytes, at most {MAX_STATE}; allocate in create_at"),
        );
    }
    // SAFETY: as the caller vouches.
    unsafe { vtable(desc.vtable, place) }?;
    let mut names = vec![];
    for (n, p) in ports.iter().enumerate() {
        // SAFETY: the texts of a port are static (contract).
        unsafe { port(n, p, ports, &mut names, place) }?;
    }
    if desc.flags & type_flags::CONVERTER != 0 {
        let count = |side| ports.iter().filter(|port| port.direction == side).count();
        let (inputs, outputs) = (count(direction::INPUT), count(direction::OUTPUT));
        if (inputs, outputs) != (1, 1) {
            return fault(
                place,
                format!(
                    "is marked as a converter, which has one input and one output, and has {inputs} and {outputs}"
                ),
            );
        }
    }
    names.clear();
    for (n, p) in params.iter().enumerate() {
        // SAFETY: the texts of a param are static (contract).
        unsafe { param(n, p, &mut names, place) }?;
    }
    Ok(())
}

/// The functions of [`NodeVTable`], in its order behind the size.
const FUNCTIONS: [&str; 10] = [
    "create_at",
    "start",
    "process",
    "observe",
    "tick",
    "event",
    "drain",
    "stop",
    "destroy",
    "get_ext",
];
const _: () = assert!(size_of::<NodeVTable>() == (1 + FUNCTIONS.len()) * size_of::<usize>());

/// # Safety
/// `at` is null or points to a static struct of at least the size that it says.
unsafe fn vtable(at: *const NodeVTable, place: &str) -> Checked {
    // A reference to the struct itself could not hold null functions, so it is read as words.
    type Words = [usize; 1 + FUNCTIONS.len()];
    // SAFETY: as the caller vouches; any bytes make words.
    let words = unsafe { sized(at.cast::<Words>(), &format!("{place}: the vtable")) }?;
    match words[1..].iter().position(|&word| word == 0) {
        Some(n) => fault(place, format!("has no function {}", FUNCTIONS[n])),
        None => Ok(()),
    }
}

/// # Safety
/// The texts of `port` are null or static.
unsafe fn port(
    n: usize,
    port: &PortDesc,
    all: &[PortDesc],
    names: &mut Vec<&'static str>,
    of: &str,
) -> Checked {
    let place = format!("{of}, port {n}");
    // SAFETY: as the caller vouches.
    unsafe {
        unique(names, name(port.name, &place)?, &place)?;
        let formats = text(port.formats, MAX_TEXT, &place, "list of formats")?;
        if let Err(cause) = parse_patterns(formats) {
            return fault(&place, format!("has formats that cannot be read: {cause}"));
        }
    }
    if port.direction > direction::OUTPUT {
        let direction = port.direction;
        return fault(&place, format!("has an unknown direction {direction}"));
    }
    if port.flags & !(port_flags::REQUIRED | port_flags::READ_ONLY) != 0 {
        return fault(&place, format!("has unknown flags {:#x}", port.flags));
    }
    let to = port.forwards_to;
    if port.direction == direction::INPUT && to != NOWHERE {
        match all.get(to as usize) {
            Some(output) if output.direction == direction::OUTPUT => {
                if output.max_out == 0 {
                    let cause =
                        format!("forwards to port {to}, whose max_out of 0 lets nothing out");
                    return fault(&place, cause);
                }
            }
            _ => return fault(&place, format!("forwards to port {to}, which is no output")),
        }
    }
    if port.direction == direction::OUTPUT && port.max_out > MAX_OUT {
        let max = port.max_out;
        return fault(&place, format!("has a max_out of {max}, at most {MAX_OUT}"));
    }
    Ok(())
}

/// # Safety
/// The texts of `param` are null or static.
unsafe fn param(n: usize, param: &ParamDesc, names: &mut Vec<&'static str>, of: &str) -> Checked {
    let place = format!("{of}, param {n}");
    // SAFETY: as the caller vouches.
    let (choices, default_text) = unsafe {
        unique(names, name(param.name, &place)?, &place)?;
        text(param.unit, MAX_TEXT, &place, "unit")?;
        text(param.help, MAX_TEXT, &place, "help")?;
        (
            text(param.choices, MAX_TEXT, &place, "list of choices")?,
            text(param.default.text, MAX_TEXT, &place, "default")?,
        )
    };
    if param.required > 1 {
        return fault(&place, "is marked neither required nor optional");
    }
    let (min, max) = (param.min, param.max);
    let number = match param.kind {
        param_kind::FLOAT => param.default.float,
        param_kind::INTEGER => param.default.integer as f64,
        param_kind::BOOL if !matches!(param.default.integer, 0 | 1) => {
            return fault(&place, "has a default that is neither 0 nor 1");
        }
        param_kind::CHOICE => {
            let mut words = choices.split_ascii_whitespace();
            let is_choice = param.required == 1 || words.clone().any(|w| w == default_text);
            return match words.next() {
                None => fault(&place, "has no choices"),
                Some(_) if !is_choice => fault(
                    &place,
                    format!("has the default {default_text:?}, which is none of its choices"),
                ),
                Some(_) => Ok(()),
            };
        }
        param_kind::BOOL | param_kind::TEXT | param_kind::PATH => return Ok(()),
        other => return fault(&place, format!("is of an unknown kind {other}")),
    };
    // NaN fails every comparison, so it is refused here as well.
    let is_range = min <= max;
    if !is_range {
        return fault(&place, format!("has a range from {min} to {max}"));
    }
    let is_inside = param.required == 1 || (min <= number && number <= max);
    if !is_inside {
        return fault(
            &place,
            format!("has the default {number}, outside its range from {min} to {max}"),
        );
    }
    Ok(())
}
