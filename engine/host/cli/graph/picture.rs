//! A place for every node, segment and link of a drawing, in pixels.
//!
//! Segments are laid out among each other like nodes within a segment. That works because only the first node of
//! a segment is fed from outside, and so from its left side; what leaves a segment of several nodes is led to its
//! right side first.

use std::collections::BTreeMap;

use super::drawing::{Drawing, Link, Node, Segment};
use super::layers::{Edge, Item, Layout, Point, Route, Step, lay_out};

/// The height of a node's name and type.
const HEAD: f64 = 44.0;
/// The height of a port: two lines of writing.
const ROW: f64 = 40.0;
/// Between a segment's sides and its nodes.
pub const PAD: f64 = 12.0;
/// The height of a segment's caption.
const CAPTION: f64 = 22.0;
/// The longest text of what a link carries, in characters.
const MAX_LABEL: usize = 44;

/// The sizes of the letters, in pixels: what a name is written in, and all else.
pub const LARGE: f64 = 13.0;
pub const SMALL: f64 = 11.0;

/// A box.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rect {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// A link and what is written on it.
pub struct Line {
    pub route: Route,
    /// Where the writing ends, at the height of the line.
    pub label_end: Point,
    /// What it carries, cut where that is long.
    pub label: String,
}

/// Where everything is, in the order of the drawing.
pub struct Picture {
    pub segments: Vec<Rect>,
    pub nodes: Vec<Rect>,
    pub links: Vec<Line>,
    pub width: f64,
    pub height: f64,
}

/// The width of a text: letters of a monospaced font are about 0.6 of their size wide, and those of the East
/// twice that.
pub fn text_width(text: &str, size: f64) -> f64 {
    let columns = |c: char| if c < '\u{1100}' { 1.0 } else { 2.0 };
    text.chars().map(columns).sum::<f64>() * size * 0.61
}

/// The height of a port within its node.
pub fn port_y(port: usize) -> f64 {
    HEAD + ROW * port as f64 + 14.0
}

fn node_size(node: &Node) -> (f64, f64) {
    let rows = node.inputs.len().max(node.outputs.len());
    let port = |names: &[String], row: usize| {
        names
            .get(row)
            .map_or(0.0, |name| text_width(name, SMALL) + 12.0)
    };
    let ports = (0..rows).map(|row| port(&node.inputs, row) + 16.0 + port(&node.outputs, row));
    let name = text_width(&node.name, LARGE).max(text_width(&node.type_name, SMALL)) + 28.0;
    let width = ports.fold(name, f64::max);
    (width.ceil(), HEAD + ROW * rows as f64 - 10.0)
}

impl Picture {
    pub fn new(drawing: &Drawing) -> Picture {
        let mut of_node = vec![0; drawing.nodes.len()];
        for (index, segment) in drawing.segments.iter().enumerate() {
            for node in &segment.nodes {
                of_node[*node] = index;
            }
        }
        let labels: Vec<String> = drawing
            .links
            .iter()
            .map(|link| cut(&link.formats))
            .collect();
        let within =
            |link: &Link| !link.feedback && of_node[link.from.node] == of_node[link.to.node];
        let mut inner: Vec<Vec<usize>> = vec![vec![]; drawing.segments.len()];
        let mut leaving = inner.clone();
        let mut outer = vec![];
        for (index, link) in drawing.links.iter().enumerate() {
            if within(link) {
                inner[of_node[link.from.node]].push(index);
            } else {
                leaving[of_node[link.from.node]].push(index);
                outer.push(index);
            }
        }
        let parts = drawing.segments.iter().zip(&inner).zip(&leaving);
        let insides: Vec<Inside> = parts
            .map(|((segment, inner), leaving)| {
                Inside::new(drawing, segment, inner, leaving, &labels)
            })
            .collect();
        let items: Vec<Item> = insides
            .iter()
            .map(|inside| Item {
                width: inside.width,
                height: inside.height,
                last: false,
            })
            .collect();
        let edge = |link: &usize| {
            let (from, to) = (&drawing.links[*link].from, &drawing.links[*link].to);
            let (a, b) = (of_node[from.node], of_node[to.node]);
            Edge {
                from: a,
                leaves: insides[a].exit((from.node, from.port)).1,
                to: b,
                arrives: insides[b].place(to.node).y + port_y(to.port),
                room: room(&drawing.links[*link], &labels[*link]),
                back: drawing.links[*link].feedback,
            }
        };
        let edges: Vec<Edge> = outer.iter().map(edge).collect();
        let laid = lay_out(&items, &edges);
        Picture::put_together(drawing, &insides, &laid, &outer, labels)
    }

    fn put_together(
        drawing: &Drawing,
        insides: &[Inside],
        laid: &Layout,
        outer: &[usize],
        labels: Vec<String>,
    ) -> Picture {
        let mut nodes = vec![Rect::default(); drawing.nodes.len()];
        let mut routes: Vec<Option<(Route, Point)>> = vec![None; drawing.links.len()];
        let mut segments = vec![];
        let mut at_node = vec![(0, (0.0, 0.0)); drawing.nodes.len()];
        for (index, (inside, at)) in insides.iter().zip(&laid.places).enumerate() {
            segments.push(Rect {
                x: at.0,
                y: at.1,
                width: inside.width,
                height: inside.height,
            });
            for (node, rect) in &inside.nodes {
                nodes[*node] = Rect {
                    x: rect.x + at.0,
                    y: rect.y + at.1,
                    ..*rect
                };
                at_node[*node] = (index, *at);
            }
            for (link, route) in &inside.links {
                let route = moved(route, *at);
                let end = end(&route);
                routes[*link] = Some((route, (end.0 - 10.0, end.1)));
            }
        }
        for (link, route) in outer.iter().zip(&laid.routes) {
            let (from, to) = (&drawing.links[*link].from, &drawing.links[*link].to);
            // From the node to its segment's side, as all links of this port go, then on; and from the other
            // segment's side straight to the node.
            let (segment, at) = at_node[from.node];
            let mut whole = moved(insides[segment].way_out((from.node, from.port)), at);
            whole.steps.push(Step::Line(route.start));
            whole.steps.extend(&route.steps);
            let side = end(route);
            whole.steps.push(Step::Line((nodes[to.node].x, side.1)));
            routes[*link] = Some((whole, (side.0 - 6.0, side.1)));
        }
        let links = routes.into_iter().zip(labels).filter_map(|(route, label)| {
            let (route, label_end) = route?;
            Some(Line {
                route,
                label_end,
                label,
            })
        });
        Picture {
            segments,
            nodes,
            links: links.collect(),
            width: laid.width,
            height: laid.height,
        }
    }
}

/// The room that a link's writing needs in front of its end.
fn room(link: &Link, label: &str) -> f64 {
    let channel = link.channel.as_deref().unwrap_or("");
    let width = text_width(label, SMALL).max(text_width(channel, SMALL));
    (width + 18.0).ceil()
}

fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_LABEL {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(MAX_LABEL - 1).collect();
    cut.push('\u{2026}');
    cut
}

fn moved(route: &Route, by: Point) -> Route {
    let to = |at: Point| (at.0 + by.0, at.1 + by.1);
    let step = |step: &Step| match step {
        Step::Line(at) => Step::Line(to(*at)),
        Step::Curve(at) => Step::Curve(to(*at)),
    };
    Route {
        start: to(route.start),
        steps: route.steps.iter().map(step).collect(),
    }
}

fn end(route: &Route) -> Point {
    match route.steps.last() {
        Some(Step::Line(at) | Step::Curve(at)) => *at,
        None => route.start,
    }
}

/// An output, by node and port.
type Output = (usize, usize);

/// A segment from its upper left corner.
struct Inside {
    width: f64,
    height: f64,
    nodes: Vec<(usize, Rect)>,
    /// The links between its nodes.
    links: Vec<(usize, Route)>,
    /// The ways from outputs to its right side.
    ways_out: BTreeMap<Output, Route>,
}

impl Inside {
    fn new(
        drawing: &Drawing,
        segment: &Segment,
        inner: &[usize],
        leaving: &[usize],
        labels: &[String],
    ) -> Inside {
        let index_of = |node: usize| segment.nodes.iter().position(|n| *n == node).unwrap_or(0);
        let sizes = segment
            .nodes
            .iter()
            .map(|node| node_size(&drawing.nodes[*node]));
        let mut items: Vec<Item> = sizes
            .map(|(width, height)| Item {
                width,
                height,
                last: false,
            })
            .collect();
        let mut edges: Vec<Edge> = inner
            .iter()
            .map(|link| {
                let at = &drawing.links[*link];
                Edge {
                    from: index_of(at.from.node),
                    leaves: port_y(at.from.port),
                    to: index_of(at.to.node),
                    arrives: port_y(at.to.port),
                    room: room(at, &labels[*link]),
                    back: false,
                }
            })
            .collect();
        let mut outputs: Vec<Output> = leaving
            .iter()
            .map(|link| {
                (
                    drawing.links[*link].from.node,
                    drawing.links[*link].from.port,
                )
            })
            .collect();
        outputs.sort_unstable();
        outputs.dedup();
        // A node alone has its outputs at the side already.
        let alone = segment.nodes.len() == 1;
        for (node, port) in outputs.iter().filter(|_| !alone) {
            edges.push(Edge {
                from: index_of(*node),
                leaves: port_y(*port),
                to: items.len(),
                arrives: 0.0,
                room: 0.0,
                back: false,
            });
            items.push(Item {
                width: 0.0,
                height: 1.0,
                last: true,
            });
        }
        let laid = lay_out(&items, &edges);
        let corner = (PAD, CAPTION);
        let rects = segment.nodes.iter().zip(laid.places.iter().zip(&items));
        let nodes: Vec<(usize, Rect)> = rects
            .map(|(node, (at, item))| {
                let rect = Rect {
                    x: at.0 + corner.0,
                    y: at.1 + corner.1,
                    width: item.width,
                    height: item.height,
                };
                (*node, rect)
            })
            .collect();
        let mut routes = laid.routes.iter().map(|route| moved(route, corner));
        let links = inner
            .iter()
            .copied()
            .zip(routes.by_ref().take(inner.len()))
            .collect();
        let ways_out = match alone {
            false => outputs.into_iter().zip(routes).collect(),
            true => outputs
                .into_iter()
                .zip(nodes.iter().cycle())
                .map(|((node, port), (_, rect))| {
                    let start = (rect.x + rect.width, rect.y + port_y(port));
                    let steps = vec![];
                    ((node, port), Route { start, steps })
                })
                .collect(),
        };
        let caption = text_width(&segment.caption, SMALL) + 2.0 * PAD;
        Inside {
            width: (laid.width + 2.0 * PAD).max(caption.ceil()),
            height: laid.height + CAPTION + PAD,
            nodes,
            links,
            ways_out,
        }
    }

    fn place(&self, node: usize) -> Rect {
        let found = self.nodes.iter().find(|(n, _)| *n == node);
        found.map_or(Rect::default(), |(_, rect)| *rect)
    }

    fn way_out(&self, output: Output) -> &Route {
        // Every output with a link that leaves has a way: `new` is given the same links.
        &self.ways_out[&output]
    }

    fn exit(&self, output: Output) -> Point {
        end(self.way_out(output))
    }
}
