//! Pictures that others need, or that are not shown.

use std::path::Path;

use levada_plugin::{harness::Harness, prelude::*};

use super::{
    FileSink, VIDEO,
    tests_of_others::{play, text},
};

const MS: i64 = 1_000_000;
/// VP8 with keyframes at 0 and 21, each followed by a picture that is not shown.
const MOVING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../vp8/tests/moving.ivf");
const NAMES: [&str; 4] = ["tape.mp4", "tape.mkv", "tape.webm", "tape.ivf"];

/// Records pictures: the node, which has not ended.
fn record(path: &Path, units: &[Frame], format: &Format) -> Result<Harness<FileSink>> {
    let mut sink = Harness::<FileSink>::with_linked_ports(&[("path", text(path))], 1 << VIDEO)?;
    let id = sink.format_id(format);
    for unit in units {
        sink.push(VIDEO, vec![unit.clone().with_format_id(id)])?;
    }
    Ok(sink)
}

fn is_hidden(unit: &Frame) -> bool {
    // RFC 6386, 9.1.
    unit.payload()[0] >> 4 & 1 == 0
}

#[test]
fn a_picture_that_is_not_shown_is_recorded_at_the_time_of_the_next_one() -> Result {
    let folder = tempfile::tempdir()?;
    let (mut units, format) = play(Path::new(MOVING), VIDEO)?;
    // As WebM brings them: its times are too coarse for one of their own.
    let hidden: Vec<usize> = (0..units.len()).filter(|n| is_hidden(&units[*n])).collect();
    assert_eq!(hidden.len(), 2);
    for n in hidden {
        let pts = units[n + 1].pts();
        units[n] = units[n].clone().with_pts(pts);
    }
    for name in NAMES {
        let path = folder.path().join(name);
        let mut sink = record(&path, &units, &format)?;
        sink.drain()?;
        assert_eq!(sink.dropped(), 0, "{name}");
        let (again, _) = play(&path, VIDEO)?;
        assert_eq!(again.len(), units.len(), "{name}");
        for (is, was) in again.iter().zip(&units) {
            assert_eq!(is.payload(), was.payload(), "{name}");
            assert!((is.pts() - was.pts()).abs() <= MS / 10, "{name}");
        }
    }
    Ok(())
}

#[test]
fn what_needs_a_picture_that_was_dropped_is_dropped_with_it_and_a_keyframe_asked_for() -> Result {
    let folder = tempfile::tempdir()?;
    let (mut units, format) = play(Path::new(MOVING), VIDEO)?;
    let (late, key) = (5, 21);
    assert!(units[key].has(flags::KEYFRAME) && units[late].has(flags::INTER));
    let (in_time, early) = (units[late].clone(), units[1].pts());
    for name in NAMES {
        // One that nothing needs does no harm.
        for (bits, dropped, requests) in [(0, key - late, 1), (flags::DROPPABLE, 1, 0)] {
            units[late] = in_time
                .clone()
                .with_pts(early)
                .with_flags(flags::INTER | bits);
            let path = folder.path().join(format!("{bits}{name}"));
            let mut sink = record(&path, &units, &format)?;
            sink.drain()?;
            assert_eq!(sink.dropped(), dropped as u64, "{name}");
            let request = Event {
                kind: event::kind::KEYFRAME_REQUEST,
                stream: u32::from(in_time.stream()),
                value: 0,
            };
            assert_eq!(
                sink.take_raised(),
                vec![(VIDEO, request); requests],
                "{name}"
            );
            let (again, _) = play(&path, VIDEO)?;
            let is: Vec<&[u8]> = again.iter().map(Frame::payload).collect();
            let (head, tail) = (&units[..late], &units[late + dropped..]);
            let was: Vec<&[u8]> = head.iter().chain(tail).map(Frame::payload).collect();
            assert_eq!(is, was, "{name}");
        }
    }
    Ok(())
}

#[test]
fn a_slow_show_of_slides_is_recorded_with_all_its_pictures() -> Result {
    let folder = tempfile::tempdir()?;
    let (units, format) = play(Path::new(MOVING), VIDEO)?;
    let sound = Format::audio("opus", 48_000, 2);
    for name in ["tape.mp4", "tape.mkv"] {
        let path = folder.path().join(name);
        let mut sink = Harness::<FileSink>::new(&[("path", text(&path))])?;
        let ids = [sink.format_id(&sound), sink.format_id(&format)];
        // A picture every three seconds, and 20 ms of sound at a time, as they come.
        for n in 0..500 {
            let at = n * 20 * MS;
            sink.tick(at)?;
            if n % 150 == 0 {
                let picture = units[0].clone().with_duration_us(0).with_pts(at);
                sink.push(VIDEO, vec![picture.with_format_id(ids[1])])?;
            }
            let packet = Frame::from_bytes(Kind::Audio, vec![0xfc, 0, 0].into());
            sink.push(0, vec![packet.with_pts(at).with_format_id(ids[0])])?;
        }
        sink.drain()?;
        assert_eq!(sink.dropped(), 0, "{name}");
        let (again, _) = play(&path, VIDEO)?;
        let times: Vec<i64> = again.iter().map(|f| f.pts() / MS).collect();
        assert_eq!(times, [0, 3_000, 6_000, 9_000], "{name}");
    }
    Ok(())
}
