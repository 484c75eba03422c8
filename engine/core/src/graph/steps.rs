//! [`Step`]: what running a node needs to know of the plan, laid out so that a hop reads little.
//!
//! There is a step for each linked input. A straight run of nodes that only edit frames in place goes
//! from step to step ([`Step::goes_on`]) and reads nothing else of the plan; every other way out of a
//! node is in its output's [`Target`]s. The steps of such a run lie one behind the other, so that the
//! next one is found without reading this one.

use std::collections::HashSet;

use super::{
    PortRef, Route,
    plan::{Plan, PlanPort},
};

/// Stands for "there is none" in a [`Step`].
pub(crate) const NONE: u32 = u32::MAX;

/// How a batch is given to one linked input.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub node: u32,
    /// The node's position in its segment.
    pub local: u32,
    pub port: u32,
    /// The output for what is left of the batch, or [`NONE`].
    pub forwards_to: u32,
    /// What is left goes to the step behind this one: that output has one link, and it leads there.
    pub goes_on: bool,
    /// The node only looks.
    pub looks: bool,
    /// With `goes_on`: that link.
    pub link: u32,
    /// The run that it is part of.
    pub run: u32,
}

/// Where a link leads.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub link: usize,
    pub to: To,
}

#[derive(Clone, Copy)]
pub(crate) enum To {
    /// To an input of the same segment.
    Step(usize),
    /// The same, where the node only looks and lets nothing through.
    Look(usize),
    /// Into a channel, which is this outlet of the segment, to another segment.
    Channel { outlet: usize, consumer: usize },
}

impl Plan {
    /// Numbers the steps and fills in where each output leads; routes and channels are settled.
    pub(super) fn add_steps(&mut self) {
        let is_input = |at: &PortRef| self.port(*at).link.is_some();
        let ports =
            |node: usize| (0..self.nodes[node].ports.len()).map(move |port| PortRef { node, port });
        let inputs: Vec<PortRef> = (0..self.nodes.len())
            .flat_map(ports)
            .filter(is_input)
            .collect();
        // Each run from its first step; an input has one link, so no step is in two runs.
        let followers: HashSet<PortRef> = inputs
            .iter()
            .filter_map(|at| self.follower(*at))
            .map(|(_, at)| at)
            .collect();
        let heads = inputs.iter().copied().filter(|at| !followers.contains(at));
        let follow =
            |head| std::iter::successors(Some(head), |at| self.follower(*at).map(|(_, at)| at));
        let order: Vec<PortRef> = heads.flat_map(follow).collect();
        for (step, at) in order.iter().enumerate() {
            self.nodes[at.node].ports[at.port].step = step;
        }
        for node in 0..self.nodes.len() {
            for port in 0..self.nodes[node].ports.len() {
                let links = &self.nodes[node].ports[port].links;
                let targets = links.iter().map(|link| self.target(*link)).collect();
                self.nodes[node].ports[port].targets = targets;
            }
        }
        let mut begin = 0;
        for (at, input) in order.into_iter().enumerate() {
            let step = self.step(input);
            self.steps.push(step);
            if !step.goes_on {
                self.runs.push(begin..at + 1);
                begin = at + 1;
            }
        }
    }

    /// The input that a batch goes on to in place, with the link: where the output that this input
    /// forwards to has one link, and it leads within the segment.
    fn follower(&self, at: PortRef) -> Option<(usize, PortRef)> {
        let out = &self.nodes[at.node].ports[self.port(at).forwards_to?];
        let &[link] = &*out.links else {
            return None;
        };
        let is_inline = self.routes[link] == Route::Inline && out.max_out > 0;
        is_inline.then(|| (link, self.graph.links[link].to))
    }

    fn port(&self, at: PortRef) -> &PlanPort {
        &self.nodes[at.node].ports[at.port]
    }

    fn target(&self, link: usize) -> Target {
        let to = self.port(self.graph.links[link].to);
        let to = match self.routes[link] {
            Route::Channel(channel) => To::Channel {
                outlet: self.channels[channel].outlet,
                consumer: self.channels[channel].consumer,
            },
            Route::Inline if to.read_only && to.forwards_to.is_none() => To::Look(to.step),
            Route::Inline => To::Step(to.step),
        };
        Target { link, to }
    }

    fn step(&self, at: PortRef) -> Step {
        let node = &self.nodes[at.node];
        let input = &node.ports[at.port];
        let follower = self.follower(at);
        Step {
            node: at.node as u32,
            local: node.local as u32,
            port: at.port as u32,
            forwards_to: input.forwards_to.map_or(NONE, |out| out as u32),
            goes_on: follower.is_some(),
            looks: input.read_only,
            link: follower.map_or(NONE, |(link, _)| link as u32),
            run: self.runs.len() as u32,
        }
    }
}
