//! `mix`: adds up the sound of several inputs.
//!
//! The blocks of all inputs are laid onto one timeline by their `pts` ([`input`]). The mix goes on as far as the sound of
//! every awaited input is known; an input that is [`PATIENCE_NS`] behind the foremost one is not awaited any more until
//! it brings something. That bounds both how long sound waits and how much of it. All follows from the frames' times
//! and from nothing else, so a run on a virtual clock repeats.

mod input;
#[cfg(test)]
mod tests;

use levada_plugin::{as_f32, as_f32_mut, prelude::*};

use input::{Input, State, Timeline};

const INPUTS: usize = 8;
const OUT: usize = INPUTS;
/// How far an input may fall behind before the others go on without it.
const PATIENCE_NS: i64 = 100_000_000;
/// How far a block's time may be off before it counts as a jump.
const TOLERANCE_NS: i64 = 10_000_000;
/// A block that lies further behind the mix has a clock of its own.
const MAX_BEHIND_NS: i64 = 1_000_000_000;
/// So does one that lies further ahead.
const MAX_AHEAD_NS: i64 = 3600 * 1_000_000_000;
/// What the mix comes in multiples of: blocks of 10 ms.
const BLOCKS_PER_SECOND: u32 = 100;
/// Blocks that one block may let out: what was in front of a long silence, and what goes on.
const MAX_OUT: u32 = 2;
/// Up to here sums are left as they are.
const KNEE: f32 = 0.9;

/// Adds up the sound of up to 8 inputs, aligned by its time.
///
/// **Inputs** `in1` to `in8`: `audio/f32` at the rate and with the channels of the params, one stream each; a converter
/// is inserted in front where something else comes. At least one is linked. **Outputs** `out`: `audio/f32` on one
/// timeline without drift, in blocks of multiples of 10 ms, shorter in front of a silence; a silence of all inputs of more than
/// 100 ms is left out, and what follows is marked as a discontinuity. **Params** `rate` in Hz, `channels`; `gain1` to `gain8` in dB. Sums beyond 0.9 are bent so that they stay
/// below 1; what is below is exact.
///
/// Sound waits for an input that is late for 100 ms, then the mix goes on without it until it brings something
/// again. What comes too late is cut off, and blocks that come too late as a whole are counted as dropped. An input whose
/// times lie more than a second behind the mix, or an hour ahead, has another clock: its sound is laid to where the mix
/// is when it comes. **Example** `links = ["mic -> both.in1", "music -> both.in2", "both -> speaker"]` with
/// `both = { type = "mix", params = { gain2 = -12.0 } }`.
pub struct Mix {
    rate: u32,
    channels: usize,
    inputs: Vec<Input>,
    /// From the first frame on.
    timeline: Option<Timeline>,
    /// The next sample of the mix.
    at: i64,
    jumped: bool,
    /// The format that frames had last, and that was found right.
    checked: u32,
    out_format: u32,
    out_stream: u16,
}

impl Mix {
    fn samples(&self, ns: i64) -> i64 {
        (i128::from(ns) * i128::from(self.rate) / 1_000_000_000) as i64
    }

    fn check(&mut self, frame: &Frame, ctx: &Context) -> Result {
        if frame.format_id() == self.checked {
            return Ok(());
        }
        let format = ctx.format(frame.format_id()).unwrap_or_default();
        let wanted = Format::audio("f32", self.rate, self.channels as u32);
        if format.media != wanted.media || format.encoding != wanted.encoding {
            return Err(Error::new(format_args!(
                "mix adds up {wanted:?}, not {format:?}; put a resample node in front, or set rate and channels"
            )));
        }
        self.checked = frame.format_id();
        Ok(())
    }

    /// Lays a block onto the timeline, and emits what goes before it if there is a hole in between.
    fn take(&mut self, port: usize, frame: &Frame, ctx: &mut Context) -> Result {
        self.check(frame, ctx)?;
        let channels = self.channels;
        let block = as_f32(frame.payload())
            .filter(|block| block.len().is_multiple_of(channels))
            .ok_or_else(|| {
                Error::new(format_args!(
                    "a block of {} bytes holds no whole number of samples of {channels} channels, or is not aligned in memory",
                    frame.payload().len()
                ))
            })?;
        let input = &mut self.inputs[port];
        if input.stream != Some(frame.stream()) {
            if input.stream.is_some() && input.state == State::Awaited {
                ctx.dropped(1);
                return Ok(());
            }
            input.stream = Some(frame.stream());
        }
        if block.is_empty() {
            return Ok(());
        }
        let timeline = *self.timeline.get_or_insert(Timeline {
            rate: self.rate,
            origin_ns: frame.pts(),
        });
        let at = self.place(port, frame.pts(), timeline);
        let patience = self.samples(PATIENCE_NS);
        // A long hole is not filled but left out, after what is in front of it.
        let end = self.inputs[port].end(channels);
        if !self.inputs[port].is_empty() && at.saturating_sub(end) > patience {
            self.emit(end, ctx)?;
        }
        let (from, input) = (self.at, &mut self.inputs[port]);
        input.state = State::Awaited;
        let taken = input.push(block, at, from, channels);
        if taken == 0 {
            ctx.dropped(1);
        }
        ctx.copied(taken * channels * size_of::<f32>());
        Ok(())
    }

    /// Where a block at `pts` lies.
    fn place(&mut self, port: usize, pts: i64, timeline: Timeline) -> i64 {
        let tolerance = self.samples(TOLERANCE_NS);
        let (behind, ahead) = (self.samples(MAX_BEHIND_NS), self.samples(MAX_AHEAD_NS));
        let (mix, channels) = (self.at, self.channels);
        let input = &mut self.inputs[port];
        let natural = timeline.position(pts.saturating_add(input.offset_ns));
        let at = input.place(natural, tolerance, channels);
        if (mix.saturating_sub(behind)..=mix.saturating_add(ahead)).contains(&at) {
            return at;
        }
        // Behind what it brought itself, so that a clock that was set anew cuts nothing off.
        let at = if input.is_empty() {
            mix
        } else {
            input.end(channels)
        };
        input.offset_ns = timeline.ns(at).saturating_sub(pts);
        at
    }

    /// Where the mix goes on: behind a silence of all inputs that is too long to be filled.
    fn resumes(&self) -> i64 {
        let filled = self.inputs.iter().filter(|input| !input.is_empty());
        match filled.map(Input::start).min() {
            Some(first) if first.saturating_sub(self.at) > self.samples(PATIENCE_NS) => first,
            _ => self.at,
        }
    }

    /// Emits as far as all awaited inputs are known.
    fn go_on(&mut self, ctx: &mut Context) -> Result {
        let channels = self.channels;
        let filled = self.inputs.iter().filter(|input| !input.is_empty());
        let Some(foremost) = filled.map(|input| input.end(channels)).max() else {
            return Ok(());
        };
        let awaited_from = foremost.saturating_sub(self.samples(PATIENCE_NS));
        let (from, mut until) = (self.resumes(), foremost);
        for input in &mut self.inputs {
            if input.state == State::Awaited {
                let known = input.known(channels).max(from);
                if known < awaited_from {
                    input.state = State::Silent;
                } else {
                    until = until.min(known);
                }
            }
        }
        let block = i64::from(self.rate / BLOCKS_PER_SECOND);
        let ready = until.saturating_sub(from).max(0);
        if ready < block {
            return Ok(());
        }
        self.emit(from.saturating_add(ready - ready % block), ctx)
    }

    /// Emits the mix up to `until`, or to a silence of all inputs that is too long to be filled.
    fn emit(&mut self, until: i64, ctx: &mut Context) -> Result {
        let (channels, patience) = (self.channels, self.samples(PATIENCE_NS));
        let Some(timeline) = self.timeline else {
            return Ok(());
        };
        let from = self.resumes();
        self.jumped |= from != self.at;
        self.at = from;
        let mut covered = from;
        let follows = |input: &&Input, covered: i64| {
            !input.is_empty()
                && input.start() <= covered.saturating_add(patience)
                && input.end(channels) > covered
        };
        while let Some(input) = self.inputs.iter().find(|input| follows(input, covered)) {
            covered = input.end(channels);
        }
        let until = until.min(covered);
        let count = until.saturating_sub(from).max(0) as usize;
        if count == 0 {
            return Ok(());
        }
        let mut loan = ctx.loan(count * channels * size_of::<f32>())?;
        let sums = as_f32_mut(loan.as_mut_slice())
            .ok_or_else(|| Error::new("the host loaned memory that is not aligned for samples"))?;
        sums.fill(0.0);
        for input in &mut self.inputs {
            input.add_to(sums, self.at, channels);
        }
        sums.iter_mut().for_each(|sum| *sum = limit(*sum));
        ctx.copied(loan.len());
        let (from_ns, to_ns) = (timeline.ns(self.at), timeline.ns(until));
        let us = to_ns.saturating_sub(from_ns).saturating_add(500) / 1000;
        let mut bits = flags::KEYFRAME;
        if std::mem::take(&mut self.jumped) {
            bits |= flags::DISCONTINUITY;
        }
        self.at = until;
        ctx.emit(
            OUT,
            Frame::new(Kind::Audio, loan)
                .with_format_id(self.out_format)
                .with_stream(self.out_stream)
                .with_pts(from_ns)
                .with_duration_us(u32::try_from(us).unwrap_or(u32::MAX))
                .with_flags(bits),
        )
    }
}

/// Bends what is beyond the knee, smoothly, so that it stays within full scale.
fn limit(sum: f32) -> f32 {
    let beyond = sum.abs() - KNEE;
    if beyond <= 0.0 {
        return sum;
    }
    let room = 1.0 - KNEE;
    (KNEE + room * (beyond / room).tanh()).copysign(sum)
}

/// What all ports carry follows from the params.
fn offers(config: &Config, _port: usize) -> Result<Option<String>> {
    let (rate, channels) = (config.integer("rate")?, config.integer("channels")?);
    Ok(Some(format!("audio/f32;rate={rate};channels={channels}")))
}

/// A gain's param.
const fn gain(name: &'static str) -> Param {
    Param::float(name, 0.0)
        .range(-120.0, 40.0)
        .unit("dB")
        .help("Gain of the input with this number")
}

const GAINS: [&str; INPUTS] = [
    "gain1", "gain2", "gain3", "gain4", "gain5", "gain6", "gain7", "gain8",
];

impl Node for Mix {
    const NAME: &'static str = "mix";
    const SUMMARY: &'static str = "Adds up the sound of several inputs, aligned by its time";
    const PORTS: &'static [Port] = &[
        Port::optional_input("in1").formats("audio/f32"),
        Port::optional_input("in2").formats("audio/f32"),
        Port::optional_input("in3").formats("audio/f32"),
        Port::optional_input("in4").formats("audio/f32"),
        Port::optional_input("in5").formats("audio/f32"),
        Port::optional_input("in6").formats("audio/f32"),
        Port::optional_input("in7").formats("audio/f32"),
        Port::optional_input("in8").formats("audio/f32"),
        Port::output("out")
            .formats("audio/f32;rate=8000..192000;channels=1..8")
            .max_out(MAX_OUT),
    ];
    const PARAMS: &'static [Param] = &[
        Param::integer("rate", 48_000)
            .range(8_000.0, 192_000.0)
            .unit("Hz")
            .help("Samples a second of all inputs and of the mix"),
        Param::integer("channels", 2)
            .range(1.0, 8.0)
            .help("Channels of all inputs and of the mix"),
        gain(GAINS[0]),
        gain(GAINS[1]),
        gain(GAINS[2]),
        gain(GAINS[3]),
        gain(GAINS[4]),
        gain(GAINS[5]),
        gain(GAINS[6]),
        gain(GAINS[7]),
    ];
    /// While an input has just fallen silent, and the rest of a block.
    const LATENCY_NS: u64 = PATIENCE_NS as u64 + 1_000_000_000 / BLOCKS_PER_SECOND as u64;
    const OFFERS: Option<Offers> = Some(offers);

    fn create(config: &Config) -> Result<Self> {
        if !(0..INPUTS).any(|port| config.is_linked(port)) {
            return Err(Error::new(
                "none of in1 to in8 is linked; link what is to be mixed",
            ));
        }
        // The ranges above keep both inside their types.
        let (rate, channels) = (
            config.integer("rate")? as u32,
            config.integer("channels")? as usize,
        );
        let inputs = GAINS
            .iter()
            .enumerate()
            .map(|(port, name)| -> Result<Input> {
                let gain = 10f64.powf(config.float(name)? / 20.0) as f32;
                Ok(Input::new(gain, config.is_linked(port)))
            });
        let host = config.host();
        Ok(Mix {
            rate,
            channels,
            inputs: inputs.collect::<Result<_>>()?,
            timeline: None,
            at: 0,
            jumped: false,
            checked: 0,
            out_format: host.format_id(&Format::audio("f32", rate, channels as u32))?,
            out_stream: host.stream_id(Kind::Audio, config.name())?,
        })
    }

    fn process(&mut self, port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            self.take(port, &frame, ctx)?;
            self.go_on(ctx)?;
        }
        Ok(())
    }

    fn event(&mut self, port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        let Some(input) = self.inputs.get_mut(port) else {
            return Ok(false);
        };
        match (event.kind, self.timeline) {
            (event::kind::GAP, Some(timeline)) => {
                let until = timeline.position(event.value.saturating_add(input.offset_ns));
                input.promised = input.promised.max(until);
            }
            (event::kind::FLUSH, _) => input.flush(),
            (event::kind::END_OF_STREAM, _) => input.state = State::Silent,
            _ => {}
        }
        // What holds of one input does not hold of the mix.
        Ok(event::kind::is_in_band(event.kind))
    }

    fn drain(&mut self, ctx: &mut Context) -> Result {
        for _ in 0..MAX_OUT {
            self.emit(i64::MAX, ctx)?;
        }
        // What lies behind more than one long silence, by clocks that say so.
        let left = self.inputs.iter().filter(|input| !input.is_empty());
        ctx.dropped(left.count() as u64);
        Ok(())
    }
}
