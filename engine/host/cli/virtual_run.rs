//! `levada run --clock virtual`: runs a graph without waiting, in an order that a seed repeats.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, mpsc},
    time::Duration,
};

use levada::engine::{EngineConfig, Report, Rest, Session, VirtualEngine, graph::Plan};

use super::{
    Failure,
    run::{DRAIN, ctrl_c},
    say,
};

/// Draws a seed.
pub fn draw_seed() -> u64 {
    // What keys the standard library's maps is random; 32 bits can be read out and typed again.
    RandomState::new().hash_one(()) >> 32
}

/// What a run on a virtual clock came to.
pub struct Finished {
    pub report: Report,
    /// Why it is a failure although no node failed.
    pub stuck: Option<Failure>,
}

/// Runs a graph without peers on the calling thread. `time` is virtual.
pub fn run(plan: &Arc<Plan>, seed: u64, time: Option<Duration>) -> Result<Finished, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(Failure::new)?;
    let mut engine = VirtualEngine::new(&EngineConfig::default(), seed);
    let (tell, told) = mpsc::sync_channel(1);
    let session = engine
        .start_session(plan, move |ended| {
            // The receiver lives until the session has ended or is given up.
            let _ = tell.send(ended.report);
        })
        .map_err(|error| Failure::new(format!("levada: {error}")))?;
    let name = &plan.graph().name;
    say(&format!(
        "levada: {name} is running on a virtual clock, seed {seed}. Ctrl-C ends."
    ));
    runtime.spawn(end_on_ctrl_c(session.clone()));
    let rest = match time {
        Some(time) => engine.drive_for(time),
        None => engine.drive(),
    };
    let mut stuck = None;
    let mut report = told.try_recv().ok();
    if report.is_none() {
        stuck = (rest == Rest::Idle).then(|| explain(&session));
        session.stop();
        engine.drive_for(DRAIN);
        report = told.try_recv().ok();
    }
    if report.is_none() {
        say("levada: the graph did not drain and is ended without");
        session.abort();
        engine.drive();
        report = told.try_recv().ok();
    }
    // An abort needs nothing from outside; should it not have done all the same, this is what there is.
    let report = report.unwrap_or_else(|| session.report());
    Ok(Finished { report, stuck })
}

/// As on the real clock: the first Ctrl-C drains, the second does not.
async fn end_on_ctrl_c(session: Arc<Session>) {
    ctrl_c().await;
    session.stop();
    ctrl_c().await;
    session.abort();
}

fn explain(session: &Session) -> Failure {
    let sources: Vec<String> = session
        .open_sources()
        .iter()
        .map(|source| format!("\"{source}\""))
        .collect();
    let waits = match &sources[..] {
        [] => "a node".to_owned(),
        [one] => format!("node {one}"),
        many => format!("each of the nodes {}", many.join(", ")),
    };
    Failure::new(format!(
        "levada: nothing was left to do before the graph had ended: {waits} waits for something from outside, \
         such as a thread of its own, which a virtual clock cannot put in order; run this graph with --clock real"
    ))
}
