//! [`Track`]: a track's description, and what its blocks become.

use levada_plugin::{Loan, colour::Colour, prelude::*};
use shiguredo_mp4::{Decode, boxes::AvccBox};

use super::{
    super::{
        AUDIO, Carried, VIDEO,
        bytes::Source,
        h264::{self, Avc},
        pcm::Pcm,
    },
    element::{float, uint, within},
};
use crate::{ebml::id, opus};

/// A track that can be played.
pub(super) struct Track {
    pub number: u64,
    pub port: usize,
    pub format: Format,
    /// By how many pictures they are out of order at most, where that is said.
    reordering: Option<u32>,
    /// What its times are early by, ns: what only primes the decoder.
    pub delay: i64,
    /// How long a unit lasts, ns, where it is said.
    pub lasts: Option<i64>,
    /// Bytes that were taken away in front of each unit.
    prefix: Vec<u8>,
    coding: Coding,
}

enum Coding {
    AsItIs,
    Avc(Avc),
    Opus,
    Pcm(Pcm),
}

/// What a track's entry says.
#[derive(Default)]
struct Entry<'c> {
    number: u64,
    kind: u64,
    codec: String,
    private: &'c [u8],
    delay: u64,
    lasts: u64,
    width: u32,
    height: u32,
    colour: Colour,
    rate: f64,
    channels: u32,
    bits: u16,
    prefix: &'c [u8],
    /// It is compressed or encrypted.
    is_wrapped: bool,
}

/// A track of sound or pictures: one that is played, or why not.
pub(super) enum Found {
    Track(Box<Track>),
    /// It is of a kind that a port is for, but not played.
    Other(usize, String),
    /// It is neither sound nor pictures.
    Nothing,
}

fn clamp(value: Option<u64>) -> u32 {
    value.map_or(0, |value| u32::try_from(value).unwrap_or(u32::MAX))
}

/// What is stated of colours (RFC 9559, 5.1.4.1.28.16).
fn colour(content: &[u8]) -> Colour {
    let mut colour = Colour::default();
    for (id, content) in within(content) {
        let value = uint(content).and_then(|value| u8::try_from(value).ok());
        let stated = value.and_then(Colour::stated);
        match id {
            id::MATRIX_COEFFICIENTS => colour.matrix = stated,
            id::RANGE => {
                colour.full_range = value
                    .filter(|range| (1..=2).contains(range))
                    .map(|range| range == 2);
            }
            id::TRANSFER_CHARACTERISTICS => colour.transfer = stated,
            id::PRIMARIES => colour.primaries = stated,
            _ => {}
        }
    }
    colour
}

impl<'c> Entry<'c> {
    fn read(content: &'c [u8]) -> Entry<'c> {
        let mut entry = Entry {
            rate: 8_000.0,
            channels: 1,
            ..Entry::default()
        };
        for (id, content) in within(content) {
            match id {
                id::TRACK_NUMBER => entry.number = uint(content).unwrap_or(0),
                id::TRACK_TYPE => entry.kind = uint(content).unwrap_or(0),
                id::CODEC_ID => {
                    let text = String::from_utf8_lossy(&content[..content.len().min(64)]);
                    text.trim_end_matches('\0').clone_into(&mut entry.codec);
                }
                id::CODEC_PRIVATE => entry.private = content,
                id::CODEC_DELAY => entry.delay = uint(content).unwrap_or(0),
                id::DEFAULT_DURATION => entry.lasts = uint(content).unwrap_or(0),
                id::VIDEO => {
                    for (id, content) in within(content) {
                        match id {
                            id::PIXEL_WIDTH => entry.width = clamp(uint(content)),
                            id::PIXEL_HEIGHT => entry.height = clamp(uint(content)),
                            id::COLOUR => entry.colour = colour(content),
                            _ => {}
                        }
                    }
                }
                id::AUDIO => {
                    for (id, content) in within(content) {
                        match id {
                            id::SAMPLING_FREQUENCY => entry.rate = float(content).unwrap_or(0.0),
                            id::CHANNELS => entry.channels = clamp(uint(content)),
                            id::BIT_DEPTH => {
                                entry.bits = clamp(uint(content)).try_into().unwrap_or(0)
                            }
                            _ => {}
                        }
                    }
                }
                id::CONTENT_ENCODINGS => entry.unwrap(content),
                _ => {}
            }
        }
        entry
    }

    /// What was done to the units: that their first bytes were taken away is undone, anything else is not.
    fn unwrap(&mut self, content: &'c [u8]) {
        for (_, content) in within(content).filter(|(id, _)| *id == id::CONTENT_ENCODING) {
            let (mut algorithm, mut prefix, mut is_other) = (0, &[][..], false);
            for (id, content) in within(content) {
                match id {
                    id::CONTENT_ENCODING_SCOPE => is_other |= uint(content) != Some(1),
                    id::CONTENT_ENCRYPTION => is_other = true,
                    id::CONTENT_COMPRESSION => {
                        for (id, content) in within(content) {
                            match id {
                                id::CONTENT_COMP_ALGO => algorithm = uint(content).unwrap_or(0),
                                id::CONTENT_COMP_SETTINGS => prefix = content,
                                _ => {}
                            }
                        }
                    }
                    _ => {}
                }
            }
            self.is_wrapped |= is_other || algorithm != 3 || !self.prefix.is_empty();
            self.prefix = prefix;
        }
    }
}

impl Track {
    /// Reads a track's entry.
    pub fn read(content: &[u8]) -> Found {
        let entry = Entry::read(content);
        let port = match entry.kind {
            1 => VIDEO,
            2 => AUDIO,
            _ => return Found::Nothing,
        };
        let what = format!("track {} holds {}", entry.number, entry.codec);
        if entry.is_wrapped {
            return Found::Other(port, format!("{what}, compressed once more, or encrypted"));
        }
        match Track::of(&entry, port) {
            Some(track) => Found::Track(Box::new(track)),
            None => Found::Other(port, what),
        }
    }

    fn of(entry: &Entry, port: usize) -> Option<Track> {
        // Frequencies are floats; those of sound are whole.
        let rate = entry.rate.clamp(0.0, 1e6) as u32;
        let video = |name: &str| Format::video(name, entry.width, entry.height);
        let audio = |name: &str| Format::audio(name, rate, entry.channels);
        let said = i64::try_from(entry.lasts)
            .ok()
            .filter(|ns| (1..=10_000_000_000).contains(ns));
        let of_samples = |count: i64| (rate > 0).then(|| count * 1_000_000_000 / i64::from(rate));
        let (format, coding, lasts) = match entry.codec.as_str() {
            "V_VP8" => {
                let config = entry.colour.to_string();
                (video("vp8").with_config(config), Coding::AsItIs, said)
            }
            "V_VP9" => (video("vp9"), Coding::AsItIs, said),
            "V_AV1" => {
                let sequence = entry.private.get(4..).unwrap_or_default();
                (video("av1").with_config(sequence), Coding::AsItIs, said)
            }
            "V_MPEG4/ISO/AVC" => {
                let (format, avc) =
                    Avc::described(&avcc(entry.private)?, entry.width, entry.height);
                (format, Coding::Avc(avc), said)
            }
            "A_OPUS" => {
                let channels = entry
                    .private
                    .get(9)
                    .map_or(entry.channels, |n| u32::from(*n));
                let config = if channels == 2 {
                    "stereo=1;sprop-stereo=1"
                } else {
                    ""
                };
                let format = Format::audio("opus", opus::RATE, channels).with_config(config);
                (format, Coding::Opus, said)
            }
            "A_AAC" if !entry.private.is_empty() => (
                audio("aac").with_config(entry.private),
                Coding::AsItIs,
                said.or(of_samples(1024)),
            ),
            // Of MPEG-2's lower rates a frame has half as many samples.
            "A_MPEG/L3" => {
                let samples = if rate < 32_000 { 576 } else { 1152 };
                (audio("mp3"), Coding::AsItIs, said.or(of_samples(samples)))
            }
            // Blocks are parted, so each would have to begin with what was taken away.
            "A_PCM/INT/LIT" | "A_PCM/FLOAT/IEEE" if !entry.prefix.is_empty() => return None,
            "A_PCM/INT/LIT" => (audio("f32"), Coding::Pcm(Pcm::whole(entry.bits)?), None),
            "A_PCM/FLOAT/IEEE" => (audio("f32"), Coding::Pcm(Pcm::float(entry.bits)?), None),
            _ => return None,
        };
        if port == AUDIO && (rate == 0 || !(1..=64).contains(&entry.channels)) {
            return None;
        }
        if format.kind() == Kind::Audio && port == VIDEO
            || format.kind() == Kind::Video && port == AUDIO
        {
            return None;
        }
        Some(Track {
            number: entry.number,
            port,
            format,
            reordering: match coding {
                Coding::Avc(_) => h264::reordering(&avcc(entry.private)?),
                _ => None,
            },
            delay: i64::try_from(entry.delay).unwrap_or(0).min(10_000_000_000),
            lasts,
            prefix: entry.prefix.to_vec(),
            coding,
        })
    }

    /// Whether its decoder puts out a part of a packet, where only that is to be heard.
    pub fn can_be_cut(&self) -> bool {
        matches!(self.coding, Coding::Opus)
    }

    /// What its units are.
    pub fn carried(&self) -> Carried {
        Carried {
            format: self.format.clone(),
            reordering: self.reordering,
        }
    }

    /// Whether its units may be out of the order in which they are shown.
    pub fn is_reordered(&self) -> bool {
        matches!(self.coding, Coding::Avc(_))
    }

    /// Whether decoding can begin with a unit that a block marks so.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn begins(&self, source: &mut Source, at: u64, len: usize) -> Result<bool> {
        match &self.coding {
            Coding::Avc(avc) if self.prefix.is_empty() => {
                avc.is_idr(len as u64, |from, room| source.read(at + from, room))
            }
            _ => Ok(true),
        }
    }

    /// Reads a unit.
    ///
    /// # Errors
    /// When it cannot be read, or is not what the track holds.
    pub fn unit(
        &self,
        source: &mut Source,
        at: u64,
        len: usize,
        key: bool,
        host: &Host,
    ) -> Result<Loan> {
        let read = |source: &mut Source, room: &mut [u8]| {
            let (front, back) = room.split_at_mut(self.prefix.len());
            front.copy_from_slice(&self.prefix);
            source.read(at, back)
        };
        let whole = self.prefix.len() + len;
        match &self.coding {
            Coding::Avc(avc) => {
                let unit = avc.unit(whole, key, host, |room| read(source, room))?;
                unit.map_err(|misfit| {
                    source.error(
                        at + misfit.0 as u64,
                        format_args!(
                            "the NAL units of a unit of track {} do not add up to it",
                            self.number
                        ),
                    )
                })
            }
            Coding::Pcm(pcm) => {
                let mut bytes = vec![0; whole];
                read(source, &mut bytes)?;
                let moment = pcm.bytes * self.channels() as usize;
                bytes.truncate(whole / moment * moment);
                pcm.convert(&bytes, host)
            }
            Coding::AsItIs | Coding::Opus => {
                let mut loan = host.loan(whole)?;
                read(source, loan.as_mut_slice())?;
                Ok(loan)
            }
        }
    }

    fn channels(&self) -> u32 {
        match self.format.media {
            Media::Audio { channels, .. } => channels.max(1),
            _ => 1,
        }
    }

    /// How long a unit lasts by what lies at its place, ns.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn lasts_at(&self, source: &mut Source, at: u64, len: usize) -> Result<Option<i64>> {
        match &self.coding {
            Coding::Opus => {
                let mut head = self.prefix.clone();
                head.resize(self.prefix.len() + len.min(2), 0);
                source.read(at, &mut head[self.prefix.len()..])?;
                Ok(self.lasts_by(&head))
            }
            Coding::Pcm(pcm) => {
                let moments = len / pcm.bytes / self.channels() as usize;
                Ok(Some(self.samples_ns(moments)))
            }
            _ => Ok(self.lasts),
        }
    }

    /// Where samples are cut that last longer than a block of 20 ms: after how many bytes, and ns.
    pub fn first_block(&self, len: usize) -> Option<(usize, i64)> {
        let Coding::Pcm(pcm) = &self.coding else {
            return None;
        };
        let moments = (self.rate() / 50).max(1) as usize;
        let bytes = moments * pcm.bytes * self.channels() as usize;
        (bytes < len).then(|| (bytes, self.samples_ns(moments)))
    }

    fn rate(&self) -> u32 {
        match self.format.media {
            Media::Audio { rate, .. } => rate.max(1),
            _ => 1,
        }
    }

    /// How long so many samples of each channel last, ns.
    fn samples_ns(&self, moments: usize) -> i64 {
        (moments as i128 * 1_000_000_000 / i128::from(self.rate())) as i64
    }

    /// How long a unit lasts by what it holds, ns.
    pub fn lasts_by(&self, unit: &[u8]) -> Option<i64> {
        match &self.coding {
            Coding::Opus => {
                let samples = opus::samples(unit)?;
                Some(i64::from(samples) * 1_000_000_000 / i64::from(opus::RATE))
            }
            Coding::Pcm(_) => {
                let moments = unit.len() / size_of::<f32>() / self.channels() as usize;
                Some(self.samples_ns(moments))
            }
            _ => self.lasts,
        }
    }
}

/// The description of H.264, as a box of MP4 has it.
fn avcc(private: &[u8]) -> Option<AvccBox> {
    let len = u32::try_from(private.len() + 8).ok()?;
    let mut bytes = len.to_be_bytes().to_vec();
    bytes.extend(b"avcC");
    bytes.extend(private);
    Some(AvccBox::decode(&bytes).ok()?.0)
}
