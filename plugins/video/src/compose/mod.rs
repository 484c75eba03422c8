//! `compose`: puts the pictures of several inputs side by side, or in a grid.
//!
//! The node keeps one picture, the canvas. What comes in at an input is scaled into its cell there at once; each frame of
//! the input that sets the pace ([`pace`]) lets out a copy of the canvas. So a picture is scaled once however often it is
//! shown, and an input that stands still costs nothing. The canvas has the colours of the first picture that came; others
//! are made like it ([`alike`]).

mod alike;
mod pace;
#[cfg(test)]
mod tests;

use levada_plugin::{
    colour::Colour,
    picture::{I420, I420Mut, Sizes, i420_bytes},
    prelude::*,
};

use tracing::warn;

use crate::{
    pixels::is_known,
    scale::{Filter, Scaler},
};
use alike::Alike;
use pace::Pace;

const INPUTS: usize = 9;
const OUT: usize = INPUTS;
/// Black in limited range.
const BLACK: [u8; 3] = [16, 128, 128];

/// Puts pictures side by side, or in a grid.
///
/// **Inputs** `in1` to `in9`: `video/i420`, any size, one stream each; at least one is linked. **Outputs** `out`: `video/i420`
/// of one size, at the pace and times of the linked input with the highest number, which sees the others as they were
/// last; where it has ended, or is silent for 200 ms, the next one sets the pace until it comes again. Times never go back:
/// those of an input that takes over are moved where they do not go on from what came before. The colours
/// (`levada_plugin::colour`) are those of the first picture that came; pictures in other ones are converted.
/// **Params** `width`, `height` of what comes out; `columns` of the grid, 0 for as many as make it about square (two pictures
/// stand side by side). Cells are filled row by row in the order of the inputs; a picture keeps its shape and stands in the
/// middle of its cell, on black; that of an input that has ended goes. With `sync = "pts"` on the node pictures of one time
/// meet. **Example** `links = ["browser.video -> both.in1", "mirror -> both.in2", "both -> screen.video"]` with
/// `both = { type = "compose", params = { width = 1280, height = 360 } }`.
pub struct Compose {
    size: (u32, u32),
    canvas: Vec<u8>,
    cells: Vec<Cell>,
    scaler: Scaler,
    /// A plane on its way to its cell.
    scaled: Vec<u8>,
    /// The format of what goes out and its colours; `None` before the first picture.
    out: Option<(u32, Colour)>,
    out_stream: u16,
    black: [u8; 3],
    pace: Pace,
    name: String,
    has_warned: bool,
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
    /// The format of its last picture, and what makes such pictures like the canvas.
    format: u32,
    alike: Option<Alike>,
}

impl Cell {
    /// Size of a picture in the cell: even, and no larger than the cell.
    fn fit(&self, (width, height): (u32, u32)) -> (usize, usize) {
        let (width, height) = (f64::from(width), f64::from(height));
        let scale = (self.width as f64 / width).min(self.height as f64 / height);
        let side = |side: f64, most: usize| ((side * scale).round() as usize & !1).clamp(2, most);
        (side(width, self.width), side(height, self.height))
    }

    fn clear(&self, canvas: &mut I420Mut, black: [u8; 3]) {
        for (at, (plane, value)) in canvas.planes().iter_mut().zip(black).enumerate() {
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
    /// The format of what goes out, which the first picture settles, and its colours.
    fn settle(&mut self, colour: Colour, ctx: &Context) -> Result<(u32, Colour)> {
        if let Some(out) = self.out {
            return Ok(out);
        }
        let format = Format::video("i420", self.size.0, self.size.1);
        let format = ctx.format_id(&format.with_config(colour.to_string()))?;
        if colour.full_range == Some(true) {
            self.black[0] = 0;
        }
        let mut canvas = I420Mut::new(&mut self.canvas, self.size.0, self.size.1)?;
        for (plane, value) in canvas.planes().iter_mut().zip(self.black) {
            plane.data.fill(value);
        }
        Ok(*self.out.insert((format, colour)))
    }

    /// Looks at the format of pictures that came at the cell `at`.
    #[cold]
    fn look(&mut self, at: usize, id: u32, size: (u32, u32), ctx: &Context) -> Result {
        let colour = Colour::of(&ctx.format(id).unwrap_or_default());
        let (_, canvas) = self.settle(colour, ctx)?;
        let is_guess = colour.matrix != canvas.matrix && !(is_known(colour) && is_known(canvas));
        if is_guess && !std::mem::replace(&mut self.has_warned, true) {
            warn!(
                node = self.name,
                input = self.cells[at].port + 1,
                "colours will be wrong, because the pictures of this input state \"{colour}\", what goes out states \
                 \"{canvas}\", and one of both is not known; give all inputs pictures with the same matrix"
            );
        }
        let cell = &mut self.cells[at];
        cell.alike = Alike::new(colour, canvas, size)?;
        cell.format = id;
        Ok(())
    }

    /// Scales a picture into its cell; answers how many bytes were written.
    fn show(&mut self, port: usize, frame: &Frame, ctx: &Context) -> Result<usize> {
        let Some(at) = self.cells.iter().position(|cell| cell.port == port) else {
            return Ok(0);
        };
        let size = self.cells[at].sizes.of(frame, ctx)?;
        if self.cells[at].format != frame.format_id() {
            self.look(at, frame.format_id(), size, ctx)?;
        }
        let cell = &mut self.cells[at];
        let mut canvas = I420Mut::new(&mut self.canvas, self.size.0, self.size.1)?;
        if cell.shown != size {
            cell.clear(&mut canvas, self.black);
            cell.shown = size;
        }
        let (width, height) = cell.fit(size);
        let left = cell.left + (((cell.width - width) / 2) & !1);
        let top = cell.top + (((cell.height - height) / 2) & !1);
        let (picture, converted) = match &mut cell.alike {
            Some(alike) => alike.make(frame.payload())?,
            None => (frame.payload(), 0),
        };
        let from = I420::new(picture, size.0, size.1)?;
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
        Ok(converted + width * height * 3 / 2)
    }

    fn take(&mut self, port: usize, frame: &Frame, ctx: &mut Context) -> Result {
        let mut copied = self.show(port, frame, ctx)?;
        let duration = i64::from(frame.duration_us()) * 1_000;
        let pts = self.pace.picture(port, frame.pts(), duration, ctx.now());
        if let Some(pts) = pts
            && let Some((format, _)) = self.out
        {
            let mut loan = ctx.loan(self.canvas.len())?;
            loan.as_mut_slice().copy_from_slice(&self.canvas);
            copied += loan.len();
            let picture = Frame::new(Kind::Video, loan)
                .with_format_id(format)
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
        format: 0,
        alike: None,
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
        Ok(Compose {
            size,
            cells: cells(&ports, columns, size)?,
            canvas: vec![0; i420_bytes(size.0, size.1)?],
            scaler: Scaler::new(Filter::Bilinear),
            scaled: vec![],
            out: None,
            out_stream: config.host().stream_id(Kind::Video, config.name())?,
            black: BLACK,
            pace: Pace::new(&ports),
            name: config.name().to_owned(),
            has_warned: false,
        })
    }

    fn process(&mut self, port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            self.take(port, &frame, ctx)?;
        }
        Ok(())
    }

    fn event(&mut self, port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        let speaks_for_all = self.pace.speaks_for_all(port);
        let Some(cell) = self.cells.iter_mut().find(|cell| cell.port == port) else {
            return Ok(false);
        };
        if event.kind == event::kind::END_OF_STREAM {
            self.pace.end(port);
            cell.alike = None;
            cell.format = 0;
            cell.clear(
                &mut I420Mut::new(&mut self.canvas, self.size.0, self.size.1)?,
                self.black,
            );
        }
        // What holds of another input's times does not hold of those that go out.
        Ok(event::kind::is_in_band(event.kind) && !speaks_for_all)
    }
}
