//! Random graphs, of which the same things must hold as of any graph: every frame is accounted for, in
//! order along each link; each node lives one life; the session comes to its end, and holds nothing then.
//!
//! Cases are numbered, and a number always stands for the same graph. What fails is shrunk and printed:
//! `LEVADA_CASE=1234 cargo test -p levada-engine --test random_graphs` runs that case alone, on the
//! virtual clock call by call as it was. `LEVADA_SECONDS=600` looks for longer, `LEVADA_FIRST_CASE=5000`
//! elsewhere. `cargo test -p levada-engine --release --test random_graphs -- --ignored --nocapture stress`
//! runs a hundred graphs for two seconds each.

#[path = "random_graphs/check.rs"]
mod check;
#[path = "random_graphs/feed.rs"]
mod feed;
#[path = "random_graphs/filter.rs"]
mod filter;
#[path = "random_graphs/ledger.rs"]
mod ledger;
#[path = "random_graphs/nodes.rs"]
mod nodes;
#[path = "random_graphs/run.rs"]
mod run;
#[path = "random_graphs/sink.rs"]
mod sink;
#[path = "random_graphs/sources.rs"]
mod sources;
#[path = "random_graphs/spec.rs"]
mod spec;

use std::{
    sync::Once,
    time::{Duration, Instant},
};

use levada_engine::{Engine, EngineConfig};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use run::{Verdict, on_engine, on_threads, on_virtual_clock};
use spec::{Ending, Length, Spec, spec};

/// Runs of a failing case's smaller relatives.
const MAX_SHRINKS: usize = 500;

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

/// The graph that a number stands for.
fn tree(case: u64, length: Length) -> Box<dyn ValueTree<Value = Spec>> {
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&case.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let tree = spec(length).boxed().new_tree(&mut runner);
    tree.expect("nothing is filtered out")
}

/// Nodes panic because they are told to; only other panics are worth a line.
fn hush_told_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let told = info.payload().downcast_ref::<&str>();
            if told.is_none_or(|text| !text.starts_with("told to")) {
                loud(info);
            }
        }));
    });
}

/// Runs cases for as long as the test may take; fails with the smallest graph for which `run` does.
fn for_all(what: &str, run: impl Fn(&Spec) -> Verdict) {
    hush_told_panics();
    let one = setting("LEVADA_CASE");
    let first = one.or(setting("LEVADA_FIRST_CASE")).unwrap_or(0);
    let end = Instant::now() + Duration::from_secs(setting("LEVADA_SECONDS").unwrap_or(6));
    let (mut ran, mut refused) = (0, 0);
    for case in first.. {
        // Every fourth graph goes on until it is stopped.
        let length = [Length::Short, Length::Endless][usize::from(case % 4 == 3)];
        let mut tree = tree(case, length);
        let verdict = run(&tree.current());
        if !verdict.is_right() {
            let (smallest, verdict) = shrink(&mut *tree, verdict, &run);
            panic!(
                "{what}: case {case} (LEVADA_CASE={case}), made smaller:\n{smallest}\n{verdict}"
            );
        }
        ran += 1;
        refused += u64::from(matches!(verdict, Verdict::Refused));
        if one.is_some() || Instant::now() >= end {
            break;
        }
    }
    println!("{what}: {ran} graphs, {refused} of them refused, from case {first}");
    assert!(refused * 2 <= ran || one.is_some(), "few of the graphs ran");
}

/// Makes a failing graph smaller as long as it fails.
fn shrink(
    tree: &mut dyn ValueTree<Value = Spec>,
    verdict: Verdict,
    run: impl Fn(&Spec) -> Verdict,
) -> (Spec, Verdict) {
    let mut smallest = (tree.current(), verdict);
    let mut goes_on = tree.simplify();
    for _ in 0..MAX_SHRINKS {
        // A session that hangs keeps its threads, and the test waiting.
        if !goes_on || smallest.1.is_costly() {
            break;
        }
        let verdict = run(&tree.current());
        goes_on = if verdict.is_right() {
            tree.complicate()
        } else {
            smallest = (tree.current(), verdict);
            tree.simplify()
        };
    }
    smallest
}

#[test]
fn on_a_virtual_clock_every_frame_is_accounted_for_and_every_run_ends() {
    for_all("virtual clock", on_virtual_clock);
}

#[test]
fn on_a_virtual_clock_every_graph_repeats_by_its_seed() {
    for_all("virtual clock, twice", |spec| {
        match (on_virtual_clock(spec), on_virtual_clock(spec)) {
            (
                Verdict::Right { trace, report, .. },
                Verdict::Right {
                    trace: trace_again,
                    report: report_again,
                    ..
                },
            ) if trace != trace_again || report != report_again => Verdict::Wrong(vec![
                "the same seed made another run".into(),
                report,
                report_again,
            ]),
            (verdict, _) => verdict,
        }
    });
}

#[test]
fn on_threads_every_frame_is_accounted_for_and_every_run_ends() {
    for_all("threads", on_threads);
}

/// What the sessions of one graph came to.
#[derive(Default)]
struct Tally {
    sessions: u64,
    failed: u64,
    frames: u64,
    wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, verdict: &Verdict) {
        self.sessions += 1;
        match verdict {
            Verdict::Right { frames, failed, .. } => {
                self.frames += frames;
                self.failed += u64::from(*failed);
            }
            Verdict::Refused => self.failed += 1,
            wrong => self.wrong.push(wrong.to_string()),
        }
    }
}

/// Runs sessions of one graph one after the other until `end`, each stopped at a moment of its own.
fn stress_one(engine: &Engine, spec: &Spec, end: Instant, mut moment: u64) -> Tally {
    let (mut spec, mut tally) = (spec.clone(), Tally::default());
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() || !tally.wrong.is_empty() {
            return tally;
        }
        // The fractional parts of multiples of the golden ratio are spread evenly.
        moment = moment.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let share = moment as f64 / u64::MAX as f64;
        // Most sessions are short, so that many stops fall on many states.
        spec.ending = Ending::Stop((left.as_micros() as f64 * share.powi(4)) as u64);
        tally.add(&on_engine(engine, &spec));
    }
}

/// Sessions of a graph that run side by side.
const SIDE_BY_SIDE: u64 = 3;

#[test]
#[ignore = "takes four minutes"]
fn stress_a_hundred_graphs_that_never_end_by_themselves_stop_when_they_are_told() {
    hush_told_panics();
    let start = || Engine::start(&EngineConfig::default()).expect("the system has threads left");
    let mut engine = start();
    let seconds = setting("LEVADA_SECONDS").unwrap_or(2);
    let first = setting("LEVADA_CASE")
        .or(setting("LEVADA_FIRST_CASE"))
        .unwrap_or(0);
    let graphs = setting("LEVADA_CASE").map_or(100, |_| 1);
    let (mut ran, mut all) = (0, Tally::default());
    for case in first.. {
        if ran == graphs {
            break;
        }
        let spec = tree(case, Length::Endless).current();
        if spec.plan(true).is_none() {
            continue;
        }
        ran += 1;
        let end = Instant::now() + Duration::from_secs(seconds);
        let tallies: Vec<Tally> = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..SIDE_BY_SIDE)
                .map(|at| {
                    scope.spawn({
                        let engine = &engine;
                        let spec = &spec;
                        move || stress_one(engine, spec, end, case * SIDE_BY_SIDE + at)
                    })
                })
                .collect();
            runs.into_iter()
                .map(|run| run.join().expect("a run does not panic"))
                .collect()
        });
        let (mut sessions, mut frames, mut failed) = (0, 0, 0);
        for tally in tallies {
            (sessions, frames, failed) = (
                sessions + tally.sessions,
                frames + tally.frames,
                failed + tally.failed,
            );
            for wrong in tally.wrong {
                println!("case {case}:\n{spec}\n{wrong}");
                all.wrong.push(format!("case {case}"));
                // What hangs keeps its threads.
                std::mem::forget(std::mem::replace(&mut engine, start()));
            }
        }
        println!(
            "graph {ran} (case {case}): {} nodes, {} links, {sessions} sessions, {failed} of them failed as told, \
             {frames} frames",
            spec.nodes.len(),
            spec.links.len()
        );
        (all.sessions, all.frames, all.failed) = (
            all.sessions + sessions,
            all.frames + frames,
            all.failed + failed,
        );
    }
    println!(
        "{ran} graphs, {} sessions, {} of them failed as told, {} frames, wrong: {:?}",
        all.sessions, all.failed, all.frames, all.wrong
    );
    assert!(all.wrong.is_empty(), "see above");
}
