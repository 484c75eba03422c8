//! Files of every kind, to be damaged or compared, and a player for them.
#![allow(dead_code, reason = "each test uses a part")]

use std::{fs, path::Path};

use levada_files::{FileSink, FileSource};
use levada_plugin::{
    harness::{Harness, Value},
    prelude::*,
};

pub const AUDIO: usize = 0;
pub const VIDEO: usize = 1;
pub const MS: i64 = 1_000_000;
/// Four seconds of 320x180 in H.264 and AAC.
pub const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/sample.mp4");
/// With pictures that are shown in another order than they are decoded in, and Opus.
pub const REORDERED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reordered.mp4");
/// As ffmpeg wrote it, in fragments of 200 ms.
pub const FRAGMENTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fragmented.mp4");
/// The first part in the movie box, and the data of the second at an absolute offset.
pub const BEGUN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/begun.mp4");
/// Opus.
pub const OGG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tone.ogg");
/// VP8, ten pictures of 64x64.
pub const IVF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pattern.ivf");
/// VP8, 42 pictures, of which two are not shown.
pub const MOVING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../vp8/tests/moving.ivf");

/// A param's text is static; so is that of a test's few paths.
pub fn text(path: &Path) -> Value {
    Value::Text(path.to_string_lossy().into_owned().leak())
}

/// A track's units, and their format.
#[derive(Default)]
pub struct Track {
    pub units: Vec<Frame>,
    pub format: Format,
}

/// Plays up to `most` units of the tracks that a file has, as fast as it goes: the tracks, by port.
pub fn play(path: Value, more: &[(&str, Value)], most: usize) -> Result<[Track; 2]> {
    let mut params = vec![("path", path), ("pace", Value::Text("fast"))];
    params.extend(more);
    let mut opened = Harness::<FileSource>::with_linked_ports(&params, 0b11);
    for (lacks, left) in [("has no sound", 0b10), ("has no pictures", 0b01)] {
        if opened
            .as_ref()
            .is_err_and(|e| e.to_string().contains(lacks))
        {
            opened = Harness::with_linked_ports(&params, left);
        }
    }
    let mut node = opened?;
    let (mut tracks, mut count) = (<[Track; 2]>::default(), 0);
    while count < most {
        let ticked = node.tick(0)?;
        if ticked.is_empty() {
            break;
        }
        for (port, frame) in ticked {
            count += 1;
            if tracks[port].units.is_empty() {
                tracks[port].format = node.format(frame.format_id()).unwrap_or_default();
            }
            tracks[port].units.push(frame);
        }
    }
    Ok(tracks)
}

/// Plays all of a file.
pub fn play_all(path: &str) -> [Track; 2] {
    play(text(Path::new(path)), &[], usize::MAX).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Records tracks into a file, in the order of their decoding.
pub fn record(path: &Path, tracks: &[Track; 2]) {
    let linked = (0..2).filter(|port| !tracks[*port].units.is_empty());
    let linked = linked.fold(0, |mask, port| mask | 1 << port);
    let sink = Harness::<FileSink>::with_linked_ports(&[("path", text(path))], linked);
    let mut sink = sink.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut all: Vec<(usize, Frame)> = vec![];
    for (port, track) in tracks.iter().enumerate() {
        let id = sink.format_id(&track.format);
        all.extend(
            track
                .units
                .iter()
                .map(|f| (port, f.clone().with_format_id(id))),
        );
    }
    all.sort_by_key(|(_, frame)| frame.pts() + i64::from(frame.dts_delta_us()) * 1000);
    for (port, frame) in all {
        sink.push(port, vec![frame]).expect("it is recorded");
    }
    sink.drain().expect("the recording ends");
    assert_eq!(sink.dropped(), 0, "{}", path.display());
}

/// A second of raw sound.
pub fn sound() -> Track {
    let block = |n: i64| {
        let samples = (n * 160..n * 160 + 160).map(|n| (n as f32 * 0.2).sin() * 0.5);
        let bytes: Vec<u8> = samples.flat_map(f32::to_ne_bytes).collect();
        Frame::from_bytes(Kind::Audio, bytes.into()).with_pts(n * 20 * MS)
    };
    Track {
        units: (0..50).map(block).collect(),
        format: Format::audio("f32", 8_000, 1),
    }
}

/// Ten raw pictures, 25 a second.
pub fn pictures() -> Track {
    let picture = |n: i64| {
        let bytes: Vec<u8> = (0..32 * 16 * 3 / 2)
            .map(|at| (at * 3 + n * 7) as u8)
            .collect();
        Frame::from_bytes(Kind::Video, bytes.into())
            .with_pts(n * 40 * MS)
            .with_duration_us(40_000)
    };
    Track {
        units: (0..10).map(picture).collect(),
        format: Format::video("i420", 32, 16),
    }
}

/// A file of each kind: its name, and its bytes.
pub fn files() -> Vec<(&'static str, Vec<u8>)> {
    let folder = tempfile::tempdir().expect("a folder");
    let [aac, h264] = play_all(CLIP);
    let [opus, reordered] = play_all(REORDERED);
    let [_, vp8] = play_all(IVF);
    let annex_b = h264
        .units
        .iter()
        .flat_map(|f| f.payload().to_vec())
        .collect();
    let none = Track::default;
    let g711 = || Track {
        units: (0..20)
            .map(|n| Frame::from_bytes(Kind::Audio, vec![0x55; 160].into()).with_pts(n * 20 * MS))
            .collect(),
        format: Format::audio("pcmu", 8_000, 1),
    };
    let copy = |track: &Track| Track {
        units: track.units.clone(),
        format: track.format.clone(),
    };
    let mut files = vec![
        ("whole.mp4", fs::read(CLIP).expect("it is there")),
        ("fragmented.mp4", fs::read(FRAGMENTED).expect("it is there")),
        ("begun.mp4", fs::read(BEGUN).expect("it is there")),
        ("pattern.ivf", fs::read(IVF).expect("it is there")),
        ("tone.ogg", fs::read(OGG).expect("it is there")),
        ("clip.h264", annex_b),
    ];
    for (name, tracks) in [
        ("recorded.mp4", [copy(&aac), copy(&h264)]),
        ("recorded.mkv", [copy(&opus), reordered]),
        ("recorded.webm", [copy(&opus), copy(&vp8)]),
        ("recorded.ogg", [opus, none()]),
        ("recorded.wav", [sound(), none()]),
        ("recorded_g711.wav", [g711(), none()]),
        ("recorded.y4m", [none(), pictures()]),
        ("recorded.ivf", [none(), vp8]),
    ] {
        let path = folder.path().join(name);
        record(&path, &tracks);
        files.push((name, fs::read(&path).expect("it was recorded")));
    }
    files
}

/// Where the parts of a file begin, by its kind: boxes, elements, pages, chunks, frames.
pub fn boundaries(name: &str, bytes: &[u8]) -> Vec<usize> {
    let mut found = vec![];
    match name.rsplit('.').next() {
        Some("mp4") => boxes(bytes, 0, bytes.len(), &mut found),
        Some("mkv" | "webm") => elements(bytes, 0, bytes.len(), &mut found),
        Some("ogg") => each(bytes, b"OggS", &mut found),
        Some("y4m") => each(bytes, b"FRAME", &mut found),
        Some("h264") => each(bytes, &[0, 0, 1], &mut found),
        Some("wav") => {
            let mut at = 12;
            while at + 8 <= bytes.len() {
                found.push(at);
                let len = u32::from_le_bytes([
                    bytes[at + 4],
                    bytes[at + 5],
                    bytes[at + 6],
                    bytes[at + 7],
                ]);
                at += 8 + len as usize + len as usize % 2;
            }
        }
        _ => {
            let mut at = 32;
            while at + 12 <= bytes.len() {
                found.push(at);
                at += 12
                    + u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
                        as usize;
            }
        }
    }
    assert!(found.len() > 2, "{name}: {found:?}");
    found
}

fn each(bytes: &[u8], mark: &[u8], found: &mut Vec<usize>) {
    let windows = bytes.windows(mark.len()).enumerate();
    found.extend(windows.filter(|(_, w)| *w == mark).map(|(at, _)| at));
}

fn boxes(bytes: &[u8], mut at: usize, end: usize, found: &mut Vec<usize>) {
    const PARENTS: [&[u8]; 10] = [
        b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"mvex", b"moof", b"traf",
    ];
    while at + 8 <= end {
        found.push(at);
        let length = u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let next = at + (length as usize).max(8);
        if PARENTS.contains(&&bytes[at + 4..at + 8]) {
            boxes(bytes, at + 8, next.min(end), found);
        }
        at = next;
    }
}

fn elements(bytes: &[u8], mut at: usize, end: usize, found: &mut Vec<usize>) {
    const PARENTS: [&[u8]; 7] = [
        &[0x18, 0x53, 0x80, 0x67],
        &[0x15, 0x49, 0xa9, 0x66],
        &[0x16, 0x54, 0xae, 0x6b],
        &[0xae],
        &[0x1f, 0x43, 0xb6, 0x75],
        &[0x1c, 0x53, 0xbb, 0x6b],
        &[0xe0],
    ];
    while at + 2 <= end {
        found.push(at);
        let id_len = bytes[at].leading_zeros() as usize + 1;
        let size_at = at + id_len;
        let size_len = bytes[size_at].leading_zeros() as usize + 1;
        let size = bytes[size_at..size_at + size_len].iter();
        let size =
            size.fold(0_u64, |sum, b| sum << 8 | u64::from(*b)) & ((1 << (7 * size_len)) - 1);
        let content = size_at + size_len;
        let next = content + size as usize;
        if PARENTS.contains(&&bytes[at..size_at]) {
            elements(bytes, content, next.min(end), found);
        }
        at = next;
    }
}
