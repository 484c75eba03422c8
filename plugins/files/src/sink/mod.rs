//! `file-sink`: records into a file.
//!
//! MP4 in fragments of about a second (ISO/IEC 14496-12, 8.8): what has been written can be played up to its last fragment at
//! any time, so a crash loses at most the second that was in memory. The file is written beside its place, with `.part`
//! behind its name, and takes its place when the recording ends in order.

mod entry;
mod fragments;
#[cfg(test)]
mod tests;
mod track;

use std::{fs, io, path::PathBuf};

use levada_plugin::prelude::*;
use tracing::{info, warn};

use fragments::Fragments;

/// Number of the port for sound.
const AUDIO: usize = 0;
/// Number of the port for pictures.
const VIDEO: usize = 1;

/// Records sound and pictures, coded as they are, into an MP4 file.
///
/// **Inputs** `audio`: `audio/opus` or `audio/aac`; `video`: `video/h264` or `video/vp8`; one stream each. **Outputs** none.
/// **Params** `path`: the file, which ends in `.mp4`; `overwrite`: whether a file that is there already may be replaced.
/// Pictures before the first keyframe are dropped, and counted. A track that has brought nothing when two seconds of the
/// other one have waited for two seconds is left out. What stands in the file when it breaks off can be played, under the name with
/// `.part`. **Example** `tape = { type = "file-sink", params = { path = "call-{session}.mp4" } }`.
pub struct FileSink {
    path: PathBuf,
    part: PathBuf,
    overwrite: bool,
    /// `None` before the start and after the end.
    file: Option<Fragments>,
    linked: [bool; 2],
    /// From where to where it has been recorded, in ns.
    span: Option<(i64, i64)>,
}

impl FileSink {
    /// Says how much has been recorded, with this unit.
    fn tell(&mut self, port: usize, frame: &Frame, ctx: &Context) {
        // Pictures that cannot be decoded yet are not recorded.
        if self.span.is_none() && port == VIDEO && !frame.has(flags::KEYFRAME) {
            return;
        }
        let (from, lasts) = (frame.pts(), i64::from(frame.duration_us()) * 1000);
        let (first, end) = self.span.unwrap_or((from, from));
        let (first, end) = (first.min(from), end.max(from.saturating_add(lasts)));
        self.span = Some((first, end));
        ctx.progress(end.saturating_sub(first), None);
    }

    fn error(&self, what: &str, cause: &io::Error) -> Error {
        let (part, cause) = (self.part.display(), unwritable(cause));
        Error::new(format_args!("\"{part}\" {what}: {cause}"))
    }
}

/// Why a file cannot be written, and what to do about it.
fn unwritable(cause: &io::Error) -> Error {
    let remedy = match cause.kind() {
        io::ErrorKind::NotFound => "make its folder, or choose another path",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose a folder that this program may write to"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room, or choose another disk; what was written can be played up to its last second"
        }
        _ => "choose another path",
    };
    Error::new(format_args!("{cause}; {remedy}"))
}

impl Node for FileSink {
    const NAME: &'static str = "file-sink";
    const SUMMARY: &'static str = "Records into an MP4 file";
    const PORTS: &'static [Port] = &[
        Port::optional_input("audio")
            .formats("audio/opus audio/aac")
            .read_only(),
        Port::optional_input("video")
            .formats("video/h264 video/vp8")
            .read_only(),
    ];
    const PARAMS: &'static [Param] = &[
        Param::path("path")
            .required()
            .help("The file; it ends in .mp4"),
        Param::bool("overwrite", false).help("Replace a file that is there already"),
    ];
    const COST: Cost = Cost::Blocking;
    const LATENCY_NS: u64 = 1_000_000_000;

    fn create(config: &Config) -> Result<Self> {
        let path = PathBuf::from(config.text("path")?);
        let extension = path
            .extension()
            .and_then(|e| e.to_str())
            .unwrap_or_default();
        if !extension.eq_ignore_ascii_case("mp4") {
            return Err(Error::new(format_args!(
                "path = \"{}\": file-sink writes MP4; give the file a name that ends in .mp4",
                path.display()
            )));
        }
        let linked = [config.is_linked(AUDIO), config.is_linked(VIDEO)];
        if linked == [false; 2] {
            return Err(Error::new(
                "neither audio nor video is linked; link one of them",
            ));
        }
        let mut part = path.clone().into_os_string();
        part.push(".part");
        Ok(FileSink {
            part: part.into(),
            path,
            overwrite: config.bool("overwrite")?,
            file: None,
            linked,
            span: None,
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        if !self.overwrite && self.path.exists() {
            return Err(Error::new(format_args!(
                "\"{}\" is there already; set overwrite = true, or choose another path",
                self.path.display()
            )));
        }
        let file = fs::File::create(&self.part).map_err(|e| self.error("cannot be created", &e))?;
        self.file = Some(Fragments::new(file, self.linked));
        Ok(())
    }

    fn observe(&mut self, port: usize, frames: &[Frame], ctx: &mut Context) -> Result {
        for frame in frames {
            let Some(file) = &mut self.file else {
                return Ok(());
            };
            if let Err(cause) = file.take(port, frame, ctx) {
                return Err(Error::new(format_args!(
                    "\"{}\": {cause}",
                    self.part.display()
                )));
            }
            self.tell(port, frame, ctx);
        }
        Ok(())
    }

    fn drain(&mut self, _ctx: &mut Context) -> Result {
        let Some(file) = self.file.take() else {
            return Ok(());
        };
        if !file
            .finish()
            .map_err(|cause| Error::new(format_args!("\"{}\": {cause}", self.part.display())))?
        {
            warn!(path = %self.path.display(), "nothing was recorded, so there is no file");
            return fs::remove_file(&self.part).map_err(|e| self.error("cannot be removed", &e));
        }
        fs::rename(&self.part, &self.path)
            .map_err(|e| self.error("cannot be given its name", &e))?;
        info!(path = %self.path.display(), "recorded");
        Ok(())
    }
}
