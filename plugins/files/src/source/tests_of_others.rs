//! WAVE, Ogg, IVF and Y4M. What tests of MP4 need as well is in `tests.rs`.

use std::io::Write;

use levada_plugin::{
    as_f32,
    harness::{Harness, Value},
    prelude::*,
};
use proptest::prelude::*;

use super::FileSource;

const MS: i64 = 1_000_000;
/// A second of a tone in Ogg, as ffmpeg wrote it.
const OGG: &[u8] = include_bytes!("../../tests/tone.ogg");
/// Ten pictures of 64x64 in VP8 at 25 a second, with keyframes at 0 and 5.
const IVF: &[u8] = include_bytes!("../../tests/pattern.ivf");

/// Plays a file of these bytes to its end.
fn play(bytes: &[u8], more: &[(&str, Value)]) -> Result<(Harness<FileSource>, Vec<Frame>)> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(bytes)?;
    // A param's text is static; a test's few are left to the process.
    let path: &'static str = file.path().to_string_lossy().into_owned().leak();
    let mut params = vec![("path", Value::Text(path)), ("pace", Value::Text("fast"))];
    params.extend(more);
    // Only one of the ports has a track, so the other one may not be linked.
    let mut node = Harness::<FileSource>::with_linked_ports(&params, ports_of(bytes))?;
    let mut out = vec![];
    while out.len() < 2_000 {
        let ticked = node.tick(0)?;
        if ticked.is_empty() {
            break;
        }
        out.extend(ticked.into_iter().map(|(_, frame)| frame));
    }
    Ok((node, out))
}

fn ports_of(bytes: &[u8]) -> u64 {
    let is_sound = bytes.starts_with(b"RIFF") || bytes.starts_with(b"OggS");
    // All others that are played here hold pictures.
    if is_sound { 1 } else { 2 }
}

/// A WAVE file of so many samples of each channel, all of these bytes.
fn wav(kind: u16, bits: u16, channels: u16, count: usize, sample: &[u8]) -> Vec<u8> {
    let data = sample.repeat(count * usize::from(channels));
    let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
    let frame = channels * bits / 8;
    for short in [kind, channels] {
        file.extend(short.to_le_bytes());
    }
    file.extend(8_000_u32.to_le_bytes());
    file.extend((8_000 * u32::from(frame)).to_le_bytes());
    for short in [frame, bits] {
        file.extend(short.to_le_bytes());
    }
    // A chunk of odd length that nobody knows.
    file.extend(b"LIST\x03\0\0\0abc\0data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

fn y4m(pictures: u8) -> Vec<u8> {
    let mut file = b"YUV4MPEG2 W5 H3 F30000:1001 Ip A1:1 C420jpeg\n".to_vec();
    for n in 0..pictures {
        file.extend(b"FRAME\n");
        file.extend([n; 15 + 2 * 6]);
    }
    file
}

#[test]
fn wave_samples_of_every_kind_become_f32() -> Result {
    let half = 0.5_f64;
    for (kind, bits, sample) in [
        (1, 8, vec![192]),
        (1, 16, 16_384_i16.to_le_bytes().to_vec()),
        (1, 24, vec![0, 0, 64]),
        (1, 32, (1_i32 << 30).to_le_bytes().to_vec()),
        (3, 32, (half as f32).to_le_bytes().to_vec()),
        (3, 64, half.to_le_bytes().to_vec()),
    ] {
        let (node, out) = play(&wav(kind, bits, 2, 1_000, &sample), &[])?;
        // 20 ms each, and the rest.
        assert_eq!(out.len(), 7, "kind {kind}, {bits} bits");
        let heard: Vec<f32> = out
            .iter()
            .flat_map(|f| as_f32(f.payload()).expect("aligned").to_vec())
            .collect();
        assert_eq!(heard, vec![0.5; 2_000], "kind {kind}, {bits} bits");
        for (n, block) in (0..).zip(&out) {
            assert_eq!(block.pts(), n * 20 * MS);
        }
        assert_eq!(
            out[0].format_id(),
            node.format_id(&Format::audio("f32", 8_000, 2))
        );
    }
    Ok(())
}

#[test]
fn wave_begins_at_the_very_sample() -> Result {
    let file = wav(1, 16, 1, 8_000, &[0, 64]);
    let (_, out) = play(&file, &[("start", Value::Float(0.75))])?;
    let count: usize = out.iter().map(|f| f.payload().len() / 4).sum();
    assert_eq!((out[0].pts(), count), (0, 2_000));
    Ok(())
}

#[test]
fn opus_in_ogg_begins_behind_its_pre_skip_and_follows_without_a_hole() -> Result {
    let (node, out) = play(OGG, &[])?;
    let opus = Format::audio("opus", 48_000, 1);
    assert!(out.iter().all(|f| f.format_id() == node.format_id(&opus)));
    // The first packet reaches across it.
    let reach = out[0].pts() + i64::from(out[0].duration_us()) * 1000;
    assert!(out[0].pts() < 0 && reach > 0, "{}", out[0].pts());
    for pair in out.windows(2) {
        let end = pair[0].pts() + i64::from(pair[0].duration_us()) * 1000;
        assert!((pair[1].pts() - end).abs() < 2);
    }
    let last = out.last().expect("there is one");
    // And the last one ends where the sound does, in the midst of it.
    let end = last.pts() + i64::from(last.duration_us()) * 1000;
    assert!((end - 1_000 * MS).abs() < 1_000, "{end}");
    assert!(last.duration_us() < 20_000);
    let (_, later) = play(OGG, &[("start", Value::Float(0.5))])?;
    assert!((-20 * MS..=0).contains(&later[0].pts()) && later.len() < out.len() * 6 / 10);
    Ok(())
}

#[test]
fn recordings_in_ogg_that_were_joined_are_played_one_after_the_other() -> Result {
    let (_, one) = play(OGG, &[])?;
    // The second one is of the same number, or of another.
    let mut other = OGG.to_vec();
    let pages = OGG.windows(5).enumerate().filter(|(_, w)| *w == b"OggS\0");
    let mut pages: Vec<usize> = pages.map(|(at, _)| at).collect();
    pages.push(OGG.len());
    for page in pages.windows(2) {
        let page = &mut other[page[0]..page[1]];
        page[14] ^= 1;
        page[22..26].fill(0);
        let sum = crate::ogg::crc(page);
        page[22..26].copy_from_slice(&sum.to_le_bytes());
    }
    for second in [OGG, &other] {
        let (_, out) = play(&[OGG, second].concat(), &[])?;
        assert_eq!(out.len(), 2 * one.len());
        let (first, later) = out.split_at(one.len());
        for (n, (is, was)) in later.iter().zip(&one).enumerate() {
            assert_eq!(is.payload(), was.payload());
            let last = &first[one.len() - 1];
            let end = last.pts() + i64::from(last.duration_us()) * 1000;
            let off = is.pts() - end - was.pts();
            assert!(off.abs() < 1_000, "packet {n}: {off} ns");
        }
        let half = Value::Float(1.5);
        let (_, late) = play(&[OGG, second].concat(), &[("start", half)])?;
        assert!((20..30).contains(&late.len()), "{}", late.len());
    }
    Ok(())
}

#[test]
fn ivf_gives_pictures_at_their_times_and_begins_at_keyframes() -> Result {
    let (node, out) = play(IVF, &[])?;
    assert_eq!(out.len(), 10);
    for (n, picture) in (0..).zip(&out) {
        assert_eq!(
            (picture.pts(), picture.duration_us()),
            (n * 40 * MS, 40_000)
        );
        assert_eq!(picture.has(flags::KEYFRAME), n % 5 == 0);
    }
    assert_eq!(
        out[0].format_id(),
        node.format_id(&Format::video("vp8", 64, 64))
    );
    let (_, later) = play(IVF, &[("start", Value::Float(0.3))])?;
    assert_eq!((later.len(), later[0].pts()), (5, 0));
    assert!(later[0].has(flags::KEYFRAME));
    Ok(())
}

/// Pictures of a byte each, but where there are no bytes, in VP8 with times in ms.
fn ivf(pictures: &[(u64, &[u8])]) -> Vec<u8> {
    let mut file = IVF[..32].to_vec();
    file[16..24].copy_from_slice(&[0xe8, 3, 0, 0, 1, 0, 0, 0]);
    for (ms, picture) in pictures {
        file.extend((picture.len() as u32).to_le_bytes());
        file.extend(ms.to_le_bytes());
        file.extend(*picture);
    }
    file
}

#[test]
fn the_last_picture_of_ivf_lasts_as_long_as_the_one_before() -> Result {
    let file = ivf(&[(0, &[0]), (40, &[1]), (80, &[1])]);
    let (_, out) = play(&file, &[("loop", Value::Bool(true))])?;
    assert!(out.iter().all(|picture| picture.duration_us() == 40_000));
    for (n, picture) in (0..).zip(&out) {
        assert_eq!(picture.pts(), n * 40 * MS);
    }
    Ok(())
}

#[test]
fn pictures_that_were_left_out_of_ivf_are_no_keyframes() -> Result {
    let file = ivf(&[(0, &[0]), (40, &[]), (80, &[1]), (120, &[])]);
    let (_, out) = play(&file, &[])?;
    let told: Vec<_> = out
        .iter()
        .map(|f| (f.pts() / MS, f.duration_us() / 1000, f.has(flags::KEYFRAME)))
        .collect();
    assert_eq!(told, [(0, 80, true), (80, 80, false)]);
    Ok(())
}

#[test]
fn y4m_gives_pictures_of_odd_sizes_too() -> Result {
    let (node, out) = play(&y4m(9), &[])?;
    assert_eq!(out.len(), 9);
    for (n, picture) in (0_u8..).zip(&out) {
        assert_eq!(picture.payload(), [n; 27]);
        assert_eq!(picture.pts(), i64::from(n) * 1_001_000_000_000 / 30_000);
    }
    assert_eq!(
        out[0].format_id(),
        node.format_id(&Format::video("i420", 5, 3))
    );
    assert_eq!(node.bytes_copied(), 0);
    let (_, later) = play(&y4m(9), &[("start", Value::Float(0.2))])?;
    assert_eq!((later[0].payload()[0], later[0].pts()), (5, 0));
    Ok(())
}

/// The pictures of an MP4 as a stream of bytes, and as they are.
fn annex_b(path: &str) -> Result<(Vec<u8>, Vec<Frame>)> {
    let path: &'static str = path.to_owned().leak();
    let params = [("path", Value::Text(path)), ("pace", Value::Text("fast"))];
    let mut node = Harness::<FileSource>::with_linked_ports(&params, 2)?;
    let mut out = vec![];
    loop {
        let ticked = node.tick(0)?;
        if ticked.is_empty() {
            break;
        }
        out.extend(ticked.into_iter().map(|(_, frame)| frame));
    }
    let bytes = out.iter().flat_map(|f| f.payload().to_vec()).collect();
    Ok((bytes, out))
}

#[test]
fn raw_h264_is_cut_into_pictures_and_gets_the_times_that_it_had() -> Result {
    for path in [
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/sample.mp4"),
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reordered.mp4"),
    ] {
        let (bytes, was) = annex_b(path)?;
        let (node, is) = play(&bytes, &[])?;
        assert_eq!(is.len(), was.len());
        let format = node.format(is[0].format_id()).unwrap_or_default();
        assert_eq!(format.encoding, "h264");
        assert!(String::from_utf8_lossy(&format.config).contains("profile-level-id="));
        let shift = was[0].pts() - is[0].pts();
        for (was, is) in was.iter().zip(&is) {
            assert_eq!(is.payload(), was.payload());
            assert_eq!(is.has(flags::KEYFRAME), was.has(flags::KEYFRAME));
            let off = was.pts() - is.pts() - shift;
            assert!(off.abs() < MS, "{path}: {off} ns");
            assert!(is.dts_delta_us() <= 0);
        }
        let dts: Vec<i64> = is
            .iter()
            .map(|f| f.pts() + i64::from(f.dts_delta_us()) * 1000)
            .collect();
        assert!(dts.is_sorted());
    }
    Ok(())
}

#[test]
fn raw_h264_begins_at_keyframes_and_is_as_fast_as_it_is_told() -> Result {
    let (bytes, _) = annex_b(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../examples/sample.mp4"
    ))?;
    let (_, later) = play(&bytes, &[("start", Value::Float(2.9))])?;
    assert_eq!((later.len(), later[0].pts()), (60, 0));
    assert!(later[0].has(flags::KEYFRAME));
    let (_, slow) = play(&bytes, &[("fps", Value::Float(10.0))])?;
    assert_eq!((slow[1].pts(), slow[1].duration_us()), (100 * MS, 100_000));
    Ok(())
}

#[test]
fn loops_of_each_kind_have_no_seam() -> Result {
    for (file, length) in [
        (wav(1, 16, 1, 800, &[0, 1]), 100 * MS),
        (IVF.to_vec(), 400 * MS),
        (y4m(3), 3 * 1_001_000_000_000 / 30_000),
    ] {
        let (_, out) = play(&file, &[("loop", Value::Bool(true))])?;
        assert_eq!(out.len(), 2_000);
        assert!(out.iter().all(|f| !f.has(flags::DISCONTINUITY)));
        let passes = out.iter().filter(|f| f.pts() % length == 0).count();
        assert!(passes > 100, "{passes}");
        assert!(out.is_sorted_by_key(Frame::pts));
    }
    Ok(())
}

#[test]
fn what_cannot_be_played_is_refused_with_its_place() {
    let absurd = b"YUV4MPEG2 W16385 H16384 F25:1 C420\nFRAME\n".to_vec();
    let large = b"YUV4MPEG2 W16384 H16384 F25:1 C420\nFRAME\nxyz".to_vec();
    let mut damaged = OGG.to_vec();
    damaged[200] ^= 1;
    for (file, says) in [
        (absurd, "16384 pixels"),
        (large, "402653184 bytes, but the file ends"),
        (b"YUV4MPEG2 W16 H16 F25:1 C444\n".to_vec(), "only 420"),
        (wav(2, 4, 1, 10, &[0]), "kind 2"),
        (damaged, "checksum"),
        (IVF[..IVF.len() - 1].to_vec(), "cut off"),
    ] {
        let refused = play(&file, &[]).err().map(|e| e.to_string());
        let is_right = refused
            .as_ref()
            .is_some_and(|e| e.contains(says) && e.contains("at byte"));
        assert!(is_right, "{refused:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_files_end_in_an_error_or_in_what_is_left(
        which in 0_usize..4,
        cut in 0_usize..5_000,
        flips in prop::collection::vec((any::<usize>(), any::<u8>()), 0..5),
    ) {
        let mut file = match which {
            0 => wav(1, 16, 2, 500, &[0, 64]),
            1 => OGG.to_vec(),
            2 => IVF.to_vec(),
            _ => y4m(5),
        };
        for (at, bits) in flips {
            let at = at % file.len().min(200);
            file[at] ^= bits;
        }
        file.truncate(file.len().saturating_sub(cut % file.len()).max(12));
        if let Err(error) = play(&file, &[]) {
            prop_assert!(!error.to_string().contains("panicked"), "{}", error);
        }
    }
}
