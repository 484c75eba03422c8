//! `convert`: pictures in another layout of pixels.

use levada_plugin::{
    colour::Colour,
    picture::{Layout, MAX_SIDE},
    prelude::*,
};
use tracing::warn;

use crate::pixels::{Converter, is_known};

/// Layouts that it makes, the preferred one first.
const MADE: [Layout; 4] = [Layout::I420, Layout::Nv12, Layout::Rgba, Layout::Rgb24];

/// Converts pictures to another layout of pixels.
///
/// **Inputs** `in`: `video/i420`, `video/nv12`, `video/i422`, `video/i444`, `video/rgba` or `video/rgb24`, any size.
/// **Outputs** `out`: `video/i420`, `video/nv12`, `video/rgba` or `video/rgb24` of the same size; each picture is written once
/// into a buffer on loan, which counts as a copy of what is written. One that has the layout already passes untouched.
/// **Params** `encoding`: the layout to make; `auto` is what the node behind it takes. `matrix` and `range`: how Y, U and V are
/// calculated from red, green and blue. The other way round they are calculated as their format states
/// (`levada_plugin::colour`). Primaries and transfer stay what they are; opacity is dropped, or full.
/// **Example** `"camera.video -> pixels -> painter"` with `pixels = { type = "convert", params = { encoding = "rgba" } }`. The
/// engine inserts it where it is needed.
pub struct Convert {
    name: String,
    /// What to make; `None` leaves what it can as it is.
    wanted: Option<Layout>,
    /// Of Y, U and V that it calculates.
    colour: Colour,
    /// What the last picture was.
    known: Option<Known>,
    has_warned: bool,
}

struct Known {
    format: u32,
    /// The format of what is made, how, and how many bytes it has; `None` where nothing is to be done.
    work: Option<(u32, Converter, usize)>,
}

impl Convert {
    #[cold]
    fn look(&mut self, id: u32, ctx: &Context) -> Result<Known> {
        let format = ctx.format(id).unwrap_or_default();
        let (from, (width, height)) = match (Layout::of(&format), format.media) {
            (Some(layout), Media::Video { width, height }) if width > 0 && height > 0 => {
                (layout, (width, height))
            }
            _ => {
                return Err(Error::new(format_args!(
                    "convert takes raw pictures of known size up to {MAX_SIDE}x{MAX_SIDE}, as i420, nv12, i422, i444, rgba \
                     or rgb24, and this one is {format}; put a decoder before this node"
                )));
            }
        };
        let as_it_is = if MADE.contains(&from) {
            from
        } else {
            Layout::I420
        };
        let to = self.wanted.unwrap_or(as_it_is);
        if to == from {
            return Ok(Known {
                format: id,
                work: None,
            });
        }
        let stated = Colour::of(&format);
        let is_rgb = |layout| matches!(layout, Layout::Rgba | Layout::Rgb24);
        // Of the picture in Y, U and V, and of what is made.
        let (yuv, made) = match (is_rgb(from), is_rgb(to)) {
            (false, true) => {
                let made = Colour {
                    full_range: None,
                    matrix: None,
                    ..stated
                };
                (stated, made)
            }
            (true, false) => {
                let made = Colour {
                    primaries: stated.primaries,
                    transfer: stated.transfer,
                    ..self.colour
                };
                (made, made)
            }
            _ => (stated, stated),
        };
        if is_rgb(to) && !is_known(yuv) && !std::mem::replace(&mut self.has_warned, true) {
            warn!(
                node = self.name,
                "colours are converted as those of BT.601, because the matrix that the pictures state is not known: {yuv}"
            );
        }
        let out = Format::video(to.encoding(), width, height).with_config(made.to_string());
        let converter = Converter::new(from, to, (width, height), yuv)?;
        Ok(Known {
            format: id,
            work: Some((ctx.format_id(&out)?, converter, to.bytes(width, height)?)),
        })
    }

    fn take(&mut self, frame: Frame, ctx: &Context) -> Result<Frame> {
        let id = frame.format_id();
        let mut known = match self.known.take() {
            Some(known) if known.format == id && id != 0 => known,
            _ => self.look(id, ctx)?,
        };
        let done = match &mut known.work {
            None => Ok(frame),
            Some((format, converter, bytes)) => ctx.loan(*bytes).and_then(|mut loan| {
                converter.convert(frame.payload(), loan.as_mut_slice())?;
                ctx.copied(*bytes);
                let mut frame = frame.with_format_id(*format);
                frame.set_payload(loan);
                Ok(frame)
            }),
        };
        self.known = Some(known);
        done
    }
}

impl Node for Convert {
    const NAME: &'static str = "convert";
    const SUMMARY: &'static str = "Converts pictures to another layout of pixels";
    const PORTS: &'static [Port] = &[
        Port::input("in")
            .formats("video/i420 video/nv12 video/rgba video/rgb24 video/i422 video/i444")
            .forwards_to(1),
        Port::output("out").formats("video/i420 video/nv12 video/rgba video/rgb24"),
    ];
    const PARAMS: &'static [Param] = &[
        Param::choice("encoding", "auto i420 nv12 rgba rgb24", "auto")
            .help("The layout to make; auto is what the node behind it takes"),
        Param::choice("matrix", "bt709 bt470bg smpte170m bt2020", "smpte170m")
            .help("How Y, U and V are calculated from red, green and blue"),
        Param::choice("range", "limited full", "limited")
            .help("Which values Y, U and V have that are calculated"),
    ];
    const COST: Cost = Cost::Heavy;
    const CONVERTER: bool = true;

    fn create(config: &Config) -> Result<Self> {
        let encoding = config.text("encoding")?;
        let is_wanted = |layout: &Layout| match encoding {
            "auto" => config.carries(1, &format!("video/{}", layout.encoding())),
            named => layout.encoding() == named,
        };
        let colour = format!(
            "range={};matrix={}",
            config.text("range")?,
            config.text("matrix")?
        );
        Ok(Convert {
            name: config.name().to_owned(),
            wanted: MADE.into_iter().find(is_wanted),
            colour: Colour::of(&Format::video("i420", 1, 1).with_config(colour)),
            known: None,
            has_warned: false,
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
    use crate::testing::frame;
    use levada_plugin::{
        harness::{Harness, Value},
        picture::i420_bytes,
    };

    fn picture(node: &Harness<Convert>, layout: Layout, config: &str) -> Result<Frame> {
        let mut loan = node.loan(layout.bytes(17, 9)?)?;
        loan.as_mut_slice().fill(130);
        let format = Format::video(layout.encoding(), 17, 9).with_config(config);
        Ok(Frame::new(Kind::Video, loan)
            .with_format_id(node.format_id(&format))
            .with_pts(7)
            .with_stream(3))
    }

    #[test]
    fn every_layout_becomes_every_other_with_its_time_and_stream() -> Result {
        for to in MADE {
            let mut node = Harness::<Convert>::new(&[("encoding", Value::Text(to.encoding()))])?;
            let mut copied = 0;
            for from in Layout::ALL {
                let input = picture(&node, from, "")?;
                let at = input.payload().as_ptr();
                let out = node.push(0, vec![input])?;
                let out = &out[0].1;
                let made = node.format(out.format_id()).unwrap_or_default();
                assert_eq!(made.encoding, to.encoding());
                assert_eq!(
                    made.media,
                    Media::Video {
                        width: 17,
                        height: 9
                    }
                );
                assert_eq!(out.payload().len(), to.bytes(17, 9)?);
                assert_eq!((out.pts(), out.stream()), (7, 3));
                assert_eq!(
                    out.payload().as_ptr() == at,
                    from == to,
                    "untouched where it fits"
                );
                copied += if from == to {
                    0
                } else {
                    to.bytes(17, 9)? as u64
                };
                assert_eq!(node.bytes_copied(), copied);
            }
        }
        Ok(())
    }

    #[test]
    fn auto_makes_what_is_negotiated_and_leaves_alone_what_is_not() -> Result {
        for (carried, made) in [
            ("video/rgba", "rgba"),
            ("video/nv12;width=17", "nv12"),
            ("", "i420"),
        ] {
            let mut node = Harness::<Convert>::with_formats(&[], &[("out", carried)])?;
            let input = picture(&node, Layout::I444, "")?;
            let out = node.push(0, vec![input])?;
            let format = node.format(out[0].1.format_id()).unwrap_or_default();
            assert_eq!(format.encoding, made, "{carried}");
        }
        let mut node = Harness::<Convert>::new(&[])?;
        let input = picture(&node, Layout::Rgb24, "")?;
        let format = input.format_id();
        assert_eq!(node.push(0, vec![input])?[0].1.format_id(), format);
        Ok(())
    }

    #[test]
    fn what_is_stated_of_colours_goes_along_where_it_still_holds() -> Result {
        let bt709 = "range=full;primaries=bt709;transfer=srgb;matrix=bt709";
        for (from, to, stated, params, made) in [
            (Layout::I420, "nv12", bt709, ("smpte170m", "limited"), bt709),
            (Layout::I444, "i420", "", ("bt709", "full"), ""),
            (
                Layout::I420,
                "rgba",
                bt709,
                ("smpte170m", "limited"),
                "primaries=bt709;transfer=srgb",
            ),
            (
                Layout::Rgb24,
                "i420",
                "primaries=bt709",
                ("bt2020", "full"),
                "range=full;primaries=bt709;matrix=bt2020",
            ),
            (
                Layout::Rgba,
                "nv12",
                "",
                ("smpte170m", "limited"),
                "range=limited;matrix=smpte170m",
            ),
        ] {
            let mut node = Harness::<Convert>::new(&[
                ("encoding", Value::Text(to)),
                ("matrix", Value::Text(params.0)),
                ("range", Value::Text(params.1)),
            ])?;
            let input = picture(&node, from, stated)?;
            let out = node.push(0, vec![input])?;
            let format = node.format(out[0].1.format_id()).unwrap_or_default();
            assert_eq!(
                String::from_utf8_lossy(&format.config),
                made,
                "{from:?} to {to}"
            );
        }
        Ok(())
    }

    #[test]
    fn stated_colours_decide_what_red_green_and_blue_become() -> Result {
        let mut node = Harness::<Convert>::new(&[("encoding", Value::Text("rgb24"))])?;
        // Limited range is meant where nothing is stated.
        for (stated, y, gray) in [
            ("range=full", 133, 133),
            ("range=limited", 132, 135),
            ("", 132, 135),
        ] {
            let mut input = picture(&node, Layout::I420, stated)?;
            let bytes = input
                .payload_mut()
                .ok_or_else(|| Error::new("it is unique"))?;
            let (light, colours) = bytes.split_at_mut(17 * 9);
            light.fill(y);
            colours.fill(128);
            let out = node.push(0, vec![input])?;
            assert!(
                out[0].1.payload().iter().all(|byte| *byte == gray),
                "{stated}"
            );
        }
        Ok(())
    }

    #[test]
    fn the_size_may_change_at_any_frame_and_what_is_no_picture_is_refused() -> Result {
        let mut node = Harness::<Convert>::new(&[("encoding", Value::Text("rgba"))])?;
        for (width, height) in crate::testing::SIZES {
            let input = frame(&node, width, height, 1)?;
            let out = node.push(0, vec![input])?;
            assert_eq!(out[0].1.payload().len(), (4 * width * height) as usize);
        }
        let h264 = node.format_id(&Format::video("h264", 64, 33));
        let wrong = frame(&node, 64, 33, 5)?.with_format_id(h264);
        let refused = node.push(0, vec![wrong]).err().map(|e| e.to_string());
        assert!(refused.is_some_and(|e| e.contains("video/h264 64x33") && e.contains("decoder")));
        let large = node.format_id(&Format::video("i420", 640, 330));
        let short = frame(&node, 64, 33, 5)?.with_format_id(large);
        assert!(i420_bytes(64, 33)? < i420_bytes(640, 330)?);
        let refused = node.push(0, vec![short]).err().map(|e| e.to_string());
        assert!(refused.is_some_and(|e| e.contains("640x330")));
        Ok(())
    }
}
