use levada_abi::event;

use super::*;

fn frame(pts: i64) -> Frame {
    Frame {
        pts,
        ..Frame::default()
    }
}

fn video(pts: i64, flags: u16) -> Frame {
    Frame {
        flags,
        ..frame(pts)
    }
}

fn drain(inlet: &mut Inlet) -> Vec<i64> {
    let mut frames = vec![];
    assert_eq!(inlet.take(usize::MAX, &mut frames), None);
    frames.iter().map(|frame| frame.pts).collect()
}

fn push_five(policy: Policy) -> (usize, Vec<i64>) {
    let (mut outlet, mut inlet) = channel(policy, 3);
    let dropped = outlet.push(5, (0..5).map(frame));
    (dropped, drain(&mut inlet))
}

#[test]
fn drop_oldest_keeps_the_newest_frames() {
    assert_eq!(push_five(Policy::DropOldest), (2, vec![2, 3, 4]));
}

#[test]
fn drop_newest_keeps_the_oldest_frames() {
    assert_eq!(push_five(Policy::DropNewest), (2, vec![0, 1, 2]));
}

#[test]
fn latest_keeps_one_frame() {
    assert_eq!(push_five(Policy::Latest), (4, vec![4]));
}

#[test]
fn block_says_how_much_room_there_is_and_wakes_at_half() {
    let (mut outlet, mut inlet) = channel(Policy::Block, 4);
    assert_eq!(outlet.push(4, (0..4).map(frame)), 0);
    assert_eq!(outlet.room(), 0);
    assert!(!outlet.wait_for_room(1));
    let mut frames = vec![];
    inlet.take(1, &mut frames);
    assert!(!inlet.take_waiter(), "three of four is more than half");
    inlet.take(2, &mut frames);
    assert_eq!(frames.len(), 2);
    assert!(inlet.take_waiter());
    assert!(!inlet.take_waiter(), "woken once");
}

#[test]
fn a_closed_channel_is_finished_when_its_last_frame_is_taken() {
    let (mut outlet, mut inlet) = channel(Policy::Block, 4);
    outlet.push(1, std::iter::once(frame(1)));
    outlet.close();
    assert!(!inlet.is_finished());
    drain(&mut inlet);
    assert!(inlet.is_finished());
}

fn gap(value: i64) -> Event {
    Event {
        kind: event::kind::GAP,
        stream: event::ALL_STREAMS,
        value,
    }
}

/// What comes out, an event as its value less 100.
fn drain_all(inlet: &mut Inlet) -> Vec<i64> {
    let mut out = vec![];
    loop {
        let mut frames = vec![];
        let event = inlet.take(2, &mut frames);
        out.extend(frames.iter().map(|frame| frame.pts));
        out.extend(event.map(|event| event.value - 100));
        if event.is_none() && frames.is_empty() {
            return out;
        }
    }
}

#[test]
fn an_event_keeps_its_place_among_the_frames_under_every_policy() {
    for policy in Policy::ALL {
        let (mut outlet, mut inlet) = channel(policy, 4);
        outlet.signal(gap(1));
        outlet.push(1, std::iter::once(frame(10)));
        outlet.signal(gap(2));
        outlet.signal(gap(3));
        outlet.close();
        assert!(!inlet.is_finished());
        // The second of two gaps with no frame between says it all.
        assert_eq!(drain_all(&mut inlet), [-99, 10, -97], "{policy}");
        assert!(inlet.is_finished());
    }
}

#[test]
fn no_policy_drops_an_event_and_no_frame_overtakes_one() {
    let (mut outlet, mut inlet) = channel(Policy::DropOldest, 2);
    for pts in 0..5 {
        outlet.push(1, std::iter::once(frame(pts)));
        outlet.signal(gap(pts));
    }
    // Frames 0 to 2 were displaced; what was said between them is said before frame 3.
    assert_eq!(drain_all(&mut inlet), [-100, -99, -98, 3, -97, 4, -96]);
}

#[test]
fn what_is_said_again_is_said_where_it_was_said_last() {
    let flush = Event {
        kind: event::kind::FLUSH,
        ..gap(0)
    };
    let (mut outlet, mut inlet) = channel(Policy::Block, 2);
    for event in [gap(1), flush, gap(2)] {
        outlet.signal(event);
    }
    // A flush would void the gap that was announced behind it.
    let mut told = || inlet.take(1, &mut vec![]).map(|event| event.kind);
    assert_eq!(told(), Some(event::kind::FLUSH));
    assert_eq!(told(), Some(event::kind::GAP));
    assert_eq!(told(), None);
}

/// The consumer has looked at a frame and has no room for what it becomes, while the producer displaces
/// thousands.
#[test]
fn an_event_stays_before_a_frame_that_was_looked_at() {
    let (mut outlet, mut inlet) = channel(Policy::DropOldest, 4);
    outlet.signal(gap(0));
    outlet.push(1, std::iter::once(frame(0)));
    assert_eq!(inlet.peek(), Next::Event(gap(0)));
    for pts in 1..1000 {
        outlet.push(1, std::iter::once(frame(pts)));
        outlet.signal(gap(pts));
    }
    assert!(lock(&outlet.shared.events).len() < 200);
    assert_eq!(drain_all(&mut inlet)[..2], [-100, 0]);
}

#[test]
fn events_of_a_channel_that_nobody_reads_stay_few() {
    let (mut outlet, mut inlet) = channel(Policy::DropOldest, 4);
    let frames = if cfg!(miri) { 1_000 } else { 10_000 };
    for pts in 0..frames {
        outlet.push(1, std::iter::once(frame(pts)));
        outlet.signal(gap(pts));
    }
    let events = lock(&outlet.shared.events).len();
    assert!(events < 200, "{events} events");
    let out = drain_all(&mut inlet);
    let last = (frames - 4..frames).flat_map(|pts| [pts, pts - 100]);
    assert_eq!(out[out.len() - 8..], last.collect::<Vec<_>>());
}

#[test]
fn a_drop_of_inter_coded_video_extends_to_the_next_keyframe() {
    for (policy, kept) in [
        (Policy::DropOldest, vec![4, 5]),
        (Policy::DropNewest, vec![0, 1]),
    ] {
        let (mut outlet, mut inlet) = channel(policy, 3);
        let (key, inter) = (flags::KEYFRAME, flags::INTER);
        let mut dropped = outlet.push(2, [video(0, key), video(1, inter)].into_iter());
        dropped += outlet.push(2, [frame(100), frame(101)].into_iter());
        if policy == Policy::DropNewest {
            // Full: 2 is lost, so that 3 is of no use though there is room for it again.
            dropped += outlet.push(1, std::iter::once(video(2, inter)));
            assert_eq!(drain(&mut inlet), [0, 1, 100]);
            dropped += outlet.push(1, std::iter::once(video(3, inter)));
            assert_eq!(outlet.take_wanted(), Some(0));
            assert_eq!(outlet.take_wanted(), None);
            assert_eq!((dropped, drain(&mut inlet)), (3, vec![]));
            dropped += outlet.push(2, [video(4, key), video(5, inter)].into_iter());
            assert_eq!((dropped, drain(&mut inlet)), (3, vec![4, 5]));
            continue;
        }
        // 0 was displaced, which makes 1 useless.
        assert_eq!((dropped, drain(&mut inlet)), (1, vec![100, 101]));
        assert_eq!(inlet.take_wanted(), Some(0));
        dropped += outlet.push(
            3,
            [video(3, inter), video(4, key), video(5, inter)].into_iter(),
        );
        assert_eq!(drain(&mut inlet), kept);
        assert_eq!(
            (dropped as u64 + inlet.take_dropped(), inlet.take_wanted()),
            (3, Some(0))
        );
    }
}

#[test]
fn a_keyframe_mends_what_was_lost_before_it_and_not_what_was_lost_since() {
    let mut broken = Broken::default();
    for lost in [1, 4, 5] {
        broken.lose(0, lost, lost);
    }
    let (key, inter) = (video(0, flags::KEYFRAME), video(0, flags::INTER));
    assert!(!broken.spoils(&inter, 0) && broken.spoils(&inter, 2));
    assert!(!broken.spoils(&key, 3));
    assert!(broken.spoils(&inter, 6) && !broken.spoils(&key, 7) && !broken.spoils(&inter, 8));
}

#[test]
fn what_nobody_takes_is_counted() {
    let (mut outlet, mut inlet) = channel(Policy::DropOldest, 4);
    outlet.push(3, (0..3).map(frame));
    inlet.peek();
    assert_eq!(inlet.discard(), 3);
}
