//! [`OggOpus`]: Opus in Ogg (RFC 3533, RFC 7845).
//!
//! Packets wait for their page, up to a second of them. The page that is full is written when the next packet comes, so that the last
//! one can say that it is. A hole in the sound is filled with packets of empty frames, which decoders conceal
//! (RFC 7845, 4.1).

use std::io::Write;

use levada_plugin::prelude::*;

use super::{
    Writer,
    disk::Disk,
    entry::opus_channels,
    only::{Only, same_encoding},
    pace::{Pace, Place},
};
use crate::{
    ogg::{PAGE_HEADER, crc},
    opus::{RATE, beyond, frame_samples, lost, samples},
};

/// Sound of a page, in samples.
const PAGE_SAMPLES: u64 = RATE as u64;
/// How long a hole is filled at most, in ns.
const MAX_HOLE_NS: i64 = 600_000_000_000;
/// Empty frames of a hole last so long together at most, in samples: a packet's limit.
const MAX_LOST: u32 = 5760;
/// The number of the file's one stream.
const SERIAL: u32 = 1;
/// Marks in a page's header: the first and the last one.
const FIRST: u8 = 2;
const LAST: u8 = 4;

struct Track {
    only: Only,
    pace: Pace,
    /// Samples at the end of the last packet that are not to be heard.
    beyond: u32,
}

/// A file that is being written.
pub(super) struct OggOpus {
    file: Disk,
    track: Option<Track>,
    pages: u32,
    /// The table and the packets of the page that waits, and how much sound they are.
    segments: Vec<u8>,
    body: Vec<u8>,
    waiting: u64,
}

impl OggOpus {
    pub fn new(file: Disk) -> OggOpus {
        OggOpus {
            file,
            track: None,
            pages: 0,
            segments: vec![],
            body: vec![],
            waiting: 0,
        }
    }

    fn begin(&mut self, frame: &Frame, ctx: &Context) -> Result<Track> {
        let format = ctx.format(frame.format_id()).unwrap_or_default();
        let (Media::Audio { channels, .. }, "opus") = (format.media, format.encoding.as_str())
        else {
            return Err(Error::new(format_args!(
                "{format:?} is not recorded in Ogg; Opus is"
            )));
        };
        let mut head = b"OpusHead\x01".to_vec();
        head.push(opus_channels(channels)?);
        // A recording begins in the midst of a stream: nothing only primes the decoder.
        head.extend(0_u16.to_le_bytes());
        head.extend(RATE.to_le_bytes());
        // No gain, and the mapping of mono and stereo.
        head.extend([0; 3]);
        self.add(&head);
        self.page(FIRST, 0)?;
        self.add(b"OpusTags\x06\0\0\0levada\0\0\0\0");
        self.page(0, 0)?;
        let block = u64::from(RATE / 50);
        Ok(Track {
            only: Only::new(frame, format),
            pace: Pace::new((RATE.into(), 1), block, MAX_HOLE_NS),
            beyond: 0,
        })
    }

    /// Adds a packet to the page; `false` when no page has room for it.
    fn add(&mut self, packet: &[u8]) -> bool {
        if packet.len() / 255 >= 255 {
            return false;
        }
        self.segments
            .extend(std::iter::repeat_n(255, packet.len() / 255));
        self.segments.push((packet.len() % 255) as u8);
        self.body.extend_from_slice(packet);
        true
    }

    /// Writes the page, which ends at `granule`.
    fn page(&mut self, marks: u8, granule: u64) -> Result {
        let mut page = Vec::with_capacity(PAGE_HEADER + self.segments.len() + self.body.len());
        page.extend(b"OggS\0");
        page.push(marks);
        page.extend(granule.to_le_bytes());
        page.extend(SERIAL.to_le_bytes());
        page.extend(self.pages.to_le_bytes());
        page.extend([0; 4]);
        page.push(self.segments.len() as u8);
        page.append(&mut self.segments);
        page.append(&mut self.body);
        let sum = crc(&page);
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        self.file.write_all(&page)?;
        self.pages = self.pages.wrapping_add(1);
        self.waiting = 0;
        Ok(())
    }

    /// Takes a packet that lasts so many samples, behind `begins` samples; `false` when it is too large.
    fn packet(&mut self, packet: &[u8], lasts: u32, begins: u64) -> Result<bool> {
        let is_full =
            self.waiting >= PAGE_SAMPLES || self.segments.len() + packet.len() / 255 + 1 > 255;
        if is_full && !self.segments.is_empty() {
            self.page(0, begins)?;
        }
        let taken = self.add(packet);
        if taken {
            self.waiting += u64::from(lasts);
        }
        Ok(taken)
    }
}

impl Writer for OggOpus {
    fn take(&mut self, _port: usize, frame: &Frame, ctx: &Context) -> Result<bool> {
        if self.track.is_none() {
            self.track = Some(self.begin(frame, ctx)?);
        }
        let Some(mut track) = self.track.take() else {
            return Ok(false);
        };
        let taken = self.take_for(&mut track, frame, ctx);
        self.track = Some(track);
        let taken = taken?;
        if taken {
            ctx.copied(frame.payload().len());
        }
        Ok(taken)
    }

    fn finish(&mut self) -> Result<bool> {
        let Some(track) = &self.track else {
            return Ok(false);
        };
        let count = track.pace.count();
        // An end within the last packet is an end of the sound there (RFC 7845, 4.4).
        self.page(LAST, count.saturating_sub(track.beyond.into()))?;
        self.file.sync_all()?;
        Ok(count > 0)
    }
}

impl OggOpus {
    fn take_for(&mut self, track: &mut Track, frame: &Frame, ctx: &Context) -> Result<bool> {
        let packet = frame.payload();
        if !track.only.takes(frame, ctx, same_encoding)? {
            return Ok(false);
        }
        let Some(lasts) = samples(packet) else {
            return Ok(false);
        };
        match track.pace.place(frame.pts()) {
            Place::Late => return Ok(false),
            Place::Here => {}
            Place::After(missing) => {
                // Whole frames of the same kind; the rest is less than one, and made up for by the next hole.
                let each = frame_samples(packet[0]);
                let mut left = missing / u64::from(each);
                while left > 0 {
                    let frames = left.min(u64::from(MAX_LOST / each));
                    let lasts = frames as u32 * each;
                    self.packet(&lost(packet[0], frames as u8), lasts, track.pace.count())?;
                    track.pace.advance(lasts.into());
                    left -= frames;
                }
            }
        }
        let taken = self.packet(packet, lasts, track.pace.count())?;
        if taken {
            track.pace.advance(lasts.into());
            track.beyond = beyond(packet, frame.duration_us());
        }
        Ok(taken)
    }
}
