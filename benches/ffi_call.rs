//! What does a call into a loaded plugin cost?
//!
//! One node that looks at one frame, called as a plain function, through `Box<dyn>`, through its
//! function table linked into the program, and through that table in a library that was loaded as
//! every plugin is (inspected, tried in a child process, opened). The last two run the kit's panic
//! guard and answer a status.

mod support;

use std::{hint::black_box, path::PathBuf, time::Duration};

use criterion::Criterion;
use levada_engine::{
    frame::pool::Pool,
    plugin::{load, trial},
    services,
};
use levada_plugin::Frame;
use support::{
    AUDIO, Pass,
    build::build,
    frame, plugin,
    raw::RawChain,
    table::{self, Contender, cell, timed},
};

/// Builds the plugin, and returns its library's path.
fn library() -> PathBuf {
    let name = format!(
        "{}levada_bench_plugin{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    build(&["--package", "levada-bench-plugin"]).join(name)
}

#[inline(never)]
fn look(node: &mut Pass, frame: &mut Frame) {
    node.look(frame.pts());
}

trait Look {
    fn look_at(&mut self, frame: &mut Frame) -> Result<(), levada_plugin::Error>;
}

impl Look for Pass {
    fn look_at(&mut self, frame: &mut Frame) -> Result<(), levada_plugin::Error> {
        self.look(frame.pts());
        Ok(())
    }
}

fn table_call<'a>(name: &'static str, mut node: RawChain, frame: &Frame) -> Contender<'a> {
    let mut slot = frame.clone().into_abi();
    Contender::new(name, move |count| {
        timed(|| (0..count).for_each(|_| node.run(black_box(std::slice::from_mut(&mut slot)))))
    })
}

const NAMES: [&str; 4] = ["function", "Box<dyn>", "linked", "loaded"];

fn contenders<'a>(loaded: &levada_abi::Plugin, frame: &Frame) -> Vec<Contender<'a>> {
    let (mut node, mut first) = (Pass::default(), frame.clone());
    let (mut boxed, mut second): (Box<dyn Look>, _) =
        (black_box(Box::<Pass>::default()), frame.clone());
    vec![
        Contender::new(NAMES[0], move |count| {
            timed(|| (0..count).for_each(|_| look(&mut node, black_box(&mut first))))
        }),
        Contender::new(NAMES[1], move |count| {
            timed(|| {
                for _ in 0..count {
                    assert!(boxed.look_at(black_box(&mut second)).is_ok());
                }
            })
        }),
        table_call(NAMES[2], RawChain::new(&plugin(), &["pass"]), frame),
        table_call(NAMES[3], RawChain::new(loaded, &["pass"]), frame),
    ]
}

fn main() {
    // The trial of a plugin starts this program again.
    trial::serve_if_asked();
    let loaded = load(&library(), services::host()).unwrap_or_else(|error| panic!("{error}"));
    let frame = frame(&Pool::new(1 << 20), AUDIO);
    let mut contenders = contenders(&loaded.plugin, &frame);

    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for contender in &mut contenders {
        criterion.bench_function(&format!("ffi_call/{}", contender.name), |b| {
            b.iter_custom(|n| (contender.measure)(n));
        });
    }
    criterion.final_summary();
    if table::is_wanted() {
        let outcome = table::compare(&mut contenders);
        let rows = NAMES.map(|name| {
            vec![
                name.to_owned(),
                cell(outcome.ns(name), ""),
                cell(outcome.ratio(name, NAMES[0]), "x"),
                cell(outcome.ratio(name, NAMES[2]), "x"),
            ]
        });
        table::print(
            "CPU ns a call with one frame, medians of interleaved rounds",
            &["call", "ns", "to a plain function", "to a linked node"],
            &rows,
        );
    }
}
