//! Every node type that there is, built in or of a plugin of this repository, keeps what a node promises.
//!
//! No node type is named here: they come from the registry, and from every crate in `plugins/` that is a library to
//! be loaded. What a node is given follows from its ports (`conformance/media.rs`), and it runs under the engine on
//! a virtual clock, between sources that play scripts and sinks that take notes (`conformance/stand.rs`). Types that
//! belong to a peer need a network, so they are only described and created.

#[path = "conformance/media.rs"]
mod media;
#[path = "conformance/stand.rs"]
mod stand;

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, mpsc},
    time::Duration,
};

use levada::engine::{
    Ended, Engine, EngineConfig,
    graph::{Direction, ParamInfo, ParamKind, ParamValue, TypeInfo, parse_patterns},
    plugin::{self, NodeType, Registry, trial},
    services,
};
use levada_plugin::{Event, event};
use serde_json::Value;
use stand::{Notes, Params, Step, side};

/// Names that a node is offered for its file: one to write, or the picture that is there.
const FILES: [&str; 10] = [
    "out.mp4", "out.webm", "out.mkv", "out.ogg", "out.wav", "out.y4m", "out.ivf", "out.jpg",
    "out.png", PICTURE,
];
const PICTURE: &str = "in.png";

/// Serves as the child in which a plugin file is tried.
#[test]
fn trial_child() {
    trial::serve_if_asked();
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Builds the crates in `plugins/` that are libraries to be loaded, and answers the libraries.
fn libraries() -> Vec<PathBuf> {
    let folders = std::fs::read_dir(root().join("plugins")).expect("the folder is there");
    let mut crates: Vec<String> = folders
        .filter_map(|entry| {
            let manifest = entry.ok()?.path().join("Cargo.toml");
            let manifest = std::fs::read_to_string(manifest).ok()?;
            let manifest: toml::Table = toml::from_str(&manifest).ok()?;
            let kinds = manifest.get("lib")?.get("crate-type")?.as_array()?;
            let is_loaded = kinds.iter().any(|kind| kind.as_str() == Some("cdylib"));
            let name = manifest.get("package")?.get("name")?.as_str()?;
            is_loaded.then(|| name.to_owned())
        })
        .collect();
    crates.sort();
    assert!(!crates.is_empty(), "gain at least is such a crate");
    let mut build = Command::new(env!("CARGO"));
    build.arg("build").current_dir(root());
    for name in &crates {
        build.args(["-p", name]);
    }
    let output = build.arg("--message-format=json").output();
    let output = output.expect("cargo starts: it started this program");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let artifacts = said
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|m| m["reason"] == "compiler-artifact" && m["target"]["kind"][0] == "cdylib");
    let built: Vec<_> = artifacts
        .filter(|m| {
            let target = m["target"]["name"].as_str().unwrap_or_default();
            crates.iter().any(|name| name.replace('-', "_") == target)
        })
        .filter_map(|m| Some(PathBuf::from(m["filenames"][0].as_str()?)))
        .collect();
    assert_eq!(built.len(), crates.len(), "{crates:?}: {built:?}");
    built
}

/// Every node type, and those of the stand.
fn registry() -> Registry {
    trial::serve_by_arguments(["trial_child", "--exact", "--nocapture", "--test-threads=1"]);
    trial::remember_in(None);
    let mut registry = levada::graph_file::builtin_types();
    for library in libraries() {
        let loaded = plugin::load(&library, services::host());
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(registry.add(&loaded.plugin), [], "two types of one name");
    }
    registry.add(&stand::plugin());
    registry
}

/// A way in which a type is used: what it is given for its paths, where it has some, and what its inputs take then. An input
/// that cannot be linked then is not among its ports.
struct Use {
    info: TypeInfo,
    names: Vec<&'static str>,
}

/// The ways in which a type is used: one, or those that the name of its file leads to.
fn uses(registry: &Registry, info: &TypeInfo) -> Vec<Use> {
    let inputs: Vec<usize> = side(info, Direction::Input).collect();
    let has_path = info.params.iter().any(|p| p.kind == ParamKind::Path);
    if inputs.is_empty() || !has_path {
        return vec![Use {
            info: info.clone(),
            names: FILES.to_vec(),
        }];
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join(PICTURE), media::PNG).expect("a file");
    let mut uses: Vec<Use> = vec![];
    for name in FILES {
        let params = params(info, folder.path(), name);
        let mut used = info.clone();
        for port in inputs.iter().rev() {
            match stand::takes(registry, info, &params, *port) {
                Some(formats) => used.ports[*port].formats = formats,
                None => {
                    used.ports.remove(*port);
                }
            }
        }
        if side(&used, Direction::Input).next().is_none() {
            continue;
        }
        match uses.iter_mut().find(|it| it.info == used) {
            Some(alike) => alike.names.push(name),
            None => uses.push(Use {
                info: used,
                names: vec![name],
            }),
        }
    }
    assert!(
        !uses.is_empty(),
        "{}: no name is one for its file",
        info.name
    );
    uses
}

/// Checks every type that runs alone, in every way in which it is used.
fn check_uses(registry: &Registry, checks: impl Fn(&Use) -> Result<(), String>) {
    check(registry, runs_alone, |node_type| {
        for used in uses(registry, node_type.info()) {
            checks(&used)
                .map_err(|why| format!("{} as {:?}: {why}", used.info.name, used.names))?;
        }
        Ok(())
    });
}

/// Checks every type, and tells all faults at once.
fn check(
    registry: &Registry,
    wanted: impl Fn(&NodeType) -> bool,
    check: impl Fn(&NodeType) -> Result<(), String>,
) {
    let types = registry.iter().filter(|t| t.info().plugin != "conformance");
    let types: Vec<_> = types.filter(|t| wanted(t)).collect();
    assert!(!types.is_empty(), "no node type is checked");
    let faults: Vec<String> = types
        .iter()
        .filter_map(|t| Some(format!("{}: {}", t.info().name, check(t).err()?)))
        .collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

fn runs_alone(node_type: &NodeType) -> bool {
    !node_type.is_for_peers()
}

/// Values for the params that have none of their own: paths. `name` is that of a file to write.
fn params(info: &TypeInfo, folder: &Path, name: &str) -> Params {
    let is_source = side(info, Direction::Input).next().is_none();
    let path = if is_source {
        media::clip()
    } else {
        folder.join(name).display().to_string()
    };
    let paths = info.params.iter().filter(|p| p.kind == ParamKind::Path);
    paths
        .map(|p| (p.name.clone(), ParamValue::Text(path.clone())))
        .collect()
}

/// The inputs that are linked: all.
fn at_all_inputs(info: &TypeInfo, script: impl Fn(usize) -> Vec<Step>) -> Vec<(usize, Vec<Step>)> {
    side(info, Direction::Input)
        .map(|port| (port, script(port)))
        .collect()
}

/// Runs a node, with a file of its own where it writes one.
fn run(
    registry: &Registry,
    used: &Use,
    scripts: &[(usize, Vec<Step>)],
    outputs: bool,
    seed: u64,
) -> Result<(Ended, Notes), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    std::fs::write(folder.path().join(PICTURE), media::PNG).map_err(|error| error.to_string())?;
    let mut said = String::new();
    let info = &used.info;
    for name in &used.names {
        let params = params(info, folder.path(), name);
        match stand::run(registry, info, &params, scripts, outputs, seed) {
            // Perhaps it writes files of another kind.
            Err(why) if !params.is_empty() => said = why,
            other => return other,
        }
    }
    Err(said)
}

/// What holds of every session, however it ended: no panic, nothing kept, nothing lost without a count.
fn books_balance(ended: &Ended, notes: &Notes) -> Result<(), String> {
    if let Some(error) = &ended.error {
        ensure(error.node == "node" && !error.cause.is_empty(), || {
            format!("a failure that is not its own, or gives no reason: {error}")
        })?;
        ensure(!error.cause.contains("panicked"), || error.to_string())?;
    }
    let report = &ended.report;
    ensure(report.leaks.is_empty(), || format!("{:?}", report.leaks))?;
    ensure(notes.damaged == 0, || {
        format!("it wrote to {} frames that others hold", notes.damaged)
    })?;
    for node in &report.nodes {
        let of_node = |port: &str| {
            port.split_once('.')
                .is_some_and(|(name, _)| name == node.name)
        };
        let came: u64 = report
            .links
            .iter()
            .filter(|l| of_node(&l.to))
            .fold(0, |n, l| n + l.frames - l.dropped);
        let went: u64 = report
            .links
            .iter()
            .filter(|l| of_node(&l.from))
            .map(|l| l.frames)
            .sum();
        ensure(node.frames_in == came, || {
            format!(
                "{}: {} frames in, {came} by its links",
                node.name, node.frames_in
            )
        })?;
        ensure(node.frames_out == went + node.unlinked, || {
            format!(
                "{}: {} frames out, {went} by its links",
                node.name, node.frames_out
            )
        })?;
    }
    let sinks = report.nodes.iter().filter(|n| n.name.starts_with("sink"));
    let arrived: u64 = sinks.map(|n| n.frames_in).sum();
    ensure(arrived == notes.arrived, || {
        format!("{arrived} frames by the report, {} seen", notes.arrived)
    })
}

/// What holds of a session besides in which nothing went wrong.
fn ended_well(info: &TypeInfo, ended: &Ended, notes: &Notes) -> Result<(), String> {
    books_balance(ended, notes)?;
    if let Some(error) = &ended.error {
        return Err(format!("it refuses what it accepts: {error}"));
    }
    let report = &ended.report;
    ensure(report.links.iter().all(|l| l.dropped == 0), || {
        "frames were dropped on links that block".into()
    })?;
    // Where a node hands its frames on as they are, or lets them fall, each is one or the other.
    let outputs: Vec<_> = side(info, Direction::Output).collect();
    let inputs: Vec<_> = side(info, Direction::Input).collect();
    let forwards = inputs.iter().all(|input| {
        let port = &info.ports[*input];
        outputs.len() == 1
            && port.forwards_to == Some(outputs[0])
            && port.formats == info.ports[outputs[0]].formats
    });
    if forwards && !info.converter && !inputs.is_empty() {
        let node = report.nodes.iter().find(|n| n.name == "node");
        let node = node.ok_or("it is not in the report")?;
        ensure(node.frames_in == node.frames_out + node.dropped, || {
            format!(
                "{} frames in, {} out, {} dropped",
                node.frames_in, node.frames_out, node.dropped
            )
        })?;
    }
    Ok(())
}

fn default_is_allowed(param: &ParamInfo) -> bool {
    let number = match &param.default {
        Some(ParamValue::Float(value)) => *value,
        Some(ParamValue::Integer(value)) => *value as f64,
        Some(ParamValue::Text(text)) => {
            let ParamKind::Choice(choices) = &param.kind else {
                return true;
            };
            return choices.contains(text);
        }
        Some(ParamValue::Bool(_)) | None => return true,
    };
    param.min.is_none_or(|min| number >= min) && param.max.is_none_or(|max| number <= max)
}

#[test]
fn every_type_says_what_it_does_and_what_its_ports_and_params_are() {
    check(
        &registry(),
        |_| true,
        |node_type| {
            let info = node_type.info();
            let is_sentence = |text: &str| {
                text.chars().next().is_some_and(|c| !c.is_lowercase()) && !text.ends_with('.')
            };
            ensure(is_sentence(&info.summary), || {
                format!("its summary is {:?}", info.summary)
            })?;
            ensure(!info.ports.is_empty(), || "it has no ports".into())?;
            for port in &info.ports {
                let patterns = port.formats.join(" ");
                parse_patterns(&patterns).map_err(|e| format!("port {}: {e:?}", port.name))?;
                if let Some(output) = port.forwards_to {
                    let to = info.ports.get(output).map(|p| p.direction);
                    ensure(to == Some(Direction::Output), || {
                        format!("port {} forwards to no output", port.name)
                    })?;
                }
            }
            for param in &info.params {
                ensure(!param.help.is_empty() && !param.help.ends_with('.'), || {
                    format!("the help of param {} is {:?}", param.name, param.help)
                })?;
                ensure(default_is_allowed(param), || {
                    format!("the default of param {} is not allowed", param.name)
                })?;
                let is_number = matches!(param.kind, ParamKind::Integer | ParamKind::Float);
                ensure(
                    !is_number || (param.min.is_some() && param.max.is_some()),
                    || format!("param {} has no range", param.name),
                )?;
            }
            Ok(())
        },
    );
}

#[test]
fn every_type_is_created_with_its_defaults_or_says_which_param_it_needs() {
    let registry = registry();
    check(&registry, runs_alone, |node_type| {
        let info = node_type.info();
        let scripts = at_all_inputs(info, |_| vec![]);
        match stand::run(&registry, info, &vec![], &scripts, true, 1) {
            Ok((ended, notes)) => ended_well(info, &ended, &notes),
            Err(why) => ensure(info.params.iter().any(|p| why.contains(&p.name)), || {
                format!("it is not created, and names no param: {why}")
            }),
        }
    });
}

#[test]
fn a_type_of_a_peer_says_that_it_has_none() {
    let registry = registry();
    let config = EngineConfig {
        workers: 1,
        blocking: 1,
        ..EngineConfig::default()
    };
    let engine = Engine::start(&config).expect("threads");
    check(&registry, NodeType::is_for_peers, |node_type| {
        let info = node_type.info();
        let scripts = at_all_inputs(info, |_| vec![]);
        let (plan, _) = stand::plan(&registry, info, &vec![], &scripts, true)?;
        let (tell, ended) = mpsc::sync_channel(1);
        let started = engine.start_session(&plan, move |end| {
            let _ = tell.send(end);
        });
        match started {
            Err(error) => ensure(error.node == "node" && error.cause.contains("peer"), || {
                error.to_string()
            }),
            Ok(session) => {
                session.stop();
                let ended = ended.recv_timeout(Duration::from_secs(60));
                let ended = ended.map_err(|_| "it does not stop".to_owned())?;
                books_balance(&ended, &Notes::default())
            }
        }
    });
}

#[test]
fn every_type_that_is_given_nothing_ends_well() {
    let registry = registry();
    check_uses(&registry, |used| {
        let info = &used.info;
        for outputs in [true, false] {
            let scripts = at_all_inputs(info, |_| vec![]);
            // A source needs a link, or nothing runs.
            if outputs || !scripts.is_empty() {
                let (ended, notes) = run(&registry, used, &scripts, outputs, 2)?;
                ended_well(info, &ended, &notes)?;
            }
        }
        Ok(())
    });
}

#[test]
fn every_type_takes_what_it_accepts_and_gives_back_every_buffer() {
    let registry = registry();
    check_uses(&registry, |used| {
        let info = &used.info;
        let inputs: Vec<usize> = side(info, Direction::Input).collect();
        let accepted: Result<Vec<_>, _> = inputs
            .iter()
            .map(|port| media::accepted(&registry, &info.ports[*port]))
            .collect();
        let accepted = accepted?;
        // Every format of every input at least once; a source just runs.
        let rounds = accepted.iter().map(Vec::len).max().unwrap_or(1);
        for round in 0..rounds {
            let scripts: Vec<_> = inputs
                .iter()
                .zip(&accepted)
                .map(|(port, all)| (*port, media::script(&all[round % all.len()])))
                .collect();
            for (seed, outputs) in [(3, true), (4, true), (5, inputs.is_empty())] {
                let (ended, notes) = run(&registry, used, &scripts, outputs, seed)?;
                ended_well(info, &ended, &notes)?;
                let fed = scripts.iter().map(|(_, s)| s.len() as u64).sum::<u64>();
                let node = ended.report.nodes.iter().find(|n| n.name == "node");
                ensure(node.is_some_and(|n| n.frames_in == fed), || {
                    format!("{node:?} was given {fed} frames")
                })?;
                let has_outputs = side(info, Direction::Output).next().is_some();
                ensure(!(outputs && has_outputs) || notes.arrived > 0, || {
                    format!("nothing comes out of it in round {round}")
                })?;
            }
        }
        Ok(())
    });
}

#[test]
fn every_type_lets_pass_the_events_that_it_does_not_know() {
    let registry = registry();
    check_uses(&registry, |used| {
        let info = &used.info;
        let gap = Event {
            kind: event::kind::GAP,
            stream: event::ALL_STREAMS,
            value: 0,
        };
        let flush = Event {
            kind: event::kind::FLUSH,
            ..gap
        };
        let inputs: Vec<usize> = side(info, Direction::Input).collect();
        let mut scripts = vec![];
        for port in &inputs {
            let mut script = media::script(&media::accepted(&registry, &info.ports[*port])?[0]);
            script.insert(0, Step::Event(gap));
            script.insert(9, Step::Event(flush));
            scripts.push((*port, script));
        }
        let (ended, notes) = run(&registry, used, &scripts, true, 6)?;
        ended_well(info, &ended, &notes)?;
        if inputs.is_empty() || !notes.in_time {
            return Ok(());
        }
        // A node with several inputs chooses which of them an event concerns.
        let unknown = |(_, e): &(usize, Event)| e.kind == stand::UNKNOWN_EVENT;
        ensure(notes.upstream.iter().any(unknown), || {
            "an event that it cannot know does not reach an input".into()
        })?;
        let flushed = |(_, e): &(usize, Event)| e.kind == event::kind::FLUSH;
        ensure(
            inputs.len() > 1 || notes.in_band.iter().any(flushed),
            || "a flush does not go on to its outputs".into(),
        )
    });
}

#[test]
fn no_type_panics_or_keeps_a_buffer_whatever_it_is_given() {
    let registry = registry();
    check_uses(&registry, |used| {
        let info = &used.info;
        let inputs: Vec<usize> = side(info, Direction::Input).collect();
        // What the others are given is in order.
        let good: Result<Vec<_>, String> = inputs
            .iter()
            .map(|port| {
                let accepted = media::accepted(&registry, &info.ports[*port])?;
                Ok((*port, media::script(&accepted[0])))
            })
            .collect();
        let good = good?;
        for (at, port) in inputs.iter().enumerate() {
            let hostile = media::hostile(&registry, &info.ports[*port])?;
            for (index, units) in hostile.iter().enumerate() {
                let mut scripts = good.clone();
                scripts[at].1 = media::script(units);
                let (ended, notes) = run(&registry, used, &scripts, true, 7)?;
                books_balance(&ended, &notes)
                    .map_err(|why| format!("{} script {index}: {why}", info.ports[*port].name))?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_node_that_breaks_its_promises_is_found_out() {
    let mut registry = Registry::default();
    registry.add(&stand::plugin());
    registry.add(&culprits::plugin());
    let units: Vec<_> = (0..6)
        .map(|index| stand::Unit {
            format: Some(levada_plugin::Format::data("text/plain")),
            kind: levada_plugin::Kind::Data,
            payload: vec![1; 300],
            pts: index,
            duration_us: 0,
            key: true,
        })
        .collect();
    for (name, fault) in [
        ("panics", "panicked"),
        ("hoards", "hoards"),
        ("loses", "6 frames in, 3 out, 0 dropped"),
    ] {
        let node_type = Arc::clone(registry.node_type(name).expect("it was added"));
        let info = node_type.info();
        let (ended, notes) = stand::run(
            &registry,
            info,
            &vec![],
            &[(0, media::script(&units))],
            true,
            8,
        )
        .unwrap_or_else(|why| panic!("{name}: {why}"));
        let found = ended_well(info, &ended, &notes).expect_err(name);
        assert!(found.contains(fault), "{name}: {found}");
    }
}

/// Nodes that the suite must not let through.
mod culprits {
    use std::sync::{Mutex, PoisonError};

    use levada_plugin::{Plugin, prelude::*};

    const PORTS: &[Port] = &[Port::input("in").forwards_to(1), Port::output("out")];

    struct Panics;

    impl Node for Panics {
        const NAME: &'static str = "panics";
        const SUMMARY: &'static str = "Panics";
        const PORTS: &'static [Port] = PORTS;
        fn create(_: &Config) -> Result<Self> {
            Ok(Panics)
        }
        fn process(&mut self, _: usize, _: &mut Frames, _: &mut Context) -> Result {
            panic!("as it is meant to")
        }
    }

    struct Hoards;
    static HOARD: Mutex<Vec<Frame>> = Mutex::new(Vec::new());

    impl Node for Hoards {
        const NAME: &'static str = "hoards";
        const SUMMARY: &'static str = "Keeps frames beyond its end";
        const PORTS: &'static [Port] = PORTS;
        fn create(_: &Config) -> Result<Self> {
            Ok(Hoards)
        }
        fn process(&mut self, _: usize, frames: &mut Frames, _: &mut Context) -> Result {
            let mut hoard = HOARD.lock().unwrap_or_else(PoisonError::into_inner);
            hoard.extend(frames.drain());
            Ok(())
        }
    }

    struct Loses(bool);

    impl Node for Loses {
        const NAME: &'static str = "loses";
        const SUMMARY: &'static str = "Lets every second frame fall without a word";
        const PORTS: &'static [Port] = PORTS;
        fn create(_: &Config) -> Result<Self> {
            Ok(Loses(false))
        }
        fn process(&mut self, _: usize, frames: &mut Frames, _: &mut Context) -> Result {
            frames.replace_each(|frame| {
                self.0 = !self.0;
                self.0.then_some(frame)
            });
            Ok(())
        }
    }

    pub fn plugin() -> Plugin {
        Builtin::new("culprits", "1.0.0")
            .with::<Panics>()
            .with::<Hoards>()
            .with::<Loses>()
            .into_plugin()
    }
}
