//! Whole streams.

use levada_plugin::picture::i420_bytes;

use super::*;

#[test]
fn pictures_are_those_of_other_decoders_to_the_bit() -> Result {
    for sample in [&MOVING].into_iter().chain(&ODD) {
        let mut node = Harness::<Vp8Decoder>::new(&[])?;
        let format = node.format_id(&Format::video("i420", sample.size.0, sample.size.1));
        let (mut hash, mut count) = (FNV, 0);
        for (n, unit) in (0..).zip(sample.units()) {
            for (port, picture) in push(&mut node, n, unit)? {
                assert_eq!((port, picture.format_id()), (1, format));
                assert_eq!(
                    (picture.pts(), picture.duration_us()),
                    (n * FRAME_NS, 40_000)
                );
                assert_eq!(picture.stream(), 1);
                assert!(picture.has(flags::KEYFRAME) && !picture.has(flags::DISCONTINUITY));
                hash = fnv(hash, picture.payload());
                count += 1;
            }
        }
        assert_eq!((count, hash), (sample.pictures, sample.hash));
        let bytes = i420_bytes(sample.size.0, sample.size.1)? * count;
        assert_eq!(node.bytes_copied(), bytes as u64, "each picture once");
        assert_eq!(node.dropped(), 0);
        assert!(node.take_raised().is_empty());
    }
    Ok(())
}

#[test]
fn pictures_state_the_colours_that_their_stream_came_with_from_frame_to_frame() -> Result {
    let mut node = Harness::<Vp8Decoder>::new(&[])?;
    let colours = "range=full;primaries=bt709;transfer=srgb;matrix=bt709";
    let course = [
        ("max-fs=3600;range=full", "range=full"),
        (colours, colours),
        ("", ""),
    ];
    // The second frame is not to be shown.
    let units = MOVING.units();
    for ((stated, wanted), (n, unit)) in course.into_iter().zip([(0, 0), (2, 2), (3, 3)]) {
        if n == 2 {
            push(&mut node, 1, units[1])?;
        }
        let format = Format::video("vp8", 176, 144).with_config(stated);
        let frame = coded(&node, n, units[unit]).with_format_id(node.format_id(&format));
        let out = node.push(0, vec![frame])?;
        let format = node.format(out[0].1.format_id()).unwrap_or_default();
        assert_eq!(format, Format::video("i420", 176, 144).with_config(wanted));
    }
    assert_eq!(node.dropped(), 0);
    Ok(())
}

#[test]
fn frames_that_are_not_to_be_shown_give_no_picture_and_count_as_nothing_lost() -> Result {
    let units = MOVING.units();
    let hidden = units.iter().filter(|unit| unit[0] & 0x10 == 0).count();
    assert_eq!((units.len(), hidden), (42, 2));
    Ok(())
}

#[test]
fn a_stream_that_begins_in_the_middle_asks_for_a_keyframe_until_one_comes() -> Result {
    let mut node = Harness::<Vp8Decoder>::new(&[])?;
    let units = MOVING.units();
    let asks = |node: &Harness<Vp8Decoder>| node.take_raised().len();
    assert!(push(&mut node, 3, units[3])?.is_empty());
    let raised = node.take_raised();
    assert_eq!(raised, [(0, of_kind(event::kind::KEYFRAME_REQUEST, 1))]);
    assert!(push(&mut node, 4, units[4])?.is_empty());
    assert_eq!(asks(&node), 0, "not with every frame");
    node.tick(600_000_000)?;
    assert!(push(&mut node, 5, units[5])?.is_empty());
    assert_eq!(asks(&node), 1, "again after a while");
    assert_eq!(node.dropped(), 3);
    let out = push(&mut node, 6, units[0])?;
    assert!(out[0].1.has(flags::DISCONTINUITY), "something was missing");
    assert!(push(&mut node, 7, units[1])?.is_empty(), "it is hidden");
    assert!(!push(&mut node, 8, units[2])?[0].1.has(flags::DISCONTINUITY));
    node.tick(0)?;
    Ok(())
}

#[test]
fn a_frame_behind_a_hole_waits_for_a_keyframe() -> Result {
    let mut node = Harness::<Vp8Decoder>::new(&[])?;
    let units = MOVING.units();
    assert_eq!(push(&mut node, 0, units[0])?.len(), 1);
    let behind = coded(&node, 5, units[5]).with_flags(flags::DISCONTINUITY);
    assert!(node.push(0, vec![behind])?.is_empty());
    assert_eq!(node.take_raised().len(), 1);
    assert!(push(&mut node, 6, units[6])?.is_empty());
    let key = coded(&node, 21, units[21]).with_flags(flags::DISCONTINUITY);
    let out = node.push(0, vec![key])?;
    assert!(out[0].1.has(flags::DISCONTINUITY));
    assert_eq!(node.dropped(), 2);
    Ok(())
}

#[test]
fn the_size_may_change_at_a_keyframe() -> Result {
    let mut node = Harness::<Vp8Decoder>::new(&[])?;
    for sample in [&MOVING, &ODD[0], &MOVING, &ODD[2]] {
        let format = node.format_id(&Format::video("i420", sample.size.0, sample.size.1));
        let mut hash = FNV;
        for (n, unit) in (0..).zip(sample.units()) {
            for (_, picture) in push(&mut node, n, unit)? {
                assert_eq!(picture.format_id(), format);
                hash = fnv(hash, picture.payload());
            }
        }
        assert_eq!(hash, sample.hash);
    }
    assert_eq!(node.dropped(), 0);
    Ok(())
}

#[test]
fn streams_of_one_link_are_decoded_apart() -> Result {
    let mut node = Harness::<Vp8Decoder>::new(&[])?;
    let mut hashes = [FNV; 2];
    for n in 0..8 {
        for (at, sample) in (0..).zip(&ODD[..2]) {
            let unit = coded(&node, n, sample.units()[n as usize]).with_stream(at);
            for (_, picture) in node.push(0, vec![unit])? {
                assert_eq!(picture.stream(), at);
                hashes[usize::from(at)] = fnv(hashes[usize::from(at)], picture.payload());
            }
        }
    }
    assert_eq!(hashes, [ODD[0].hash, ODD[1].hash]);
    Ok(())
}

#[test]
fn a_flush_waits_for_a_keyframe_and_requests_for_one_end_here() -> Result {
    let mut node = Harness::<Vp8Decoder>::new(&[])?;
    let units = MOVING.units();
    push(&mut node, 0, units[0])?;
    node.event(0, of_kind(event::kind::FLUSH, event::ALL_STREAMS))?;
    assert!(push(&mut node, 2, units[2])?.is_empty());
    assert!(node.event(1, of_kind(event::kind::KEYFRAME_REQUEST, 1))?);
    assert!(!node.event(1, of_kind(event::kind::BITRATE, 1))?);
    Ok(())
}

#[test]
fn frames_of_another_format_are_refused_with_a_remedy() -> Result {
    let mut node = Harness::<Vp8Decoder>::new(&[])?;
    let h264 = node.format_id(&Format::video("h264", 64, 48));
    let frame = Frame::from_bytes(Kind::Video, vec![0; 9].into()).with_format_id(h264);
    let refused = node.push(0, vec![frame]).err().map(|e| e.to_string());
    assert!(
        refused.is_some_and(|e| e.contains("video/h264 64x48") && e.contains("put the decoder"))
    );
    Ok(())
}
