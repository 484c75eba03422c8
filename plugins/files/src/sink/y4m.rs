//! [`Y4m`]: YUV4MPEG2, a line of text and the raw picture, again and again at one rate.
//!
//! A picture that lasts longer than a step of the rate stands in the file several times; one whose step is taken is left out.

use std::io::{self, Write};

use levada_plugin::{colour::Colour, picture::i420_bytes, prelude::*};

use super::{
    Writer,
    disk::Disk,
    only::{Only, same},
    pace::{Pace, Place, rate_meant, rate_of},
};

/// How long a picture is repeated at most, in ns: it takes room for each of its steps.
const MAX_STILL_NS: i64 = 10_000_000_000;
const USUAL: (u64, u64) = (30, 1);

struct Track {
    only: Only,
    bytes: usize,
    pace: Pace,
    /// The last picture, to be repeated.
    last: Frame,
}

/// A file that is being written.
pub(super) struct Y4m {
    file: Disk,
    fps: f64,
    track: Option<Track>,
}

impl Y4m {
    /// At so many pictures a second; 0 is what the first picture says.
    pub fn new(file: Disk, fps: f64) -> Y4m {
        Y4m {
            file,
            fps,
            track: None,
        }
    }

    fn begin(&mut self, frame: &Frame, ctx: &Context) -> Result<Track> {
        let format = ctx.format(frame.format_id()).unwrap_or_default();
        let (Media::Video { width, height }, "i420") = (format.media, format.encoding.as_str())
        else {
            return Err(Error::new(format_args!(
                "{format:?} is not recorded as Y4M; i420 is"
            )));
        };
        let rate = if self.fps > 0.0 {
            rate_of((1e6 / self.fps).round().clamp(1.0, 4e9) as u32)
        } else {
            rate_meant(frame.duration_us())
        };
        let rate = rate.unwrap_or(USUAL);
        let range = match Colour::of(&format).full_range {
            Some(true) => " XCOLORRANGE=FULL",
            Some(false) => " XCOLORRANGE=LIMITED",
            None => "",
        };
        writeln!(
            self.file,
            "YUV4MPEG2 W{width} H{height} F{}:{} Ip A0:0 C420jpeg{range}",
            rate.0, rate.1
        )?;
        Ok(Track {
            bytes: i420_bytes(width, height)?,
            only: Only::new(frame, format),
            pace: Pace::new(rate, 0, MAX_STILL_NS),
            last: frame.clone(),
        })
    }
}

fn write(file: &mut Disk, picture: &Frame) -> io::Result<()> {
    file.write_all(b"FRAME\n")?;
    file.write_all(picture.payload())
}

impl Writer for Y4m {
    fn take(&mut self, _port: usize, frame: &Frame, ctx: &Context) -> Result<bool> {
        if self.track.is_none() {
            self.track = Some(self.begin(frame, ctx)?);
        }
        let Some(track) = &mut self.track else {
            return Ok(false);
        };
        let taken = track.only.takes(frame, ctx, same)?;
        if taken && frame.payload().len() != track.bytes {
            return Err(Error::new(format_args!(
                "a picture of {} bytes came where its format asks for {}",
                frame.payload().len(),
                track.bytes
            )));
        }
        let place = if taken {
            track.pace.place(frame.pts())
        } else {
            Place::Late
        };
        match place {
            Place::Late => return Ok(false),
            Place::After(missing) => {
                for _ in 0..missing {
                    write(&mut self.file, &track.last)?;
                }
                track.pace.advance(missing);
            }
            Place::Here => {}
        }
        write(&mut self.file, frame)?;
        track.pace.advance(1);
        track.last = frame.clone();
        Ok(true)
    }

    fn finish(&mut self) -> Result<bool> {
        self.file.sync_all()?;
        Ok(self.track.is_some())
    }
}
