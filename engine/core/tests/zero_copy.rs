//! With `assert_zero_copy` a session fails when a node copies a payload without saying so.

use std::sync::{Arc, mpsc};

use levada_engine::{
    Ended, Engine, EngineConfig,
    graph::{GraphBuilder, Plan},
    plugin::Registry,
};
use levada_plugin::prelude::*;

const FRAMES: i64 = 20;
const LEN: usize = 3840;

/// Emits numbered frames of the pool's memory, and ends.
struct Emit(i64, Host);

impl Node for Emit {
    const NAME: &'static str = "emit";
    const SUMMARY: &'static str = "Emits numbered frames";
    const PORTS: &'static [Port] = &[Port::output("out")];

    fn create(config: &Config) -> Result<Self> {
        Ok(Emit(0, config.host()))
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        self.1.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        if self.0 == FRAMES {
            self.1.finish();
            return Ok(());
        }
        let frame = Frame::new(Kind::Data, self.1.loan(LEN)?).with_pts(self.0);
        self.0 += 1;
        self.1.wake();
        ctx.emit(0, frame)
    }
}

/// Does with each frame what its param says.
struct Treat<const COST: usize> {
    how: String,
    held: Vec<Frame>,
}

impl<const COST: usize> Node for Treat<COST> {
    const NAME: &'static str = ["treat", "treat-slowly"][COST];
    const SUMMARY: &'static str = "Does what its param says";
    const PORTS: &'static [Port] = &[
        Port::input("in").forwards_to(1),
        Port::output("out").max_out(4),
    ];
    const PARAMS: &'static [Param] = &[Param::choice(
        "how",
        "in-place declared replaced emitted held",
        "in-place",
    )];
    const COST: Cost = [Cost::Light, Cost::Heavy][COST];

    fn create(config: &Config) -> Result<Self> {
        Ok(Treat {
            how: config.text("how")?.to_owned(),
            held: vec![],
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        match self.how.as_str() {
            "in-place" => {
                for frame in frames.iter_mut() {
                    ctx.make_writable(frame)?.fill(1);
                }
            }
            "declared" => {
                for frame in frames.iter_mut() {
                    // Shared memory is copied to be written, and the copy is declared.
                    let _shares = frame.clone();
                    ctx.make_writable(frame)?.fill(1);
                }
            }
            "replaced" => {
                for frame in frames.iter_mut() {
                    let mut copy = ctx.loan(LEN)?;
                    copy.as_mut_slice().copy_from_slice(frame.payload());
                    frame.set_payload(copy);
                }
            }
            "emitted" => {
                for frame in frames.drain() {
                    let copy = bytes::Bytes::copy_from_slice(frame.payload());
                    ctx.emit(1, Frame::from_bytes(Kind::Data, copy).with_pts(frame.pts()))?;
                }
            }
            _ => {
                for frame in frames.drain() {
                    self.held.push(frame);
                }
                if self.held.len() >= 3 {
                    for frame in self.held.drain(..3) {
                        ctx.emit(1, frame)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Takes what comes.
struct Take;

impl Node for Take {
    const NAME: &'static str = "take";
    const SUMMARY: &'static str = "Takes what comes";
    const PORTS: &'static [Port] = &[Port::input("in")];

    fn create(_config: &Config) -> Result<Self> {
        Ok(Take)
    }

    fn process(&mut self, _port: usize, _frames: &mut Frames, _ctx: &mut Context) -> Result {
        Ok(())
    }
}

fn plan(node_type: &str, how: &str) -> Arc<Plan> {
    let plugin = Builtin::new("treatments", "1.0.0")
        .with::<Emit>()
        .with::<Treat<0>>()
        .with::<Treat<1>>()
        .with::<Take>()
        .into_plugin();
    let mut registry = Registry::default();
    assert!(registry.add(&plugin).is_empty());
    let mut graph = GraphBuilder::new("treated");
    graph.node("source", "emit");
    graph.node("middle", node_type).param("how", how);
    graph.node("sink", "take");
    graph.link("source -> middle");
    graph.link("middle -> sink");
    let graph = graph.build(&registry).expect("a valid graph");
    Arc::new(Plan::new(graph, &registry).expect("a plan"))
}

fn run(assert_zero_copy: bool, node_type: &str, how: &str) -> Ended {
    let config = EngineConfig {
        workers: 1,
        blocking: 1,
        assert_zero_copy,
        ..EngineConfig::default()
    };
    let engine = Engine::start(&config).expect("threads");
    let (tell, told) = mpsc::sync_channel(1);
    let session = engine.start_session(&plan(node_type, how), move |ended| {
        let _ = tell.send(ended);
    });
    let _session = session.unwrap_or_else(|error| panic!("{error}"));
    told.recv().expect("it ends")
}

#[test]
fn a_copy_in_silence_fails_the_session_and_names_node_and_link() {
    for node_type in ["treat", "treat-slowly"] {
        for how in ["replaced", "emitted"] {
            let ended = run(true, node_type, how);
            let error = ended.error.expect("it fails").to_string();
            for part in [
                "node \"middle\"",
                "plugin treatments 1.0.0",
                "it copied without saying so",
                "link \"middle.out -> sink.in\"",
                "3840 bytes at pts 0 ns",
                "declared 0",
            ] {
                assert!(error.contains(part), "{node_type} {how}: {part}: {error}");
            }
            assert_eq!(ended.report.failed, 1);
            let links = &ended.report.links;
            assert_eq!(links[1].frames, 0, "the copy itself went no further");
        }
    }
}

#[test]
fn nodes_that_edit_hold_or_declare_pass() {
    for node_type in ["treat", "treat-slowly"] {
        for how in ["in-place", "declared", "held"] {
            let ended = run(true, node_type, how);
            assert_eq!(ended.error, None, "{node_type} {how}");
            let whole = FRAMES as u64 - if how == "held" { FRAMES as u64 % 3 } else { 0 };
            let sink = &ended.report.nodes[2];
            assert_eq!(sink.frames_in, whole, "{node_type} {how}");
            let copied = if how == "declared" {
                whole * LEN as u64
            } else {
                0
            };
            assert_eq!(ended.report.bytes_copied, copied, "{node_type} {how}");
        }
    }
}

#[test]
fn nobody_looks_unless_asked() {
    assert_eq!(run(false, "treat", "replaced").error, None);
}
