//! `compose`: puts the pictures of several inputs side by side, or in a grid.
//!
//! The node keeps one picture, the canvas. What comes in at an input is scaled into its cell there at once; each frame of
//! the input that sets the pace lets out a copy of the canvas. So a picture is scaled once however often it is shown,
//! and an input that stands still costs nothing.

use levada_plugin::{
    picture::{I420, I420Mut, Sizes, i420_bytes},
    prelude::*,
};

use crate::scale::{Filter, Scaler};

const INPUTS: usize = 9;
const OUT: usize = INPUTS;
/// How long the input that sets the pace may be silent before others do.
const PATIENCE_NS: i64 = 200_000_000;
/// Black in limited range.
const BLACK: [u8; 3] = [16, 128, 128];

/// Puts pictures side by side, or in a grid.
///
/// **Inputs** `in1` to `in9`: `video/i420`, any size, one stream each; at least one is linked. **Outputs** `out`: `video/i420`
/// of one size, at the pace and times of the linked input with the highest number, which sees the others as they were
/// last; where it is silent for 200 ms, the others set the pace until it comes again. **Params** `width`, `height` of what
/// comes out; `columns` of the grid, 0 for as many as make it about square (two pictures stand side by side). Cells are
/// filled row by row in the order of the inputs; a picture keeps its shape and stands in the middle of its cell, on
/// black; that of an input that has ended goes. With `sync = "pts"` on the node pictures of one time meet. **Example**
/// `links = ["browser.video -> both.in1", "mirror -> both.in2", "both -> screen.video"]` with
/// `both = { type = "compose", params = { width = 1280, height = 360 } }`.
pub struct Compose {
    size: (u32, u32),
    canvas: Vec<u8>,
    cells: Vec<Cell>,
    scaler: Scaler,
    /// A plane on its way to its cell.
    scaled: Vec<u8>,
    out_format: u32,
    out_stream: u16,
    /// The `pts` of what went out last, and when.
    last: Option<(i64, i64)>,
}

/// Where an input's pictures stand.
struct Cell {
    port: usize,
    left: usize,
    top: usize,
    width: usize,
    height: usize,
    sizes: Sizes,
    /// The size of the picture that stands there.
    shown: (u32, u32),
    has_ended: bool,
}

impl Cell {
    /// Size of a picture in the cell: even, and no larger than the cell.
    fn fit(&self, (width, height): (u32, u32)) -> (usize, usize) {
        let (width, height) = (f64::from(width), f64::from(height));
        let scale = (self.width as f64 / width).min(self.height as f64 / height);
        let side = |side: f64, most: usize| ((side * scale).round() as usize & !1).clamp(2, most);
        (side(width, self.width), side(height, self.height))
    }

    fn clear(&self, canvas: &mut I420Mut) {
        for (at, (plane, value)) in canvas.planes().iter_mut().zip(BLACK).enumerate() {
            let shift = usize::from(at > 0);
            let (left, width) = (self.left >> shift, self.width >> shift);
            let rows = plane.rows().skip(self.top >> shift);
            for row in rows.take(self.height >> shift) {
                row[left..left + width].fill(value);
            }
        }
    }
}

impl Compose {
    /// The input that sets the pace.
    fn pace(&self) -> Option<usize> {
        let running = self.cells.iter().rev().find(|cell| !cell.has_ended);
        running.map(|cell| cell.port)
    }

    /// Scales a picture into its cell; answers how many bytes were written.
    fn show(&mut self, port: usize, frame: &Frame, ctx: &Context) -> Result<usize> {
        let Some(cell) = self.cells.iter_mut().find(|cell| cell.port == port) else {
            return Ok(0);
        };
        let size = cell.sizes.of(frame, ctx)?;
        let from = I420::new(frame.payload(), size.0, size.1)?;
        let mut canvas = I420Mut::new(&mut self.canvas, self.size.0, self.size.1)?;
        if cell.shown != size {
            cell.clear(&mut canvas);
            cell.shown = size;
        }
        let (width, height) = cell.fit(size);
        let left = cell.left + (((cell.width - width) / 2) & !1);
        let top = cell.top + (((cell.height - height) / 2) & !1);
        let planes = from.planes().into_iter().zip(canvas.planes());
        for (at, (from, to)) in planes.enumerate() {
            // All four are even, so that their halves are whole.
            let shift = usize::from(at > 0);
            let (width, height) = (width >> shift, height >> shift);
            let rows = to.rows().skip(top >> shift).take(height);
            let rows = rows.map(|row| &mut row[left >> shift..][..width]);
            if (from.width, from.height) == (width, height) {
                rows.zip(from.rows())
                    .for_each(|(to, from)| to.copy_from_slice(from));
                continue;
            }
            self.scaled.resize(width * height, 0);
            let (size, scaled) = ((from.width, from.height), &mut self.scaled);
            self.scaler
                .scale(from.data, size, scaled, (width, height))?;
            let scaled = self.scaled.chunks_exact(width);
            rows.zip(scaled)
                .for_each(|(to, from)| to.copy_from_slice(from));
        }
        Ok(width * height * 3 / 2)
    }

    /// When what is on the canvas now is to be shown; `None` for not yet.
    fn time(&self, port: usize, pts: i64, now: i64) -> Option<i64> {
        match self.last {
            _ if self.pace() == Some(port) => Some(pts),
            None => None,
            // Times of another input say nothing on this timeline; how much time has passed does.
            Some((last_pts, last_now)) => {
                let passed = now.saturating_sub(last_now);
                (passed >= PATIENCE_NS).then(|| last_pts.saturating_add(passed))
            }
        }
    }

    fn take(&mut self, port: usize, frame: &Frame, ctx: &mut Context) -> Result {
        let mut copied = self.show(port, frame, ctx)?;
        let now = ctx.now();
        if let Some(pts) = self.time(port, frame.pts(), now) {
            let mut loan = ctx.loan(self.canvas.len())?;
            loan.as_mut_slice().copy_from_slice(&self.canvas);
            copied += loan.len();
            self.last = Some((pts, now));
            let picture = Frame::new(Kind::Video, loan)
                .with_format_id(self.out_format)
                .with_stream(self.out_stream)
                .with_pts(pts)
                .with_duration_us(frame.duration_us())
                .with_flags(flags::KEYFRAME);
            ctx.emit(OUT, picture)?;
        }
        ctx.copied(copied);
        Ok(())
    }
}

/// The cells of the linked inputs.
fn cells(ports: &[usize], columns: usize, (width, height): (u32, u32)) -> Result<Vec<Cell>> {
    let columns = match columns {
        0 => (1..).find(|n| n * n >= ports.len()).unwrap_or(1),
        columns => columns.min(ports.len()),
    };
    let rows = ports.len().div_ceil(columns);
    let (cell_width, cell_height) = (
        (width as usize / columns) & !1,
        (height as usize / rows) & !1,
    );
    if cell_width == 0 || cell_height == 0 {
        return Err(Error::new(format_args!(
            "a picture of {width}x{height} has no room for {columns} columns and {rows} rows; make it larger"
        )));
    }
    let cell = |(index, port): (usize, &usize)| Cell {
        port: *port,
        left: index % columns * cell_width,
        top: index / columns * cell_height,
        width: cell_width,
        height: cell_height,
        sizes: Sizes::default(),
        shown: (0, 0),
        has_ended: false,
    };
    Ok(ports.iter().enumerate().map(cell).collect())
}

impl Node for Compose {
    const NAME: &'static str = "compose";
    const SUMMARY: &'static str = "Puts pictures side by side, or in a grid";
    const PORTS: &'static [Port] = &[
        Port::optional_input("in1").formats("video/i420"),
        Port::optional_input("in2").formats("video/i420"),
        Port::optional_input("in3").formats("video/i420"),
        Port::optional_input("in4").formats("video/i420"),
        Port::optional_input("in5").formats("video/i420"),
        Port::optional_input("in6").formats("video/i420"),
        Port::optional_input("in7").formats("video/i420"),
        Port::optional_input("in8").formats("video/i420"),
        Port::optional_input("in9").formats("video/i420"),
        Port::output("out").formats("video/i420;width=2..4096;height=2..4096"),
    ];
    const PARAMS: &'static [Param] = &[
        Param::integer("width", 1280)
            .range(2.0, 4096.0)
            .unit("pixels")
            .help("Width of what comes out"),
        Param::integer("height", 720)
            .range(2.0, 4096.0)
            .unit("pixels")
            .help("Height of what comes out"),
        Param::integer("columns", 0)
            .range(0.0, INPUTS as f64)
            .help("Columns of the grid; 0 for about as many as rows"),
    ];
    const COST: Cost = Cost::Heavy;

    fn create(config: &Config) -> Result<Self> {
        // The ranges keep all of them inside their types.
        let size = (
            config.integer("width")? as u32,
            config.integer("height")? as u32,
        );
        let columns = config.integer("columns")? as usize;
        let ports: Vec<usize> = (0..INPUTS).filter(|port| config.is_linked(*port)).collect();
        if ports.is_empty() {
            return Err(Error::new(
                "none of in1 to in9 is linked; link what is to be shown",
            ));
        }
        let mut canvas = vec![0; i420_bytes(size.0, size.1)?];
        let mut picture = I420Mut::new(&mut canvas, size.0, size.1)?;
        for (plane, value) in picture.planes().iter_mut().zip(BLACK) {
            plane.data.fill(value);
        }
        let host = config.host();
        Ok(Compose {
            size,
            cells: cells(&ports, columns, size)?,
            canvas,
            scaler: Scaler::new(Filter::Bilinear),
            scaled: vec![],
            out_format: host.format_id(&Format::video("i420", size.0, size.1))?,
            out_stream: host.stream_id(Kind::Video, config.name())?,
            last: None,
        })
    }

    fn process(&mut self, port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            self.take(port, &frame, ctx)?;
        }
        Ok(())
    }

    fn event(&mut self, port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        let pace = self.pace();
        let Some(cell) = self.cells.iter_mut().find(|cell| cell.port == port) else {
            return Ok(false);
        };
        if event.kind == event::kind::END_OF_STREAM {
            cell.has_ended = true;
            cell.clear(&mut I420Mut::new(
                &mut self.canvas,
                self.size.0,
                self.size.1,
            )?);
        }
        // What holds of another input's times does not hold of those that go out.
        Ok(event::kind::is_in_band(event.kind) && pace != Some(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_plugin::harness::{Harness, Value};

    fn composer(inputs: u32, params: &[(&str, i64)]) -> Result<Harness<Compose>> {
        let params: Vec<_> = params
            .iter()
            .map(|(n, v)| (*n, Value::Integer(*v)))
            .collect();
        Harness::with_linked_ports(&params, ((1 << inputs) - 1) | (1 << OUT))
    }

    /// A picture of one brightness.
    fn plain(node: &Harness<Compose>, size: (u32, u32), y: u8, pts: i64) -> Result<Frame> {
        let mut loan = node.loan(i420_bytes(size.0, size.1)?)?;
        let mut picture = I420Mut::new(loan.as_mut_slice(), size.0, size.1)?;
        for (plane, value) in picture.planes().iter_mut().zip([y, 90, 170]) {
            plane.data.fill(value);
        }
        let format = node.format_id(&Format::video("i420", size.0, size.1));
        Ok(Frame::new(Kind::Video, loan)
            .with_format_id(format)
            .with_pts(pts))
    }

    /// Brightness and colour at these places.
    fn at(frame: &Frame, size: (u32, u32), places: &[(usize, usize)]) -> Result<Vec<[u8; 3]>> {
        let picture = I420::new(frame.payload(), size.0, size.1)?;
        let [y, u, v] = picture.planes();
        let pixel = |&(left, top): &(usize, usize)| {
            let half = top / 2 * u.width + left / 2;
            [y.data[top * y.width + left], u.data[half], v.data[half]]
        };
        Ok(places.iter().map(pixel).collect())
    }

    #[test]
    fn two_pictures_stand_side_by_side_in_their_shape_at_the_pace_of_the_second() -> Result {
        let mut node = composer(2, &[("width", 200), ("height", 80)])?;
        let frame = plain(&node, (50, 40), 100, 3)?;
        assert!(node.push(0, vec![frame])?.is_empty());
        // A tall one: 40x80 in the middle of 100x80.
        let frame = plain(&node, (20, 40), 200, 7)?;
        let out = node.push(1, vec![frame])?;
        let [(OUT, out)] = &out[..] else {
            panic!("{out:?}");
        };
        assert_eq!(out.pts(), 7);
        let places = [
            (0, 0),
            (99, 79),
            (101, 40),
            (128, 40),
            (131, 0),
            (168, 79),
            (171, 40),
        ];
        let (first, second) = ([100, 90, 170], [200, 90, 170]);
        let wanted = [first, first, BLACK, BLACK, second, second, BLACK];
        assert_eq!(at(out, (200, 80), &places)?, wanted);
        let whole = i420_bytes(200, 80)? as u64;
        assert_eq!(node.bytes_copied(), whole + (100 * 80 + 40 * 80) * 3 / 2);
        Ok(())
    }

    #[test]
    fn a_grid_is_filled_row_by_row_and_an_end_leaves_black() -> Result {
        let mut node = composer(4, &[("width", 64), ("height", 64)])?;
        for port in 0..3 {
            let frame = plain(&node, (16, 16), 50 + port as u8, 0)?;
            node.push(port, vec![frame])?;
        }
        let end = Event {
            kind: event::kind::END_OF_STREAM,
            stream: event::ALL_STREAMS,
            value: 0,
        };
        node.event(1, end)?;
        let frame = plain(&node, (32, 32), 53, 0)?;
        let out = node.push(3, vec![frame])?;
        let pixels = at(&out[0].1, (64, 64), &[(5, 5), (40, 5), (5, 40), (40, 40)])?;
        assert_eq!(
            pixels.iter().map(|p| p[0]).collect::<Vec<_>>(),
            [50, 16, 52, 53]
        );
        // The third sets the pace once the fourth has ended.
        node.event(3, end)?;
        let frame = plain(&node, (16, 16), 1, 9)?;
        assert_eq!(node.push(2, vec![frame])?.len(), 1);
        Ok(())
    }

    #[test]
    fn an_input_that_falls_silent_does_not_freeze_the_picture() -> Result {
        let mut node = composer(2, &[("width", 64), ("height", 32)])?;
        node.tick(0)?;
        let frame = plain(&node, (8, 8), 9, 1000)?;
        assert_eq!(node.push(1, vec![frame])?.len(), 1);
        for (now, count) in [(PATIENCE_NS - 1, 0), (PATIENCE_NS, 1), (PATIENCE_NS + 1, 0)] {
            node.tick(now)?;
            let frame = plain(&node, (8, 8), 9, i64::MIN)?;
            let out = node.push(0, vec![frame])?;
            assert_eq!(out.len(), count);
            assert!(out.iter().all(|(_, f)| f.pts() == 1000 + PATIENCE_NS));
        }
        Ok(())
    }

    #[test]
    fn sizes_change_at_any_frame_and_leave_nothing_behind() -> Result {
        let mut node = composer(1, &[("width", 63), ("height", 33)])?;
        let corner = [(0, 0), (61, 31)];
        for (size, is_covered) in [
            ((62, 32), true),
            ((1, 1), false),
            ((4000, 1), false),
            ((31, 16), true),
        ] {
            let frame = plain(&node, size, 77, 0)?;
            let out = node.push(0, vec![frame])?;
            let covered = at(&out[0].1, (63, 33), &corner)?.iter().all(|p| p[0] == 77);
            assert_eq!(covered, is_covered, "{size:?}");
        }
        Ok(())
    }

    #[test]
    fn a_grid_without_room_is_refused() {
        let refused = composer(9, &[("width", 4), ("height", 4), ("columns", 9)]).err();
        assert!(refused.is_some_and(|e| e.to_string().contains("make it larger")));
    }
}
