//! Closures over raw pictures and sound in pipelines of an application: what they see, what they change, what is copied,
//! and what becomes of their errors.

mod support;

use std::{
    process::Command,
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use levada::{
    Frame, Picture, Pipeline, PipelineNode, Sound, TransformNode,
    engine::{Ended, EngineConfig, NodeReport, VirtualEngine, plugin::trial},
};
use levada_plugin::{Builtin, Plugin, as_f32_mut, picture, picture::I420, prelude::*};
use support::{
    levada::{example, root},
    program::Program,
};

/// For a build of two plugins, and the film.
const BUILD_LIMIT: Duration = Duration::from_secs(300);

/// What trial children of this program run.
#[test]
fn trial_child() {
    trial::serve_if_asked();
}

/// Sizes of pictures, one after the other: larger, odd, and back again.
const SIZES: [(u32, u32); 5] = [(64, 48), (33, 17), (64, 48), (320, 180), (1, 1)];
/// Rates, channels and samples of blocks: mono, stereo, 5.1, an empty one, and back again.
const BLOCKS: [(u32, u32, usize); 6] = [
    (48_000, 1, 960),
    (48_000, 2, 960),
    (44_100, 6, 441),
    (44_100, 6, 0),
    (48_000, 2, 1),
    (48_000, 1, 480),
];

/// Makes a picture of each of [`SIZES`], or a block of each of [`BLOCKS`], 20 ms apart.
struct Script {
    at: usize,
    is_sound: bool,
    stream: u16,
}

fn pixel(at: usize) -> u8 {
    (at * 7 % 251) as u8
}

/// In -1..=1, another one for each channel.
fn sample(channel: usize, at: usize) -> f32 {
    (channel + 1) as f32 / 8.0 + at as f32 / 16_384.0
}

impl Node for Script {
    const NAME: &'static str = "script";
    const SUMMARY: &'static str = "Makes pictures and blocks of all sizes";
    const PORTS: &'static [Port] = &[
        Port::output("video").formats("video/i420"),
        Port::output("audio").formats("audio/f32"),
    ];

    fn create(config: &Config) -> Result<Self> {
        let is_sound = config.is_linked(1);
        let kind = if is_sound { Kind::Audio } else { Kind::Video };
        Ok(Script {
            at: 0,
            is_sound,
            stream: config.host().stream_id(kind, "script")?,
        })
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        ctx.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        let frame = if self.is_sound {
            let Some(&(rate, channels, samples)) = BLOCKS.get(self.at) else {
                ctx.finish();
                return Ok(());
            };
            let channels_ = channels as usize;
            let mut loan = ctx.loan(samples * channels_ * 4)?;
            let all = as_f32_mut(loan.as_mut_slice()).expect("a loan is aligned");
            for (at, to) in all.iter_mut().enumerate() {
                *to = sample(at % channels_, at / channels_);
            }
            let format = ctx.format_id(&Format::audio("f32", rate, channels))?;
            Frame::new(Kind::Audio, loan).with_format_id(format)
        } else {
            let Some(&(width, height)) = SIZES.get(self.at) else {
                ctx.finish();
                return Ok(());
            };
            let mut loan = ctx.loan(picture::i420_bytes(width, height)?)?;
            let bytes = loan.as_mut_slice().iter_mut().enumerate();
            bytes.for_each(|(at, byte)| *byte = pixel(at));
            let format = ctx.format_id(&Format::video("i420", width, height))?;
            Frame::new(Kind::Video, loan).with_format_id(format)
        };
        let pts = self.at as i64 * 20_000_000;
        ctx.emit(
            usize::from(self.is_sound),
            frame.with_pts(pts).with_stream(self.stream),
        )?;
        self.at += 1;
        ctx.tick_again();
        Ok(())
    }
}

fn script() -> Plugin {
    Builtin::new("script", "1.0.0")
        .with::<Script>()
        .into_plugin()
}

/// What a frame was when it passed.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    at: usize,
    pts: i64,
    payload: Vec<u8>,
}

type Diary = Arc<Mutex<Vec<Seen>>>;

/// A node that writes down what passes, and keeps the frames of what it is given to keep.
fn note(formats: &str, diary: &Diary, keep: bool) -> PipelineNode {
    let (diary, mut kept) = (diary.clone(), vec![]);
    TransformNode::of(formats, move |frame: Frame| {
        let seen = Seen {
            at: frame.payload().as_ptr().addr(),
            pts: frame.pts(),
            payload: frame.payload().to_vec(),
        };
        diary.lock().expect("no test panicked here").push(seen);
        if keep {
            kept.push(frame.clone());
        }
        Some(frame)
    })
}

fn read(diary: &Diary) -> Vec<Seen> {
    diary.lock().expect("no test panicked here").clone()
}

/// Runs a pipeline to its end.
fn run(pipeline: &Pipeline) -> Ended {
    let plan = pipeline
        .plan()
        .unwrap_or_else(|problems| panic!("{problems}"));
    let mut engine = VirtualEngine::new(&EngineConfig::default(), 7);
    let (tell, told) = mpsc::channel();
    let on_end = move |ended| tell.send(ended).expect("the test waits");
    engine.start_session(&plan, on_end).expect("a session");
    engine.drive();
    told.try_recv().expect("it has ended")
}

fn node<'a>(ended: &'a Ended, name: &str) -> &'a NodeReport {
    let mut nodes = ended.report.nodes.iter();
    let found = nodes.find(|node| node.name == name);
    found.unwrap_or_else(|| panic!("no node {name}: {:#?}", ended.report))
}

fn invert() -> PipelineNode {
    TransformNode::video(|picture: &mut Picture| {
        picture
            .y()
            .iter_mut()
            .for_each(|light| *light = 255 - *light);
    })
}

/// Brightness inverted, colours as they were.
fn is_inverted(before: &[u8], after: &[u8], (width, height): (u32, u32)) -> bool {
    let view = |bytes| I420::new(bytes, width, height);
    let (Ok(a), Ok(b)) = (view(before), view(after)) else {
        return false;
    };
    a.y().iter().zip(b.y()).all(|(a, b)| *b == 255 - *a) && (a.u(), a.v()) == (b.u(), b.v())
}

#[test]
fn pictures_of_any_size_are_written_where_they_lie() {
    let [before, after]: [Diary; 2] = Default::default();
    let told = Arc::new(Mutex::new(vec![]));
    let tell = told.clone();
    let ended = run(&Pipeline::named("inverted")
        .plugin(&script())
        .node("source", PipelineNode::new("script"))
        .node("before", note("video/i420", &before, false))
        .node("invert", invert())
        .node(
            "look",
            TransformNode::video(move |picture: &mut Picture| {
                let chroma = (picture.chroma_width(), picture.chroma_height());
                assert_eq!(picture.u().len(), chroma.0 * chroma.1);
                let size = (picture.width() as u32, picture.height() as u32);
                tell.lock().expect("one thread").push((size, picture.pts()));
            }),
        )
        .node("after", note("video/i420", &after, false))
        .node("end", PipelineNode::new("null"))
        .link("source.video -> before -> invert -> look -> after -> end"));
    assert!(ended.error.is_none(), "{:?}", ended.error);
    let (before, after) = (read(&before), read(&after));
    assert_eq!((before.len(), after.len()), (SIZES.len(), SIZES.len()));
    for ((before, after), size) in before.iter().zip(&after).zip(SIZES) {
        assert!(
            is_inverted(&before.payload, &after.payload, size),
            "{size:?}"
        );
        assert_eq!((before.at, before.pts), (after.at, after.pts), "in place");
    }
    let expected: Vec<_> = SIZES.into_iter().zip((0..).step_by(20_000_000)).collect();
    assert_eq!(*told.lock().expect("one thread"), expected);
    assert_eq!(ended.report.bytes_copied, 0);
}

#[test]
fn a_picture_that_others_hold_is_copied_once_which_is_declared_and_theirs_stays_as_it_was() {
    let [theirs, ours]: [Diary; 2] = Default::default();
    let ended = run(&Pipeline::named("shared")
        .plugin(&script())
        .node("source", PipelineNode::new("script"))
        .node("theirs", note("video/i420", &theirs, true))
        .node("invert", invert())
        .node("ours", note("video/i420", &ours, false))
        .node("end", PipelineNode::new("null"))
        .node("other-end", PipelineNode::new("null"))
        .link("source.video -> theirs -> other-end")
        .link("source.video -> invert -> ours -> end"));
    assert!(ended.error.is_none(), "{:?}", ended.error);
    let (theirs, ours) = (read(&theirs), read(&ours));
    let mut bytes = 0;
    for ((theirs, ours), size) in theirs.iter().zip(&ours).zip(SIZES) {
        let original = theirs.payload.iter().enumerate();
        assert!(original.into_iter().all(|(at, byte)| *byte == pixel(at)));
        assert!(
            is_inverted(&theirs.payload, &ours.payload, size),
            "{size:?}"
        );
        bytes += ours.payload.len() as u64;
    }
    assert_eq!(ours.len(), SIZES.len());
    assert_eq!(node(&ended, "invert").bytes_copied, bytes);
}

/// Makes each channel louder by its number, counted from 1.
fn by_number() -> PipelineNode {
    TransformNode::audio(|sound: &mut Sound| {
        assert_eq!(sound.channels().len(), sound.channel_count());
        assert!(sound.channel(sound.channel_count()).is_none());
        let len = sound.len();
        for (number, channel) in (1u16..).zip(sound.channels()) {
            assert_eq!(channel.len(), len);
            channel
                .iter_mut()
                .for_each(|sample| *sample *= f32::from(number));
        }
    })
}

#[test]
fn sound_of_any_number_of_channels_comes_as_a_slice_a_channel() {
    for is_shared in [false, true] {
        let [before, after]: [Diary; 2] = Default::default();
        let blocks = Arc::new(Mutex::new(vec![]));
        let tell = blocks.clone();
        let ended = run(&Pipeline::named("surround")
            .plugin(&script())
            .node("source", PipelineNode::new("script"))
            .node("before", note("audio/f32", &before, is_shared))
            .node("scale", by_number())
            .node(
                "look",
                TransformNode::audio(move |sound: &mut Sound| {
                    let block = (sound.rate(), sound.channel_count() as u32, sound.len());
                    tell.lock().expect("one thread").push((block, sound.pts()));
                }),
            )
            .node("after", note("audio/f32", &after, false))
            .node("end", PipelineNode::new("null"))
            .link("source.audio -> before -> scale -> look -> after -> end"));
        assert!(ended.error.is_none(), "{:?}", ended.error);
        let (before, after) = (read(&before), read(&after));
        assert_eq!((before.len(), after.len()), (BLOCKS.len(), BLOCKS.len()));
        let (mut expected, mut copied) = (vec![], 0);
        for (at, (rate, channels, samples)) in BLOCKS.into_iter().enumerate() {
            let (channels_, pts) = (channels as usize, at as i64 * 20_000_000);
            let (heard, rest) = after[at].payload.as_chunks();
            assert!(rest.is_empty());
            assert_eq!((heard.len(), after[at].pts), (samples * channels_, pts));
            for (index, heard) in heard.iter().enumerate() {
                let heard = f32::from_ne_bytes(*heard);
                let channel = index % channels_;
                let made = sample(channel, index / channels_);
                assert_eq!(heard, made * (channel + 1) as f32);
            }
            if samples > 0 {
                expected.push(((rate, channels, samples), pts));
            }
            let bytes = after[at].payload.len() as u64;
            copied += match (channels, is_shared) {
                (1, false) => 0,
                (1, true) => bytes,
                _ => 2 * bytes,
            };
            assert_eq!(
                before[at].at == after[at].at,
                !is_shared || samples == 0,
                "in memory of its own only where others hold the block: {at}"
            );
        }
        assert_eq!(*blocks.lock().expect("one thread"), expected);
        assert_eq!(node(&ended, "scale").bytes_copied, copied);
    }
}

#[test]
fn an_error_and_a_panic_of_a_closure_end_its_session_and_name_its_node() {
    let third = |picture: &Picture| picture.pts() == 40_000_000;
    let fails = TransformNode::video(move |picture: &mut Picture| match third(picture) {
        true => Err("the third picture is not to be touched"),
        false => Ok(()),
    });
    let panics = TransformNode::video(move |picture: &mut Picture| {
        assert!(!third(picture), "the third picture is one too many");
    });
    for (made, said) in [(fails, "not to be touched"), (panics, "one too many")] {
        let ended = run(&Pipeline::named("wrong")
            .plugin(&script())
            .node("source", PipelineNode::new("script"))
            .node("darken", made)
            .node("end", PipelineNode::new("null"))
            .link("source.video -> darken -> end"));
        let error = ended.error.expect("a failure").to_string();
        assert!(error.contains("node \"darken\""), "{error}");
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn each_session_has_a_closure_of_its_own() {
    let counts = Arc::new(Mutex::new(vec![]));
    let (mut count, tell) = (0, counts.clone());
    let pipeline = Pipeline::named("counted")
        .plugin(&script())
        .node("source", PipelineNode::new("script"))
        .node(
            "count",
            TransformNode::video(move |_: &mut Picture| {
                count += 1;
                tell.lock().expect("one thread").push(count);
            }),
        )
        .node("end", PipelineNode::new("null"))
        .link("source.video -> count -> end");
    run(&pipeline);
    run(&pipeline);
    assert_eq!(
        *counts.lock().expect("one thread"),
        [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]
    );
}

#[test]
fn what_is_no_raw_picture_and_no_raw_sound_is_converted_or_refused_by_name() {
    // Nobody decodes H.264 unless its plugin is there.
    let film = PipelineNode::new("file-source").param("path", "examples/sample.mp4");
    let problems = Pipeline::named("coded")
        .node("film", film)
        .node("invert", invert())
        .node("end", PipelineNode::new("null"))
        .link("film.video -> invert -> end")
        .plan()
        .err()
        .expect("a problem")
        .to_string();
    for words in [
        "invert.in",
        "video/i420",
        "video/h264",
        ".plugin(&load_crate(\"plugins/h264\"",
    ] {
        assert!(problems.contains(words), "{problems}");
    }
    let tone = Pipeline::new([
        PipelineNode::new("test-audio").param("channels", 2),
        by_number(),
        TransformNode::of("audio/opus", Some),
        PipelineNode::new("null"),
    ]);
    let plan = tone.plan().unwrap_or_else(|problems| panic!("{problems}"));
    let inserted = plan.graph().nodes.iter();
    assert_eq!(inserted.filter(|n| n.inserted.is_some()).count(), 1);
}

/// What a film looks and sounds like: the brightness of each picture, on average, by its time, and the power and the
/// length in seconds of its sound.
struct Film {
    pictures: Vec<(i64, f64)>,
    power: f64,
    seconds: f64,
}

fn look(plugins: &[Plugin], path: &str) -> Film {
    let pictures = Arc::new(Mutex::new(vec![]));
    let sound = Arc::new(Mutex::new((0.0, 0.0, 0.0)));
    let (tell, hear) = (pictures.clone(), sound.clone());
    let film = PipelineNode::new("file-source")
        .param("path", path)
        .param("pace", "fast");
    let pipeline = Pipeline::named("look")
        .node("film", film)
        .node(
            "look",
            TransformNode::video(move |picture: &mut Picture| {
                let pts = picture.pts();
                let light = picture.y();
                let sum: u64 = light.iter().map(|light| u64::from(*light)).sum();
                let mean = sum as f64 / light.len() as f64;
                tell.lock().expect("one thread").push((pts, mean));
            }),
        )
        .node(
            "hear",
            TransformNode::audio(move |sound: &mut Sound| {
                let (rate, len) = (f64::from(sound.rate()), sound.len() as f64);
                let channel = sound.channel(0).expect("there is one at least");
                let energy: f64 = channel.iter().map(|s| f64::from(*s).powi(2)).sum();
                let mut heard = hear.lock().expect("one thread");
                heard.0 += energy;
                heard.1 += len;
                heard.2 += len / rate;
            }),
        )
        .node("dark", PipelineNode::new("null"))
        .node("mute", PipelineNode::new("null"))
        .link("film.video -> look -> dark")
        .link("film.audio -> hear -> mute");
    let ended = run(&plugins.iter().fold(pipeline, Pipeline::plugin));
    assert!(ended.error.is_none(), "{:?}", ended.error);
    let (energy, samples, seconds) = *sound.lock().expect("one thread");
    let pictures = pictures.lock().expect("one thread").clone();
    Film {
        pictures,
        power: energy / samples,
        seconds,
    }
}

/// The example `closure` is what a person would try first.
#[test]
fn a_film_is_decoded_for_closures_and_encoded_again_behind_them() {
    trial::serve_by_arguments(["trial_child", "--exact", "--nocapture", "--test-threads=1"]);
    let folder = tempfile::tempdir().expect("a folder");
    let negative = folder.path().join("negative.mp4").display().to_string();
    let sample = root().join("examples/sample.mp4").display().to_string();
    let mut command = Command::new(example("closure"));
    command.args([&sample, &negative]);
    let output = Program::start("closure", command).wait(BUILD_LIMIT);
    assert!(output.status.success(), "{output:#?}");

    let load = |name| levada::load_crate(&root().join("plugins").join(name));
    let plugins = ["h264", "aac"].map(|name| load(name).unwrap_or_else(|e| panic!("{e}")));
    let (before, after) = (look(&plugins, &sample), look(&plugins, &negative));
    assert_eq!((before.pictures.len(), after.pictures.len()), (120, 120));
    for ((at, light), (then, dark)) in before.pictures.into_iter().zip(after.pictures) {
        // A track's clock may be coarser than a nanosecond.
        assert!((at - then).abs() < 1_000_000, "{at} became {then}");
        assert!(
            (light + dark - 255.0).abs() < 3.0,
            "{light} became {dark} at {at}"
        );
    }
    let decibels = 10.0 * (after.power / before.power).log10();
    assert!((decibels + 6.02).abs() < 0.3, "{decibels} dB");
    assert!(
        (before.seconds - after.seconds).abs() < 0.05,
        "{} s of {} s",
        after.seconds,
        before.seconds
    );

    let missing = "no-such-film.mp4";
    let mut command = Command::new(example("closure"));
    command.args([missing, &negative]);
    let output = Program::start("closure", command).wait(BUILD_LIMIT);
    assert_eq!(output.status.code(), Some(1), "{output:#?}");
    assert!(output.stderr.contains(missing), "{output:#?}");
}

#[test]
fn between_peers_closures_get_pictures_and_sound_whatever_the_codec() {
    trial::serve_by_arguments(["trial_child", "--exact", "--nocapture", "--test-threads=1"]);
    let h264 = levada::load_crate(&root().join("plugins/h264")).unwrap_or_else(|e| panic!("{e}"));
    let plan = Pipeline::named("call")
        .plugin(&h264)
        .node("in", PipelineNode::new("webrtc-source"))
        .node("invert", invert())
        .node("scale", by_number())
        .node("out", PipelineNode::new("webrtc-sink"))
        .link("in.video -> invert -> out.video")
        .link("in.audio -> scale -> out.audio")
        .plan()
        .unwrap_or_else(|problems| panic!("{problems}"));
    let nodes = plan.graph().nodes.iter().filter(|n| n.inserted.is_some());
    let mut inserted: Vec<_> = nodes.map(|node| node.type_name.as_str()).collect();
    inserted.sort_unstable();
    assert_eq!(
        inserted,
        [
            "h264-decoder",
            "h264-encoder",
            "opus-decoder",
            "opus-encoder"
        ]
    );
}
