//! A place for everything in a graph that runs from left to right, after Sugiyama, Tagawa and Toda (1981).
//!
//! 1. An item stands one layer right of the last that feeds it. A link over several layers gets a place of its own
//!    in each between, so that it is led past the items there.
//! 2. Each layer is sorted by the mean place of its neighbours, to and fro a few times; that unties most crossings.
//! 3. Each layer's places are then moved towards their neighbours, in that order and without overlap ([`settle`]).
//!
//! A link that leads back, or over more than [`MAX_SPAN`] layers, runs below everything in a lane of its own.

mod ways;

use super::settle::{Wish, settle};

/// How many layers a link may pass before it runs below them. It bounds the work for a graph of long links.
const MAX_SPAN: usize = 16;
/// How often the layers are sorted, and then moved, to and fro.
const ROUNDS: usize = 8;
/// Between two items of a layer.
const APART: f64 = 26.0;
/// What a link needs in a layer that it passes, and of each other.
const PASSING: f64 = 12.0;
/// A box.
pub struct Item {
    pub width: f64,
    pub height: f64,
    /// It stands in the last layer.
    pub last: bool,
}

/// A link between two boxes.
pub struct Edge {
    pub from: usize,
    /// Where it leaves, from the upper edge of the box.
    pub leaves: f64,
    pub to: usize,
    /// Where it arrives, likewise.
    pub arrives: f64,
    /// The width of what is written in front of its end.
    pub room: f64,
    /// It leads back.
    pub back: bool,
}

pub type Point = (f64, f64);

/// A piece of a route, to this point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    Line(Point),
    /// It begins and ends level.
    Curve(Point),
}

/// The way of a link.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    pub start: Point,
    pub steps: Vec<Step>,
}

/// Where everything is.
pub struct Layout {
    /// The upper left corners of the items.
    pub places: Vec<Point>,
    /// The ways of the edges.
    pub routes: Vec<Route>,
    pub width: f64,
    pub height: f64,
}

pub fn lay_out(items: &[Item], edges: &[Edge]) -> Layout {
    let mut grid = Grid::new(items, edges);
    grid.sort();
    grid.place();
    grid.routes(items, edges)
}

/// What has a place in a layer: an item, or a link that passes.
struct Cell {
    layer: usize,
    height: f64,
    is_item: bool,
    /// Its rank in its layer.
    rank: usize,
    /// Its upper edge.
    y: f64,
    /// What it is linked to in the layer to the left, and to the right.
    left: Vec<Neighbour>,
    right: Vec<Neighbour>,
}

struct Neighbour {
    cell: usize,
    /// Where the link meets it, from its upper edge, and this cell.
    there: f64,
    here: f64,
}

struct Grid {
    /// The items first, in their order.
    cells: Vec<Cell>,
    layers: Vec<Vec<usize>>,
    /// By edge: the cells it passes, its ends included; none where it runs below.
    ways: Vec<Vec<usize>>,
}

impl Grid {
    fn new(items: &[Item], edges: &[Edge]) -> Grid {
        let layer = layers(items, edges);
        let cell = |layer: usize, height: f64, is_item: bool| Cell {
            layer,
            height,
            is_item,
            rank: 0,
            y: 0.0,
            left: vec![],
            right: vec![],
        };
        let cells = items.iter().zip(&layer);
        let mut cells: Vec<Cell> = cells.map(|(i, l)| cell(*l, i.height, true)).collect();
        let mut ways = Vec::with_capacity(edges.len());
        for edge in edges {
            let (from, to) = (layer[edge.from], layer[edge.to]);
            if edge.back || to <= from || to - from > MAX_SPAN {
                ways.push(vec![]);
                continue;
            }
            let mut way = vec![edge.from];
            for passed in from + 1..to {
                way.push(cells.len());
                cells.push(cell(passed, PASSING, false));
            }
            way.push(edge.to);
            for (index, two) in way.windows(2).enumerate() {
                let leaves = if index == 0 {
                    edge.leaves
                } else {
                    PASSING / 2.0
                };
                let last = index + 2 == way.len();
                let arrives = if last { edge.arrives } else { PASSING / 2.0 };
                let neighbour = |cell, there, here| Neighbour { cell, there, here };
                cells[two[0]].right.push(neighbour(two[1], arrives, leaves));
                cells[two[1]].left.push(neighbour(two[0], leaves, arrives));
            }
            ways.push(way);
        }
        let count = layer.iter().max().map_or(0, |last| last + 1);
        let mut layers = vec![vec![]; count];
        for (index, cell) in cells.iter_mut().enumerate() {
            cell.rank = layers[cell.layer].len();
            layers[cell.layer].push(index);
        }
        Grid {
            cells,
            layers,
            ways,
        }
    }

    /// The layers from left to right, or back.
    fn sweep(&self, forth: bool) -> Vec<usize> {
        let all = 0..self.layers.len();
        if forth {
            all.collect()
        } else {
            all.rev().collect()
        }
    }

    fn sort(&mut self) {
        for round in 0..2 * ROUNDS {
            let forth = round % 2 == 0;
            for layer in self.sweep(forth) {
                let order = &self.layers[layer];
                let ranked = order.iter().enumerate();
                let mut wanted: Vec<(f64, usize, usize)> = ranked
                    .filter_map(|(rank, cell)| Some((self.mean_rank(*cell, forth)?, rank, *cell)))
                    .collect();
                // Who has no neighbours on that side stays; the others share the ranks that they have.
                let ranks: Vec<usize> = wanted.iter().map(|(_, rank, _)| *rank).collect();
                wanted.sort_by(|a, b| a.0.total_cmp(&b.0));
                for (rank, (_, _, cell)) in ranks.into_iter().zip(wanted) {
                    self.layers[layer][rank] = cell;
                    self.cells[cell].rank = rank;
                }
            }
        }
    }

    /// The mean rank of its neighbours on one side, each with where on it the link is.
    fn mean_rank(&self, cell: usize, left: bool) -> Option<f64> {
        let cell = &self.cells[cell];
        let neighbours = if left { &cell.left } else { &cell.right };
        let rank = |n: &Neighbour| {
            let other = &self.cells[n.cell];
            other.rank as f64 + n.there / other.height.max(1.0)
        };
        let sum = neighbours.iter().map(rank).sum::<f64>();
        (!neighbours.is_empty()).then(|| sum / neighbours.len() as f64)
    }

    fn place(&mut self) {
        for round in 0..2 * ROUNDS + 2 {
            let forth = round % 2 == 0;
            // First as one side would like it, at the end as both do.
            let both = round >= 2 * ROUNDS;
            for layer in self.sweep(forth) {
                let order = &self.layers[layer];
                let next = order.iter().skip(1).map(Some).chain([None]);
                let column: Vec<Wish> = order
                    .iter()
                    .zip(next)
                    .map(|(cell, next)| {
                        self.wish(*cell, next.copied(), both || forth, both || !forth)
                    })
                    .collect();
                let settled = settle(&column);
                for (cell, y) in self.layers[layer].iter().zip(settled) {
                    self.cells[*cell].y = y;
                }
            }
        }
        let top = self
            .cells
            .iter()
            .map(|cell| cell.y)
            .fold(f64::INFINITY, f64::min);
        for cell in &mut self.cells {
            // Whole pixels keep level lines sharp, and the text short.
            cell.y = (cell.y - top).round();
        }
    }

    fn wish(&self, cell: usize, next: Option<usize>, left: bool, right: bool) -> Wish {
        let this = &self.cells[cell];
        let (mut sum, mut weight) = (0.0, 0.0);
        let sides = [(left, &this.left), (right, &this.right)];
        for neighbour in sides
            .iter()
            .filter(|(asked, _)| *asked)
            .flat_map(|(_, n)| *n)
        {
            let other = &self.cells[neighbour.cell];
            // A long link is to be straight first of all.
            let matters = match (this.is_item, other.is_item) {
                (true, true) => 2.0,
                (false, false) => 4.0,
                _ => 1.0,
            };
            sum += matters * (other.y + neighbour.there - neighbour.here);
            weight += matters;
        }
        let between = match next.map(|next| self.cells[next].is_item) {
            Some(true) if this.is_item => APART,
            _ => PASSING,
        };
        Wish {
            at: if weight > 0.0 { sum / weight } else { this.y },
            weight: if weight > 0.0 { weight } else { 0.1 },
            apart: this.height + between,
        }
    }
}

/// The layer of each item.
fn layers(items: &[Item], edges: &[Edge]) -> Vec<usize> {
    let mut layer = vec![0; items.len()];
    let mut waiting = vec![0_usize; items.len()];
    let mut right = vec![vec![]; items.len()];
    for edge in edges.iter().filter(|edge| !edge.back) {
        waiting[edge.to] += 1;
        right[edge.from].push(edge.to);
    }
    let first: Vec<usize> = (0..items.len())
        .filter(|item| waiting[*item] == 0)
        .collect();
    let mut order = first.clone();
    let mut next = 0;
    while let Some(item) = order.get(next).copied() {
        next += 1;
        for to in &right[item] {
            layer[*to] = layer[*to].max(layer[item] + 1);
            waiting[*to] -= 1;
            if waiting[*to] == 0 {
                order.push(*to);
            }
        }
    }
    // What begins a way stands near to what it feeds.
    for item in first {
        if let Some(nearest) = right[item].iter().map(|to| layer[*to]).min() {
            layer[item] = nearest - 1;
        }
    }
    let last = layer.iter().copied().max().unwrap_or(0);
    for (item, layer) in items.iter().zip(&mut layer) {
        if item.last {
            *layer = last;
        }
    }
    layer
}

#[cfg(test)]
mod tests {
    use super::{ways::BEND, *};

    fn boxes(count: usize) -> Vec<Item> {
        let item = |_| Item {
            width: 100.0,
            height: 40.0,
            last: false,
        };
        (0..count).map(item).collect()
    }

    fn edge(from: usize, to: usize) -> Edge {
        Edge {
            from,
            leaves: 20.0,
            to,
            arrives: 20.0,
            room: 50.0,
            back: false,
        }
    }

    fn end(route: &Route) -> Point {
        match route.steps.last() {
            Some(Step::Line(at) | Step::Curve(at)) => *at,
            None => route.start,
        }
    }

    #[test]
    fn a_chain_lies_on_one_level_from_left_to_right() {
        let laid = lay_out(&boxes(3), &[edge(0, 1), edge(1, 2)]);
        assert_eq!(laid.places, [(0.0, 0.0), (206.0, 0.0), (412.0, 0.0)]);
        assert_eq!((laid.width, laid.height), (512.0, 40.0));
    }

    #[test]
    fn every_link_begins_and_ends_at_its_boxes_and_no_two_boxes_overlap() {
        // A fan out and in again, a way past it, and one back.
        let mut edges = vec![edge(0, 1), edge(0, 2), edge(0, 3), edge(1, 4), edge(2, 4)];
        edges.extend([edge(3, 4), edge(0, 4), edge(4, 5)]);
        edges.push(Edge {
            back: true,
            ..edge(5, 0)
        });
        let laid = lay_out(&boxes(6), &edges);
        for (edge, route) in edges.iter().zip(&laid.routes) {
            let (from, to) = (laid.places[edge.from], laid.places[edge.to]);
            assert_eq!(route.start, (from.0 + 100.0, from.1 + 20.0));
            assert_eq!(end(route), (to.0, to.1 + 20.0));
        }
        for (one, a) in laid.places.iter().enumerate() {
            for b in &laid.places[one + 1..] {
                let apart = (a.0 - b.0).abs() >= 100.0 || (a.1 - b.1).abs() >= 40.0;
                assert!(apart, "{a:?} {b:?}");
            }
            assert!(a.0 + 100.0 <= laid.width && a.1 + 40.0 <= laid.height);
        }
        let back = &laid.routes[8].steps;
        assert!(
            back.contains(&Step::Line((laid.width - BEND + 8.0, laid.height))),
            "{back:?}"
        );
    }

    #[test]
    fn links_that_would_cross_are_untied() {
        let laid = lay_out(&boxes(4), &[edge(0, 3), edge(1, 2)]);
        let y = |item: usize| laid.places[item].1;
        assert_eq!(y(0) < y(1), y(3) < y(2), "{:?}", laid.places);
    }

    #[test]
    fn the_largest_graph_of_long_links_is_laid_out() {
        let edges = (0..1023).map(|from| edge(from, from + 1));
        let long = (0..3073).map(|n| edge(n % 900, n % 900 + 2 + n / 30));
        let edges: Vec<Edge> = edges.chain(long).collect();
        let laid = lay_out(&boxes(1024), &edges);
        assert_eq!(laid.places.len(), 1024);
        assert!(laid.width.is_finite() && laid.height.is_finite());
    }

    #[test]
    fn nothing_takes_no_room() {
        let laid = lay_out(&[], &[]);
        assert_eq!((laid.width, laid.height), (0.0, 0.0));
    }
}
