//! Round trips against ffmpeg's libraries: what they write, `file-source` plays; what `file-sink` writes, they read.
//!
//! They come with PyAV, which aiortc needs as well: `LEVADA_PYTHON` names a Python that has it, as for the interop tests.
//! Without one the tests say so and are skipped; where `CI` is `true` that is a failure.

mod support;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use levada_plugin::prelude::*;
use support::{
    AUDIO, CLIP, IVF, MOVING, MS, REORDERED, Track, VIDEO, pictures, play_all, record, sound,
};

/// A Python that has PyAV.
fn python() -> Option<PathBuf> {
    let named = std::env::var_os("LEVADA_PYTHON").filter(|named| !named.is_empty());
    let python = named.map_or_else(|| "python3".into(), PathBuf::from);
    let mut command = Command::new(&python);
    command.args(["-c", "import av"]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if command.status().is_ok_and(|status| status.success()) {
        return Some(python);
    }
    let missing = format!("{} has no PyAV", python.display());
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{missing} (CI is set to true: no test may be skipped)"
    );
    eprintln!(
        "\nskipped, because {missing}; make a virtual environment, install tests/interop/requirements.txt into it, and name its Python in LEVADA_PYTHON"
    );
    None
}

/// Runs the reference: what it prints.
fn reference(python: &Path, verb: &str, path: &Path, more: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference.py");
    let mut command = Command::new(python);
    command.arg(script).arg(verb).arg(path).args(more);
    let output = command.output().expect("Python starts");
    assert!(
        output.status.success(),
        "{verb} {}: {}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("it writes UTF-8")
}

/// What the reference says of a stream.
#[derive(Default, Debug)]
struct Stream {
    codec: String,
    measures: [u32; 2],
    packets: Vec<Packet>,
    /// Pictures, or samples of each channel.
    decoded: i64,
}

#[derive(Debug)]
struct Packet {
    pts: Option<i64>,
    lasts: i64,
    key: bool,
    len: usize,
}

/// Reads a file with the reference: its streams, by port.
fn read(python: &Path, path: &Path) -> [Option<Stream>; 2] {
    let text = reference(python, "read", path, &[]);
    let (mut streams, mut ports): ([Option<Stream>; 2], Vec<usize>) = Default::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<i64>().ok();
        match words[0] {
            "stream" => {
                let port = if words[2] == "video" { VIDEO } else { AUDIO };
                ports.push(port);
                streams[port] = Some(Stream {
                    codec: words[3].into(),
                    measures: [4, 5].map(|at| number(at).unwrap_or(0) as u32),
                    ..Stream::default()
                });
            }
            kind => {
                let port = ports[number(1).expect("an index") as usize];
                let stream = streams[port].as_mut().expect("it was told before");
                if kind == "decoded" {
                    stream.decoded = number(2).expect("a number");
                } else {
                    stream.packets.push(Packet {
                        pts: number(2),
                        lasts: number(3).unwrap_or(0),
                        key: words[4] == "1",
                        len: number(5).unwrap_or(0) as usize,
                    });
                }
            }
        }
    }
    streams
}

/// The name that the reference has for an encoding.
fn codec_of(encoding: &str) -> &str {
    match encoding {
        "mp3" => "mp3float",
        other => other,
    }
}

fn end_of(track: &Track) -> i64 {
    let ends = track.units.iter();
    let ends = ends.map(|f| f.pts() + i64::from(f.duration_us()) * 1000);
    ends.max().unwrap_or(0)
}

/// Asserts that a track is what the reference says of it, unit by unit.
fn same(name: &str, track: &Track, stream: &Stream, port: usize) {
    assert_eq!(codec_of(&track.format.encoding), stream.codec, "{name}");
    let measures = match track.format.media {
        Media::Audio { rate, channels } => [rate, channels],
        Media::Video { width, height } => [width, height],
        Media::Data => [0, 0],
    };
    assert_eq!(measures, stream.measures, "{name}");
    // What only primes a decoder of sound lies before time 0, and is left out by us; of Opus what lies there as a whole, for
    // its decoder puts out a part.
    let reach = |p: &Packet| {
        if stream.codec == "opus" {
            p.lasts - MS
        } else {
            0
        }
    };
    let packets = stream.packets.iter();
    let heard =
        packets.filter(|p| port == VIDEO || p.pts.is_none_or(|pts| pts + reach(p) > -MS / 2));
    let heard: Vec<&Packet> = heard.collect();
    assert_eq!(
        track.units.len(),
        heard.len(),
        "{name}: units of port {port}"
    );
    for (n, (unit, packet)) in track.units.iter().zip(&heard).enumerate() {
        if let Some(pts) = packet.pts {
            let off = unit.pts() - pts;
            assert!(
                off.abs() <= MS + MS / 10,
                "{name}: unit {n} of port {port} is {off} ns off"
            );
        }
        if packet.lasts > 0 && n + 1 < heard.len() {
            let off = i64::from(unit.duration_us()) * 1000 - packet.lasts;
            assert!(
                off.abs() <= MS + MS / 10,
                "{name}: unit {n} of port {port} lasts {off} ns more"
            );
        }
        assert_eq!(
            unit.has(flags::KEYFRAME),
            packet.key,
            "{name}: unit {n} of port {port}"
        );
        // H.264 changes its framing.
        if stream.codec != "h264" {
            assert_eq!(
                unit.payload().len(),
                packet.len,
                "{name}: unit {n} of port {port}"
            );
        }
    }
    // Some kinds of files do not say how long a unit lasts.
    let timed = heard.iter().filter(|p| p.lasts > 0);
    if let Some(end) = timed.filter_map(|p| Some(p.pts? + p.lasts)).max() {
        let off = end_of(track) - end;
        assert!(
            off.abs() <= heard[0].lasts + MS,
            "{name}: port {port} ends {off} ns later"
        );
    }
}

#[test]
fn what_ffmpeg_writes_is_played() {
    let Some(python) = python() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    for (name, codecs) in [
        ("h264_aac.mp4", &["libx264", "aac"][..]),
        ("h264_aac.mkv", &["libx264", "aac"]),
        ("h264_mp3.mkv", &["libx264", "libmp3lame"]),
        ("vp8_opus.webm", &["libvpx", "libopus"]),
        ("vp9_opus.webm", &["libvpx-vp9", "libopus"]),
        ("opus.ogg", &["libopus"]),
        ("vp8.ivf", &["libvpx"]),
        ("raw.h264", &["libx264"]),
        ("raw.y4m", &["wrapped_avframe"]),
    ] {
        let path = folder.path().join(name);
        reference(&python, "write", &path, codecs);
        let streams = read(&python, &path);
        let tracks = play_all(path.to_str().expect("a plain name"));
        for port in [AUDIO, VIDEO] {
            match &streams[port] {
                None => assert!(tracks[port].units.is_empty(), "{name}"),
                Some(stream) if stream.codec == "rawvideo" => {
                    assert_eq!(tracks[port].units.len(), 50, "{name}");
                    assert_eq!(end_of(&tracks[port]), 2_000 * MS, "{name}");
                }
                // The reference has no times for a stream of bytes; they are those of the same pictures in a container.
                Some(stream) if name == "raw.h264" => {
                    same(name, &tracks[port], stream, port);
                    let times: Vec<i64> = tracks[port].units.iter().map(Frame::pts).collect();
                    let mp4 = play_all(
                        folder
                            .path()
                            .join("h264_aac.mp4")
                            .to_str()
                            .expect("a plain name"),
                    );
                    let as_mp4: Vec<i64> = mp4[VIDEO].units.iter().map(Frame::pts).collect();
                    assert_eq!(times, as_mp4);
                }
                Some(stream) => same(name, &tracks[port], stream, port),
            }
        }
    }
}

#[test]
fn sound_without_a_codec_that_ffmpeg_writes_is_played_to_its_last_sample() {
    let Some(python) = python() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    for (name, codec, encoding) in [
        ("s16.wav", "pcm_s16le", "f32"),
        ("s24.wav", "pcm_s24le", "f32"),
        ("s32.wav", "pcm_s32le", "f32"),
        ("u8.wav", "pcm_u8", "f32"),
        ("f32.wav", "pcm_f32le", "f32"),
        ("f64.wav", "pcm_f64le", "f32"),
        ("ulaw.wav", "pcm_mulaw", "pcmu"),
        ("alaw.wav", "pcm_alaw", "pcma"),
        ("s16.mkv", "pcm_s16le", "f32"),
        ("f32.mkv", "pcm_f32le", "f32"),
    ] {
        let path = folder.path().join(name);
        reference(&python, "write", &path, &[codec]);
        let stream = read(&python, &path)[AUDIO].take().expect("there is sound");
        let [track, _] = play_all(path.to_str().expect("a plain name"));
        let format = &track.format;
        assert_eq!(format.encoding, encoding, "{name}");
        let [rate, channels] = stream.measures;
        assert_eq!(format.media, Media::Audio { rate, channels }, "{name}");
        let wide = if encoding == "f32" { 4 } else { 1 } * channels as usize;
        let bytes: usize = track.units.iter().map(|f| f.payload().len()).sum();
        assert_eq!(bytes, stream.decoded as usize * wide, "{name}");
        assert!((end_of(&track) - 2_000 * MS).abs() <= MS, "{name}");
        if encoding == "f32" {
            // The tone is as loud as it was made, 12,000 of 32,768.
            let bytes = track.units.iter().flat_map(|f| f.payload().chunks_exact(4));
            let samples = bytes.map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
            let peak = samples.fold(0.0, |peak: f32, x| peak.max(x.abs()));
            assert!((peak - 0.366).abs() < 0.01, "{name}: {peak}");
        }
    }
}

#[test]
fn what_is_recorded_is_read_by_ffmpeg() {
    let Some(python) = python() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let none = Track::default;
    let clip = || play_all(CLIP);
    let reordered = || play_all(REORDERED);
    let vp8 = || {
        let [_, vp8] = play_all(IVF);
        vp8
    };
    let opus = || {
        let [opus, _] = reordered();
        opus
    };
    for (name, tracks) in [
        ("clip.mp4", clip()),
        ("clip.mkv", clip()),
        ("reordered.mp4", reordered()),
        ("reordered.mkv", reordered()),
        ("vp8_opus.webm", [opus(), vp8()]),
        ("vp8.mp4", [none(), vp8()]),
        ("opus.ogg", [opus(), none()]),
        ("vp8.ivf", [none(), vp8()]),
        ("raw.y4m", [none(), pictures()]),
        ("raw.wav", [sound(), none()]),
    ] {
        let path = folder.path().join(name);
        record(&path, &tracks);
        let streams = read(&python, &path);
        for port in [AUDIO, VIDEO] {
            let (track, Some(stream)) = (&tracks[port], &streams[port]) else {
                assert!(tracks[port].units.is_empty(), "{name}: port {port} is lost");
                continue;
            };
            let count = track.units.len() as i64;
            match track.format.encoding.as_str() {
                "f32" => assert_eq!(stream.decoded, 8_000, "{name}"),
                "i420" => assert_eq!(stream.decoded, count, "{name}"),
                _ => {
                    // A recording begins at time 0.
                    let first = tracks.iter().flat_map(|t| &t.units);
                    let dts = |f: &Frame| match name.ends_with(".mp4") {
                        true => f.pts() + i64::from(f.dts_delta_us()) * 1000,
                        false => f.pts(),
                    };
                    let origin = first.map(dts).min().unwrap_or(0);
                    let units = track.units.iter().map(|f| {
                        let pts = f.pts() - origin;
                        f.clone().with_pts(pts)
                    });
                    let track = Track {
                        units: units.collect(),
                        format: track.format.clone(),
                    };
                    same(name, &track, stream, port);
                    if port == VIDEO {
                        assert_eq!(stream.decoded, count, "{name}: decoded pictures");
                    } else {
                        assert!(stream.decoded > 0, "{name}: decoded samples");
                    }
                }
            }
        }
    }
}

#[test]
fn pictures_that_are_not_shown_are_recorded_for_those_that_need_them() {
    let Some(python) = python() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let [_, mut vp8] = play_all(MOVING);
    // RFC 6386, 9.1; in WebM they have the time of the next one.
    let hidden = |n: &usize| vp8.units[*n].payload()[0] >> 4 & 1 == 0;
    let hidden: Vec<usize> = (0..vp8.units.len()).filter(hidden).collect();
    for n in &hidden {
        let pts = vp8.units[n + 1].pts();
        vp8.units[*n] = vp8.units[*n].clone().with_pts(pts);
    }
    let count = vp8.units.len();
    let tracks = [Track::default(), vp8];
    for name in ["hidden.mp4", "hidden.mkv", "hidden.webm", "hidden.ivf"] {
        let path = folder.path().join(name);
        record(&path, &tracks);
        let stream = read(&python, &path)[VIDEO].take();
        let stream = stream.expect("there are pictures");
        assert_eq!(stream.packets.len(), count, "{name}");
        assert_eq!(stream.decoded as usize, count - hidden.len(), "{name}");
    }
}
