//! [`Session`]: one instance of a graph: its nodes, channels, counters, and its end.
//!
//! *Life.* [`Session::start`] creates all nodes, then starts them from the sinks up, then lets them
//! run. [`Session::stop`] asks the sources to end; the end travels down link by link, each node
//! drains, and nothing that is under way is lost. A node's failure aborts instead: what has not been
//! processed is released and counted as dropped. When the last segment has ended, the nodes are
//! stopped and destroyed, their handles go stale, and [`Ended`] is handed to whoever started the
//! session.

use std::{
    any::Any,
    cell::Cell,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use crossbeam::queue::ArrayQueue;
use levada_abi::{Event, Frame, HostVTable, NodeConfig, NodeHandle, Status, Text, event};
use tracing::{debug, error};

use crate::{
    channel::Channel,
    clock,
    engine::Shared,
    frame::{
        pool::Pool,
        tables::{Formats, Streams},
    },
    graph::{Class, ParamValue, Plan, PortRef, Route},
    handles,
    observe::{Counter, LinkCounters, NodeCounters, Report},
    plugin::instance::{Failed, Instance, StateBlock},
    scheduler::{
        segment::{Fault, Next, Segment},
        task::Task,
        worker::Runnable,
    },
    services,
};

/// Events that may wait at one node; more than a graph's kinds, ports and streams come to.
const MAX_EVENTS: usize = 256;

/// Sessions whose nodes hand frames in to one another run on one stack; beyond this depth the frames
/// wait in the source's ring.
const MAX_DIRECT_RUNS: usize = 4;

thread_local! {
    /// Direct runs on this thread's stack.
    static DIRECT_RUNS: Cell<usize> = const { Cell::new(0) };
}

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

/// What a node's runner and its callers share.
pub(crate) struct NodeState {
    pub handle: NodeHandle,
    error: Mutex<String>,
    events: Mutex<VecDeque<(u32, Event)>>,
    due: AtomicBool,
    finished: AtomicBool,
}

impl NodeState {
    pub fn next_event(&self) -> Option<(u32, Event)> {
        lock(&self.events).pop_front()
    }

    pub fn waiting_events(&self) -> usize {
        lock(&self.events).len()
    }

    pub fn put_back(&self, port: u32, event: Event) {
        lock(&self.events).push_front((port, event));
    }

    /// Adds an event, replacing one of the same kind, port and stream.
    fn add_event(&self, port: u32, event: Event) -> bool {
        let mut events = lock(&self.events);
        let same = |(p, e): &&mut (u32, Event)| {
            *p == port && e.kind == event.kind && e.stream == event.stream
        };
        if let Some(waiting) = events.iter_mut().find(same) {
            waiting.1 = event;
        } else if events.len() < MAX_EVENTS {
            events.push_back((port, event));
        } else {
            return false;
        }
        true
    }

    pub fn take_due(&self) -> bool {
        self.due.swap(false, Ordering::AcqRel)
    }

    pub fn set_due(&self) {
        self.due.store(true, Ordering::Release);
    }
}

/// See the module's documentation.
pub struct Session {
    id: u64,
    pub(crate) plan: Arc<Plan>,
    engine: Arc<Shared>,
    segments: Box<[Task<Segment>]>,
    /// By segment: an event or a tick waits for one of its nodes.
    called: Box<[AtomicBool]>,
    pub(crate) channels: Box<[Channel]>,
    /// By channel: frames that its consumer has taken.
    pub(crate) arrived: Box<[Counter]>,
    pub(crate) ingress: Box<[ArrayQueue<Frame>]>,
    pub(crate) nodes: Box<[NodeState]>,
    pub(crate) node_counters: Box<[NodeCounters]>,
    pub(crate) link_counters: Box<[LinkCounters]>,
    pub(crate) formats: Formats,
    pub(crate) streams: Streams,
    stopping: AtomicBool,
    aborted: AtomicBool,
    failure: OnceLock<NodeError>,
    segments_left: AtomicUsize,
    started_ns: i64,
    on_end: Mutex<Option<OnEnd>>,
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
        Session::start_as(engine, plan, id, on_end)
    }

    pub(crate) fn start_as(
        engine: &Arc<Shared>,
        plan: &Arc<Plan>,
        id: u64,
        on_end: impl FnOnce(Ended) + Send + 'static,
    ) -> Result<Arc<Session>, Box<NodeError>> {
        let mut nodes = Vec::with_capacity(plan.nodes.len());
        for node in 0..plan.nodes.len() {
            let Some(handle) = handles::reserve() else {
                nodes
                    .iter()
                    .for_each(|n: &NodeState| handles::release(n.handle));
                let cause = "a million nodes are alive in this process: end sessions first";
                return Err(Box::new(node_error(plan, node, cause.into())));
            };
            nodes.push(NodeState {
                handle,
                error: Mutex::default(),
                events: Mutex::default(),
                due: AtomicBool::new(false),
                finished: AtomicBool::new(false),
            });
        }
        let session = Arc::new(Session {
            id,
            plan: plan.clone(),
            engine: engine.clone(),
            segments: (0..plan.segments.len())
                .map(|index| Task::new(Segment::empty(index)))
                .collect(),
            called: plan
                .segments
                .iter()
                .map(|_| AtomicBool::new(false))
                .collect(),
            channels: plan
                .channels
                .iter()
                .map(|c| Channel::new(c.policy, c.capacity))
                .collect(),
            arrived: plan.channels.iter().map(|_| Counter::default()).collect(),
            ingress: plan
                .ingress
                .iter()
                .map(|i| ArrayQueue::new(i.capacity))
                .collect(),
            nodes: nodes.into(),
            node_counters: plan.nodes.iter().map(|_| NodeCounters::default()).collect(),
            link_counters: plan
                .routes
                .iter()
                .map(|_| LinkCounters::default())
                .collect(),
            formats: Formats::new(),
            streams: Streams::new(),
            stopping: AtomicBool::new(false),
            aborted: AtomicBool::new(false),
            failure: OnceLock::new(),
            segments_left: AtomicUsize::new(plan.segments.len()),
            started_ns: clock::now_ns(),
            on_end: Mutex::new(Some(Box::new(on_end))),
        });
        for (node, state) in session.nodes.iter().enumerate() {
            handles::bind(state.handle, &session, node);
        }
        session
            .create_and_start()
            .inspect_err(|_| session.release_handles())?;
        debug!(session = id, graph = plan.graph.name, "session started");
        Ok(session)
    }

    /// Creates and starts all nodes with every task claimed, so that none runs before all are ready.
    fn create_and_start(self: &Arc<Self>) -> Result<(), Box<NodeError>> {
        let block = Arc::new(StateBlock::new(self.plan.state));
        // Tasks are fresh, so all of them are idle, unless a node's own thread has called already
        // and been answered by `GONE`: nothing notifies before `started` below.
        let mut claims: Vec<_> = self.segments.iter().filter_map(Task::claim_idle).collect();
        let mut fault = None;
        'create: for (index, claim) in claims.iter_mut().enumerate() {
            for &node in &self.plan.segments[index].nodes {
                match self.create_node(node, &block) {
                    Ok(instance) => claim.add(self, node, instance),
                    Err(Failed(status)) => {
                        fault = Some(Fault { node, status });
                        break 'create;
                    }
                }
            }
        }
        // From the sinks up: a source that begins to hand frames in finds the others ready.
        'start: for index in (0..claims.len()).rev() {
            if fault.is_some() {
                break;
            }
            for local in (0..self.plan.segments[index].nodes.len()).rev() {
                if let Err(failed) = claims[index].start_node(local) {
                    fault = Some(failed);
                    break 'start;
                }
            }
        }
        if let Some(fault) = fault {
            self.stopping.store(true, Ordering::Release);
            for mut claim in claims {
                claim.clear();
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

    fn create_node(&self, node: usize, block: &Arc<StateBlock>) -> Result<Instance, Failed> {
        let (graph_node, plan) = (&self.plan.graph.nodes[node], &self.plan.nodes[node]);
        let id = self.id.to_string();
        let texts: Vec<String> = graph_node
            .params
            .iter()
            .map(|(_, value)| match value {
                ParamValue::Text(text) => text.replace("{session}", &id),
                _ => String::new(),
            })
            .collect();
        let params: Vec<levada_abi::ParamValue> = graph_node
            .params
            .iter()
            .zip(&texts)
            .map(|((_, value), text)| {
                let mut abi = levada_abi::ParamValue {
                    float: 0.0,
                    integer: 0,
                    text: Text::new(text),
                };
                match value {
                    ParamValue::Float(v) => abi.float = *v,
                    ParamValue::Integer(v) => abi.integer = *v,
                    ParamValue::Bool(v) => abi.integer = i64::from(*v),
                    ParamValue::Text(_) => {}
                }
                abi
            })
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
        let node_type = &self.plan.types[node];
        let config = NodeConfig {
            size: size_of::<NodeConfig>(),
            node: self.nodes[node].handle,
            session: self.id,
            name: Text::new(&graph_node.name),
            params: params.as_ptr(),
            params_len: params.len(),
            linked_ports,
            host: std::ptr::from_ref::<HostVTable>(services::host()),
            data: node_type.desc().data,
        };
        // SAFETY: the plan gave this offset to this node alone, and the config is as the contract
        // asks.
        unsafe { Instance::create(node_type, block, plan.offset, &config) }
    }

    /// The session's number, one for each session of the process.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
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
        for (link, counters) in report.links.iter_mut().zip(&self.link_counters) {
            link.frames = counters.frames.get();
            link.dropped = counters.dropped.get();
        }
        for (index, node) in report.nodes.iter_mut().enumerate() {
            let (counters, plan) = (&self.node_counters[index], &self.plan.nodes[index]);
            node.unlinked = counters.unlinked.get();
            node.dropped = counters.dropped.get();
            node.bytes_copied = counters.bytes_copied.get();
            // What passes a port is counted once, on its links.
            let arrived = |link: usize| match self.plan.routes[link] {
                Route::Inline => report.links[link].frames,
                Route::Channel(channel) => self.arrived[channel].get(),
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
        report.sessions = 1;
        report.failed = u64::from(self.failure.get().is_some());
        report.seconds = (clock::now_ns() - self.started_ns) as f64 / 1e9;
        report.bytes_copied = report.nodes.iter().map(|n| n.bytes_copied).sum();
        report
    }

    // What the scheduler and the services use.

    pub(crate) fn pool(&self) -> &Pool {
        &self.engine.pool
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }

    pub(crate) fn is_source_finished(&self, node: usize) -> bool {
        self.is_stopping() || self.nodes[node].finished.load(Ordering::Acquire)
    }

    pub(crate) fn finish_source(self: &Arc<Self>, node: usize) {
        self.nodes[node].finished.store(true, Ordering::Release);
        self.notify(self.plan.nodes[node].segment);
    }

    pub(crate) fn set_error(&self, node: usize, text: String) {
        *lock(&self.nodes[node].error) = text;
    }

    /// Asks for a run of a segment.
    pub(crate) fn notify(self: &Arc<Self>, segment: usize) {
        if self.segments[segment].notify() {
            self.queue(segment);
        }
    }

    fn notify_all(self: &Arc<Self>) {
        (0..self.segments.len()).for_each(|segment| self.notify(segment));
    }

    fn queue(self: &Arc<Self>, segment: usize) {
        let class = self.plan.segments[segment].class;
        self.engine.workers.push(
            class,
            Runnable {
                session: self.clone(),
                segment,
            },
        );
    }

    /// Runs a segment that was taken from the queue.
    pub(crate) fn run_queued(self: &Arc<Self>, segment: usize) {
        let Some(mut claim) = self.segments[segment].claim_queued() else {
            return;
        };
        // A panic here is the engine's own bug, or a log subscriber's: it ends the session, and neither
        // the thread nor the claim is lost.
        let next = catch_unwind(AssertUnwindSafe(|| claim.run(self))).unwrap_or_else(|payload| {
            self.engine_panicked(segment, payload);
            Next::Done
        });
        match next {
            Next::Done => {
                claim.complete();
                self.segment_has_ended();
            }
            next => {
                if claim.finish(next == Next::Again) {
                    self.queue(segment);
                }
            }
        }
    }

    /// Takes frames that a source hands in from a thread of its own, from the front.
    ///
    /// Where the source's segment is at rest and light, and nothing waits before these frames, the
    /// caller runs it on its own stack. Otherwise the frames wait in the source's ring.
    pub(crate) fn ingest(
        self: &Arc<Self>,
        node: usize,
        port: usize,
        frames: &mut [Frame],
    ) -> Result<usize, Status> {
        if self.is_source_finished(node) {
            return Err(Status::GONE);
        }
        let plan = &self.plan.nodes[node];
        let out = plan
            .ports
            .get(port)
            .filter(|p| p.is_output)
            .ok_or(Status::INVALID)?;
        let Some(ingress) = out.ingress else {
            if !plan.is_source {
                return Err(Status::INVALID);
            }
            self.node_counters[node]
                .unlinked
                .add_shared(frames.len() as u64);
            frames.fill_with(Frame::default);
            return Ok(frames.len());
        };
        let ring = &self.ingress[ingress];
        let mut taken = 0;
        if self.plan.segments[plan.segment].class == Class::Light
            && ring.is_empty()
            && DIRECT_RUNS.get() < MAX_DIRECT_RUNS
            && let Some(mut claim) = self.segments[plan.segment].claim_idle()
        {
            DIRECT_RUNS.set(DIRECT_RUNS.get() + 1);
            let run = catch_unwind(AssertUnwindSafe(|| claim.run_direct(self, ingress, frames)));
            DIRECT_RUNS.set(DIRECT_RUNS.get() - 1);
            taken = run.unwrap_or_else(|payload| {
                self.engine_panicked(plan.segment, payload);
                frames.fill_with(Frame::default);
                frames.len()
            });
            if claim.finish(false) {
                self.queue(plan.segment);
            }
        }
        let mut waiting = false;
        while taken < frames.len() {
            if let Err(frame) = ring.push(std::mem::take(&mut frames[taken])) {
                frames[taken] = frame;
                break;
            }
            taken += 1;
            waiting = true;
        }
        if waiting {
            self.notify(plan.segment);
        }
        Ok(taken)
    }

    /// Releases what a source handed in and nobody took, and counts it at the source.
    pub(crate) fn drop_ingress(&self, ingress: usize) {
        let dropped = std::iter::from_fn(|| self.ingress[ingress].pop()).count();
        let node = self.plan.ingress[ingress].from.node;
        self.node_counters[node].dropped.add_shared(dropped as u64);
    }

    /// Releases what waits in a channel that nobody takes from any more, and counts it on its link.
    pub(crate) fn drop_channel(&self, channel: usize) {
        let dropped = std::iter::from_fn(|| self.channels[channel].pop()).count();
        self.link_counters[self.plan.channels[channel].link]
            .dropped
            .add_shared(dropped as u64);
    }

    /// Asks for a call of `tick`.
    pub(crate) fn call_soon(self: &Arc<Self>, node: usize) {
        self.nodes[node].set_due();
        self.call(node);
    }

    fn call(self: &Arc<Self>, node: usize) {
        let segment = self.plan.nodes[node].segment;
        self.mark_called(segment);
        self.notify(segment);
    }

    pub(crate) fn mark_called(&self, segment: usize) {
        self.called[segment].store(true, Ordering::Release);
    }

    pub(crate) fn is_called(&self, segment: usize) -> bool {
        self.called[segment].load(Ordering::Acquire)
    }

    pub(crate) fn take_called(&self, segment: usize) -> bool {
        self.is_called(segment) && self.called[segment].swap(false, Ordering::AcqRel)
    }

    pub(crate) fn set_timer(&self, node: usize, deadline: i64) {
        self.engine.workers.at(deadline, self.nodes[node].handle);
    }

    /// Takes an upstream event that a node raises at one of its inputs.
    pub(crate) fn raise(self: &Arc<Self>, node: usize, port: usize, event: Event) -> Status {
        if !event::kind::is_upstream(event.kind) {
            return Status::INVALID;
        }
        let Some(link) = self.plan.nodes[node].ports.get(port).and_then(|p| p.link) else {
            return Status::INVALID;
        };
        let PortRef { node, port } = self.plan.graph.links[link].from;
        if !self.nodes[node].add_event(port as u32, event) {
            return Status::FULL;
        }
        self.call(node);
        Status::OK
    }

    /// Passes an event that a node does not handle on to what feeds the output it arrived at.
    pub(crate) fn pass_upstream(self: &Arc<Self>, node: usize, output: usize, event: Event) {
        let ports = &self.plan.nodes[node].ports;
        let forwards = |input: &usize| ports[*input].forwards_to == Some(output);
        let inputs = || (0..ports.len()).filter(|port| ports[*port].link.is_some());
        let any_forwards = inputs().any(|input| forwards(&input));
        for input in inputs().filter(|input| !any_forwards || forwards(input)) {
            // A full table loses no kind of event that is not waiting there already.
            let _ = self.raise(node, input, event);
        }
    }

    /// Ends the session because a node failed.
    pub(crate) fn fail(self: &Arc<Self>, fault: &Fault) {
        let error = self.explain(fault);
        error!(session = self.id, "{error}");
        let _ = self.failure.set(error);
        self.abort();
    }

    fn engine_panicked(self: &Arc<Self>, segment: usize, payload: Box<dyn Any + Send>) {
        // Dropping the payload could panic again.
        std::mem::forget(payload);
        let node = self.plan.segments[segment].nodes[0];
        let cause = "the engine panicked while it ran this node; please report it".into();
        let _ = self.failure.set(node_error(&self.plan, node, cause));
        self.abort();
    }

    fn explain(&self, fault: &Fault) -> NodeError {
        let mut cause = std::mem::take(&mut *lock(&self.nodes[fault.node].error));
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
        for segment in &self.segments {
            if let Some(mut claim) = segment.claim_done() {
                claim.clear();
                claim.complete();
            }
        }
        // Only now is it certain that no source hands in any more.
        (0..self.ingress.len()).for_each(|ingress| self.drop_ingress(ingress));
        (0..self.channels.len()).for_each(|channel| self.drop_channel(channel));
        self.release_handles();
        let ended = Ended {
            session: self.id,
            report: self.report(),
            error: self.failure.get().cloned(),
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
        for node in &self.nodes {
            self.engine.workers.forget(node.handle);
            handles::release(node.handle);
        }
    }
}

fn node_error(plan: &Plan, node: usize, cause: String) -> NodeError {
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
