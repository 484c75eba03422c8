//! `resample`: samples at another rate, in another number of channels, in another encoding.
//!
//! Frames that already are what is wanted stay where they are. Others are mixed down first and up last, so that the
//! filter of [`rate`] works on as few channels as can be. A block's samples come out as soon as the filter has seen what lies
//! around them, at the times that they had: the output's `pts` counts samples from the first block on, so there is no shift
//! and no drift. A block that does not follow the one before lets out the end of that one first.
//!
//! All is calculated in `f32`. Samples of 16 bits are 32768ths of full scale, so that they are the same when they have been
//! `f32` in between; what is beyond full scale becomes the largest that there is.

mod mix;
mod rate;
#[cfg(test)]
mod tests;

use levada_plugin::{SampleClock, Streams, as_f32, as_f32_mut, as_i16, as_i16_mut, prelude::*};

use mix::{MAX_CHANNELS, Mix};
use rate::RateConverter;

/// How far a block's time may be off before it counts as a jump.
const TOLERANCE_NS: i64 = 20_000_000;
/// The lowest and the highest rate.
const RATES: (u32, u32) = (8_000, 192_000);

/// Converts samples to another rate, another number of channels, and between 32-bit float and 16-bit whole numbers.
///
/// **Inputs** `in`: `audio/f32` or `audio/s16` at 8000 to 192000 Hz, up to 8 channels, in blocks of any length. **Outputs**
/// `out`: `audio/f32` or `audio/s16`; the same frames where nothing is to be done, else one block a block (none while the
/// filter fills) at the time that its sound had. **Params** `rate` in Hz, `channels`; 0 leaves it as it comes; `encoding`:
/// `f32` or `s16`, what is made of either. Channels are mixed as [`mix`] says: two become one by
/// their mean, one becomes two by repetition, and channels that have no speaker go to the nearest by the weights of ITU-R
/// BS.775. A sample waits for 48 more at the lower of both rates.
/// **Example** `{ type = "resample", params = { rate = 16000, channels = 1 } }` for a speech model.
pub struct Resample {
    encoding: Encoding,
    rate: u32,
    channels: u32,
    streams: Streams<Stream>,
}

/// How a sample is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    F32,
    S16,
}

impl Encoding {
    fn of(name: &str) -> Option<Encoding> {
        match name {
            "f32" => Some(Encoding::F32),
            "s16" => Some(Encoding::S16),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Encoding::F32 => "f32",
            Encoding::S16 => "s16",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Encoding::F32 => size_of::<f32>(),
            Encoding::S16 => size_of::<i16>(),
        }
    }

    /// Samples, which are put into `room` where they are no `f32`; `None` where bytes are none, or are not aligned.
    fn read<'a>(self, bytes: &'a [u8], room: &'a mut Vec<f32>) -> Option<&'a [f32]> {
        match self {
            Encoding::F32 => as_f32(bytes),
            Encoding::S16 => {
                let samples = as_i16(bytes)?.iter();
                room.clear();
                room.extend(samples.map(|sample| f32::from(*sample) / FULL_SCALE));
                Some(room)
            }
        }
    }
}

/// Full scale of samples of 16 bits.
const FULL_SCALE: f32 = 32_768.0;

/// What a block has, or is to have: samples in this encoding, at this rate, in so many channels.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shape {
    encoding: Encoding,
    rate: u32,
    channels: u32,
}

impl Shape {
    /// What blocks of a format are; `None` for what this node does not take.
    fn of(format: &Format) -> Option<Shape> {
        let encoding = Encoding::of(&format.encoding)?;
        match format.media {
            Media::Audio { rate, channels }
                if (RATES.0..=RATES.1).contains(&rate)
                    && (1..=MAX_CHANNELS).contains(&channels) =>
            {
                Some(Shape {
                    encoding,
                    rate,
                    channels,
                })
            }
            _ => None,
        }
    }
}

struct Stream {
    /// The format of the blocks.
    format: u32,
    /// `None` where nothing is to be done.
    converter: Option<Box<Converter>>,
}

struct Converter {
    out: u32,
    from: Encoding,
    from_channels: usize,
    to: Encoding,
    to_channels: usize,
    /// Samples of a block that are on their way from or to another encoding.
    samples: Vec<f32>,
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
    fn new(from: Shape, to: Shape, ctx: &Context) -> Result<Converter> {
        // The filter works on the fewer channels.
        let filtered = from.channels.min(to.channels);
        let out = Format::audio(to.encoding.name(), to.rate, to.channels);
        Ok(Converter {
            out: ctx.format_id(&out)?,
            from: from.encoding,
            from_channels: from.channels as usize,
            to: to.encoding,
            to_channels: to.channels as usize,
            samples: vec![],
            down: (filtered < from.channels)
                .then(|| Mix::new(from.channels, filtered))
                .transpose()?,
            rate: RateConverter::new(from.rate, to.rate, filtered as usize),
            up: (filtered < to.channels)
                .then(|| Mix::new(filtered, to.channels))
                .transpose()?,
            expects: None,
            from_rate: from.rate,
            clock: SampleClock::new(to.rate),
            jumped: false,
        })
    }

    #[cold]
    fn no_samples(&self, payload: &[u8]) -> Error {
        Error::new(format_args!(
            "a block of {} bytes holds no whole number of samples of {} channels, or is not aligned in memory",
            payload.len(),
            self.from_channels
        ))
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

    /// Fills `room` with `count` moments that are ready.
    fn make(&mut self, count: usize, room: &mut [f32]) {
        let channels = self.to_channels;
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
    }

    /// Makes a block of all that is ready.
    fn block(&mut self, stream: u16, ctx: &Context) -> Result<Option<Frame>> {
        let count = self.rate.ready();
        if count == 0 {
            return Ok(None);
        }
        let channels = self.to_channels;
        let mut loan = ctx.loan(count * channels * self.to.bytes())?;
        let is_aligned = match self.to {
            Encoding::F32 => {
                let room = as_f32_mut(loan.as_mut_slice());
                room.map(|room| self.make(count, room)).is_some()
            }
            Encoding::S16 => {
                let mut made = std::mem::take(&mut self.samples);
                made.clear();
                made.resize(count * channels, 0.0);
                self.make(count, &mut made);
                let room = as_i16_mut(loan.as_mut_slice());
                // A cast from float to integer saturates.
                let whole = |sample: &f32| (sample * FULL_SCALE).round() as i16;
                let is_aligned = room.map(|room| {
                    let pairs = room.iter_mut().zip(&made);
                    pairs.for_each(|(to, sample)| *to = whole(sample));
                });
                self.samples = made;
                is_aligned.is_some()
            }
        };
        if !is_aligned {
            return Err(Error::new(
                "the host loaned memory that is not aligned for samples",
            ));
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
        let moment = self.from_channels * self.from.bytes();
        let payload = frame.payload();
        if !payload.len().is_multiple_of(moment) {
            return Err(self.no_samples(payload));
        }
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
        expects.advance(payload.len() / moment);
        let mut room = std::mem::take(&mut self.samples);
        let samples = self.from.read(payload, &mut room);
        let samples = samples.ok_or_else(|| self.no_samples(payload))?;
        self.push(samples);
        self.samples = room;
        if let Some(block) = self.block(frame.stream(), ctx)? {
            ctx.emit(1, block)?;
        }
        Ok(())
    }
}

impl Resample {
    fn open(&self, format: u32, ctx: &Context) -> Result<Stream> {
        let described = ctx.format(format).unwrap_or_default();
        let from = Shape::of(&described).ok_or_else(|| {
            Error::new(format_args!(
                "resample takes audio/f32 or audio/s16 at {} to {} Hz with up to {MAX_CHANNELS} channels, not {described:?}",
                RATES.0, RATES.1
            ))
        })?;
        let or = |wanted: u32, is: u32| if wanted == 0 { is } else { wanted };
        let to = Shape {
            encoding: self.encoding,
            rate: or(self.rate, from.rate),
            channels: or(self.channels, from.channels),
        };
        let is_other = from != to;
        let converter = is_other.then(|| Converter::new(from, to, ctx).map(Box::new));
        let converter = converter.transpose()?;
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
    const SUMMARY: &'static str =
        "Converts samples to another rate, number of channels or encoding";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("audio/f32 audio/s16").forwards_to(1),
        // The end of what was before a jump, and the block behind it.
        Port::output("out")
            .formats(
                "audio/f32;rate=8000..192000;channels=1..8 audio/s16;rate=8000..192000;channels=1..8",
            )
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
        Param::choice("encoding", "f32 s16", "f32")
            .help("What samples become: 32-bit float, or 16-bit whole numbers"),
    ];
    const CONVERTER: bool = true;
    /// At the lowest rate.
    const LATENCY_NS: u64 = rate::REACH as u64 * 1_000_000_000 / RATES.0 as u64;

    const CHECK: Option<Check> = Some(|config| {
        let rate = config.integer("rate")?;
        if rate != 0 && rate < i64::from(RATES.0) {
            return Err(Error::new(format_args!(
                "rate = {rate} Hz: resample makes {} to {} Hz; 0 leaves the rate as it comes",
                RATES.0, RATES.1
            )));
        }
        Ok(())
    });

    fn create(config: &Config) -> Result<Self> {
        // The ranges above keep both inside their types.
        let rate = config.integer("rate")? as u32;
        Ok(Resample {
            // The choices are the two that there are.
            encoding: Encoding::of(config.text("encoding")?).unwrap_or(Encoding::F32),
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
