//! [`OggOpus`]: Opus in Ogg (RFC 3533, RFC 7845).
//!
//! Pages are read one after the other, each checked by its CRC, and give packets; a packet may reach over pages, up to
//! [`MAX_PACKET`] bytes. Packets are timed by what they say they last, from the pre-skip on: packets that only prime the decoder lie
//! before time 0 and are left out but for one that reaches across it, and the last ones end where the stream does. One page and one packet are in memory. Pages of other streams are passed over, and the
//! file's first Opus stream is played; where another one begins behind it, as in recordings that were joined, it goes on with
//! that.

use std::collections::VecDeque;

use levada_plugin::prelude::*;

use super::{
    AUDIO, Carried, Demuxer, Unit,
    bytes::{DAMAGED, Source},
};
use crate::{
    ogg::{PAGE_HEADER, crc},
    opus::{RATE, samples},
};

/// The largest packet: 120 ms in 48 frames of 1275 bytes, and their lengths.
const MAX_PACKET: usize = 65_536;
/// The headers of the stream end within so many bytes, with pages of other streams between them.
const MAX_HEADERS: u64 = 1 << 20;

/// A file that is open.
pub(super) struct OggOpus {
    source: Source,
    serial: Option<u32>,
    channels: u32,
    pre_skip: i64,
    /// Where the next page lies.
    at: u64,
    /// The part of a packet that the last page ended with.
    part: Vec<u8>,
    /// Packets of the last page, with its place.
    packets: VecDeque<(u64, Vec<u8>)>,
    /// The time of the next packet, in samples from where playing began.
    next: i64,
    /// Packets that end before this time are left out: they only prime the decoder, or would overlap with what was played.
    from: i64,
    /// The stream's headers were read.
    has_begun: bool,
    /// Where in the file playing began, in samples, and where its sound ends, once that was seen.
    origin: i64,
    ends: Option<i64>,
    /// What the last page's position says, and by how much its packets last longer than the stream.
    position: i64,
    beyond: i64,
}

impl OggOpus {
    /// Reads the stream's headers.
    ///
    /// # Errors
    /// When no stream in the file is Opus.
    pub fn open(source: Source) -> Result<OggOpus> {
        let mut file = OggOpus {
            source,
            serial: None,
            channels: 0,
            pre_skip: 0,
            at: 0,
            part: vec![],
            packets: VecDeque::new(),
            next: 0,
            from: 0,
            has_begun: false,
            origin: 0,
            ends: None,
            position: 0,
            beyond: 0,
        };
        file.rewind()?;
        Ok(file)
    }

    /// Goes to the first packet of sound.
    fn rewind(&mut self) -> Result {
        (self.at, self.serial, self.has_begun) = (0, None, false);
        self.part.clear();
        self.packets.clear();
        let head = self.header()?;
        let Some((at, head)) = head.filter(|(_, h)| h.starts_with(b"OpusHead") && h.len() >= 19)
        else {
            return Err(self.source.error(
                0,
                "no Opus stream begins in this file; file-source plays no other in Ogg",
            ));
        };
        self.describe(&head);
        match self.header()? {
            Some((_, tags)) if tags.starts_with(b"OpusTags") => {}
            _ => {
                return Err(self
                    .source
                    .error(at, "the stream's second header is missing"));
            }
        }
        (self.next, self.from) = (-self.pre_skip, 0);
        (self.has_begun, self.position, self.beyond) = (true, 0, 0);
        Ok(())
    }

    /// Follows a stream's first header.
    fn describe(&mut self, head: &[u8]) {
        self.channels = head[9].into();
        self.pre_skip = u16::from_le_bytes([head[10], head[11]]).into();
    }

    /// The next packet of sound that is not left out, and how many samples it lasts.
    fn sound(&mut self) -> Result<Option<(Vec<u8>, i64)>> {
        while let Some((at, packet)) = self.packet()? {
            // Another stream begins, on the same timeline.
            if packet.starts_with(b"OpusHead") && packet.len() >= 19 {
                self.describe(&packet);
                self.from = self.from.max(self.next);
                self.next -= self.pre_skip;
                continue;
            }
            if packet.starts_with(b"OpusTags") {
                continue;
            }
            let Some(lasts) = samples(&packet).map(i64::from) else {
                return Err(self.source.error(
                    at,
                    format_args!("a packet in this page is not Opus; {DAMAGED}"),
                ));
            };
            // The stream may end within its last packets.
            let behind: i64 = self.packets.iter().map(|(_, packet)| lasting(packet)).sum();
            let lasts = lasts - (self.beyond - behind).clamp(0, lasts);
            if lasts > 0 && self.next + lasts > self.from {
                return Ok(Some((packet, lasts)));
            }
            self.next += lasts;
        }
        self.ends = Some(self.origin.saturating_add(self.next));
        Ok(None)
    }

    /// The next packet of the stream, with the place of its page.
    fn packet(&mut self) -> Result<Option<(u64, Vec<u8>)>> {
        while self.packets.is_empty() {
            if self.at >= self.source.len() {
                return Ok(None);
            }
            self.page()?;
        }
        Ok(self.packets.pop_front())
    }

    /// The next packet, where it ends within [`MAX_HEADERS`].
    fn header(&mut self) -> Result<Option<(u64, Vec<u8>)>> {
        while self.packets.is_empty() && self.at < self.source.len().min(MAX_HEADERS) {
            self.page()?;
        }
        Ok(self.packets.pop_front())
    }

    /// Reads a page.
    fn page(&mut self) -> Result {
        let at = self.at;
        self.source.check(
            at,
            PAGE_HEADER as u64,
            PAGE_HEADER as u64,
            "a page's header",
        )?;
        let mut page = vec![0; PAGE_HEADER + 255];
        self.source.read(at, &mut page[..PAGE_HEADER])?;
        if !page.starts_with(b"OggS") || page[4] != 0 {
            return Err(self.source.error(at, "no page begins here"));
        }
        let segments = usize::from(page[26]);
        let table = PAGE_HEADER..PAGE_HEADER + segments;
        self.source
            .check(at, table.end as u64, u64::MAX, "a page's header")?;
        self.source
            .read(at + PAGE_HEADER as u64, &mut page[table.clone()])?;
        let lengths = page[table.clone()].to_vec();
        let body: usize = lengths.iter().map(|n| usize::from(*n)).sum();
        let whole = self
            .source
            .check(at, (table.end + body) as u64, u64::MAX, "a page")?;
        page.resize(whole, 0);
        self.source
            .read(at + table.end as u64, &mut page[table.end..])?;
        self.at = at + whole as u64;
        let long = |n: usize| u32::from_le_bytes([page[n], page[n + 1], page[n + 2], page[n + 3]]);
        let (serial, said) = (long(14), long(22));
        page[22..26].fill(0);
        if crc(&page) != said {
            return Err(self.source.error(
                at,
                format_args!("the page's checksum does not fit; {DAMAGED}"),
            ));
        }
        // All streams that run side by side begin before the first one's sound.
        let starts_opus = page[5] & 2 != 0 && page[table.end..].starts_with(b"OpusHead");
        if starts_opus && (self.serial.is_none() || self.has_begun) {
            self.serial = Some(serial);
        }
        if self.serial != Some(serial) {
            return Ok(());
        }
        // A page that does not continue a packet leaves the part before without its end.
        if page[5] & 1 == 0 {
            self.part.clear();
        }
        let mut from = table.end;
        for length in lengths {
            let to = from + usize::from(length);
            self.part.extend_from_slice(&page[from..to]);
            from = to;
            if self.part.len() > MAX_PACKET {
                return Err(self.source.error(
                    at,
                    format_args!("a packet has more than {MAX_PACKET} bytes"),
                ));
            }
            // A shorter segment is a packet's last.
            if length < 255 {
                self.packets.push_back((at, std::mem::take(&mut self.part)));
            }
        }
        let position = i64::from_le_bytes([
            page[6], page[7], page[8], page[9], page[10], page[11], page[12], page[13],
        ]);
        let all: i64 = self.packets.iter().map(|(_, packet)| lasting(packet)).sum();
        // The last page of a stream.
        self.beyond = if page[5] & 4 != 0 {
            self.position
                .saturating_add(all)
                .saturating_sub(position)
                .clamp(0, all)
        } else {
            0
        };
        // No packet ends in a page without a position.
        if position >= 0 {
            self.position = position;
        }
        Ok(())
    }
}

/// How many samples a packet lasts; none where it is no Opus.
fn lasting(packet: &[u8]) -> i64 {
    samples(packet).map_or(0, i64::from)
}

fn ns(samples: i64) -> i64 {
    (i128::from(samples) * 1_000_000_000).div_euclid(RATE.into()) as i64
}

impl Demuxer for OggOpus {
    fn has(&self, port: usize) -> bool {
        port == AUDIO
    }

    fn carries(&self, port: usize) -> Vec<Carried> {
        if !self.has(port) {
            return vec![];
        }
        vec![Format::audio("opus", RATE, self.channels).into()]
    }

    fn length(&mut self) -> Option<i64> {
        Some(ns(self.ends? - self.origin))
    }

    fn begin(&mut self, at_ns: i64) -> Result {
        self.rewind()?;
        let origin = (i128::from(at_ns.max(0)) * i128::from(RATE) / 1_000_000_000) as i64;
        (self.origin, self.next) = (origin, self.next - origin);
        Ok(())
    }

    fn next(&mut self, host: &Host) -> Result<Option<Unit>> {
        let Some((packet, lasts)) = self.sound()? else {
            return Ok(None);
        };
        let mut payload = host.loan(packet.len())?;
        payload.as_mut_slice().copy_from_slice(&packet);
        host.copied(packet.len());
        let config = if self.channels == 2 {
            "stereo=1;sprop-stereo=1"
        } else {
            ""
        };
        let format = Format::audio("opus", RATE, self.channels).with_config(config);
        let pts = ns(self.next);
        self.next += lasts;
        Ok(Some(Unit {
            port: AUDIO,
            payload,
            format: host.format_id(&format)?,
            pts,
            dts: pts,
            end: ns(self.next),
            key: true,
        }))
    }
}
