//! Sessions with nodes that the engine inserted.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use levada_engine::{
    EngineConfig, VirtualEngine,
    graph::{Catalog, GraphBuilder, Plan},
    plugin::Registry,
};
use levada_plugin::prelude::*;

/// What the sink took, and what each node was told about its ports.
#[derive(Default)]
struct Seen {
    payloads: Vec<String>,
    told: Vec<String>,
}

static SEEN: Mutex<Seen> = Mutex::new(Seen {
    payloads: Vec::new(),
    told: Vec::new(),
});

fn seen() -> MutexGuard<'static, Seen> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn note(config: &Config, ports: usize) {
    let formats: Vec<&str> = (0..ports).map(|port| config.formats(port)).collect();
    let told = format!("{}: {}", config.name(), formats.join(" | "));
    seen().told.push(told);
}

/// Sends three access units, of the encoding that was negotiated.
struct Camera {
    sent: i64,
    encoding: String,
    host: Host,
}

impl Node for Camera {
    const NAME: &'static str = "camera";
    const SUMMARY: &'static str = "Sends three access units";
    const PORTS: &'static [Port] = &[
        Port::output("video").formats("video/vp8 video/h264"),
        Port::output("audio").formats("audio/opus"),
    ];

    fn create(config: &Config) -> Result<Self> {
        note(config, 2);
        Ok(Camera {
            sent: 0,
            encoding: match config.carries(0, "video/h264") {
                true => "h264".to_owned(),
                false => "vp8".to_owned(),
            },
            host: config.host(),
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        self.host.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        if self.sent == 3 {
            self.host.finish();
            return Ok(());
        }
        self.sent += 1;
        self.host.wake();
        let unit = format!("{}({})", self.encoding, self.sent);
        let format = ctx.format_id(&Format::video(&self.encoding, 0, 0))?;
        let frame = Frame::from_bytes(Kind::Video, unit.into()).with_format_id(format);
        ctx.emit(0, frame.with_pts(self.sent))
    }
}

/// Takes off, or puts on, the name of a codec.
struct Codec<const ENCODES: bool>(u32);

impl<const ENCODES: bool> Node for Codec<ENCODES> {
    const NAME: &'static str = if ENCODES {
        "h264-encoder"
    } else {
        "h264-decoder"
    };
    const SUMMARY: &'static str = "Puts on or takes off the name of a codec";
    const PORTS: &'static [Port] = if ENCODES {
        &[
            Port::input("in").formats("video/i420"),
            Port::output("out").formats("video/h264"),
        ]
    } else {
        &[
            Port::input("in").formats("video/h264"),
            Port::output("out").formats("video/i420"),
        ]
    };
    const COST: Cost = Cost::Heavy;
    const CONVERTER: bool = true;
    const LATENCY_NS: u64 = 7_000_000;

    fn create(config: &Config) -> Result<Self> {
        note(config, 2);
        Ok(Codec(0))
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            let text = String::from_utf8_lossy(frame.payload()).into_owned();
            let (text, name) = if ENCODES {
                (format!("h264({text})"), "h264")
            } else {
                let inner = text.strip_prefix("h264(").and_then(|t| t.strip_suffix(')'));
                let inner = inner.ok_or_else(|| Error::new(format_args!("{text} is no h264")))?;
                (inner.to_owned(), "i420")
            };
            self.0 = ctx.format_id(&Format::video(name, 2, 2))?;
            ctx.emit(
                1,
                Frame::from_bytes(Kind::Video, text.into()).with_format_id(self.0),
            )?;
        }
        Ok(())
    }
}

/// Works on raw pictures.
struct Flip;

impl Node for Flip {
    const NAME: &'static str = "flip";
    const SUMMARY: &'static str = "Works on raw pictures";
    const PORTS: &'static [Port] = &[
        Port::input("in").formats("video/i420"),
        Port::output("out").formats("video/i420"),
    ];

    fn create(config: &Config) -> Result<Self> {
        note(config, 2);
        Ok(Flip)
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            let text = format!("flip {}", String::from_utf8_lossy(frame.payload()));
            let format = frame.format_id();
            ctx.emit(
                1,
                Frame::from_bytes(Kind::Video, text.into()).with_format_id(format),
            )?;
        }
        Ok(())
    }
}

/// Takes access units.
struct Screen;

impl Node for Screen {
    const NAME: &'static str = "screen";
    const SUMMARY: &'static str = "Takes access units";
    const PORTS: &'static [Port] = &[
        Port::optional_input("audio").formats("audio/opus"),
        Port::optional_input("video").formats("video/vp8 video/h264"),
    ];

    fn create(config: &Config) -> Result<Self> {
        note(config, 2);
        Ok(Screen)
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, _ctx: &mut Context) -> Result {
        for frame in frames.drain() {
            let text = String::from_utf8_lossy(frame.payload()).into_owned();
            seen().payloads.push(text);
        }
        Ok(())
    }
}

fn registry() -> Registry {
    let plugin = Builtin::new("test", "1.0.0")
        .with::<Camera>()
        .with::<Codec<true>>()
        .with::<Codec<false>>()
        .with::<Flip>()
        .with::<Screen>()
        .into_plugin();
    let mut registry = Registry::default();
    assert!(registry.add(&plugin).is_empty());
    registry
}

fn mirror() -> Plan {
    let registry = registry();
    let mut graph = GraphBuilder::new("mirror");
    graph.node("camera", "camera");
    graph.node("flip", "flip");
    graph.node("screen", "screen");
    graph.link("camera.video -> flip -> screen.video");
    let graph = graph.build(&registry).expect("a valid graph");
    Plan::new(graph, &registry).expect("a plan")
}

#[test]
fn a_session_decodes_and_encodes_by_nodes_that_nobody_wrote() {
    let plan = Arc::new(mirror());
    let mut engine = VirtualEngine::new(&EngineConfig::default(), 1);
    let (tell, told) = mpsc::channel();
    let session = engine.start_session(&plan, move |ended| drop(tell.send(ended)));
    let _session = session.unwrap_or_else(|error| panic!("{error}"));
    engine.drive();
    let ended = told.try_recv().expect("it has ended");
    assert!(ended.error.is_none(), "{:?}", ended.error);
    let mut seen = seen();
    assert_eq!(
        seen.payloads,
        ["h264(flip 1)", "h264(flip 2)", "h264(flip 3)"]
    );
    seen.told.sort();
    assert_eq!(
        seen.told,
        [
            "camera: video/h264 | ",
            "flip: video/i420 | video/i420",
            "flip~h264-decoder: video/h264 | video/i420",
            "screen:  | video/h264",
            "screen~h264-encoder: video/i420 | video/h264",
        ]
    );
}

#[test]
fn a_plan_tells_what_each_port_will_carry_before_any_session() {
    let plan = mirror();
    assert_eq!(plan.formats("camera", "video"), ["video/h264"]);
    assert_eq!(plan.formats("screen", "video"), ["video/h264"]);
    assert_eq!(plan.formats("flip", "in"), ["video/i420"]);
    assert_eq!(plan.formats("flip~h264-decoder", "in"), ["video/h264"]);
    for (node, port) in [("camera", "audio"), ("camera", "data"), ("nobody", "in")] {
        assert_eq!(plan.formats(node, port), [""; 0], "{node}.{port}");
    }
}

#[test]
fn the_worst_case_has_inserted_nodes_in_it() {
    let worst = mirror().worst_case();
    assert_eq!(worst.latency_ns, 14_000_000);
    let way: Vec<String> = worst.slowest.iter().map(ToString::to_string).collect();
    assert_eq!(
        way.join(" -> "),
        "camera -> flip~h264-decoder (7 ms) -> flip -> screen~h264-encoder (7 ms) -> screen"
    );
    let waits = |name: &str| {
        worst
            .parts
            .iter()
            .any(|p| p.name.starts_with(name) && p.frames > 0)
    };
    assert!(waits("camera.video -> flip~h264-decoder.in"));
    assert!(waits("flip.out -> screen~h264-encoder.in"));
}

#[test]
fn a_registry_tells_the_hints_of_its_host() {
    let mut registry = registry();
    registry.add_hint("video/av1", "name its plugin");
    assert_eq!(registry.hint("video/av1"), Some("name its plugin"));
    assert_eq!(registry.hint("video/h264"), None);
}

/// Does nothing, and says what it was told.
struct Told(String);

impl Node for Told {
    const NAME: &'static str = "told";
    const SUMMARY: &'static str = "Says what it was told";
    const PORTS: &'static [Port] = &[Port::output("audio"), Port::output("video")];

    fn create(config: &Config) -> Result<Self> {
        let carries = [
            config.carries(1, "video/h264"),
            config.carries(1, "video/h2"),
        ];
        Ok(Told(format!(
            "{:?} {:?} {carries:?}",
            config.formats(0),
            config.formats(1)
        )))
    }

    fn drain(&mut self, _ctx: &mut Context) -> Result {
        Err(Error::new(&self.0))
    }
}

#[test]
fn a_harness_tells_a_node_what_its_ports_carry() {
    let video = "data/* video/h264;width=64";
    let told = levada_plugin::harness::Harness::<Told>::with_formats(&[], &[("video", video)]);
    let said = told
        .expect("a node")
        .drain()
        .expect_err("it says what it was told");
    assert_eq!(
        said.to_string(),
        r#""" "data/* video/h264;width=64" [true, false]"#
    );
    let wrong = levada_plugin::harness::Harness::<Told>::with_formats(&[], &[("text", "data/*")]);
    assert!(wrong.is_err_and(|error| error.to_string() == "no port \"text\""));
}
