//! Whole streams.

use super::*;

#[test]
fn pictures_are_those_of_other_decoders_to_the_bit_each_in_its_call() -> Result {
    for sample in [&MOVING, &ODD, &GRAY] {
        let mut node = Harness::<Av1Decoder>::new(&[])?;
        decodes(&mut node, sample)?;
        let bytes = i420_bytes(sample.size.0, sample.size.1)? * sample.units;
        assert_eq!(node.bytes_copied(), bytes as u64, "each picture once");
        assert_eq!(node.dropped(), 0);
        assert!(node.take_raised().is_empty());
    }
    Ok(())
}

#[test]
fn size_and_colours_may_change_at_a_keyframe() -> Result {
    let mut node = Harness::<Av1Decoder>::new(&[])?;
    for sample in [&MOVING, &ODD, &GRAY, &ODD, &MOVING] {
        decodes(&mut node, sample)?;
    }
    assert_eq!(node.dropped(), 0);
    Ok(())
}

#[test]
fn a_stream_that_begins_in_the_middle_asks_for_a_keyframe_until_one_comes() -> Result {
    let mut node = Harness::<Av1Decoder>::new(&[])?;
    let units = units(ODD.file);
    assert!(push(&mut node, 1, units[1])?.is_empty());
    let raised = node.take_raised();
    assert_eq!(raised, [(0, of_kind(event::kind::KEYFRAME_REQUEST, 1))]);
    assert!(push(&mut node, 2, units[2])?.is_empty());
    assert_eq!(node.take_raised().len(), 0, "not with every unit");
    node.tick(600_000_000)?;
    assert!(push(&mut node, 3, units[3])?.is_empty());
    assert_eq!(node.take_raised().len(), 1, "again after a while");
    node.tick(0)?;
    let out = push(&mut node, 4, units[4])?;
    assert!(out[0].1.has(flags::DISCONTINUITY), "something was missing");
    assert!(!push(&mut node, 5, units[5])?[0].1.has(flags::DISCONTINUITY));
    assert_eq!(node.dropped(), 3);
    Ok(())
}

#[test]
fn a_unit_behind_a_hole_waits_for_a_keyframe() -> Result {
    let mut node = Harness::<Av1Decoder>::new(&[])?;
    let units = units(ODD.file);
    assert_eq!(push(&mut node, 0, units[0])?.len(), 1);
    let behind = coded(&node, 2, units[2]).with_flags(flags::DISCONTINUITY);
    assert!(node.push(0, vec![behind])?.is_empty());
    assert_eq!(node.take_raised().len(), 1);
    assert!(push(&mut node, 3, units[3])?.is_empty());
    assert!(push(&mut node, 4, units[4])?[0].1.has(flags::DISCONTINUITY));
    assert_eq!(node.dropped(), 2);
    node.event(0, of_kind(event::kind::FLUSH, event::ALL_STREAMS))?;
    assert!(
        push(&mut node, 5, units[5])?.is_empty(),
        "a flush is a hole"
    );
    Ok(())
}

#[test]
fn metadata_and_padding_are_left_out_before_the_library_sees_them() -> Result {
    let mut node = Harness::<Av1Decoder>::new(&[])?;
    // Metadata of ITU-T T.35 without anything in it, and padding.
    let others: [&[u8]; 3] = [&[0x2a, 1, 4], &[0x2a, 3, 4, 0, 0], &[0x7a, 2, 0, 0]];
    for (n, unit) in (0..).zip(units(ODD.file)) {
        let mixed = [others[0], unit, others[1], others[2]].concat();
        assert_eq!(push(&mut node, n, &mixed)?.len(), 1);
    }
    assert_eq!(node.dropped(), 0);
    let pictures = i420_bytes(ODD.size.0, ODD.size.1)? * ODD.units;
    let coded: usize = units(ODD.file).iter().map(|unit| unit.len()).sum();
    assert_eq!(node.bytes_copied(), (pictures + coded) as u64);
    assert!(push(&mut node, 9, others[0])?.is_empty());
    assert_eq!(node.dropped(), 1);
    Ok(())
}

#[test]
fn streams_that_are_not_of_the_main_profile_at_8_bits_are_dropped_with_the_reason() -> Result {
    for (file, says) in [
        (&include_bytes!("../../tests/ten.ivf")[..], "10 bits"),
        (include_bytes!("../../tests/444.ivf"), "profile 1"),
    ] {
        let mut node = Harness::<Av1Decoder>::new(&[])?;
        let units = units(file);
        for (n, unit) in (0..).zip(&units) {
            assert!(push(&mut node, n, unit)?.is_empty());
        }
        assert_eq!(node.dropped(), units.len() as u64);
        let header = obu::look(units[0]).map(|unit| unit.sequence);
        let header = header.ok().flatten().expect("it begins with one");
        let why = crate::sequence::read(header)
            .expect_err("it is unfit")
            .to_string();
        assert!(why.contains(says), "{why}");
        decodes(&mut node, &ODD)?;
    }
    Ok(())
}

#[test]
fn requests_for_a_keyframe_end_here_and_other_formats_are_refused_with_a_remedy() -> Result {
    let mut node = Harness::<Av1Decoder>::new(&[])?;
    assert!(node.event(1, of_kind(event::kind::KEYFRAME_REQUEST, 1))?);
    assert!(!node.event(1, of_kind(event::kind::BITRATE, 1))?);
    let vp9 = node.format_id(&Format::video("vp9", 64, 48));
    let frame = Frame::from_bytes(Kind::Video, vec![0; 9].into()).with_format_id(vp9);
    let refused = node.push(0, vec![frame]).err().map(|e| e.to_string());
    assert!(
        refused.is_some_and(|e| e.contains("video/vp9 64x48") && e.contains("put the decoder"))
    );
    Ok(())
}
