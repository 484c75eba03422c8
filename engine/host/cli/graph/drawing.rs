//! What of a plan is to be seen, in words and indices, without a place for anything.

use levada::{
    engine::graph::{Class, Media, Plan, PortRef},
    report::count,
};

/// A graph, to be drawn.
pub struct Drawing {
    /// Its name.
    pub name: String,
    /// One line about it.
    pub summary: String,
    /// Its nodes; each is in one segment.
    pub nodes: Vec<Node>,
    /// Its segments.
    pub segments: Vec<Segment>,
    /// Its links.
    pub links: Vec<Link>,
}

/// A node.
#[derive(Default)]
pub struct Node {
    pub name: String,
    pub type_name: String,
    /// Why the engine inserted it; `None` for a node of the file.
    pub why: Option<String>,
    /// The names of its linked inputs, in the order of its type.
    pub inputs: Vec<String>,
    /// The names of its linked outputs, likewise.
    pub outputs: Vec<String>,
}

/// Nodes that run inline.
pub struct Segment {
    /// Its number and kind.
    pub caption: String,
    /// What runs it.
    pub runs_on: &'static str,
    /// Its nodes, in the order in which they run: only the first has links from outside.
    pub nodes: Vec<usize>,
}

/// A link.
pub struct Link {
    /// The output that feeds it.
    pub from: End,
    /// The input that it feeds.
    pub to: End,
    /// What it carries.
    pub formats: String,
    /// The kind of media where it carries one only.
    pub media: Option<Media>,
    /// Policy and capacity where it is a channel; `None` where frames are handed on by a call.
    pub channel: Option<String>,
    /// Whether it leads back.
    pub feedback: bool,
}

/// An end of a link.
pub struct End {
    /// Index into [`Drawing::nodes`].
    pub node: usize,
    /// Index into the linked outputs or inputs of the node.
    pub port: usize,
}

impl Drawing {
    pub fn new(plan: &Plan) -> Drawing {
        let graph = plan.graph();
        let links = &graph.links;
        let outputs = Ports::new(links.iter().map(|link| link.from));
        let inputs = Ports::new(links.iter().map(|link| link.to));
        let nodes = graph.nodes.iter().enumerate().map(|(index, node)| Node {
            name: node.name.clone(),
            type_name: node.type_name.clone(),
            why: node.inserted.as_ref().map(|inserted| {
                format!(
                    "{}; turns {} into {} (cost {})",
                    levada::report::why(inserted),
                    inserted.takes,
                    inserted.gives,
                    inserted.cost
                )
            }),
            inputs: inputs.names(index, plan),
            outputs: outputs.names(index, plan),
        });
        let shown = links
            .iter()
            .zip(plan.channel_capacities())
            .map(|(link, capacity)| Link {
                from: outputs.end(link.from),
                to: inputs.end(link.to),
                formats: join(&link.formats),
                media: one(link.formats.iter().map(|pattern| pattern.media())),
                channel: capacity
                    .map(|frames| format!("{}, {}", link.policy, count(frames, "frame"))),
                feedback: link.feedback,
            });
        let number = |name: &String| graph.nodes.iter().position(|node| node.name == *name);
        let segments = plan.segments().enumerate().map(|(index, segment)| Segment {
            caption: format!("{}, {}", index + 1, kind(segment.class)),
            runs_on: levada::report::runs_on(segment.class),
            nodes: segment.nodes.iter().filter_map(number).collect(),
        });
        let sessions = match plan.is_template() {
            true => "a session for each peer",
            false => "one session",
        };
        Drawing {
            name: graph.name.clone(),
            summary: format!(
                "{}, {}; {sessions}",
                count(graph.nodes.len(), "node"),
                count(links.len(), "link")
            ),
            nodes: nodes.collect(),
            segments: segments.collect(),
            links: shown.collect(),
        }
    }

    /// The nodes that the engine inserted, each with the reason.
    pub fn inserted(&self) -> impl Iterator<Item = (&Node, &str)> {
        self.nodes
            .iter()
            .filter_map(|node| Some((node, node.why.as_deref()?)))
    }
}

fn kind(class: Class) -> &'static str {
    match class {
        Class::Light => "light",
        Class::Audio => "audio",
        Class::Heavy => "heavy",
        Class::Blocking => "may wait",
    }
}

fn join<T: ToString>(items: &[T]) -> String {
    let words: Vec<String> = items.iter().map(ToString::to_string).collect();
    words.join(", ")
}

/// What all of them are, where they are the same.
fn one<T: PartialEq>(mut all: impl Iterator<Item = Option<T>>) -> Option<T> {
    let first = all.next()??;
    all.all(|other| other.as_ref() == Some(&first))
        .then_some(first)
}

/// The linked ports of one direction, sorted.
struct Ports(Vec<PortRef>);

impl Ports {
    fn new(linked: impl Iterator<Item = PortRef>) -> Ports {
        let mut ports: Vec<PortRef> = linked.collect();
        ports.sort_unstable();
        ports.dedup();
        Ports(ports)
    }

    fn of(&self, node: usize) -> &[PortRef] {
        let from = self.0.partition_point(|port| port.node < node);
        let to = self.0.partition_point(|port| port.node <= node);
        &self.0[from..to]
    }

    fn end(&self, at: PortRef) -> End {
        let port = self.of(at.node).partition_point(|port| port.port < at.port);
        End {
            node: at.node,
            port,
        }
    }

    fn names(&self, node: usize, plan: &Plan) -> Vec<String> {
        let before = plan.graph().nodes[node].name.len() + 1;
        let name = |at: &PortRef| plan.port_name(*at).split_off(before);
        self.of(node).iter().map(name).collect()
    }
}
