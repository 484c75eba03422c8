//! `overlay-text`: writes into pictures.

use std::collections::BTreeMap;

use levada_plugin::{
    picture::{I420Mut, Sizes},
    prelude::*,
};

use crate::{
    marks::{self, Edge},
    place::{self, Place},
    template::{Facts, Template},
    text,
};

/// Writes a line of text into pictures, white on a black box, in place.
///
/// **Inputs** `in`: `video/i420`, any size. **Outputs** `out`: the same frames, edited in place. **Params** `text`, in
/// which `{frame}` stands for how many pictures of the stream came before, `{timecode}` for the picture's time as
/// `hh:mm:ss.mmm`, `{pts}` for the same in ns, `{size}` for its size, `{stream}` for its stream's number (and
/// `{session}` for the session's, and `{time}` for when that began); ASCII, at most 256 characters. `position` of the box; `scale`: how large a pixel of
/// the font, of 10x20, is, 0 for about a fifteenth of the picture's height. `code`: also draws the number of the picture
/// (`frame`) or its time in ms (`time`), modulo 2^24, as black and white cells along the lower edge, for programs to
/// read ([`marks`](crate::marks)). **Example** `"mirror -> clock -> encode"` with
/// `clock = { type = "overlay-text", params = { text = "{timecode}", position = "bottom" } }`.
pub struct OverlayText {
    template: Template,
    position: (Place, Place),
    scale: usize,
    code: Code,
    sizes: Sizes,
    /// Pictures of each stream so far; a session has at most 256 streams.
    counts: BTreeMap<u16, u64>,
    line: String,
}

#[derive(Clone, Copy)]
enum Code {
    None,
    Frame,
    Time,
}

impl OverlayText {
    fn write(&mut self, frame: &mut Frame, ctx: &Context) -> Result {
        let size = self.sizes.of(frame, ctx)?;
        let count = self.counts.entry(frame.stream()).or_default();
        let facts = Facts {
            frame: *count,
            pts: frame.pts(),
            size,
            stream: frame.stream(),
        };
        *count += 1;
        self.template.fill(&facts, &mut self.line);
        let mut picture = I420Mut::new(ctx.make_writable(frame)?, size.0, size.1)?;
        let (width, height) = (picture.width(), picture.height());
        let number = match self.code {
            Code::None => None,
            Code::Frame => Some(facts.frame),
            // A time before 0 has no code of its own.
            Code::Time => Some(facts.pts.max(0) as u64 / 1_000_000),
        };
        // The text stands above the code.
        let above = number.map_or(height, |_| height - marks::height(height));
        if !self.line.is_empty() {
            let scale = match self.scale {
                0 => text::natural_scale(height),
                scale => scale,
            };
            let around = text::size(&self.line, scale);
            let left = self.position.0.begin(around.0, width);
            let top = self.position.1.begin(around.1, above);
            text::draw(&mut picture, &self.line, left, top, scale);
        }
        if let Some(number) = number {
            let number = (number % u64::from(marks::NUMBERS)) as u32;
            marks::draw(&mut picture, number, Edge::Bottom);
        }
        Ok(())
    }
}

impl Node for OverlayText {
    const NAME: &'static str = "overlay-text";
    const SUMMARY: &'static str = "Writes a line of text into pictures, such as their time";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("video/i420").forwards_to(1),
        Port::output("out").formats("video/i420"),
    ];
    const PARAMS: &'static [Param] = &[
        Param::text("text", "{timecode}")
            .help("What to write; {frame}, {timecode}, {pts}, {size}, {stream} stand for the picture's"),
        Param::choice(
            "position",
            place::WORDS,
            "top-left",
        )
        .help("Where the text stands"),
        Param::integer("scale", 0)
            .range(0.0, 32.0)
            .help("Size of a pixel of the font (10x20); 0 follows the picture's height"),
        Param::choice("code", "none frame time", "none")
            .help("What to draw along the lower edge for programs to read: the number of the picture, or its ms"),
    ];

    const CHECK: Option<Check> = Some(|config| {
        // What a session fills in is no place of the template.
        Template::new(&config.filled("text")?).map(|_| ())
    });

    fn create(config: &Config) -> Result<Self> {
        Ok(OverlayText {
            template: Template::new(config.text("text")?)?,
            position: place::of_word(config.text("position")?),
            // The range keeps it inside its type.
            scale: config.integer("scale")? as usize,
            code: match config.text("code")? {
                "frame" => Code::Frame,
                "time" => Code::Time,
                _ => Code::None,
            },
            sizes: Sizes::default(),
            counts: BTreeMap::new(),
            line: String::new(),
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        frames
            .iter_mut()
            .try_for_each(|frame| self.write(frame, ctx))
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

    /// Where a text stands in a picture of 320x180: the place of its box's left upper corner.
    fn stands(picture: &[u8], line: &str, scale: usize) -> Result<(usize, usize)> {
        let (w, h) = text::size(line, scale);
        let mut expected = vec![0; levada_plugin::picture::i420_bytes(w as u32, h as u32)?];
        text::draw(
            &mut I420Mut::new(&mut expected, w as u32, h as u32)?,
            line,
            0,
            0,
            scale,
        );
        let y = I420::new(picture, 320, 180)?.y();
        let is_here = |left: usize, top: usize| {
            (0..h).all(|row| y[(top + row) * 320 + left..][..w] == expected[row * w..][..w])
        };
        let places = (0..=180 - h).flat_map(|top| (0..=320 - w).map(move |left| (left, top)));
        places
            .into_iter()
            .find(|(left, top)| is_here(*left, *top))
            .ok_or_else(|| Error::new(format_args!("{line:?} is nowhere")))
    }

    #[test]
    fn each_frame_bears_its_number_and_time_at_the_place_that_is_asked_for() -> Result {
        for (position, wanted) in [
            ("top-left", (0, 0)),
            ("bottom-right", (320 - 168, 180 - 28)),
            ("center", (76, 76)),
        ] {
            let params = [
                ("text", Value::Text("{frame} {timecode} x")),
                ("position", Value::Text(position)),
                ("scale", Value::Integer(1)),
            ];
            let mut overlay = Harness::<OverlayText>::new(&params)?;
            for n in 0..3i64 {
                let input = frame(&overlay, 320, 180, 1)?.with_pts(n * 40_000_000 + 60_000_000_000);
                let at = input.payload().as_ptr();
                let out = overlay.push(0, vec![input])?;
                let line = format!("{n} 00:01:00.{:03} x", n * 40);
                assert_eq!(stands(out[0].1.payload(), &line, 1)?, wanted, "{position}");
                assert_eq!(out[0].1.payload().as_ptr(), at, "in place");
            }
            let other = frame(&overlay, 320, 180, 1)?.with_stream(9).with_pts(0);
            let out = overlay.push(0, vec![other])?;
            stands(out[0].1.payload(), "0 00:00:00.000 x", 1)?;
            assert_eq!(overlay.bytes_copied(), 0);
        }
        Ok(())
    }

    #[test]
    fn programs_read_the_number_or_the_time_along_the_lower_edge() -> Result {
        for code in ["frame", "time"] {
            let mut overlay = Harness::<OverlayText>::new(&[
                ("code", Value::Text(code)),
                ("position", Value::Text("bottom")),
            ])?;
            for n in 0..5u32 {
                let input =
                    frame(&overlay, 321, 181, 1)?.with_pts(i64::from(n) * 33_000_000 + 999_999);
                let out = overlay.push(0, vec![input])?;
                let found = marks::read(&I420::new(out[0].1.payload(), 321, 181)?, Edge::Bottom);
                assert_eq!(found, Some(if code == "frame" { n } else { n * 33 }));
            }
        }
        Ok(())
    }

    #[test]
    fn any_size_may_come_at_any_frame() -> Result {
        let mut overlay = Harness::<OverlayText>::new(&[("code", Value::Text("frame"))])?;
        for (width, height) in SIZES {
            let input = frame(&overlay, width, height, 1)?;
            assert_eq!(overlay.push(0, vec![input])?.len(), 1);
        }
        let empty = [("text", Value::Text(""))];
        let mut nothing = Harness::<OverlayText>::new(&empty)?;
        let input = frame(&nothing, 64, 33, 1)?;
        let before = input.payload().to_vec();
        assert_eq!(nothing.push(0, vec![input])?[0].1.payload(), before);
        Ok(())
    }

    #[test]
    fn a_frame_that_others_hold_is_copied_once_and_theirs_stays_as_it_was() -> Result {
        shared_frames_are_copied_once::<OverlayText>(&[])
    }

    #[test]
    fn an_unknown_place_in_the_text_is_refused() {
        let refused = Harness::<OverlayText>::new(&[("text", Value::Text("{clock}"))]);
        assert!(
            refused
                .err()
                .is_some_and(|e| e.to_string().contains("{timecode}"))
        );
    }

    #[test]
    fn colours_stay_as_they_are_stated() -> Result {
        colours_are_kept::<OverlayText>(&[], (64, 34))
    }
}
