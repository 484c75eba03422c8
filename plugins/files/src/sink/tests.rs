use std::{fs, path::Path};

use levada_plugin::{
    harness::{Harness, Value},
    prelude::*,
};

use super::FileSink;
use crate::source::FileSource;

const MS: i64 = 1_000_000;
const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/sample.mp4");
const REORDERED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reordered.mp4");

fn text(path: &Path) -> Value {
    // A param's text is static; a test's few are left to the process.
    Value::Text(path.to_string_lossy().into_owned().leak())
}

/// A file's units with their ports.
type Units = Vec<(usize, Frame)>;

/// A file's units, and the formats of sound and pictures.
fn play(path: &Path) -> Result<(Units, [Format; 2])> {
    let mut node =
        Harness::<FileSource>::new(&[("path", text(path)), ("pace", Value::Text("fast"))])?;
    let mut out = vec![];
    loop {
        let ticked = node.tick(0)?;
        if ticked.is_empty() {
            break;
        }
        out.extend(ticked);
    }
    let of = |port| {
        let first = out.iter().find(|(p, _)| *p == port);
        first
            .and_then(|(_, f)| node.format(f.format_id()))
            .unwrap_or_default()
    };
    let formats = [of(0), of(1)];
    Ok((out, formats))
}

/// Records what another node gave, later by `late` ns of sound.
fn record(
    path: &Path,
    units: &[(usize, Frame)],
    formats: &[Format; 2],
    late: i64,
) -> Result<Harness<FileSink>> {
    let mut sink = Harness::<FileSink>::new(&[("path", text(path))])?;
    let ids = [sink.format_id(&formats[0]), sink.format_id(&formats[1])];
    for (port, unit) in units {
        let pts = unit.pts() + if *port == 0 { late } else { 0 };
        let unit = unit.clone().with_format_id(ids[*port]).with_pts(pts);
        assert!(sink.push(*port, vec![unit])?.is_empty());
    }
    Ok(sink)
}

fn of(port: usize, units: &[(usize, Frame)]) -> Vec<Frame> {
    units
        .iter()
        .filter(|(p, _)| *p == port)
        .map(|(_, f)| f.clone())
        .collect()
}

/// The payload without parameter sets, which stand in the description as well.
fn pictures(unit: &Frame) -> Vec<Vec<u8>> {
    let nals = shiguredo_mp4::bitstream::h264::parse_annexb_nal_units(unit.payload());
    let nals = nals.map(|nals| nals.iter().map(|n| n.data.to_vec()).collect());
    let nals: Vec<Vec<u8>> = nals.unwrap_or_default();
    nals.into_iter()
        .filter(|n| ![7, 8].contains(&(n[0] & 0x1f)))
        .collect()
}

#[test]
fn what_is_recorded_is_played_as_it_was() -> Result {
    let folder = tempfile::tempdir()?;
    // Matroska's times are whole milliseconds.
    for (source, name, exact) in [
        (CLIP, "clip.mp4", MS / 10),
        (REORDERED, "reordered.mp4", MS / 10),
        (CLIP, "clip.mkv", MS + MS / 10),
        (REORDERED, "reordered.mkv", MS + MS / 10),
    ] {
        let path = folder.path().join(name);
        let (units, formats) = play(Path::new(source))?;
        let mut sink = record(&path, &units, &formats, 0)?;
        assert!(!path.exists(), "before its end it has another name");
        sink.drain()?;
        assert_eq!(sink.dropped(), 0);
        let (again, formats_again) = play(&path)?;
        assert_eq!(formats_again[0].encoding, formats[0].encoding);
        assert_eq!(formats_again[1], formats[1]);
        // The first unit to be decoded has time 0 in a recording.
        let shift = of(1, &again)[0].pts() - of(1, &units)[0].pts();
        for port in [0, 1] {
            let (was, is) = (of(port, &units), of(port, &again));
            assert_eq!(is.len(), was.len());
            for (was, is) in was.iter().zip(&is) {
                if port == 0 {
                    assert_eq!(is.payload(), was.payload());
                } else {
                    assert_eq!(pictures(is), pictures(was));
                }
                assert_eq!(is.has(flags::KEYFRAME), was.has(flags::KEYFRAME));
                let off = is.pts() - was.pts() - shift;
                assert!(off.abs() < exact, "{name}: {off} ns");
                let dts = |f: &Frame| f.pts() + i64::from(f.dts_delta_us()) * 1000;
                assert!(dts(is) <= is.pts());
                let off = i64::from(is.duration_us()) - i64::from(was.duration_us());
                assert!(off.abs() < 2_000, "{name}: lasts {off} us more");
            }
        }
    }
    Ok(())
}

#[test]
fn sound_that_begins_later_stays_later() -> Result {
    let folder = tempfile::tempdir()?;
    for name in ["late.mp4", "late.mkv"] {
        let path = folder.path().join(name);
        let (units, formats) = play(Path::new(CLIP))?;
        record(&path, &units, &formats, 300 * MS)?.drain()?;
        let (again, _) = play(&path)?;
        let (audio, video) = (of(0, &again), of(1, &again));
        let off = audio[0].pts() - video[0].pts() - 300 * MS;
        assert!(off.abs() <= MS, "{name}: {off}");
        // They come in the order of decoding all the same.
        let steps = again.windows(2).map(|w| w[1].1.pts() - w[0].1.pts());
        assert!(steps.min() > Some(-2 * MS), "{name}");
    }
    Ok(())
}

#[test]
fn a_recording_that_breaks_off_loses_a_second_at_most() -> Result {
    for name in ["crash.mp4", "crash.mkv"] {
        breaks_off(name)?;
    }
    Ok(())
}

#[test]
fn a_recording_whose_session_fails_loses_nothing_that_came() -> Result {
    let folder = tempfile::tempdir()?;
    let (units, formats) = play(Path::new(CLIP))?;
    for name in ["failed.mp4", "failed.mkv"] {
        let path = folder.path().join(name);
        // It never hears of an end.
        drop(record(&path, &units, &formats, 0)?);
        assert!(!path.exists());
        let part = folder.path().join(format!("{name}.part"));
        let (again, _) = play(&part)?;
        assert_eq!(again.len(), units.len(), "{name}");
        fs::remove_file(&part)?;
        // Where nothing came, nothing is left.
        drop(record(&path, &[], &formats, 0)?);
    }
    assert_eq!(fs::read_dir(folder.path())?.count(), 0);
    Ok(())
}

fn breaks_off(name: &str) -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join(name);
    let (units, formats) = play(Path::new(CLIP))?;
    // As it lies there when the power goes.
    let sink = record(&path, &units, &formats, 0)?;
    let whole = fs::read(folder.path().join(format!("{name}.part")))?;
    drop(sink);
    let part = folder.path().join(format!("cut-{name}.part"));
    fs::write(&part, &whole)?;
    let (again, _) = play(&part)?;
    assert!(
        of(1, &again).len() >= 89,
        "{} of 120 pictures",
        of(1, &again).len()
    );
    // Cut off anywhere behind its beginning it can be played up to there.
    for length in (whole.len() / 2..whole.len()).step_by(4_000) {
        fs::write(&part, &whole[..length])?;
        let (again, _) = play(&part)?;
        assert!(again.len() > 60, "cut to {length}: {} units", again.len());
    }
    Ok(())
}

#[test]
fn pictures_before_the_first_keyframe_are_dropped_and_counted() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("joined.mp4");
    let (units, formats) = play(Path::new(CLIP))?;
    // From within the first group of pictures; the next keyframe is the 60th.
    let later: Vec<_> = units
        .into_iter()
        .filter(|(_, f)| f.pts() > 1_000 * MS)
        .collect();
    let mut sink = record(&path, &later, &formats, 0)?;
    sink.drain()?;
    assert_eq!(sink.dropped(), 29);
    let (again, _) = play(&path)?;
    assert_eq!(of(1, &again).len(), 60);
    Ok(())
}

#[test]
fn what_cannot_be_recorded_is_refused_with_a_remedy() -> Result {
    let folder = tempfile::tempdir()?;
    let there = folder.path().join("there.mp4");
    fs::write(&there, "precious")?;
    for (path, says) in [
        (folder.path().join("tape.avi"), ".mp4, .webm, .mkv"),
        (folder.path().join("tape.wav"), "holds no pictures"),
        (there.clone(), "overwrite = true"),
        (
            folder.path().join("no/such/folder.mp4"),
            "there is no folder",
        ),
    ] {
        let refused = Harness::<FileSink>::new(&[("path", text(&path))])
            .err()
            .map(|e| e.to_string());
        assert!(
            refused.as_ref().is_some_and(|e| e.contains(says)),
            "{refused:?}"
        );
    }
    assert_eq!(fs::read(&there)?, b"precious");
    let mut sink = Harness::<FileSink>::new(&[("path", text(&folder.path().join("raw.mp4")))])?;
    let id = sink.format_id(&Format::audio("f32", 48_000, 2));
    let frame = Frame::from_bytes(Kind::Audio, vec![0; 8].into()).with_format_id(id);
    assert!(
        sink.push(0, vec![frame])
            .is_err_and(|e| e.to_string().contains("not recorded"))
    );
    Ok(())
}

#[test]
fn a_recording_of_nothing_leaves_no_file() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("nothing.mp4");
    Harness::<FileSink>::new(&[("path", text(&path))])?.drain()?;
    assert_eq!(fs::read_dir(folder.path())?.count(), 0);
    Ok(())
}

#[test]
fn a_full_disk_is_told_with_the_path_and_what_to_do() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tape.mp4");
    // Written beside its place: every write there finds no room.
    std::os::unix::fs::symlink("/dev/full", folder.path().join("tape.mp4.part"))?;
    let (units, formats) = play(Path::new(CLIP))?;
    let mut sink = Harness::<FileSink>::new(&[("path", text(&path))])?;
    let ids = [sink.format_id(&formats[0]), sink.format_id(&formats[1])];
    let pushed = units.iter().try_for_each(|(port, unit)| {
        let unit = unit.clone().with_format_id(ids[*port]);
        sink.push(*port, vec![unit]).map(|_| ())
    });
    let error = pushed.err().map(|error| error.to_string());
    let error = error.unwrap_or_default();
    for words in ["tape.mp4.part", "No space left", "make room"] {
        assert!(error.contains(words), "{error}");
    }
    Ok(())
}

#[test]
fn pictures_that_are_still_being_encoded_are_waited_for_by_the_clock() -> Result {
    let folder = tempfile::tempdir()?;
    let (units, formats) = play(Path::new(CLIP))?;
    let [sound, pictures] = [of(0, &units), of(1, &units)];
    for (late_ns, recorded) in [(1_900 * MS, 2), (2_100 * MS, 1)] {
        let path = folder.path().join(format!("{recorded}.mp4"));
        let mut sink = Harness::<FileSink>::new(&[("path", text(&path))])?;
        let ids = [sink.format_id(&formats[0]), sink.format_id(&formats[1])];
        // Four seconds of sound come at once; only its last packet and the pictures take their time.
        let (last, first) = sound.split_last().expect("there is sound");
        sink.tick(0)?;
        for unit in first {
            sink.push(0, vec![unit.clone().with_format_id(ids[0])])?;
        }
        sink.tick(late_ns)?;
        sink.push(0, vec![last.clone().with_format_id(ids[0])])?;
        for unit in &pictures {
            sink.push(1, vec![unit.clone().with_format_id(ids[1])])?;
        }
        let dropped = if recorded == 1 { pictures.len() } else { 0 };
        assert_eq!(sink.dropped(), dropped as u64, "{late_ns}");
        let (done, total) = sink.progress().expect("it says how far it is");
        assert!(
            (done - 4_000 * MS).abs() < 100 * MS && total.is_none(),
            "{done}"
        );
        sink.drain()?;
        if recorded == 2 {
            let (played, _) = play(&path)?;
            assert_eq!(of(0, &played).len(), sound.len());
            assert_eq!(of(1, &played).len(), pictures.len());
        } else {
            let refused = play(&path).err().map(|e| e.to_string());
            assert!(refused.is_some_and(|e| e.contains("has no pictures")));
        }
    }
    Ok(())
}
