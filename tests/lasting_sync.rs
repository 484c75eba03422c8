//! Sound stays with its pictures: ten minutes of a file of four seconds that begins again and again, on a virtual clock.
//!
//! The films are made here: the number of each picture is written into it, and each second begins with a beep. What comes
//! out is read back: when a picture of a whole second is shown, and when its beep begins.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex, OnceLock, mpsc},
    time::Duration,
};

use levada::{
    Frame, Pipeline, PipelineNode, Sound, TransformNode,
    engine::{Engine, EngineConfig, VirtualEngine, plugin::trial},
};
use levada_plugin::{Plugin, as_f32, picture::I420};
use levada_video::marks::{self, Edge};

/// What trial children of this program run.
#[test]
fn trial_child() {
    trial::serve_if_asked();
}

const MS: i64 = 1_000_000;
const SECOND: i64 = 1000 * MS;
/// How far sound and pictures may be apart: less than anybody notices.
const APART: i64 = 20 * MS;
const TEN_MINUTES: Duration = Duration::from_secs(600);
/// Of a film that is made here.
const SIZE: (u32, u32) = (256, 144);
const FPS: u32 = 30;
const LENGTH: i64 = 4 * SECOND;
const PICTURES: u32 = 120;

/// When something is to be seen or heard, and when it came, in ns.
#[derive(Clone, Copy, Debug)]
struct Event {
    pts: i64,
    came: i64,
}

impl Event {
    /// How much later it came than it is to be shown; the same for all if nothing drifts.
    fn lag(&self) -> i64 {
        self.came - self.pts
    }
}

type Events = Arc<Mutex<Vec<Event>>>;
/// The clock, which there is once the engine is there.
type Clock = Arc<OnceLock<Engine>>;

fn event(clock: &Clock, pts: i64) -> Event {
    let came = clock.get().expect("it runs on an engine").now_ns();
    Event { pts, came }
}

fn read(events: &Events) -> Vec<Event> {
    events.lock().expect("one thread").clone()
}

/// Runs a pipeline on a virtual clock for `time`, or to its end.
fn run(pipeline: &Pipeline, clock: &Clock, time: Duration) {
    let plan = pipeline
        .plan()
        .unwrap_or_else(|problems| panic!("{problems}"));
    let mut engine = VirtualEngine::new(&EngineConfig::default(), 11);
    assert!(
        clock.set(engine.engine().clone()).is_ok(),
        "a clock of its own"
    );
    let (tell, told) = mpsc::channel();
    let on_end = move |ended| tell.send(ended).expect("the test waits");
    let session = engine.start_session(&plan, on_end).expect("a session");
    engine.drive_for(time);
    session.stop();
    engine.drive_for(Duration::from_secs(10));
    let ended: levada::engine::Ended = told.try_recv().expect("it has ended");
    assert!(ended.error.is_none(), "{:?}", ended.error);
    let dropped: u64 = ended.report.links.iter().map(|link| link.dropped).sum();
    assert_eq!(dropped, 0, "{:#?}", ended.report);
}

fn h264() -> Plugin {
    trial::serve_by_arguments(["trial_child", "--exact", "--nocapture", "--test-threads=1"]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/h264");
    levada::load_crate(&folder).unwrap_or_else(|error| panic!("{error}"))
}

fn pattern() -> PipelineNode {
    PipelineNode::new("test-video")
        .param("width", i64::from(SIZE.0))
        .param("height", i64::from(SIZE.1))
        .param("fps", f64::from(FPS))
        .param("count", i64::from(PICTURES))
}

/// Beeps on the second, for as long as the film lasts.
fn beeps() -> [PipelineNode; 2] {
    let beeps = PipelineNode::new("test-audio")
        .param("beeps", true)
        .param("frequency", 1000.0)
        .param("db", -6.0);
    let only = |frame: Frame| (frame.pts() < LENGTH).then_some(frame);
    [beeps, TransformNode::of("audio/f32", only)]
}

fn film(path: &str) -> PipelineNode {
    PipelineNode::new("file-source")
        .param("path", path)
        .param("loop", true)
}

/// Writes down the pictures of whole seconds, and sees that none is missing.
fn watch(clock: &Clock, seen: &Events) -> PipelineNode {
    let (clock, seen) = (clock.clone(), seen.clone());
    let mut next = 0;
    TransformNode::of("video/i420", move |frame: Frame| {
        let picture = I420::new(frame.payload(), SIZE.0, SIZE.1).expect("of this size");
        let number = marks::read(&picture, Edge::Top);
        assert_eq!(number, Some(next), "at {} ns", frame.pts());
        next = (next + 1) % PICTURES;
        if number.is_some_and(|number| number % FPS == 0) {
            let event = event(&clock, frame.pts());
            seen.lock().expect("one thread").push(event);
        }
        Some(frame)
    })
}

/// Writes down beeps by where they end, which is a tenth of a second after their beginning.
///
/// A decoder that goes on from the end of a pass takes the first packets of the next one, which were encoded from
/// nothing, for something else, and may swallow the first milliseconds of the beep in them. Its end is always there.
fn listen(clock: &Clock, heard: &Events) -> PipelineNode {
    let (clock, heard) = (clock.clone(), heard.clone());
    // The last sample that was loud, until silence follows.
    let mut loud = None::<Event>;
    TransformNode::audio(move |sound: &mut Sound| {
        let (rate, pts) = (i64::from(sound.rate()), sound.pts());
        let lag = event(&clock, pts).lag();
        for (at, sample) in (0..).zip(sound.channel(0).expect("a channel").iter()) {
            let now = pts + at * SECOND / rate;
            if sample.abs() > 0.1 {
                let came = now + lag;
                loud = Some(Event { pts: now, came });
            } else if let Some(end) = loud.take_if(|end| now - end.pts > 100 * MS) {
                let beep = SECOND / 10;
                let (pts, came) = (end.pts - beep, end.came - beep);
                heard.lock().expect("one thread").push(Event { pts, came });
            }
        }
    })
}

/// Compares every beep with the picture of its second; answers how far they were apart at most, in ns.
fn compare(what: &str, seen: &[Event], heard: &[Event]) {
    for (which, events) in [("picture", seen), ("beep", heard)] {
        let (count, last) = (events.len(), events.last().map_or(0, |event| event.pts));
        // A pass lasts as long as the longer track, which may be a packet longer than the film.
        assert!(count > 590, "{what}: a {which} each second, not {count}");
        assert!(last > 598 * SECOND, "{what}: the last {which} at {last} ns");
    }
    let (mut apart, mut came_apart) = (0, 0);
    for beep in heard {
        let nearest = seen
            .iter()
            .min_by_key(|picture| (picture.pts - beep.pts).abs());
        let picture = nearest.expect("there are pictures");
        apart = apart.max((picture.pts - beep.pts).abs());
        came_apart = came_apart.max((picture.lag() - beep.lag()).abs());
        assert!(apart <= APART, "{what}: {picture:?} and {beep:?}");
        assert!(came_apart <= APART, "{what}: {picture:?} and {beep:?}");
    }
    println!(
        "{what}: {} beeps, at most {:.3} ms from their picture; came at most {:.3} ms apart from that",
        heard.len(),
        apart as f64 / 1e6,
        came_apart as f64 / 1e6
    );
}

/// Records the film of this test.
fn record(h264: &Plugin, path: &str) {
    let [beeps, only] = beeps();
    let pipeline = Pipeline::named("record")
        .plugin(h264)
        .node("pattern", pattern())
        .node("beeps", beeps)
        .node("only", only)
        .node("tape", PipelineNode::new("file-sink").param("path", path))
        .link("pattern -> tape.video")
        .link("beeps -> only -> tape.audio");
    // Nothing is to come when the film is over.
    run(
        &pipeline,
        &Clock::default(),
        Duration::from_nanos(LENGTH as u64) * 2,
    );
    assert!(Path::new(path).is_file(), "{path}");
}

#[test]
fn decoded_sound_and_pictures_of_a_looped_film_stay_together_for_ten_minutes() {
    let h264 = h264();
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["film.mp4", "film.mkv"] {
        stay_together(&h264, &folder.path().join(name));
    }
}

fn stay_together(h264: &Plugin, path: &Path) {
    let path = path.display().to_string();
    record(h264, &path);
    let (clock, [seen, heard]) = (Clock::default(), <[Events; 2]>::default());
    let pipeline = Pipeline::named("play")
        .plugin(h264)
        .node("film", film(&path))
        .node("watch", watch(&clock, &seen))
        .node("listen", listen(&clock, &heard))
        .node("screen", PipelineNode::new("null"))
        .node("speaker", PipelineNode::new("null"))
        .link("film.video -> watch -> screen")
        .link("film.audio -> listen -> speaker");
    run(&pipeline, &clock, TEN_MINUTES);
    compare(&path, &read(&seen), &read(&heard));
}

/// Two files, each on its own: nothing but the clock holds them together.
#[test]
fn looped_files_of_raw_sound_and_of_raw_pictures_stay_together_for_ten_minutes() {
    let folder = tempfile::tempdir().expect("a folder");
    let [y4m, wav] = ["film.y4m", "film.wav"].map(|name| folder.path().join(name));
    let (pictures, sound) = raw();
    fs::write(&y4m, pictures).expect("the folder is writable");
    fs::write(&wav, sound).expect("the folder is writable");
    let path = |path: &Path| path.display().to_string();
    let (clock, [seen, heard]) = (Clock::default(), <[Events; 2]>::default());
    let pipeline = Pipeline::named("play")
        .node("pictures", film(&path(&y4m)))
        .node("sound", film(&path(&wav)))
        .node("watch", watch(&clock, &seen))
        .node("listen", listen(&clock, &heard))
        .node("screen", PipelineNode::new("null"))
        .node("speaker", PipelineNode::new("null"))
        .link("pictures.video -> watch -> screen")
        .link("sound.audio -> listen -> speaker");
    run(&pipeline, &clock, TEN_MINUTES);
    compare("Y4M and WAVE", &read(&seen), &read(&heard));
}

/// The film as Y4M and as WAVE.
fn raw() -> (Vec<u8>, Vec<u8>) {
    let (width, height) = SIZE;
    let y4m = format!("YUV4MPEG2 W{width} H{height} F{FPS}:1 C420jpeg\n");
    let y4m = Arc::new(Mutex::new(y4m.into_bytes()));
    let samples = Arc::new(Mutex::new(vec![]));
    let (tape, track) = (y4m.clone(), samples.clone());
    let write_picture = TransformNode::of("video/i420", move |frame: Frame| {
        let mut tape = tape.lock().expect("one thread");
        tape.extend(b"FRAME\n");
        tape.extend(frame.payload());
        Some(frame)
    });
    let write_sound = TransformNode::of("audio/f32", move |frame: Frame| {
        let samples = as_f32(frame.payload()).expect("aligned");
        // From a float to a whole number saturates.
        let whole = samples.iter().map(|sample| (sample * 32_767.0) as i16);
        let mut track = track.lock().expect("one thread");
        whole.for_each(|sample| track.extend(sample.to_le_bytes()));
        Some(frame)
    });
    let [beeps, only] = beeps();
    let pipeline = Pipeline::named("raw")
        .node("pattern", pattern())
        .node("write-pictures", write_picture)
        .node("screen", PipelineNode::new("null"))
        .node("beeps", beeps)
        .node("only", only)
        .node("write-sound", write_sound)
        .node("speaker", PipelineNode::new("null"))
        .link("pattern -> write-pictures -> screen")
        .link("beeps -> only -> write-sound -> speaker");
    run(&pipeline, &Clock::default(), Duration::from_secs(5));
    let samples = samples.lock().expect("one thread").clone();
    assert_eq!(samples.len(), 4 * 48_000 * 2);
    let len = |bytes: usize| u32::try_from(bytes).expect("a few seconds").to_le_bytes();
    let mut wav = b"RIFF".to_vec();
    wav.extend(len(36 + samples.len()));
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    wav.extend(len(48_000));
    wav.extend(len(96_000));
    wav.extend(b"\x02\0\x10\0data");
    wav.extend(len(samples.len()));
    wav.extend(samples);
    (y4m.lock().expect("one thread").clone(), wav)
}

/// Writes down every unit.
fn note(formats: &str, clock: &Clock, events: &Events) -> PipelineNode {
    let (clock, events) = (clock.clone(), events.clone());
    TransformNode::of(formats, move |frame: Frame| {
        let event = event(&clock, frame.pts());
        events.lock().expect("one thread").push(event);
        Some(frame)
    })
}

/// How far each unit has moved from its place in the first pass, when `count` of them are a pass.
fn moved(units: &[Event], count: usize) -> Vec<i64> {
    let moved = units.iter().enumerate();
    moved
        .map(|(at, unit)| unit.pts - units[at % count].pts)
        .collect()
}

#[test]
fn coded_units_of_a_looped_film_stay_together_for_ten_minutes() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = folder.path().join("film.mp4").display().to_string();
    record(&h264(), &made);
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/sample.mp4");
    for (path, packet) in [
        (made.as_str(), 20_000_000),
        (sample, 1024 * SECOND / 48_000),
    ] {
        let (clock, [seen, heard]) = (Clock::default(), <[Events; 2]>::default());
        let pipeline = Pipeline::named("coded")
            .node("film", film(path))
            .node("pictures", note("video/h264", &clock, &seen))
            .node("packets", note("audio/opus audio/aac", &clock, &heard))
            .node("screen", PipelineNode::new("null"))
            .node("speaker", PipelineNode::new("null"))
            .link("film.video -> pictures -> screen")
            .link("film.audio -> packets -> speaker");
        run(&pipeline, &clock, TEN_MINUTES);
        let (seen, heard) = (read(&seen), read(&heard));
        // A pass begins with the picture and the packet of time 0 again.
        let pictures = moved(&seen, PICTURES as usize);
        let length = pictures[PICTURES as usize];
        let count = usize::try_from((length + packet / 2) / packet).expect("a few packets");
        let packets = moved(&heard, count);
        assert!(
            length >= LENGTH && length < LENGTH + 2 * packet,
            "a pass lasts {length} ns"
        );
        for (which, moved, count) in [
            ("picture", pictures, PICTURES as usize),
            ("packet", packets, count),
        ] {
            let passes = moved.len() / count;
            assert!(passes > 145, "{path}: {passes} passes of a {which}");
            for (at, moved) in moved.iter().enumerate() {
                let pass = i64::try_from(at / count).expect("few");
                let apart = moved - pass * length;
                assert!(
                    apart.abs() <= 1000,
                    "{path}: {which} {at} is {apart} ns from its place"
                );
            }
        }
        // On the clock, too: both are as late in the last minute as in the first, to a thousandth of a second.
        for (which, units) in [("picture", &seen), ("packet", &heard)] {
            let lags = || units.iter().map(Event::lag);
            let spread = lags().max().unwrap_or(0) - lags().min().unwrap_or(0);
            println!(
                "{path}: {} {which}s, from their times by {spread} ns more or less",
                units.len()
            );
            assert!(spread < MS, "{path}: {which}s drift by {spread} ns");
        }
    }
}
