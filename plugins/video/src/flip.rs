//! `flip`: mirrors pictures.

use levada_plugin::{
    picture::{I420Mut, PlaneMut, Sizes},
    prelude::*,
};

/// Mirrors pictures, in place.
///
/// **Inputs** `in`: `video/i420`, any size. **Outputs** `out`: the same frames, edited in place. **Params**
/// `direction`: `horizontal` swaps left and right, as a mirror does, `vertical` top and bottom, `both` turns the
/// picture by 180 degrees. **Example** `"decode -> mirror -> encode"` with `mirror = { type = "flip" }`.
pub struct Flip {
    direction: Direction,
    sizes: Sizes,
}

#[derive(Clone, Copy)]
enum Direction {
    Horizontal,
    Vertical,
    Both,
}

impl Direction {
    fn turn(self, plane: &mut PlaneMut<'_>) {
        match self {
            Direction::Horizontal => plane.rows().for_each(<[u8]>::reverse),
            // Rows lie without a gap, so turning is the reverse of all bytes.
            Direction::Both => plane.data.reverse(),
            Direction::Vertical => {
                let half = plane.height / 2 * plane.width;
                let (upper, rest) = plane.data.split_at_mut(half);
                let lower = rest.rchunks_exact_mut(plane.width);
                for (above, below) in upper.chunks_exact_mut(plane.width).zip(lower) {
                    above.swap_with_slice(below);
                }
            }
        }
    }
}

impl Node for Flip {
    const NAME: &'static str = "flip";
    const SUMMARY: &'static str = "Mirrors pictures";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("video/i420").forwards_to(1),
        Port::output("out").formats("video/i420"),
    ];
    const PARAMS: &'static [Param] =
        &[
            Param::choice("direction", "horizontal vertical both", "horizontal")
                .help("What changes sides: left and right, top and bottom, or both"),
        ];
    const COST: Cost = Cost::Heavy;

    fn create(config: &Config) -> Result<Self> {
        Ok(Flip {
            direction: match config.text("direction")? {
                "vertical" => Direction::Vertical,
                "both" => Direction::Both,
                _ => Direction::Horizontal,
            },
            sizes: Sizes::default(),
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.iter_mut() {
            let (width, height) = self.sizes.of(frame, ctx)?;
            let mut picture = I420Mut::new(ctx.make_writable(frame)?, width, height)?;
            for plane in picture.planes() {
                self.direction.turn(plane);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SIZES, colours_are_kept, frame, shared_frames_are_copied_once};
    use levada_plugin::{
        harness::{Harness, Value},
        picture::I420,
    };

    #[test]
    fn each_direction_puts_every_pixel_where_it_belongs_in_place() -> Result {
        for direction in ["horizontal", "vertical", "both"] {
            let mut flip = Harness::<Flip>::new(&[("direction", Value::Text(direction))])?;
            for (seed, (width, height)) in SIZES.into_iter().enumerate() {
                let input = frame(&flip, width, height, seed)?;
                let before = input.payload().to_vec();
                let at = input.payload().as_ptr();
                let out = flip.push(0, vec![input])?;
                let after = out[0].1.payload();
                assert_eq!(after.as_ptr(), at, "in place");
                let (a, b) = (
                    I420::new(&before, width, height)?,
                    I420::new(after, width, height)?,
                );
                for (a, b) in a.planes().iter().zip(b.planes()) {
                    for y in 0..a.height {
                        for x in 0..a.width {
                            let from_x = if direction == "vertical" {
                                x
                            } else {
                                a.width - 1 - x
                            };
                            let from_y = if direction == "horizontal" {
                                y
                            } else {
                                a.height - 1 - y
                            };
                            assert_eq!(b.data[y * a.width + x], a.data[from_y * a.width + from_x]);
                        }
                    }
                }
            }
            assert_eq!(flip.bytes_copied(), 0);
        }
        Ok(())
    }

    #[test]
    fn a_frame_that_others_hold_is_copied_once_and_theirs_stays_as_it_was() -> Result {
        shared_frames_are_copied_once::<Flip>(&[])
    }

    #[test]
    fn colours_stay_as_they_are_stated() -> Result {
        colours_are_kept::<Flip>(&[], (64, 34))
    }
}
