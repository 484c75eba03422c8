//! Plans of graphs, and what holds of the plan of any graph.

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

fn plan(graph: &GraphBuilder) -> Plan {
    let registry = registry();
    let graph = graph
        .build(&registry)
        .unwrap_or_else(|problems| panic!("{problems}"));
    Plan::new(graph, &registry).unwrap_or_else(|problem| panic!("{problem}"))
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

/// A graph at random: nodes of all costs, links forwards, and feedback links where they close a
/// cycle.
fn random_graph(random: &mut Random) -> GraphBuilder {
    let count = 2 + random.below(7);
    let mut graph = GraphBuilder::new("random");
    for node in 0..count {
        let type_name = ["light", "light", "heavy", "blocking"][random.below(4)];
        graph.node(&format!("n{node}"), type_name);
    }
    let mut reaches = vec![vec![false; count]; count];
    (0..count).for_each(|node| reaches[node][node] = true);
    let port = |random: &mut Random| ["x", "y"][random.below(2)];
    for to in 1..count {
        // The first input is always linked, so that no node hangs loose.
        for input in ["a", "b"].into_iter().take(1 + random.below(2)) {
            let from = random.below(to);
            let link = format!("n{from}.{} -> n{to}.{input}", port(random));
            let policy = Policy::ALL[random.below(4)];
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
            graph.feedback(&link, None, Some(1 + random.below(4)));
        }
    }
    graph
}

#[test]
fn whatever_the_graph_only_roots_have_inputs_from_outside() {
    let mut random = Random(0x5e6_0e27);
    let mut feedback = 0;
    for _ in 0..500 {
        let plan = plan(&random_graph(&mut random));
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
