//! [`Container`]: the kinds of files that are written, by a path's ending, and what each can hold.

use std::path::Path;

use levada_plugin::prelude::*;

use super::{AUDIO, VIDEO};

/// A kind of file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Container {
    Mp4,
    Webm,
    Matroska,
    Ogg,
    Wav,
    Y4m,
    Ivf,
}

/// By ending: the kind, and the formats that it holds of sound and of pictures.
const KINDS: [(&str, Container, &str, &str); 8] = [
    (
        "mp4",
        Container::Mp4,
        "audio/opus audio/aac",
        "video/h264 video/vp8 video/vp9 video/av1",
    ),
    (
        "webm",
        Container::Webm,
        "audio/opus",
        "video/vp8 video/vp9 video/av1",
    ),
    (
        "mkv",
        Container::Matroska,
        "audio/opus audio/aac",
        "video/h264 video/vp8 video/vp9 video/av1",
    ),
    ("ogg", Container::Ogg, "audio/opus", ""),
    ("opus", Container::Ogg, "audio/opus", ""),
    ("wav", Container::Wav, "audio/f32 audio/pcmu audio/pcma", ""),
    ("y4m", Container::Y4m, "", "video/i420"),
    ("ivf", Container::Ivf, "", "video/vp8 video/vp9 video/av1"),
];

fn kind(path: &Path) -> Result<&'static (&'static str, Container, &'static str, &'static str)> {
    let ending = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    KINDS
        .iter()
        .find(|(known, ..)| ending.eq_ignore_ascii_case(known))
        .ok_or_else(|| {
            let known: Vec<String> = KINDS.iter().map(|k| format!(".{}", k.0)).collect();
            Error::new(format_args!(
                "path = \"{}\": its ending says no kind of file that file-sink writes; give it one of {}",
                path.display(),
                known.join(", ")
            ))
        })
}

impl Container {
    /// The kind of file that a path names.
    ///
    /// # Errors
    /// When its ending is not known.
    pub fn of(path: &Path) -> Result<Container> {
        Ok(kind(path)?.1)
    }

    /// The patterns that a port accepts for a path.
    ///
    /// # Errors
    /// When its ending is not known, or such a file has no place for what comes to the port.
    pub fn accepted(path: &Path, port: usize) -> Result<&'static str> {
        let (ending, _, audio, video) = kind(path)?;
        let accepted = if port == AUDIO { audio } else { video };
        if !accepted.is_empty() {
            return Ok(accepted);
        }
        let (what, name) = if port == AUDIO {
            ("sound", "audio")
        } else {
            ("pictures", "video")
        };
        let has_place = |(_, _, audio, video): &&(_, _, &str, &str)| {
            !if port == AUDIO { audio } else { video }.is_empty()
        };
        let others: Vec<String> = KINDS
            .iter()
            .filter(has_place)
            .map(|k| format!(".{}", k.0))
            .collect();
        Err(Error::new(format_args!(
            "path = \"{}\": a .{ending} file holds no {what}; remove the link to port \"{name}\", or give the file one of {}",
            path.display(),
            others.join(", ")
        )))
    }
}

/// What a port accepts, by the path alone: negotiation asks.
///
/// # Errors
/// As [`Container::accepted`].
pub(super) fn offers(config: &Config, port: usize) -> Result<Option<String>> {
    let path = config.text("path")?;
    // A trial has no path to ask about.
    if path.is_empty() || port > VIDEO {
        return Ok(None);
    }
    Container::accepted(Path::new(path), port).map(|patterns| Some(patterns.to_owned()))
}
