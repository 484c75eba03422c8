//! [`Workers`]: what runs segments and keeps time: threads, or whoever drives a virtual clock.
//!
//! Segments that are to run wait in the queue of a [`Crew`], or of a [`Driver`]. Each is in it at most once
//! (its task is QUEUED), so the queue is bounded by the number of segments.
//!
//! *Lanes.* Light and heavy segments run on the workers, blocking ones on threads set aside for that, and
//! audio on a lane of its own: threads with real-time priority where the system allows it, which are
//! started when the first audio segment wants to run.
//!
//! *Time.* Each lane has a [`Keeper`] for each of its threads, and a session belongs to one of them. A
//! keeper's thread runs light segments itself when their nodes are due, so paced sessions are spread over
//! the cores and cost no hand-over.
//!
//! *Wake-ups.* What a light segment wakes, its own worker runs next, from a place that nobody else looks
//! at: no other thread is woken for it. Only what comes on top of that goes into the queue, and wakes a
//! sleeper. A worker takes at most [`MAX_OWN`] segments that way before it looks at the queue, so nothing
//! there starves.
#![forbid(unsafe_code)]

use std::{
    cell::RefCell,
    io,
    sync::{Arc, OnceLock},
    thread::JoinHandle,
    time::Duration,
};

use levada_abi::NodeHandle;
use tracing::warn;

use super::{
    crew::Crew,
    driver::Driver,
    keeper::Keeper,
    realtime::{self, Seat},
    timers::{TooManyJobs, Work},
};
use crate::{clock, graph::Class, session::Session, sync::Parker};

/// Segments that a worker runs one after the other without a look at the queue.
const MAX_OWN: usize = 16;

/// A segment that is to run.
pub(crate) struct Runnable {
    pub session: Arc<Session>,
    pub segment: usize,
}

impl Runnable {
    fn class(&self) -> Class {
        self.session.plan.segments[self.segment].class
    }

    fn run(self) {
        self.session.run_queued(self.segment);
    }
}

/// What runs an engine's segments.
pub(crate) enum Workers {
    /// On the real clock.
    Threads(Box<Threads>),
    /// On a virtual clock.
    Driven(Box<Driver>),
}

/// Which threads a node's segment belongs to.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub session: u64,
    pub class: Class,
}

impl Workers {
    /// What drives a virtual clock, if the clock is one.
    pub fn driver(&self) -> Option<&Driver> {
        match self {
            Workers::Threads(_) => None,
            Workers::Driven(driver) => Some(driver),
        }
    }

    /// Queues a segment whose task is QUEUED.
    pub fn push(&self, runnable: Runnable) {
        match self {
            Workers::Threads(threads) => threads.push(runnable),
            Workers::Driven(driver) => driver.push(runnable),
        }
    }

    /// Asks for a call of [`timer_is_due`](crate::services::timer_is_due) at the deadline instead of an
    /// earlier wish of the same node.
    pub fn at(&self, place: Place, deadline: i64, node: NodeHandle) {
        match self {
            Workers::Threads(threads) => threads.keeper(place).at(deadline, node),
            Workers::Driven(driver) => driver.at(deadline, node),
        }
    }

    /// Forgets a node's wish.
    pub fn forget(&self, place: Place, node: NodeHandle) {
        match self {
            Workers::Threads(threads) => threads.keeper(place).forget(node),
            Workers::Driven(driver) => driver.forget(node),
        }
    }

    /// Has `work` done again and again, by a thread that keeps time, until the engine ends.
    pub fn every(&self, interval: Duration, work: Work) -> Result<(), TooManyJobs> {
        match self {
            Workers::Threads(threads) => threads.workers.keepers[0].every(interval, work),
            Workers::Driven(driver) => driver.every(interval, work),
        }
    }
}

/// The engine's threads. Dropping them ends and joins them.
pub(crate) struct Threads {
    count: usize,
    workers: Lane,
    blocking: Lane,
    /// None where audio runs like everything else.
    audio: Option<OnceLock<Option<Lane>>>,
}

impl Threads {
    /// Starts `workers` threads for segments and as many that keep time, and `blocking` for those that may
    /// wait. With `audio_lane`, audio has threads of its own.
    pub fn start(workers: usize, blocking: usize, audio_lane: bool) -> io::Result<Threads> {
        let count = workers.max(1);
        Ok(Threads {
            count,
            workers: Lane::start("levada-worker", Some("levada-timer"), count, false)?,
            blocking: Lane::start("levada-blocking", None, blocking.max(1), false)?,
            audio: audio_lane.then(OnceLock::new),
        })
    }

    /// The audio lane, where there is one; it is started when it is first asked for.
    fn audio(&self) -> Option<&Lane> {
        let lane = self.audio.as_ref()?.get_or_init(|| {
            let lane = Lane::start("levada-audio", Some("levada-beat"), self.count, true);
            let lane = lane.inspect_err(|error| {
                warn!("audio runs on the workers: no threads of its own ({error})");
            });
            let lane = lane.ok()?;
            let seats = lane.seats.clone();
            let watch = move || seats.iter().for_each(|seat| seat.watch(clock::now_ns()));
            let watched = self.workers.keepers[0].every(realtime::WATCH, Box::new(watch));
            watched
                .inspect_err(|error| warn!("audio runs on the workers: {error}"))
                .ok()?;
            Some(lane)
        });
        lane.as_ref()
    }

    fn push(&self, runnable: Runnable) {
        let crew = match runnable.class() {
            Class::Light | Class::Heavy => &self.workers.crew,
            Class::Audio => &self.audio().unwrap_or(&self.workers).crew,
            Class::Blocking => &self.blocking.crew,
        };
        if let Some(runnable) = OWN.with_borrow_mut(|own| keep(own, crew, runnable)) {
            crew.push(runnable);
        }
    }

    fn keeper(&self, place: Place) -> &Keeper {
        let lane = match place.class {
            Class::Audio => self.audio().unwrap_or(&self.workers),
            _ => &self.workers,
        };
        &lane.keepers[place.session as usize % lane.keepers.len()]
    }
}

/// Threads that run segments of some classes, and keepers of their time.
struct Lane {
    crew: Arc<Crew<Runnable>>,
    keepers: Vec<Arc<Keeper>>,
    seats: Arc<[Seat]>,
    threads: Vec<JoinHandle<()>>,
}

impl Lane {
    /// Starts `count` threads, and as many that keep time if those have a name.
    fn start(
        name: &str,
        keeper_name: Option<&str>,
        count: usize,
        realtime: bool,
    ) -> io::Result<Lane> {
        let (crew, parkers) = Crew::new(count);
        let keepers = keeper_name.map_or(0, |_| count);
        // Whole before the first thread starts: should a later one fail, the drop ends those that run.
        let mut lane = Lane {
            crew: Arc::new(crew),
            keepers: (0..keepers).map(|_| Arc::new(Keeper::new())).collect(),
            seats: (0..count + keepers).map(|_| Seat::default()).collect(),
            threads: vec![],
        };
        let mut sit = |name: String, index: usize, work: Box<dyn FnOnce(&Seat) + Send>| {
            let seats = lane.seats.clone();
            let thread = std::thread::Builder::new().name(name);
            lane.threads.push(thread.spawn(move || {
                let seat = &seats[index];
                if realtime {
                    seat.take();
                }
                work(seat);
                seat.leave();
            })?);
            io::Result::Ok(())
        };
        for (worker, parker) in parkers.into_iter().enumerate() {
            let crew = lane.crew.clone();
            let work = move |seat: &Seat| work(&crew, worker, &parker, seat);
            sit(format!("{name}-{worker}"), worker, Box::new(work))?;
        }
        for (at, keeper) in lane.keepers.iter().cloned().enumerate() {
            let name = format!("{}-{at}", keeper_name.unwrap_or(name));
            sit(
                name,
                count + at,
                Box::new(move |seat| keeper.keep_time(seat)),
            )?;
        }
        Ok(lane)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.crew.end();
        self.keepers.iter().for_each(|keeper| keeper.end());
        let me = std::thread::current().id();
        for thread in self.threads.drain(..) {
            // The last reference may be dropped on a thread of the engine's own.
            if thread.thread().id() != me {
                let _ = thread.join();
            }
        }
    }
}

/// What a worker keeps for itself.
struct Own {
    crew: Arc<Crew<Runnable>>,
    /// What it runs next.
    next: Option<Runnable>,
    /// What it runs now is soon done.
    is_light: bool,
}

thread_local! {
    static OWN: RefCell<Option<Own>> = const { RefCell::new(None) };
}

/// Keeps a segment for the calling worker to run next; gives it back where it is to be queued.
fn keep(own: &mut Option<Own>, crew: &Arc<Crew<Runnable>>, runnable: Runnable) -> Option<Runnable> {
    match own {
        Some(own) if own.is_light && own.next.is_none() && Arc::ptr_eq(&own.crew, crew) => {
            own.next = Some(runnable);
            None
        }
        _ => Some(runnable),
    }
}

fn work(crew: &Arc<Crew<Runnable>>, worker: usize, parker: &Parker, seat: &Seat) {
    OWN.set(Some(Own {
        crew: crew.clone(),
        next: None,
        is_light: false,
    }));
    while let Some(mut runnable) = crew.next(worker, parker) {
        seat.begin();
        for turn in 1.. {
            let is_light = runnable.class().is_light();
            OWN.with_borrow_mut(|own| own.iter_mut().for_each(|own| own.is_light = is_light));
            runnable.run();
            let own = OWN.with_borrow_mut(|own| own.as_mut().and_then(|own| own.next.take()));
            match own {
                Some(own) if turn < MAX_OWN => runnable = own,
                Some(own) => {
                    crew.push(own);
                    break;
                }
                None => break,
            }
        }
        seat.rest();
    }
    OWN.set(None);
}
