//! `file-source`: plays a file.
//!
//! *Time.* A unit's `pts` is its time in the file from where playing began, and each further pass of a loop adds the length
//! of a pass: that of the longest of its tracks. So all tracks share one timeline, and sound and picture stay as far from
//! each other in the thousandth pass as in the first.
//!
//! *Pace.* One unit is read ahead. With `pace = "real"` it waits for its decoding time on the host's clock; with `"fast"` it
//! goes at once. Either way a tick, and with it the file, waits until the links have room.

mod aac;
mod annexb;
mod bytes;
mod h264;
mod ivf;
mod matroska;
mod mp4;
mod offers;
mod ogg;
mod order;
mod pcm;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_matroska;
#[cfg(test)]
mod tests_of_others;
mod wav;
mod y4m;

use levada_plugin::{Loan, prelude::*};
use tracing::{debug, warn};

use bytes::Source;

/// Number of the port for sound.
const AUDIO: usize = 0;
/// Number of the port for pictures.
const VIDEO: usize = 1;
/// The largest unit, in bytes.
const MAX_UNIT: u64 = 16 << 20;
/// Tracks that are not played and named in an error, at most.
const MAX_OTHERS: usize = 16;
/// How much a track may lack at the end of a pass before the next one counts as a jump for it.
const SEAM_NS: i64 = 1_000_000;

/// One unit of a track: an access unit or a packet.
pub(crate) struct Unit {
    /// [`AUDIO`] or [`VIDEO`].
    port: usize,
    payload: Loan,
    /// The format's id in the session.
    format: u32,
    /// When it is shown or heard, ns from where playing began.
    pts: i64,
    /// When it is to be decoded, in the same time.
    dts: i64,
    /// When it ends.
    end: i64,
    /// Decoding can begin here.
    key: bool,
}

/// What is known of units before they are read.
pub(crate) struct Carried {
    format: Format,
    /// By how many pictures they are out of the order in which they are shown, at most, where the file says so.
    reordering: Option<u32>,
}

impl From<Format> for Carried {
    fn from(format: Format) -> Carried {
        Carried {
            format,
            reordering: None,
        }
    }
}

/// A file that is open.
pub(crate) trait Demuxer: Send {
    /// Which of the ports it has a track for.
    fn has(&self, port: usize) -> bool;

    /// What the units of that track will be, by what the file says at its beginning.
    fn carries(&self, port: usize) -> Vec<Carried>;

    /// How much there is to play from where playing [began](Demuxer::begin), in ns, where the file says so without
    /// being read to its end.
    fn length(&mut self) -> Option<i64> {
        None
    }

    /// The tracks that would be for that port and are not played, and what they hold.
    fn not_played(&self, port: usize) -> Vec<String> {
        let _ = port;
        vec![]
    }

    /// Goes to where decoding can begin at or before `at_ns`; that place becomes time 0.
    ///
    /// # Errors
    /// When the file cannot be read there.
    fn begin(&mut self, at_ns: i64) -> Result;

    /// Reads the next unit of the tracks that are wanted, in the order of decoding; `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged there, or cannot be read.
    fn next(&mut self, host: &Host) -> Result<Option<Unit>>;
}

/// Plays a media file, by what it begins with, not by its name.
///
/// | kind | sound | pictures |
/// |---|---|---|
/// | MP4, whole or in fragments | AAC, MP3, Opus | H.264, VP8, VP9, AV1 |
/// | Matroska, WebM | AAC, MP3, Opus, samples | H.264, VP8, VP9, AV1 |
/// | Ogg | Opus | |
/// | WAVE, RF64 | samples, G.711 | |
/// | Y4M | | raw, 8 bits in 4:2:0 |
/// | IVF | | VP8, VP9, AV1 |
/// | raw H.264 (Annex B) | | H.264 |
///
/// **Inputs** none. **Outputs** `audio`, `video`: what the first track of each kind holds, one unit a frame, as it is coded
/// in the file: samples as `audio/f32` and G.711 in blocks of 20 ms, pictures as `video/i420`, H.264 as Annex B with its
/// parameter sets in front of each keyframe, AAC with its AudioSpecificConfig in
/// the format. A port that is not linked is not read. **Params** `path`, relative to the graph file; `pace`: `real`
/// plays at the speed of the clock, `fast` as links take it; `loop`: begins again at the end, on one timeline; `start`:
/// seconds into the file, of which the last keyframe at or before is taken and becomes time 0, and beyond the end of sound or of raw pictures
/// nothing is played, with a line in the log; `fps`: pictures a second of
/// raw H.264 whose parameter sets do not say it.
///
/// The first edit of a track's edit list is honoured, and a pause in front of it; further ones are
/// ignored, with a line in the log, and so is an edit's end, without one. Sound that begins before the edit is left out, but of Opus the packet that reaches across its
/// beginning, which `opus-decoder` puts out in part, as it does the last one; pictures that are only decoded for the
/// sake of others keep their times before 0. **Example** `clip = { type = "file-source", params = { path =
/// "examples/sample.mp4", loop = true } }`.
pub struct FileSource {
    host: Host,
    file: Box<dyn Demuxer>,
    is_real: bool,
    loops: bool,
    start_ns: i64,
    streams: [u16; 2],
    /// When time 0 is due on the host's clock: at the first tick.
    origin: Option<i64>,
    /// Read, and not sent yet.
    ahead: Option<Unit>,
    /// The time of this pass's beginning.
    base: i64,
    /// The end of this pass's last unit, by port, in the file's time.
    ends: [Option<i64>; 2],
    /// How far the sound or the pictures of the last pass fell short of its end, by port.
    short: [i64; 2],
    is_over: bool,
    /// How much has been played.
    done: i64,
    /// How much there is; `None` where it is not known or has no end.
    length: Option<i64>,
}

impl FileSource {
    /// Reads the next unit, in the next pass if need be; `None` at the end of the last.
    fn read(&mut self) -> Result<Option<Unit>> {
        if let Some(unit) = self.file.next(&self.host)? {
            return Ok(Some(unit));
        }
        if !self.loops {
            return Ok(None);
        }
        let length = self.ends.iter().flatten().copied().max().unwrap_or(0);
        if length <= 0 {
            return Err(Error::new(
                "nothing lies behind the start that lasts, so it cannot be looped; lower the param start, or set loop = false",
            ));
        }
        for (short, end) in self.short.iter_mut().zip(&mut self.ends) {
            *short = end.take().map_or(0, |end| length.saturating_sub(end));
        }
        self.base = self.base.saturating_add(length);
        self.file.begin(self.start_ns)?;
        let first = self.file.next(&self.host)?;
        if first.is_none() {
            return Err(Error::new("the file became empty while it was played"));
        }
        Ok(first)
    }

    /// Says that there is nothing where playing was to begin.
    fn warn_of_start(&mut self) {
        let length = self.file.begin(0).map(|()| self.file.length());
        let length = length.ok().flatten().unwrap_or(0);
        warn!(
            start_s = self.start_ns as f64 / 1e9,
            length_s = length as f64 / 1e9,
            "nothing was played, because the param start lies beyond the end of the file; lower it"
        );
    }

    fn frame(&mut self, unit: Unit) -> Frame {
        let port = unit.port;
        let end = &mut self.ends[port];
        // The first of a pass, behind a hole.
        let short = std::mem::take(&mut self.short[port]);
        let is_jump = end.is_none() && short.saturating_add(unit.pts) > SEAM_NS;
        let is_jump = is_jump && self.base > 0;
        *end = Some(end.map_or(unit.end, |end| end.max(unit.end)));
        let kind = if port == AUDIO {
            Kind::Audio
        } else {
            Kind::Video
        };
        let mut bits = if unit.key {
            flags::KEYFRAME
        } else {
            flags::INTER
        };
        if is_jump {
            bits |= flags::DISCONTINUITY;
        }
        let us = |ns: i64| ns.saturating_add(ns.signum() * 500) / 1000;
        let lead = us(unit.dts.saturating_sub(unit.pts));
        let mut frame = Frame::new(kind, unit.payload)
            .with_pts(self.base.saturating_add(unit.pts))
            .with_duration_us(
                us(unit.end.saturating_sub(unit.pts)).clamp(0, u32::MAX.into()) as u32,
            )
            .with_format_id(unit.format)
            .with_stream(self.streams[port])
            .with_flags(bits);
        if lead != 0 {
            frame = frame.with_dts_delta_us(lead.clamp(i32::MIN.into(), i32::MAX.into()) as i32);
        }
        frame
    }
}

impl Node for FileSource {
    const NAME: &'static str = "file-source";
    const SUMMARY: &'static str = "Plays a media file";
    const PORTS: &'static [Port] = &[
        Port::output("audio")
            .formats("audio/aac audio/opus audio/mp3 audio/f32 audio/pcmu audio/pcma"),
        Port::output("video").formats("video/h264 video/vp8 video/vp9 video/av1 video/i420"),
    ];
    const PARAMS: &'static [Param] = &[
        Param::path("path")
            .required()
            .help("The file, relative to the graph file"),
        Param::choice("pace", "real fast", "real")
            .help("At the speed of the clock, or as fast as links take it"),
        Param::bool("loop", false).help("Begin again at the end, on one timeline"),
        Param::float("start", 0.0)
            .range(0.0, 1e6)
            .unit("s")
            .help("Where in the file to begin, at the last keyframe up to there"),
        Param::float("fps", 0.0)
            .range(0.0, 1000.0)
            .unit("Hz")
            .help("Pictures a second of raw H.264 that does not say it itself"),
    ];
    const COST: Cost = Cost::Blocking;
    const OFFERS: Option<Offers> = Some(offers::offers);

    fn create(config: &Config) -> Result<Self> {
        let path = config.text("path")?;
        let wanted = [config.is_linked(AUDIO), config.is_linked(VIDEO)];
        let mut file = open(path, wanted, config.float("fps")?)?;
        for port in [AUDIO, VIDEO] {
            if wanted[port] && !file.has(port) {
                return Err(missing(path, port, file.as_ref()));
            }
        }
        // The range above keeps it far inside its type.
        let start_ns = (config.float("start")? * 1e9) as i64;
        file.begin(start_ns)?;
        let host = config.host();
        let loops = config.bool("loop")?;
        Ok(FileSource {
            host,
            length: file.length().filter(|_| !loops),
            done: 0,
            file,
            is_real: config.text("pace")? == "real",
            loops,
            start_ns,
            streams: [
                host.stream_id(Kind::Audio, config.name())?,
                host.stream_id(Kind::Video, config.name())?,
            ],
            origin: None,
            ahead: None,
            base: 0,
            ends: [None; 2],
            short: [0; 2],
            is_over: false,
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        self.host.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        if self.is_over {
            return Ok(());
        }
        let origin = *self.origin.get_or_insert_with(|| ctx.now());
        let unit = match self.ahead.take() {
            Some(unit) => unit,
            None => match self.read()? {
                Some(unit) => unit,
                None => {
                    if self.ends == [None; 2] && self.start_ns > 0 {
                        self.warn_of_start();
                    }
                    self.is_over = true;
                    self.host.finish();
                    return Ok(());
                }
            },
        };
        let due = origin.saturating_add(self.base).saturating_add(unit.dts);
        if self.is_real && ctx.now() < due {
            self.host.wake_at(due);
            self.ahead = Some(unit);
            return Ok(());
        }
        let port = unit.port;
        let done = self.base.saturating_add(unit.end);
        let frame = self.frame(unit);
        ctx.emit(port, frame)?;
        // What is decoded first need not be shown first.
        self.done = self.done.max(done);
        let total = self.length.map(|length| length.max(self.done));
        ctx.progress(self.done, total);
        ctx.tick_again();
        Ok(())
    }
}

/// Those of a port.
fn of_port(others: &[(usize, String)], port: usize) -> Vec<String> {
    let of_port = others.iter().filter(|(of, _)| *of == port);
    of_port.map(|(_, what)| what.clone()).collect()
}

/// That a file has nothing for a port.
fn missing(path: &str, port: usize, file: &dyn Demuxer) -> Error {
    let (what, name, played) = match port {
        AUDIO => (
            "sound",
            "audio",
            "AAC, MP3, Opus, G.711 and raw samples are",
        ),
        _ => (
            "pictures",
            "video",
            "H.264, VP8, VP9, AV1 and raw pictures of 8 bits in 4:2:0 are",
        ),
    };
    let others = file.not_played(port);
    if others.is_empty() {
        return Error::new(format_args!(
            "\"{path}\" has no {what} that can be played; remove the link from port \"{name}\", or choose another file"
        ));
    }
    Error::new(format_args!(
        "\"{path}\" has no {what} that can be played: {}, which is not played, and {played}; convert the file, remove the link from port \"{name}\", or choose another file",
        others.join(", ")
    ))
}

/// Opens a file by what it begins with, to read the tracks of the ports that are wanted.
fn open(path: &str, wanted: [bool; 2], fps: f64) -> Result<Box<dyn Demuxer>> {
    let mut source = Source::open(path)?;
    let mut head = [0; 12];
    let head = source.peek(&mut head)?;
    match head {
        [] => Err(Error::new(format_args!(
            "\"{path}\" is empty; record it again, or choose another file"
        ))),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => mp4::Movie::open(source, wanted),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E']
        | [b'R', b'F', b'6', b'4', _, _, _, _, b'W', b'A', b'V', b'E'] => {
            Ok(Box::new(wav::Wav::open(source)?))
        }
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Ok(Box::new(matroska::Matroska::open(source, wanted)?)),
        [b'O', b'g', b'g', b'S', ..] => Ok(Box::new(ogg::OggOpus::open(source)?)),
        [b'D', b'K', b'I', b'F', ..] => Ok(Box::new(ivf::Ivf::open(source)?)),
        // A start code, and a NAL unit that may come first: a delimiter, parameters, or what is said of pictures.
        [0, 0, 1, nal, ..] | [0, 0, 0, 1, nal, ..] if matches!(nal & 0x9f, 5..=9) => {
            Ok(Box::new(annexb::AnnexB::open(source, fps)?))
        }
        head if head.starts_with(b"YUV4MPEG2 ") => Ok(Box::new(y4m::Y4m::open(source)?)),
        _ => {
            debug!(?head, "the first bytes of a file of unknown kind");
            Err(Error::new(format_args!(
                "\"{path}\" is no file that file-source knows: it plays MP4, WebM, Matroska, Ogg with Opus, WAVE, Y4M, IVF and raw H.264; turn it into one of them, such as with \
                 ffmpeg -i \"{path}\" out.mp4"
            )))
        }
    }
}
