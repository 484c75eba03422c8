//! Plans of graphs, and what holds of the plan of any graph.

use std::time::Duration;

use levada_plugin::{Builtin, Cost as NodeCost, prelude::*};

use super::*;
use crate::graph::GraphBuilder;

/// A node with ports to spare that does nothing.
struct Any<const COST: usize>;

impl<const COST: usize> Node for Any<COST> {
    const NAME: &'static str = ["light", "heavy", "blocking"][COST];
    const SUMMARY: &'static str = "Does nothing";
    const PORTS: &'static [Port] = &[
        Port::optional_input("a"),
        Port::optional_input("b"),
        Port::optional_input("c"),
        Port::output("x"),
        Port::output("y").max_out(3),
    ];
    const COST: NodeCost = [NodeCost::Light, NodeCost::Heavy, NodeCost::Blocking][COST];

    fn create(_config: &Config) -> Result<Self> {
        Ok(Any)
    }
}

fn registry() -> Registry {
    let plugin = Builtin::new("test", "1.0.0")
        .with::<Any<0>>()
        .with::<Any<1>>()
        .with::<Any<2>>();
    let mut registry = Registry::default();
    registry.add(&plugin.into_plugin());
    registry
}

/// A graph of nodes `name type`, to link.
fn graph(nodes: &[&str]) -> GraphBuilder {
    let mut graph = GraphBuilder::new("test");
    for node in nodes {
        let (name, type_name) = node.split_once(' ').unwrap_or((node, "light"));
        graph.node(name, type_name);
    }
    graph
}

/// A plan that nobody has judged yet.
fn laid_out(graph: &GraphBuilder) -> Plan {
    let registry = registry();
    let graph = graph
        .build(&registry)
        .unwrap_or_else(|problems| panic!("{problems}"));
    Plan::lay_out(graph, &registry).unwrap_or_else(|problem| panic!("{problem}"))
}

fn try_plan(graph: &GraphBuilder) -> Result<Plan, Problems> {
    let registry = registry();
    Plan::new(graph.build(&registry)?, &registry)
}

fn plan(graph: &GraphBuilder) -> Plan {
    try_plan(graph).unwrap_or_else(|problems| panic!("{problems}"))
}

fn segments(plan: &Plan) -> Vec<String> {
    plan.segments().map(|s| s.nodes.join(" ")).collect()
}

#[test]
fn a_node_that_feedback_reaches_begins_a_segment() {
    let mut graph = graph(&["source", "mix", "late", "sink"]);
    graph
        .link("source.x -> mix.a")
        .link("mix.x -> late.a")
        .link("late.x -> sink.a");
    assert_eq!(segments(&plan(&graph)), ["source mix late sink"]);

    graph.feedback("late.y -> mix.b", None, Some(3));
    let plan = plan(&graph);
    assert_eq!(segments(&plan), ["source", "mix late sink"]);
    let [back] = plan
        .channels
        .iter()
        .filter(|c| c.feedback)
        .collect::<Vec<_>>()[..]
    else {
        panic!("there is one feedback channel");
    };
    assert_eq!((back.producer, back.consumer, back.link), (1, 1, 3));
    assert_eq!((back.policy, back.capacity), (Policy::DropOldest, 3));
    assert!(plan.nodes[0].is_source && !plan.nodes[1].is_source);
}

#[test]
fn a_node_that_only_feedback_feeds_is_a_source() {
    let mut graph = graph(&["first", "next"]);
    graph
        .link("first.x -> next.a")
        .feedback("next.x -> first.a", None, None);
    let plan = plan(&graph);
    assert!(plan.nodes[0].is_source);
    assert_eq!((plan.nodes[0].inputs, segments(&plan).len()), (1, 1));
    let entries = &plan.segments[0].entries;
    assert!(matches!(
        entries[..],
        [Entry::Channel { .. }, Entry::Ingress { .. }]
    ));
}

#[test]
fn a_node_may_feed_itself() {
    let mut graph = graph(&["source", "own", "sink"]);
    graph
        .link("source.x -> own.a")
        .link("own.x -> sink.a")
        .feedback("own.y -> own.b", None, None);
    assert_eq!(segments(&plan(&graph)), ["source", "own sink"]);
}

#[test]
fn a_cycle_whose_queues_all_block_is_refused_and_one_that_drops_somewhere_is_not() {
    let cycle = |around: Policy, back: Policy| {
        let mut graph = graph(&["source", "mix", "decode heavy", "sink"]);
        graph
            .link("source.x -> mix.a")
            .link_with("mix.x -> decode.a", Some(around), Some(1))
            .link("decode.x -> sink.a")
            .feedback("decode.y -> mix.b", Some(back), None);
        try_plan(&graph)
    };
    for policy in [Policy::DropOldest, Policy::DropNewest, Policy::Latest] {
        assert!(cycle(policy, Policy::Block).is_ok(), "{policy}");
        assert!(cycle(Policy::Block, policy).is_ok(), "{policy}");
    }
    let refused = cycle(Policy::Block, Policy::Block).err().expect("refused");
    assert_eq!(
        refused.to_string(),
        "pipeline: every queue of a cycle blocks, so all can be full and wait for each other: \
         mix -> decode -> mix; give Policy::DropOldest or Policy::Latest to the feedback link \
         \"decode.y -> mix.b\"\n\n1 problem"
    );
}

#[test]
fn a_feedback_link_that_blocks_within_one_segment_is_refused() {
    let mut graph = graph(&["source", "mix", "late"]);
    graph
        .link("source.x -> mix.a")
        .link("mix.x -> late.a")
        .feedback("late.x -> mix.b", Some(Policy::Block), Some(4));
    assert!(try_plan(&graph).is_err());
}

#[test]
fn a_node_that_aligns_its_inputs_begins_a_segment_and_has_patience() {
    let graph = |sync: bool| {
        let mut graph = graph(&["source", "left", "right"]);
        let joined = graph.node("joined", "light");
        if sync {
            joined.sync_by_pts(Duration::from_millis(20));
        }
        graph
            .link("source.x -> left.a")
            .link("source.x -> right.a")
            .link_with("left.x -> joined.a", None, Some(4))
            // One call of `right` may bring three frames, and at its end another three.
            .link_with("right.y -> joined.b", Some(Policy::DropOldest), Some(5))
            .feedback("joined.x -> joined.c", None, None);
        plan(&graph)
    };
    let plan = graph(true);
    assert_eq!(segments(&plan), ["source left right", "joined"]);
    assert_eq!(plan.nodes[3].tolerance_ns, Some(20_000_000));
    let channels: Vec<_> = plan
        .channels
        .iter()
        .map(|c| (c.capacity, c.patience))
        .collect();
    assert_eq!(channels, [(6, 4), (6, 5), (8, usize::MAX)]);
    let plain = graph(false);
    assert!(plain.channels.iter().all(|c| c.patience == usize::MAX));
    assert_eq!(plain.nodes[3].tolerance_ns, None);
}

#[test]
fn each_blocking_feedback_link_is_told_once() {
    let mut graph = graph(&["source", "a", "b", "c"]);
    let block = Some(Policy::Block);
    graph
        .link("source.x -> a.a")
        .link("a.x -> b.a")
        .link("b.x -> c.a")
        .feedback("b.y -> a.b", block, None)
        .feedback("c.x -> a.c", block, None)
        .feedback("c.y -> b.b", None, None);
    let refused = try_plan(&graph).err().expect("refused").to_string();
    for told in [
        "other: a -> b -> a;",
        "other: a -> b -> c -> a;",
        "2 problems",
    ] {
        assert!(refused.contains(told), "{told}\n{refused}");
    }
}

#[test]
fn a_latest_channel_holds_one_frame_whatever_its_capacity() {
    let mut graph = graph(&["source", "slow heavy"]);
    graph.link_with("source.x -> slow.a", Some(Policy::Latest), Some(4));
    let capacities: Vec<_> = plan(&graph).channel_capacities().collect();
    assert_eq!(capacities, [Some(1)]);
}

/// A small generator of random numbers (xorshift64*), so that a failure repeats by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap_or(0) % end.max(1)
    }
}

/// A graph at random: nodes of all costs, some with aligned inputs, links forwards, and feedback
/// links where they close a cycle.
fn random_graph(random: &mut Random) -> GraphBuilder {
    let count = 2 + random.below(7);
    let mut graph = GraphBuilder::new("random");
    // The first input is always linked, so that no node hangs loose.
    let inputs: Vec<usize> = (0..count)
        .map(|node| node.min(1 + random.below(2)))
        .collect();
    let aligned: Vec<bool> = (0..count)
        .map(|node| inputs[node] == 2 && random.below(2) == 0)
        .collect();
    for (node, aligned) in aligned.iter().enumerate() {
        let type_name = ["light", "light", "heavy", "blocking"][random.below(4)];
        let added = graph.node(&format!("n{node}"), type_name);
        if *aligned {
            added.sync_by_pts(Duration::from_millis(5));
        }
    }
    let mut reaches = vec![vec![false; count]; count];
    (0..count).for_each(|node| reaches[node][node] = true);
    let port = |random: &mut Random| ["x", "y"][random.below(2)];
    for to in 1..count {
        for input in ["a", "b"].into_iter().take(inputs[to]) {
            let from = random.below(to);
            let link = format!("n{from}.{} -> n{to}.{input}", port(random));
            let policy = Policy::ALL[random.below(if aligned[to] { 3 } else { 4 })];
            graph.link_with(&link, Some(policy), Some(1 + random.below(4)));
            for row in &mut reaches {
                row[to] |= row[from];
            }
        }
    }
    for (to, reached) in reaches.iter().enumerate() {
        let from = to + random.below(count - to);
        if random.below(3) == 0 && reached[from] {
            let link = format!("n{from}.{} -> n{to}.c", port(random));
            let policy = Policy::ALL[random.below(4)];
            graph.feedback(&link, Some(policy), Some(1 + random.below(4)));
        }
    }
    graph
}

#[test]
fn whatever_the_graph_only_roots_have_inputs_from_outside() {
    let mut random = Random(0x5e6_0e27);
    let mut feedback = 0;
    for _ in 0..500 {
        let plan = laid_out(&random_graph(&mut random));
        let links = &plan.graph.links;
        for (link, route) in links.iter().zip(&plan.routes) {
            let (from, to) = (&plan.nodes[link.from.node], &plan.nodes[link.to.node]);
            match route {
                Route::Inline => {
                    assert_eq!(from.segment, to.segment);
                    assert!(from.local < to.local && !link.feedback);
                }
                Route::Channel(channel) => {
                    let channel = &plan.channels[*channel];
                    assert_eq!(to.local, 0, "a channel leads to a root");
                    assert_eq!(
                        (channel.producer, channel.consumer),
                        (from.segment, to.segment)
                    );
                    assert!(channel.feedback || from.segment < to.segment);
                    feedback += usize::from(channel.feedback);
                }
            }
        }
        for segment in &plan.segments {
            let alone = segment.class == Class::Light || segment.nodes.len() == 1;
            assert!(alone, "heavy and blocking nodes stay alone");
            let channels = segment
                .entries
                .iter()
                .filter(|e| matches!(e, Entry::Channel { .. }));
            assert_eq!(channels.count(), plan.nodes[segment.nodes[0]].inputs);
        }
    }
    assert!(feedback > 100, "only {feedback} feedback links");
}

/// Whether segments wait for each other in a circle, found by taking away those that wait for none.
fn blocks_in_a_circle(plan: &Plan) -> bool {
    let mut left: Vec<(usize, usize)> = plan
        .channels
        .iter()
        .filter(|channel| channel.policy == Policy::Block)
        .map(|channel| (channel.producer, channel.consumer))
        .collect();
    loop {
        let before = left.len();
        let waits: Vec<usize> = left.iter().map(|(producer, _)| *producer).collect();
        left.retain(|(_, consumer)| waits.contains(consumer));
        if left.len() == before {
            return before > 0;
        }
    }
}

/// Frames as mere numbers, moved through a plan by the rule of room, in an order at random.
struct Model<'a> {
    plan: &'a Plan,
    /// By channel: frames that wait.
    waiting: Vec<usize>,
    /// Nodes that have emitted nothing and never will.
    mute: Vec<bool>,
    random: &'a mut Random,
}

impl Model<'_> {
    fn has_room(&self, need: &Need) -> bool {
        need.iter().all(|(channel, frames)| {
            self.plan.channels[*channel].capacity - self.waiting[*channel] >= *frames
        })
    }

    /// One frame at a node: it emits up to what it may, mostly all of that.
    fn call(&mut self, node: usize) {
        if self.mute[node] {
            return;
        }
        for port in 0..self.plan.nodes[node].ports.len() {
            let most = self.plan.nodes[node].ports[port].max_out;
            let count = most - self.random.below(4).min(most) / 3;
            self.emit(PortRef { node, port }, count);
        }
    }

    fn emit(&mut self, from: PortRef, count: usize) {
        let plan = self.plan;
        for link in &plan.nodes[from.node].ports[from.port].links {
            for _ in 0..count {
                let Route::Channel(channel) = plan.routes[*link] else {
                    self.call(plan.graph.links[*link].to.node);
                    continue;
                };
                let PlanChannel {
                    policy, capacity, ..
                } = plan.channels[channel];
                let is_full = self.waiting[channel] == capacity;
                assert!(!is_full || policy != Policy::Block, "room was promised");
                self.waiting[channel] += usize::from(!is_full);
            }
        }
    }

    /// Whether a node that aligns its inputs takes from one of them now.
    fn is_aligned(&self, segment: &PlanSegment) -> bool {
        let aligned = || {
            segment
                .entries
                .iter()
                .filter_map(|entry| match *entry {
                    Entry::Channel { channel, .. } => Some(channel),
                    Entry::Ingress { .. } => None,
                })
                .filter(|channel| self.plan.channels[*channel].patience != usize::MAX)
        };
        aligned().all(|channel| self.waiting[channel] > 0)
            || aligned().any(|channel| self.waiting[channel] > self.plan.channels[channel].patience)
    }

    /// Runs the graph for a while; returns whether it came to stand still.
    fn stands_still(&mut self) -> bool {
        let plan = self.plan;
        for step in 0..400 {
            // Sources hand in first, so that what follows is full.
            let mut held_back = false;
            for ingress in plan.ingress.iter().filter(|_| step < 200) {
                if self.has_room(&ingress.need) {
                    self.emit(ingress.from, 1);
                } else {
                    held_back = true;
                }
            }
            let mut waits = vec![];
            for segment in &plan.segments {
                for entry in &segment.entries {
                    let Entry::Channel { channel, to } = *entry else {
                        continue;
                    };
                    let is_aligned =
                        plan.channels[channel].patience == usize::MAX || self.is_aligned(segment);
                    if self.waiting[channel] > 0 && is_aligned {
                        waits.push((channel, to.node));
                    }
                }
            }
            let mut can_go_on = waits.clone();
            can_go_on.retain(|(_, node)| self.has_room(&plan.nodes[*node].need));
            if can_go_on.is_empty() {
                if held_back || !waits.is_empty() {
                    return true;
                }
                continue;
            }
            let (channel, node) = can_go_on[self.random.below(can_go_on.len())];
            self.waiting[channel] -= 1;
            self.call(node);
        }
        false
    }
}

#[test]
fn no_graph_that_is_accepted_comes_to_stand_still() {
    let mut random = Random(0xdead_10c4);
    let (mut refused, mut stuck, mut accepted) = (0, 0, 0);
    for _ in 0..700 {
        let graph = random_graph(&mut random);
        let plan = laid_out(&graph);
        let told = try_plan(&graph).err();
        assert_eq!(told.is_some(), blocks_in_a_circle(&plan), "{told:?}");
        let mut model = Model {
            waiting: vec![0; plan.channels.len()],
            mute: plan.nodes.iter().map(|_| random.below(6) == 0).collect(),
            plan: &plan,
            random: &mut random,
        };
        let stands_still = model.stands_still();
        match told {
            Some(_) => {
                refused += 1;
                stuck += usize::from(stands_still);
            }
            None => {
                accepted += 1;
                assert!(!stands_still, "{:?}", plan.graph);
            }
        }
    }
    // A graph that is refused need not stand still, but it can.
    assert!(
        accepted > 300 && stuck > 20,
        "{accepted} accepted, {refused} refused, {stuck} stuck"
    );
}
