//! `crop`: cuts a part out of pictures.

use levada_plugin::{
    picture::{I420, I420Mut, Sizes, i420_bytes},
    prelude::*,
};

use crate::resized::Resized;

const OUT: usize = 1;
/// The longest side of a picture, as the output states it.
const MAX_SIDE: i64 = 16_384;

/// Cuts a rectangle out of pictures.
///
/// **Inputs** `in`: `video/i420`, any size. **Outputs** `out`: `video/i420` of the rectangle's size, tightly packed:
/// the part is copied once, because rows of a frame have no gaps; a picture that is not cut passes untouched.
/// **Params** `left`, `top`: pixels to cut off there, rounded down to even numbers, because colour has one value for
/// two by two pixels; `width`, `height`: of the part, 0 as far as the picture reaches. A picture that is smaller than
/// the rectangle gives what there is of it, and an error when that is nothing. **Example**
/// `"decode -> face -> encode"` with `face = { type = "crop", params = { left = 160, width = 320 } }`.
pub struct Crop {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
    sizes: Sizes,
    resized: Resized,
}

impl Crop {
    /// The part of a picture: `None` where nothing is cut off.
    fn part(&self, (width, height): (u32, u32)) -> Result<Option<(u32, u32)>> {
        if self.left >= width || self.top >= height {
            return Err(Error::new(format_args!(
                "crop begins at {}, {}, outside of pictures of {width}x{height}; choose a smaller left or top",
                self.left, self.top
            )));
        }
        let rest = (width - self.left, height - self.top);
        let limit = |wanted: u32, rest: u32| if wanted == 0 { rest } else { wanted.min(rest) };
        let part = (limit(self.width, rest.0), limit(self.height, rest.1));
        Ok((part != (width, height)).then_some(part))
    }

    fn take(&mut self, frame: Frame, ctx: &Context) -> Result<Frame> {
        let size = self.sizes.of(&frame, ctx)?;
        let Some(part) = self.part(size)? else {
            return Ok(frame);
        };
        let format = self.resized.of(&frame, part, ctx)?;
        let from = I420::new(frame.payload(), size.0, size.1)?;
        let mut loan = ctx.loan(i420_bytes(part.0, part.1)?)?;
        let mut to = I420Mut::new(loan.as_mut_slice(), part.0, part.1)?;
        for (at, (to, from)) in to.planes().iter_mut().zip(from.planes()).enumerate() {
            let shift = u32::from(at > 0);
            let (left, top) = ((self.left >> shift) as usize, (self.top >> shift) as usize);
            // Both are even and inside the picture, so that their halves are inside its colour planes.
            to.copy_from(&from.data[top * from.width + left..], from.width)?;
        }
        ctx.copied(loan.len());
        let mut frame = frame.with_format_id(format);
        frame.set_payload(loan);
        Ok(frame)
    }
}

/// What is known of the size of a part before a picture comes: it is no larger than what is asked for, and than what is
/// left of the largest picture.
fn offers(config: &Config, port: usize) -> Result<Option<String>> {
    let names = [("left", "width"), ("top", "height")];
    let mut sides = [(0, 0); 2];
    for (side, (cut, size)) in sides.iter_mut().zip(names) {
        *side = (config.integer(cut)? & !1, config.integer(size)?);
    }
    // Where nothing is cut, the size stays as it comes, which the engine knows.
    if port != OUT || sides == [(0, 0); 2] {
        return Ok(None);
    }
    let [width, height] = sides.map(|(cut, size)| {
        let rest = MAX_SIDE - cut;
        if size == 0 { rest } else { size.min(rest) }
    });
    Ok(Some(format!(
        "video/i420;width=1..{width};height=1..{height}"
    )))
}

impl Node for Crop {
    const NAME: &'static str = "crop";
    const SUMMARY: &'static str = "Cuts a rectangle out of pictures";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("video/i420").forwards_to(1),
        Port::output("out").formats("video/i420;width=1..16384;height=1..16384"),
    ];
    const PARAMS: &'static [Param] = &[
        Param::integer("left", 0)
            .range(0.0, 16_383.0)
            .unit("pixels")
            .help("What to cut off on the left; rounded down to an even number"),
        Param::integer("top", 0)
            .range(0.0, 16_383.0)
            .unit("pixels")
            .help("What to cut off above; rounded down to an even number"),
        Param::integer("width", 0)
            .range(0.0, 16_384.0)
            .unit("pixels")
            .help("Width of the part; 0 as far as the picture reaches"),
        Param::integer("height", 0)
            .range(0.0, 16_384.0)
            .unit("pixels")
            .help("Height of the part; 0 as far as the picture reaches"),
    ];
    const COST: Cost = Cost::Heavy;
    const OFFERS: Option<Offers> = Some(offers);

    fn create(config: &Config) -> Result<Self> {
        // The ranges keep all of them inside their type.
        let pixels = |name| config.integer(name).map(|n| n as u32);
        Ok(Crop {
            left: pixels("left")? & !1,
            top: pixels("top")? & !1,
            width: pixels("width")?,
            height: pixels("height")?,
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
    use crate::testing::{colours_are_kept, frame};
    use levada_plugin::harness::{Harness, Value};

    fn crop(left: i64, top: i64, width: i64, height: i64) -> Result<Harness<Crop>> {
        Harness::new(&[
            ("left", Value::Integer(left)),
            ("top", Value::Integer(top)),
            ("width", Value::Integer(width)),
            ("height", Value::Integer(height)),
        ])
    }

    #[test]
    fn the_part_is_cut_out_pixel_by_pixel_at_whatever_size_comes() -> Result {
        let mut crop = crop(5, 2, 9, 7)?;
        let mut copied = 0;
        // Whole, then as much as there is.
        for (size, part) in [
            ((32, 20), (9, 7)),
            ((33, 21), (9, 7)),
            ((11, 5), (7, 3)),
            ((5, 3), (1, 1)),
        ] {
            let input = frame(&crop, size.0, size.1, 1)?;
            let before = input.payload().to_vec();
            let out = crop.push(0, vec![input])?;
            let out = &out[0].1;
            assert_eq!(
                out.format_id(),
                crop.format_id(&Format::video("i420", part.0, part.1))
            );
            assert_eq!(out.pts(), 7);
            copied += out.payload().len() as u64;
            let (a, b) = (
                I420::new(&before, size.0, size.1)?,
                I420::new(out.payload(), part.0, part.1)?,
            );
            for (at, (a, b)) in a.planes().iter().zip(b.planes()).enumerate() {
                let (left, top) = if at == 0 { (4, 2) } else { (2, 1) };
                for y in 0..b.height {
                    for x in 0..b.width {
                        assert_eq!(
                            b.data[y * b.width + x],
                            a.data[(y + top) * a.width + x + left]
                        );
                    }
                }
            }
        }
        assert_eq!(crop.bytes_copied(), copied);
        Ok(())
    }

    #[test]
    fn what_is_said_of_the_size_before_a_picture_comes_holds_for_all_of_them() -> Result {
        let names = ["left", "top", "width", "height"];
        for (cut, wanted) in [
            ([0, 0, 0, 0], None),
            (
                [0, 0, 640, 360],
                Some("video/i420;width=1..640;height=1..360"),
            ),
            (
                [101, 0, 0, 0],
                Some("video/i420;width=1..16284;height=1..16384"),
            ),
            (
                [0, 16_383, 0, 9],
                Some("video/i420;width=1..16384;height=1..2"),
            ),
        ] {
            let params = [0, 1, 2, 3].map(|at| (names[at], Value::Integer(cut[at])));
            let said = Harness::<Crop>::offers(&params, OUT)?;
            assert_eq!(said.as_deref(), wanted, "{cut:?}");
            assert_eq!(Harness::<Crop>::offers(&params, 0)?, None);
        }
        Ok(())
    }

    #[test]
    fn what_is_not_cut_passes_untouched_and_nothing_left_is_an_error() -> Result {
        let mut whole = crop(0, 0, 0, 4000)?;
        let input = frame(&whole, 31, 17, 1)?;
        let at = input.payload().as_ptr();
        let out = whole.push(0, vec![input])?;
        assert_eq!((out[0].1.payload().as_ptr(), whole.bytes_copied()), (at, 0));
        let mut outside = crop(32, 0, 0, 0)?;
        let input = frame(&outside, 32, 17, 1)?;
        let refused = outside.push(0, vec![input]).err().map(|e| e.to_string());
        assert!(refused.is_some_and(|e| e.contains("32x17") && e.contains("smaller left")));
        Ok(())
    }

    #[test]
    fn colours_stay_whether_a_picture_is_cut_or_not() -> Result {
        colours_are_kept::<Crop>(&[("width", Value::Integer(20))], (20, 34))?;
        colours_are_kept::<Crop>(&[], (64, 34))
    }
}
