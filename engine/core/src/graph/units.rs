//! Durations and sizes as people write them: `40 ms`, `2 s`, `64 MiB`.
//!
//! A number, decimals allowed, and a unit, with or without a space between. The unit is always
//! there: a bare number is a mistake that nobody sees. What is read is rounded up to whole
//! nanoseconds and bytes.

use std::fmt;

use super::quote::{list, quote};

/// Units of time, in nanoseconds; the Greek letter in both of its spellings.
const TIME: [(&str, u64); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
];

/// Units of size, in bytes.
const SIZE: [(&str, u64); 7] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// What else people write for a unit, and what they are told to write.
const ALSO: [(&str, &str); 16] = [
    ("usec", "us"),
    ("msec", "ms"),
    ("msecs", "ms"),
    ("milliseconds", "ms"),
    ("sec", "s"),
    ("secs", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("m", "min"),
    ("minute", "min"),
    ("minutes", "min"),
    ("byte", "B"),
    ("bytes", "B"),
    ("K", "KiB"),
    ("M", "MiB"),
    ("G", "GiB"),
];

/// Why a text is no duration or no size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitError {
    /// What is wrong, as a clause.
    pub cause: String,
    /// What to write, as a clause.
    pub remedy: String,
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.remedy)
    }
}

impl std::error::Error for UnitError {}

/// Reads a duration, in nanoseconds: `40 ms`, `2 s`, `500 us`, `1.5min`.
///
/// # Errors
/// When it is not a number and a unit, or beyond 64 bits.
pub fn parse_duration(text: &str) -> Result<u64, UnitError> {
    read(text, &TIME, "duration", "\"40 ms\", \"2 s\" or \"500 us\"")
}

/// Reads a size, in bytes: `64 MiB`, `2 kB`, `1.5GiB`, `512 B`.
///
/// # Errors
/// When it is not a number and a unit, or beyond 64 bits.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    read(text, &SIZE, "size", "\"64 MiB\", \"2 kB\" or \"1 GiB\"")
}

fn read(text: &str, units: &[(&str, u64)], what: &str, examples: &str) -> Result<u64, UnitError> {
    let shown = quote(text);
    let refuse = |cause: String, remedy: String| Err(UnitError { cause, remedy });
    let form = || format!("write a number and a unit, such as {examples}");

    let trimmed = text.trim();
    let end = trimmed
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let unit = unit.trim_start();
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let is_number = !whole.is_empty() && !decimals.contains('.') && !number.ends_with('.');
    if trimmed.starts_with('-') {
        return refuse(format!("{shown} is negative"), form());
    }
    if !is_number {
        return refuse(format!("{shown} is not a {what}"), form());
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        let cause = match unit {
            "" => format!("{shown} has no unit"),
            _ => format!("{shown} has an unknown unit"),
        };
        let remedy = match meant(unit, units) {
            Some(meant) => format!("write {}", quote(&format!("{number} {meant}"))),
            None => {
                let names = units.iter().map(|(name, _)| *name);
                let names: Vec<&str> = names.filter(|name| name.is_ascii()).collect();
                format!("{}; the units are {}", form(), list(&names, "and"))
            }
        };
        return refuse(cause, remedy);
    };
    match scaled(whole, decimals, *factor) {
        Some(value) => Ok(value),
        None => refuse(format!("{shown} is too large"), form()),
    }
}

/// The unit that one which is none was probably meant for.
fn meant<'u>(unit: &str, units: &[(&'u str, u64)]) -> Option<&'u str> {
    let also = ALSO.iter().find(|(name, _)| *name == unit);
    let known = |name: &str| {
        let mut alike = units.iter().filter(|(of, _)| of.eq_ignore_ascii_case(name));
        alike.next().map(|(of, _)| *of)
    };
    known(also.map_or(unit, |(_, of)| of))
}

/// `whole.decimals` times `factor`, rounded up; `None` beyond 64 bits.
fn scaled(whole: &str, decimals: &str, factor: u64) -> Option<u64> {
    // No unit is so large that digits further down count.
    let decimals = &decimals[..decimals.len().min(18)];
    let part: u64 = match decimals {
        "" => 0,
        decimals => decimals.parse().ok()?,
    };
    let scale = 10_u128.pow(u32::try_from(decimals.len()).ok()?);
    let sum = u128::from(whole.parse::<u64>().ok()?) * scale + u128::from(part);
    u64::try_from(sum.checked_mul(u128::from(factor))?.div_ceil(scale)).ok()
}

/// A size as people read it: `512 B`, `1.5 MiB`, to the nearest tenth.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    in_tenths(bytes, |tenfold, factor| (tenfold + factor / 2) / factor)
}

/// A size as people read it, rounded up to tenths: a limit of what is printed is not exceeded.
#[must_use]
pub fn show_size_up(bytes: u64) -> String {
    in_tenths(bytes, u128::div_ceil)
}

fn in_tenths(bytes: u64, divide: impl Fn(u128, u128) -> u128) -> String {
    let tenths = |factor: u64| divide(u128::from(bytes) * 10, u128::from(factor));
    let mut unit = SIZE[0];
    for larger in &SIZE[4..] {
        // What rounds to one of the larger unit is shown as one.
        if tenths(larger.1) >= 10 {
            unit = *larger;
        }
    }
    decimal(tenths(unit.1), 1, unit.0)
}

/// A duration as people read it: `500 us`, `2.5 ms`, `40 ms`. Rounded up to thousandths.
#[must_use]
pub fn show_duration(ns: u64) -> String {
    let (name, factor) = match ns {
        0..1_000 => ("ns", 1),
        1_000..1_000_000 => ("us", 1_000),
        1_000_000..1_000_000_000 => ("ms", 1_000_000),
        _ => ("s", 1_000_000_000),
    };
    let thousandths = (u128::from(ns) * 1_000).div_ceil(factor);
    decimal(thousandths, 3, name)
}

/// A number that is given in parts of a power of ten, without zeros at its end.
fn decimal(parts: u128, places: usize, unit: &str) -> String {
    let scale = 10_u128.pow(places as u32);
    let (whole, part) = (parts / scale, parts % scale);
    let part = format!("{part:0places$}");
    let part = part.trim_end_matches('0');
    let point = if part.is_empty() { "" } else { "." };
    format!("{whole}{point}{part} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_nanoseconds() {
        for (text, ns) in [
            ("40 ms", 40_000_000),
            ("2 s", 2_000_000_000),
            ("500us", 500_000),
            ("500 µs", 500_000),
            (" 0.25  ms ", 250_000),
            ("1.5 min", 90_000_000_000),
            ("7 ns", 7),
            ("0 s", 0),
            ("1.000000001 s", 1_000_000_001),
            ("007.500 us", 7_500),
            ("0.5 ns", 1),
            ("0.30000000000000000000001 us", 300),
            ("18446744073709551615 ns", u64::MAX),
        ] {
            assert_eq!(parse_duration(text), Ok(ns), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_in_bytes() {
        for (text, bytes) in [
            ("64 MiB", 64 << 20),
            ("2 kB", 2_000),
            ("1GiB", 1 << 30),
            ("0.5 KiB", 512),
            ("1.5 MB", 1_500_000),
            ("512 B", 512),
            ("0 B", 0),
            ("1.3 MiB", 1_363_149),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    fn told<T>(result: Result<T, UnitError>) -> String {
        result.err().map_or_else(String::new, |e| e.to_string())
    }

    #[test]
    fn what_is_no_duration_is_answered_with_one() {
        let form = "write a number and a unit, such as \"40 ms\", \"2 s\" or \"500 us\"";
        let units = "the units are ns, us, ms, s and min";
        for (text, expected) in [
            ("", format!("\"\" is not a duration; {form}")),
            ("soon", format!("\"soon\" is not a duration; {form}")),
            ("ms 40", format!("\"ms 40\" is not a duration; {form}")),
            (".5 s", format!("\".5 s\" is not a duration; {form}")),
            ("1.2.3 s", format!("\"1.2.3 s\" is not a duration; {form}")),
            ("-1 s", format!("\"-1 s\" is negative; {form}")),
            ("40", format!("\"40\" has no unit; {form}; {units}")),
            (
                "40 MiB",
                format!("\"40 MiB\" has an unknown unit; {form}; {units}"),
            ),
            (
                "1e3 s",
                format!("\"1e3 s\" has an unknown unit; {form}; {units}"),
            ),
            (
                "40 msec",
                "\"40 msec\" has an unknown unit; write \"40 ms\"".into(),
            ),
            (
                "40 MS",
                "\"40 MS\" has an unknown unit; write \"40 ms\"".into(),
            ),
            (
                "99999999999999999999 s",
                format!("\"99999999999999999999 s\" is too large; {form}"),
            ),
            (
                "18446744074 s",
                format!("\"18446744074 s\" is too large; {form}"),
            ),
        ] {
            assert_eq!(told(parse_duration(text)), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_answered_with_one() {
        let form = "write a number and a unit, such as \"64 MiB\", \"2 kB\" or \"1 GiB\"";
        for (text, expected) in [
            ("big", format!("\"big\" is not a size; {form}")),
            (
                "64M",
                "\"64M\" has an unknown unit; write \"64 MiB\"".into(),
            ),
            (
                "64 mib",
                "\"64 mib\" has an unknown unit; write \"64 MiB\"".into(),
            ),
            (
                "2 KB",
                "\"2 KB\" has an unknown unit; write \"2 kB\"".into(),
            ),
        ] {
            assert_eq!(told(parse_size(text)), expected, "{text}");
        }
    }

    #[test]
    fn no_text_makes_it_panic() {
        let pieces = [
            "", "0", "9", ".", "-", " ", "s", "ms", "MiB", "µ", "日", "e", "1e999", "\0",
        ];
        for a in pieces {
            for b in pieces {
                for c in pieces {
                    let text = format!("{a}{b}{c}{a}{b}");
                    let long = format!("{}{b}{}{c}", a.repeat(40), b.repeat(40));
                    for text in [text, long] {
                        told(parse_duration(&text));
                        told(parse_size(&text));
                    }
                }
            }
        }
    }

    #[test]
    fn sizes_are_shown_to_the_nearest_tenth_or_rounded_up() {
        for (bytes, near, up) in [
            (0, "0 B", "0 B"),
            (900, "900 B", "900 B"),
            (1023, "1 KiB", "1 KiB"),
            (1024, "1 KiB", "1 KiB"),
            (1025, "1 KiB", "1.1 KiB"),
            (1 << 20, "1 MiB", "1 MiB"),
            ((1 << 20) - 1, "1 MiB", "1 MiB"),
            ((64 << 20) + 1, "64 MiB", "64.1 MiB"),
            (3 << 29, "1.5 GiB", "1.5 GiB"),
            (u64::MAX, "17179869184 GiB", "17179869184 GiB"),
        ] {
            assert_eq!(
                (show_size(bytes).as_str(), show_size_up(bytes).as_str()),
                (near, up)
            );
            assert!(bytes == u64::MAX || parse_size(up).is_ok_and(|read| read >= bytes));
        }
    }

    #[test]
    fn durations_are_shown_in_the_unit_that_fits() {
        for (ns, shown) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (500_000, "500 us"),
            (2_500_000, "2.5 ms"),
            (40_000_000, "40 ms"),
            (1_234_567, "1.235 ms"),
            (1_000_000_000, "1 s"),
            (61_000_000_000, "61 s"),
        ] {
            assert_eq!(show_duration(ns), shown);
            assert!(parse_duration(shown).is_ok_and(|read| read >= ns));
        }
    }
}
