//! `grayscale`: takes the colour out of pictures.

use levada_plugin::{
    picture::{I420Mut, Sizes},
    prelude::*,
};

/// Takes the colour out of pictures, in place.
///
/// **Inputs** `in`: `video/i420`, any size. **Outputs** `out`: the same frames, edited in place. **Params** none.
/// **Example** `"decode -> gray -> encode"` with `gray = { type = "grayscale" }`.
pub struct Grayscale {
    sizes: Sizes,
}

impl Node for Grayscale {
    const NAME: &'static str = "grayscale";
    const SUMMARY: &'static str = "Takes the colour out of pictures";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("video/i420").forwards_to(1),
        Port::output("out").formats("video/i420"),
    ];

    fn create(_config: &Config) -> Result<Self> {
        Ok(Grayscale {
            sizes: Sizes::default(),
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.iter_mut() {
            let (width, height) = self.sizes.of(frame, ctx)?;
            let mut picture = I420Mut::new(ctx.make_writable(frame)?, width, height)?;
            picture.u().fill(128);
            picture.v().fill(128);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SIZES, colours_are_kept, frame, shared_frames_are_copied_once};
    use levada_plugin::{harness::Harness, picture::I420};

    #[test]
    fn brightness_stays_and_colour_goes_in_place() -> Result {
        let mut gray = Harness::<Grayscale>::new(&[])?;
        for (width, height) in SIZES {
            let input = frame(&gray, width, height, 3)?;
            let before = input.payload().to_vec();
            let at = input.payload().as_ptr();
            let out = gray.push(0, vec![input])?;
            let after = I420::new(out[0].1.payload(), width, height)?;
            assert_eq!(after.y(), I420::new(&before, width, height)?.y());
            assert!(after.u().iter().chain(after.v()).all(|c| *c == 128));
            assert_eq!(out[0].1.payload().as_ptr(), at);
        }
        assert_eq!(gray.bytes_copied(), 0);
        Ok(())
    }

    #[test]
    fn a_frame_that_others_hold_is_copied_once_and_theirs_stays_as_it_was() -> Result {
        shared_frames_are_copied_once::<Grayscale>(&[])
    }

    #[test]
    fn colours_stay_as_they_are_stated() -> Result {
        colours_are_kept::<Grayscale>(&[], (64, 34))
    }
}
