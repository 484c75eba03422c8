//! Where branches meet: inputs aligned by pts, and links that lead back.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use levada_engine::{
    Ended, Engine, EngineConfig, VirtualEngine,
    graph::{GraphBuilder, Plan, Policy},
    plugin::Registry,
};
use levada_plugin::prelude::*;

/// What arrived, as port and pts.
type Arrived = Vec<(usize, i64)>;

/// The same, by session.
static SEEN: Mutex<Option<HashMap<u64, Arrived>>> = Mutex::new(None);

fn note(session: u64, port: usize, pts: i64) {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = seen.get_or_insert_default();
    seen.entry(session).or_default().push((port, pts));
}

fn seen(session: u64) -> Arrived {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.get_or_insert_default()
        .remove(&session)
        .unwrap_or_default()
}

/// Emits `count` frames, `every` apart, as fast as there is room; from `gap` on it says that none comes
/// for a second.
struct Every {
    next: i64,
    every: i64,
    left: i64,
    gap: i64,
}

impl Node for Every {
    const NAME: &'static str = "every";
    const SUMMARY: &'static str = "Emits frames at regular times";
    const PORTS: &'static [Port] = &[Port::output("out")];
    const PARAMS: &'static [Param] = &[
        Param::integer("every", 10),
        Param::integer("count", 100),
        Param::integer("gap", -1),
    ];

    fn create(config: &Config) -> Result<Self> {
        Ok(Every {
            next: 0,
            every: config.integer("every")?,
            left: config.integer("count")?,
            gap: config.integer("gap")?,
        })
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        ctx.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        if self.left == 0 {
            // One that has announced a gap stays, and is silent.
            if self.gap < 0 {
                ctx.finish();
            }
            return Ok(());
        }
        ctx.emit(
            0,
            Frame::from_bytes(Kind::Data, "x".into()).with_pts(self.next),
        )?;
        self.next += self.every;
        self.left -= 1;
        if self.left == 0 && self.gap >= 0 {
            ctx.signal(
                0,
                Event {
                    kind: event::kind::GAP,
                    stream: event::ALL_STREAMS,
                    value: self.gap,
                },
            )?;
        }
        ctx.tick_again();
        Ok(())
    }
}

/// Notes what arrives where.
struct Meet(u64);

impl Node for Meet {
    const NAME: &'static str = "meet";
    const SUMMARY: &'static str = "Notes what arrives at its three inputs";
    const PORTS: &'static [Port] = &[
        Port::input("a"),
        Port::optional_input("b"),
        Port::optional_input("c"),
    ];

    fn create(config: &Config) -> Result<Self> {
        Ok(Meet(config.session()))
    }

    fn process(&mut self, port: usize, frames: &mut Frames, _: &mut Context) -> Result {
        frames
            .iter_mut()
            .for_each(|frame| note(self.0, port, frame.pts()));
        Ok(())
    }
}

/// Sends each frame round until its pts is used up, then lets it out.
struct Round(u64);

impl Node for Round {
    const NAME: &'static str = "round";
    const SUMMARY: &'static str = "Sends frames round, each as often as its pts says";
    const PORTS: &'static [Port] = &[
        Port::input("in"),
        Port::input("back"),
        Port::output("out"),
        Port::output("again"),
    ];

    fn create(config: &Config) -> Result<Self> {
        Ok(Round(config.session()))
    }

    fn process(&mut self, port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            let left = frame.pts() - 1;
            note(self.0, port, frame.pts());
            ctx.emit(if left < 0 { 2 } else { 3 }, frame.with_pts(left))?;
        }
        Ok(())
    }
}

fn registry() -> Registry {
    let plugin = Builtin::new("meeting", "1.0.0")
        .with::<Every>()
        .with::<Meet>()
        .with::<Round>()
        .into_plugin();
    let mut registry = Registry::default();
    registry.add(&plugin);
    registry
}

/// Runs a graph on real threads and, with several seeds, on a virtual clock; `check` sees each run.
fn run(graph: GraphBuilder, check: impl Fn(&Ended, Arrived)) {
    let registry = registry();
    let plan = Plan::new(graph.build(&registry).expect("valid"), &registry).expect("planned");
    let plan = Arc::new(plan);
    let engine = Engine::start(&EngineConfig::default()).expect("threads");
    for _ in 0..20 {
        let (tell, ended) = mpsc::channel();
        let session = engine.start_session(&plan, move |ended| {
            let _ = tell.send(ended);
        });
        let session = session.expect("started");
        let ended = match ended.recv_timeout(Duration::from_millis(300)) {
            Ok(ended) => ended,
            // A source that has announced a gap does not end by itself.
            Err(_) => {
                session.stop();
                ended
                    .recv_timeout(Duration::from_secs(60))
                    .expect("it ends when it is stopped")
            }
        };
        assert_eq!(ended.error, None);
        check(&ended, seen(session.id()));
    }
    for seed in 0..50 {
        let mut engine = VirtualEngine::new(&EngineConfig::default(), seed);
        let (tell, ended) = mpsc::channel();
        let session = engine.start_session(&plan, move |ended| {
            let _ = tell.send(ended);
        });
        let session = session.expect("started");
        engine.drive();
        session.stop();
        engine.drive();
        let ended = ended.try_recv().expect("it has ended");
        assert_eq!(ended.error, None);
        check(&ended, seen(session.id()));
    }
}

fn meeting(capacity: usize, sources: &[(&str, i64, i64, i64)]) -> GraphBuilder {
    let mut graph = GraphBuilder::new("meeting");
    graph
        .node("meet", "meet")
        .sync_by_pts(Duration::from_nanos(3));
    for (port, every, count, gap) in sources {
        let name = format!("source-{port}");
        graph
            .node(&name, "every")
            .param("every", *every)
            .param("count", *count)
            .param("gap", *gap);
        graph.link_with(
            &format!("{name} -> meet.{port}"),
            Some(Policy::Block),
            Some(capacity),
        );
    }
    graph
}

#[test]
fn aligned_inputs_are_taken_in_the_order_of_their_time() {
    // None runs so far ahead of another that patience ends.
    let graph = meeting(
        100,
        &[("a", 10, 100, -1), ("b", 9, 100, -1), ("c", 40, 20, -1)],
    );
    run(graph, |_, seen| {
        let mut expected: Arrived = (0..100)
            .flat_map(|n| [(0, n * 10), (1, n * 9)])
            .chain((0..20).map(|n| (2, n * 40)))
            .collect();
        let mut arrived = seen.clone();
        expected.sort_unstable();
        arrived.sort_unstable();
        assert_eq!(arrived, expected, "every frame arrives");
        // Frames within the tolerance come in the order of the inputs.
        for pair in seen.windows(2) {
            assert!(pair[0].1 <= pair[1].1 + 3, "{pair:?} in {seen:?}");
        }
        for port in 0..3 {
            let own = seen.iter().filter(|(p, _)| *p == port);
            assert!(own.is_sorted_by_key(|(_, pts)| pts), "{seen:?}");
        }
    });
}

#[test]
fn nobody_waits_for_an_input_that_has_announced_a_gap() {
    let graph = meeting(50, &[("a", 10, 50, -1), ("b", 10, 3, 1_000_000_000)]);
    run(graph, |_, seen| {
        assert_eq!(seen.len(), 53, "{seen:?}");
        assert!(seen.is_sorted_by_key(|(_, pts)| *pts), "{seen:?}");
    });
}

#[test]
fn an_input_without_frames_delays_the_others_by_its_patience_at_most() {
    // b stays silent and says nothing, so that a goes on when more than four frames wait.
    let graph = meeting(4, &[("a", 10, 50, -1), ("b", 10, 0, 0)]);
    run(graph, |ended, seen| {
        assert_eq!(seen.len(), 50, "{seen:?}");
        assert!(seen.is_sorted(), "{seen:?}");
        assert!(ended.report.links.iter().all(|link| link.dropped == 0));
    });
}

#[test]
fn frames_come_round_by_a_feedback_link_and_the_session_ends_all_the_same() {
    for policy in [Policy::DropOldest, Policy::DropNewest] {
        let mut graph = GraphBuilder::new("round");
        graph
            .node("source", "every")
            .param("every", 1)
            .param("count", 6);
        graph.node("round", "round");
        graph.node("meet", "meet");
        graph.link("source -> round.in");
        graph.link("round.out -> meet.a");
        graph.feedback("round.again -> round.back", Some(policy), Some(8));
        run(graph, |ended, seen| {
            let dropped: u64 = ended.report.links.iter().map(|link| link.dropped).sum();
            let arrived = seen.iter().filter(|(_, pts)| *pts < 0).count() as u64;
            assert_eq!(arrived + dropped, 6, "{seen:?}");
            for link in &ended.report.links {
                let to = ended
                    .report
                    .nodes
                    .iter()
                    .find(|node| link.to.starts_with(&node.name));
                assert!(
                    to.is_some_and(|to| to.frames_in + link.dropped >= link.frames),
                    "{link:?}"
                );
            }
        });
    }
}
