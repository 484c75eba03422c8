//! `resize`: makes pictures larger or smaller.

use levada_plugin::{
    picture::{I420, I420Mut, Sizes, i420_bytes},
    prelude::*,
};

use crate::{
    resized::Resized,
    scale::{Filter, Scaler},
};

/// Scales pictures to one size.
///
/// **Inputs** `in`: `video/i420`, any size. **Outputs** `out`: `video/i420` of the size that is asked for; each picture is
/// written once into a buffer on loan, which counts as a copy of what is written. One that has the size already passes
/// untouched. **Params** `width`, `height` in pixels: 0 for one of them keeps the shape of the picture (rounded to an
/// even number), 0 for both its size; `filter`: `nearest` (fast, blocky), `bilinear`, `lanczos` (sharpest). **Example** `"decode -> small -> encode"` with
/// `small = { type = "resize", params = { width = 320 } }`.
pub struct Resize {
    width: u32,
    height: u32,
    scaler: Scaler,
    sizes: Sizes,
    resized: Resized,
}

/// `side` scaled as the other one is, from `from` to `to`: even, and 2 at least.
fn in_proportion(side: u32, from: u32, to: u32) -> u32 {
    let scaled = (f64::from(side) * f64::from(to) / f64::from(from) / 2.0).round() * 2.0;
    // A cast from float to integer saturates.
    (scaled as u32).max(2)
}

impl Resize {
    fn target(&self, (width, height): (u32, u32)) -> (u32, u32) {
        match (self.width, self.height) {
            (0, 0) => (width, height),
            (wanted, 0) => (wanted, in_proportion(height, width, wanted)),
            (0, wanted) => (in_proportion(width, height, wanted), wanted),
            wanted => wanted,
        }
    }

    fn take(&mut self, frame: Frame, ctx: &Context) -> Result<Frame> {
        let size = self.sizes.of(&frame, ctx)?;
        let target = self.target(size);
        if target == size {
            return Ok(frame);
        }
        let bytes = i420_bytes(target.0, target.1)?;
        let format = self.resized.of(&frame, target, ctx)?;
        let from = I420::new(frame.payload(), size.0, size.1)?;
        let mut loan = ctx.loan(bytes)?;
        let mut to = I420Mut::new(loan.as_mut_slice(), target.0, target.1)?;
        for (from, to) in from.planes().iter().zip(to.planes()) {
            let sizes = [(from.width, from.height), (to.width, to.height)];
            self.scaler.scale(from.data, sizes[0], to.data, sizes[1])?;
        }
        ctx.copied(bytes);
        let mut frame = frame.with_format_id(format);
        frame.set_payload(loan);
        Ok(frame)
    }
}

impl Node for Resize {
    const NAME: &'static str = "resize";
    const SUMMARY: &'static str = "Makes pictures larger or smaller";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("video/i420").forwards_to(1),
        Port::output("out").formats("video/i420;width=1..8192;height=1..8192"),
    ];
    const PARAMS: &'static [Param] = &[
        Param::integer("width", 0)
            .range(0.0, 8192.0)
            .unit("pixels")
            .help("Width; 0 keeps the shape of the picture"),
        Param::integer("height", 0)
            .range(0.0, 8192.0)
            .unit("pixels")
            .help("Height; 0 keeps the shape of the picture"),
        Param::choice("filter", "nearest bilinear lanczos", "bilinear")
            .help("How new pixels are made of old ones: the fastest first, the sharpest last"),
    ];
    const COST: Cost = Cost::Heavy;
    const CONVERTER: bool = true;

    fn create(config: &Config) -> Result<Self> {
        let filter = match config.text("filter")? {
            "nearest" => Filter::Nearest,
            "lanczos" => Filter::Lanczos,
            _ => Filter::Bilinear,
        };
        Ok(Resize {
            // The ranges keep both inside their type.
            width: config.integer("width")? as u32,
            height: config.integer("height")? as u32,
            scaler: Scaler::new(filter),
            sizes: Sizes::default(),
            resized: Resized::default(),
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        let mut failed = None;
        frames.replace_each(|frame| {
            let taken = self.take(frame, ctx);
            taken.map_err(|error| failed.get_or_insert(error)).ok()
        });
        failed.map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SIZES, colours_are_kept, frame};
    use levada_plugin::harness::{Harness, Value};

    fn resize(width: i64, height: i64, filter: &'static str) -> Result<Harness<Resize>> {
        Harness::new(&[
            ("width", Value::Integer(width)),
            ("height", Value::Integer(height)),
            ("filter", Value::Text(filter)),
        ])
    }

    #[test]
    fn pictures_of_any_size_become_the_size_that_is_asked_for() -> Result {
        for filter in ["nearest", "bilinear", "lanczos"] {
            let mut node = resize(31, 18, filter)?;
            let format = node.format_id(&Format::video("i420", 31, 18));
            let mut copied = 0;
            for (width, height) in SIZES {
                let input = frame(&node, width, height, 1)?;
                let out = node.push(0, vec![input])?;
                assert_eq!(out[0].1.format_id(), format);
                assert_eq!(out[0].1.payload().len(), i420_bytes(31, 18)?);
                assert_eq!((out[0].1.pts(), out[0].1.stream()), (7, 1));
                copied += i420_bytes(31, 18)? as u64;
                assert_eq!(node.bytes_copied(), copied);
            }
        }
        Ok(())
    }

    #[test]
    fn one_colour_stays_it_and_halves_stay_on_their_sides() -> Result {
        for filter in ["nearest", "bilinear", "lanczos"] {
            let mut node = resize(50, 20, filter)?;
            let mut input = frame(&node, 200, 100, 1)?;
            let bytes = input
                .payload_mut()
                .ok_or_else(|| Error::new("it is unique"))?;
            let mut picture = I420Mut::new(bytes, 200, 100)?;
            let rows = picture.y().chunks_exact_mut(200);
            rows.for_each(|row| {
                row[..100].fill(40);
                row[100..].fill(200);
            });
            picture.u().fill(90);
            picture.v().fill(170);
            let out = node.push(0, vec![input])?;
            let picture = I420::new(out[0].1.payload(), 50, 20)?;
            for row in picture.planes()[0].rows() {
                assert!(row[..22].iter().all(|p| *p == 40), "{filter}: {row:?}");
                assert!(row[28..].iter().all(|p| *p == 200), "{filter}: {row:?}");
            }
            assert!(picture.u().iter().all(|p| *p == 90), "{filter}");
            assert!(picture.v().iter().all(|p| *p == 170), "{filter}");
        }
        Ok(())
    }

    #[test]
    fn one_side_alone_keeps_the_shape() -> Result {
        for (width, height, size, wanted) in [
            (320, 0, (1280, 720), (320, 180)),
            (0, 90, (1280, 720), (160, 90)),
            (100, 0, (640, 361), (100, 56)),
            (2, 0, (1280, 2), (2, 2)),
        ] {
            let mut node = resize(width, height, "bilinear")?;
            let input = frame(&node, size.0, size.1, 1)?;
            let out = node.push(0, vec![input])?;
            let format = node.format_id(&Format::video("i420", wanted.0, wanted.1));
            assert_eq!(out[0].1.format_id(), format, "{size:?}");
        }
        Ok(())
    }

    #[test]
    fn a_picture_that_has_the_size_passes_untouched() -> Result {
        for (width, height) in [(0, 0), (64, 33), (64, 0)] {
            let mut node = resize(width, height, "bilinear")?;
            let size = if height == 0 && width > 0 {
                (64, 34)
            } else {
                (64, 33)
            };
            let input = frame(&node, size.0, size.1, 1)?;
            let at = input.payload().as_ptr();
            let out = node.push(0, vec![input])?;
            assert_eq!(out[0].1.payload().as_ptr(), at);
            assert_eq!(node.bytes_copied(), 0);
        }
        Ok(())
    }

    #[test]
    fn a_shape_that_makes_no_picture_is_an_error() -> Result {
        let mut node = resize(8192, 0, "nearest")?;
        let input = frame(&node, 1, 4, 1)?;
        let refused = node.push(0, vec![input]).err().map(|e| e.to_string());
        assert!(refused.is_some_and(|e| e.contains("8192x32768")));
        Ok(())
    }

    #[test]
    fn colours_stay_whether_a_picture_is_scaled_or_not() -> Result {
        colours_are_kept::<Resize>(&[("width", Value::Integer(32))], (32, 18))?;
        colours_are_kept::<Resize>(&[], (64, 34))
    }
}
