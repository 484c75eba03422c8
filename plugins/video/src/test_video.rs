//! `test-video`: makes pictures that tell which they are.

use levada_plugin::{
    picture::{I420Mut, i420_bytes},
    prelude::*,
};

use crate::{
    marks::{self, Edge},
    template::timecode,
    text,
};

/// Colour bars at three quarters of full colour, BT.601: white, yellow, cyan, green, magenta, red, blue, black.
const BARS: [[u8; 3]; 8] = [
    [180, 128, 128],
    [162, 44, 142],
    [131, 156, 44],
    [112, 72, 58],
    [84, 184, 198],
    [65, 100, 212],
    [35, 212, 114],
    [16, 128, 128],
];

/// Makes a test pattern: colour bars over a grey ramp, a white square that moves four pixels to the right each picture,
/// the number of the picture and its time in letters where there is room, and the number along the upper edge for programs to read
/// ([`marks`](crate::marks)). Left and right differ, and so do top and bottom. Picture *n* is the same in every run.
///
/// **Inputs** none. **Outputs** `out`: `video/i420`. **Params** `width`, `height` in pixels, `fps` in pictures a second,
/// `count`: pictures until the end, 0 for no end, `pace`: `real` makes each when it is due, `fast` as soon as there is
/// room. A picture that finds no room waits; what follows catches up. **Example** `"pattern -> encode -> file"` with
/// `pattern = { type = "test-video", params = { width = 1280, height = 720 } }`.
pub struct TestVideo {
    host: Host,
    width: u32,
    height: u32,
    fps: f64,
    /// Pictures until the end.
    count: Option<i64>,
    is_fast: bool,
    format: u32,
    stream: u16,
    /// What does not move.
    background: Vec<u8>,
    /// When picture 0 is due, ns: at the first tick.
    start: Option<i64>,
    next: i64,
}

/// Colour bars above a ramp from black to white.
fn background(width: u32, height: u32) -> Result<Vec<u8>> {
    let mut bytes = vec![0; i420_bytes(width, height)?];
    let mut picture = I420Mut::new(&mut bytes, width, height)?;
    for (at, plane) in picture.planes().iter_mut().enumerate() {
        let (width, upper) = (plane.width, plane.height * 3 / 4);
        for (y, row) in plane.rows().enumerate() {
            for (x, pixel) in row.iter_mut().enumerate() {
                *pixel = match at {
                    _ if y < upper => BARS[x * BARS.len() / width][at],
                    0 => (16 + x * 219 / width) as u8,
                    _ => 128,
                };
            }
        }
    }
    Ok(bytes)
}

impl TestVideo {
    /// The time of picture `n`, ns after the first.
    fn time(&self, n: i64) -> i64 {
        (n as f64 * 1e9 / self.fps) as i64
    }

    fn make(&self, n: i64) -> Result<Frame> {
        let mut loan = self.host.loan(self.background.len())?;
        loan.as_mut_slice().copy_from_slice(&self.background);
        let mut picture = I420Mut::new(loan.as_mut_slice(), self.width, self.height)?;
        let (width, height) = (picture.width(), picture.height());
        square(&mut picture, n);
        let mut line = format!("{n:06} ");
        // A String takes all that is written to it.
        let _ = timecode(self.time(n), &mut line);
        let scale = text::natural_scale(height);
        let around = text::size(&line, scale);
        // A small picture keeps its bars instead.
        if around.0 <= width && around.1 * 3 <= height {
            let (left, top) = ((width - around.0) / 2, (height - around.1) / 2);
            text::draw(&mut picture, &line, left, top, scale);
        }
        // Numbers stay far below their type's limit: it would take years.
        let number = (n % i64::from(marks::NUMBERS)) as u32;
        marks::draw(&mut picture, number, Edge::Top);
        let duration = (self.time(n + 1) - self.time(n)) / 1000;
        Ok(Frame::new(Kind::Video, loan)
            .with_format_id(self.format)
            .with_stream(self.stream)
            .with_pts(self.time(n))
            .with_duration_us(u32::try_from(duration).unwrap_or(0))
            .with_flags(flags::KEYFRAME))
    }
}

/// Draws the white square of picture `n` into the ramp.
fn square(picture: &mut I420Mut<'_>, n: i64) {
    let side = picture.height() / 8;
    let way = picture.width().saturating_sub(side).max(1);
    let left = ((n.unsigned_abs() as usize).wrapping_mul(4) % way) & !1;
    let top = picture.height() * 13 / 16;
    let width = picture.width();
    let rows = picture.y().chunks_exact_mut(width).skip(top).take(side);
    rows.for_each(|row| row[left..(left + side).min(width)].fill(235));
}

impl Node for TestVideo {
    const NAME: &'static str = "test-video";
    const SUMMARY: &'static str =
        "Makes a test pattern with the number and the time of each picture in it";
    const PORTS: &'static [Port] =
        &[Port::output("out").formats("video/i420;width=64..4096;height=32..4096")];
    const PARAMS: &'static [Param] = &[
        Param::integer("width", 640)
            .range(64.0, 4096.0)
            .unit("pixels")
            .help("Width; the number along the upper edge survives a codec from 256 on"),
        Param::integer("height", 360)
            .range(32.0, 4096.0)
            .unit("pixels")
            .help("Height"),
        Param::float("fps", 30.0)
            .range(0.1, 240.0)
            .unit("Hz")
            .help("Pictures a second"),
        Param::integer("count", 0)
            .range(0.0, 1e12)
            .help("Pictures until the end; 0 for no end"),
        Param::choice("pace", "real fast", "real")
            .help("Whether each picture comes when it is due, or as soon as there is room"),
    ];
    const COST: Cost = Cost::Heavy;

    fn create(config: &Config) -> Result<Self> {
        // The ranges keep both inside their type.
        let (width, height) = (
            config.integer("width")? as u32,
            config.integer("height")? as u32,
        );
        let count = config.integer("count")?;
        let host = config.host();
        Ok(TestVideo {
            host,
            width,
            height,
            fps: config.float("fps")?,
            count: (count > 0).then_some(count),
            is_fast: config.text("pace")? == "fast",
            format: host.format_id(&Format::video("i420", width, height))?,
            stream: host.stream_id(Kind::Video, config.name())?,
            background: background(width, height)?,
            start: None,
            next: 0,
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        self.host.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        if self.count.is_some_and(|count| self.next >= count) {
            return Ok(());
        }
        let start = *self.start.get_or_insert_with(|| ctx.now());
        if self.is_fast || ctx.now() >= start.saturating_add(self.time(self.next)) {
            let frame = self.make(self.next)?;
            ctx.emit(0, frame)?;
            self.next += 1;
        }
        if self.count == Some(self.next) {
            ctx.finish();
        } else if self.is_fast {
            ctx.tick_again();
        } else {
            let due = start.saturating_add(self.time(self.next));
            self.host.wake_at(due);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_plugin::{
        harness::{Harness, Value},
        picture::I420,
    };

    fn pattern(width: i64, height: i64, more: &[(&str, Value)]) -> Result<Harness<TestVideo>> {
        let size = [
            ("width", Value::Integer(width)),
            ("height", Value::Integer(height)),
        ];
        let params: Vec<_> = size.into_iter().chain(more.iter().copied()).collect();
        Harness::new(&params)
    }

    #[test]
    fn pictures_come_when_they_are_due_and_tell_their_number() -> Result {
        let mut source = pattern(640, 360, &[("fps", Value::Float(25.0))])?;
        for n in 0..30 {
            let due = n * 40_000_000;
            // The first tick is the beginning.
            assert!(
                n == 0 || source.tick(due - 1)?.is_empty(),
                "not before its time"
            );
            let out = source.tick(due)?;
            let frame = &out[0].1;
            assert_eq!((frame.pts(), frame.duration_us()), (due, 40_000));
            assert_eq!(source.deadline(), Some(due + 40_000_000));
            assert_eq!(
                frame.format_id(),
                source.format_id(&Format::video("i420", 640, 360))
            );
            let picture = I420::new(frame.payload(), 640, 360)?;
            assert_eq!(marks::read(&picture, Edge::Top), Some(n as u32));
        }
        Ok(())
    }

    #[test]
    fn picture_n_is_the_same_in_every_run_and_no_other() -> Result {
        let mut seen = Vec::new();
        for _ in 0..2 {
            let mut source = pattern(
                97,
                65,
                &[("pace", Value::Text("fast")), ("count", Value::Integer(5))],
            )?;
            let mut run = Vec::new();
            for _ in 0..8 {
                run.extend(
                    source
                        .tick(0)?
                        .iter()
                        .map(|(_, frame)| frame.payload().to_vec()),
                );
            }
            assert_eq!(run.len(), 5, "it ends after its count");
            seen.push(run);
        }
        assert_eq!(seen[0], seen[1]);
        assert!((1..5).all(|n| seen[0][n] != seen[0][n - 1]));
        Ok(())
    }

    #[test]
    fn the_sides_of_the_pattern_differ_and_all_is_within_range() -> Result {
        for (width, height) in [(64, 32), (65, 33), (255, 101), (1280, 720)] {
            let mut source = pattern(width, height, &[])?;
            let out = source.tick(0)?;
            let bytes = out[0].1.payload();
            assert!(
                bytes.iter().all(|b| (16..=240).contains(b)),
                "limited range"
            );
            let picture = I420::new(bytes, width as u32, height as u32)?;
            let (u, width) = (picture.u(), picture.chroma_width());
            let row = |fifth: usize| &u[picture.chroma_height() * fifth / 5 * width..][..width];
            let mirrored: Vec<u8> = row(1).iter().copied().rev().collect();
            assert_ne!(mirrored, row(1), "left and right");
            assert_ne!(row(1), row(4), "top and bottom");
        }
        Ok(())
    }
}
