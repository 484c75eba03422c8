//! The stand that a node is put on: a source that plays a script into each of its inputs, a sink behind each of
//! its outputs that notes what comes, and the run of the three on a virtual clock.
//!
//! What must hold: the source's frames lie in memory of the engine's pool, so that one that is not given back shows
//! in the report; every third frame is held by the source as well, which looks at the end whether it is as it was.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use levada::engine::{
    Ended, EngineConfig, VirtualEngine,
    graph::{Catalog, Convert, Direction, GraphBuilder, ParamValue, Plan, TypeInfo},
    plugin::Registry,
};
use levada_plugin::prelude::*;

/// Upstream, and known to no node.
pub const UNKNOWN_EVENT: u32 = 0x77;
/// Time between two steps of a script.
const STEP_NS: i64 = 10_000_000;
/// Frames that a sink keeps a copy of.
const MAX_KEPT: usize = 64;
/// More than any script takes on the virtual clock.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a source is let run.
const SOURCES_TIME: Duration = Duration::from_secs(2);

/// A frame as a script has it.
#[derive(Clone, Debug)]
pub struct Unit {
    /// `None` for a frame that says nothing of its format.
    pub format: Option<Format>,
    pub kind: Kind,
    pub payload: Vec<u8>,
    pub pts: i64,
    pub duration_us: u32,
    pub key: bool,
}

/// What a source does, a step each 10 ms.
#[derive(Clone, Debug)]
pub enum Step {
    Frame(Unit),
    Event(Event),
}

/// What was noted in one run.
#[derive(Default)]
pub struct Notes {
    scripts: Vec<Vec<Step>>,
    /// Events that came back to the sources, by script.
    pub upstream: Vec<(usize, Event)>,
    /// Events that arrived at the sinks, by output port.
    pub in_band: Vec<(usize, Event)>,
    /// Frames that arrived, by output port; the first of each.
    pub kept: BTreeMap<usize, Vec<Unit>>,
    pub arrived: u64,
    /// Sources that have no more to play.
    finished: usize,
    /// A sink saw a frame while every source was still playing.
    pub in_time: bool,
    /// Frames that the source held as well and that were written to.
    pub damaged: usize,
}

static NOTES: Mutex<BTreeMap<i64, Notes>> = Mutex::new(BTreeMap::new());
static NEXT: AtomicI64 = AtomicI64::new(0);

fn notes() -> MutexGuard<'static, BTreeMap<i64, Notes>> {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with<R: Default>(run: i64, f: impl FnOnce(&mut Notes) -> R) -> R {
    notes().get_mut(&run).map(f).unwrap_or_default()
}

const PARAMS: &[Param] = &[Param::integer("run", 0), Param::integer("index", 0)];

struct Feed {
    host: Host,
    run: i64,
    index: usize,
    script: std::vec::IntoIter<Step>,
    held: Vec<(Frame, Vec<u8>)>,
    frames: usize,
}

impl Node for Feed {
    const NAME: &'static str = "conformance-feed";
    const SUMMARY: &'static str = "Plays a script";
    const PORTS: &'static [Port] = &[Port::output("out")];
    const PARAMS: &'static [Param] = PARAMS;

    fn create(config: &Config) -> Result<Self> {
        let (run, index) = (config.integer("run")?, config.integer("index")? as usize);
        let script = with(run, |notes| notes.scripts[index].clone());
        Ok(Feed {
            host: config.host(),
            run,
            index,
            script: script.into_iter(),
            held: vec![],
            frames: 0,
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        self.host.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        match self.script.next() {
            Some(Step::Frame(unit)) => {
                let mut loan = ctx.loan(unit.payload.len())?;
                loan.as_mut_slice().copy_from_slice(&unit.payload);
                let format = unit.format.as_ref().map(|f| ctx.format_id(f));
                let frame = Frame::new(unit.kind, loan)
                    .with_format_id(format.transpose()?.unwrap_or(0))
                    .with_stream(ctx.stream_id(unit.kind, "conformance")?)
                    .with_pts(unit.pts)
                    .with_duration_us(unit.duration_us)
                    .with_flags(if unit.key { flags::KEYFRAME } else { 0 });
                if self.frames.is_multiple_of(3) {
                    self.held.push((frame.clone(), unit.payload));
                }
                self.frames += 1;
                ctx.emit(0, frame)?;
            }
            Some(Step::Event(event)) => ctx.signal(0, event)?,
            None => {
                with(self.run, |notes| notes.finished += 1);
                ctx.finish();
                return Ok(());
            }
        }
        self.host.wake_at(ctx.now() + STEP_NS);
        Ok(())
    }

    fn event(&mut self, _port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        with(self.run, |notes| notes.upstream.push((self.index, event)));
        Ok(true)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let damaged = self.held.iter().filter(|(f, was)| f.payload() != was);
        let damaged = damaged.count();
        with(self.run, |notes| notes.damaged += damaged);
    }
}

struct Collect {
    run: i64,
    port: usize,
    has_raised: bool,
}

impl Node for Collect {
    const NAME: &'static str = "conformance-collect";
    const SUMMARY: &'static str = "Notes what comes";
    const PORTS: &'static [Port] = &[Port::input("in").read_only()];
    const PARAMS: &'static [Param] = PARAMS;

    fn create(config: &Config) -> Result<Self> {
        Ok(Collect {
            run: config.integer("run")?,
            port: config.integer("index")? as usize,
            has_raised: false,
        })
    }

    fn observe(&mut self, _port: usize, frames: &[Frame], ctx: &mut Context) -> Result {
        if !std::mem::replace(&mut self.has_raised, true) {
            let raise = |kind, value| {
                let stream = event::ALL_STREAMS;
                ctx.raise(
                    0,
                    Event {
                        kind,
                        stream,
                        value,
                    },
                );
            };
            raise(event::kind::KEYFRAME_REQUEST, 0);
            raise(event::kind::BITRATE, 100_000);
            raise(UNKNOWN_EVENT, 42);
        }
        let units = frames.iter().map(|frame| Unit {
            format: ctx.format(frame.format_id()),
            kind: frame.kind(),
            payload: frame.payload().to_vec(),
            pts: frame.pts(),
            duration_us: frame.duration_us(),
            key: frame.has(flags::KEYFRAME),
        });
        with(self.run, |notes| {
            notes.in_time |= notes.finished == 0;
            notes.arrived += frames.len() as u64;
            let kept = notes.kept.entry(self.port).or_default();
            kept.extend(units.take(MAX_KEPT - kept.len().min(MAX_KEPT)));
        });
        Ok(())
    }

    fn event(&mut self, _port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        with(self.run, |notes| notes.in_band.push((self.port, event)));
        Ok(true)
    }
}

/// The stand's own node types.
pub fn plugin() -> levada_plugin::Plugin {
    Builtin::new("conformance", "1.0.0")
        .with::<Feed>()
        .with::<Collect>()
        .into_plugin()
}

/// Param values that are given, by name.
pub type Params = Vec<(String, ParamValue)>;

/// The ports of one side, with their numbers.
pub fn side(info: &TypeInfo, side: Direction) -> impl Iterator<Item = usize> + '_ {
    let ports = info.ports.iter().enumerate();
    ports.filter_map(move |(at, port)| (port.direction == side).then_some(at))
}

/// What an input of a type takes with these params; `None` when it cannot be linked then.
pub fn takes(
    registry: &Registry,
    info: &TypeInfo,
    params: &Params,
    port: usize,
) -> Option<Vec<String>> {
    let (plan, run) = plan(registry, info, params, &[(port, vec![])], false).ok()?;
    notes().remove(&run);
    let node = plan.graph().nodes.iter().find(|n| n.name == "node")?;
    let said = registry.port_formats(node, port).ok()?;
    Some(said.unwrap_or_else(|| info.ports[port].formats.clone()))
}

/// A graph of one node, `node`, with `scripts` at the inputs that they name and sinks at its outputs, if those are
/// wanted.
pub fn plan(
    registry: &Registry,
    info: &TypeInfo,
    params: &Params,
    scripts: &[(usize, Vec<Step>)],
    outputs: bool,
) -> Result<(Arc<Plan>, i64), String> {
    let run = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut graph = GraphBuilder::new("conformance");
    graph.convert(Convert::Never);
    let mut node = graph.node("node", &info.name);
    for (name, value) in params {
        node = node.param(name, value.clone());
    }
    let of_stand = |graph: &mut GraphBuilder, name: &str, type_name: &str, index: usize| {
        let node = graph.node(name, type_name);
        node.param("run", run).param("index", index as i64);
    };
    for (index, (port, _)) in scripts.iter().enumerate() {
        of_stand(&mut graph, &format!("feed{index}"), Feed::NAME, index);
        graph.link(&format!("feed{index} -> node.{}", info.ports[*port].name));
    }
    for port in side(info, Direction::Output).filter(|_| outputs) {
        of_stand(&mut graph, &format!("sink{port}"), Collect::NAME, port);
        graph.link(&format!("node.{} -> sink{port}", info.ports[port].name));
    }
    let graph = graph.build(registry).map_err(|e| e.to_string())?;
    let plan = Plan::new(graph, registry).map_err(|e| e.to_string())?;
    let scripts = scripts.iter().map(|(_, script)| script.clone()).collect();
    notes().insert(
        run,
        Notes {
            scripts,
            ..Notes::default()
        },
    );
    Ok((Arc::new(plan), run))
}

/// Runs such a graph on a virtual clock. Sources run for two seconds and are then asked to end.
///
/// # Errors
/// When it is no valid graph, or a node cannot be created or started, or the session does not come to its end.
pub fn run(
    registry: &Registry,
    info: &TypeInfo,
    params: &Params,
    scripts: &[(usize, Vec<Step>)],
    outputs: bool,
    seed: u64,
) -> Result<(Ended, Notes), String> {
    let (plan, run) = plan(registry, info, params, scripts, outputs)?;
    let config = EngineConfig {
        assert_zero_copy: true,
        ..EngineConfig::default()
    };
    let mut engine = VirtualEngine::new(&config, seed);
    let end = Arc::new(Mutex::new(None));
    let told = end.clone();
    let session = engine.start_session(&plan, move |ended| {
        *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(ended);
    });
    let session = session.map_err(|error| error.to_string())?;
    if scripts.is_empty() {
        engine.drive_for(SOURCES_TIME);
        session.stop();
    }
    engine.drive_for(LIMIT);
    let ended = end.lock().unwrap_or_else(PoisonError::into_inner).take();
    let notes = notes().remove(&run).unwrap_or_default();
    match ended {
        Some(ended) => Ok((ended, notes)),
        None => Err("the session does not end after its sources have ended".into()),
    }
}
