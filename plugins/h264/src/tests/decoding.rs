//! Where decoding begins, and in which order pictures leave.

use super::*;

/// 30 pictures of 64x48 at 25 a second by x264 (main profile, pyramid of B slices, a keyframe every 12), each
/// brighter by 7 than the one before.
pub const B_FRAMES: &[u8] = include_bytes!("../../tests/b-frames.h264");
/// The same in order: high profile, no B slices, one keyframe.
pub const IN_ORDER: &[u8] = include_bytes!("../../tests/in-order.h264");
const STEP_NS: i64 = 40_000_000;

/// Cuts a stream into access units; each slice ends one, because pictures have one slice.
pub fn units(stream: &[u8]) -> Vec<&[u8]> {
    let heads = stream
        .windows(4)
        .enumerate()
        .filter(|(_, w)| w[..3] == [0, 0, 1]);
    let heads: Vec<(usize, u8)> = heads.map(|(at, w)| (at, w[3] & 0x1f)).collect();
    let mut units = Vec::new();
    let mut begin = 0;
    for (index, (_, kind)) in heads.iter().enumerate() {
        if matches!(kind, 1..=5) {
            let end = heads.get(index + 1).map_or(stream.len(), |next| next.0);
            units.push(&stream[begin..end]);
            begin = end;
        }
    }
    units
}

/// The times of the pictures of [`B_FRAMES`], in the order of decoding: found by decoding them one by one.
fn with_times(units: &[&'static [u8]]) -> Result<Vec<Frame>> {
    let mut codec = crate::codec::Decoder::new()?;
    let mut frames = Vec::new();
    for (mark, unit) in (1..).zip(units) {
        let mut brightness = None;
        let whole = codec.decode(unit, mark, |picture| {
            assert_eq!(picture.mark, mark);
            brightness = Some(i64::from(picture.planes[0].0[0]));
        });
        assert!(whole, "{mark}");
        let number = (brightness.expect("a picture for each unit") - 20 + 3) / 7;
        frames.push(Frame::from_bytes(Kind::Video, bytes_of(unit)).with_pts(number * STEP_NS));
    }
    Ok(frames)
}

fn bytes_of(unit: &'static [u8]) -> bytes::Bytes {
    bytes::Bytes::from_static(unit)
}

#[test]
fn pictures_out_of_order_leave_in_order_with_their_own_time_and_none_is_lost() -> Result {
    let units = with_times(&units(B_FRAMES))?;
    assert_eq!(units.len(), 30);
    assert!(
        !units.is_sorted_by_key(Frame::pts),
        "the stream is out of order"
    );
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    let mut shown = Vec::new();
    for unit in &units {
        let input = coded(&decoder, unit);
        shown.extend(decoder.push(0, vec![input])?);
    }
    assert_eq!(
        shown.len(),
        28,
        "it says that two may come before their turn"
    );
    shown.extend(decoder.drain()?);
    assert_eq!(shown.len(), 30);
    for (n, (_, picture)) in (0..).zip(&shown) {
        assert_eq!(picture.pts(), n * STEP_NS);
        let brightness = i64::from(picture.payload()[0]);
        assert!((brightness - (20 + 7 * n)).abs() <= 3, "{n}: {brightness}");
    }
    assert_eq!(decoder.dropped(), 0);
    let mut at_once = Harness::<H264Decoder>::new(&[])?;
    let batch = units.iter().map(|unit| coded(&at_once, unit)).collect();
    let mut batched = at_once.push(0, batch)?;
    batched.extend(at_once.drain()?);
    let times = |shown: &[(usize, Frame)]| shown.iter().map(|(_, f)| f.pts()).collect::<Vec<_>>();
    assert_eq!(times(&batched), times(&shown), "a batch gives the same");
    Ok(())
}

#[test]
fn a_stream_in_order_is_not_delayed_whatever_its_profile() -> Result {
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    for (n, unit) in (0..).zip(units(IN_ORDER)) {
        let unit = Frame::from_bytes(Kind::Video, bytes_of(unit)).with_pts(n * STEP_NS);
        let input = coded(&decoder, &unit);
        let out = decoder.push(0, vec![input])?;
        assert_eq!(out.len(), 1, "{n}");
        assert_eq!(out[0].1.pts(), n * STEP_NS);
        let brightness = i64::from(out[0].1.payload()[0]);
        assert!((brightness - (20 + 7 * n)).abs() <= 3, "{n}: {brightness}");
    }
    Ok(())
}

#[test]
fn decoding_begins_at_a_keyframe_which_is_asked_for_at_most_twice_a_second() -> Result {
    let units = stream(60, 160, 96, &[])?;
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    let mut asked = Vec::new();
    for unit in &units[1..40] {
        decoder.tick(unit.pts())?;
        let input = coded(&decoder, unit);
        assert!(decoder.push(0, vec![input])?.is_empty());
        for (port, event) in decoder.take_raised() {
            assert_eq!((port, event), (0, keyframe_request(1)));
            asked.push(unit.pts() / FRAME_NS);
        }
    }
    assert_eq!(
        asked,
        [1, 17, 33],
        "at once, and then when half a second is over"
    );
    assert_eq!(decoder.dropped(), 39);
    let mut second = Harness::<H264Decoder>::new(&[])?;
    for unit in &units {
        let input = coded(&second, unit);
        assert_eq!(second.push(0, vec![input])?.len(), 1);
    }
    assert!(
        second.take_raised().is_empty(),
        "one that begins with a keyframe asks for none"
    );
    Ok(())
}

#[test]
fn a_missing_unit_costs_what_follows_up_to_the_next_keyframe() -> Result {
    let units = stream(40, 160, 96, &[("keyframe-interval", Value::Float(0.5))])?;
    let next = units[1..]
        .iter()
        .position(|u| u.has(flags::KEYFRAME))
        .map_or(0, |at| at + 1);
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    let mut shown = Vec::new();
    for (n, unit) in units.iter().enumerate().filter(|(n, _)| *n != 5) {
        let input = coded(&decoder, unit);
        let out = decoder.push(0, vec![input])?;
        shown.extend(out.into_iter().map(|(_, picture)| (n, picture)));
    }
    let numbers: Vec<usize> = shown.iter().map(|(n, _)| *n).collect();
    let wanted: Vec<usize> = (0..5).chain(next..40).collect();
    assert_eq!(numbers, wanted);
    assert_eq!(decoder.dropped(), next as u64 - 6);
    assert_eq!(decoder.take_raised().len(), 1);
    let holes: Vec<usize> = shown
        .iter()
        .filter(|(_, picture)| picture.has(flags::DISCONTINUITY))
        .map(|(n, _)| *n)
        .collect();
    assert_eq!(holes, [next], "the first picture behind the hole says so");
    Ok(())
}

#[test]
fn a_flush_lets_go_of_what_waits_and_of_what_came_before() -> Result {
    let units = with_times(&units(B_FRAMES))?;
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    for unit in &units[..6] {
        let input = coded(&decoder, unit);
        decoder.push(0, vec![input])?;
    }
    let flush = Event {
        kind: event::kind::FLUSH,
        stream: event::ALL_STREAMS,
        value: 0,
    };
    assert!(!decoder.event(0, flush)?, "it travels on");
    assert_eq!(decoder.dropped(), 2);
    assert!(decoder.drain()?.is_empty());
    let input = coded(&decoder, &units[6]);
    assert!(
        decoder.push(0, vec![input])?.is_empty(),
        "it waits for a keyframe"
    );
    let input = coded(&decoder, &units[0]);
    decoder.push(0, vec![input])?;
    assert_eq!(decoder.drain()?.len(), 1);
    Ok(())
}

#[test]
fn a_keyframe_request_from_behind_ends_at_the_decoder_and_a_bitrate_does_not() -> Result {
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    assert!(decoder.event(1, keyframe_request(1))?);
    assert!(!decoder.event(1, bitrate(1, 100_000))?);
    Ok(())
}

#[test]
fn streams_beyond_the_eighth_are_dropped_and_counted_until_one_falls_silent() -> Result {
    let units = stream(3, 64, 48, &[])?;
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    for unit in &units {
        for id in 0..9 {
            let input = coded(&decoder, unit).with_stream(id);
            assert_eq!(decoder.push(0, vec![input])?.len(), usize::from(id < 8));
        }
    }
    assert_eq!(decoder.dropped(), 3);
    assert!(
        decoder.take_raised().is_empty(),
        "a keyframe would be of no use"
    );
    decoder.tick(5_000_000_000)?;
    let input = coded(&decoder, &units[0]).with_stream(8);
    assert_eq!(decoder.push(0, vec![input])?.len(), 1);
    Ok(())
}
