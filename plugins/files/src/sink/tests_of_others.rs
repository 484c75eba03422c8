//! Files of one track: what is recorded is played as it was. What tests of several tracks need is in `tests.rs`.

use std::{fs, path::Path};

use levada_plugin::{
    harness::{Harness, Value},
    prelude::*,
};

use super::FileSink;
use crate::source::FileSource;

const MS: i64 = 1_000_000;
const OGG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tone.ogg");
const IVF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pattern.ivf");

pub(super) fn text(path: &Path) -> Value {
    // A param's text is static; a test's few are left to the process.
    Value::Text(path.to_string_lossy().into_owned().leak())
}

/// The one track of a file, and its format.
pub(super) fn play(path: &Path, port: usize) -> Result<(Vec<Frame>, Format)> {
    let params = [("path", text(path)), ("pace", Value::Text("fast"))];
    let mut node = Harness::<FileSource>::with_linked_ports(&params, 1 << port)?;
    let mut out = vec![];
    loop {
        let ticked = node.tick(0)?;
        if ticked.is_empty() {
            break;
        }
        out.extend(ticked.into_iter().map(|(_, frame)| frame));
    }
    let format = out.first().and_then(|f| node.format(f.format_id()));
    Ok((out, format.unwrap_or_default()))
}

fn sink(path: &Path, port: usize, more: &[(&str, Value)]) -> Result<Harness<FileSink>> {
    let mut params = vec![("path", text(path))];
    params.extend(more);
    Harness::with_linked_ports(&params, 1 << port)
}

/// Records frames, which get the format's id there.
fn record(
    path: &Path,
    port: usize,
    units: &[Frame],
    format: &Format,
    more: &[(&str, Value)],
) -> Result<u64> {
    let mut sink = sink(path, port, more)?;
    let id = sink.format_id(format);
    for unit in units {
        sink.push(port, vec![unit.clone().with_format_id(id)])?;
    }
    sink.drain()?;
    Ok(sink.dropped())
}

fn sound(samples: &[f32], pts: i64) -> Frame {
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_ne_bytes()).collect();
    Frame::from_bytes(Kind::Audio, bytes.into()).with_pts(pts)
}

fn heard(frames: &[Frame]) -> Vec<f32> {
    let bytes = frames.iter().flat_map(|f| f.payload().to_vec());
    let bytes: Vec<u8> = bytes.collect();
    let samples = bytes.chunks_exact(4);
    samples
        .map(|b| f32::from_ne_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

#[test]
fn raw_sound_comes_back_as_exactly_as_its_samples_allow() -> Result {
    let folder = tempfile::tempdir()?;
    let format = Format::audio("f32", 8_000, 2);
    let wave: Vec<f32> = (0..320).map(|n| (n as f32 * 0.1).sin() * 0.9).collect();
    let blocks: Vec<Frame> = (0..10).map(|n| sound(&wave, n * 20 * MS)).collect();
    for (samples, error) in [
        ("s16", 1.0 / 32_768.0),
        ("s24", 1.0 / 8_388_608.0),
        ("f32", 0.0),
    ] {
        let path = folder.path().join(format!("{samples}.wav"));
        let more = [("samples", Value::Text(samples))];
        assert_eq!(record(&path, 0, &blocks, &format, &more)?, 0);
        let (again, format_again) = play(&path, 0)?;
        assert_eq!(format_again, format);
        let heard = heard(&again);
        assert_eq!(heard.len(), 3_200);
        for (is, was) in heard.iter().zip(wave.iter().cycle()) {
            assert!((is - was).abs() <= error, "{samples}: {is} was {was}");
        }
        // What a header says that is asked for no end.
        let bytes = fs::read(&path)?;
        assert_eq!(bytes[4..8], (bytes.len() as u32 - 8).to_le_bytes());
    }
    Ok(())
}

#[test]
fn what_is_louder_than_full_or_no_number_stays_within_whole_numbers() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("loud.wav");
    let loud = [2.0, -2.0, f32::NAN, f32::INFINITY];
    let format = Format::audio("f32", 8_000, 1);
    record(&path, 0, &[sound(&loud, 0)], &format, &[])?;
    let (again, _) = play(&path, 0)?;
    let full = 32_767.0 / 32_768.0;
    assert_eq!(heard(&again), [full, -1.0, 0.0, full]);
    Ok(())
}

#[test]
fn a_hole_in_the_sound_is_silence_and_what_is_late_is_dropped() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("hole.wav");
    let format = Format::audio("f32", 8_000, 1);
    let block = [0.5; 160];
    // Jitter, then a hole of 100 ms, then one from long ago.
    let times = [1_000, 1_025, 1_040, 1_160, 1_000];
    let blocks: Vec<Frame> = times.iter().map(|ms| sound(&block, ms * MS)).collect();
    assert_eq!(record(&path, 0, &blocks, &format, &[])?, 1);
    let heard = heard(&play(&path, 0)?.0);
    assert_eq!(heard.len(), 160 * 9);
    let loud: Vec<bool> = heard.chunks(160).map(|block| block[80] > 0.0).collect();
    assert_eq!(
        loud,
        [true, true, true, false, false, false, false, false, true]
    );
    Ok(())
}

#[test]
fn opus_in_ogg_comes_back_packet_by_packet() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tone.ogg");
    let (units, format) = play(Path::new(OGG), 0)?;
    assert_eq!(record(&path, 0, &units, &format, &[])?, 0);
    let (again, format_again) = play(&path, 0)?;
    assert_eq!(format_again, format);
    assert_eq!(again.len(), units.len());
    let shift = units[0].pts();
    for (was, is) in units.iter().zip(&again) {
        assert_eq!(is.payload(), was.payload());
        assert!((is.pts() - was.pts() + shift).abs() < 2);
    }
    Ok(())
}

#[test]
fn opus_ends_within_its_last_packet_in_every_kind_of_file() -> Result {
    let folder = tempfile::tempdir()?;
    let (mut units, format) = play(Path::new(OGG), 0)?;
    let last = units.pop().expect("a packet");
    units.push(last.with_duration_us(6_500));
    for name in ["cut.ogg", "cut.mkv", "cut.webm", "cut.mp4"] {
        let path = folder.path().join(name);
        assert_eq!(record(&path, 0, &units, &format, &[])?, 0);
        let (again, _) = play(&path, 0)?;
        let lasts: Vec<u32> = again.iter().map(Frame::duration_us).collect();
        assert_eq!(lasts.len(), units.len(), "{name}");
        let (last, others) = lasts.split_last().expect("packets");
        assert!(last.abs_diff(6_500) <= 1_000, "{name}: {last}");
        assert!(
            others.iter().all(|us| us.abs_diff(20_000) <= 1_000),
            "{name}: {others:?}"
        );
    }
    Ok(())
}

#[test]
fn a_hole_in_opus_is_filled_with_packets_to_be_concealed() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("hole.opus");
    let (units, format) = play(Path::new(OGG), 0)?;
    // A quarter of a second is missing: twelve packets of 20 ms.
    let units: Vec<Frame> = units
        .into_iter()
        .filter(|f| !(400 * MS..640 * MS).contains(&f.pts()))
        .collect();
    record(&path, 0, &units, &format, &[])?;
    let (again, _) = play(&path, 0)?;
    let (last_was, last_is) = (&units[units.len() - 1], &again[again.len() - 1]);
    assert!((last_is.pts() - last_was.pts() + units[0].pts()).abs() < 20 * MS);
    let filled: Vec<u32> = again
        .iter()
        .filter(|f| f.payload().len() == 2)
        .map(Frame::duration_us)
        .collect();
    assert_eq!(filled, [120_000, 120_000]);
    Ok(())
}

#[test]
fn vp8_in_ivf_comes_back_from_the_first_keyframe_on() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("pattern.ivf");
    let (units, format) = play(Path::new(IVF), 1)?;
    // It has keyframes at 0 and 5.
    assert_eq!(record(&path, 1, &units[1..], &format, &[])?, 4);
    let (again, format_again) = play(&path, 1)?;
    assert_eq!((again.len(), format_again), (5, format));
    for (was, is) in units[5..].iter().zip(&again) {
        assert_eq!(is.payload(), was.payload());
        assert_eq!(is.pts(), was.pts() - 200 * MS);
        assert_eq!(is.has(flags::KEYFRAME), was.has(flags::KEYFRAME));
    }
    let bytes = fs::read(&path)?;
    // Five pictures of 40 ms, in the header's units.
    assert_eq!(
        bytes[16..24],
        [90_000_u32.to_le_bytes(), 1_u32.to_le_bytes()].concat()
    );
    assert_eq!(bytes[24..28], 18_000_u32.to_le_bytes());
    Ok(())
}

#[test]
fn the_colours_of_vp8_stand_in_a_recording() -> Result {
    let folder = tempfile::tempdir()?;
    let (units, format) = play(Path::new(IVF), 1)?;
    let canvas = "range=full;primaries=bt709;transfer=srgb;matrix=bt709";
    // MP4 has no room for what is not stated: what VP8 means by itself stands there, and where all of it is that,
    // nothing is stated.
    let usual = "primaries=smpte170m;transfer=smpte170m;matrix=smpte170m";
    let (full, limited) = (
        format!("range=full;{usual}"),
        format!("range=limited;{usual}"),
    );
    for (n, (stated, in_mp4)) in (0..).zip([
        (canvas, canvas),
        ("range=full", &full),
        ("", ""),
        (&limited, ""),
    ]) {
        let format = format.clone().with_config(stated);
        for (kind, comes_back) in [("mp4", in_mp4), ("mkv", stated)] {
            let path = folder.path().join(format!("{n}.{kind}"));
            assert_eq!(record(&path, 1, &units, &format, &[])?, 0);
            let (again, format_again) = play(&path, 1)?;
            assert_eq!(again.len(), units.len());
            assert_eq!(format_again, format.clone().with_config(comes_back));
        }
    }
    Ok(())
}

#[test]
fn raw_pictures_keep_their_rate_and_stand_still_where_one_lasts() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("raw.y4m");
    let format = Format::video("i420", 5, 3).with_config("range=full");
    let picture = |n: u8, ms: i64| {
        Frame::from_bytes(Kind::Video, vec![n; 27].into())
            .with_pts(ms * MS)
            .with_duration_us(40_000)
    };
    // The second lasts three steps, and the fourth is too early.
    let units = [(0, 500), (1, 541), (2, 661), (3, 670), (4, 700)].map(|(n, ms)| picture(n, ms));
    assert_eq!(record(&path, 1, &units, &format, &[])?, 1);
    assert!(
        fs::read(&path)?
            .starts_with(b"YUV4MPEG2 W5 H3 F25:1 Ip A0:0 C420jpeg XCOLORRANGE=FULL\nFRAME\n")
    );
    let (again, format_again) = play(&path, 1)?;
    let shown: Vec<u8> = again.iter().map(|f| f.payload()[0]).collect();
    assert_eq!(shown, [0, 1, 1, 1, 2, 4]);
    assert_eq!(again[5].pts(), 200 * MS);
    assert_eq!(format_again, format);
    let more = [("fps", Value::Float(29.97))];
    record(&folder.path().join("ntsc.y4m"), 1, &units, &format, &more)?;
    assert!(fs::read(folder.path().join("ntsc.y4m"))?.starts_with(b"YUV4MPEG2 W5 H3 F30000:1001 "));
    Ok(())
}

#[test]
fn pictures_of_a_container_of_milliseconds_have_the_rate_that_was_meant() -> Result {
    let folder = tempfile::tempdir()?;
    let format = Format::video("i420", 5, 3);
    // The times of pictures, rounded to milliseconds as in Matroska, and what they last by that.
    for (name, over, under, first) in [
        ("30", 30, 1, 0),
        ("30_from_within", 30, 1, 1),
        ("24", 24, 1, 0),
        ("24_from_within", 24, 1, 1),
        ("60", 60, 1, 0),
        ("25", 25, 1, 0),
        ("50", 50, 1, 0),
    ] {
        let at = |n: i64| (n * 1000 * under + over / 2) / over;
        let picture = |n: i64| {
            Frame::from_bytes(Kind::Video, vec![n as u8; 27].into())
                .with_pts(at(n) * MS)
                .with_duration_us((at(n + 1) - at(n)) as u32 * 1000)
        };
        let units: Vec<Frame> = (first..first + 120).map(picture).collect();
        let path = folder.path().join(format!("{name}.y4m"));
        assert_eq!(record(&path, 1, &units, &format, &[])?, 0, "{name}");
        let head = format!("YUV4MPEG2 W5 H3 F{over}:{under} ");
        assert!(fs::read(&path)?.starts_with(head.as_bytes()), "{name}");
        assert_eq!(play(&path, 1)?.0.len(), 120, "{name}");
    }
    // A rate that is asked for stays as it is.
    let more = [("fps", Value::Float(62.5))];
    let picture = Frame::from_bytes(Kind::Video, vec![0; 27].into());
    record(
        &folder.path().join("asked.y4m"),
        1,
        &[picture],
        &format,
        &more,
    )?;
    assert!(
        fs::read(folder.path().join("asked.y4m"))?.starts_with(b"YUV4MPEG2 W5 H3 F1000000:16000 ")
    );
    Ok(())
}

#[test]
fn each_kind_of_file_says_what_it_holds() {
    let ask = |path, port| {
        Harness::<FileSink>::offers(&[("path", Value::Text(path))], port).map_err(|e| e.to_string())
    };
    let says = |patterns: &str| Ok(Some(patterns.to_owned()));
    assert_eq!(ask("a.wav", 0), says("audio/f32 audio/pcmu audio/pcma"));
    assert_eq!(ask("call-{session}.OPUS", 0), says("audio/opus"));
    assert_eq!(ask("a.y4m", 1), says("video/i420"));
    assert_eq!(ask("a.webm", 1), says("video/vp8 video/vp9 video/av1"));
    assert_eq!(
        ask("a.wav", 1),
        Err("path = \"a.wav\": a .wav file holds no pictures; remove the link to port \"video\", or give the file one of \
             .mp4, .webm, .mkv, .y4m, .ivf"
            .into())
    );
    assert!(ask("a.avi", 0).is_err_and(|e| {
        e.ends_with("give it one of .mp4, .webm, .mkv, .ogg, .opus, .wav, .y4m, .ivf")
    }));
}

#[test]
fn opus_of_more_than_two_channels_is_refused_by_every_kind_of_file() -> Result {
    let folder = tempfile::tempdir()?;
    for name in ["six.ogg", "six.mp4", "six.mkv", "six.webm"] {
        let mut sink = sink(&folder.path().join(name), 0, &[])?;
        let id = sink.format_id(&Format::audio("opus", 48_000, 6));
        let packet = Frame::from_bytes(Kind::Audio, vec![0xfc, 0, 0].into());
        let pushed = sink.push(0, vec![packet.with_format_id(id)]);
        let cause = pushed.err().map(|e| e.to_string()).unwrap_or_default();
        let says = "Opus of 6 channels is not recorded; one or two are";
        assert!(cause.contains(says), "{name}: {cause}");
    }
    Ok(())
}

#[test]
fn what_a_file_cannot_go_on_with_is_refused() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("two.wav");
    let mut sink = sink(&path, 0, &[])?;
    for (rate, is_taken) in [(8_000, true), (16_000, false)] {
        let id = sink.format_id(&Format::audio("f32", rate, 1));
        let pushed = sink.push(0, vec![sound(&[0.0; 160], 0).with_format_id(id)]);
        match pushed.map_err(|e| e.to_string()) {
            Ok(_) => assert!(is_taken),
            Err(cause) => assert!(!is_taken && cause.contains("holds one format"), "{cause}"),
        }
    }
    // What was recorded up to there is not lost.
    sink.drain()?;
    assert_eq!(heard(&play(&path, 0)?.0).len(), 160);
    Ok(())
}

#[test]
fn vp8_in_webm_comes_back_and_the_header_says_how_long_it_is() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("pattern.webm");
    let (units, format) = play(Path::new(IVF), 1)?;
    assert_eq!(record(&path, 1, &units, &format, &[])?, 0);
    let (again, format_again) = play(&path, 1)?;
    assert_eq!((again.len(), format_again), (10, format));
    for (was, is) in units.iter().zip(&again) {
        assert_eq!(is.payload(), was.payload());
        assert_eq!((is.pts(), is.duration_us()), (was.pts(), 40_000));
        assert_eq!(is.has(flags::KEYFRAME), was.has(flags::KEYFRAME));
    }
    let bytes = fs::read(&path)?;
    let duration = [&[0x44, 0x89, 0x88][..], &400.0_f64.to_be_bytes()].concat();
    assert!(bytes.windows(11).any(|w| w == duration));
    // The segment ends with the file, and so do the places of keyframes in it.
    let segment = bytes.windows(4).position(|w| w == [0x18, 0x53, 0x80, 0x67]);
    let at = segment.unwrap_or_default() + 12;
    let size = bytes[at - 7..at]
        .iter()
        .fold(0, |sum, b| sum << 8 | usize::from(*b));
    assert_eq!(at + size, bytes.len());
    Ok(())
}

#[test]
fn g711_in_wave_stays_as_it_is_and_its_holes_are_silent() -> Result {
    let folder = tempfile::tempdir()?;
    for (name, silence) in [("pcmu", 0xff), ("pcma", 0xd5)] {
        let path = folder.path().join(format!("{name}.wav"));
        let format = Format::audio(name, 8_000, 1);
        let packet =
            |n: u8, ms: i64| Frame::from_bytes(Kind::Audio, vec![n; 160].into()).with_pts(ms * MS);
        let packets = [packet(1, 0), packet(2, 20), packet(3, 100)];
        assert_eq!(record(&path, 0, &packets, &format, &[])?, 0);
        let (again, format_again) = play(&path, 0)?;
        assert_eq!(format_again, format);
        let bytes: Vec<u8> = again.iter().map(|f| f.payload()[5]).collect();
        assert_eq!(bytes, [1, 2, silence, silence, silence, 3]);
        assert_eq!(again[5].pts(), 100 * MS);
    }
    Ok(())
}

#[test]
fn a_matroska_recording_tells_how_long_it_is() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("pattern.mkv");
    let (units, format) = play(Path::new(IVF), 1)?;
    record(&path, 1, &units, &format, &[])?;
    let params = [("path", text(&path)), ("pace", Value::Text("fast"))];
    let mut node = Harness::<FileSource>::with_linked_ports(&params, 2)?;
    let mut last = None;
    while !node.tick(0)?.is_empty() {
        last = node.progress();
    }
    // Ten pictures at 25 a second.
    assert_eq!(last, Some((400 * MS, Some(400 * MS))));
    Ok(())
}
