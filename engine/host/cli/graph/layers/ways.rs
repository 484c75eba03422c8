//! The ways of links, when every item has its place in its layer.
//!
//! Between two layers links bend, and then run level to the next, where there is room for what is written on them.

use super::{Edge, Grid, Item, Layout, PASSING, Route, Step};

/// Between two layers, in which links bend.
pub const BEND: f64 = 56.0;
/// Between two lanes.
const LANE: f64 = 22.0;

impl Grid {
    pub fn routes(&self, items: &[Item], edges: &[Edge]) -> Layout {
        let columns = Columns::new(self, items, edges);
        let bottoms = self.cells.iter().map(|cell| cell.y + cell.height);
        let mut height = bottoms.fold(0.0, f64::max);
        let mut below: Vec<usize> = (0..edges.len())
            .filter(|e| self.ways[*e].is_empty())
            .collect();
        // The shorter ones nearer, so that fewer cross.
        below.sort_by_key(|edge| {
            let edge = &edges[*edge];
            self.cells[edge.from]
                .layer
                .abs_diff(self.cells[edge.to].layer)
        });
        let mut routes: Vec<Route> = (0..edges.len())
            .map(|edge| self.across(&edges[edge], &self.ways[edge], items, &columns))
            .collect();
        for (lane, edge) in below.iter().enumerate() {
            height += LANE;
            routes[*edge] = self.around(&edges[*edge], lane, height, items, &columns);
        }
        let place = |item: usize| (columns.left[self.cells[item].layer], self.cells[item].y);
        Layout {
            places: (0..items.len()).map(place).collect(),
            routes,
            width: columns.width,
            height,
        }
    }

    /// Level through each layer, bent between them.
    fn across(&self, edge: &Edge, way: &[usize], items: &[Item], columns: &Columns) -> Route {
        let from = &self.cells[edge.from];
        let y = from.y + edge.leaves;
        let start = (columns.left[from.layer] + items[edge.from].width, y);
        let mut steps = vec![Step::Line((columns.right(from.layer), y))];
        for (index, cell) in way.iter().enumerate().skip(1) {
            let last = index + 1 == way.len();
            let cell = &self.cells[*cell];
            let y = cell.y + if last { edge.arrives } else { PASSING / 2.0 };
            steps.push(Step::Curve((columns.bent[cell.layer], y)));
            let end = if last {
                columns.left[cell.layer]
            } else {
                columns.right(cell.layer)
            };
            steps.push(Step::Line((end, y)));
        }
        Route { start, steps }
    }

    /// Down behind its start, below everything, and up before its end.
    fn around(
        &self,
        edge: &Edge,
        lane: usize,
        low: f64,
        items: &[Item],
        columns: &Columns,
    ) -> Route {
        let (from, to) = (&self.cells[edge.from], &self.cells[edge.to]);
        let aside = 8.0 + 5.0 * (lane % 4) as f64;
        let (leaves, arrives) = (from.y + edge.leaves, to.y + edge.arrives);
        let down = columns.right(from.layer) + aside;
        let up = columns.bent[to.layer] - aside;
        let corners = [
            (down, leaves),
            (down, low),
            (up, low),
            (up, arrives),
            (columns.left[to.layer], arrives),
        ];
        Route {
            start: (columns.left[from.layer] + items[edge.from].width, leaves),
            steps: corners.map(Step::Line).to_vec(),
        }
    }
}

/// Where the layers are, from left to right.
struct Columns {
    /// Where each begins.
    left: Vec<f64>,
    /// How wide each is.
    wide: Vec<f64>,
    /// Where links have bent and run level to a layer.
    bent: Vec<f64>,
    width: f64,
}

impl Columns {
    fn new(grid: &Grid, items: &[Item], edges: &[Edge]) -> Columns {
        let layers = grid.layers.len();
        let (mut wide, mut room) = (vec![0.0_f64; layers], vec![0.0_f64; layers]);
        for (item, cell) in items.iter().zip(&grid.cells) {
            wide[cell.layer] = wide[cell.layer].max(item.width);
        }
        let (mut into_first, mut out_of_last) = (false, false);
        for (edge, way) in edges.iter().zip(&grid.ways) {
            let (from, to) = (grid.cells[edge.from].layer, grid.cells[edge.to].layer);
            room[to] = room[to].max(edge.room);
            into_first |= to == 0;
            out_of_last |= way.is_empty() && from + 1 == layers;
        }
        let (mut left, mut bent) = (vec![], vec![]);
        let mut x = 0.0;
        for layer in 0..layers {
            if layer > 0 || into_first {
                x += BEND;
            }
            bent.push(x);
            x += room[layer];
            left.push(x);
            x += wide[layer];
        }
        if out_of_last {
            x += BEND;
        }
        Columns {
            left,
            wide,
            bent,
            width: x,
        }
    }

    fn right(&self, layer: usize) -> f64 {
        self.left[layer] + self.wide[layer]
    }
}
