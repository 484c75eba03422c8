use std::{fs, io::Write, ops::Range};

use levada_plugin::{
    harness::{Harness, Value},
    prelude::*,
};
use proptest::prelude::*;

use super::{AUDIO, FileSource, VIDEO};

const CLIP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/sample.mp4");
/// With pictures that are shown in another order than they are decoded in, and Opus.
const REORDERED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reordered.mp4");
/// Ten pictures and their sound in fragments of 200 ms, as ffmpeg wrote it.
const FRAGMENTED: &[u8] = include_bytes!("../../tests/fragmented.mp4");
const MS: i64 = 1_000_000;

/// How long so many AAC packets of the clip last: 1024 samples each at 48 kHz.
fn aac_ns(packets: i64) -> i64 {
    packets * 1024 * 1_000_000_000 / 48_000
}

fn open(path: &str, more: &[(&str, Value)]) -> Result<Harness<FileSource>> {
    // A param's text is static; a test's few are left to the process.
    let path: &'static str = path.to_owned().leak();
    let mut params = vec![("path", Value::Text(path))];
    params.extend(more);
    Harness::new(&params)
}

/// Plays up to `most` units as fast as it goes.
fn play(node: &mut Harness<FileSource>, most: usize) -> Result<Vec<(usize, Frame)>> {
    let mut out = vec![];
    while out.len() < most {
        let ticked = node.tick(0)?;
        if ticked.is_empty() {
            break;
        }
        out.extend(ticked);
    }
    Ok(out)
}

fn fast(path: &str, more: &[(&str, Value)], most: usize) -> Result<Vec<(usize, Frame)>> {
    let mut params = vec![("pace", Value::Text("fast"))];
    params.extend(more);
    play(&mut open(path, &params)?, most)
}

fn of(port: usize, out: &[(usize, Frame)]) -> Vec<Frame> {
    out.iter()
        .filter(|(p, _)| *p == port)
        .map(|(_, f)| f.clone())
        .collect()
}

/// Types of the NAL units of an Annex B access unit.
fn nal_types(unit: &[u8]) -> Vec<u8> {
    let starts = unit.windows(5).filter(|w| w[..4] == [0, 0, 0, 1]);
    starts.map(|w| w[4] & 0x1f).collect()
}

#[test]
fn a_clip_becomes_annex_b_and_aac_with_its_configuration() -> Result {
    let mut node = open(CLIP, &[("pace", Value::Text("fast"))])?;
    let out = play(&mut node, usize::MAX)?;
    let (audio, video) = (of(AUDIO, &out), of(VIDEO, &out));
    assert_eq!(video.len(), 120);
    for (n, unit) in (0..).zip(&video) {
        assert_eq!(unit.pts(), n * 1_000_000_000 / 30);
        assert_eq!((unit.duration_us(), unit.dts_delta_us()), (33_333, 0));
        let key = n % 60 == 0;
        assert_eq!(unit.has(flags::KEYFRAME), key);
        assert_eq!(unit.has(flags::INTER), !key);
        let types = nal_types(unit.payload());
        assert_eq!(types.starts_with(&[7, 8]), key, "picture {n}: {types:?}");
        assert_eq!(types.last(), Some(&if key { 5 } else { 1 }));
    }
    let h264 =
        Format::video("h264", 320, 180).with_config("packetization-mode=1;profile-level-id=42c015");
    assert_eq!(video[0].format_id(), node.format_id(&h264));
    // The packet that only primes the decoder is before the edit, and left out.
    assert_eq!(audio.len(), 188);
    for (n, packet) in (0..).zip(&audio) {
        assert_eq!(packet.pts(), aac_ns(n));
        assert_eq!(packet.duration_us(), 21_333);
    }
    // AAC-LC, 48 kHz, one channel, and what the encoder says of its extensions.
    let asc = Format::audio("aac", 48_000, 1).with_config([0x11, 0x88, 0x56, 0xe5, 0x00]);
    assert_eq!(audio[0].format_id(), node.format_id(&asc));
    assert_eq!(node.bytes_copied(), 0);
    // Both come in the order of decoding.
    let times: Vec<i64> = out.iter().map(|(_, f)| f.pts()).collect();
    assert!(times.is_sorted());
    Ok(())
}

#[test]
fn ten_minutes_of_a_loop_keep_sound_and_picture_together() -> Result {
    let out = fast(CLIP, &[("loop", Value::Bool(true))], 308 * 150)?;
    let (audio, video) = (of(AUDIO, &out), of(VIDEO, &out));
    let length = aac_ns(188);
    assert!(length * 150 > 600_000 * MS);
    for pass in 0..150 {
        let base = pass as i64 * length;
        assert_eq!(video[pass * 120].pts(), base, "pass {pass}");
        assert_eq!(audio[pass * 188].pts(), base, "pass {pass}");
    }
    // The longer track goes on without a seam: packets never lie further apart than one lasts, to a ns.
    let steps = audio.windows(2).map(|w| w[1].pts() - w[0].pts());
    assert!(steps.clone().all(|step| (step - aac_ns(1)).abs() < 2));
    assert!(
        out.iter()
            .all(|(p, f)| *p == VIDEO || !f.has(flags::DISCONTINUITY))
    );
    // The shorter one lacks 10 ms at each seam, and says so.
    assert!(video[120].has(flags::DISCONTINUITY) && !video[0].has(flags::DISCONTINUITY));
    Ok(())
}

#[test]
fn units_come_at_the_speed_of_the_clock() -> Result {
    let mut node = open(CLIP, &[])?;
    let mut now = 0;
    let mut last = 0;
    for _ in 0..200 {
        for (_, frame) in node.tick(now)? {
            assert!(frame.pts() <= now, "{} ns too early", frame.pts() - now);
            assert!(now - frame.pts() < MS, "at the time of its own");
            last = frame.pts();
        }
        now = now.max(node.deadline().unwrap_or(now));
    }
    assert!(last > 500 * MS);
    Ok(())
}

#[test]
fn playing_begins_at_the_keyframe_before_the_start() -> Result {
    let out = fast(CLIP, &[("start", Value::Float(2.9))], usize::MAX)?;
    let (audio, video) = (of(AUDIO, &out), of(VIDEO, &out));
    assert_eq!(video.len(), 60);
    assert!(video[0].has(flags::KEYFRAME) && video[0].pts() == 0);
    assert!((0..22 * MS).contains(&audio[0].pts()), "{}", audio[0].pts());
    assert_eq!(audio.len(), 188 - 94);
    // Beyond the end there is the last keyframe.
    let out = fast(CLIP, &[("start", Value::Float(1e5))], usize::MAX)?;
    assert_eq!(of(VIDEO, &out).len(), 60);
    Ok(())
}

#[test]
fn playing_begins_at_a_picture_that_every_decoder_can_begin_with() -> Result {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("open.mp4");
    let path = path.to_str().unwrap_or_default();
    let fragmented = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fragmented.mp4");
    for (whole, key, start) in [(CLIP, 60, 2.9), (fragmented, 5, 0.3)] {
        // The second keyframe becomes one that only begins at a recovery point.
        let video = of(VIDEO, &fast(whole, &[], usize::MAX)?);
        let unit = video[key].payload();
        let idr = unit.windows(5).position(|w| w == [0, 0, 0, 1, 0x65]);
        let slice = &unit[idr.expect("it is one") + 4..];
        let mut bytes = fs::read(whole)?;
        let at = bytes.windows(slice.len()).position(|w| w == slice);
        bytes[at.expect("it is there")] = 0x61;
        fs::write(path, &bytes)?;
        let out = fast(path, &[("start", Value::Float(start))], usize::MAX)?;
        assert_eq!(of(VIDEO, &out).len(), video.len(), "{whole}");
    }
    Ok(())
}

#[test]
fn reordered_pictures_say_when_to_decode_them() -> Result {
    let out = fast(REORDERED, &[], usize::MAX)?;
    let (audio, video) = (of(AUDIO, &out), of(VIDEO, &out));
    let mut times: Vec<i64> = video.iter().map(Frame::pts).collect();
    assert!(!times.is_sorted(), "they come in the order of decoding");
    times.sort_unstable();
    let wanted: Vec<i64> = (0..25).map(|n| n * 40 * MS).collect();
    assert_eq!(times, wanted);
    let decoding: Vec<i64> = video
        .iter()
        .map(|f| f.pts() / 1000 + i64::from(f.dts_delta_us()))
        .collect();
    assert!(decoding.is_sorted());
    assert!(video.iter().all(|f| f.dts_delta_us() <= 0));
    // Opus in packets of 20 ms; what the encoder needs to start with is before the edit, within the first of them.
    assert!((1 - 20 * MS..0).contains(&audio[0].pts()));
    assert!(
        audio
            .windows(2)
            .all(|w| (w[1].pts() - w[0].pts() - 20 * MS).abs() < 2)
    );
    Ok(())
}

#[test]
fn fragments_of_others_are_played_too() -> Result {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fragmented.mp4");
    let out = fast(path, &[], usize::MAX)?;
    let (audio, video) = (of(AUDIO, &out), of(VIDEO, &out));
    let times: Vec<i64> = video.iter().map(|f| f.pts() / MS).collect();
    assert_eq!(times, (0..10).map(|n| n * 40).collect::<Vec<i64>>());
    assert_eq!(nal_types(video[0].payload())[..2], [7, 8]);
    assert!((0..22 * MS).contains(&audio[0].pts()) && audio.len() > 15);
    let later = fast(path, &[("start", Value::Float(0.3))], usize::MAX)?;
    assert_eq!(of(VIDEO, &later).len(), 5);
    let looped = fast(path, &[("loop", Value::Bool(true))], 500)?;
    assert_eq!(looped.len(), 500);
    Ok(())
}

#[test]
fn fragments_whose_data_lies_at_absolute_offsets_are_played() -> Result {
    // As ffmpeg writes them unless it is told otherwise.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/absolute.mp4");
    let fragmented = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fragmented.mp4");
    let (out, was) = (
        fast(path, &[], usize::MAX)?,
        fast(fragmented, &[], usize::MAX)?,
    );
    let (audio, video) = (of(AUDIO, &out), of(VIDEO, &out));
    assert_eq!((audio.len(), video.len()), (20, 10));
    for (is, was) in video.iter().zip(of(VIDEO, &was)) {
        assert_eq!((is.pts(), is.payload()), (was.pts(), was.payload()));
    }
    let later = fast(path, &[("start", Value::Float(0.3))], usize::MAX)?;
    assert_eq!(of(VIDEO, &later).len(), 5);
    Ok(())
}

#[test]
fn a_first_packet_that_was_stretched_stretches_no_other() -> Result {
    // The sound's table of durations says: 188 of 1024, and one that is shorter.
    let mut bytes = fs::read(CLIP)?;
    let table = [188, 1024, 1, 0_u32].map(u32::to_be_bytes).concat();
    let at = bytes.windows(12).position(|w| w == &table[..12]);
    let at = at.expect("it is there");
    let stretched = [1, 3000, 188, 1024_u32].map(u32::to_be_bytes).concat();
    bytes[at..at + 16].copy_from_slice(&stretched);
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), &bytes)?;
    let out = fast(&file.path().to_string_lossy(), &[], usize::MAX)?;
    let audio = of(AUDIO, &out);
    assert_eq!(audio.len(), 188);
    assert!(audio.iter().all(|packet| packet.duration_us() == 21_333));
    Ok(())
}

#[test]
fn samples_in_front_of_the_first_fragment_are_played_before_it() -> Result {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/begun.mp4");
    let out = fast(path, &[], usize::MAX)?;
    let (audio, video) = (of(AUDIO, &out), of(VIDEO, &out));
    let times: Vec<i64> = video.iter().map(|f| f.pts() / MS).collect();
    assert_eq!(times, (0..10).map(|n| n * 40).collect::<Vec<i64>>());
    assert_eq!(audio.len(), 20);
    assert!(out.is_sorted_by_key(|(_, f)| f.pts()));
    for (start, left) in [(0.1, 10), (0.3, 5)] {
        let later = fast(path, &[("start", Value::Float(start))], usize::MAX)?;
        assert_eq!(of(VIDEO, &later).len(), left);
    }
    let looped = fast(path, &[("loop", Value::Bool(true))], 300)?;
    assert_eq!(of(VIDEO, &looped)[95].payload(), video[5].payload());
    Ok(())
}

#[test]
fn fragments_that_are_cut_off_anywhere_are_played_up_to_there() -> Result {
    let places = {
        let mut places = vec![];
        boxes(FRAGMENTED, 0..FRAGMENTED.len(), &mut places);
        places.retain(|at| [*b"moof", *b"mdat", *b"mfra"].contains(kind(FRAGMENTED, *at)));
        places
    };
    assert_eq!(places.len(), 5);
    let mut played = vec![];
    for at in &places {
        // In a header, and behind it.
        for cut in [*at, at + 1, at + 7, at + 9] {
            played.push(survive(&FRAGMENTED[..cut])?);
        }
    }
    assert!(played.is_sorted() && played[0] == 0, "{played:?}");
    assert_eq!(played.last(), Some(&survive(FRAGMENTED)?));
    // A box that is passed over, whole and not.
    let behind = [FRAGMENTED, b"\0\0\0\x10free12345678"].concat();
    for cut in 0..16 {
        assert_eq!(
            survive(&behind[..behind.len() - cut])?,
            survive(FRAGMENTED)?
        );
    }
    Ok(())
}

#[test]
fn damage_in_a_fragment_is_told_with_its_place() {
    let at = FRAGMENTED.windows(4).rposition(|w| w == b"traf");
    let at = at.expect("there is one");
    let moof = FRAGMENTED[..at].windows(4).rposition(|w| w == b"moof");
    let mut bytes = FRAGMENTED.to_vec();
    bytes[at - 1] ^= 1;
    let told = survive(&bytes).expect_err("it is damaged").to_string();
    let place = format!(
        "at byte {}: the fragment's tables",
        moof.expect("it is there") - 4
    );
    assert!(told.contains(&place), "{told}");
}

#[test]
fn how_far_it_is_is_told_of_files_that_know_their_length() -> Result {
    let fragmented = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fragmented.mp4");
    for (path, start, length) in [
        (CLIP, 0.0, aac_ns(188)),
        // From the keyframe before.
        (CLIP, 2.9, aac_ns(188) - 2_000 * MS),
        (fragmented, 0.0, 400 * MS),
    ] {
        let start = ("start", Value::Float(start));
        let mut node = open(path, &[("pace", Value::Text("fast")), start])?;
        let (mut before, mut shares) = (0, 0);
        while !node.tick(0)?.is_empty() {
            let (done, total) = node.progress().expect("it says how far it is");
            let total = total.expect("it knows how much there is");
            assert!(done >= before && done <= total, "{path}: {done} of {total}");
            assert!((total - length).abs() < 45 * MS, "{path}: {total} ns");
            (before, shares) = (done, shares + 1);
        }
        assert!(
            shares > 10 && (before - length).abs() < 45 * MS,
            "{path}: {before}"
        );
    }
    // What begins again has no end.
    let mut node = open(
        CLIP,
        &[("pace", Value::Text("fast")), ("loop", Value::Bool(true))],
    )?;
    for _ in 0..400 {
        node.tick(0)?;
    }
    let (done, total) = node.progress().expect("it says how far it is");
    assert!(done > 5_000 * MS && total.is_none(), "{done} {total:?}");
    Ok(())
}

#[test]
fn what_cannot_be_played_is_refused_with_a_remedy() -> Result {
    let folder = tempfile::tempdir()?;
    let text = folder.path().join("notes.txt");
    fs::write(&text, "these are no moving pictures")?;
    // Opened, it would wait for a writer.
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|status| status.success()) {
        fs::create_dir(&pipe)?;
    }
    let empty = folder.path().join("empty.mp4");
    fs::write(&empty, "")?;
    for (path, says) in [
        ("nowhere.mp4", "cannot be read"),
        (
            folder.path().to_str().unwrap_or_default(),
            "no regular file",
        ),
        (pipe.to_str().unwrap_or_default(), "no regular file"),
        (text.to_str().unwrap_or_default(), "ffmpeg -i"),
        (empty.to_str().unwrap_or_default(), "is empty; record"),
    ] {
        let refused = open(path, &[]).err().map(|e| e.to_string());
        assert!(
            refused.as_ref().is_some_and(|e| e.contains(says)),
            "{refused:?}"
        );
    }
    Ok(())
}

/// Plays a file of these bytes to its end, or to where it is damaged. Panics where the node does.
fn survive(bytes: &[u8]) -> Result<usize> {
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(bytes)?;
    let path = file.path().to_str().unwrap_or_default();
    let played = fast(path, &[], 2_000).map(|out| out.len());
    if let Err(error) = &played {
        let text = error.to_string();
        assert!(!text.contains("panicked"), "{text}");
    }
    played
}

/// The places of all boxes, and of those within the ones that only hold others.
fn boxes(bytes: &[u8], range: Range<usize>, found: &mut Vec<usize>) {
    let mut at = range.start;
    while at + 8 <= range.end {
        let length = u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        found.push(at);
        let end = at + (length as usize).max(8);
        if [
            b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf",
        ]
        .contains(&bytes[at + 4..at + 8].as_array().expect("4 bytes"))
        {
            boxes(bytes, at + 8..end.min(range.end), found);
        }
        at = end;
    }
}

fn kind(bytes: &[u8], at: usize) -> &[u8; 4] {
    bytes[at + 4..].first_chunk().expect("4 bytes")
}

#[test]
fn a_file_cut_off_anywhere_says_where() -> Result {
    let whole = fs::read(CLIP)?;
    assert_eq!(survive(&whole)?, 308);
    let mut places = vec![];
    boxes(&whole, 0..whole.len(), &mut places);
    assert!(places.len() > 30, "{} boxes", places.len());
    // In the middle of headers, and in the media itself.
    let within = places.iter().flat_map(|at| [*at, at + 5, at + 9]);
    let media = (1..20).map(|n| whole.len() - n * n * 100);
    for length in within.chain(media) {
        let cut = survive(&whole[..length]).err().map(|e| e.to_string());
        let says = cut.as_ref().is_some_and(|e| {
            e.contains("at byte")
                || (length == 0 && e.contains("is empty"))
                || (length < 12 && e.contains("no file that"))
        });
        assert!(says, "cut to {length} bytes: {cut:?}");
    }
    Ok(())
}

#[test]
fn boxes_that_lie_about_their_size_are_found_out() -> Result {
    let whole = fs::read(CLIP)?;
    let mut places = vec![];
    boxes(&whole, 0..whole.len(), &mut places);
    for at in places {
        for size in [0_u32, 1, 7, 8, 0x7fff_ffff, 0xffff_ffff] {
            let mut bytes = whole.clone();
            bytes[at..at + 4].copy_from_slice(&size.to_be_bytes());
            // Some are harmless, such as a table of nothing; none may panic or ask for the memory it claims.
            let _ = survive(&bytes);
        }
    }
    Ok(())
}

#[test]
fn absurd_tables_cost_no_memory() -> Result {
    // A table of sizes that says: so many samples, all of one byte.
    let mut bytes = fs::read(CLIP)?;
    let at = bytes
        .windows(4)
        .position(|w| w == b"stsz")
        .expect("there is one");
    bytes[at + 8..at + 12].copy_from_slice(&1_u32.to_be_bytes());
    bytes[at + 12..at + 16].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(survive(&bytes).is_err_and(|e| e.to_string().contains("at byte")));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn flipped_bytes_of_fragments_end_in_an_error_or_in_what_is_left(
        flips in prop::collection::vec((any::<usize>(), any::<u8>()), 1..6),
        cut in 0_usize..9_000,
    ) {
        let mut bytes = FRAGMENTED.to_vec();
        for (at, bits) in flips {
            let at = at % bytes.len();
            bytes[at] ^= bits;
        }
        bytes.truncate(bytes.len() - cut.min(bytes.len() / 2));
        let _ = survive(&bytes);
    }

    #[test]
    fn flipped_bytes_end_in_an_error_or_in_what_is_left(
        flips in prop::collection::vec((0_usize..9_000, any::<u8>()), 1..6),
    ) {
        let mut bytes = fs::read(CLIP).expect("the clip is there");
        for (at, bits) in flips {
            bytes[at] ^= bits;
        }
        let _ = survive(&bytes);
    }
}

fn offers(path: &str, port: usize) -> Result<Option<String>> {
    let path: &'static str = path.to_owned().leak();
    Harness::<FileSource>::offers(&[("path", Value::Text(path))], port)
}

#[test]
fn a_file_says_what_each_port_will_carry() -> Result {
    let said = |path, port| offers(path, port).map(Option::unwrap_or_default);
    assert_eq!(said(CLIP, AUDIO)?, "audio/aac;rate=48000;channels=1");
    assert_eq!(said(CLIP, VIDEO)?, "video/h264;width=320;height=180");
    assert_eq!(
        said(REORDERED, VIDEO)?,
        "video/h264;width=64;height=64;reordering=2"
    );
    // Where the parameter sets do not say it, the tables do.
    let mut silent = fs::read(REORDERED)?;
    let at = silent
        .windows(4)
        .position(|w| w == b"avcC")
        .expect("it is there")
        + 4;
    let end = at + 8 + usize::from(silent[at + 7]);
    silent[end - 3..end].fill(0);
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), &silent)?;
    let path = file.path().to_string_lossy();
    assert!(said(&path, VIDEO)?.ends_with(";reordering=16"));
    let ogg = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tone.ogg");
    assert!(said(ogg, AUDIO)?.starts_with("audio/opus;rate=48000;channels="));
    let ivf = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pattern.ivf");
    assert!(said(ivf, VIDEO)?.starts_with("video/vp8;width="));
    let missing = offers(ogg, VIDEO).expect_err("no pictures").to_string();
    assert!(
        missing.ends_with(
            "tone.ogg\" has no pictures that can be played; remove the link from port \"video\", or choose another file"
        ),
        "{missing}"
    );
    Ok(())
}

/// Plays what is linked of a file of these bytes.
fn linked(bytes: &[u8], ports: u64) -> Result<usize> {
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), bytes)?;
    let path: &'static str = file.path().to_string_lossy().into_owned().leak();
    let params = [("path", Value::Text(path)), ("pace", Value::Text("fast"))];
    let mut node = Harness::<FileSource>::with_linked_ports(&params, ports)?;
    Ok(play(&mut node, usize::MAX)?.len())
}

#[test]
fn a_track_that_no_link_wants_does_not_make_a_file_fail() -> Result {
    let patched = |was: &[u8], to: &[u8]| -> Result<Vec<u8>> {
        let mut bytes = fs::read(CLIP)?;
        let at = bytes.windows(was.len()).rposition(|w| w == was);
        let at = at.expect("it is there");
        bytes[at..at + to.len()].copy_from_slice(to);
        Ok(bytes)
    };
    // A description that lacks what it has to hold, and a table of durations that lists one sample too many.
    let durations = [188, 1024, 1_u32].map(u32::to_be_bytes).concat();
    for (bytes, says) in [
        (patched(b"esds", b"esdx")?, "is not understood"),
        (patched(&durations, &[0, 0, 0, 189])?, "in the movie box"),
    ] {
        assert_eq!(linked(&bytes, 1 << VIDEO)?, 120);
        let told = linked(&bytes, 1 << AUDIO).map_err(|e| e.to_string());
        assert!(told.as_ref().is_err_and(|e| e.contains(says)), "{told:?}");
    }
    Ok(())
}

#[test]
fn the_rate_and_channels_of_aac_are_those_of_its_configuration() -> Result {
    // 96 kHz do not fit into the box, and its two channels mean nothing.
    let mut bytes = fs::read(CLIP)?;
    let at = bytes.windows(4).position(|w| w == b"mp4a");
    let at = at.expect("it is there");
    bytes[at + 20..at + 22].copy_from_slice(&[0, 2]);
    bytes[at + 28..at + 32].fill(0);
    let config = bytes.windows(3).position(|w| w == [0x11, 0x88, 0x56]);
    let config = config.expect("it is there");
    bytes[config..config + 2].copy_from_slice(&[0x10, 0x08]);
    let file = tempfile::NamedTempFile::new()?;
    fs::write(file.path(), &bytes)?;
    let said = offers(&file.path().to_string_lossy(), AUDIO)?;
    assert_eq!(said.as_deref(), Some("audio/aac;rate=96000;channels=1"));
    Ok(())
}
