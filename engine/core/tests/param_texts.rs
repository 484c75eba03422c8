//! What a param's text leaves open is filled in for each session.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use levada_engine::{
    Engine, EngineConfig, VirtualEngine,
    graph::{GraphBuilder, Plan},
    plugin::Registry,
};
use levada_plugin::prelude::*;

/// Refuses to be made, and says with what text.
struct Says;

impl Node for Says {
    const NAME: &'static str = "says";
    const SUMMARY: &'static str = "Says its text";
    const PORTS: &'static [Port] = &[Port::output("out")];
    const PARAMS: &'static [Param] = &[Param::text("text", "")];

    fn create(config: &Config) -> Result<Self> {
        Err(Error::new(config.text("text")?))
    }
}

struct End;

impl Node for End {
    const NAME: &'static str = "end";
    const SUMMARY: &'static str = "Takes frames";
    const PORTS: &'static [Port] = &[Port::input("in")];

    fn create(_: &Config) -> Result<Self> {
        Ok(End)
    }
}

fn plan(text: &str) -> Arc<Plan> {
    let mut registry = Registry::default();
    let plugin = Builtin::new("test", "1.0.0")
        .with::<Says>()
        .with::<End>()
        .into_plugin();
    registry.add(&plugin);
    let mut graph = GraphBuilder::new("texts");
    graph.node("says", "says").param("text", text);
    graph.node("end", "end");
    graph.link("says -> end.in");
    let graph = graph.build(&registry);
    let graph = graph.unwrap_or_else(|problems| panic!("{problems}"));
    Arc::new(Plan::new(graph, &registry).expect("the registry has all types"))
}

#[test]
fn on_a_virtual_clock_the_time_is_that_of_the_clock_so_that_runs_repeat() {
    let mut engine = VirtualEngine::new(&EngineConfig::default(), 1);
    engine.drive_for(Duration::from_secs(3_661));
    let refused = engine.start_session(&plan("tape-{time}"), |_| {}).err();
    let says = refused.map(|e| e.cause).unwrap_or_default();
    assert_eq!(says, "tape-1970-01-01T01-01-01");
}

#[test]
fn on_the_real_clock_the_time_is_the_date_and_a_session_has_its_number() {
    let config = EngineConfig {
        workers: 1,
        blocking: 1,
        ..EngineConfig::default()
    };
    let engine = Engine::start(&config).expect("it starts");
    let says = |text| {
        let refused = engine.start_session(&plan(text), |_| {}).err();
        refused.map(|e| e.cause).unwrap_or_default()
    };
    let [first, second] = [says("{session}"), says("{session}")].map(|n| n.parse::<u64>());
    assert!(first.expect("a number") < second.expect("a number"));
    // Days of 1970 are years ago, so the year says that it is the date.
    let year = says("{time}").split('-').next().map(str::parse::<u64>);
    let since = SystemTime::UNIX_EPOCH.elapsed().map(|it| it.as_secs());
    let years = since.expect("it is later than 1970") as f64 / 86_400.0 / 365.2425;
    let year = year.and_then(Result::ok).expect("it begins with the year");
    assert!((year as f64 - 1970.0 - years).abs() <= 1.0, "{year}");
}
