//! A node with `sync = "pts"` waits for its inputs no longer than it said, whatever comes before it.

use std::{
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use levada_engine::{
    Engine, EngineConfig, Report, VirtualEngine,
    graph::{GraphBuilder, Plan, Policy},
    plugin::Registry,
};
use levada_plugin::prelude::*;

/// What aligned nodes were given: session, input and pts.
static SEEN: Mutex<Vec<(u64, usize, i64)>> = Mutex::new(Vec::new());

/// Emits as many frames as its param says, a frame a tick, and asks for each next tick.
struct Source {
    next: i64,
    count: i64,
}

impl Node for Source {
    const NAME: &'static str = "source";
    const SUMMARY: &'static str = "Emits numbered frames";
    const PORTS: &'static [Port] = &[Port::output("out")];
    const PARAMS: &'static [Param] = &[Param::integer("count", 100).range(1.0, 1e6)];

    fn create(config: &Config) -> Result<Self> {
        let count = config.integer("count")?;
        Ok(Source { next: 0, count })
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        ctx.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        let frame = Frame::from_bytes(Kind::Data, "frame".into()).with_pts(self.next);
        ctx.emit(0, frame)?;
        self.next += 1;
        if self.next < self.count {
            ctx.tick_again();
        } else {
            ctx.finish();
        }
        Ok(())
    }
}

/// Says at `b` that none comes for long, takes that back, and emits a frame at `a`; an earlier one at `b` a
/// millisecond later.
struct Rewinds(bool);

impl Node for Rewinds {
    const NAME: &'static str = "rewinds";
    const SUMMARY: &'static str = "Announces a gap, and begins anew";
    const PORTS: &'static [Port] = &[Port::output("a"), Port::output("b")];

    fn create(_: &Config) -> Result<Self> {
        Ok(Rewinds(false))
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        ctx.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        let frame = |pts| Frame::from_bytes(Kind::Data, "frame".into()).with_pts(pts);
        if std::mem::replace(&mut self.0, true) {
            ctx.finish();
            return ctx.emit(1, frame(5));
        }
        for kind in [event::kind::GAP, event::kind::FLUSH] {
            ctx.signal(
                1,
                Event {
                    kind,
                    stream: event::ALL_STREAMS,
                    value: 1000,
                },
            )?;
        }
        ctx.wake_at(ctx.now() + 1_000_000);
        ctx.emit(0, frame(6))
    }
}

/// Lets nothing through.
struct Swallow;

impl Node for Swallow {
    const NAME: &'static str = "swallow";
    const SUMMARY: &'static str = "Releases what comes";
    const PORTS: &'static [Port] = &[Port::input("in"), Port::output("out")];
    const COST: Cost = Cost::Heavy;

    fn create(_: &Config) -> Result<Self> {
        Ok(Swallow)
    }
}

struct Align(u64);

impl Node for Align {
    const NAME: &'static str = "align";
    const SUMMARY: &'static str = "Notes what it is given";
    const PORTS: &'static [Port] = &[Port::input("a"), Port::input("b")];

    fn create(config: &Config) -> Result<Self> {
        Ok(Align(config.session()))
    }

    fn process(&mut self, port: usize, frames: &mut Frames, _: &mut Context) -> Result {
        let seen = frames.iter_mut().map(|frame| (self.0, port, frame.pts()));
        SEEN.lock().expect("no panic").extend(seen);
        Ok(())
    }
}

fn plan(graph: &GraphBuilder) -> Arc<Plan> {
    let plugin = Builtin::new("alignment", "1.0.0")
        .with::<Source>()
        .with::<Rewinds>()
        .with::<Swallow>()
        .with::<Align>()
        .into_plugin();
    let mut registry = Registry::default();
    registry.add(&plugin);
    let graph = graph.build(&registry).expect("valid");
    Arc::new(Plan::new(graph, &registry).expect("planned"))
}

fn seen(session: u64) -> Vec<(usize, i64)> {
    let seen = SEEN.lock().expect("no panic");
    let mine = seen.iter().filter(|(s, ..)| *s == session);
    mine.map(|(_, port, pts)| (*port, *pts)).collect()
}

/// Runs a source that feeds `align.a` by a link of this policy and capacity, and `align.b` through a node
/// that lets nothing through.
fn run(policy: Policy, capacity: usize, count: i64) -> (Report, Vec<(usize, i64)>) {
    let mut graph = GraphBuilder::new("alignment");
    graph.node("source", "source").param("count", count);
    graph.node("swallow", "swallow");
    graph.node("align", "align").sync_by_pts(Duration::ZERO);
    graph
        .link_with("source -> align.a", Some(policy), Some(capacity))
        .link_with("source -> swallow", Some(Policy::Block), Some(capacity))
        .link_with("swallow -> align.b", Some(Policy::Block), Some(capacity));
    let plan = plan(&graph);
    let engine = Engine::start(&EngineConfig::default()).expect("threads");
    let (tell, told) = mpsc::channel();
    let session = engine.start_session(&plan, move |ended| {
        let _ = tell.send(ended);
    });
    let session = session.expect("started");
    let Ok(ended) = told.recv_timeout(Duration::from_secs(20)) else {
        panic!("it stands still: {:#?}", session.report());
    };
    assert_eq!(ended.error, None);
    (ended.report, seen(session.id()))
}

#[test]
fn a_branch_that_brings_nothing_does_not_hold_up_the_other_one() {
    for capacity in [1, 2, 8, 64] {
        let (_, seen) = run(Policy::Block, capacity, 500);
        assert!(
            seen.into_iter().eq((0..500).map(|pts| (0, pts))),
            "{capacity}"
        );
    }
}

#[test]
fn every_policy_lets_go_of_what_a_silent_input_holds_up() {
    for policy in [Policy::Block, Policy::DropOldest, Policy::DropNewest] {
        let (report, seen) = run(policy, 4, 500);
        assert_eq!(seen.len() as u64, 500 - report.links[0].dropped, "{policy}");
        assert!(seen.is_sorted(), "{policy}: {seen:?}");
    }
}

#[test]
fn a_flush_takes_back_the_gap_that_was_announced_before_it() {
    let mut graph = GraphBuilder::new("rewinds");
    graph.node("source", "rewinds");
    graph.node("align", "align").sync_by_pts(Duration::ZERO);
    graph
        .link("source.a -> align.a")
        .link("source.b -> align.b");
    let mut engine = VirtualEngine::new(&EngineConfig::default(), 1);
    let session = engine.start_session(&plan(&graph), |_| ());
    let session = session.expect("started");
    engine.drive();
    assert_eq!(seen(session.id()), [(1, 5), (0, 6)]);
}
