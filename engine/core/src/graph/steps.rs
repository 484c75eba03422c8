//! [`Step`]: what running a node needs to know of the plan, laid out so that a hop reads little.
//!
//! There is a step for each linked input. A straight run of nodes that only edit frames in place goes
//! from step to step by [`Step::next`] and reads nothing else of the plan; every other way out of a
//! node is in its output's [`Target`]s.

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
    /// The step that what is left goes to, where that output has one link and it leads within the
    /// segment; otherwise [`NONE`].
    pub next: u32,
    /// With `next`: that link.
    pub link: u32,
    /// The node only looks.
    pub looks: bool,
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
        let inputs: Vec<PortRef> = (0..self.nodes.len())
            .flat_map(|node| {
                (0..self.nodes[node].ports.len()).map(move |port| PortRef { node, port })
            })
            .filter(|at| self.port(*at).link.is_some())
            .collect();
        for (step, at) in inputs.iter().enumerate() {
            self.nodes[at.node].ports[at.port].step = step;
        }
        for node in 0..self.nodes.len() {
            for port in 0..self.nodes[node].ports.len() {
                let links = &self.nodes[node].ports[port].links;
                let targets = links.iter().map(|link| self.target(*link)).collect();
                self.nodes[node].ports[port].targets = targets;
            }
        }
        self.steps = inputs.into_iter().map(|at| self.step(at)).collect();
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
        let out = input.forwards_to.map(|out| &node.ports[out]);
        let (next, link) = match out.map(|out| (out.max_out, &*out.targets)) {
            Some((
                1..,
                [
                    Target {
                        link,
                        to: To::Step(step) | To::Look(step),
                    },
                ],
            )) => (*step as u32, *link as u32),
            _ => (NONE, NONE),
        };
        Step {
            node: at.node as u32,
            local: node.local as u32,
            port: at.port as u32,
            forwards_to: input.forwards_to.map_or(NONE, |out| out as u32),
            next,
            link,
            looks: input.read_only,
        }
    }
}
