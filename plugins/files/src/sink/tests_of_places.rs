//! Where a recording is written, and what lies there already.

use std::{fs, path::Path};

use levada_plugin::{
    harness::{Harness, Value},
    prelude::*,
};

use super::FileSink;

const MS: i64 = 1_000_000;

/// A node that records sound.
fn sink(path: &Path, overwrite: bool) -> Result<Harness<FileSink>> {
    // A param's text is static; a test's few are left to the process.
    let path = path.to_string_lossy().into_owned().leak();
    let params = [
        ("path", Value::Text(path)),
        ("overwrite", Value::Bool(overwrite)),
    ];
    Harness::with_linked_ports(&params, 1)
}

fn push(sink: &mut Harness<FileSink>, samples: [f32; 2]) -> Result {
    let id = sink.format_id(&Format::audio("f32", 8_000, 1));
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_ne_bytes()).collect();
    let block = Frame::from_bytes(Kind::Audio, bytes.into()).with_format_id(id);
    sink.push(0, vec![block.with_pts(MS)]).map(|_| ())
}

/// Why a node does not start.
fn refused(path: &Path, overwrite: bool) -> String {
    let refused = sink(path, overwrite).err().map(|e| e.to_string());
    refused.unwrap_or_default()
}

#[test]
fn what_a_crash_left_stays_unless_it_may_be_replaced() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tape.wav");
    let part = folder.path().join("tape.wav.part");
    fs::write(&part, "precious")?;
    let says = refused(&path, false);
    for words in [
        "tape.wav.part\" is there already",
        "move it away",
        "overwrite = true",
    ] {
        assert!(says.contains(words), "{says}");
    }
    assert_eq!(fs::read(&part)?, b"precious");
    let mut again = sink(&path, true)?;
    push(&mut again, [0.5, 0.5])?;
    again.drain()?;
    assert!(fs::read(&path)?.starts_with(b"RIFF") && !part.exists());
    // What broke off before anything was written is nothing to keep.
    let path = folder.path().join("empty.wav");
    fs::write(folder.path().join("empty.wav.part"), "")?;
    push(&mut sink(&path, false)?, [0.5, 0.5])
}

#[test]
fn what_another_node_writes_is_left_to_it() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tape.wav");
    let mut first = sink(&path, true)?;
    push(&mut first, [0.5, 0.25])?;
    for overwrite in [false, true] {
        let says = refused(&path, overwrite);
        assert!(says.contains("tape.wav.part\" is being written"), "{says}");
    }
    first.drain()?;
    let bytes = fs::read(&path)?;
    assert_eq!(bytes[bytes.len() - 4..], [0, 0x40, 0, 0x20]);
    // It has ended, so the next one may begin.
    drop(sink(&path, true)?);
    Ok(())
}

#[test]
fn a_folder_in_the_place_of_the_file_is_told_at_once() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tape.wav");
    fs::create_dir(&path)?;
    for overwrite in [false, true] {
        let says = refused(&path, overwrite);
        assert!(says.contains("tape.wav\" is a folder"), "{says}");
    }
    Ok(())
}

#[test]
fn a_file_that_appeared_during_a_recording_stays_and_so_does_the_recording() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("tape.wav");
    let mut late = sink(&path, false)?;
    push(&mut late, [0.5, 0.5])?;
    fs::write(&path, "precious")?;
    let says = late
        .drain()
        .err()
        .map(|e| e.to_string())
        .unwrap_or_default();
    for words in [
        "tape.wav.part\" cannot be given its name",
        "the recording is kept",
    ] {
        assert!(says.contains(words), "{says}");
    }
    assert_eq!(fs::read(&path)?, b"precious");
    assert!(fs::read(folder.path().join("tape.wav.part"))?.starts_with(b"RIFF"));
    Ok(())
}
