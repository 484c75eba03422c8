//! From text to patterns, or to one sentence about what is wrong.

use std::str::FromStr;
use std::sync::Arc;

use super::{Key, MAX_ALTERNATIVES, MAX_ENCODING, MAX_PATTERNS, Media, Pattern, Values};
use crate::graph::quote::{list, quote};

/// Reads patterns that are separated by spaces, in their order.
///
/// # Errors
/// What is wrong with the first that cannot be read, as a clause that begins with "the format".
pub fn parse_patterns(text: &str) -> Result<Vec<Pattern>, String> {
    let mut patterns = Vec::new();
    for word in text.split_ascii_whitespace() {
        if patterns.len() == MAX_PATTERNS {
            return Err(format!(
                "the formats are more than {MAX_PATTERNS}; state fewer"
            ));
        }
        let read: Result<Pattern, String> = word.parse();
        patterns.push(read.map_err(|cause| format!("the format {} {cause}", quote(word)))?);
    }
    Ok(patterns)
}

impl FromStr for Pattern {
    type Err = String;

    /// Reads one pattern. The error is what is wrong with it, as the rest of a sentence.
    fn from_str(word: &str) -> Result<Pattern, String> {
        let word = word.to_ascii_lowercase();
        let mut parts = word.split(';');
        let name = parts.next().unwrap_or_default();
        if name == "*" {
            return match parts.next() {
                None => Ok(Pattern::ANY),
                Some(_) => Err("has keys, and \"*\" is of no media that has any; \
                                write audio/* or video/*"
                    .to_owned()),
            };
        }
        let Some((media, encoding)) = name.split_once('/') else {
            return Err(
                "has no \"/\"; write a media and an encoding, such as audio/f32".to_owned(),
            );
        };
        let Some(media) = Media::ALL.into_iter().find(|m| m.as_str() == media) else {
            return Err(format!(
                "is of no known media {}; write audio, video or data",
                quote(media)
            ));
        };
        let mut pattern = Pattern {
            media: Some(media),
            encoding: encoding_of(encoding)?,
            ..Pattern::ANY
        };
        for part in parts {
            let (key, values) = key_of(media, part)?;
            if pattern.values(key).is_some() {
                return Err(format!(
                    "states {} twice; join both with \"|\"",
                    key.as_str()
                ));
            }
            pattern = pattern.with(key, Some(values));
        }
        Ok(pattern)
    }
}

fn encoding_of(text: &str) -> Result<Option<Arc<str>>, String> {
    let plain = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'+' | b'/');
    match text {
        "*" => Ok(None),
        "" => Err("has no encoding; write one, or \"*\" for any".to_owned()),
        text if text.len() > MAX_ENCODING => Err(format!(
            "has an encoding of {} bytes; keep to {MAX_ENCODING}",
            text.len()
        )),
        text if text.bytes().all(plain) => Ok(Some(text.into())),
        text => Err(format!(
            "has the encoding {}; use letters, digits, \"-\", \"_\", \".\", \"+\" and \"/\", or \"*\" alone",
            quote(text)
        )),
    }
}

fn key_of(media: Media, text: &str) -> Result<(Key, Values), String> {
    let names: Vec<&str> = media.keys().iter().map(|key| key.as_str()).collect();
    let Some((name, values)) = text.split_once('=') else {
        return Err(format!(
            "has {} where a key belongs; write ;key=value",
            quote(text)
        ));
    };
    let Some(key) = media.keys().iter().find(|key| key.as_str() == name) else {
        let remedy = match names.is_empty() {
            true => format!("{} has none", media.as_str()),
            false => format!("those of {} are {}", media.as_str(), list(&names, "and")),
        };
        return Err(format!("has the key {}; {remedy}", quote(name)));
    };
    let mut ranges = Vec::new();
    for value in values.split('|') {
        if ranges.len() == MAX_ALTERNATIVES {
            return Err(format!(
                "has more than {MAX_ALTERNATIVES} alternatives for {name}; state fewer"
            ));
        }
        ranges.push(range_of(value, key.least()).ok_or_else(|| {
            format!(
                "has {name}={}; write a number from {}, a range such as 1..8, or alternatives such \
                 as 8000|16000",
                quote(value),
                key.least()
            )
        })?);
    }
    // One value at least was read, or there would be an error.
    let values = Values::of(ranges).ok_or_else(|| format!("has no value for {name}"))?;
    Ok((*key, values))
}

fn range_of(text: &str, least: u32) -> Option<(u32, u32)> {
    let number = |text: &str| match text.bytes().all(|b| b.is_ascii_digit()) {
        true => text.parse::<u32>().ok().filter(|number| *number >= least),
        false => None,
    };
    let (low, high) = match text.split_once("..") {
        Some((low, high)) => (number(low)?, number(high)?),
        None => (number(text)?, number(text)?),
    };
    (low <= high).then_some((low, high))
}
