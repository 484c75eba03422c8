//! What does a graph add to the work on pictures itself?
//!
//! 720p. `convert` and `resize` as sessions, from a source that the engine runs to a sink, against calls of what they
//! stand on (`levada_video::pixels`, `fast_image_resize`) on the same pictures: what lies between are the node's own work,
//! loans and the engine. `convert` also against the crate `yuv`, which takes forty seconds of a build and so is not used. Then decoding, mirroring and encoding H.264 as a session, with the plugin loaded as every plugin
//! is, against OpenH264 called directly to decode and encode the same units, with nothing in between. Where ffmpeg is
//! found (`LEVADA_FFMPEG`, or in the path), it does the same on one thread with an encoder of its own.

mod support;

use std::{
    hint::black_box,
    path::PathBuf,
    process::Command,
    sync::{Arc, OnceLock},
    time::Duration,
};

use criterion::Criterion;
use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8,
};
use levada_engine::{
    Engine,
    graph::{GraphBuilder, Plan},
    plugin::{load, trial},
    services,
};
use levada_plugin::{
    colour::Colour,
    picture::{I420, I420Mut, Layout, i420_bytes},
    prelude::*,
};
use levada_video::pixels::Converter;
use openh264::{
    OpenH264API, Timestamp,
    decoder::Decoder,
    encoder::{
        BitRate, Complexity, Encoder, EncoderConfig, FrameRate, Profile, RateControlMode, UsageType,
    },
    formats::YUVSource,
};
use support::{
    Running,
    build::build,
    engine, plan_with,
    table::{self, Contender, cell, is_short, timed},
};
use yuv::{YuvError, YuvPlanarImage, YuvRange, YuvStandardMatrix, yuv420_to_rgb, yuv420_to_rgba};

const SIZE: (u32, u32) = (1280, 720);
const SMALL: (u32, u32) = (640, 360);
const BITRATE: u32 = 2_000_000;
const HZ: i64 = 30;
/// Units of H.264 in a turn: a session begins with a keyframe, as a direct codec does.
const UNITS: usize = 30;
/// Pictures of a turn at least, so that a session's start and end are a small part.
const PICTURES: u64 = 128;

/// Picture `n` of a texture that moves by two pixels a picture, under faint noise.
fn picture(n: i64) -> Vec<u8> {
    let mut bytes = vec![0; i420_bytes(SIZE.0, SIZE.1).expect("it is a size")];
    let mut picture = I420Mut::new(&mut bytes, SIZE.0, SIZE.1).expect("it has the bytes");
    for (y, row) in picture.y().chunks_exact_mut(SIZE.0 as usize).enumerate() {
        for (x, pixel) in row.iter_mut().enumerate() {
            let (x, y) = (x as i64 + 2 * n, y as i64);
            let mixed = (x << 40 ^ y << 20 ^ n).wrapping_mul(0x2545_f491_4f6c_dd1d);
            let texture = (x / 8 + y / 8) % 2 * 60 + (x * 3 + y * 2) % 128;
            *pixel = (20 + texture + ((mixed >> 40) & 7)) as u8;
        }
    }
    picture.u().fill(100);
    picture.v().fill(150);
    bytes
}

/// What a [`Reel`] sends, in turn.
struct Film {
    format: Format,
    frames: Vec<bytes::Bytes>,
}

static PICTURES_OF_FILM: OnceLock<Film> = OnceLock::new();
static UNITS_OF_FILM: OnceLock<Film> = OnceLock::new();

fn pictures() -> &'static Film {
    PICTURES_OF_FILM.get_or_init(|| Film {
        format: Format::video("i420", SIZE.0, SIZE.1),
        frames: (0..4).map(|n| picture(n).into()).collect(),
    })
}

fn units() -> &'static Film {
    UNITS_OF_FILM.get_or_init(|| {
        let mut encoder = direct_encoder();
        let units = (0..UNITS as i64).map(|n| {
            let picture = picture(n);
            let at = Timestamp::from_millis((n * 1000 / HZ) as u64);
            let unit = encoder.encode_at(&Planes(&picture), at);
            unit.expect("it is a picture").to_vec().into()
        });
        Film {
            format: Format::video("h264", SIZE.0, SIZE.1),
            frames: units.collect(),
        }
    })
}

/// Sends `count` frames of a film as fast as the next node takes them.
struct Reel<const CODED: bool> {
    sent: i64,
    count: i64,
    format: u32,
}

impl<const CODED: bool> Node for Reel<CODED> {
    const NAME: &'static str = if CODED { "coded-reel" } else { "reel" };
    const SUMMARY: &'static str = "Sends frames of a film as fast as they are taken";
    const PORTS: &'static [Port] =
        &[Port::output("out").formats(if CODED { "video/h264" } else { "video/i420" })];
    const PARAMS: &'static [Param] = &[Param::integer("count", 1).range(0.0, 1e9)];

    fn create(config: &Config) -> Result<Self> {
        Ok(Reel {
            sent: 0,
            count: config.integer("count")?,
            format: 0,
        })
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        let film = if CODED { units() } else { pictures() };
        self.format = ctx.format_id(&film.format)?;
        ctx.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        if self.sent == self.count {
            ctx.finish();
            return Ok(());
        }
        let film = if CODED { units() } else { pictures() };
        let at = self.sent as usize % film.frames.len();
        let flag = if CODED && at > 0 {
            flags::INTER
        } else {
            flags::KEYFRAME
        };
        let frame = Frame::from_bytes(Kind::Video, film.frames[at].clone())
            .with_format_id(self.format)
            .with_pts(self.sent * 1_000_000_000 / HZ)
            .with_flags(flag);
        ctx.emit(0, frame)?;
        self.sent += 1;
        ctx.tick_again();
        Ok(())
    }
}

/// A chain from a reel to a sink, with nodes of these types and params.
fn plan(
    reel: &str,
    count: u64,
    nodes: &[(&str, &[(&str, &str)])],
    others: &[levada_plugin::Plugin],
) -> Arc<Plan> {
    let mut graph = GraphBuilder::new("pictures");
    graph.node("reel", reel).param("count", count as i64);
    let mut link = String::from("reel");
    for (at, (type_name, params)) in nodes.iter().enumerate() {
        let name = format!("n{at}");
        let mut node = graph.node(&name, type_name);
        for (key, value) in *params {
            node = match value.parse::<i64>() {
                Ok(number) => node.param(key, number),
                Err(_) => node.param(key, *value),
            };
        }
        link = format!("{link} -> {name}");
    }
    graph.node("sink", "heavy-sink");
    graph.link(&format!("{link} -> sink"));
    plan_with(&graph, others)
}

/// Runs `least` frames or more through a session, and says what `count` of them took.
fn session<'a>(
    name: &'static str,
    engine: &'a Engine,
    least: u64,
    make: impl Fn(u64) -> Arc<Plan> + 'a,
) -> Contender<'a> {
    Contender::new(name, move |count| {
        let frames = if is_short() { 2 } else { count.max(least) };
        let plan = make(frames);
        let took = timed(|| {
            let report = Running::start(engine, &plan).wait();
            let last = report.links.last().expect("it has links");
            assert_eq!(last.frames, frames, "{} -> {}", last.from, last.to);
        });
        took.mul_f64(count as f64 / frames as f64)
    })
}

/// Calls `work` with each picture in turn.
fn direct<'a>(name: &'static str, mut work: impl FnMut(&[u8]) + 'a) -> Contender<'a> {
    let film = pictures();
    Contender::new(name, move |count| {
        let turns = film.frames.iter().cycle().take(count as usize);
        timed(|| turns.for_each(|picture| work(picture)))
    })
}

fn converting<'a>(engine: &'a Engine, encoding: &'static str, to: Layout) -> Vec<Contender<'a>> {
    let mut converter =
        Converter::new(Layout::I420, to, SIZE, Colour::default()).expect("it is a size");
    let mut out = vec![0; to.bytes(SIZE.0, SIZE.1).expect("it is a size")];
    let (mut copy, bytes) = (vec![0; out.len()], out.len());
    let mut contenders = vec![
        direct("loops", move |picture| {
            converter.convert(picture, &mut out).expect("both fit");
            black_box(&out);
        }),
        session("levada", engine, PICTURES, move |count| {
            let params: &[(&str, &str)] = &[("encoding", encoding)];
            plan(
                "reel",
                count,
                &[("convert", params)],
                &[reels(), levada_video::plugin()],
            )
        }),
        direct("copy", move |picture| {
            // As many bytes as are written.
            for part in copy.chunks_mut(picture.len()) {
                part.copy_from_slice(&picture[..part.len()]);
            }
            black_box((&copy, bytes));
        }),
    ];
    contenders.extend(by_yuv(to));
    contenders
}

/// The crate `yuv`, whose vector instructions are written by hand, where it converts to this layout.
fn by_yuv<'a>(to: Layout) -> Option<Contender<'a>> {
    let (convert, pixel) = match to {
        Layout::Rgba => (yuv420_to_rgba as YuvCall, 4),
        Layout::Rgb24 => (yuv420_to_rgb as YuvCall, 3),
        _ => return None,
    };
    let mut out = vec![0; to.bytes(SIZE.0, SIZE.1).expect("it is a size")];
    Some(direct("yuv", move |picture| {
        let from = I420::new(picture, SIZE.0, SIZE.1).expect("it has the bytes");
        let image = YuvPlanarImage {
            y_plane: from.y(),
            y_stride: SIZE.0,
            u_plane: from.u(),
            u_stride: SIZE.0 / 2,
            v_plane: from.v(),
            v_stride: SIZE.0 / 2,
            width: SIZE.0,
            height: SIZE.1,
        };
        let (range, matrix) = (YuvRange::Limited, YuvStandardMatrix::Bt601);
        convert(&image, &mut out, SIZE.0 * pixel, range, matrix).expect("both fit");
        black_box(&out);
    }))
}

type YuvCall =
    fn(&YuvPlanarImage<u8>, &mut [u8], u32, YuvRange, YuvStandardMatrix) -> Result<(), YuvError>;

fn resizing(engine: &Engine) -> Vec<Contender<'_>> {
    let mut resizer = Resizer::new();
    let algorithm = ResizeAlg::Convolution(FilterType::Bilinear);
    let options = ResizeOptions::new().resize_alg(algorithm).use_alpha(false);
    let mut out = vec![0; i420_bytes(SMALL.0, SMALL.1).expect("it is a size")];
    vec![
        direct("library", move |picture| {
            let from = I420::new(picture, SIZE.0, SIZE.1).expect("it has the bytes");
            let mut to = I420Mut::new(&mut out, SMALL.0, SMALL.1).expect("it has the bytes");
            for (from, to) in from.planes().iter().zip(to.planes()) {
                let (w, h) = (from.width as u32, from.height as u32);
                let source = TypedImageRef::<U8>::from_buffer(w, h, from.data).expect("it fits");
                let (w, h) = (to.width as u32, to.height as u32);
                let mut image = TypedImage::<U8>::from_buffer(w, h, to.data).expect("it fits");
                resizer
                    .resize_typed(&source, &mut image, &options)
                    .expect("both are of one kind");
            }
            black_box(&out);
        }),
        session("levada", engine, PICTURES, |count| {
            let params: &[(&str, &str)] = &[("width", "640"), ("height", "360")];
            plan(
                "reel",
                count,
                &[("resize", params)],
                &[reels(), levada_video::plugin()],
            )
        }),
    ]
}

/// The planes of a picture, as OpenH264's crate takes them.
struct Planes<'a>(&'a [u8]);

impl Planes<'_> {
    fn planes(&self) -> I420<'_> {
        I420::new(self.0, SIZE.0, SIZE.1).expect("it has the bytes")
    }
}

impl YUVSource for Planes<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (SIZE.0 as usize, SIZE.1 as usize)
    }

    fn strides(&self) -> (usize, usize, usize) {
        let (w, half) = (SIZE.0 as usize, SIZE.0 as usize / 2);
        (w, half, half)
    }

    fn y(&self) -> &[u8] {
        self.planes().y()
    }

    fn u(&self) -> &[u8] {
        self.planes().u()
    }

    fn v(&self) -> &[u8] {
        self.planes().v()
    }
}

/// An encoder set as `h264-encoder` sets its own.
fn direct_encoder() -> Encoder {
    let config = EncoderConfig::new()
        .profile(Profile::Baseline)
        .usage_type(UsageType::CameraVideoRealTime)
        .rate_control_mode(RateControlMode::Bitrate)
        .bitrate(BitRate::from_bps(BITRATE))
        .max_frame_rate(FrameRate::from_hz(HZ as f32))
        .complexity(Complexity::Low)
        .skip_frames(false)
        .scene_change_detect(false)
        .num_threads(1);
    Encoder::with_api_config(OpenH264API::from_source(), config).expect("the library begins")
}

/// Decodes and encodes the film with the library alone.
fn codec() -> Contender<'static> {
    Contender::new("codec", |count| {
        let frames = if is_short() { 2 } else { UNITS };
        let took = timed(|| {
            let mut decoder = Decoder::new().expect("the library begins");
            let mut encoder = direct_encoder();
            for (n, unit) in (0_u64..).zip(&units().frames[..frames]) {
                let shown = decoder.decode(unit).expect("it is sound");
                let shown = shown.expect("each unit shows a picture");
                let at = Timestamp::from_millis(n * 1000 / HZ as u64);
                let coded = encoder.encode_at(&shown, at).expect("it is a picture");
                black_box(coded.frame_type());
            }
        });
        took.mul_f64(count as f64 / frames as f64)
    })
}

/// What ffmpeg takes for a frame of the same, by its own account; `None` where there is no ffmpeg.
fn ffmpeg() -> Option<f64> {
    let program = std::env::var("LEVADA_FFMPEG").unwrap_or_else(|_| "ffmpeg".to_owned());
    let folder = tempfile::tempdir().ok()?;
    let file = folder.path().join("film.h264");
    let film: Vec<u8> = units()
        .frames
        .iter()
        .flat_map(|unit| unit.to_vec())
        .collect();
    std::fs::write(&file, film).ok()?;
    let output = Command::new(program)
        .args(["-hide_banner", "-benchmark", "-threads", "1", "-i"])
        .arg(&file)
        .args([
            "-vf",
            "hflip",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-tune",
            "zerolatency",
        ])
        .args(["-b:v", "2M", "-threads", "1", "-f", "null", "-"])
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let account = said
        .lines()
        .find_map(|line| line.strip_prefix("bench: utime="))?;
    // `0.512s stime=0.031s rtime=0.549s`
    let mut times = account
        .split(['s', ' ', '='])
        .filter_map(|word| word.parse::<f64>().ok());
    let (user, system) = (times.next()?, times.next()?);
    Some((user + system) * 1e9 / UNITS as f64)
}

fn reels() -> levada_plugin::Plugin {
    Builtin::new("reels", "0.0.0")
        .with::<Reel<false>>()
        .with::<Reel<true>>()
        .into_plugin()
}

/// Builds the plugin, and returns its library's path.
fn library() -> PathBuf {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    build(&["--package", "levada-h264"]).join(format!("{prefix}levada_h264{suffix}"))
}

fn mirroring<'a>(engine: &'a Engine, h264: &'a levada_plugin::Plugin) -> Vec<Contender<'a>> {
    vec![
        codec(),
        session("levada", engine, UNITS as u64, |count| {
            // A session begins where the film does.
            let nodes: &[(&str, &[(&str, &str)])] = &[
                ("h264-decoder", &[]),
                ("flip", &[]),
                ("h264-encoder", &[("bitrate", "2000")]),
            ];
            plan(
                "coded-reel",
                count,
                nodes,
                &[reels(), levada_video::plugin(), h264.clone()],
            )
        }),
    ]
}

fn main() {
    // The trial of a plugin starts this program again.
    trial::serve_if_asked();
    let h264 = load(&library(), services::host()).unwrap_or_else(|error| panic!("{error}"));
    let engine = engine();
    let mut groups = vec![
        (
            "convert i420 to rgba",
            converting(&engine, "rgba", Layout::Rgba),
        ),
        (
            "convert i420 to rgb24",
            converting(&engine, "rgb24", Layout::Rgb24),
        ),
        (
            "convert i420 to nv12",
            converting(&engine, "nv12", Layout::Nv12),
        ),
        ("resize to 640x360", resizing(&engine)),
        ("decode, flip, encode", mirroring(&engine, &h264.plugin)),
    ];
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for (name, contenders) in &mut groups {
        let mut bench = criterion.benchmark_group(format!("pictures/{name}"));
        for contender in contenders {
            bench.bench_function(contender.name, |b| {
                b.iter_custom(|n| (contender.measure)(n));
            });
        }
        bench.finish();
    }
    criterion.final_summary();
    if table::is_wanted() {
        let peer = ffmpeg().filter(|_| !is_short()).unwrap_or(f64::NAN);
        let rows = groups.iter_mut().map(|(name, contenders)| {
            let base = contenders[0].name;
            let outcome = table::compare(contenders);
            let peer = if base == "codec" { peer } else { f64::NAN };
            vec![
                (*name).to_owned(),
                cell(outcome.ns(base) / 1e3, ""),
                cell(outcome.ns("levada") / 1e3, ""),
                cell(outcome.ratio("levada", base), "x"),
                cell(outcome.ns("yuv") / 1e3, ""),
                cell(outcome.ratio("levada", "yuv"), "x"),
                cell(outcome.ns("copy") / 1e3, ""),
                cell(peer / 1e3, ""),
            ]
        });
        let rows: Vec<_> = rows.collect();
        table::print(
            "CPU us a picture of 1280x720, medians of interleaved rounds",
            &[
                "work",
                "loops, library or codec",
                "levada",
                "levada to it",
                "crate yuv",
                "levada to yuv",
                "copy of what is written",
                "ffmpeg, libx264 ultrafast",
            ],
            &rows,
        );
    }
}
