//! Flush and gap travel in order with the frames; a node that asks for another tick gets one.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use levada_engine::{
    Engine, EngineConfig, Report,
    graph::{GraphBuilder, Plan, Policy},
    plugin::Registry,
};
use levada_plugin::{Refused, prelude::*};

/// Told frames by their pts, a flush as -1, a gap as -2.
static SEEN: Mutex<Vec<(u64, i64)>> = Mutex::new(Vec::new());

const FRAMES: i64 = 300;

fn event_after(pts: i64) -> Option<Event> {
    let kind = match pts % 10 {
        3 => event::kind::FLUSH,
        7 => event::kind::GAP,
        _ => return None,
    };
    Some(Event {
        kind,
        stream: event::ALL_STREAMS,
        value: pts,
    })
}

fn numbered(pts: i64) -> Frame {
    Frame::from_bytes(Kind::Data, "frame".into()).with_pts(pts)
}

/// Emits numbered frames with events between them, a frame a tick, and asks for each next tick.
struct Ticking(i64);

impl Node for Ticking {
    const NAME: &'static str = "ticking";
    const SUMMARY: &'static str = "Emits frames and events from its ticks";
    const PORTS: &'static [Port] = &[Port::output("out")];

    fn create(_: &Config) -> Result<Self> {
        Ok(Ticking(0))
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        ctx.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        ctx.emit(0, numbered(self.0))?;
        if let Some(event) = event_after(self.0) {
            ctx.signal(0, event)?;
        }
        self.0 += 1;
        if self.0 < FRAMES {
            ctx.tick_again();
        } else {
            ctx.finish();
        }
        Ok(())
    }
}

/// The same from a thread of its own.
struct Threaded(Option<std::thread::JoinHandle<()>>);

impl Node for Threaded {
    const NAME: &'static str = "threaded";
    const SUMMARY: &'static str = "Hands frames and events in from a thread";
    const PORTS: &'static [Port] = &[Port::output("out")];

    fn create(_: &Config) -> Result<Self> {
        Ok(Threaded(None))
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        let host: Host = **ctx;
        self.0 = Some(std::thread::spawn(move || {
            for pts in 0..FRAMES {
                let mut frame = numbered(pts);
                while let Err((back, Refused::Full)) = host.ingest(0, frame) {
                    frame = back;
                    std::thread::yield_now();
                }
                let Some(event) = event_after(pts) else {
                    continue;
                };
                while host.signal(0, event) == Err(Refused::Full) {
                    std::thread::yield_now();
                }
            }
            host.finish();
        }));
        Ok(())
    }

    fn stop(&mut self) {
        if let Some(thread) = self.0.take() {
            thread.join().expect("no panic");
        }
    }
}

struct Pass<const COST: usize>;

impl<const COST: usize> Node for Pass<COST> {
    const NAME: &'static str = ["light", "heavy"][COST];
    const SUMMARY: &'static str = "Passes frames on and handles no event";
    const PORTS: &'static [Port] = &[Port::input("in").forwards_to(1), Port::output("out")];
    const COST: Cost = [Cost::Light, Cost::Heavy][COST];

    fn create(_: &Config) -> Result<Self> {
        Ok(Pass)
    }
}

struct Sink(u64);

impl Node for Sink {
    const NAME: &'static str = "sink";
    const SUMMARY: &'static str = "Notes what it is told";
    const PORTS: &'static [Port] = &[Port::input("in")];
    const COST: Cost = Cost::Heavy;

    fn create(config: &Config) -> Result<Self> {
        Ok(Sink(config.session()))
    }

    fn process(&mut self, _: usize, frames: &mut Frames, _: &mut Context) -> Result {
        let frames = frames.iter_mut().map(|frame| (self.0, frame.pts()));
        SEEN.lock().expect("no panic").extend(frames);
        Ok(())
    }

    fn event(&mut self, _: usize, event: Event, ctx: &mut Context) -> Result<bool> {
        let told = match event.kind {
            event::kind::FLUSH => -1,
            event::kind::GAP => -2,
            _ => return Ok(false),
        };
        assert!(ctx.signal(0, event).is_err(), "a sink has no output");
        SEEN.lock().expect("no panic").push((self.0, told));
        Ok(true)
    }
}

fn run(links: &[(&str, &str, &str)], source: &str) -> (Report, Vec<i64>) {
    let plugin = Builtin::new("in-band", "1.0.0")
        .with::<Ticking>()
        .with::<Threaded>()
        .with::<Late>()
        .with::<Pass<0>>()
        .with::<Pass<1>>()
        .with::<Sink>()
        .into_plugin();
    let mut registry = Registry::default();
    registry.add(&plugin);
    let mut graph = GraphBuilder::new("in-band");
    for (name, kind) in [
        ("source", source),
        ("light", "light"),
        ("heavy", "heavy"),
        ("sink", "sink"),
    ] {
        graph.node(name, kind);
    }
    for (from, to, policy) in links {
        let policy: Policy = policy.parse().expect("a policy");
        graph.link_with(&format!("{from} -> {to}"), Some(policy), Some(4));
    }
    let plan =
        Arc::new(Plan::new(graph.build(&registry).expect("valid"), &registry).expect("planned"));
    let engine = Engine::start(&EngineConfig::default()).expect("threads");
    let (tell, ended) = mpsc::channel();
    let session = engine
        .start_session(&plan, move |ended| {
            let _ = tell.send(ended);
        })
        .expect("started");
    let ended = ended
        .recv_timeout(Duration::from_secs(60))
        .expect("it ends by itself");
    assert_eq!(ended.error, None);
    let seen = SEEN.lock().expect("no panic");
    let mine = seen.iter().filter(|(s, _)| *s == session.id());
    (ended.report, mine.map(|(_, told)| *told).collect())
}

#[test]
fn events_keep_their_place_among_the_frames() {
    let mut expected = vec![];
    for pts in 0..FRAMES {
        expected.push(pts);
        expected
            .extend(event_after(pts).map(|e| if e.kind == event::kind::FLUSH { -1 } else { -2 }));
    }
    let links = [
        ("source", "light", "block"),
        ("light", "heavy", "block"),
        ("heavy", "sink", "block"),
    ];
    for source in ["ticking", "threaded"] {
        assert_eq!(run(&links, source).1, expected, "{source}");
    }
}

#[test]
fn no_policy_loses_an_event_or_lets_a_frame_overtake_one() {
    for policy in ["drop-oldest", "drop-newest", "latest"] {
        let links = [
            ("source", "light", "block"),
            ("light", "heavy", policy),
            ("heavy", "sink", policy),
        ];
        for source in ["ticking", "threaded"] {
            let (report, seen) = run(&links, source);
            let told = format!("{policy}, {source}: {seen:?}");
            // An event between two frames that arrived is told between them; with none between them,
            // of two of a kind the last stands for both.
            for pair in seen.windows(2) {
                let [before, after] = [pair[0], pair[1]];
                if before >= 0 && after >= 0 {
                    assert!(before < after, "{told}");
                    assert!(
                        (before..after).all(|pts| event_after(pts).is_none()),
                        "{before} {after} {told}"
                    );
                }
            }
            assert!(seen.contains(&-1) && seen.contains(&-2), "{told}");
            let arrived = seen.iter().filter(|told| **told >= 0).count() as u64;
            let dropped: u64 = report.links.iter().map(|link| link.dropped).sum();
            assert_eq!(arrived + dropped, FRAMES as u64, "{told}");
        }
    }
}

/// Sends a gap before anything else.
struct Late;

impl Node for Late {
    const NAME: &'static str = "late";
    const SUMMARY: &'static str = "Says at its start when its first frame comes";
    const PORTS: &'static [Port] = &[Port::output("out")];

    fn create(_: &Config) -> Result<Self> {
        Ok(Late)
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        let gap = Event {
            kind: event::kind::GAP,
            stream: event::ALL_STREAMS,
            value: 5,
        };
        ctx.signal(0, gap)?;
        assert!(ctx.signal(0, Event { stream: 256, ..gap }).is_err());
        assert!(ctx.emit(0, numbered(5)).is_err(), "not yet");
        ctx.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        ctx.finish();
        ctx.emit(0, numbered(5))
    }
}

#[test]
fn what_a_node_says_at_its_start_comes_first() {
    let links = [
        ("source", "light", "block"),
        ("light", "heavy", "block"),
        ("heavy", "sink", "block"),
    ];
    assert_eq!(run(&links, "late").1, [-2, 5]);
}
