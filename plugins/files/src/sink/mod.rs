//! `file-sink`: records into a file.
//!
//! The path's ending says what kind of file it is (`container`). MP4, WebM and Matroska are written in pieces of about a
//! second, Ogg in pages of as much, the others unit by unit, so a crash loses at most the second that was in memory, and the end
//! of a session that fails nothing: what has been written can be played at any time. The file is written beside its place, with `.part` behind its name, and takes its place
//! when the recording ends in order. Neither a file of that name nor what a crash left under the other is replaced unless
//! `overwrite` says so, and what somebody else writes never is (`disk`).
//!
//! Files that have times (`mp4`, `matroska`, `ivf`) keep those of the units. In the others a unit's place is its time, so
//! holes are filled and what comes too late is left out (`pace`).

mod container;
mod disk;
mod entry;
mod ivf;
mod matroska;
mod mp4;
mod ogg;
mod only;
mod pace;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_others;
#[cfg(test)]
mod tests_of_pictures;
#[cfg(test)]
mod tests_of_places;
mod wav;
mod whole;
mod y4m;

use std::{fs, io, path::PathBuf};

use levada_plugin::prelude::*;
use tracing::{info, warn};

use container::Container;
use disk::{Disk, with_remedy};
use whole::Whole;

/// Number of the port for sound.
const AUDIO: usize = 0;
/// Number of the port for pictures.
const VIDEO: usize = 1;

/// A file that is being written.
trait Writer: Send {
    /// Takes a unit of a port; `false` when it cannot be placed.
    ///
    /// # Errors
    /// When it is of a kind that the file does not hold, or the file cannot be written.
    fn take(&mut self, port: usize, frame: &Frame, ctx: &Context) -> Result<bool>;

    /// Writes what waits, and sees that all of it is on the disk; `false` when nothing was recorded. Is called once.
    ///
    /// # Errors
    /// When the file cannot be written.
    fn finish(&mut self) -> Result<bool>;
}

/// When a unit is to be decoded, in ns.
fn decoding_time(frame: &Frame) -> i64 {
    frame
        .pts()
        .saturating_add(i64::from(frame.dts_delta_us()) * 1000)
}

/// Records sound and pictures into a file, whose ending says what kind of file it is.
///
/// **Inputs** `audio`, `video`: one stream each, and what the kind of file holds.
///
/// | ending | `audio` | `video` |
/// |---|---|---|
/// | `.mp4` | `opus`, `aac` | `h264`, `vp8`, `vp9`, `av1` |
/// | `.webm` | `opus` | `vp8`, `vp9`, `av1` |
/// | `.mkv` | `opus`, `aac` | `h264`, `vp8`, `vp9`, `av1` |
/// | `.ogg`, `.opus` | `opus` | |
/// | `.wav` | `f32`, `pcmu`, `pcma` | |
/// | `.y4m` | | `i420` |
/// | `.ivf` | | `vp8`, `vp9`, `av1` |
///
/// Opus is recorded with one or two channels.
///
/// **Outputs** none. **Params** `path`: the file; `overwrite`: whether a file that is there already may be replaced, or what
/// a crash left of one, with `.part` behind its name; never one that somebody else is writing;
/// `samples`: what `f32` becomes in a `.wav`; `fps`: pictures a second of a `.y4m`, 0 for what the first one says it lasts, or
/// 30. Pictures before the first keyframe are dropped, and counted. So are those that need one that was dropped because it was
/// earlier than the one before, or damaged; a keyframe is asked for then. A track that has brought nothing when two seconds of the
/// other one have waited for two seconds is left out. Files without times of their own (`.ogg`, `.wav`, `.y4m`) have holes
/// filled: with silence, or the last picture. What stands in the file when it breaks off can be played, under the name with
/// `.part`. **Example** `tape = { type = "file-sink", params = { path = "call-{time}-{session}.mp4" } }`.
pub struct FileSink {
    path: PathBuf,
    part: PathBuf,
    overwrite: bool,
    container: Container,
    samples: wav::Samples,
    fps: f64,
    /// `None` before the start and after the end.
    file: Option<Box<dyn Writer>>,
    linked: [bool; 2],
    whole: Whole,
    /// From where to where it has been recorded, in ns.
    span: Option<(i64, i64)>,
}

impl FileSink {
    /// Says how much has been recorded, with this unit.
    fn tell(&mut self, frame: &Frame, ctx: &Context) {
        let (from, lasts) = (frame.pts(), i64::from(frame.duration_us()) * 1000);
        let (first, end) = self.span.unwrap_or((from, from));
        let (first, end) = (first.min(from), end.max(from.saturating_add(lasts)));
        self.span = Some((first, end));
        ctx.progress(end.saturating_sub(first), None);
    }

    fn error(&self, what: &str, cause: io::Error) -> Error {
        let (part, cause) = (self.part.display(), with_remedy(cause));
        Error::new(format_args!("\"{part}\" {what}: {cause}"))
    }
}

impl Node for FileSink {
    const NAME: &'static str = "file-sink";
    const SUMMARY: &'static str = "Records into MP4, WebM, Matroska, Ogg, WAVE, Y4M or IVF";
    const PORTS: &'static [Port] = &[
        Port::optional_input("audio")
            .formats("audio/opus audio/aac audio/f32 audio/pcmu audio/pcma")
            .read_only(),
        Port::optional_input("video")
            .formats("video/h264 video/vp8 video/vp9 video/av1 video/i420")
            .read_only(),
    ];
    const PARAMS: &'static [Param] = &[
        Param::path("path")
            .required()
            .help(
                "The file, relative to the graph file, {session} for the session's number; its ending says its kind: \
                 .mp4, .webm, .mkv, .ogg, .opus, .wav, .y4m or .ivf",
            ),
        Param::bool("overwrite", false)
            .help("Replace a file that is there already, or the .part that a crash left of it"),
        Param::choice("samples", "s16 s24 f32", "s16").help("What raw sound becomes in a .wav"),
        Param::float("fps", 0.0)
            .range(0.0, 1000.0)
            .unit("Hz")
            .help("Pictures a second of a .y4m; 0 is what the first picture says it lasts, or else 30"),
    ];
    const COST: Cost = Cost::Blocking;
    const LATENCY_NS: u64 = 1_000_000_000;
    const OFFERS: Option<Offers> = Some(container::offers);

    const CHECK: Option<Check> = Some(|config| config.check_folder("path"));

    fn create(config: &Config) -> Result<Self> {
        let path = PathBuf::from(config.text("path")?);
        let container = Container::of(&path)?;
        let linked = [config.is_linked(AUDIO), config.is_linked(VIDEO)];
        if linked == [false; 2] {
            return Err(Error::new(
                "neither audio nor video is linked; link one of them",
            ));
        }
        for port in [AUDIO, VIDEO] {
            if linked[port] {
                Container::accepted(&path, port)?;
            }
        }
        let mut part = path.clone().into_os_string();
        part.push(".part");
        Ok(FileSink {
            part: part.into(),
            path,
            overwrite: config.bool("overwrite")?,
            container,
            samples: wav::Samples::named(config.text("samples")?),
            fps: config.float("fps")?,
            file: None,
            linked,
            whole: Whole::default(),
            span: None,
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        if self.path.is_dir() {
            return Err(Error::new(format_args!(
                "\"{}\" is a folder; give the path of a file in it",
                self.path.display()
            )));
        }
        if !self.overwrite && self.path.exists() {
            return Err(Error::new(format_args!(
                "\"{}\" is there already; set overwrite = true, or choose another path",
                self.path.display()
            )));
        }
        let file = Disk::create(&self.part, self.overwrite)?;
        self.file = Some(match self.container {
            Container::Mp4 => Box::new(mp4::Fragments::new(file, self.linked)),
            Container::Webm => Box::new(matroska::Matroska::new(file, self.linked, "webm")),
            Container::Matroska => Box::new(matroska::Matroska::new(file, self.linked, "matroska")),
            Container::Ogg => Box::new(ogg::OggOpus::new(file)),
            Container::Wav => Box::new(wav::Wav::new(file, self.samples)),
            Container::Y4m => Box::new(y4m::Y4m::new(file, self.fps)),
            Container::Ivf => Box::new(ivf::Ivf::new(file)),
        });
        Ok(())
    }

    fn observe(&mut self, port: usize, frames: &[Frame], ctx: &mut Context) -> Result {
        for frame in frames {
            let Some(file) = &mut self.file else {
                return Ok(());
            };
            let is_whole = port != VIDEO || self.whole.is_for(frame);
            let taken = match is_whole {
                true => file.take(port, frame, ctx),
                false => Ok(false),
            };
            let taken = taken.map_err(|cause| {
                Error::new(format_args!("\"{}\": {cause}", self.part.display()))
            })?;
            if taken {
                self.tell(frame, ctx);
            } else {
                ctx.dropped(1);
            }
            if port == VIDEO {
                self.whole.note(frame, taken, ctx);
            }
        }
        Ok(())
    }

    fn drain(&mut self, _ctx: &mut Context) -> Result {
        let Some(mut file) = self.file.take() else {
            return Ok(());
        };
        if !file
            .finish()
            .map_err(|cause| Error::new(format_args!("\"{}\": {cause}", self.part.display())))?
        {
            warn!(path = %self.path.display(), "nothing was recorded, so there is no file");
            return fs::remove_file(&self.part).map_err(|e| self.error("cannot be removed", e));
        }
        disk::name(&self.part, &self.path, self.overwrite).map_err(|e| {
            let what = format!("cannot be given its name, \"{}\"", self.path.display());
            self.error(&what, e)
        })?;
        // Until then nobody else may write it.
        drop(file);
        info!(path = %self.path.display(), "recorded");
        Ok(())
    }
}

impl Drop for FileSink {
    /// Writes what waits when no end came, because the session failed. The file keeps its `.part`: it lacks the rest.
    fn drop(&mut self) {
        let Some(mut file) = self.file.take() else {
            return;
        };
        let path = self.part.display();
        match file.finish() {
            Ok(true) => {
                warn!(%path, "the recording broke off; what came up to there can be played")
            }
            Ok(false) => {
                if let Err(cause) = fs::remove_file(&self.part) {
                    warn!(%path, %cause, "a file in which nothing was recorded cannot be removed");
                }
            }
            Err(cause) => {
                warn!(%path, %cause, "the recording broke off, and its last second is lost")
            }
        }
    }
}
