//! [`Y4m`]: YUV4MPEG2, the text header and raw pictures of mjpegtools.
//!
//! Pictures of 8 bits in 4:2:0 become `video/i420`: they lie in the file as they lie in a frame, so one is read straight to
//! its place. The line in front of each picture is read within [`MAX_LINE`] bytes, and one picture is in memory.

use levada_plugin::{colour::Colour, prelude::*};

use super::{Carried, Demuxer, Unit, VIDEO, bytes::Source};

/// A line of the header, in bytes.
const MAX_LINE: u64 = 256;
/// Pixels on each side, at most.
const MAX_SIDE: u32 = 16_384;

/// A file that is open.
pub(super) struct Y4m {
    source: Source,
    width: u32,
    height: u32,
    /// What is stated of its colours.
    colour: Colour,
    /// Pictures a second.
    rate: (u32, u32),
    /// Where the first picture's line begins, and the next one's.
    first: u64,
    at: u64,
    /// The picture where playing began, and the next one.
    origin: u64,
    next: u64,
}

impl Y4m {
    /// Reads the header.
    ///
    /// # Errors
    /// When it does not describe pictures of 8 bits in 4:2:0.
    pub fn open(mut source: Source) -> Result<Y4m> {
        let (line, first) = line(&mut source, 0)?;
        let (mut width, mut height, mut rate) = (0, 0, (25, 1));
        let mut colour = Colour::default();
        for word in line.split(' ').skip(1) {
            let (key, value) = word.split_at_checked(1).unwrap_or((word, ""));
            match key {
                "W" => width = value.parse().unwrap_or(0),
                "H" => height = value.parse().unwrap_or(0),
                "X" if value == "COLORRANGE=FULL" => colour.full_range = Some(true),
                "X" if value == "COLORRANGE=LIMITED" => colour.full_range = Some(false),
                "F" => rate = fraction(value).unwrap_or((0, 0)),
                "C" if !["420", "420jpeg", "420paldv", "420mpeg2"].contains(&value) => {
                    return Err(source.error(
                        0,
                        format_args!("pictures are in {value}, and only 420 with 8 bits is played; convert them, such as \
                                      with ffmpeg -pix_fmt yuv420p"),
                    ));
                }
                _ => {}
            }
        }
        let sides = 1..=MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) || rate.0 == 0 || rate.1 == 0 {
            return Err(source.error(
                0,
                format_args!("the header \"{line}\" describes no pictures of up to {MAX_SIDE} pixels on a side"),
            ));
        }
        Ok(Y4m {
            source,
            width,
            height,
            colour,
            rate,
            first,
            at: first,
            origin: 0,
            next: 0,
        })
    }

    fn ns(&self, picture: u64) -> i64 {
        let ns =
            u128::from(picture) * u128::from(self.rate.1) * 1_000_000_000 / u128::from(self.rate.0);
        i64::try_from(ns).unwrap_or(i64::MAX)
    }

    fn format(&self) -> Format {
        let format = Format::video("i420", self.width, self.height);
        format.with_config(self.colour.to_string())
    }

    fn bytes(&self) -> u64 {
        let (w, h) = (u64::from(self.width), u64::from(self.height));
        w * h + 2 * w.div_ceil(2) * h.div_ceil(2)
    }

    /// Passes over the line in front of a picture; `None` at the end.
    fn enter(&mut self) -> Result<Option<u64>> {
        if self.at == self.source.len() {
            return Ok(None);
        }
        let (line, at) = line(&mut self.source, self.at)?;
        if !line.starts_with("FRAME") {
            return Err(self.source.error(self.at, "no picture begins here"));
        }
        self.source.check(at, self.bytes(), u64::MAX, "a picture")?;
        Ok(Some(at))
    }
}

fn fraction(text: &str) -> Option<(u32, u32)> {
    let (over, under) = text.split_once(':')?;
    Some((over.parse().ok()?, under.parse().ok()?))
}

/// A line of text, and where the next byte lies.
fn line(source: &mut Source, at: u64) -> Result<(String, u64)> {
    let mut bytes = [0; MAX_LINE as usize];
    let len = MAX_LINE.min(source.len().saturating_sub(at)) as usize;
    source.read(at, &mut bytes[..len])?;
    match bytes[..len].iter().position(|b| *b == b'\n') {
        Some(end) => Ok((
            String::from_utf8_lossy(&bytes[..end]).into_owned(),
            at + end as u64 + 1,
        )),
        None => Err(source.error(
            at,
            format_args!("no line of up to {MAX_LINE} bytes ends here"),
        )),
    }
}

impl Demuxer for Y4m {
    fn has(&self, port: usize) -> bool {
        port == VIDEO
    }

    fn carries(&self, port: usize) -> Vec<Carried> {
        if !self.has(port) {
            return vec![];
        }
        vec![self.format().into()]
    }

    fn length(&mut self) -> Option<i64> {
        // What stands in front of a picture is "FRAME" and a line's end, unless the writer is talkative.
        let pictures = self.source.len().saturating_sub(self.first) / (self.bytes() + 6);
        Some(self.ns(pictures.saturating_sub(self.origin)))
    }

    fn begin(&mut self, at_ns: i64) -> Result {
        let picture = i128::from(at_ns.max(0)) * i128::from(self.rate.0)
            / (1_000_000_000 * i128::from(self.rate.1));
        (self.at, self.next) = (self.first, 0);
        while i128::from(self.next) < picture {
            match self.enter()? {
                Some(at) => (self.at, self.next) = (at + self.bytes(), self.next + 1),
                None => break,
            }
        }
        self.origin = self.next;
        Ok(())
    }

    fn next(&mut self, host: &Host) -> Result<Option<Unit>> {
        let Some(at) = self.enter()? else {
            return Ok(None);
        };
        let mut payload = host.loan(self.bytes() as usize)?;
        self.source.read(at, payload.as_mut_slice())?;
        self.at = at + self.bytes();
        let picture = self.next - self.origin;
        self.next += 1;
        let pts = self.ns(picture);
        Ok(Some(Unit {
            port: VIDEO,
            payload,
            format: host.format_id(&self.format())?,
            pts,
            dts: pts,
            end: self.ns(picture + 1),
            key: true,
        }))
    }
}
