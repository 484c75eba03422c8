//! `overlay-image`: lays an image over pictures.
//!
//! The image is read once, when the session starts, and kept as a picture with a weight for each pixel, in the colours
//! of the frames; it is made anew where those change. Laying it over a frame is one pass over the part that it covers, in
//! place.

use std::{fs, io::Cursor, io::Read, path::Path};

use levada_plugin::{
    colour::Colour,
    picture::{I420Mut, PlaneMut, Sizes},
    prelude::*,
};
use png::{ColorType, Limits, Transformations};

use crate::{
    pixels::{Formula, formula},
    place::{self, Place},
};

/// Largest file, bytes.
const MAX_FILE: u64 = 16 << 20;
/// Most pixels.
const MAX_PIXELS: usize = 4096 * 4096;

/// Lays an image over pictures, such as a logo, in place.
///
/// **Inputs** `in`: `video/i420`, any size. **Outputs** `out`: the same frames, edited in place. **Params** `path` of a PNG
/// file, whose transparency counts; `position` of it; `margin`: pixels between it and the edges; `opacity`: 1 as it is, 0
/// not to be seen. The image is laid in the matrix and range that the frames state (`levada_plugin::colour`), BT.601 in
/// limited range where they state none. It begins at even pixels, because colour has one value for two by two of them, and what
/// does not fit into a picture is cut off on the right and below. **Example** `"camera -> logo -> encode"` with
/// `logo = { type = "overlay-image", params = { path = "logo.png", position = "bottom-right", margin = 16 } }`.
pub struct OverlayImage {
    image: Image,
    opacity: f64,
    /// The format of the last frame, and what its colours are calculated by.
    format: u32,
    formula: Formula,
    /// The image by that formula.
    planes: [Layer; 3],
    position: (Place, Place),
    margin: usize,
    sizes: Sizes,
}

/// A plane of the image: values, each with its weight from 0 to 255.
struct Layer {
    width: usize,
    height: usize,
    pixels: Vec<(u8, u8)>,
}

impl Layer {
    fn lay(&self, plane: &mut PlaneMut, left: usize, top: usize) {
        if left >= plane.width {
            return;
        }
        let rows = plane.rows().skip(top);
        for (row, image) in rows.zip(self.pixels.chunks_exact(self.width)) {
            for (to, (value, weight)) in row[left..].iter_mut().zip(image) {
                let (value, weight) = (u32::from(*value), u32::from(*weight));
                *to = ((value * weight + u32::from(*to) * (255 - weight) + 127) / 255) as u8;
            }
        }
    }
}

/// Red, green, blue and alpha of each pixel, row by row.
struct Image {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 4]>,
}

fn fault(path: &str, cause: &dyn std::fmt::Display) -> Error {
    Error::new(format_args!(
        "\"{path}\" cannot be read as an image: {cause}; name a PNG file of at most {} MiB and {MAX_PIXELS} pixels",
        MAX_FILE >> 20
    ))
}

/// Reads a PNG file as far as its head is.
fn open(path: &str) -> Result<png::Reader<Cursor<Vec<u8>>>> {
    let fault = |cause: &dyn std::fmt::Display| fault(path, cause);
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(fault(&"it is no file"));
    }
    let file = fs::File::open(Path::new(path)).map_err(|error| fault(&error))?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_FILE + 1).read_to_end(&mut bytes);
    if read.map_err(|error| fault(&error))? as u64 > MAX_FILE {
        return Err(fault(&"it is too large"));
    }
    let limits = Limits {
        bytes: MAX_PIXELS * 4,
    };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_transformations(Transformations::normalize_to_color8() | Transformations::ALPHA);
    let reader = decoder.read_info().map_err(|error| fault(&error))?;
    let (width, height) = reader.info().size();
    // At most 2^64, and each side at least 1.
    if u64::from(width) * u64::from(height) > MAX_PIXELS as u64 {
        return Err(fault(&format_args!("{width}x{height} is too large")));
    }
    Ok(reader)
}

/// Reads a PNG file.
fn read(path: &str) -> Result<Image> {
    let fault = |cause: &dyn std::fmt::Display| fault(path, cause);
    let mut reader = open(path)?;
    let (width, height) = reader.info().size();
    let size = reader
        .output_buffer_size()
        .ok_or_else(|| fault(&"it is too large"))?;
    let mut data = vec![0; size];
    let info = reader
        .next_frame(&mut data)
        .map_err(|error| fault(&error))?;
    let data = &data[..info.buffer_size()];
    let pixels = match info.color_type {
        ColorType::Rgba => data
            .chunks_exact(4)
            .map(|p| [p[0], p[1], p[2], p[3]])
            .collect(),
        ColorType::GrayscaleAlpha => data
            .chunks_exact(2)
            .map(|p| [p[0], p[0], p[0], p[1]])
            .collect(),
        other => return Err(fault(&format_args!("colours of type {other:?}"))),
    };
    Ok(Image {
        width: width as usize,
        height: height as usize,
        pixels,
    })
}

/// The planes of the image in these colours.
fn layers(image: &Image, formula: Formula, opacity: f64) -> [Layer; 3] {
    let [y, u, v] = formula;
    [
        layer(image, 1, y, opacity),
        layer(image, 2, u, opacity),
        layer(image, 2, v, opacity),
    ]
}

/// One value of the squares of `side` by `side` pixels.
fn layer(image: &Image, side: usize, (offset, weights): (f64, [f64; 3]), opacity: f64) -> Layer {
    let (width, height) = (image.width.div_ceil(side), image.height.div_ceil(side));
    let square = |at: usize| {
        let (left, top) = (at % width * side, at / width * side);
        let rows = top..(top + side).min(image.height);
        rows.flat_map(move |y| {
            let columns = left..(left + side).min(image.width);
            columns.map(move |x| image.pixels[y * image.width + x])
        })
    };
    let pixels = (0..width * height).map(|at| {
        let (mut alpha, mut sum, mut count) = (0.0, 0.0, 0.0);
        for pixel in square(at) {
            let a = f64::from(pixel[3]);
            let colour = pixel.iter().zip(weights);
            let value: f64 = colour.map(|(c, w)| f64::from(*c) / 255.0 * w).sum();
            // What cannot be seen has no part in the colour of what can.
            (alpha, sum, count) = (alpha + a, sum + a * value, count + 1.0);
        }
        let value = if alpha > 0.0 { sum / alpha } else { 0.0 };
        // A cast from float to integer saturates.
        let weight = (alpha / count * opacity).round() as u8;
        ((offset + value).round() as u8, weight)
    });
    Layer {
        width,
        height,
        pixels: pixels.collect(),
    }
}

impl OverlayImage {
    /// Looks at the format of frames.
    #[cold]
    fn look(&mut self, id: u32, ctx: &Context) {
        let formula = formula(Colour::of(&ctx.format(id).unwrap_or_default()));
        if formula != self.formula {
            self.planes = layers(&self.image, formula, self.opacity);
            self.formula = formula;
        }
        self.format = id;
    }
}

impl Node for OverlayImage {
    const NAME: &'static str = "overlay-image";
    const SUMMARY: &'static str = "Lays an image over pictures, such as a logo";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("video/i420").forwards_to(1),
        Port::output("out").formats("video/i420"),
    ];
    const PARAMS: &'static [Param] = &[
        Param::path("path").required().help("The image, a PNG file"),
        Param::choice("position", place::WORDS, "top-left").help("Where the image stands"),
        Param::integer("margin", 0)
            .range(0.0, 16_384.0)
            .unit("pixels")
            .help("Between the image and the edges"),
        Param::float("opacity", 1.0)
            .range(0.0, 1.0)
            .help("How much of what lies below is covered"),
    ];

    const CHECK: Option<Check> = Some(|config| {
        if !config.is_open("path")? {
            open(config.text("path")?)?;
        }
        Ok(())
    });

    fn create(config: &Config) -> Result<Self> {
        let image = read(config.text("path")?)?;
        let opacity = config.float("opacity")?;
        // What counts where nothing is stated.
        let formula = formula(Colour::default());
        Ok(OverlayImage {
            planes: layers(&image, formula, opacity),
            image,
            opacity,
            format: 0,
            formula,
            position: place::of_word(config.text("position")?),
            // The range keeps it inside its type.
            margin: config.integer("margin")? as usize,
            sizes: Sizes::default(),
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.iter_mut() {
            let (width, height) = self.sizes.of(frame, ctx)?;
            if frame.format_id() != self.format {
                self.look(frame.format_id(), ctx);
            }
            let mut picture = I420Mut::new(ctx.make_writable(frame)?, width, height)?;
            let begin = |place: Place, part: usize, whole: usize| {
                let inner = whole.saturating_sub(2 * self.margin);
                (self.margin + place.begin(part, inner)) & !1
            };
            let left = begin(self.position.0, self.planes[0].width, picture.width());
            let top = begin(self.position.1, self.planes[0].height, picture.height());
            for (at, (plane, layer)) in picture.planes().iter_mut().zip(&self.planes).enumerate() {
                let shift = usize::from(at > 0);
                layer.lay(plane, left >> shift, top >> shift);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        pixels::Converter,
        testing::{SIZES, frame, shared_frames_are_copied_once},
    };
    use levada_plugin::{
        harness::{Harness, Value},
        picture::{I420, Layout},
    };

    /// Writes a PNG of one colour, and answers its path for the harness, which wants text that lives for ever.
    fn image(folder: &tempfile::TempDir, size: (u32, u32), colour: [u8; 4]) -> &'static str {
        let path = folder.path().join(format!("{}x{}.png", size.0, size.1));
        let file = fs::File::create(&path).expect("a file");
        let mut encoder = png::Encoder::new(file, size.0, size.1);
        encoder.set_color(ColorType::Rgba);
        let mut writer = encoder.write_header().expect("a header");
        let data = colour.repeat((size.0 * size.1) as usize);
        writer.write_image_data(&data).expect("pixels");
        String::leak(path.display().to_string())
    }

    #[test]
    fn the_image_covers_its_place_in_its_colours_and_nothing_else_in_place() -> Result {
        let folder = tempfile::tempdir().expect("a folder");
        let red = image(&folder, (8, 6), [255, 0, 0, 255]);
        for (position, left, top) in [
            ("top-left", 4, 4),
            ("bottom-right", 308, 170),
            ("center", 156, 86),
        ] {
            let mut node = Harness::<OverlayImage>::new(&[
                ("path", Value::Text(red)),
                ("position", Value::Text(position)),
                ("margin", Value::Integer(4)),
            ])?;
            let input = frame(&node, 320, 180, 1)?;
            let (before, at) = (input.payload().to_vec(), input.payload().as_ptr());
            let out = node.push(0, vec![input])?;
            assert_eq!(out[0].1.payload().as_ptr(), at);
            let (before, after) = (
                I420::new(&before, 320, 180)?,
                I420::new(out[0].1.payload(), 320, 180)?,
            );
            let planes = before
                .planes()
                .into_iter()
                .zip(after.planes())
                .zip([81, 90, 240]);
            for (index, ((before, after), colour)) in planes.enumerate() {
                let shift = usize::from(index > 0);
                let (left, top) = (left >> shift, top >> shift);
                for (place, (was, is)) in before.data.iter().zip(after.data).enumerate() {
                    let (x, y) = (place % before.width, place / before.width);
                    let is_covered = (left..left + (8 >> shift)).contains(&x)
                        && (top..top + (6 >> shift)).contains(&y);
                    assert_eq!(
                        *is,
                        if is_covered { colour } else { *was },
                        "{position} {index} {x} {y}"
                    );
                }
            }
            assert_eq!(node.bytes_copied(), 0);
        }
        Ok(())
    }

    #[test]
    fn the_image_has_the_colours_that_the_frames_state_which_may_change() -> Result {
        let folder = tempfile::tempdir().expect("a folder");
        let rgba = [200, 30, 90, 255];
        let path = image(&folder, (8, 8), rgba);
        let mut node = Harness::<OverlayImage>::new(&[("path", Value::Text(path))])?;
        for config in [
            "range=full",
            "",
            "matrix=bt709",
            "range=full;matrix=bt2020",
            "",
        ] {
            let format = Format::video("i420", 8, 8).with_config(config);
            let input = frame(&node, 8, 8, 1)?.with_format_id(node.format_id(&format));
            let out = node.push(0, vec![input])?;
            let mut wanted = vec![0; Layout::I420.bytes(8, 8)?];
            let colour = Colour::of(&format);
            Converter::new(Layout::Rgba, Layout::I420, (8, 8), colour)?
                .convert(&rgba.repeat(64), &mut wanted)?;
            for (is, wanted) in out[0].1.payload().iter().zip(&wanted) {
                assert!(is.abs_diff(*wanted) <= 1, "{config:?}: {is} for {wanted}");
            }
        }
        Ok(())
    }

    #[test]
    fn transparency_and_opacity_let_what_lies_below_through() -> Result {
        let folder = tempfile::tempdir().expect("a folder");
        for (alpha, opacity, part) in [
            (255, 1.0, 1.0),
            (128, 1.0, 0.5),
            (255, 0.5, 0.5),
            (0, 1.0, 0.0),
        ] {
            let white = image(&folder, (2, 2), [255, 255, 255, alpha]);
            let mut node = Harness::<OverlayImage>::new(&[
                ("path", Value::Text(white)),
                ("opacity", Value::Float(opacity)),
            ])?;
            let input = frame(&node, 2, 2, 9)?;
            let was = f64::from(input.payload()[0]);
            let out = node.push(0, vec![input])?;
            let wanted = 235.0 * part + was * (1.0 - part);
            let is = f64::from(out[0].1.payload()[0]);
            assert!((is - wanted).abs() <= 1.5, "{is}, wanted {wanted}");
        }
        Ok(())
    }

    #[test]
    fn pictures_smaller_than_the_image_and_its_margin_are_covered_as_far_as_they_reach() -> Result {
        let folder = tempfile::tempdir().expect("a folder");
        let path = Value::Text(image(&folder, (33, 17), [0, 0, 0, 255]));
        for margin in [0, 5, 16_384] {
            for position in place::WORDS.split(' ') {
                let mut node = Harness::<OverlayImage>::new(&[
                    ("path", path),
                    ("position", Value::Text(position)),
                    ("margin", Value::Integer(margin)),
                ])?;
                for (width, height) in SIZES {
                    let input = frame(&node, width, height, 1)?;
                    assert_eq!(node.push(0, vec![input])?.len(), 1);
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_frame_that_others_hold_is_copied_once_and_theirs_stays_as_it_was() -> Result {
        let folder = tempfile::tempdir().expect("a folder");
        let path = image(&folder, (8, 8), [0, 0, 0, 255]);
        shared_frames_are_copied_once::<OverlayImage>(&[("path", Value::Text(path))])
    }

    #[test]
    fn what_is_no_image_is_refused_with_its_path() {
        let folder = tempfile::tempdir().expect("a folder");
        let good = image(&folder, (64, 64), [1, 2, 3, 4]);
        let bytes = fs::read(good).expect("the image");
        // The size in the header, with its checksum left as it was, and cut files.
        let mut huge = bytes.clone();
        huge[16..20].copy_from_slice(&[0x7f; 4]);
        let cases: Vec<Vec<u8>> = (0..bytes.len() - 24)
            .step_by(7)
            .map(|end| bytes[..end].to_vec())
            .chain([huge, b"no image".to_vec()])
            .collect();
        for (n, case) in cases.iter().enumerate() {
            let path = folder.path().join(format!("bad-{n}.png"));
            fs::write(&path, case).expect("a file");
            let path = String::leak(path.display().to_string());
            let refused = Harness::<OverlayImage>::new(&[("path", Value::Text(path))]).err();
            let text = refused.map(|e| e.to_string()).unwrap_or_default();
            assert!(
                text.contains(&*path) && text.contains("name a PNG file"),
                "{n}: {text:?}"
            );
        }
    }
}
