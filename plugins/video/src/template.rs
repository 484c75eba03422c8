//! [`Template`]: text with places for what each frame brings.

use std::fmt::Write;

use levada_plugin::{Error, Result};

/// What a place stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Frame,
    Timecode,
    Pts,
    Size,
    Stream,
}

const PLACES: [(&str, Place); 5] = [
    ("frame", Place::Frame),
    ("timecode", Place::Timecode),
    ("pts", Place::Pts),
    ("size", Place::Size),
    ("stream", Place::Stream),
];

enum Piece {
    Text(String),
    Place(Place),
}

/// What a frame brings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// Pictures of this stream before it.
    pub frame: u64,
    /// Presentation time, ns.
    pub pts: i64,
    /// Pixels in a row and rows.
    pub size: (u32, u32),
    /// Its stream's number.
    pub stream: u16,
}

/// Text with places such as `{frame}`.
pub struct Template(Vec<Piece>);

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// When a place is none of those that exist, or is not closed.
    pub fn new(text: &str) -> Result<Template> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, from)) = rest.split_once('{') {
            let found = from.split_once('}').and_then(|(name, behind)| {
                let (_, place) = PLACES.iter().find(|(of, _)| *of == name)?;
                Some((*place, behind))
            });
            let Some((place, behind)) = found else {
                let names: Vec<String> = PLACES.iter().map(|(n, _)| format!("{{{n}}}")).collect();
                return Err(Error::new(format_args!(
                    "text = {text:?} has a place that nothing is known for, at \"{{{from}\"; there are {}",
                    names.join(", ")
                )));
            };
            pieces.extend((!before.is_empty()).then(|| Piece::Text(before.to_owned())));
            pieces.push(Piece::Place(place));
            rest = behind;
        }
        pieces.extend((!rest.is_empty()).then(|| Piece::Text(rest.to_owned())));
        Ok(Template(pieces))
    }

    /// Writes the text for a frame into `out`, whose memory is used again.
    pub fn fill(&self, facts: &Facts, out: &mut String) {
        out.clear();
        for piece in &self.0 {
            // A String takes all that is written to it.
            let _ = match piece {
                Piece::Text(text) => out.write_str(text),
                Piece::Place(Place::Frame) => write!(out, "{}", facts.frame),
                Piece::Place(Place::Timecode) => timecode(facts.pts, out),
                Piece::Place(Place::Pts) => write!(out, "{}", facts.pts),
                Piece::Place(Place::Size) => write!(out, "{}x{}", facts.size.0, facts.size.1),
                Piece::Place(Place::Stream) => write!(out, "{}", facts.stream),
            };
        }
    }
}

/// Writes a time in ns as `hh:mm:ss.mmm`, rounded down.
pub fn timecode(ns: i64, out: &mut String) -> std::fmt::Result {
    if ns < 0 {
        out.push('-');
    }
    let ms = ns.unsigned_abs() / 1_000_000;
    let (s, ms) = (ms / 1000, ms % 1000);
    write!(
        out,
        "{:02}:{:02}:{:02}.{ms:03}",
        s / 3600,
        s / 60 % 60,
        s % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str, facts: Facts) -> Result<String> {
        let mut out = "before".to_owned();
        Template::new(text)?.fill(&facts, &mut out);
        Ok(out)
    }

    #[test]
    fn places_become_what_the_frame_brings() -> Result {
        let facts = Facts {
            frame: 42,
            pts: 3_723_456_999_999,
            size: (640, 361),
            stream: 3,
        };
        assert_eq!(
            filled("{frame} at {timecode} ({pts})", facts)?,
            "42 at 01:02:03.456 (3723456999999)"
        );
        assert_eq!(filled("{size}{stream}", facts)?, "640x3613");
        assert_eq!(filled("plain", facts)?, "plain");
        let before = Facts {
            pts: -1_500_000,
            ..facts
        };
        assert_eq!(filled("{timecode}", before)?, "-00:00:00.001");
        let late = Facts {
            pts: i64::MAX,
            ..facts
        };
        assert_eq!(filled("{timecode}", late)?, "2562047:47:16.854");
        Ok(())
    }

    #[test]
    fn an_unknown_place_is_refused_with_those_that_exist() {
        for text in ["{frames}", "a {", "{frame} {}", "{frame"] {
            let refused = Template::new(text).err().map(|e| e.to_string());
            assert!(refused.is_some_and(|e| e.contains("{timecode}")), "{text}");
        }
    }
}
