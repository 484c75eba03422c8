//! [`Decoder`]: the node, for either codec.

use std::{
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
};

use levada_plugin::{SampleClock, Streams, as_f32_mut, prelude::*};
use symphonia_core::{
    codecs::audio::AudioDecoder,
    packet::PacketRef,
    units::{Duration, Timestamp},
};

use crate::codec::Codec;

/// A block of one packet holds at most this many samples of a channel (an AAC frame with SBR has 2048, MP3 1152).
const MAX_SAMPLES: usize = 4096;

/// Decodes packets of one codec.
///
/// **Inputs** `in`: `audio/aac` (raw access units, AudioSpecificConfig in the format's configuration) or `audio/mp3` (frames
/// with their headers), one packet a frame. **Outputs** `out`: `audio/f32` at the rate and with the channels that the packets
/// say. **Params** none. **Example** `links = ["file.audio -> decoder -> meter"]`.
pub(crate) struct Decoder<C> {
    streams: Streams<Stream>,
    codec: PhantomData<C>,
}

struct Stream {
    format: u32,
    decoder: Box<dyn AudioDecoder>,
    /// The format of the last block, and its id.
    out: (u32, u32, u32),
    /// The next block follows on something that is missing.
    broken: bool,
}

impl<C: Codec> Decoder<C> {
    fn open(format: u32, ctx: &Context) -> Result<Stream> {
        let described = ctx.format(format).unwrap_or_default();
        if described.kind() != Kind::Audio || described.encoding != C::ENCODING {
            return Err(Error::new(format_args!(
                "{} takes {}, not {described:?}",
                C::NAME,
                C::PATTERN
            )));
        }
        Ok(Stream {
            format,
            decoder: C::open(&described)?,
            out: (0, 0, 0),
            broken: false,
        })
    }

    fn packet(&mut self, frame: &Frame, ctx: &mut Context) -> Result {
        let id = frame.stream();
        if self
            .streams
            .get(id)
            .is_none_or(|s| s.format != frame.format_id())
        {
            let opened = Self::open(frame.format_id(), ctx)?;
            self.streams.remove(id);
            self.streams.of(id, || Ok(opened))?;
        }
        let Some(stream) = self.streams.get(id) else {
            return Ok(());
        };
        if frame.has(flags::DISCONTINUITY) {
            stream.decoder.reset();
            stream.broken = true;
        }
        let packet = PacketRef::new(0, Timestamp::ZERO, Duration::ZERO, frame.payload());
        // A panic leaves the decoder in a state that nobody knows, so it is not used again.
        let decoded = catch_unwind(AssertUnwindSafe(|| stream.decode(&packet, ctx)));
        let Ok(decoded) = decoded else {
            self.streams.remove(id);
            ctx.dropped(1);
            return Ok(());
        };
        match decoded? {
            Some(block) => ctx.emit(1, block.with_stream(id).with_pts(frame.pts())),
            None => {
                ctx.dropped(1);
                Ok(())
            }
        }
    }
}

impl Stream {
    /// Decodes a packet; `None` when it cannot be decoded.
    fn decode(&mut self, packet: &PacketRef, ctx: &Context) -> Result<Option<Frame>> {
        let Ok(sound) = self.decoder.decode_ref(packet) else {
            self.broken = true;
            return Ok(None);
        };
        let (rate, channels) = (sound.spec().rate(), sound.spec().channels().count());
        let samples = sound.frames();
        if samples == 0 || samples > MAX_SAMPLES || channels == 0 || rate == 0 {
            self.broken = true;
            return Ok(None);
        }
        if (self.out.0, self.out.1) != (rate, channels as u32) {
            let format = Format::audio("f32", rate, channels as u32);
            self.out = (rate, channels as u32, ctx.format_id(&format)?);
        }
        let mut loan = ctx.loan(samples * channels * size_of::<f32>())?;
        let room = as_f32_mut(loan.as_mut_slice())
            .ok_or_else(|| Error::new("the host loaned memory that is not aligned for samples"))?;
        sound.copy_to_slice_interleaved(room);
        ctx.copied(loan.len());
        let mut bits = flags::KEYFRAME;
        if std::mem::take(&mut self.broken) {
            bits |= flags::DISCONTINUITY;
        }
        let block = Frame::new(Kind::Audio, loan)
            .with_format_id(self.out.2)
            .with_duration_us(SampleClock::new(rate).duration_us(samples))
            .with_flags(bits);
        Ok(Some(block))
    }
}

impl<C: Codec> Node for Decoder<C> {
    const NAME: &'static str = C::NAME;
    const SUMMARY: &'static str = C::SUMMARY;
    const PORTS: &'static [Port] = &[
        Port::input("in").formats(C::PATTERN),
        Port::output("out").formats("audio/f32"),
    ];
    const COST: Cost = Cost::Heavy;
    const CONVERTER: bool = true;

    fn create(_config: &Config) -> Result<Self> {
        Ok(Decoder {
            streams: Streams::default(),
            codec: PhantomData,
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            self.packet(&frame, ctx)?;
        }
        Ok(())
    }

    fn event(&mut self, port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        if (port, event.kind) == (0, event::kind::FLUSH) {
            for (_, stream) in self.streams.meant_by(&event) {
                stream.decoder.reset();
            }
        }
        Ok(false)
    }
}
