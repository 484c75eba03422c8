//! Media to give to a node: what its input accepts, what it does not, and what pretends to be one of the former.

use std::{f64::consts::TAU, path::Path, sync::OnceLock};

use levada::engine::{
    graph::{ParamValue, PortInfo},
    plugin::Registry,
};
use levada_plugin::{picture::Layout, prelude::*};

use super::stand::{self, Step, Unit};

/// A picture of 2x2 pixels with transparency.
pub const PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x02, 0x00, 0x00, 0x00, 0x02, 0x08, 0x06, 0x00, 0x00, 0x00, 0x72, 0xb6, 0x0d,
    0x24, 0x00, 0x00, 0x00, 0x13, 0x49, 0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0xf8, 0xcf, 0xc0, 0xf0,
    0x1f, 0x84, 0x19, 0x80, 0xb8, 0x01, 0x84, 0x01, 0x40, 0xd4, 0x06, 0xfb, 0x79, 0x81, 0x13, 0x94,
    0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];
/// Streams of 35x29 pixels in IVF.
const AV1: &[u8] = include_bytes!("../../plugins/av1/tests/odd.ivf");
const VP8: &[u8] = include_bytes!("../../plugins/vp8/tests/odd1.ivf");
/// Frames of a script: enough for codecs that look ahead.
const FRAMES: i64 = 24;
const FRAME_NS: i64 = 20_000_000;

/// A pattern's kind of media, its encoding, and its keys as they are written.
fn parts(pattern: &str) -> (&str, &str, &str) {
    let (format, keys) = pattern.split_once(';').unwrap_or((pattern, ""));
    let (media, encoding) = format.split_once('/').unwrap_or((format, "*"));
    (media, encoding, keys)
}

/// A value that a pattern takes for `key`: `usual` where it can be.
fn value(keys: &str, key: &str, usual: u32) -> u32 {
    let stated = keys.split(';').find_map(|entry| entry.strip_prefix(key));
    let Some(stated) = stated.and_then(|value| value.strip_prefix('=')) else {
        return usual;
    };
    let number = |text: &str| text.trim().parse().unwrap_or(usual);
    if let Some((from, to)) = stated.split_once("..") {
        return usual.clamp(number(from), number(to));
    }
    let mut alternatives = stated.split('|').map(number);
    let first = alternatives.clone().next().unwrap_or(usual);
    alternatives.find(|v| *v == usual).unwrap_or(first)
}

fn unit(format: Format, payload: Vec<u8>, index: i64) -> Unit {
    Unit {
        kind: format.kind(),
        format: Some(format),
        payload,
        pts: index * FRAME_NS,
        duration_us: (FRAME_NS / 1000) as u32,
        key: true,
    }
}

fn sound(rate: u32, channels: u32, index: i64) -> impl Iterator<Item = f32> {
    let count = i64::from(rate) / 50;
    (index * count..(index + 1) * count).flat_map(move |n| {
        let sample = 0.25 * (TAU * 440.0 * n as f64 / f64::from(rate)).sin();
        std::iter::repeat_n(sample as f32, channels as usize)
    })
}

/// The frames of an IVF file: each behind its length and time, in 12 bytes.
fn ivf(file: &[u8]) -> Vec<&[u8]> {
    let mut rest = &file[32..];
    let mut frames = vec![];
    while let [a, b, c, d, _, _, _, _, _, _, _, _, body @ ..] = rest {
        let (frame, left) = body.split_at(u32::from_le_bytes([*a, *b, *c, *d]) as usize);
        frames.push(frame);
        rest = left;
    }
    frames
}

/// Frames of the encoding, if there are any to give.
fn frames(registry: &Registry, media: &str, encoding: &str, keys: &str) -> Option<Vec<Unit>> {
    let (rate, channels) = (value(keys, "rate", 48_000), value(keys, "channels", 2));
    let (width, height) = (value(keys, "width", 64), value(keys, "height", 48));
    let each = |make: &dyn Fn(i64) -> (Format, Vec<u8>)| {
        let all = (0..FRAMES).map(|index| {
            let (format, payload) = make(index);
            unit(format, payload, index)
        });
        Some(all.collect())
    };
    match (media, encoding) {
        ("*", _) | ("audio", "f32" | "*") => each(&|index| {
            let samples = sound(rate, channels, index).flat_map(f32::to_ne_bytes);
            (Format::audio("f32", rate, channels), samples.collect())
        }),
        ("audio", "s16") => each(&|index| {
            let samples = sound(rate, channels, index).map(|s| (s * 32_767.0) as i16);
            let bytes = samples.flat_map(i16::to_ne_bytes).collect();
            (Format::audio("s16", rate, channels), bytes)
        }),
        // Silence in a packet of 20 ms (RFC 6716, 3.1).
        ("audio", "opus") => each(&|_| (Format::audio("opus", 48_000, 2), vec![0xfc, 0xff, 0xfe])),
        // Silence at 128 kbit/s and 44.1 kHz, mono (ISO 11172-3, 2.4.1).
        ("audio", "mp3") => each(&|_| {
            let mut packet = vec![0; 417];
            packet[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0xc4]);
            (Format::audio("mp3", 44_100, 1), packet)
        }),
        // Silence by either law (ITU-T G.711).
        ("audio", "pcmu") => each(&|_| (Format::audio("pcmu", 8000, 1), vec![0xff; 160])),
        ("audio", "pcma") => each(&|_| (Format::audio("pcma", 8000, 1), vec![0xd5; 160])),
        ("video", "av1") => Some(recorded("av1", AV1)),
        ("video", "vp8") => Some(recorded("vp8", VP8)),
        ("video", "i420" | "*") => each(&|index| {
            let bytes = levada_plugin::picture::i420_bytes(width, height).unwrap_or(0);
            let pixels = (0..bytes).map(|at| (at as i64 * 7 + index * 3) as u8);
            (Format::video("i420", width, height), pixels.collect())
        }),
        ("video", layout) if Layout::of(&Format::video(layout, width, height)).is_some() => {
            each(&|index| {
                let format = Format::video(layout, width, height);
                let bytes = Layout::of(&format).and_then(|l| l.bytes(width, height).ok());
                let pixels = (0..bytes.unwrap_or(0)).map(|at| (at as i64 * 7 + index * 3) as u8);
                (format, pixels.collect())
            })
        }
        ("data", _) => each(&|_| (Format::data("text/plain"), b"hello".to_vec())),
        _ => sample(registry)
            .iter()
            .find(|track| {
                let format = track[0].format.as_ref();
                format.is_some_and(|f| {
                    f.encoding == encoding && media == format!("{:?}", f.kind()).to_lowercase()
                })
            })
            .cloned(),
    }
}

/// Units of an IVF file, of 35x29 pixels, again and again. Those that begin with a keyframe are the first and some others,
/// which only their decoder need know.
fn recorded(encoding: &str, file: &[u8]) -> Vec<Unit> {
    let payloads = ivf(file);
    let count = payloads.len();
    let units = payloads.into_iter().cycle().take(FRAMES as usize);
    let units = (0..).zip(units).map(|(index, payload)| Unit {
        key: (index as usize).is_multiple_of(count),
        ..unit(Format::video(encoding, 35, 29), payload.to_vec(), index)
    });
    units.collect()
}

/// The first frames of each track of the clip in `examples/`, as `file-source` brings them.
fn sample(registry: &Registry) -> &'static [Vec<Unit>] {
    static SAMPLE: OnceLock<Vec<Vec<Unit>>> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let source = registry.node_type("file-source").expect("it is built in");
        let path = vec![("path".to_owned(), ParamValue::Text(clip()))];
        let played = stand::run(registry, source.info(), &path, &[], true, 0);
        let (_, notes) = played.unwrap_or_else(|why| panic!("the clip: {why}"));
        let tracks = notes.kept.into_values().filter(|track| !track.is_empty());
        tracks
            .map(|track| track.into_iter().take(FRAMES as usize).collect())
            .collect()
    })
}

/// The clip in `examples/`.
pub fn clip() -> String {
    let clip = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/sample.mp4");
    clip.display().to_string()
}

/// Frames of formats that an input accepts: a list for each of its patterns of which there is media.
///
/// # Errors
/// When there is none for any of them.
pub fn accepted(registry: &Registry, port: &PortInfo) -> Result<Vec<Vec<Unit>>, String> {
    let any = ["audio/f32", "video/i420", "data/*"].map(str::to_owned);
    let is_any = port.formats.is_empty() || port.formats == ["*"];
    let patterns = if is_any { &any[..] } else { &port.formats[..] };
    let found = patterns.iter().filter_map(|pattern| {
        let (media, encoding, keys) = parts(pattern);
        frames(registry, media, encoding, keys)
    });
    let found: Vec<_> = found.collect();
    if found.is_empty() {
        return Err(format!(
            "there is no media for its input {}, which accepts {patterns:?}; add some to tests/conformance/media.rs",
            port.name
        ));
    }
    Ok(found)
}

/// Frames of formats that an input does not accept.
fn alien(registry: &Registry, port: &PortInfo) -> Vec<Vec<Unit>> {
    let accepts = |media: &str, encoding: &str| {
        port.formats.is_empty()
            || port.formats.iter().any(|pattern| {
                let (m, e, _) = parts(pattern);
                m == "*" || (m == media && (e == "*" || e == encoding))
            })
    };
    let known = [("audio", "f32"), ("video", "i420"), ("data", "text/plain")];
    let known = known.into_iter().filter(|(m, e)| !accepts(m, e));
    let mut all: Vec<_> = known
        .filter_map(|(media, encoding)| frames(registry, media, encoding, ""))
        .collect();
    for format in [
        Format::audio("never-heard-of", 48_000, 2),
        Format::video("never-seen", 64, 48),
        Format::data("application/x-unknown"),
    ] {
        all.push(vec![unit(format, vec![7; 960], 0)]);
    }
    all
}

/// Scripts for an input that no sender of good will would play. Each may end the session by an error.
pub fn hostile(registry: &Registry, port: &PortInfo) -> Result<Vec<Vec<Unit>>, String> {
    let mut all = alien(registry, port);
    for good in accepted(registry, port)? {
        let mut each = |change: &dyn Fn(usize, &mut Unit)| {
            let mut bad = good.clone();
            for (index, unit) in bad.iter_mut().enumerate() {
                change(index, unit);
            }
            all.push(bad);
        };
        each(&|_, unit| unit.format = None);
        each(&|_, unit| unit.payload.clear());
        each(&|_, unit| unit.payload.truncate(unit.payload.len() - 1));
        each(&|_, unit| unit.payload.truncate(3));
        // Samples that are no numbers, among other things.
        each(&|_, unit| unit.payload.fill(0xff));
        each(&|index, unit| {
            let mut state = index as u32 + 1;
            for byte in &mut unit.payload {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = (state >> 24) as u8;
            }
        });
        let times = [i64::MIN, i64::MAX, 0, -1, i64::MAX - 1, i64::MIN + 1];
        each(&|index, unit| unit.pts = times[index % times.len()]);
        each(&|index, unit| unit.pts = -unit.pts + index as i64 % 2);
        each(&|_, unit| (unit.pts, unit.duration_us) = (0, u32::MAX));
        each(&|index, unit| {
            let Some(format) = &mut unit.format else {
                return;
            };
            match &mut format.media {
                Media::Audio { rate, channels } => {
                    let all = [(1, 1), (u32::MAX, u32::MAX), (8000, 9), (48_000, 255)];
                    (*rate, *channels) = all[index % all.len()];
                }
                Media::Video { width, height } => {
                    let all = [(0, 0), (16_384, 16_384), (u32::MAX, u32::MAX), (1, 16_384)];
                    (*width, *height) = all[index % all.len()];
                }
                Media::Data => {}
            }
        });
    }
    Ok(all)
}

/// A script of these frames.
pub fn script(units: &[Unit]) -> Vec<Step> {
    units.iter().cloned().map(Step::Frame).collect()
}
