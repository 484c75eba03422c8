//! [`Colour`]: how the numbers of a raw picture become light, as its format states it.
//!
//! The `config` of `video/i420` is a text of what is known, in any order and each part only where it is
//! stated: `range=full;primaries=bt709;transfer=bt709;matrix=bt709`. An empty one says nothing, and the
//! picture is taken as [`picture`](crate::picture) says. A decoder writes what its stream states, an
//! encoder puts it into its own, and a filter keeps it: one that leaves the format of a frame does so by
//! itself, one that makes a format of another size copies the `config`.
//!
//! The `config` of `video/vp8` says the same, behind parameters that a description of RTP may have given it: a
//! frame of VP8 has no word of colours, and what carries the stream does. Other codecs state them in the stream.
//!
//! | key | values |
//! |---|---|
//! | `range` | `full` (0 to 255), `limited` (Y 16 to 235, U and V 16 to 240) |
//! | `primaries` | `bt709`, `bt470bg`, `smpte170m`, `bt2020`, `display-p3` |
//! | `transfer` | `bt709`, `smpte170m`, `linear`, `srgb`, `bt2020-10`, `bt2020-12`, `pq`, `hlg` |
//! | `matrix` | `bt709`, `bt470bg`, `smpte170m`, `bt2020` |
//!
//! Names stand for code points of ITU-T H.273 (tables 2 to 4); those without a name are written as numbers,
//! and a reader takes a number for any. `bt470bg` and `smpte170m` are BT.601 with 625 and 525 lines.
//!
//! ```
//! use levada_plugin::{Format, colour::Colour};
//!
//! let bytes = "range=full;matrix=bt709";
//! let format = Format::video("i420", 640, 360).with_config(bytes);
//! let colour = Colour::of(&format);
//! assert_eq!((colour.full_range, colour.matrix, colour.transfer), (Some(true), Some(1), None));
//! assert_eq!(colour.to_string(), bytes);
//! ```

use std::fmt;

use crate::format::Format;

/// The code point that says nothing (H.273, "unspecified").
const UNSPECIFIED: u8 = 2;

const PRIMARIES: &[(u8, &str)] = &[
    (1, "bt709"),
    (5, "bt470bg"),
    (6, "smpte170m"),
    (9, "bt2020"),
    (12, "display-p3"),
];
const TRANSFERS: &[(u8, &str)] = &[
    (1, "bt709"),
    (6, "smpte170m"),
    (8, "linear"),
    (13, "srgb"),
    (14, "bt2020-10"),
    (15, "bt2020-12"),
    (16, "pq"),
    (18, "hlg"),
];
const MATRICES: &[(u8, &str)] = &[
    (1, "bt709"),
    (5, "bt470bg"),
    (6, "smpte170m"),
    (9, "bt2020"),
];

/// What is stated of a picture's colours; `None` is not stated. It prints as the `config` of its format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Colour {
    /// Whether samples use all of 0 to 255 (`VideoFullRangeFlag` of H.273).
    pub full_range: Option<bool>,
    /// Which red, green and blue are meant (`ColourPrimaries`).
    pub primaries: Option<u8>,
    /// How light becomes a signal (`TransferCharacteristics`).
    pub transfer: Option<u8>,
    /// How red, green and blue become Y, U and V (`MatrixCoefficients`).
    pub matrix: Option<u8>,
}

impl Colour {
    /// Reads what the format of a raw picture, or of VP8, states. What is not understood counts as not stated.
    #[must_use]
    pub fn of(format: &Format) -> Colour {
        let text = std::str::from_utf8(&format.config).unwrap_or_default();
        let mut colour = Colour::default();
        for (key, value) in text.split(';').filter_map(|part| part.split_once('=')) {
            match key {
                "range" => colour.full_range = range(value),
                "primaries" => colour.primaries = code_point(PRIMARIES, value),
                "transfer" => colour.transfer = code_point(TRANSFERS, value),
                "matrix" => colour.matrix = code_point(MATRICES, value),
                _ => {}
            }
        }
        colour
    }

    /// What a code point of H.273 states: nothing where it is "unspecified".
    #[must_use]
    pub fn stated(code_point: u8) -> Option<u8> {
        (code_point != UNSPECIFIED).then_some(code_point)
    }
}

fn range(value: &str) -> Option<bool> {
    match value {
        "full" => Some(true),
        "limited" => Some(false),
        _ => None,
    }
}

fn code_point(names: &[(u8, &str)], value: &str) -> Option<u8> {
    let named = names.iter().find(|(_, name)| *name == value);
    let number = named.map(|(number, _)| *number);
    Colour::stated(number.or_else(|| value.parse().ok())?)
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        if let Some(is_full) = self.full_range {
            write!(f, "range={}", if is_full { "full" } else { "limited" })?;
            between = ";";
        }
        for (key, value, names) in [
            ("primaries", self.primaries, PRIMARIES),
            ("transfer", self.transfer, TRANSFERS),
            ("matrix", self.matrix, MATRICES),
        ] {
            let Some(number) = value.and_then(Colour::stated) else {
                continue;
            };
            write!(f, "{between}{key}=")?;
            match names.iter().find(|(named, _)| *named == number) {
                Some((_, name)) => f.write_str(name)?,
                None => write!(f, "{number}")?,
            }
            between = ";";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(config: &[u8]) -> Colour {
        Colour::of(&Format::video("i420", 2, 2).with_config(config))
    }

    #[test]
    fn every_colour_is_read_as_it_was_written() {
        for full_range in [None, Some(false), Some(true)] {
            for number in (0..=255).map(Colour::stated) {
                let colour = Colour {
                    full_range,
                    primaries: number,
                    transfer: number.map(|n| n.wrapping_add(9)).and_then(Colour::stated),
                    matrix: number.filter(|n| *n < 16),
                };
                let text = colour.to_string();
                assert_eq!(read(text.as_bytes()), colour, "{text}");
            }
        }
        assert_eq!(Colour::default().to_string(), "");
    }

    #[test]
    fn names_and_numbers_say_the_same_and_order_does_not_matter() {
        let text = "range=full;primaries=bt709;transfer=srgb;matrix=smpte170m";
        let colour = read(text.as_bytes());
        assert_eq!(read(b"matrix=6;transfer=13;range=full;primaries=1"), colour);
        assert_eq!(colour.to_string(), text);
        let unnamed = read(b"transfer=17;range=limited");
        assert_eq!(unnamed.to_string(), "range=limited;transfer=17");
    }

    #[test]
    fn what_is_not_understood_counts_as_not_stated() {
        for config in [
            &b""[..],
            b";;=;range",
            b"range=wide;primaries=256;transfer=-1;matrix=",
            b"primaries=2;transfer=2;matrix=2",
            b"\xff\xfe",
            b"profile-level-id=42e01f;packetization-mode=1",
        ] {
            assert_eq!(read(config), Colour::default(), "{config:?}");
        }
        assert_eq!(read(b"new=1;range=full;x").to_string(), "range=full");
    }
}
