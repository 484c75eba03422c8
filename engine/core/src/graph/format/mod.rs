//! [`Pattern`]: a set of formats, as ports state what they accept and offer.
//!
//! ```text
//! patterns = pattern { space pattern }              the first is preferred
//! pattern  = "*" | media "/" ( "*" | encoding ) { ";" key "=" values }
//! media    = "audio" | "video" | "data"
//! values   = value { "|" value }
//! value    = number | number ".." number            both ends included
//! ```
//!
//! `audio/f32;rate=48000;channels=1..2` is raw sound at 48 kHz with one channel or two. Sound has the
//! keys `rate` and `channels`, pictures have `width`, `height` and `reordering`, data has none. Numbers
//! are from 1, of `reordering` from 0. A key that is not stated may be anything. Letters are taken as
//! small ones.
//!
//! What must hold: two patterns [`meet`](Pattern::meet) in the formats that are of both, and one is
//! [within](Pattern::is_within) another when all its formats are of that one; what is printed reads
//! back as the same pattern. A text has at most [`MAX_PATTERNS`] patterns and a key at most
//! [`MAX_ALTERNATIVES`] alternatives, so that no plugin makes negotiation slow.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

mod parse;
mod values;

pub use parse::parse_patterns;
pub use values::Values;

/// The most patterns of one port.
pub const MAX_PATTERNS: usize = 64;
/// The most alternatives that one key of a pattern states.
pub const MAX_ALTERNATIVES: usize = 32;
/// The longest name of an encoding, in bytes.
const MAX_ENCODING: usize = 64;

/// A kind of media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Media {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Messages.
    Data,
}

impl Media {
    /// All of them.
    pub const ALL: [Media; 3] = [Media::Audio, Media::Video, Media::Data];

    /// `audio`, `video` or `data`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Media::Audio => "audio",
            Media::Video => "video",
            Media::Data => "data",
        }
    }

    /// The keys that its patterns may state.
    #[must_use]
    pub fn keys(self) -> &'static [Key] {
        match self {
            Media::Audio => &[Key::Rate, Key::Channels],
            Media::Video => &[Key::Width, Key::Height, Key::Reordering],
            Media::Data => &[],
        }
    }
}

/// What a pattern may state beside the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// Samples a second.
    Rate,
    /// Channels.
    Channels,
    /// Width in pixels.
    Width,
    /// Height in pixels.
    Height,
    /// Pictures that a decoder holds back, because others that are shown before them come after them.
    Reordering,
}

impl Key {
    /// All of them.
    pub const ALL: [Key; 5] = [
        Key::Rate,
        Key::Channels,
        Key::Width,
        Key::Height,
        Key::Reordering,
    ];

    /// Its name in a pattern.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Key::Rate => "rate",
            Key::Channels => "channels",
            Key::Width => "width",
            Key::Height => "height",
            Key::Reordering => "reordering",
        }
    }

    /// Whether it is a side of a picture.
    #[must_use]
    pub fn is_side(self) -> bool {
        matches!(self, Key::Width | Key::Height)
    }

    /// Whether it is of how something is coded, and not of what that shows or sounds like: another
    /// encoding of the same has nothing of it. Where it is not stated, nobody minds.
    #[must_use]
    pub fn is_of_coding(self) -> bool {
        matches!(self, Key::Reordering)
    }

    /// The least of its values.
    pub(crate) fn least(self) -> u32 {
        u32::from(!self.is_of_coding())
    }
}

/// By key: the values that are stated.
type Keys = [Option<Values>; Key::ALL.len()];

/// A set of formats.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pattern {
    /// `None` for `*`, which then has neither encoding nor keys.
    media: Option<Media>,
    /// `None` for any.
    encoding: Option<Arc<str>>,
    keys: Keys,
}

impl Pattern {
    /// Anything.
    pub const ANY: Pattern = Pattern {
        media: None,
        encoding: None,
        keys: [const { None }; Key::ALL.len()],
    };

    /// The kind of media; `None` for `*`.
    #[must_use]
    pub fn media(&self) -> Option<Media> {
        self.media
    }

    /// The encoding, where there is only one.
    #[must_use]
    pub fn encoding(&self) -> Option<&str> {
        self.encoding.as_deref()
    }

    /// The values of a key, where they are stated.
    #[must_use]
    pub fn values(&self, key: Key) -> Option<&Values> {
        self.keys[key as usize].as_ref()
    }

    /// The same with other values of a key of its media; of another one, the same.
    #[must_use]
    pub fn with(mut self, key: Key, values: Option<Values>) -> Pattern {
        if self.media.is_some_and(|media| media.keys().contains(&key)) {
            self.keys[key as usize] = values;
        }
        self
    }

    /// The same in the encoding of another.
    #[must_use]
    pub(crate) fn in_encoding_of(mut self, other: &Pattern) -> Pattern {
        // Where any encoding was meant, it is said of whichever it will be.
        if self.encoding.is_some() && !self.is_encoded_as(other) {
            for key in Key::ALL.into_iter().filter(|key| key.is_of_coding()) {
                self.keys[key as usize] = None;
            }
        }
        self.media = other.media;
        self.encoding.clone_from(&other.encoding);
        self
    }

    /// What arrives of it where `accepted` is accepted: the formats of both, and of how it is coded no more
    /// than is known. Nothing does where that may be otherwise than is accepted: no frame could be told from
    /// another.
    #[must_use]
    pub(crate) fn arriving(&self, accepted: &Pattern) -> Option<Pattern> {
        let mut both = self.meet(accepted)?;
        for key in Key::ALL.into_iter().filter(|key| key.is_of_coding()) {
            let stated = self.values(key);
            if let (Some(stated), Some(accepted)) = (stated, accepted.values(key))
                && !stated.is_within(accepted)
            {
                return None;
            }
            both = both.with(key, stated.cloned());
        }
        Some(both)
    }

    /// The same without keys.
    #[must_use]
    pub fn bare(&self) -> Pattern {
        Pattern {
            keys: Keys::default(),
            ..self.clone()
        }
    }

    /// Whether both are of one media and one encoding, known or not.
    #[must_use]
    pub fn is_encoded_as(&self, other: &Pattern) -> bool {
        self.media == other.media && self.encoding == other.encoding
    }

    /// The formats of both.
    #[must_use]
    pub fn meet(&self, other: &Pattern) -> Option<Pattern> {
        let mut both = self.clone();
        both.media = one_of(&self.media, &other.media)?;
        both.encoding = one_of(&self.encoding, &other.encoding)?;
        for key in Key::ALL {
            both.keys[key as usize] = match (self.values(key), other.values(key)) {
                (Some(a), Some(b)) => Some(a.meet(b)?),
                (a, b) => a.or(b).cloned(),
            };
        }
        Some(both)
    }

    /// Whether all its formats are of `other`.
    #[must_use]
    pub fn is_within(&self, other: &Pattern) -> bool {
        self.meet(other).as_ref() == Some(self)
    }

    /// The formats of either, where both are [encoded alike](Pattern::is_encoded_as): a key that one
    /// leaves open is open. What is said of how one is coded holds for both, the most of it.
    #[must_use]
    pub(crate) fn join(&self, other: &Pattern) -> Option<Pattern> {
        if !self.is_encoded_as(other) {
            return None;
        }
        let mut either = self.clone();
        for key in Key::ALL {
            let (one, another) = (self.values(key), other.values(key));
            either.keys[key as usize] = if key.is_of_coding() {
                let most = one.map(Values::max).max(another.map(Values::max));
                most.map(Values::one)
            } else {
                one.zip(another).map(|(a, b)| a.join(b))
            };
        }
        Some(either)
    }
}

/// What two sets have in common, where `None` is any: `None` when that is nothing.
fn one_of<T: PartialEq + Clone>(a: &Option<T>, b: &Option<T>) -> Option<Option<T>> {
    match (a, b) {
        (Some(a), Some(b)) => (a == b).then(|| Some(a.clone())),
        (a, b) => Some(a.as_ref().or(b.as_ref()).cloned()),
    }
}

/// Adds a pattern to a list, into the one that is encoded alike where there is one. `true` when the
/// list then has formats that it had not.
pub(crate) fn add(list: &mut Vec<Pattern>, pattern: &Pattern) -> bool {
    for known in &mut *list {
        if let Some(either) = known.join(pattern) {
            let grew = either != *known;
            *known = either;
            return grew;
        }
    }
    list.push(pattern.clone());
    true
}

/// Patterns as a port states them.
pub(crate) fn text(patterns: &[Pattern]) -> String {
    let words: Vec<String> = patterns.iter().map(ToString::to_string).collect();
    words.join(" ")
}

impl fmt::Display for Pattern {
    /// Prints it as a port states it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(media) = self.media else {
            return f.write_str("*");
        };
        write!(f, "{}/{}", media.as_str(), self.encoding().unwrap_or("*"))?;
        for key in Key::ALL {
            if let Some(values) = self.values(key) {
                write!(f, ";{}={values}", key.as_str())?;
            }
        }
        Ok(())
    }
}

impl Serialize for Pattern {
    /// Serializes it as text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests;
