//! What a conversion costs, in one table.
//!
//! The unit is about what it takes to look at every byte of a raw frame once. The figures only have to
//! put conversions in order: an encoder takes several times what a decoder takes, and a decoder several
//! times what a scaler takes.

use crate::graph::catalog::Cost;
use crate::graph::format::{Media, Pattern};

/// Encodings that are not coded: what a frame holds can be worked on as it is.
const RAW: [&str; 22] = [
    "f32", "f64", "s16", "s24", "s32", "u8", // sound
    "i420", "yv12", "nv12", "nv21", "i422", "nv16", "yuy2", "uyvy", "i444", // pictures
    "rgb24", "bgr24", "rgba", "bgra", "argb", "abgr", "gray8",
];

/// Another rate, other channels.
const SOUND: u32 = 2;
/// Another size.
const SCALE: u32 = 3;
/// Another raw layout, by a light node type and by a heavy one.
const LAYOUT: (u32, u32) = (1, 3);
/// Coded data in other packets, by a light node type.
const REPACK: u32 = 5;
const DECODE: u32 = 10;
const ENCODE: u32 = 30;

/// Whether frames of this encoding are coded. Data and what is not known are not.
pub(super) fn is_coded(pattern: &Pattern) -> bool {
    let media = matches!(pattern.media(), Some(Media::Audio | Media::Video));
    media && pattern.encoding().is_some_and(|name| !RAW.contains(&name))
}

/// Whether sound of this encoding is that of a telephone: G.711, which has no more than 4 kHz of it.
pub(super) fn is_telephone(pattern: &Pattern) -> bool {
    let name = pattern.encoding().unwrap_or_default();
    let name = name.strip_prefix("rtp-").unwrap_or(name);
    pattern.media() == Some(Media::Audio) && matches!(name, "pcmu" | "pcma")
}

/// What it costs to make `to` of `from` by a node type that declares `cost`.
pub(super) fn of_step(from: &Pattern, to: &Pattern, cost: Cost) -> u32 {
    match (is_coded(from), is_coded(to)) {
        (false, false) if from.encoding() == to.encoding() => match to.media() {
            Some(Media::Video) => SCALE,
            _ => SOUND,
        },
        (false, false) if cost == Cost::Light => LAYOUT.0,
        (false, false) => LAYOUT.1,
        (true, false) => DECODE,
        (false, true) => ENCODE,
        (true, true) if cost == Cost::Light => REPACK,
        // One node type that does both saves nothing.
        (true, true) => DECODE + ENCODE,
    }
}
