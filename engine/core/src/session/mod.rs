//! [`Session`]: one instance of a graph: its nodes, channels, counters, and its end.
//!
//! *Life.* [`Session::start`] creates all nodes, then starts them from the sinks up, then lets them
//! run. In a session that is held, sources are not ticked until [`Session::release`]; everything else runs. [`Session::stop`] asks the sources to end; the end travels down link by link, each node
//! drains, and nothing that is under way is lost. A node's failure aborts instead: what has not been
//! processed is released and counted as dropped. When the last segment has ended, the nodes are
//! stopped and destroyed, their handles go stale, and [`Ended`] is handed to whoever started the
//! session.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
};

use levada_abi::{Event, HostVTable, NodeConfig, NodeHandle, Status, Text};
use tracing::{debug, error};

use crate::{
    channel::{Inlet, Outlet, channel, channel_with},
    engine::Shared,
    frame::{
        pool::Pool,
        tables::{Formats, Streams},
    },
    graph::{Entry, ParamValue, Plan, Route},
    observe::{Counter, Far, Report},
    plugin::instance::{self, Failed, Instance},
    scheduler::{
        flag::Flag,
        segment::{Fault, Segment},
        task::Claim,
    },
    texts,
};

pub(crate) mod block;
mod events;
pub(crate) mod handles;
mod running;

use block::Block;

/// Why a session did not start, or ended before it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "node \"{node}\" of graph \"{graph}\" (type {type_name}, plugin {plugin} {plugin_version}): {cause}"
)]
pub struct NodeError {
    /// The graph's name.
    pub graph: String,
    /// The node's name.
    pub node: String,
    /// Its type.
    pub type_name: String,
    /// The plugin that offers the type.
    pub plugin: String,
    /// That plugin's version.
    pub plugin_version: String,
    /// What it said, or what its status means.
    pub cause: String,
}

/// How a session ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The session's number.
    pub session: u64,
    /// What it did.
    pub report: Report,
    /// The failure that ended it, if one did.
    pub error: Option<NodeError>,
}

/// A node's handle, its own counts, and what others ask of it.
pub(crate) struct NodeState {
    handle: NodeHandle,
    /// Frames emitted at ports that are not linked.
    pub unlinked: Counter,
    /// Written by whichever thread declares a copy.
    pub bytes_copied: Counter,
    /// Units that the node itself dropped.
    pub dropped: Counter,
    /// It is to be ticked.
    pub due: Flag,
}

impl NodeState {
    fn new(handle: NodeHandle) -> NodeState {
        NodeState {
            handle,
            unlinked: Counter::default(),
            bytes_copied: Counter::default(),
            dropped: Counter::default(),
            due: Flag::default(),
        }
    }
}

/// See the module's documentation. What every frame needs comes first, on one cache line.
#[repr(C, align(64))]
pub struct Session {
    pub(crate) plan: Arc<Plan>,
    pub(crate) engine: Arc<Shared>,
    id: u64,
    stopping: AtomicBool,
    aborted: AtomicBool,
    held: AtomicBool,
    pub(crate) block: Block,
    segments_left: AtomicU32,
    started_ns: i64,
    on_end: Mutex<Option<OnEnd>>,
    pub(crate) formats: Formats,
    pub(crate) streams: Streams,
    rare: OnceLock<Box<Rare>>,
}

impl Drop for Session {
    fn drop(&mut self) {
        // Its instances go before the plan, which holds their types.
        self.block.tasks.clear();
    }
}

/// What most sessions never have; made when it is first needed.
#[derive(Default)]
struct Rare {
    /// Events that wait, with the node and the port that they are for.
    events: Mutex<Vec<(u32, u32, Event)>>,
    /// What failing nodes said, by node.
    errors: Mutex<Vec<(usize, String)>>,
    failure: OnceLock<NodeError>,
    /// How far each node has said it is.
    progress: OnceLock<Box<[Far]>>,
}

type OnEnd = Box<dyn FnOnce(Ended) + Send>;

/// No lock here guards data that a panic could leave half-done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// Makes and starts an instance of a planned graph. `on_end` is called once, on a thread of the
    /// engine's own, when it has ended.
    ///
    /// # Errors
    /// When a node cannot be created or started; those that were are stopped and destroyed, and
    /// `on_end` is not called.
    pub(crate) fn start(
        engine: &Arc<Shared>,
        plan: &Arc<Plan>,
        on_end: impl FnOnce(Ended) + Send + 'static,
    ) -> Result<Arc<Session>, Box<NodeError>> {
        let id = engine.next_session();
        Session::start_as(engine, plan, id, false, on_end)
    }

    /// The same under a number that is given; `held` until [`Session::release`].
    pub(crate) fn start_as(
        engine: &Arc<Shared>,
        plan: &Arc<Plan>,
        id: u64,
        held: bool,
        on_end: impl FnOnce(Ended) + Send + 'static,
    ) -> Result<Arc<Session>, Box<NodeError>> {
        let Some(handles) = handles::reserve(plan.nodes.len()) else {
            let cause = "a million nodes are alive in this process: end sessions first";
            return Err(Box::new(node_error(plan, 0, cause.into())));
        };
        let session = Arc::new(Session {
            plan: plan.clone(),
            engine: engine.clone(),
            id,
            stopping: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
            held: AtomicBool::new(held),
            block: Block::new(plan, &handles),
            segments_left: AtomicU32::new(plan.segments.len() as u32),
            started_ns: engine.now_ns(),
            on_end: Mutex::new(Some(Box::new(on_end))),
            formats: Formats::new(),
            streams: Streams::new(),
            rare: OnceLock::new(),
        });
        for (node, handle) in handles.into_iter().enumerate() {
            handles::bind(handle, &session, node);
        }
        session
            .create_and_start()
            .inspect_err(|_| session.release_handles())?;
        debug!(session = id, graph = plan.graph.name, "session started");
        Ok(session)
    }

    /// Creates and starts all nodes with every task claimed, so that none runs before all are ready.
    fn create_and_start(self: &Arc<Self>) -> Result<(), Box<NodeError>> {
        // Tasks are fresh, so all of them are idle: nobody knows a handle of theirs before `create_node`.
        let tasks = self.block.tasks.iter();
        let mut claims: Vec<_> = tasks.filter_map(|it| it.task.claim_idle()).collect();
        self.connect(&mut claims);
        if let Err(fault) = self.create_nodes(&mut claims) {
            self.stopping.store(true, Ordering::Release);
            for mut claim in claims {
                claim.clear(self);
                claim.complete();
            }
            return Err(Box::new(self.explain(&fault)));
        }
        for (index, claim) in claims.into_iter().enumerate() {
            if claim.finish(false) {
                self.queue(index);
            }
        }
        // A source without frames yet, or a graph whose channels are empty, waits to be notified;
        // what was asked for meanwhile has been.
        Ok(())
    }

    /// Makes the channels and gives each segment its ends.
    fn connect(&self, claims: &mut [Claim<'_, Segment>]) {
        let mut ends: Vec<(Option<Outlet>, Option<Inlet>)> = self
            .plan
            .channels
            .iter()
            .map(|plan| match plan.patience {
                usize::MAX => channel(plan.policy, plan.capacity),
                // The consumer goes on when more than that wait, and not before.
                patience => channel_with(plan.policy, plan.capacity, patience),
            })
            .map(|(outlet, inlet)| (Some(outlet), Some(inlet)))
            .collect();
        for (index, claim) in claims.iter_mut().enumerate() {
            let entries = self.plan.segments[index].entries.iter();
            let inlets = entries.filter_map(|entry| match entry {
                Entry::Channel { channel, .. } => ends[*channel].1.take(),
                Entry::Ingress { .. } => None,
            });
            inlets.for_each(|inlet| claim.add_inlet(inlet));
            let mine = self.plan.channels.iter().zip(&mut ends);
            // In the order of the plan's channels, which is that of `PlanChannel::outlet`.
            let outlets = mine.filter(|(plan, _)| plan.producer == index);
            let outlets = outlets.filter_map(|(_, end)| end.0.take());
            outlets.for_each(|outlet| claim.add_outlet(outlet));
        }
    }

    fn create_nodes(self: &Arc<Self>, claims: &mut [Claim<'_, Segment>]) -> Result<(), Fault> {
        let began = self.engine.date_s();
        for (index, claim) in claims.iter_mut().enumerate() {
            for &node in &self.plan.segments[index].nodes {
                let instance = self.create_node(node, began);
                let instance = instance.map_err(|Failed(status)| Fault { node, status })?;
                claim.add(instance, self);
            }
        }
        // From the sinks up: a source that begins to hand frames in finds the others ready.
        for (index, claim) in claims.iter_mut().enumerate().rev() {
            for local in (0..self.plan.segments[index].nodes.len()).rev() {
                claim.start_node(self, local)?;
            }
        }
        Ok(())
    }

    fn create_node(&self, node: usize, began_s: u64) -> Result<Instance, Failed> {
        let (graph_node, plan) = (&self.plan.graph.nodes[node], &self.plan.nodes[node]);
        let texts: Vec<String> = graph_node
            .params
            .iter()
            .map(|(_, value)| match value {
                ParamValue::Text(text) => texts::filled(text, self.id, began_s),
                _ => String::new(),
            })
            .collect();
        let params: Vec<levada_abi::ParamValue> = graph_node
            .params
            .iter()
            .zip(&texts)
            .map(|((_, value), text)| instance::param(value, text))
            .collect();
        let is_linked =
            |(_, p): &(usize, &crate::graph::PlanPort)| p.link.is_some() || !p.links.is_empty();
        let linked_ports = plan
            .ports
            .iter()
            .take(64)
            .enumerate()
            .filter(is_linked)
            .fold(0, |bits, (port, _)| bits | 1 << port);
        let formats = self.plan.formats_of(node);
        let formats: Vec<Text> = formats.iter().map(|text| Text::new(text)).collect();
        let node_type = &self.plan.types[node];
        let config = NodeConfig {
            size: size_of::<NodeConfig>(),
            node: self.block.nodes[node].handle,
            session: self.id,
            name: Text::new(&graph_node.name),
            params: params.as_ptr(),
            params_len: params.len(),
            linked_ports,
            host: std::ptr::from_ref::<HostVTable>(self.engine.host()),
            data: node_type.desc().data,
            formats: formats.as_ptr(),
            formats_len: formats.len(),
        };
        let state = self.block.state(&self.plan.block, node);
        // SAFETY: that memory is this node's alone, the config is as the contract asks, and the session's
        // drop begins with its instances: its plan holds the types, its block the memory.
        unsafe { Instance::create(node_type, state, &config) }
    }

    /// The session's number, one for each session of the process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Lets the sources of a held session begin; see [`Engine::start_held`](crate::Engine::start_held). Of no effect on others.
    pub fn release(self: &Arc<Self>) {
        // Release pairs with the load in `is_held`: a run that the notices ask for finds it.
        if self.held.swap(false, Ordering::Release) {
            self.notify_all();
        }
    }

    /// Whether this node is a source that is not to be ticked yet.
    pub(crate) fn is_held(&self, node: usize) -> bool {
        self.held.load(Ordering::Acquire) && self.plan.nodes[node].is_source
    }

    /// Asks the sources to end; the session ends when it has drained.
    pub fn stop(self: &Arc<Self>) {
        if !self.stopping.swap(true, Ordering::AcqRel) {
            self.notify_all();
        }
    }

    /// Ends the session without draining; what is under way is released and counted as dropped.
    pub fn abort(self: &Arc<Self>) {
        self.stopping.store(true, Ordering::Release);
        if !self.aborted.swap(true, Ordering::AcqRel) {
            self.notify_all();
        }
    }

    /// What the session has done so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let mut report = self.plan.report();
        let (links, runs) = self.block.passed.split_at(report.links.len());
        for (index, link) in report.links.iter_mut().enumerate() {
            link.frames = links[index].get();
            link.dropped = self.block.dropped[index].get();
        }
        for (run, whole) in self.plan.runs.iter().zip(runs) {
            for step in &self.plan.steps[run.start..run.end - 1] {
                report.links[step.link as usize].frames += whole.get();
            }
        }
        for (index, node) in report.nodes.iter_mut().enumerate() {
            let (counters, plan) = (&self.block.nodes[index], &self.plan.nodes[index]);
            node.unlinked = counters.unlinked.get();
            node.dropped = counters.dropped.get();
            node.bytes_copied = counters.bytes_copied.get();
            // What passes a port is counted once, on its links.
            let arrived = |link: usize| match self.plan.routes[link] {
                Route::Inline => report.links[link].frames,
                Route::Channel(channel) => self.block.arrived[channel].get(),
            };
            node.frames_in = plan
                .ports
                .iter()
                .filter_map(|port| port.link)
                .map(arrived)
                .sum();
            let sent = plan.ports.iter().filter_map(|port| port.links.first());
            node.frames_out =
                node.unlinked + sent.map(|link| report.links[*link].frames).sum::<u64>();
        }
        if let Some(all) = self.rare.get().and_then(|rare| rare.progress.get()) {
            for (node, far) in report.nodes.iter_mut().zip(all) {
                node.progress = far.get();
            }
        }
        report.set_held(&self.pool().held_by(self.id));
        report.sessions = 1;
        report.failed = u64::from(self.failure().is_some());
        report.seconds = (self.now_ns() - self.started_ns) as f64 / 1e9;
        report.bytes_copied = report.nodes.iter().map(|n| n.bytes_copied).sum();
        report
    }

    /// Notes how far a node says it is.
    pub(crate) fn set_progress(&self, node: usize, done_ns: i64, total_ns: i64) {
        let nodes = self.plan.nodes.len();
        let all = self
            .rare()
            .progress
            .get_or_init(|| (0..nodes).map(|_| Far::default()).collect());
        if let Some(far) = all.get(node) {
            far.set(done_ns, total_ns);
        }
    }

    fn rare(&self) -> &Rare {
        self.rare.get_or_init(Box::default)
    }

    fn failure(&self) -> Option<&NodeError> {
        self.rare.get()?.failure.get()
    }

    // What the scheduler and the services use.

    pub(crate) fn pool(&self) -> &Pool {
        &self.engine.pool
    }

    /// The time on the engine's clock, ns.
    pub(crate) fn now_ns(&self) -> i64 {
        self.engine.now_ns()
    }

    /// Counts frames that went from one step to another of the same run.
    #[inline]
    pub(crate) fn count(&self, from: usize, to: usize, frames: usize) {
        if from == to {
            return;
        }
        let run = self.plan.steps[from].run as usize;
        if self.plan.runs[run] == (from..to + 1) {
            self.block.passed[self.plan.routes.len() + run].add(frames as u64);
            return;
        }
        for step in &self.plan.steps[from..to] {
            self.block.passed[step.link as usize].add(frames as u64);
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    pub(crate) fn is_source_finished(&self, node: usize) -> bool {
        let plan = &self.plan.nodes[node];
        let finished = &self.block.tasks[plan.segment].finished;
        self.is_stopping() || (plan.is_source && finished.load(Ordering::Acquire))
    }

    pub(crate) fn finish_source(self: &Arc<Self>, node: usize) {
        let plan = &self.plan.nodes[node];
        if plan.is_source {
            let finished = &self.block.tasks[plan.segment].finished;
            finished.store(true, Ordering::Release);
        }
        self.notify(self.plan.nodes[node].segment);
    }

    pub(crate) fn set_error(&self, node: usize, text: String) {
        let mut errors = lock(&self.rare().errors);
        match errors.iter_mut().find(|(n, _)| *n == node) {
            Some(entry) => entry.1 = text,
            None => errors.push((node, text)),
        }
    }

    /// Ends the session because a node failed.
    pub(crate) fn fail(self: &Arc<Self>, fault: &Fault) {
        let error = self.explain(fault);
        error!(session = self.id, "{error}");
        let _ = self.rare().failure.set(error);
        self.abort();
    }

    fn engine_panicked(self: &Arc<Self>, segment: usize) {
        let node = self.plan.segments[segment].nodes[0];
        let cause = "the engine panicked while it ran this node; please report it".into();
        let _ = self.rare().failure.set(node_error(&self.plan, node, cause));
        self.abort();
    }

    fn explain(&self, fault: &Fault) -> NodeError {
        let errors = lock(&self.rare().errors);
        let said = errors.iter().find(|(node, _)| *node == fault.node);
        let mut cause = said.map(|(_, text)| text.clone()).unwrap_or_default();
        if cause.is_empty() {
            cause = match fault.status {
                Status::PANICKED => "it panicked".into(),
                Status(code) => format!("it failed with status {code} and gave no reason"),
            };
        }
        node_error(&self.plan, fault.node, cause)
    }

    fn segment_has_ended(self: &Arc<Self>) {
        // AcqRel: the last to end sees what the others did.
        if self.segments_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.end();
        }
    }

    /// Stops and destroys the nodes, and tells whoever waits.
    fn end(self: &Arc<Self>) {
        // A task that is DONE is never claimed by `notify`, so the bodies are this thread's.
        for it in &self.block.tasks {
            if let Some(mut claim) = it.task.claim_done() {
                claim.clear(self);
                claim.complete();
            }
        }
        // Only now is it certain that no source hands in any more.
        (0..self.block.ingress.len()).for_each(|ingress| self.drop_ingress(ingress));
        self.release_handles();
        let mut report = self.report();
        report.set_ended();
        let ended = Ended {
            session: self.id,
            report,
            error: self.failure().cloned(),
        };
        debug!(
            session = self.id,
            graph = self.plan.graph.name,
            "session ended"
        );
        let on_end = lock(&self.on_end).take();
        if let Some(on_end) = on_end
            && let Err(payload) = catch_unwind(AssertUnwindSafe(|| on_end(ended)))
        {
            // Whoever started the session wrote it; the thread serves other sessions as well. Dropping
            // the payload could panic again.
            std::mem::forget(payload);
            error!(
                session = self.id,
                "the callback for the session's end panicked"
            );
        }
    }

    fn release_handles(&self) {
        for (index, node) in self.block.nodes.iter().enumerate() {
            self.engine.workers.forget(self.place(index), node.handle);
            handles::release(node.handle);
        }
    }
}

pub(crate) fn node_error(plan: &Plan, node: usize, cause: String) -> NodeError {
    let info = plan.types[node].info();
    NodeError {
        graph: plan.graph.name.clone(),
        node: plan.graph.nodes[node].name.clone(),
        type_name: info.name.clone(),
        plugin: info.plugin.clone(),
        plugin_version: info.plugin_version.clone(),
        cause,
    }
}

/// Numbers of sessions, one sequence for the process.
pub(crate) static NEXT_SESSION: AtomicU64 = AtomicU64::new(1);
