//! `snapshot`: writes pictures into JPEG files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jpeg_encoder::{ColorType, Encoder, EncodingError, SamplingFactor};
use levada_plugin::{
    colour::Colour,
    picture::{Layout, Sizes},
    prelude::*,
};
use tracing::info;

use crate::pixels::Converter;

/// What stands for a picture's number in a path.
const NUMBER: &str = "{n}";

/// Writes a picture, or one each so many seconds, into a JPEG file.
///
/// **Inputs** `in`: `video/i420`, any size, read-only. **Outputs** none. **Params** `path`: the file, which ends in `.jpg`
/// or `.jpeg`; `{n}` in its name stands for the snapshot's number, from 0 on, and without it each snapshot takes the
/// place of the one before; `every`: seconds from one to the next by the pictures' times, 0 for the first picture alone;
/// `quality`: 1 to 100. A file appears whole or not at all. It is JFIF, which has BT.601 in full range whatever the picture
/// has: that is made into red, green and blue as its format states (`levada_plugin::colour`), which counts as a copy, and
/// then encoded. **Example** `links = ["camera.video -> screen.video", "camera.video -> still"]` with
/// `still = { type = "snapshot", params = { path = "door-{n}.jpg", every = 60.0 } }`.
pub struct Snapshot {
    path: String,
    every_ns: i64,
    quality: u8,
    sizes: Sizes,
    count: u64,
    /// When the next one is due; `None` before the first.
    due: Option<i64>,
}

impl Snapshot {
    fn wants(&mut self, pts: i64) -> bool {
        let Some(due) = self.due else {
            self.due = Some(pts.saturating_add(self.every_ns));
            return true;
        };
        // A time that lies before the last snapshot belongs to a timeline that began anew.
        let is_anew = pts < due.saturating_sub(self.every_ns.saturating_mul(2));
        let wanted = self.every_ns > 0 && (pts >= due || is_anew);
        if wanted {
            // The next is due a period after this one was, so that times that do not divide it add up to nothing;
            // after a pause, a period after this one.
            let is_late = pts.saturating_sub(due) >= self.every_ns;
            let from = if is_anew || is_late { pts } else { due };
            self.due = Some(from.saturating_add(self.every_ns));
        }
        wanted
    }

    fn write(&mut self, frame: &Frame, ctx: &Context) -> Result {
        let (width, height) = self.sizes.of(frame, ctx)?;
        let colour = Colour::of(&ctx.format(frame.format_id()).unwrap_or_default());
        // Not kept from one snapshot to the next, which may be a day later.
        let mut rgb = vec![0; Layout::Rgb24.bytes(width, height)?];
        Converter::new(Layout::I420, Layout::Rgb24, (width, height), colour)?
            .convert(frame.payload(), &mut rgb)?;
        ctx.copied(rgb.len());
        let path = PathBuf::from(self.path.replace(NUMBER, &self.count.to_string()));
        self.count += 1;
        save(&path, &rgb, (width, height), self.quality).map_err(|error| {
            Error::new(format_args!(
                "snapshot \"{}\" cannot be written: {error}; choose another path, or make room",
                path.display()
            ))
        })?;
        info!(path = %path.display(), pts_ns = frame.pts(), "snapshot");
        Ok(())
    }
}

fn save(path: &Path, rgb: &[u8], (width, height): (u32, u32), quality: u8) -> io::Result<()> {
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, quality);
    encoder.set_sampling_factor(SamplingFactor::R_4_2_0);
    // A side has at most 16,384 pixels.
    let (width, height) = (width as u16, height as u16);
    encoder
        .encode(rgb, width, height, ColorType::Rgb)
        .map_err(|error: EncodingError| io::Error::other(error))?;
    let mut part = path.to_owned().into_os_string();
    part.push(".part");
    fs::write(&part, file)?;
    fs::rename(&part, path)
}

impl Node for Snapshot {
    const NAME: &'static str = "snapshot";
    const SUMMARY: &'static str = "Writes pictures into JPEG files";
    const PORTS: &'static [Port] = &[Port::input("in").formats("video/i420").read_only()];
    const PARAMS: &'static [Param] = &[
        Param::path("path")
            .required()
            .help("The file; it ends in .jpg, and {n} stands for the snapshot's number"),
        Param::float("every", 0.0)
            .range(0.0, 86_400.0)
            .unit("s")
            .help("Time from one snapshot to the next; 0 writes the first picture alone"),
        Param::integer("quality", 85)
            .range(1.0, 100.0)
            .help("Quality of the JPEG: 100 is best and largest"),
    ];
    // It writes files.
    const COST: Cost = Cost::Blocking;

    const CHECK: Option<Check> = Some(|config| {
        let path = config.text("path")?;
        let extension = Path::new(path).extension().and_then(|e| e.to_str());
        if !extension.is_some_and(|e| ["jpg", "jpeg"].contains(&&*e.to_ascii_lowercase())) {
            return Err(Error::new(format_args!(
                "path = \"{path}\": snapshot writes JPEG; give the file a name that ends in .jpg"
            )));
        }
        config.check_folder("path")
    });

    fn create(config: &Config) -> Result<Self> {
        let path = config.text("path")?;
        Ok(Snapshot {
            path: path.to_owned(),
            // The ranges keep both inside their types.
            every_ns: (config.float("every")? * 1e9) as i64,
            quality: config.integer("quality")? as u8,
            sizes: Sizes::default(),
            count: 0,
            due: None,
        })
    }

    fn observe(&mut self, _port: usize, frames: &[Frame], ctx: &mut Context) -> Result {
        for frame in frames {
            if self.wants(frame.pts()) {
                self.write(frame, ctx)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SIZES;
    use levada_plugin::{
        harness::{Harness, Value},
        picture::{I420Mut, i420_bytes},
    };

    /// A path for the harness, which wants text that lives for ever.
    fn path(folder: &tempfile::TempDir, name: &str) -> Value {
        Value::Text(String::leak(folder.path().join(name).display().to_string()))
    }

    /// A picture of one colour.
    fn plain(node: &Harness<Snapshot>, size: (u32, u32), yuv: [u8; 3], pts: i64) -> Result<Frame> {
        let mut loan = node.loan(i420_bytes(size.0, size.1)?)?;
        let mut picture = I420Mut::new(loan.as_mut_slice(), size.0, size.1)?;
        for (plane, value) in picture.planes().iter_mut().zip(yuv) {
            plane.data.fill(value);
        }
        let format = node.format_id(&Format::video("i420", size.0, size.1));
        Ok(Frame::new(Kind::Video, loan)
            .with_format_id(format)
            .with_pts(pts))
    }

    #[test]
    fn the_picture_is_read_again_with_its_size_and_colours() -> Result {
        let folder = tempfile::tempdir().expect("a folder");
        let params = [
            ("path", path(&folder, "{n}.JPG")),
            ("every", Value::Float(0.001)),
        ];
        let mut node = Harness::<Snapshot>::new(&params)?;
        // Red, green and white of BT.601 in limited range.
        let colours = [
            ([81, 90, 240], [255, 0, 0]),
            ([145, 54, 34], [0, 255, 0]),
            ([235, 128, 128], [255, 255, 255]),
        ];
        let cases = SIZES.iter().zip(colours.iter().cycle()).enumerate();
        for (n, (size, (yuv, rgb))) in cases {
            node.push(0, vec![plain(&node, *size, *yuv, n as i64 * 1_000_000)?])?;
            let file = fs::read(folder.path().join(format!("{n}.JPG"))).expect("a file");
            let mut decoder = jpeg_decoder::Decoder::new(&file[..]);
            let pixels = decoder.decode().expect("a JPEG");
            let info = decoder.info().expect("its size");
            assert_eq!((u32::from(info.width), u32::from(info.height)), *size);
            for pixel in pixels.chunks_exact(3) {
                for (is, wanted) in pixel.iter().zip(rgb) {
                    assert!(is.abs_diff(*wanted) <= 4, "{pixel:?} for {rgb:?}, {size:?}");
                }
            }
        }
        Ok(())
    }

    #[test]
    fn a_file_shows_what_convert_makes_of_the_colours_that_the_picture_states() -> Result {
        let folder = tempfile::tempdir().expect("a folder");
        let params = [
            ("path", path(&folder, "now.jpg")),
            ("every", Value::Float(0.001)),
            ("quality", Value::Integer(100)),
        ];
        let mut node = Harness::<Snapshot>::new(&params)?;
        let configs = ["", "range=full", "matrix=bt709", "range=full;matrix=bt2020"];
        for (n, config) in (0..).zip(configs) {
            let frame = plain(&node, (32, 18), [60, 100, 150], n * 1_000_000)?;
            let format = Format::video("i420", 32, 18).with_config(config);
            let frame = frame.with_format_id(node.format_id(&format));
            let mut wanted = vec![0; Layout::Rgb24.bytes(32, 18)?];
            let colour = Colour::of(&format);
            Converter::new(Layout::I420, Layout::Rgb24, (32, 18), colour)?
                .convert(frame.payload(), &mut wanted)?;
            node.push(0, vec![frame])?;
            let file = fs::read(folder.path().join("now.jpg")).expect("a file");
            let is = jpeg_decoder::Decoder::new(&file[..]).decode();
            for (is, wanted) in is.expect("a JPEG").iter().zip(&wanted) {
                assert!(is.abs_diff(*wanted) <= 3, "{config:?}: {is} for {wanted}");
            }
        }
        assert_eq!(node.bytes_copied(), 4 * 3 * 32 * 18);
        Ok(())
    }

    #[test]
    fn snapshots_are_so_many_seconds_apart_or_the_first_picture_alone() -> Result {
        for (every, wanted) in [(0.0, 1), (1.0, 4), (0.5, 8)] {
            let folder = tempfile::tempdir().expect("a folder");
            let params = [
                ("path", path(&folder, "s-{n}.jpg")),
                ("every", Value::Float(every)),
            ];
            let mut node = Harness::<Snapshot>::new(&params)?;
            for n in 0..120 {
                node.push(
                    0,
                    vec![plain(
                        &node,
                        (16, 16),
                        [n, 128, 128],
                        i64::from(n) * 33_333_333,
                    )?],
                )?;
            }
            let files = fs::read_dir(folder.path()).expect("the folder").count();
            assert_eq!(files, wanted, "every {every} s");
        }
        Ok(())
    }

    #[test]
    fn without_a_number_the_file_is_the_newest_picture_even_when_time_goes_back() -> Result {
        let folder = tempfile::tempdir().expect("a folder");
        let params = [
            ("path", path(&folder, "now.jpg")),
            ("every", Value::Float(1.0)),
        ];
        let mut node = Harness::<Snapshot>::new(&params)?;
        for (pts, size) in [(i64::MAX, (8, 8)), (0, (16, 16)), (1_000_000_000, (24, 8))] {
            node.push(0, vec![plain(&node, size, [99, 128, 128], pts)?])?;
            let file = fs::read(folder.path().join("now.jpg")).expect("a file");
            let mut decoder = jpeg_decoder::Decoder::new(&file[..]);
            decoder.read_info().expect("a JPEG");
            let info = decoder.info().expect("its size");
            assert_eq!((u32::from(info.width), u32::from(info.height)), size);
        }
        assert_eq!(fs::read_dir(folder.path()).expect("the folder").count(), 1);
        Ok(())
    }

    #[test]
    fn what_cannot_be_written_is_told_with_the_path() -> Result {
        let refused = Harness::<Snapshot>::new(&[("path", Value::Text("still.bmp"))]).err();
        assert!(refused.is_some_and(|e| e.to_string().contains("ends in .jpg")));
        let folder = tempfile::tempdir().expect("a folder");
        let at = [("path", path(&folder, "no/such.jpg"))];
        let refused = Harness::<Snapshot>::new(&at).err();
        assert!(refused.is_some_and(|e| e.to_string().contains("there is no folder")));
        // It may go while the node runs.
        fs::create_dir(folder.path().join("no"))?;
        let mut node = Harness::<Snapshot>::new(&at)?;
        fs::remove_dir(folder.path().join("no"))?;
        let frame = plain(&node, (8, 8), [0, 0, 0], 0)?;
        let refused = node.push(0, vec![frame]).err().map(|e| e.to_string());
        assert!(refused.is_some_and(|e| e.contains("such.jpg") && e.contains("another path")));
        Ok(())
    }
}
