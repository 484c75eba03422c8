use loom::thread;

use super::*;
use crate::sync::{Parker, Unparker};

fn numbered(from: usize, size: usize) -> impl Iterator<Item = Frame> {
    (from..from + size).map(|pts| Frame {
        pts: pts as i64,
        ..Frame::default()
    })
}

fn bounded(preemptions: usize) -> loom::model::Builder {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder
}

/// Pushes bursts, each when it has room as a whole. Parking stands for a segment's rest, unparking for
/// `notify`. Where a wake-up is lost, both rest, which loom reports as a deadlock.
fn produce(outlet: &mut Outlet, bursts: usize, size: usize, rest: &Parker, consumer: &Unparker) {
    for burst in 0..bursts {
        while outlet.room() < size && !outlet.wait_for_room(size) {
            rest.park();
        }
        let dropped = outlet.push(size, numbered(burst * size, size));
        assert_eq!(dropped, 0, "there was room");
        consumer.unpark();
    }
    outlet.close();
    consumer.unpark();
}

fn consume(inlet: &mut Inlet, rest: &Parker, producer: &Unparker) -> i64 {
    let mut next = 0;
    loop {
        let mut frames = vec![];
        inlet.take(1, &mut frames);
        if let Some(frame) = frames.pop() {
            assert_eq!(frame.pts, next);
            next += 1;
            if inlet.take_waiter() {
                producer.unpark();
            }
        } else if inlet.is_finished() {
            return next;
        } else {
            rest.park();
        }
    }
}

fn model(capacity: usize, bursts: usize, size: usize) {
    bounded(3).check(move || {
        let (mut outlet, mut inlet) = channel(Policy::Block, capacity);
        let (producer, consumer) = (Parker::new(), Parker::new());
        let (wake_producer, wake_consumer) =
            (producer.unparker().clone(), consumer.unparker().clone());
        let thread = thread::spawn(move || consume(&mut inlet, &consumer, &wake_producer));
        produce(&mut outlet, bursts, size, &producer, &wake_consumer);
        let arrived = thread.join().expect("no panic");
        assert_eq!(arrived, (bursts * size) as i64);
    });
}

#[test]
fn loom_a_producer_that_waits_for_one_place_is_woken() {
    model(1, 3, 1);
}

#[test]
fn loom_a_producer_that_waits_for_all_places_is_woken() {
    model(2, 2, 2);
}

#[test]
fn loom_a_producer_is_woken_at_half() {
    model(2, 3, 1);
}

/// A consumer that leaves lets a producer go that waits for room.
#[test]
fn loom_a_producer_is_woken_when_nobody_takes_any_more() {
    bounded(3).check(|| {
        let (mut outlet, mut inlet) = channel(Policy::Block, 1);
        let producer = Parker::new();
        let wake = producer.unparker().clone();
        let thread = thread::spawn(move || {
            let mut frames = vec![];
            inlet.take(1, &mut frames);
            if inlet.abandon() {
                wake.unpark();
            }
            frames.len() + inlet.discard() as usize
        });
        let mut dropped = 0;
        for burst in 0..2 {
            while outlet.room() < 1 && !outlet.wait_for_room(1) {
                producer.park();
            }
            dropped += outlet.push(1, numbered(burst, 1));
        }
        // Where the consumer took out the rest before a frame came, the frame lies there still.
        assert!(thread.join().expect("no panic") + dropped <= 2);
    });
}

/// A producer pushes the frames 0, 1 and so on, and says its number behind each frame but the last, while
/// the consumer takes. Whatever is displaced, every event comes, between those frames that it was said
/// between.
fn events_keep_their_place(policy: Policy, capacity: usize, count: i64, preemptions: usize) {
    bounded(preemptions).check(move || {
        let (mut outlet, mut inlet) = channel(policy, capacity);
        let thread = thread::spawn(move || {
            let mut dropped = 0;
            for pts in 0..count {
                dropped += outlet.push(1, numbered(pts as usize, 1));
                if pts + 1 < count {
                    outlet.signal(Event {
                        kind: levada_abi::event::kind::GAP,
                        stream: pts as u32,
                        value: pts,
                    });
                }
            }
            outlet.close();
            dropped
        });
        // Frames, and events as the negative of the frame that follows.
        let mut seen = vec![];
        let mut take = || {
            let mut frames = vec![];
            let event = inlet.take(1, &mut frames);
            seen.extend(frames.iter().map(|frame| frame.pts));
            seen.extend(event.map(|event| -event.value - 1));
            event.is_some() || !frames.is_empty()
        };
        take();
        take();
        let dropped = thread.join().expect("no panic") as i64;
        while take() {}
        assert!(inlet.is_finished());
        let at = |what: i64| seen.iter().position(|seen| *seen == what);
        for pts in 1..count {
            let event = at(-pts).expect("no event is lost");
            let (before, after) = (at(pts - 1), at(pts));
            assert!(before.is_none_or(|before| before < event), "{seen:?}");
            assert!(after.is_none_or(|after| event < after), "{seen:?}");
        }
        assert_eq!(seen.len() as i64, 2 * count - 1 - dropped, "{seen:?}");
    });
}

#[test]
fn loom_events_keep_their_places_in_a_ring() {
    events_keep_their_place(Policy::Block, 3, 3, 3);
}

#[test]
fn loom_events_keep_their_places_where_one_frame_is_kept() {
    events_keep_their_place(Policy::Latest, 1, 2, 3);
}

#[test]
fn loom_events_keep_their_places_where_frames_are_displaced() {
    events_keep_their_place(Policy::DropOldest, 2, 3, 3);
}

/// A keyframe and frames that need it, of which the producer pushes `before` before the consumer begins, and
/// the others meanwhile. Where one is displaced, none that needs it may come through.
fn nothing_comes_through_without_what_it_needs(before: i64, count: i64) {
    fn push(outlet: &mut Outlet, pts: i64) {
        let flags = if pts == 0 {
            flags::KEYFRAME
        } else {
            flags::INTER
        };
        let frame = Frame {
            pts,
            flags,
            ..Frame::default()
        };
        outlet.push(1, std::iter::once(frame));
    }
    bounded(3).check(move || {
        let (mut outlet, mut inlet) = channel(Policy::Latest, 1);
        (0..before).for_each(|pts| push(&mut outlet, pts));
        let thread = thread::spawn(move || {
            (before..count).for_each(|pts| push(&mut outlet, pts));
            outlet.close();
        });
        let mut frames = vec![];
        inlet.take(1, &mut frames);
        thread.join().expect("no panic");
        inlet.take(usize::MAX, &mut frames);
        assert!(inlet.is_finished());
        // From the keyframe on, and none left out.
        let seen: Vec<i64> = frames.iter().map(|frame| frame.pts).collect();
        assert!((0..).zip(&seen).all(|(at, pts)| at == *pts), "{seen:?}");
    });
}

#[test]
fn loom_no_frame_comes_through_without_the_keyframe_that_it_needs() {
    nothing_comes_through_without_what_it_needs(0, 2);
}

#[test]
fn loom_a_later_loss_does_not_hide_an_earlier_one() {
    nothing_comes_through_without_what_it_needs(2, 4);
}
