//! `opus-decoder`: Opus packets become samples, and what was lost on the way is concealed.
//!
//! A stream's packets follow each other in time, so a `pts` beyond the end of the packet before says what is
//! missing. Up to [`MAX_FILL_NS`] of it is filled with one block in front of the packet that revealed it: its last
//! part from that packet's in-band FEC where it carries some, the rest by extrapolating what was heard. What
//! exceeds this is a jump: the block behind it is flagged as a discontinuity, and a gap is announced.
//!
//! A packet may begin before the end of the one before, as where a file begins anew and its first packet only primes the decoder
//! up to there: only what lies behind that end is put out. So it is with a first packet that begins before time 0, and of one
//! whose frame says that it ends earlier nothing is put out behind that: files end so.
//!
//! Late and malformed packets are dropped and counted; the sound that a malformed one would have been is concealed
//! when the next one comes.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use levada_plugin::{Streams, as_f32_mut, prelude::*};
use ropus::{Channels, DecodeError, DecodeMode};

use crate::{RATES, packet};

/// The most that is filled in one place.
pub(crate) const MAX_FILL_NS: i64 = 120_000_000;
/// The shortest stretch that can be concealed; half of it, rounding up, is what packets' times may be off.
const STEP_NS: i64 = 2_500_000;

/// Decodes Opus packets.
///
/// **Inputs** `in`: `audio/opus`, one packet a frame. **Outputs** `out`: `audio/f32`, one block a packet, at the
/// packet's time, and one block in front of it where something was lost. **Params** `rate`: 8000, 12000, 16000,
/// 24000 or 48000 Hz; `channels`: 1 or 2, or 0 for what the format says. **Example**
/// `{ type = "opus-decoder", params = { rate = 16000, channels = 1 } }` for a speech model.
pub struct Decoder {
    rate: u32,
    channels: u32,
    streams: Streams<Stream>,
}

struct Stream {
    decoder: ropus::Decoder,
    /// The format of the packets.
    format: u32,
    /// The format of the samples.
    out: u32,
    rate: u32,
    channels: usize,
    /// Where the last block ended; `None` where the next packet begins anew.
    end: Option<i64>,
    /// The next block follows on a jump.
    jumped: bool,
    /// Up to where an announced gap reaches, to be concealed at the end if nothing comes.
    gap_to: Option<i64>,
}

/// Where a packet lies in its stream's time.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Next,
    /// So many ns after the end of the last block.
    After(i64),
    /// Its first so many ns lie before the end of the last block.
    Across(i64),
    Late,
    Elsewhere,
}

impl Stream {
    /// Where a packet lies of which so many ns are sound.
    fn place(&self, pts: i64, lasts: i64) -> Place {
        let ends = pts.saturating_add(lasts);
        let Some(end) = self.end else {
            return if pts < 0 && ends > 0 {
                Place::Across(-pts)
            } else {
                Place::Next
            };
        };
        match pts.saturating_sub(end) {
            off if off.saturating_abs() < STEP_NS / 2 => Place::Next,
            missing if missing > 0 => Place::After(missing),
            early if early >= -MAX_FILL_NS && ends > end => Place::Across(-early),
            early if early >= -MAX_FILL_NS => Place::Late,
            _ => Place::Elsewhere,
        }
    }

    /// The part of a block that lies so many ns from its beginning.
    fn part(&self, block: Frame, ns: Range<i64>, ctx: &Context) -> Result<Frame> {
        let moment = self.channels * size_of::<f32>();
        let at = |ns: i64| {
            let samples = (ns.max(0) as u128 * u128::from(self.rate) + 500_000_000) / 1_000_000_000;
            (samples as usize * moment).min(block.payload().len())
        };
        let (from, to) = (at(ns.start), at(ns.end));
        if (from, to) == (0, block.payload().len()) {
            return Ok(block);
        }
        let part = block.payload().get(from..to).unwrap_or_default();
        let mut loan = ctx.loan(part.len())?;
        loan.as_mut_slice().copy_from_slice(part);
        ctx.copied(part.len());
        Ok(Frame::new(Kind::Audio, loan).with_format_id(self.out))
    }

    fn samples(&self, ns: i64) -> usize {
        packet::samples((ns / 1000) as u32, self.rate)
    }

    /// Makes a block of `samples`, written by `decode`; `None` when that failed.
    fn block(
        &mut self,
        samples: usize,
        ctx: &Context,
        decode: impl FnOnce(&mut ropus::Decoder, &mut [f32]) -> Result<usize, DecodeError>,
    ) -> Result<Option<Frame>> {
        let mut loan = ctx.loan(samples * self.channels * size_of::<f32>())?;
        let room = as_f32_mut(loan.as_mut_slice())
            .ok_or_else(|| Error::new("the host loaned memory that is not aligned for samples"))?;
        // A panic leaves the decoder in a state that nobody knows, so it is not used again.
        let done = catch_unwind(AssertUnwindSafe(|| decode(&mut self.decoder, room)));
        match done {
            Ok(Ok(made)) if made == samples => {
                ctx.copied(loan.len());
                Ok(Some(Frame::new(Kind::Audio, loan).with_format_id(self.out)))
            }
            Ok(_) => Ok(None),
            Err(_) => {
                self.decoder = new_decoder(self.rate, self.channels)?;
                Ok(None)
            }
        }
    }

    /// Fills `missing` ns from `from` on, by the FEC of `next` if there is such a packet.
    fn fill(
        &mut self,
        from: i64,
        missing: i64,
        next: Option<&[u8]>,
        ctx: &Context,
    ) -> Result<Option<Frame>> {
        // The nearest number of steps: times of packets may be rounded.
        let ns = (missing + STEP_NS / 2) / STEP_NS * STEP_NS;
        let samples = self.samples(ns);
        if samples == 0 {
            return Ok(None);
        }
        let mut block = None;
        if let Some(next) = next {
            block = self.block(samples, ctx, |decoder, room| {
                decoder.decode_float(next, room, DecodeMode::Fec)
            })?;
        }
        if block.is_none() {
            block = self.block(samples, ctx, |decoder, room| {
                decoder.decode_float(&[], room, DecodeMode::Normal)
            })?;
        }
        Ok(block.map(|block| {
            block
                .with_pts(from)
                .with_duration_us((ns / 1000) as u32)
                .with_flags(flags::KEYFRAME)
        }))
    }
}

fn new_decoder(rate: u32, channels: usize) -> Result<ropus::Decoder> {
    Ok(ropus::Decoder::new(rate, layout(channels))?)
}

/// One channel or two.
pub(crate) fn layout(channels: usize) -> Channels {
    if channels == 1 {
        Channels::Mono
    } else {
        Channels::Stereo
    }
}

impl Decoder {
    fn open(&self, format: u32, ctx: &Context) -> Result<Stream> {
        let described = ctx.format(format).unwrap_or_default();
        let channels = match described.media {
            Media::Audio { channels, .. } if described.encoding == "opus" => channels,
            _ => {
                return Err(Error::new(format_args!(
                    "opus-decoder takes audio/opus, not {described:?}"
                )));
            }
        };
        // More than two are several streams in one packet (RFC 7845, 5.1.1), which nobody sends over RTP.
        let channels = match (self.channels, channels) {
            (0, 1) => 1,
            (0, 0 | 2) => 2,
            (0, more) => {
                return Err(Error::new(format_args!(
                    "opus-decoder decodes up to 2 channels, not {more}; set channels = 2 for the first two if the packets hold no more"
                )));
            }
            (wanted, _) => wanted,
        };
        Ok(Stream {
            decoder: new_decoder(self.rate, channels as usize)?,
            format,
            out: ctx.format_id(&Format::audio("f32", self.rate, channels))?,
            rate: self.rate,
            channels: channels as usize,
            end: None,
            jumped: false,
            gap_to: None,
        })
    }

    fn packet(&mut self, frame: &Frame, ctx: &mut Context) -> Result {
        let id = frame.stream();
        if self
            .streams
            .get(id)
            .is_none_or(|s| s.format != frame.format_id())
        {
            let opened = self.open(frame.format_id(), ctx)?;
            self.streams.remove(id);
            self.streams.of(id, || Ok(opened))?;
        }
        let Some(stream) = self.streams.get(id) else {
            return Ok(());
        };
        let packet = frame.payload();
        let Some(us) = packet::duration_us(packet) else {
            ctx.dropped(1);
            return Ok(());
        };
        let lasts = match frame.duration_us() {
            0 => us,
            said => said.min(us),
        };
        let lasts = i64::from(lasts) * 1000;
        let mut heard = 0;
        match stream.place(frame.pts(), lasts) {
            Place::Next => {}
            Place::Across(ns) => heard = ns,
            Place::Late => {
                ctx.dropped(1);
                return Ok(());
            }
            Place::Elsewhere => stream.jumped = true,
            Place::After(missing) => {
                let from = frame.pts().saturating_sub(missing);
                let filled = missing.min(MAX_FILL_NS);
                let next = (missing == filled).then_some(packet);
                if let Some(block) = stream.fill(from, filled, next, ctx)? {
                    ctx.emit(1, block.with_stream(id))?;
                }
                if missing > filled {
                    stream.jumped = true;
                    let gap = Event {
                        kind: event::kind::GAP,
                        stream: u32::from(id),
                        value: frame.pts(),
                    };
                    ctx.signal(1, gap)?;
                }
            }
        }
        stream.gap_to = None;
        let samples = packet::samples(us, stream.rate);
        let block = stream.block(samples, ctx, |decoder, room| {
            decoder.decode_float(packet, room, DecodeMode::Normal)
        })?;
        let Some(block) = block else {
            // Where this packet begins, something is missing; all before it has been filled.
            stream.end = Some(frame.pts());
            ctx.dropped(1);
            return Ok(());
        };
        let mut bits = flags::KEYFRAME;
        if std::mem::take(&mut stream.jumped) {
            bits |= flags::DISCONTINUITY;
        }
        stream.end = Some(frame.pts().saturating_add(lasts));
        let block = stream.part(block, heard..lasts, ctx)?;
        let block = block
            .with_pts(frame.pts().saturating_add(heard))
            .with_duration_us(((lasts - heard + 500) / 1000) as u32)
            .with_stream(id)
            .with_flags(bits);
        ctx.emit(1, block)
    }

    /// Takes note of a gap. One that will be filled is kept from those who follow, because frames will come for it.
    fn gap(&mut self, event: &Event) -> bool {
        let (mut all, mut any) = (true, false);
        for (_, stream) in self.streams.meant_by(event) {
            any = true;
            match stream.end {
                Some(end) if event.value.saturating_sub(end) <= MAX_FILL_NS => {
                    if event.value > end {
                        stream.gap_to = Some(event.value);
                    }
                }
                _ => all = false,
            }
        }
        if any && !all {
            // It goes on, so nothing may be filled any more that lies before its end.
            for (_, stream) in self.streams.meant_by(event) {
                stream.jumped |= stream.end.take().is_some();
                stream.gap_to = None;
            }
        }
        any && all
    }
}

impl Node for Decoder {
    const NAME: &'static str = "opus-decoder";
    const SUMMARY: &'static str = "Decodes Opus packets and conceals lost ones";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("audio/opus"),
        // What was lost, and the packet behind it.
        Port::output("out")
            .formats("audio/f32;rate=48000|24000|16000|12000|8000;channels=1..2")
            .max_out(2),
    ];
    const PARAMS: &'static [Param] = &[
        Param::integer("rate", 48_000)
            .range(8_000.0, 48_000.0)
            .unit("Hz")
            .help("Samples a second: 8000, 12000, 16000, 24000 or 48000"),
        Param::integer("channels", 0)
            .range(0.0, 2.0)
            .help("Channels: 1 or 2, or 0 for as many as the format says"),
    ];
    const COST: Cost = Cost::Heavy;
    const CONVERTER: bool = true;

    const CHECK: Option<Check> = Some(|config| {
        let rate = config.integer("rate")?;
        if !RATES.iter().any(|known| i64::from(*known) == rate) {
            return Err(Error::new(format_args!(
                "rate = {rate}: Opus decodes to 8000, 12000, 16000, 24000 or 48000 Hz; take one of them and a resample node behind it"
            )));
        }
        Ok(())
    });

    fn create(config: &Config) -> Result<Self> {
        // The ranges above keep both inside their types.
        let rate = config.integer("rate")? as u32;
        Ok(Decoder {
            rate,
            channels: config.integer("channels")? as u32,
            streams: Streams::default(),
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            self.packet(&frame, ctx)?;
        }
        Ok(())
    }

    fn event(&mut self, port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        match (port, event.kind) {
            (0, event::kind::GAP) => Ok(self.gap(&event)),
            (0, event::kind::FLUSH) => {
                let meant: Vec<u16> = self.streams.meant_by(&event).map(|(id, _)| id).collect();
                meant.into_iter().for_each(|id| self.streams.remove(id));
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    fn drain(&mut self, ctx: &mut Context) -> Result {
        // A gap that was announced and kept back; one call may put out two frames.
        let mut room = 2;
        for (id, stream) in self.streams.iter_mut() {
            let (Some(end), Some(to)) = (stream.end, stream.gap_to.take()) else {
                continue;
            };
            if room > 0
                && let Some(block) = stream.fill(end, to - end, None, ctx)?
            {
                ctx.emit(1, block.with_stream(id))?;
                room -= 1;
            }
        }
        Ok(())
    }
}
