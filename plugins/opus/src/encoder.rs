//! `opus-encoder`: samples become Opus packets of one length.
//!
//! What fills a packet is encoded from where it lies; only what is left of a block is copied, to wait for the next
//! one, so never more than a packet's worth is held. Packets are timed by counting samples from the first block on. A
//! block whose `pts` is further than [`TOLERANCE_NS`] from that count, or that is flagged as a discontinuity and does
//! not follow, begins anew: what is held goes out with silence behind it, and the next packet is flagged.

use levada_plugin::{SampleClock, Streams, as_f32, prelude::*};
use ropus::{Application, Bitrate, InbandFec};

use crate::{RATES, decoder::layout};

/// How far a block's time may be off before it counts as a jump.
const TOLERANCE_NS: i64 = 20_000_000;
/// The longest packet: one byte and a frame of 1275 (RFC 6716, 3.2.1).
const MAX_PACKET: usize = 1276;
/// Packets of one block: 120 ms of sound in packets of 10 ms, as an Opus packet may bring them, and what is held.
const MAX_OUT: u32 = 13;
/// The codec's own delay for speech and music: 2.5 ms of overlap, and 4 ms by which its two layers are kept in step.
const CODEC_DELAY_NS: u64 = 6_500_000;
/// The longest that a packet may last.
const MAX_PACKET_NS: u64 = 20_000_000;
/// The range of bitrates that make sense (RFC 6716, 2.1.1), bit/s.
const BITRATES: (i64, i64) = (6_000, 510_000);

/// Encodes samples to Opus.
///
/// **Inputs** `in`: `audio/f32` at 8000, 12000, 16000, 24000 or 48000 Hz, 1 or 2 channels, in blocks of any length up to
/// 13 packets. **Outputs** `out`: `audio/opus`, at 48000 Hz whatever comes in, one packet a frame, `config` as SDP wants
/// it (RFC 7587). A packet's `pts` is that of the first sample that went into it; what is decoded from it lags by 6.5 ms
/// (2.5 with `lowdelay`).
/// **Params** `bitrate` in kbit/s: a receiver's bitrate event lowers it from the next packet on and never raises it
/// above; `frame`: ms a packet; `application`: `voip` for speech, `audio` for music, `lowdelay`; `fec`: whether each
/// packet may carry a spare copy of the one before, for which `loss` says how much loss to expect, in percent;
/// `dtx`: whether packets of silence shrink to a byte or two; `complexity`: 0 to 10, how much work to spend.
/// **Example** `{ type = "opus-encoder", params = { bitrate = 32.0, fec = true, loss = 10 } }`.
pub struct Encoder {
    settings: Settings,
    /// What receivers can take, bit/s; at most what is set.
    bitrate: u32,
    streams: Streams<Stream>,
}

struct Settings {
    bitrate: u32,
    frame_ms: u32,
    application: Application,
    fec: bool,
    loss: u8,
    dtx: bool,
    complexity: u8,
}

struct Stream {
    codec: ropus::Encoder,
    /// The format of the samples.
    format: u32,
    /// The format of the packets.
    out: u32,
    channels: usize,
    /// Samples of one channel in a packet.
    per_packet: usize,
    /// Interleaved samples that do not fill a packet yet.
    held: Vec<f32>,
    /// The time of the next packet's first sample.
    clock: SampleClock,
    /// Whether `clock` has been set.
    begun: bool,
    /// The next packet follows on a jump.
    jumped: bool,
}

impl Stream {
    fn samples(&self) -> usize {
        self.per_packet * self.channels
    }

    /// The time of the next sample to come in.
    fn expects(&self) -> i64 {
        let mut clock = self.clock;
        clock.advance(self.held.len() / self.channels);
        clock.now_ns()
    }

    fn follows(&self, frame: &Frame) -> bool {
        let off = frame.pts().saturating_sub(self.expects()).saturating_abs();
        // A block that claims a jump is believed when its time says so as well.
        let tolerance = if frame.has(flags::DISCONTINUITY) {
            TOLERANCE_NS / 20
        } else {
            TOLERANCE_NS
        };
        off < tolerance
    }

    /// Packets that a block of so many samples (of all channels) makes.
    fn packets_of(&self, samples: usize) -> usize {
        (self.held.len() + samples) / self.samples()
    }

    fn encode(&mut self, samples: &[f32], stream: u16, ctx: &mut Context) -> Result {
        let mut loan = ctx.loan(MAX_PACKET)?;
        let len = self
            .codec
            .encode_float(samples, loan.as_mut_slice())
            .map_err(|cause| Error::new(format_args!("the codec refused a block: {cause}")))?;
        ctx.copied(len);
        let mut bits = flags::KEYFRAME;
        if std::mem::take(&mut self.jumped) {
            bits |= flags::DISCONTINUITY;
        }
        let packet = Frame::new(Kind::Audio, loan.truncate(len))
            .with_pts(self.clock.now_ns())
            .with_duration_us(self.clock.duration_us(self.per_packet))
            .with_format_id(self.out)
            .with_stream(stream)
            .with_flags(bits);
        self.clock.advance(self.per_packet);
        ctx.emit(1, packet)
    }

    fn hold(&mut self, samples: &[f32], ctx: &Context) {
        self.held.extend_from_slice(samples);
        ctx.copied(size_of_val(samples));
    }

    fn encode_held(&mut self, stream: u16, ctx: &mut Context) -> Result {
        let mut held = std::mem::take(&mut self.held);
        let done = self.encode(&held, stream, ctx);
        held.clear();
        self.held = held;
        done
    }

    /// Encodes what is held, with silence behind it.
    fn finish(&mut self, stream: u16, ctx: &mut Context) -> Result {
        if self.held.is_empty() {
            return Ok(());
        }
        self.held.resize(self.samples(), 0.0);
        self.encode_held(stream, ctx)
    }

    fn take(&mut self, mut samples: &[f32], stream: u16, ctx: &mut Context) -> Result {
        if !self.held.is_empty() {
            let missing = self.samples() - self.held.len();
            let (first, rest) = samples.split_at(missing.min(samples.len()));
            self.hold(first, ctx);
            samples = rest;
            if self.held.len() == self.samples() {
                self.encode_held(stream, ctx)?;
            }
        }
        let mut packets = samples.chunks_exact(self.samples());
        for packet in &mut packets {
            self.encode(packet, stream, ctx)?;
        }
        self.hold(packets.remainder(), ctx);
        Ok(())
    }
}

impl Encoder {
    fn open(&self, format: u32, ctx: &Context) -> Result<Stream> {
        let described = ctx.format(format).unwrap_or_default();
        let (rate, channels) = match described.media {
            Media::Audio { rate, channels }
                if described.encoding == "f32"
                    && RATES.contains(&rate)
                    && (1..=2).contains(&channels) =>
            {
                (rate, channels)
            }
            _ => {
                return Err(Error::new(format_args!(
                    "opus-encoder takes audio/f32 at 8000, 12000, 16000, 24000 or 48000 Hz with 1 or 2 channels, \
                     not {described:?}; put a resample node with rate and channels in front of it"
                )));
            }
        };
        let of = &self.settings;
        let codec = ropus::Encoder::builder(rate, layout(channels as usize), of.application)
            .bitrate(Bitrate::Bits(self.bitrate))
            .complexity(of.complexity)
            .inband_fec(if of.fec {
                InbandFec::Enabled
            } else {
                InbandFec::Disabled
            })
            .packet_loss_perc(of.loss)
            .dtx(of.dtx)
            .build()?;
        let per_packet = (rate * of.frame_ms / 1000) as usize;
        // RTP's clock for Opus is 48 kHz at any rate of the samples (RFC 7587, 4.1).
        let config = format!(
            "minptime=10;useinbandfec={}{}",
            u8::from(of.fec),
            if channels == 2 {
                ";stereo=1;sprop-stereo=1"
            } else {
                ""
            }
        );
        let out = Format::audio("opus", 48_000, channels).with_config(config);
        Ok(Stream {
            codec,
            format,
            out: ctx.format_id(&out)?,
            channels: channels as usize,
            per_packet,
            held: Vec::with_capacity(per_packet * channels as usize),
            clock: SampleClock::new(rate),
            begun: false,
            jumped: false,
        })
    }

    fn block(&mut self, frame: &Frame, ctx: &mut Context) -> Result {
        let id = frame.stream();
        let mut room = MAX_OUT as usize;
        if self
            .streams
            .get(id)
            .is_none_or(|s| s.format != frame.format_id())
        {
            let mut opened = self.open(frame.format_id(), ctx)?;
            if let Some(last) = self.streams.get(id) {
                opened.jumped = last.jumped;
                room -= usize::from(!last.held.is_empty());
                last.finish(id, ctx)?;
            }
            self.streams.remove(id);
            self.streams.of(id, || Ok(opened))?;
        }
        let Some(stream) = self.streams.get(id) else {
            return Ok(());
        };
        let samples = as_f32(frame.payload())
            .filter(|samples| samples.len().is_multiple_of(stream.channels))
            .ok_or_else(|| {
                Error::new(format_args!(
                    "a block of {} bytes holds no whole number of samples of {} channels, or is not aligned in memory",
                    frame.payload().len(),
                    stream.channels
                ))
            })?;
        if stream.begun && !stream.follows(frame) {
            room -= usize::from(!stream.held.is_empty());
            stream.finish(id, ctx)?;
            stream.jumped = true;
            stream.begun = false;
        }
        if !stream.begun {
            stream.clock.set(frame.pts());
            stream.begun = true;
        }
        let packets = stream.packets_of(samples.len());
        if packets > room {
            return Err(Error::new(format_args!(
                "a block of {} samples makes {packets} packets, and one call may put out {room}; send shorter blocks, \
                 of at most {} ms",
                samples.len() / stream.channels,
                (MAX_OUT - 1) * self.settings.frame_ms
            )));
        }
        stream.take(samples, id, ctx)
    }
}

impl Node for Encoder {
    const NAME: &'static str = "opus-encoder";
    const SUMMARY: &'static str = "Encodes samples to Opus packets";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("audio/f32;rate=48000|24000|16000|12000|8000;channels=1..2"),
        // Always the clock of RFC 7587, whatever the rate of the samples.
        Port::output("out")
            .formats("audio/opus;rate=48000")
            .max_out(MAX_OUT),
    ];
    const PARAMS: &'static [Param] = &[
        Param::float("bitrate", 64.0)
            .range(6.0, 510.0)
            .unit("kbit/s")
            .help("How much the packets hold, at most and on average"),
        Param::choice("frame", "20 10", "20")
            .unit("ms")
            .help("How much sound a packet holds"),
        Param::choice("application", "voip audio lowdelay", "voip")
            .help("Speech, music, or the shortest delay"),
        Param::bool("fec", false)
            .help("Let packets carry a spare copy of the one before, against loss"),
        Param::integer("loss", 0)
            .range(0.0, 100.0)
            .unit("%")
            .help("How much loss to expect, which says how much fec spends"),
        Param::bool("dtx", false).help("Shrink packets of silence to a byte or two"),
        Param::integer("complexity", 9)
            .range(0.0, 10.0)
            .help("How hard to work for the sound: 0 is quickest"),
    ];
    const COST: Cost = Cost::Heavy;
    const CONVERTER: bool = true;
    const LATENCY_NS: u64 = MAX_PACKET_NS + CODEC_DELAY_NS;

    fn create(config: &Config) -> Result<Self> {
        let application = match config.text("application")? {
            "audio" => Application::Audio,
            "lowdelay" => Application::RestrictedLowDelay,
            _ => Application::Voip,
        };
        // The ranges above keep both numbers inside their types.
        let bitrate = (config.float("bitrate")? * 1000.0) as u32;
        Ok(Encoder {
            bitrate,
            settings: Settings {
                bitrate,
                loss: config.integer("loss")? as u8,
                dtx: config.bool("dtx")?,
                complexity: config.integer("complexity")? as u8,
                frame_ms: if config.text("frame")? == "10" {
                    10
                } else {
                    20
                },
                application,
                fec: config.bool("fec")?,
            },
            streams: Streams::default(),
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            self.block(&frame, ctx)?;
        }
        Ok(())
    }

    fn event(&mut self, port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        match (port, event.kind) {
            (1, event::kind::BITRATE) => {
                let most = i64::from(self.settings.bitrate);
                // What is beyond the codec's own range is as near to it as can be.
                let rate = event.value.clamp(BITRATES.0, BITRATES.1).min(most) as u32;
                self.bitrate = rate;
                for (_, stream) in self.streams.meant_by(&event) {
                    stream.codec.set_bitrate(Bitrate::Bits(rate))?;
                }
                Ok(true)
            }
            (0, event::kind::FLUSH) => {
                let meant: Vec<u16> = self.streams.meant_by(&event).map(|(id, _)| id).collect();
                meant.into_iter().for_each(|id| self.streams.remove(id));
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    fn drain(&mut self, ctx: &mut Context) -> Result {
        // As many streams as are kept at most have one packet each, which a call may not exceed.
        for (id, stream) in self.streams.iter_mut().take(MAX_OUT as usize) {
            stream.finish(id, ctx)?;
        }
        Ok(())
    }
}
