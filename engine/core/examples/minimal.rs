//! Runs the engine alone, and says how much memory that takes.
//!
//! A camera, fourteen nodes that let frames pass, and a screen: sixteen nodes, linked into one program
//! with nothing but the engine and the kit for plugins. Thirty pictures of 1.4 MB pass at 30 a second;
//! while the last one is at the screen, the program reads what the system says of its memory. *Anonymous*
//! is what belongs to no file: heap, stacks, what was written of the program's data.
//!
//! ```sh
//! cargo run --release -p levada-engine --example minimal
//! ```
//!
//! The last line is the same as JSON.
#![forbid(unsafe_code)]

use std::{
    fs,
    sync::{Arc, mpsc},
};

use levada_engine::{
    Engine, EngineConfig,
    graph::{GraphBuilder, Plan},
    plugin::Registry,
};
use levada_plugin::prelude::*;

/// A picture of 1280x720 in I420.
const PICTURE: usize = 1280 * 720 * 3 / 2;
const PICTURES: u64 = 30;
const PERIOD_NS: i64 = 33_333_333;
const NODES: usize = 16;

/// Makes a grey picture 30 times a second, brighter each time.
struct Camera {
    made: u64,
    due_ns: i64,
}

impl Node for Camera {
    const NAME: &'static str = "camera";
    const SUMMARY: &'static str = "Makes grey pictures";
    const PORTS: &'static [Port] = &[Port::output("out")];

    fn create(config: &Config) -> Result<Self> {
        let due_ns = config.host().now();
        Ok(Camera { made: 0, due_ns })
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        ctx.wake_at(self.due_ns);
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        let mut picture = ctx.loan(PICTURE)?;
        picture.as_mut_slice().fill(self.made as u8);
        ctx.emit(0, Frame::new(Kind::Video, picture).with_pts(self.due_ns))?;
        self.made += 1;
        if self.made == PICTURES {
            ctx.finish();
        } else {
            self.due_ns += PERIOD_NS;
            ctx.wake_at(self.due_ns);
        }
        Ok(())
    }
}

/// Lets pictures through.
struct Through;

impl Node for Through {
    const NAME: &'static str = "through";
    const SUMMARY: &'static str = "Lets pictures through";
    const PORTS: &'static [Port] = &[Port::input("in").forwards_to(1), Port::output("out")];

    fn create(_config: &Config) -> Result<Self> {
        Ok(Through)
    }
}

/// Takes pictures, and reads what memory the program has while it holds the last.
struct Screen {
    taken: u64,
}

impl Node for Screen {
    const NAME: &'static str = "screen";
    const SUMMARY: &'static str = "Takes pictures";
    const PORTS: &'static [Port] = &[Port::input("in")];

    fn create(_config: &Config) -> Result<Self> {
        Ok(Screen { taken: 0 })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, _ctx: &mut Context) -> Result {
        for picture in frames.drain() {
            self.taken += 1;
            if self.taken == PICTURES {
                let bytes = anonymous_bytes()?;
                println!(
                    "{NODES} nodes and a picture of {:.1} MB in flight: {:.1} MB anonymous",
                    picture.payload().len() as f64 / 1e6,
                    bytes as f64 / 1e6,
                );
                println!(
                    "{{\"nodes\":{NODES},\"picture_bytes\":{PICTURE},\"anonymous_bytes\":{bytes}}}"
                );
            }
        }
        Ok(())
    }
}

/// Resident memory of this process that belongs to no file.
fn anonymous_bytes() -> Result<u64> {
    const FILE: &str = "/proc/self/smaps_rollup";
    let text = fs::read_to_string(FILE).map_err(|error| {
        Error::new(format_args!(
            "{FILE}: {error}; Linux tells a program's memory there, run it on Linux"
        ))
    })?;
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("Anonymous:")?.strip_suffix("kB"))
        .and_then(|kib| kib.trim().parse::<u64>().ok())
        .ok_or_else(|| Error::new(format_args!("{FILE} has no line \"Anonymous\"")))?;
    Ok(kib * 1024)
}

fn plugin() -> levada_plugin::Plugin {
    Builtin::new("minimal", "0.1.0")
        .with::<Camera>()
        .with::<Through>()
        .with::<Screen>()
        .into_plugin()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut registry = Registry::default();
    registry.add(&plugin());
    let mut graph = GraphBuilder::new("minimal");
    graph.node("camera", "camera");
    let mut link = String::from("camera");
    for node in 1..=NODES - 2 {
        let name = format!("through{node}");
        graph.node(&name, "through");
        link = format!("{link} -> {name}");
    }
    graph.node("screen", "screen");
    graph.link(&format!("{link} -> screen"));
    let graph = graph.build(&registry)?;
    let plan = Plan::new(graph, &registry)?;
    let plan = Arc::new(plan);

    let engine = Engine::start(&EngineConfig::default())?;
    let (tell, ended) = mpsc::sync_channel(1);
    let _session = engine.start_session(&plan, move |end| {
        // Nobody waits any more only when `main` has returned.
        let _ = tell.send(end);
    })?;
    match ended.recv()?.error {
        None => Ok(()),
        Some(error) => Err(error.into()),
    }
}
