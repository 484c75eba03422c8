//! [`Plan`]: how a graph will run: segments, channels, and where what a session has lies in its memory.
//!
//! *Segments.* A segment is a set of nodes that one task runs inline, each call following from the
//! one before. A light node joins the segment that all its inputs come from; a source, a node fed by
//! several segments or by a feedback link, one whose inputs are aligned, and a heavy or blocking node
//! begin a segment of their own (the latter two stay alone in it), and so does what would make one
//! longer than [`MAX_INLINE`]. So every segment has one root, and
//! only a root has inputs from outside.
//!
//! *Feedback.* A feedback link is a channel even where producer and consumer are in one segment. It
//! counts neither for the order of nodes nor for what a segment waits for at its end: a node whose
//! linked inputs are all feedback is a source.
//!
//! *Alignment.* A node with `sync = "pts"` takes the frames of its inputs in the order of their `pts`,
//! which it can tell only while each input that has not ended has a frame. Frames wait for that in
//! the channels, at most [`PlanChannel::patience`] of them; once more wait at one input, the node
//! goes on without those that are missing. Inputs of feedback links are not aligned.
//!
//! *Room.* A node is called only when every `block` channel that its segment can reach from it has
//! room for all that the call may cause. [`PlanNode::need`] holds those channels with the most
//! frames that one frame at this node may become there; a channel's capacity is raised to what one
//! call needs, and what a node's end needs.
//!
//! *No graph stands still.* As long as a frame waits somewhere and every call returns, some segment
//! can go on. No thread waits inside a call; only a segment waits, and only for room in a `block`
//! channel. Say that segment S does. The channel holds at least one frame, because empty it would
//! have room for any call, so its consumer T has something to take. T takes from each of its entries
//! by itself, never from two at once, so T goes on as well unless it waits for room further on.
//! Walking on like this leads to a segment that goes on, or back to one on the way, over `block`
//! channels only. [`Plan::new`] refuses a graph in which such a cycle exists ([`deadlock`]). A
//! segment that goes on makes room, and wakes who waited for it.
//!
//! What could have broken this, and does not:
//! * Branches that part and meet again: an output that feeds both waits until both have room, the
//!   branches wait only for what follows, and where they meet each is taken from by itself.
//! * A node that aligns its inputs does wait at one entry for the sake of another, and what it waits
//!   for may be held back by the first: a branch that brings nothing because the output before both
//!   has no room. Such an entry's channel holds `patience` frames and what one call of its producer
//!   needs, so a producer without room means that more than `patience` wait, and the node goes on.
//! * Heavy and blocking nodes in a cycle: they stay alone in their segments, so the cycle has a
//!   channel on each side of them, and those are judged like any other.
//! * A large `max_out`, and nodes that emit at their end: capacities are raised as above.
//! * A source's ring: whoever finds it full is told so and does not wait in the engine.
//! * The end of a cycle: the consumer of a feedback link may end before its producer. From then on
//!   the channel takes what comes and drops it ([`PlanChannel::feedback`]).
//!
//! Not covered: calls that never return, such as blocking nodes that wait for each other outside
//! the engine.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use levada_abi::{NOWHERE, direction, port_flags};
use serde::Serialize;

use super::{
    Cost, DEFAULT_CAPACITY, Graph, MAX_CAPACITY, Pattern, Policy, PortRef, Problem, Problems,
    format_text, limits, negotiate,
    steps::{Step, Target},
};
use crate::{
    plugin::{NodeType, Registry},
    session::block::BlockLayout,
};

mod deadlock;

/// Frames a source may hand in ahead of the engine, at least. Where all its links state less than
/// they would have by default, few frames are to wait, and its ring follows them.
const MIN_INGRESS: usize = 16;

/// Nodes of a segment. The calls of nodes that emit lie on one stack, one on the other, and it may be that
/// of a thread which is not the engine's.
const MAX_INLINE: usize = 128;

/// How a graph will run. Made once, shared by all sessions of the graph.
pub struct Plan {
    pub(crate) graph: Graph,
    pub(crate) types: Vec<Arc<NodeType>>,
    pub(crate) nodes: Vec<PlanNode>,
    pub(crate) routes: Vec<Route>,
    pub(crate) channels: Vec<PlanChannel>,
    pub(crate) ingress: Vec<PlanIngress>,
    pub(crate) segments: Vec<PlanSegment>,
    pub(crate) steps: Vec<Step>,
    /// The runs of steps; each step is in one.
    pub(crate) runs: Vec<Range<usize>>,
    pub(crate) block: BlockLayout,
    /// By node and port: what it will carry, as text.
    formats: Vec<Box<[String]>>,
}

/// A bound on frames in channels: index of a channel, and how many frames one may become there.
pub(crate) type Need = Vec<(usize, usize)>;

pub(crate) struct PlanNode {
    pub segment: usize,
    /// Position in its segment.
    pub local: usize,
    pub ports: Vec<PlanPort>,
    pub need: Need,
    /// No link feeds it, feedback apart.
    pub is_source: bool,
    /// Number of linked inputs, feedback included.
    pub inputs: usize,
    /// Its inputs are aligned by `pts`, and frames this near count as simultaneous, in ns.
    pub tolerance_ns: Option<i64>,
}

pub(crate) struct PlanPort {
    pub is_output: bool,
    /// Input: the link that feeds it.
    pub link: Option<usize>,
    /// Output: the links that it feeds, those whose consumer only looks first.
    pub links: Vec<usize>,
    pub forwards_to: Option<usize>,
    pub max_out: usize,
    pub read_only: bool,
    /// Output of a source: index of its ingress.
    pub ingress: Option<usize>,
    /// Linked input: index of its step.
    pub step: usize,
    /// Output: where `links` lead, in the same order.
    pub targets: Box<[Target]>,
}

/// How a link carries frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// By a call within the segment.
    Inline,
    /// By the channel with this index.
    Channel(usize),
}

pub(crate) struct PlanChannel {
    pub link: usize,
    pub policy: Policy,
    pub capacity: usize,
    /// Segments; of a feedback link they may be the same.
    pub producer: usize,
    pub consumer: usize,
    /// Position among the outlets of the segment that produces.
    pub outlet: usize,
    /// The link leads back. Its consumer ends when its other inputs have ended; what comes after that
    /// finds nobody, and must not wait for room.
    pub feedback: bool,
    /// Frames that may wait here for those of other inputs, where the consumer aligns this one:
    /// while more wait, it goes on without. Elsewhere `usize::MAX`.
    pub patience: usize,
}

/// The ring in which frames wait that a source handed in while its segment was running.
pub(crate) struct PlanIngress {
    pub from: PortRef,
    pub capacity: usize,
    pub need: Need,
}

/// Which threads run a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A worker, or the thread that hands frames in.
    Light,
    /// As light, on the audio lane: all its nodes deal with audio alone.
    Audio,
    /// A worker.
    Heavy,
    /// A thread set aside for nodes that may wait.
    Blocking,
}

impl Class {
    /// Whether its segments are soon done, so that any thread may run them.
    pub(crate) fn is_light(self) -> bool {
        matches!(self, Class::Light | Class::Audio)
    }
}

pub(crate) struct PlanSegment {
    /// Nodes in topological order; the first is the root.
    pub nodes: Vec<usize>,
    pub class: Class,
    pub entries: Vec<Entry>,
    /// Channels that it feeds.
    pub outlets: usize,
    /// Channels that feed it; they are the first of its entries.
    pub inlets: usize,
}

/// Where frames come into a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    Channel { channel: usize, to: PortRef },
    Ingress { ingress: usize },
}

/// A segment as people see it.
#[derive(Clone, Debug, Serialize)]
pub struct SegmentSummary {
    /// Names of its nodes, in the order in which they run.
    pub nodes: Vec<String>,
    /// Which threads run it.
    pub class: Class,
}

impl Plan {
    /// Plans a graph that was validated against `registry`.
    ///
    /// # Errors
    /// When a cycle can stand still because all its queues block, when the graph cannot keep its
    /// limits, when a call of a node may put more frames into a channel than one can hold, when the
    /// states of the nodes do not fit into memory, or when `registry` is not the one that validated the
    /// graph.
    pub fn new(graph: Graph, registry: &Registry) -> Result<Plan, Problems> {
        let plan = Plan::lay_out(graph, registry)?;
        let mut problems = Problems::default();
        deadlock::find(&plan, &mut problems);
        limits::judge(&plan, &mut problems);
        if problems.is_empty() {
            Ok(plan)
        } else {
            problems.sort();
            Err(problems)
        }
    }

    /// Plans a graph that may turn out to be unfit to run.
    fn lay_out(graph: Graph, registry: &Registry) -> Result<Plan, Problem> {
        let mut types = Vec::with_capacity(graph.nodes.len());
        for node in &graph.nodes {
            let Some(node_type) = registry.node_type(&node.type_name) else {
                let cause = format!("the registry has no node type \"{}\"", node.type_name);
                return Err(Problem::new(
                    node.place.clone(),
                    cause,
                    "plan with the registry that validated the graph",
                ));
            };
            types.push(node_type.clone());
        }
        let nodes = types.iter().enumerate();
        let nodes = nodes.map(|(index, node_type)| plan_node(index, &graph, node_type, &types));
        let mut nodes: Vec<PlanNode> = nodes.collect();
        let segments = segment(&graph, &types, &mut nodes);
        let mut plan = Plan {
            routes: vec![Route::Inline; graph.links.len()],
            channels: vec![],
            ingress: vec![],
            graph,
            types,
            nodes,
            segments,
            steps: vec![],
            runs: vec![],
            block: BlockLayout::default(),
            formats: vec![],
        };
        let of_node = |node: usize| {
            let ports = 0..plan.nodes[node].ports.len();
            ports
                .map(|port| format_text(&plan.patterns(node, port)))
                .collect()
        };
        plan.formats = (0..plan.nodes.len()).map(of_node).collect();
        plan.add_entries();
        plan.add_steps();
        plan.add_needs()?;
        plan.block = BlockLayout::new(&plan).ok_or_else(|| plan.too_large())?;
        Ok(plan)
    }

    /// The graph.
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Whether the graph is a template for sessions: it has a node that belongs to one peer.
    #[must_use]
    pub fn is_template(&self) -> bool {
        self.types.iter().any(|t| t.is_for_peers())
    }

    /// The segments, for people.
    pub fn segments(&self) -> impl Iterator<Item = SegmentSummary> + '_ {
        self.segments.iter().map(|segment| SegmentSummary {
            nodes: segment
                .nodes
                .iter()
                .map(|n| self.graph.nodes[*n].name.clone())
                .collect(),
            class: segment.class,
        })
    }

    /// For each link in the graph's order: the capacity of its channel, or `None` when frames are
    /// carried by a call within a segment.
    pub fn channel_capacities(&self) -> impl Iterator<Item = Option<usize>> + '_ {
        self.routes.iter().map(|route| match route {
            Route::Inline => None,
            Route::Channel(channel) => Some(self.channels[*channel].capacity),
        })
    }

    /// What a port of a node will carry: patterns within those that it states, one for each encoding and
    /// as a rule one for each kind of media (`video/h264`). Empty for a port that is not linked, or that is
    /// not there.
    #[must_use]
    pub fn formats(&self, node: &str, port: &str) -> Vec<String> {
        let nodes = self.graph.nodes.iter();
        let Some(node) = nodes.into_iter().position(|n| n.name == node) else {
            return vec![];
        };
        let mut ports = self.types[node].info().ports.iter();
        let port = ports.position(|p| p.name == port);
        port.map_or(vec![], |port| negotiate::words(&self.patterns(node, port)))
    }

    /// By port of a node: what it will carry, as text; empty for one that is not linked.
    pub(crate) fn formats_of(&self, node: usize) -> &[String] {
        &self.formats[node]
    }

    fn patterns(&self, node: usize, port: usize) -> Vec<Pattern> {
        let port = &self.nodes[node].ports[port];
        let links = port.links.iter().chain(&port.link);
        negotiate::join(links.flat_map(|link| &self.graph.links[*link].formats))
    }

    /// Whether frames come round to a segment at this entry.
    pub(crate) fn is_feedback(&self, entry: &Entry) -> bool {
        matches!(entry, Entry::Channel { channel, .. } if self.channels[*channel].feedback)
    }

    /// `node.port`, as messages and reports write it.
    #[must_use]
    pub fn port_name(&self, at: PortRef) -> String {
        format!(
            "{}.{}",
            self.graph.nodes[at.node].name,
            self.types[at.node].info().ports[at.port].name
        )
    }

    /// Names the links that an output port feeds, or the port when there is none.
    pub(crate) fn way_out(&self, from: PortRef) -> String {
        let links = &self.nodes[from.node].ports[from.port].links;
        let link = |link: &usize| {
            let to = self.port_name(self.graph.links[*link].to);
            format!("link \"{} -> {to}\"", self.port_name(from))
        };
        match &links[..] {
            [] => format!("output \"{}\"", self.port_name(from)),
            links => links.iter().map(link).collect::<Vec<_>>().join(" and "),
        }
    }

    fn add_entries(&mut self) {
        for (index, link) in self.graph.links.iter().enumerate() {
            let (producer, consumer) = (
                self.nodes[link.from.node].segment,
                self.nodes[link.to.node].segment,
            );
            if producer != consumer || link.feedback {
                let channel = self.channels.len();
                self.channels.push(PlanChannel {
                    link: index,
                    policy: link.policy,
                    capacity: match link.policy {
                        Policy::Latest => 1,
                        _ => link.capacity,
                    },
                    producer,
                    consumer,
                    outlet: self.segments[producer].outlets,
                    feedback: link.feedback,
                    patience: match self.nodes[link.to.node].tolerance_ns {
                        Some(_) if !link.feedback => link.capacity,
                        _ => usize::MAX,
                    },
                });
                self.segments[producer].outlets += 1;
                self.segments[consumer].inlets += 1;
                self.routes[index] = Route::Channel(channel);
                self.segments[consumer].entries.push(Entry::Channel {
                    channel,
                    to: link.to,
                });
            }
        }
        for (node, plan) in self
            .nodes
            .iter_mut()
            .enumerate()
            .filter(|(_, n)| n.is_source)
        {
            for (port, out) in plan
                .ports
                .iter_mut()
                .enumerate()
                .filter(|(_, p)| !p.links.is_empty())
            {
                let capacity = out
                    .links
                    .iter()
                    .map(|l| self.graph.links[*l].capacity)
                    .max();
                let ingress = self.ingress.len();
                out.ingress = Some(ingress);
                self.ingress.push(PlanIngress {
                    from: PortRef { node, port },
                    capacity: match capacity.unwrap_or(0) {
                        small @ 1..DEFAULT_CAPACITY => small,
                        capacity => capacity.max(MIN_INGRESS),
                    },
                    need: vec![],
                });
                self.segments[plan.segment]
                    .entries
                    .push(Entry::Ingress { ingress });
            }
        }
    }

    /// What is to be said where no address space holds a session.
    fn too_large(&self) -> Problem {
        let states = self.types.iter().map(|t| t.desc().state_size).enumerate();
        let largest = states.max_by_key(|(_, size)| *size);
        let largest = largest.map_or(0, |(node, _)| node);
        Problem::new(
            self.graph.nodes[largest].place.clone(),
            "the states of the nodes do not fit into memory together",
            "use fewer nodes",
        )
    }

    fn add_needs(&mut self) -> Result<(), Problem> {
        for segment in &self.segments {
            for &node in segment.nodes.iter().rev() {
                let mut need = BTreeMap::new();
                for port in 0..self.nodes[node].ports.len() {
                    let times = self.nodes[node].ports[port].max_out;
                    for (channel, frames) in self.need_of_output(PortRef { node, port }) {
                        let sum: &mut usize = need.entry(channel).or_default();
                        *sum = sum.saturating_add(frames.saturating_mul(times));
                    }
                }
                // An output that never puts anything out needs nothing.
                need.retain(|_, frames| *frames > 0);
                self.nodes[node].need = need.into_iter().collect();
            }
        }
        for index in 0..self.ingress.len() {
            self.ingress[index].need = self.need_of_output(self.ingress[index].from);
        }
        // At its end a node is called once for each input and once more.
        let calls = self
            .nodes
            .iter()
            .enumerate()
            .map(|(at, node)| (at, node.inputs + 1, &node.need));
        let ingress = self
            .ingress
            .iter()
            .map(|ingress| (ingress.from.node, 1, &ingress.need));
        let mut most = vec![1; self.channels.len()];
        for (node, calls, need) in calls.chain(ingress) {
            for (channel, frames) in need {
                let wanted = frames.saturating_mul(calls);
                if wanted > MAX_CAPACITY {
                    let PortRef { node: to, .. } =
                        self.graph.links[self.channels[*channel].link].to;
                    let cause = format!(
                        "one frame at \"{}\" may become {frames} frames on their way to \"{}\", and a link \
                         holds at most {MAX_CAPACITY}",
                        self.graph.nodes[node].name, self.graph.nodes[to].name
                    );
                    let remedy = "put a heavy or blocking node between them, or node types with a smaller max_out";
                    return Err(Problem::new(
                        self.graph.nodes[node].place.clone(),
                        cause,
                        remedy,
                    ));
                }
                most[*channel] = wanted.max(most[*channel]);
            }
        }
        for (channel, most) in self.channels.iter_mut().zip(most) {
            if channel.patience == usize::MAX {
                channel.capacity = channel.capacity.max(most);
            } else {
                channel.patience = channel.patience.min(MAX_CAPACITY - most);
                channel.capacity = channel.patience + most;
            }
        }
        Ok(())
    }

    fn need_of_output(&self, from: PortRef) -> Need {
        let mut need = BTreeMap::new();
        for link in &self.nodes[from.node].ports[from.port].links {
            match self.routes[*link] {
                Route::Channel(channel) if self.channels[channel].policy == Policy::Block => {
                    *need.entry(channel).or_default() += 1;
                }
                Route::Channel(_) => {}
                Route::Inline => {
                    for (channel, frames) in &self.nodes[self.graph.links[*link].to.node].need {
                        let sum: &mut usize = need.entry(*channel).or_default();
                        *sum = sum.saturating_add(*frames);
                    }
                }
            }
        }
        need.into_iter().collect()
    }
}

fn plan_node(
    index: usize,
    graph: &Graph,
    node_type: &NodeType,
    types: &[Arc<NodeType>],
) -> PlanNode {
    let only_looks = |link: &usize| {
        let to = graph.links[*link].to;
        let port = &types[to.node].ports()[to.port];
        port.flags & port_flags::READ_ONLY != 0 && port.forwards_to == NOWHERE
    };
    let ports = node_type.ports().iter().enumerate().map(|(port, desc)| {
        let here = PortRef { node: index, port };
        let mut links: Vec<usize> = (0..graph.links.len())
            .filter(|l| graph.links[*l].from == here)
            .collect();
        links.sort_by_key(|link| !only_looks(link));
        PlanPort {
            is_output: desc.direction == direction::OUTPUT,
            link: graph.links.iter().position(|l| l.to == here),
            links,
            forwards_to: (desc.forwards_to != NOWHERE).then_some(desc.forwards_to as usize),
            max_out: if desc.direction == direction::OUTPUT {
                desc.max_out as usize
            } else {
                0
            },
            read_only: desc.flags & port_flags::READ_ONLY != 0,
            ingress: None,
            step: 0,
            targets: Box::default(),
        }
    });
    let ports: Vec<PlanPort> = ports.collect();
    PlanNode {
        segment: usize::MAX,
        local: 0,
        need: vec![],
        is_source: ports
            .iter()
            .all(|p| p.link.is_none_or(|link| graph.links[link].feedback)),
        inputs: ports.iter().filter(|p| p.link.is_some()).count(),
        ports,
        tolerance_ns: graph.nodes[index].sync.map(|sync| sync.tolerance_ns),
    }
}

fn segment(graph: &Graph, types: &[Arc<NodeType>], nodes: &mut [PlanNode]) -> Vec<PlanSegment> {
    let mut segments: Vec<PlanSegment> = vec![];
    for node in graph.topological_order() {
        let class = match types[node].info().cost {
            Cost::Light => Class::Light,
            Cost::Heavy => Class::Heavy,
            Cost::Blocking => Class::Blocking,
        };
        let inputs = || graph.links.iter().filter(|l| l.to.node == node);
        let begins = nodes[node].tolerance_ns.is_some() || inputs().any(|l| l.feedback);
        let mut feeders = inputs()
            .filter(|_| !begins)
            .map(|l| nodes[l.from.node].segment);
        let joined = feeders
            .next()
            .filter(|first| feeders.all(|other| other == *first))
            .filter(|s| segments[*s].nodes.len() < MAX_INLINE)
            .filter(|s| class == Class::Light && segments[*s].class == Class::Light);
        let segment = joined.unwrap_or_else(|| {
            segments.push(PlanSegment {
                nodes: vec![],
                class,
                entries: vec![],
                outlets: 0,
                inlets: 0,
            });
            segments.len() - 1
        });
        nodes[node].segment = segment;
        nodes[node].local = segments[segment].nodes.len();
        segments[segment].nodes.push(node);
    }
    for segment in segments.iter_mut().filter(|s| s.class == Class::Light) {
        if is_audio(graph, types, &segment.nodes) {
            segment.class = Class::Audio;
        }
    }
    segments
}

/// Whether nodes deal with audio alone: a linked port says so, and none says otherwise.
fn is_audio(graph: &Graph, types: &[Arc<NodeType>], nodes: &[usize]) -> bool {
    let linked = graph.links.iter().flat_map(|link| [link.from, link.to]);
    let formats = linked
        .filter(|at| nodes.contains(&at.node))
        .flat_map(|at| &types[at.node].info().ports[at.port].formats)
        .filter(|format| *format != "*");
    let mut any = false;
    for format in formats {
        if !format.starts_with("audio/") {
            return false;
        }
        any = true;
    }
    any
}

#[cfg(test)]
mod tests;
