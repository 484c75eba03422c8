//! [`Spec`]: a random graph as plain data, how it is drawn, and the graph it stands for.

use std::{fmt, sync::Arc, time::Duration};

use levada_engine::{
    graph::{GraphBuilder, ParamValue, Plan, Policy},
    plugin::Registry,
};
use proptest::{prelude::*, sample::select};

use super::{
    filter::WAYS,
    ledger::PORTS,
    nodes::{FAULTS, plugin},
};

/// A graph, and how its run ends.
#[derive(Clone, Debug)]
pub struct Spec {
    pub nodes: Vec<NodeSpec>,
    pub links: Vec<LinkSpec>,
    pub ending: Ending,
    /// Threads of the engine, where it has some.
    pub workers: usize,
    pub blocking: usize,
    /// Whether sound, which all of it is, has threads of its own.
    pub lane: bool,
    /// Seed of the virtual clock, where it has one.
    pub seed: u64,
}

/// What the run waits for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ending {
    /// The sources' ends.
    Natural,
    /// This moment, in us; then the session is stopped.
    Stop(u64),
    /// This moment, in us; then it is aborted.
    Abort(u64),
}

#[derive(Clone, Debug)]
pub struct NodeSpec {
    pub type_name: String,
    pub params: Vec<(&'static str, ParamValue)>,
    /// Outputs that links may take from.
    outputs: usize,
    /// Aligns what comes in, where two links or more come in: within so many steps of the numbers.
    tolerance: Option<u64>,
}

impl NodeSpec {
    pub fn is_source(&self) -> bool {
        self.type_name.starts_with("ticker") || self.type_name.starts_with("handed")
    }

    /// When and how the node is told to go wrong.
    pub fn fault(&self) -> &str {
        match self.params.iter().find(|(name, _)| *name == "fault") {
            Some((_, ParamValue::Text(fault))) => fault,
            _ => "none",
        }
    }
}

#[derive(Clone, Debug)]
pub struct LinkSpec {
    /// Node and output.
    pub from: (usize, usize),
    /// Node and input.
    pub to: (usize, usize),
    pub policy: Policy,
    pub capacity: usize,
}

impl Spec {
    /// Plans the graph; `None` where one frame may become too many for a link. With `threads`, what is
    /// handed in comes from threads of the sources' own.
    pub fn plan(&self, threads: bool) -> Option<Arc<Plan>> {
        let mut registry = Registry::default();
        assert!(registry.add(&plugin()).is_empty());
        let mut graph = GraphBuilder::new("random");
        for (index, node) in self.nodes.iter().enumerate() {
            let mut built = graph
                .node(&format!("n{index}"), &node.type_name)
                .param("index", index as i64);
            if node.type_name.starts_with("handed") {
                built = built.param("own-thread", threads);
            }
            for (name, value) in &node.params {
                built = built.param(name, value.clone());
            }
            if let Some(tolerance) = node.tolerance {
                built.sync_by_pts(Duration::from_nanos(tolerance));
            }
        }
        for link in &self.links {
            graph.link_with(&link.to_string(), Some(link.policy), Some(link.capacity));
        }
        let graph = graph
            .build(&registry)
            .unwrap_or_else(|problems| panic!("{problems}\n{self}"));
        match Plan::new(graph, &registry) {
            Ok(plan) => Some(Arc::new(plan)),
            Err(problem) if problem.to_string().contains("may become") => None,
            Err(problem) => panic!("{problem}\n{self}"),
        }
    }
}

impl fmt::Display for LinkSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((from, output), (to, input)) = (self.from, self.to);
        write!(f, "n{from}.out{output} -> n{to}.in{input}")
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, node) in self.nodes.iter().enumerate() {
            write!(f, "  n{index}: {}", node.type_name)?;
            for (name, value) in &node.params {
                match value {
                    ParamValue::Text(text) => write!(f, " {name}={text}")?,
                    ParamValue::Integer(number) => write!(f, " {name}={number}")?,
                    ParamValue::Bool(yes) => write!(f, " {name}={yes}")?,
                    ParamValue::Float(number) => write!(f, " {name}={number}")?,
                }
            }
            if let Some(tolerance) = node.tolerance {
                write!(f, " tolerance={tolerance}")?;
            }
            writeln!(f)?;
        }
        for link in &self.links {
            writeln!(f, "  {link} {} {}", link.policy, link.capacity)?;
        }
        write!(
            f,
            "  {:?}, workers {}, blocking {}, lane for sound {}, virtual seed {}",
            self.ending, self.workers, self.blocking, self.lane, self.seed
        )
    }
}

/// How long sources go on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// Up to some hundred frames.
    Short,
    /// Until they are stopped.
    Endless,
}

fn words(words: &'static str) -> Vec<&'static str> {
    words.split_whitespace().collect()
}

/// Few nodes are told to go wrong, and fewer where a run is long: most sessions are to go well.
fn fault(length: Length) -> impl Strategy<Value = Vec<(&'static str, ParamValue)>> {
    let faults = words(FAULTS)[1..].to_vec();
    let (well, last) = match length {
        Length::Short => (19, 40),
        Length::Endless => (99, 4000),
    };
    let fault = prop_oneof![well => Just("none"), 1 => select(faults)];
    (fault, 0i64..last).prop_map(|(fault, at)| {
        if fault == "none" {
            return vec![];
        }
        // A node is drained once.
        let at = if fault.starts_with("process") { at } else { 0 };
        vec![("fault", fault.into()), ("fault-at", at.into())]
    })
}

/// Ns between two calls: none, or from 1 to 400 us.
fn period() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), 1_000i64..400_000]
}

fn source(length: Length) -> impl Strategy<Value = NodeSpec> {
    let count = match length {
        Length::Short => (0i64..200).boxed(),
        Length::Endless => Just(i64::MAX).boxed(),
    };
    let cost = select(vec!["light", "heavy", "blocking"]);
    (
        any::<bool>(),
        cost,
        count,
        0i64..5,
        period(),
        1i64..40,
        any::<bool>(),
    )
        .prop_map(|(ticks, cost, count, burst, period, batch, drops)| {
            let (kind, params): (_, Vec<(_, ParamValue)>) = if ticks {
                let params = vec![
                    ("count", count.into()),
                    ("burst", burst.into()),
                    ("period", period.into()),
                ];
                ("ticker", params)
            } else {
                let params = vec![
                    ("count", count.into()),
                    ("batch", batch.into()),
                    ("drops", drops.into()),
                ];
                ("handed", params)
            };
            NodeSpec {
                type_name: format!("{kind}-{cost}"),
                params,
                outputs: PORTS,
                tolerance: None,
            }
        })
}

fn filter() -> impl Strategy<Value = NodeSpec> {
    let kind = prop_oneof![4 => Just("filter"), 1 => Just("looks")];
    let cost = prop_oneof![4 => Just("light"), 1 => Just("heavy"), 1 => Just("blocking")];
    let way = select(words(WAYS));
    let ticks = prop_oneof![4 => Just(0i64), 1 => 1i64..50];
    (kind, cost, way, 0i64..3, any::<bool>(), ticks, period()).prop_map(
        |(kind, cost, way, delay, answers, ticks, period)| {
            let mut params: Vec<(_, ParamValue)> = vec![("way", way.into())];
            if way == "delay" {
                params.push(("delay", delay.into()));
            }
            if answers {
                params.push(("answers", true.into()));
            }
            if ticks > 0 {
                params.extend([("ticks", ticks.into()), ("period", period.into())]);
            }
            NodeSpec {
                type_name: format!("{kind}-{cost}"),
                params,
                outputs: PORTS,
                tolerance: None,
            }
        },
    )
}

fn sink() -> impl Strategy<Value = NodeSpec> {
    let kind = prop_oneof![2 => Just("sink"), 1 => Just("watch")];
    let cost = select(vec!["light", "heavy", "blocking"]);
    let asks = prop_oneof![2 => Just(0i64), 1 => 1i64..6];
    (kind, cost, asks).prop_map(|(kind, cost, asks)| NodeSpec {
        type_name: format!("{kind}-{cost}"),
        params: vec![("asks", asks.into())],
        outputs: 0,
        tolerance: None,
    })
}

/// Where an input's frames come from: a number that chooses the producer and one its output.
type Feeder = Option<(usize, usize, Policy, usize)>;

fn feeder() -> impl Strategy<Value = Feeder> {
    let policy = prop_oneof![
        4 => Just(Policy::Block),
        1 => Just(Policy::DropOldest),
        1 => Just(Policy::DropNewest),
        1 => Just(Policy::Latest),
    ];
    // Mostly output 0, which carries most, and mostly few places, where room matters.
    let output = prop_oneof![3 => Just(0usize), 1 => 0..PORTS];
    let capacity = prop_oneof![3 => 1usize..9, 1 => 1usize..64];
    let from = (0usize..100, output, policy, capacity);
    prop_oneof![1 => from.clone().prop_map(Some), 1 => Just(None)]
}

fn node(length: Length) -> impl Strategy<Value = (NodeSpec, [Feeder; PORTS])> {
    let spec = prop_oneof![
        2 => source(length).boxed(),
        6 => filter().boxed(),
        3 => sink().boxed(),
    ];
    let spin = prop_oneof![4 => Just(0i64), 1 => 1i64..2000];
    let tolerance = prop_oneof![3 => Just(None), 1 => (0u64..4).prop_map(Some)];
    let spec =
        (spec, fault(length), spin, tolerance).prop_map(|(mut spec, fault, spin, tolerance)| {
            spec.params.extend(fault);
            spec.tolerance = tolerance;
            if spin > 0 {
                spec.params.push(("spin", spin.into()));
            }
            spec
        });
    (spec, [feeder(), feeder(), feeder()])
}

/// Joins nodes: each input to an output of a node before it, so that there is no cycle.
fn join(drawn: Vec<(NodeSpec, [Feeder; PORTS])>) -> (Vec<NodeSpec>, Vec<LinkSpec>) {
    let (mut nodes, feeders): (Vec<NodeSpec>, Vec<_>) = drawn.into_iter().unzip();
    let mut links: Vec<LinkSpec> = vec![];
    for (to, mut feeders) in feeders.into_iter().enumerate() {
        if nodes[to].is_source() {
            continue;
        }
        let inputs = if nodes[to].outputs == 0 { 2 } else { PORTS };
        if feeders[..inputs].iter().all(Option::is_none) {
            feeders[0] = Some((to, 0, Policy::Block, 4));
        }
        let producers: Vec<usize> = (0..to).filter(|n| nodes[*n].outputs > 0).collect();
        for (input, feeder) in feeders.into_iter().take(inputs).enumerate() {
            if let Some((producer, output, policy, capacity)) = feeder {
                // The latest is the more likely, so that chains come about.
                let back = producer * producer * producers.len() / 10_000;
                links.push(LinkSpec {
                    from: (producers[producers.len() - 1 - back], output),
                    to: (to, input),
                    policy,
                    capacity,
                });
            }
        }
    }
    for (to, node) in nodes.iter_mut().enumerate() {
        let inputs = links.iter_mut().filter(|link| link.to.0 == to);
        let inputs: Vec<_> = inputs.map(|link| &mut link.policy).collect();
        if inputs.len() < 2 {
            node.tolerance = None;
        }
        if node.tolerance.is_some() {
            // What is to wait for others cannot be displaced by each that comes after it.
            let latest = inputs
                .into_iter()
                .filter(|policy| **policy == Policy::Latest);
            latest.for_each(|policy| *policy = Policy::DropOldest);
        }
    }
    // A node without links is refused, and only sources can be.
    for lone in 0..nodes.len() {
        if !links
            .iter()
            .any(|link| link.from.0 == lone || link.to.0 == lone)
        {
            links.push(LinkSpec {
                from: (lone, 0),
                to: (nodes.len(), 0),
                policy: Policy::Block,
                capacity: 4,
            });
            nodes.push(NodeSpec {
                type_name: "sink-light".into(),
                params: vec![],
                outputs: 0,
                tolerance: None,
            });
        }
    }
    (nodes, links)
}

/// Draws graphs of 1 to 12 nodes, and a sink for each source that would have no link.
pub fn spec(length: Length) -> impl Strategy<Value = Spec> {
    let nodes = (source(length), prop::collection::vec(node(length), 0..12));
    let moment = 0u64..3000;
    let ending = match length {
        Length::Short => prop_oneof![
            4 => Just(Ending::Natural),
            2 => moment.clone().prop_map(Ending::Stop),
            1 => moment.prop_map(Ending::Abort),
        ]
        .boxed(),
        Length::Endless => moment.prop_map(Ending::Stop).boxed(),
    };
    let threads = (1usize..4, 1usize..4, any::<bool>());
    (nodes, ending, threads, any::<u64>()).prop_map(
        |((first, mut rest), ending, (workers, blocking, lane), seed)| {
            rest.insert(0, (first, [const { None }; PORTS]));
            let (nodes, links) = join(rest);
            Spec {
                nodes,
                links,
                ending,
                workers,
                blocking,
                lane,
                seed,
            }
        },
    )
}
