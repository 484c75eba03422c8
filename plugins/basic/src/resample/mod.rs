//! `resample`: samples at another rate, in another number of channels.
//!
//! Frames that already are what is wanted stay where they are. Others are mixed down first and up last, so that the
//! filter of [`rate`] works on as few channels as can be. A block's samples come out as soon as the filter has seen what lies
//! around them, at the times that they had: the output's `pts` counts samples from the first block on, so there is no shift
//! and no drift. A block that does not follow the one before lets out the end of that one first.

mod mix;
mod rate;
#[cfg(test)]
mod tests;

use levada_plugin::{SampleClock, Streams, as_f32, as_f32_mut, prelude::*};

use mix::{MAX_CHANNELS, Mix};
use rate::RateConverter;

/// How far a block's time may be off before it counts as a jump.
const TOLERANCE_NS: i64 = 20_000_000;
/// The lowest and the highest rate.
const RATES: (u32, u32) = (8_000, 192_000);

/// Converts samples to another rate and another number of channels.
///
/// **Inputs** `in`: `audio/f32` at 8000 to 192000 Hz, up to 8 channels, in blocks of any length. **Outputs** `out`: the
/// same frames where nothing is to be done, else one block a block (none while the filter fills) at the time that its sound
/// had. **Params** `rate` in Hz, `channels`; 0 leaves it as it comes. Channels are mixed as [`mix`] says: two become one by
/// their mean, one becomes two by repetition, and channels that have no speaker go to the nearest by the weights of ITU-R
/// BS.775. A sample waits for 48 more at the lower of both rates.
/// **Example** `{ type = "resample", params = { rate = 16000, channels = 1 } }` for a speech model.
pub struct Resample {
    rate: u32,
    channels: u32,
    streams: Streams<Stream>,
}

struct Stream {
    /// The format of the blocks.
    format: u32,
    /// `None` where nothing is to be done.
    converter: Option<Box<Converter>>,
}

struct Converter {
    out: u32,
    from_channels: usize,
    to_channels: usize,
    down: Option<Mix>,
    rate: RateConverter,
    up: Option<Mix>,
    /// The time of the next block's first sample; `None` before the first.
    expects: Option<SampleClock>,
    from_rate: u32,
    /// The time of the next output sample.
    clock: SampleClock,
    jumped: bool,
}

impl Converter {
    fn new(format: &Format, to_rate: u32, to_channels: u32, ctx: &Context) -> Result<Converter> {
        let Media::Audio { rate, channels } = format.media else {
            return Err(Error::new(format_args!(
                "resample takes audio/f32, not {format:?}"
            )));
        };
        // The filter works on the fewer channels.
        let filtered = channels.min(to_channels);
        Ok(Converter {
            out: ctx.format_id(&Format::audio("f32", to_rate, to_channels))?,
            from_channels: channels as usize,
            to_channels: to_channels as usize,
            down: (filtered < channels)
                .then(|| Mix::new(channels, filtered))
                .transpose()?,
            rate: RateConverter::new(rate, to_rate, filtered as usize),
            up: (filtered < to_channels)
                .then(|| Mix::new(filtered, to_channels))
                .transpose()?,
            expects: None,
            from_rate: rate,
            clock: SampleClock::new(to_rate),
            jumped: false,
        })
    }

    fn follows(&self, frame: &Frame) -> bool {
        let Some(expects) = &self.expects else {
            return true;
        };
        let off = frame
            .pts()
            .saturating_sub(expects.now_ns())
            .saturating_abs();
        // A block that claims a jump is believed when its time says so as well.
        let claims = frame.has(flags::DISCONTINUITY);
        off < if claims {
            TOLERANCE_NS / 20
        } else {
            TOLERANCE_NS
        }
    }

    fn push(&mut self, samples: &[f32]) {
        let moments = samples.chunks_exact(self.from_channels);
        for (index, channel) in self.rate.input().iter_mut().enumerate() {
            let moments = moments.clone();
            match &self.down {
                Some(mix) => channel.extend(moments.map(|moment| mix.channel(index, moment))),
                None => channel.extend(moments.map(|moment| moment[index])),
            }
        }
    }

    /// Makes a block of all that is ready.
    fn block(&mut self, stream: u16, ctx: &Context) -> Result<Option<Frame>> {
        let count = self.rate.ready();
        if count == 0 {
            return Ok(None);
        }
        let channels = self.to_channels;
        let mut loan = ctx.loan(count * channels * size_of::<f32>())?;
        let room = as_f32_mut(loan.as_mut_slice())
            .ok_or_else(|| Error::new("the host loaned memory that is not aligned for samples"))?;
        self.rate.take(count, |n, channel, sample| {
            room[n * channels + channel] = sample
        });
        if let Some(up) = &self.up {
            let filtered = up.from();
            for moment in room.chunks_exact_mut(channels) {
                let mut heard = [0.0; MAX_CHANNELS as usize];
                heard[..filtered].copy_from_slice(&moment[..filtered]);
                for (index, sample) in moment.iter_mut().enumerate() {
                    *sample = up.channel(index, &heard[..filtered]);
                }
            }
        }
        ctx.copied(loan.len());
        let mut bits = flags::KEYFRAME;
        if std::mem::take(&mut self.jumped) {
            bits |= flags::DISCONTINUITY;
        }
        let block = Frame::new(Kind::Audio, loan)
            .with_pts(self.clock.now_ns())
            .with_duration_us(self.clock.duration_us(count))
            .with_format_id(self.out)
            .with_stream(stream)
            .with_flags(bits);
        self.clock.advance(count);
        Ok(Some(block))
    }

    /// Makes a block of what the filter holds, and begins anew.
    fn finish(&mut self, stream: u16, ctx: &Context) -> Result<Option<Frame>> {
        if self.expects.take().is_none() {
            return Ok(None);
        }
        self.rate.flush();
        let last = self.block(stream, ctx)?;
        self.rate.reset();
        self.jumped = true;
        Ok(last)
    }

    fn convert(&mut self, frame: &Frame, ctx: &mut Context) -> Result {
        let samples = as_f32(frame.payload())
            .filter(|samples| samples.len().is_multiple_of(self.from_channels))
            .ok_or_else(|| {
                Error::new(format_args!(
                    "a block of {} bytes holds no whole number of samples of {} channels, or is not aligned in memory",
                    frame.payload().len(),
                    self.from_channels
                ))
            })?;
        if !self.follows(frame)
            && let Some(last) = self.finish(frame.stream(), ctx)?
        {
            ctx.emit(1, last)?;
        }
        if self.expects.is_none() {
            self.clock.set(frame.pts());
        }
        let from_rate = self.from_rate;
        let expects = self.expects.get_or_insert_with(|| {
            let mut clock = SampleClock::new(from_rate);
            clock.set(frame.pts());
            clock
        });
        expects.advance(samples.len() / self.from_channels);
        self.push(samples);
        if let Some(block) = self.block(frame.stream(), ctx)? {
            ctx.emit(1, block)?;
        }
        Ok(())
    }
}

impl Resample {
    fn open(&self, format: u32, ctx: &Context) -> Result<Stream> {
        let described = ctx.format(format).unwrap_or_default();
        let (rate, channels) = match described.media {
            Media::Audio { rate, channels }
                if described.encoding == "f32"
                    && (RATES.0..=RATES.1).contains(&rate)
                    && (1..=MAX_CHANNELS).contains(&channels) =>
            {
                (rate, channels)
            }
            _ => {
                return Err(Error::new(format_args!(
                    "resample takes audio/f32 at {} to {} Hz with up to {MAX_CHANNELS} channels, not {described:?}",
                    RATES.0, RATES.1
                )));
            }
        };
        let or = |wanted: u32, is: u32| if wanted == 0 { is } else { wanted };
        let (to_rate, to_channels) = (or(self.rate, rate), or(self.channels, channels));
        let converter = if (rate, channels) == (to_rate, to_channels) {
            None
        } else {
            let converter = Converter::new(&described, to_rate, to_channels, ctx)?;
            Some(Box::new(converter))
        };
        Ok(Stream { format, converter })
    }

    fn frame(&mut self, frame: Frame, ctx: &mut Context) -> Result {
        let id = frame.stream();
        if self
            .streams
            .get(id)
            .is_none_or(|s| s.format != frame.format_id())
        {
            let opened = self.open(frame.format_id(), ctx)?;
            if let Some(before) = self.streams.get(id)
                && let Some(converter) = &mut before.converter
                && let Some(last) = converter.finish(id, ctx)?
            {
                ctx.emit(1, last)?;
            }
            self.streams.remove(id);
            self.streams.of(id, || Ok(opened))?;
        }
        match self.streams.get(id).and_then(|s| s.converter.as_mut()) {
            Some(converter) => converter.convert(&frame, ctx),
            None => ctx.emit(1, frame),
        }
    }
}

impl Node for Resample {
    const NAME: &'static str = "resample";
    const SUMMARY: &'static str = "Converts samples to another rate and another number of channels";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("audio/f32").forwards_to(1),
        // The end of what was before a jump, and the block behind it.
        Port::output("out")
            .formats("audio/f32;rate=8000..192000;channels=1..8")
            .max_out(2),
    ];
    const PARAMS: &'static [Param] = &[
        Param::integer("rate", 0)
            .range(0.0, RATES.1 as f64)
            .unit("Hz")
            .help("Samples a second, from 8000 on, or 0 for as many as come"),
        Param::integer("channels", 0)
            .range(0.0, MAX_CHANNELS as f64)
            .help("Channels, or 0 for as many as come"),
    ];
    const CONVERTER: bool = true;
    /// At the lowest rate.
    const LATENCY_NS: u64 = rate::REACH as u64 * 1_000_000_000 / RATES.0 as u64;

    fn create(config: &Config) -> Result<Self> {
        // The ranges above keep both inside their types.
        let rate = config.integer("rate")? as u32;
        if rate != 0 && rate < RATES.0 {
            return Err(Error::new(format_args!(
                "rate = {rate} Hz: resample makes {} to {} Hz; 0 leaves the rate as it comes",
                RATES.0, RATES.1
            )));
        }
        Ok(Resample {
            rate,
            channels: config.integer("channels")? as u32,
            streams: Streams::default(),
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        // Where nothing is to be done for any of them they are not even touched.
        let idle = frames.iter_mut().all(|frame| {
            self.streams
                .get(frame.stream())
                .is_some_and(|s| s.format == frame.format_id() && s.converter.is_none())
        });
        if idle {
            return Ok(());
        }
        for frame in frames.drain() {
            self.frame(frame, ctx)?;
        }
        Ok(())
    }

    fn event(&mut self, port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        if (port, event.kind) == (0, event::kind::FLUSH) {
            let meant: Vec<u16> = self.streams.meant_by(&event).map(|(id, _)| id).collect();
            meant.into_iter().for_each(|id| self.streams.remove(id));
        }
        Ok(false)
    }

    fn drain(&mut self, ctx: &mut Context) -> Result {
        let mut room = 2;
        for (id, stream) in self.streams.iter_mut() {
            if room > 0
                && let Some(converter) = &mut stream.converter
                && let Some(last) = converter.finish(id, ctx)?
            {
                ctx.emit(1, last)?;
                room -= 1;
            }
        }
        Ok(())
    }
}
