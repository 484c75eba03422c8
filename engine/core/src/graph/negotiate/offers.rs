//! What the ports of a node state, and what an output offers when something comes to its node.
//!
//! * What the catalog knows of a port is what it carries, and nothing below is added to that.
//! * A param of a node narrows what its type states: a param named like a key (`rate`, `channels`,
//!   `width`, `height`) that an output states says which of the values, 0 says that it stays as it
//!   comes; of `width` and `height` only where both do, because 0 beside a number keeps the shape of a
//!   picture; `encoding` says which of several encodings; of the encodings with `rtp-` and those without,
//!   a `mode` of `packets` or `encoded` leaves the ones of that mode.
//! * `*` or `audio/*` at the output of a filter means "what comes in": it is narrowed to what the node's
//!   inputs carry, as far as that fits; where nothing fits, the node makes something of its own and the
//!   pattern stays, unless the output is one that frames of an input go on to.
//! * A key that an output of a filter does not state is as it comes in.
//! * An output that frames of an input go on to where the node leaves them has their encoding, where it
//!   states it.

use super::converter::{number, read};
use crate::graph::catalog::{Catalog, Direction, Refusal, TypeInfo};
use crate::graph::format::{self, Key, Pattern, Values};
use crate::graph::model::{Node, ParamValue};
use crate::graph::quote::quote;

/// What a port states.
pub(super) struct Stated {
    pub patterns: Vec<Pattern>,
    /// By key: whether what an output states of it is narrowed to what comes in. `None` where the catalog
    /// knows what the port carries, whatever comes.
    pub kept: Option<[bool; Key::ALL.len()]>,
}

/// What each port of a node states, or why it cannot be used. The catalog is asked about linked ports.
pub(super) fn stated(
    catalog: &dyn Catalog,
    node: &Node,
    info: &TypeInfo,
    is_linked: impl Fn(usize) -> bool,
) -> Result<Vec<Stated>, Refusal> {
    let ports = info.ports.iter().enumerate();
    ports
        .map(|(at, port)| {
            let known = match is_linked(at) {
                true => catalog.port_formats(node, at),
                false => Ok(None),
            };
            let known = known.map_err(|why| Refusal {
                cause: format!("{} ({}): {}", quote(&node.name), node.type_name, why.cause),
                ..why
            })?;
            let patterns = read(known.as_deref().unwrap_or(&port.formats));
            let patterns = patterns.map_err(|cause| Refusal {
                cause: format!(
                    "port {} of node type {}: {cause}",
                    quote(&port.name),
                    quote(&node.type_name)
                ),
                remedy: "correct what the plugin states, or use another node type".to_owned(),
            })?;
            Ok(match port.direction {
                Direction::Output if known.is_none() => Stated {
                    patterns: by_params(node, info, of_mode(node, info, patterns)),
                    kept: Some(kept(node, info)),
                },
                _ => Stated {
                    patterns,
                    kept: None,
                },
            })
        })
        .collect()
}

/// The value of a param, where the type has it.
fn param<'n>(node: &'n Node, info: &TypeInfo, name: &str) -> Option<&'n ParamValue> {
    let mut params = node.params.iter();
    let found = params.find(|(param, _)| info.params[*param].name == name);
    found.map(|(_, value)| value)
}

/// The value of a node's param `mode`, where its type has one that is text.
pub(in crate::graph) fn mode<'n>(node: &'n Node, info: &TypeInfo) -> Option<&'n str> {
    text(param(node, info, "mode"))
}

fn text(value: Option<&ParamValue>) -> Option<&str> {
    match value {
        Some(ParamValue::Text(text)) => Some(text.as_str()),
        _ => None,
    }
}

/// Leaves out what a node with a mode does not offer in it, unless that is all.
fn of_mode(node: &Node, info: &TypeInfo, patterns: Vec<Pattern>) -> Vec<Pattern> {
    let packets = match mode(node, info) {
        Some("packets") => true,
        Some("encoded") => false,
        _ => return patterns,
    };
    let is_of_mode = |pattern: &Pattern| {
        let is_media = pattern
            .media()
            .is_some_and(|media| !media.keys().is_empty());
        let is_packets = pattern
            .encoding()
            .is_some_and(|name| name.starts_with("rtp-"));
        !is_media || is_packets == packets
    };
    let (of_mode, other): (Vec<_>, Vec<_>) = patterns.into_iter().partition(is_of_mode);
    if of_mode.is_empty() { other } else { of_mode }
}

/// Narrows what an output states to what its node's params say.
fn by_params(node: &Node, info: &TypeInfo, patterns: Vec<Pattern>) -> Vec<Pattern> {
    let patterns = patterns.into_iter().map(|mut pattern| {
        for key in Key::ALL {
            let value = param(node, info, key.as_str());
            let (Some(value), Some(stated)) = (value, pattern.values(key)) else {
                continue;
            };
            if let Some(one) = number(value, key).filter(|one| stated.contains(*one)) {
                pattern = pattern.with(key, Some(Values::one(one)));
            }
        }
        pattern
    });
    let patterns: Vec<Pattern> = patterns.collect();
    let wanted = text(param(node, info, "encoding"));
    let of_it = patterns.iter().filter(|p| p.encoding() == wanted);
    let of_it: Vec<Pattern> = of_it.cloned().collect();
    match wanted {
        Some(_) if !of_it.is_empty() => of_it,
        _ => patterns,
    }
}

/// By key: whether a param of that name says that it stays as it comes.
fn kept(node: &Node, info: &TypeInfo) -> [bool; Key::ALL.len()] {
    let is_zero = |key: Key| match param(node, info, key.as_str())? {
        ParamValue::Integer(value) => Some(*value == 0),
        ParamValue::Float(value) => Some(*value == 0.0),
        _ => None,
    };
    Key::ALL.map(|key| {
        let with = match key {
            Key::Width => Key::Height,
            Key::Height => Key::Width,
            Key::Rate | Key::Channels | Key::Reordering => key,
        };
        // Of how something is coded, 0 is a value.
        !key.is_of_coding() && is_zero(key) == Some(true) && is_zero(with) != Some(false)
    })
}

/// A pattern that an output offers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Offer {
    pub pattern: Pattern,
    /// It follows from what comes in; otherwise the node chooses it.
    pub follows: bool,
}

/// What an output offers. `comes` is what comes to its node, and `forwarded` what comes to inputs whose
/// frames go on to it.
pub(super) fn offered(output: &Stated, comes: &[Pattern], forwarded: &[Pattern]) -> Vec<Offer> {
    let Stated {
        patterns: stated,
        kept,
    } = output;
    let goes_on = |pattern: &Pattern| forwarded.iter().any(|p| p.is_encoded_as(pattern));
    // By media: whether frames that come in go on as they are.
    let of_media = |pattern: &Pattern| {
        let mut alike = stated
            .iter()
            .filter(|other| other.media() == pattern.media());
        alike.any(goes_on)
    };
    let mut offers: Vec<Offer> = Vec::new();
    for pattern in stated {
        if pattern.encoding().is_none() {
            let narrowed: Vec<Pattern> = comes
                .iter()
                .filter_map(|comes| as_it_comes(pattern, comes, kept.unwrap_or_default()))
                .collect();
            let follows = !narrowed.is_empty();
            // A node that passes frames on where they lie makes nothing of a kind that does not come.
            if !follows && !forwarded.is_empty() {
                continue;
            }
            let all = if follows {
                narrowed
            } else {
                vec![pattern.clone()]
            };
            for pattern in &all {
                add(&mut offers, pattern, follows);
            }
            continue;
        }
        let follows = goes_on(pattern);
        let stays = kept.map_or([false; Key::ALL.len()], |kept| {
            kept.map(|kept| kept || follows)
        });
        if !follows && of_media(pattern) {
            continue;
        }
        let alike = if follows { forwarded } else { comes };
        let mut made: Vec<Pattern> = Vec::new();
        for comes in alike {
            let is_it = comes.media() == pattern.media();
            if is_it && (!follows || comes.is_encoded_as(pattern)) {
                let comes = comes.clone().in_encoding_of(pattern);
                format::add(&mut made, &keys_as_they_come(pattern, &comes, stays));
            }
        }
        if made.is_empty() {
            made.push(pattern.clone());
        }
        for pattern in &made {
            add(&mut offers, pattern, follows);
        }
    }
    offers
}

/// What comes in, as far as it fits a pattern with any encoding.
fn as_it_comes(
    pattern: &Pattern,
    comes: &Pattern,
    stays: [bool; Key::ALL.len()],
) -> Option<Pattern> {
    let encoded = pattern.bare().meet(&comes.bare())?;
    let pattern = pattern.clone().in_encoding_of(&encoded);
    Some(keys_as_they_come(&pattern, comes, stays))
}

/// A pattern with the keys of what comes in where it states none; where they stay as they come, with those
/// of both.
fn keys_as_they_come(pattern: &Pattern, comes: &Pattern, stays: [bool; Key::ALL.len()]) -> Pattern {
    Key::ALL.into_iter().fold(pattern.clone(), |made, key| {
        let values = match (pattern.values(key), comes.values(key)) {
            (Some(stated), Some(comes)) if stays[key as usize] => {
                Some(comes.meet(stated).unwrap_or_else(|| stated.clone()))
            }
            (stated, comes) => stated.or(comes).cloned(),
        };
        made.with(key, values)
    })
}

fn add(offers: &mut Vec<Offer>, pattern: &Pattern, follows: bool) {
    for offer in &mut *offers {
        if let Some(either) = offer.pattern.join(pattern) {
            offer.pattern = either;
            offer.follows |= follows;
            return;
        }
    }
    offers.push(Offer {
        pattern: pattern.clone(),
        follows,
    });
}
