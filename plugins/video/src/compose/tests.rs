use super::{pace::PATIENCE_NS, *};
use crate::pixels::Converter;
use levada_plugin::{
    harness::{Harness, Value},
    picture::Layout,
};

fn composer(inputs: u32, params: &[(&str, i64)]) -> Result<Harness<Compose>> {
    let params: Vec<_> = params
        .iter()
        .map(|(n, v)| (*n, Value::Integer(*v)))
        .collect();
    Harness::with_linked_ports(&params, ((1 << inputs) - 1) | (1 << OUT))
}

const END: Event = Event {
    kind: event::kind::END_OF_STREAM,
    stream: event::ALL_STREAMS,
    value: 0,
};

/// A picture of one brightness.
fn plain(node: &Harness<Compose>, size: (u32, u32), y: u8, pts: i64) -> Result<Frame> {
    let mut loan = node.loan(i420_bytes(size.0, size.1)?)?;
    let mut picture = I420Mut::new(loan.as_mut_slice(), size.0, size.1)?;
    for (plane, value) in picture.planes().iter_mut().zip([y, 90, 170]) {
        plane.data.fill(value);
    }
    let format = node.format_id(&Format::video("i420", size.0, size.1));
    Ok(Frame::new(Kind::Video, loan)
        .with_format_id(format)
        .with_pts(pts))
}

/// Brightness and colour at these places.
fn at(frame: &Frame, size: (u32, u32), places: &[(usize, usize)]) -> Result<Vec<[u8; 3]>> {
    let picture = I420::new(frame.payload(), size.0, size.1)?;
    let [y, u, v] = picture.planes();
    let pixel = |&(left, top): &(usize, usize)| {
        let half = top / 2 * u.width + left / 2;
        [y.data[top * y.width + left], u.data[half], v.data[half]]
    };
    Ok(places.iter().map(pixel).collect())
}

#[test]
fn two_pictures_stand_side_by_side_in_their_shape_at_the_pace_of_the_second() -> Result {
    let mut node = composer(2, &[("width", 200), ("height", 80)])?;
    let frame = plain(&node, (50, 40), 100, 3)?;
    assert!(node.push(0, vec![frame])?.is_empty());
    // A tall one: 40x80 in the middle of 100x80.
    let frame = plain(&node, (20, 40), 200, 7)?;
    let out = node.push(1, vec![frame])?;
    let [(OUT, out)] = &out[..] else {
        panic!("{out:?}");
    };
    assert_eq!(out.pts(), 7);
    let places = [
        (0, 0),
        (99, 79),
        (101, 40),
        (128, 40),
        (131, 0),
        (168, 79),
        (171, 40),
    ];
    let (first, second) = ([100, 90, 170], [200, 90, 170]);
    let wanted = [first, first, BLACK, BLACK, second, second, BLACK];
    assert_eq!(at(out, (200, 80), &places)?, wanted);
    let whole = i420_bytes(200, 80)? as u64;
    assert_eq!(node.bytes_copied(), whole + (100 * 80 + 40 * 80) * 3 / 2);
    Ok(())
}

#[test]
fn a_grid_is_filled_row_by_row_and_an_end_leaves_black() -> Result {
    let mut node = composer(4, &[("width", 64), ("height", 64)])?;
    for port in 0..3 {
        let frame = plain(&node, (16, 16), 50 + port as u8, 0)?;
        node.push(port, vec![frame])?;
    }
    node.event(1, END)?;
    let frame = plain(&node, (32, 32), 53, 0)?;
    let out = node.push(3, vec![frame])?;
    let pixels = at(&out[0].1, (64, 64), &[(5, 5), (40, 5), (5, 40), (40, 40)])?;
    assert_eq!(
        pixels.iter().map(|p| p[0]).collect::<Vec<_>>(),
        [50, 16, 52, 53]
    );
    // The third sets the pace once the fourth has ended.
    node.event(3, END)?;
    let frame = plain(&node, (16, 16), 1, 9)?;
    assert_eq!(node.push(2, vec![frame])?.len(), 1);
    Ok(())
}

#[test]
fn an_input_that_falls_silent_does_not_freeze_the_picture() -> Result {
    let mut node = composer(2, &[("width", 64), ("height", 32)])?;
    node.tick(0)?;
    let frame = plain(&node, (8, 8), 9, 1000)?;
    assert_eq!(node.push(1, vec![frame])?.len(), 1);
    // And so on, until it comes again.
    for (now, count) in [(PATIENCE_NS - 1, 0), (PATIENCE_NS, 1), (PATIENCE_NS + 1, 1)] {
        node.tick(now)?;
        let frame = plain(&node, (8, 8), 9, i64::MIN)?;
        let out = node.push(0, vec![frame])?;
        assert_eq!(out.len(), count);
        assert!(out.iter().all(|(_, f)| f.pts() >= 1000 + PATIENCE_NS));
    }
    Ok(())
}

#[test]
fn sizes_change_at_any_frame_and_leave_nothing_behind() -> Result {
    let mut node = composer(1, &[("width", 63), ("height", 33)])?;
    let corner = [(0, 0), (61, 31)];
    for (size, is_covered) in [
        ((62, 32), true),
        ((1, 1), false),
        ((4000, 1), false),
        ((31, 16), true),
    ] {
        let frame = plain(&node, size, 77, 0)?;
        let out = node.push(0, vec![frame])?;
        let covered = at(&out[0].1, (63, 33), &corner)?.iter().all(|p| p[0] == 77);
        assert_eq!(covered, is_covered, "{size:?}");
    }
    Ok(())
}

#[test]
fn a_grid_without_room_is_refused() {
    let refused = composer(9, &[("width", 4), ("height", 4), ("columns", 9)]).err();
    assert!(refused.is_some_and(|e| e.to_string().contains("make it larger")));
}

#[test]
fn the_others_set_the_pace_when_its_input_brings_nothing_from_the_first_on() -> Result {
    let mut node = composer(3, &[("width", 64), ("height", 32)])?;
    // Nobody can say how long an input has been silent before anything came.
    let ms = 1_000_000;
    for (now, port, count) in [
        (9_000, 0, 0),
        (9_100, 1, 0),
        (9_199, 0, 0),
        (9_200, 0, 0),
        (9_201, 1, 1),
        (9_210, 1, 1),
        (9_402, 0, 0),
        (9_410, 0, 1),
        (9_411, 0, 1),
        (9_412, 2, 1),
        (9_413, 0, 0),
    ] {
        node.tick(now * ms)?;
        let frame = plain(&node, (8, 8), 9, now * ms)?;
        let out = node.push(port, vec![frame])?;
        assert_eq!(out.len(), count, "in{} at {now} ms", port + 1);
    }
    Ok(())
}

#[test]
fn time_goes_on_where_another_input_begins_to_set_the_pace() -> Result {
    let mut node = composer(2, &[("width", 64), ("height", 32)])?;
    node.tick(0)?;
    let step = 1_000_000_000 / 30;
    let mut times = vec![];
    for port in [1, 0] {
        for n in 0..30 {
            let frame = plain(&node, (8, 8), 9, n * step)?.with_duration_us(33_333);
            let out = node.push(port, vec![frame])?;
            times.extend(out.iter().map(|(_, f)| f.pts()));
        }
        node.event(port, END)?;
    }
    let wanted: Vec<i64> = (0..60).map(|n| n * step).collect();
    assert_eq!(times.len(), wanted.len());
    for (is, wanted) in times.iter().zip(wanted) {
        assert!(is.abs_diff(wanted) < 1_000, "{is} for {wanted}: {times:?}");
    }
    Ok(())
}

#[test]
fn pictures_of_one_time_keep_it_when_the_pace_changes() -> Result {
    let mut node = composer(2, &[("width", 64), ("height", 32)])?;
    node.tick(0)?;
    let mut times = vec![];
    for n in 0..10 {
        for port in [0, 1] {
            let frame = plain(&node, (8, 8), 9, n * 40_000_000)?;
            let out = node.push(port, vec![frame])?;
            times.extend(out.iter().map(|(_, f)| f.pts()));
            if n == 4 && port == 1 {
                node.event(1, END)?;
            }
        }
    }
    let wanted: Vec<i64> = (0..10).map(|n| n * 40_000_000).collect();
    assert_eq!(times[..10], wanted);
    Ok(())
}

#[test]
fn what_the_pace_says_of_its_times_passes_unless_they_are_moved() -> Result {
    let mut node = composer(2, &[("width", 64), ("height", 32)])?;
    let gap = Event {
        kind: event::kind::GAP,
        ..END
    };
    let frame = plain(&node, (8, 8), 9, 5_000_000_000)?;
    node.push(1, vec![frame])?;
    // An input says so while it is silent.
    node.tick(10 * PATIENCE_NS)?;
    assert!(node.event(0, gap)?, "it is kept");
    assert!(!node.event(1, gap)?, "it passes");
    node.event(1, END)?;
    assert!(!node.event(0, gap)?);
    let frame = plain(&node, (8, 8), 9, 0)?;
    node.push(0, vec![frame])?;
    assert!(node.event(0, gap)?);
    Ok(())
}

#[test]
fn time_never_goes_back_whatever_comes() -> Result {
    let mut node = composer(3, &[("width", 64), ("height", 32)])?;
    let (mut now, mut last, mut seed) = (0, i64::MIN, 7_u64);
    let times = [i64::MIN, -1, 0, 40_000_000, 3_600_000_000_000, i64::MAX - 1];
    for _ in 0..2_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005) + 1;
        let random = (seed >> 33) as usize;
        now += [0, 10_000_000, 150_000_000][random % 3];
        node.tick(now)?;
        let frame = plain(&node, (8, 8), 9, times[random / 3 % times.len()])?;
        for (_, frame) in node.push(random / 64 % 3, vec![frame])? {
            assert!(frame.pts() >= last, "{} after {last}", frame.pts());
            last = frame.pts();
        }
    }
    Ok(())
}

#[test]
fn what_goes_out_states_the_colours_of_the_first_picture_and_others_are_made_like_it() -> Result {
    let colours = [
        "range=full;matrix=bt709",
        "",
        "range=limited;primaries=bt709;matrix=bt2020",
        "range=full",
    ];
    let size = (32, 32);
    let i420 = |config| Format::video("i420", size.0, size.1).with_config(config);
    for first in colours {
        for second in colours {
            let mut node = composer(2, &[("width", 64), ("height", 64), ("columns", 1)])?;
            // One red, as each of them has it.
            for (port, config) in [first, second].into_iter().enumerate() {
                let mut frame =
                    plain(&node, size, 0, 0)?.with_format_id(node.format_id(&i420(config)));
                let red = [200, 30, 40].repeat((size.0 * size.1) as usize);
                let payload = frame.payload_mut().expect("it is unique");
                Converter::new(Layout::Rgb24, Layout::I420, size, Colour::of(&i420(config)))?
                    .convert(&red, payload)?;
                let out = node.push(port, vec![frame.clone()])?;
                let Some((_, out)) = out.first() else {
                    continue;
                };
                let format = node.format(out.format_id()).unwrap_or_default();
                assert_eq!(String::from_utf8_lossy(&format.config), first);
                let shown = at(out, (64, 64), &[(32, 16), (32, 48), (0, 0)])?;
                for part in 0..3 {
                    let off = shown[0][part].abs_diff(shown[1][part]);
                    assert!(off <= 2, "{second:?} beside {first:?}: {shown:?}");
                }
                let black = if first.contains("full") { 0 } else { 16 };
                assert_eq!(shown[2], [black, 128, 128]);
            }
        }
    }
    Ok(())
}
