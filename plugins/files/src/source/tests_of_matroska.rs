//! Matroska, as bytes made here.

use std::io::Write;

use levada_plugin::{
    harness::{Harness, Value},
    prelude::*,
};

use super::FileSource;

const MS: i64 = 1_000_000;
const SOUND: u64 = 1;
const PICTURES: u64 = 2;

fn element(id: &[u8], content: &[u8]) -> Vec<u8> {
    let mut size = (content.len() as u64).to_be_bytes();
    size[0] = 1;
    [id, &size, content].concat()
}

/// A file with one track, of this entry's elements, and these blocks behind their numbers of tracks.
fn file(entry: &[Vec<u8>], blocks: &[Vec<u8>]) -> Vec<u8> {
    let entry = [element(&[0xd7], &[1]), entry.concat()].concat();
    let tracks = element(&[0x16, 0x54, 0xae, 0x6b], &element(&[0xae], &entry));
    let block = |block: &Vec<u8>| element(&[0xa3], &[&[0x81][..], block].concat());
    let blocks: Vec<u8> = blocks.iter().flat_map(block).collect();
    let cluster = [element(&[0xe7], &[0]), blocks].concat();
    let cluster = element(&[0x1f, 0x43, 0xb6, 0x75], &cluster);
    let segment = element(&[0x18, 0x53, 0x80, 0x67], &[tracks, cluster].concat());
    [element(&[0x1a, 0x45, 0xdf, 0xa3], &[]), segment].concat()
}

fn sound(codec: &str, rate: f64, bits: u8) -> Vec<Vec<u8>> {
    let audio = [
        element(&[0xb5], &rate.to_be_bytes()),
        element(&[0x62, 0x64], &[bits]),
    ];
    vec![
        element(&[0x83], &[2]),
        element(&[0x86], codec.as_bytes()),
        element(&[0xe1], &audio.concat()),
    ]
}

/// A block's time, its marks, and what it holds.
fn block(ms: u16, marks: u8, content: &[u8]) -> Vec<u8> {
    [&ms.to_be_bytes()[..], &[marks], content].concat()
}

fn play(bytes: &[u8], ports: u64, start: f64) -> Result<Vec<Frame>> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(bytes)?;
    // A param's text is static; a test's few are left to the process.
    let path: &'static str = file.path().to_string_lossy().into_owned().leak();
    let params = [
        ("path", Value::Text(path)),
        ("pace", Value::Text("fast")),
        ("start", Value::Float(start)),
    ];
    let mut node = Harness::<FileSource>::with_linked_ports(&params, ports)?;
    let mut out = vec![];
    loop {
        let ticked = node.tick(0)?;
        if ticked.is_empty() {
            return Ok(out);
        }
        out.extend(ticked.into_iter().map(|(_, frame)| frame));
    }
}

#[test]
fn laced_packets_follow_each_other() -> Result {
    // Four packets of 20 ms in a block, of one length, and of two lengths.
    let equal = [3, 0xfc, 1, 0xfc, 2, 0xfc, 3, 0xfc, 4];
    let unequal = [3, 3, 2, 2, 0xfc, 1, 1, 0xfc, 2, 0xfc, 3, 0xfc, 4];
    let bytes = file(
        &sound("A_OPUS", 48_000.0, 16),
        &[block(0, 0x84, &equal), block(80, 0x82, &unequal)],
    );
    let out = play(&bytes, SOUND, 0.0)?;
    let times: Vec<i64> = out.iter().map(|f| f.pts() / MS).collect();
    assert_eq!(times, (0..8).map(|n| n * 20).collect::<Vec<i64>>());
    assert!(out.iter().all(|f| f.duration_us() == 20_000));
    // MPEG-2 has 576 samples in a frame.
    let bytes = file(
        &sound("A_MPEG/L3", 24_000.0, 0),
        &[block(0, 0x84, &[1, 7, 7]), block(48, 0x80, &[7])],
    );
    let out = play(&bytes, SOUND, 0.0)?;
    let times: Vec<i64> = out.iter().map(|f| f.pts() / MS).collect();
    assert_eq!(times, [0, 24, 48]);
    assert!(out.iter().all(|f| f.duration_us() == 24_000));
    Ok(())
}

#[test]
fn opus_begins_and_ends_within_packets() -> Result {
    let mut entry = sound("A_OPUS", 48_000.0, 16);
    // 26.5 ms prime the decoder.
    entry.push(element(&[0x56, 0xaa], &26_500_000_u32.to_be_bytes()));
    let mut bytes = file(&entry, &[0, 20, 40].map(|ms| block(ms, 0x80, &[0xfc, 1])));
    // A group whose last 5 ms are no sound.
    let last = element(&[0xa1], &[0x81, 0, 60, 0, 0xfc, 2]);
    let padding = element(&[0x75, 0xa2], &5_000_000_u32.to_be_bytes());
    let group = element(&[0xa0], &[last, padding].concat());
    bytes.extend(element(
        &[0x1f, 0x43, 0xb6, 0x75],
        &[element(&[0xe7], &[0]), group].concat(),
    ));
    // The segment ends with the file.
    let segment = bytes.windows(4).position(|w| w == [0x18, 0x53, 0x80, 0x67]);
    let size = segment.expect("it is there") + 4;
    let length = (bytes.len() - size - 8) as u64;
    bytes[size + 1..size + 8].copy_from_slice(&length.to_be_bytes()[1..]);
    let out = play(&bytes, SOUND, 0.0)?;
    let told: Vec<_> = out
        .iter()
        .map(|f| (f.pts() / 1000, f.duration_us()))
        .collect();
    assert_eq!(told, [(-6_500, 20_000), (13_500, 20_000), (33_500, 15_000)]);
    Ok(())
}

#[test]
fn samples_are_cut_into_blocks_of_20_ms() -> Result {
    let samples: Vec<u8> = (0..4096_u32).map(|n| (n % 251) as u8).collect();
    let bytes = file(
        &sound("A_PCM/INT/LIT", 8_000.0, 8),
        &[block(0, 0x80, &samples), block(512, 0x80, &samples[..100])],
    );
    let out = play(&bytes, SOUND, 0.0)?;
    // 25 whole ones, one that is shorter, and the second block.
    assert_eq!(out.len(), 27);
    for (n, block) in (0..).zip(&out[..25]) {
        assert_eq!((block.pts(), block.duration_us()), (n * 20 * MS, 20_000));
        assert_eq!(block.payload().len(), 160 * 4);
    }
    assert_eq!((out[25].pts(), out[25].payload().len()), (500 * MS, 96 * 4));
    assert_eq!(out[26].pts(), 512 * MS);
    Ok(())
}

#[test]
fn playing_begins_at_a_picture_that_every_decoder_can_begin_with() -> Result {
    // Lengths of 4 bytes, no parameter sets.
    let avcc = [1, 0x42, 0xc0, 0x15, 0xff, 0xe0, 0];
    let entry = [
        element(&[0x83], &[1]),
        element(&[0x86], b"V_MPEG4/ISO/AVC"),
        element(&[0x63, 0xa2], &avcc),
        element(
            &[0xe0],
            &[element(&[0xb0], &[16]), element(&[0xba], &[16])].concat(),
        ),
    ];
    let unit = |nal: u8| [0, 0, 0, 2, 0x06, 1, 0, 0, 0, 2, nal, 7];
    let bytes = file(
        &entry,
        &[
            block(0, 0x80, &unit(0x65)),
            block(40, 0, &unit(0x41)),
            block(80, 0x80, &unit(0x65)),
            block(120, 0, &unit(0x41)),
            // A recovery point.
            block(160, 0x80, &unit(0x61)),
            block(200, 0, &unit(0x41)),
        ],
    );
    for (start, left) in [(0.0, 6), (0.05, 6), (0.1, 4), (0.17, 4), (9.0, 4)] {
        let out = play(&bytes, PICTURES, start)?;
        assert_eq!((out.len(), out[0].pts()), (left, 0), "from {start}");
    }
    Ok(())
}
