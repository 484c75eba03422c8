//! `levada run`: runs a graph.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum, error::ErrorKind};
use levada::{
    Loss, Template, WebRtcConfig,
    engine::{
        Engine, EngineConfig, Report,
        graph::{Plan, SetParam},
    },
    report,
    serve::PeerHost,
    signaling::{Mode, Server, ServerConfig},
};
use tokio::sync::oneshot;

use super::{
    Failure, Outcome, load, print_json,
    progress::{Far, Progress},
    say, set_param, virtual_run,
};

/// Where the web server listens when nothing else is said.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// How long a session may drain at the end.
pub const DRAIN: Duration = Duration::from_secs(10);

/// Runs a graph and says what it did.
///
/// It runs until it ends by itself, the duration is over, or Ctrl-C. Where a node knows how much there is to do, as that
/// which plays a file, a bar shows how far it has come, or a line every few seconds where stderr is no terminal. A graph with WebRTC nodes is a template: the command starts a web server, prints its URL, and gives
/// every browser that opens it a session of its own.
///
/// With --clock virtual, a graph without WebRTC nodes runs as fast as its nodes work: a tone of a minute takes
/// less than a second. All happens on one thread, in an order drawn from --seed; the same seed repeats the
/// run, call by call, so that what went wrong once can be looked at again.
#[derive(Args)]
pub struct Run {
    /// The graph file, such as examples/echo.toml.
    graph: PathBuf,
    /// Where the web server listens, for a graph with WebRTC nodes; port 0 takes a free one
    /// [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Sets a param, as `node.param=value`; may be repeated.
    #[arg(long, value_parser = set_param, value_name = "NODE.PARAM=VALUE")]
    set: Vec<SetParam>,
    /// Ends the run after this time of its clock, such as `10s`, `500ms` or `2m`.
    #[arg(long, value_parser = duration, value_name = "TIME")]
    duration: Option<Duration>,
    /// The clock that the graph follows.
    #[arg(long, value_enum, default_value = "real")]
    clock: Clock,
    /// With --clock virtual: the number that the order is drawn from. Without it one is chosen and printed.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Prints the final report as JSON on stdout.
    #[arg(long)]
    json: bool,
    /// Fails when a node lets out a payload in memory that it was not given, without having declared a
    /// copy; names the node and the link. It takes time.
    #[arg(long)]
    assert_zero_copy: bool,
    /// Lets pages of this origin (such as `https://media.example.com`) use the server as well; may be
    /// repeated.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Clock {
    /// The time of day; a graph runs at its pace
    Real,
    /// Time that passes as fast as the nodes work; a seed repeats the run
    Virtual,
}

impl Run {
    /// Ends the program where flags do not go together.
    fn check_usage(&self) {
        if self.seed.is_some() && self.clock == Clock::Real {
            let wrong =
                "--seed goes with --clock virtual only: the real clock's order is nobody's choice";
            Run::augment_args(clap::Command::new("levada run"))
                .error(ErrorKind::ArgumentConflict, wrong)
                .exit();
        }
    }

    /// Names the flags that mean nothing to a graph without WebRTC nodes, where they are given.
    fn tell_unused(&self, plan: &Plan) {
        if plan.is_template() {
            return;
        }
        let given = [
            ("--listen", self.listen.is_some()),
            ("--allow-origin", !self.allow_origin.is_empty()),
        ];
        for (flag, _) in given.iter().filter(|(_, is_given)| *is_given) {
            say(&format!(
                "levada: {flag} does nothing here: {} has no WebRTC nodes, and so no web server",
                plan.graph().name
            ));
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let split = text
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("write a number and ms, s, m or h, such as 10s".into()),
    };
    let number: f64 = number
        .parse()
        .map_err(|_| "write a number and ms, s, m or h, such as 10s")?;
    Duration::try_from_secs_f64(number * seconds).map_err(|e| e.to_string())
}

/// Ready when the user asks to end, by Ctrl-C or by the system's request to terminate.
pub async fn ctrl_c() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

pub fn run(args: &Run) -> Outcome {
    args.check_usage();
    let loaded = load(&args.graph, &args.set, false)?;
    let plan = loaded.plan;
    args.tell_unused(&plan);
    if args.clock == Clock::Virtual {
        let seed = args.seed.unwrap_or_else(virtual_run::draw_seed);
        let finished = virtual_run::run(&plan, seed, args.duration)?;
        tell(args, &finished.report, Some(seed))?;
        return finished.stuck.map_or(Ok(()), Err);
    }
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::new)?;
    let engine = Engine::start(&EngineConfig {
        assert_zero_copy: args.assert_zero_copy,
        ..EngineConfig::default()
    })
    .map_err(Failure::new)?;
    let mut report = runtime.block_on(async {
        if plan.is_template() {
            serve(args, loaded.template, engine.clone()).await
        } else {
            once(args, &plan, &engine).await
        }
    })?;
    // By now the connections are closed as well, and with them what was still to be sent.
    engine.update_leaks(&mut report);
    tell(args, &report, None)
}

/// Prints what a run did, and fails where the graph did.
fn tell(args: &Run, report: &Report, seed: Option<u64>) -> Outcome {
    say(&report::run(report));
    if let Some(seed) = seed {
        say(&format!(
            "virtual clock: --clock virtual --seed {seed} repeats this run"
        ));
    }
    if args.json {
        print_json(report)?;
    }
    // A template serves many peers, and one of them failing is in the report; a graph that runs once
    // and fails has not done what was asked. Where no session may copy, one that fails is one too many.
    if report.failed > 0 && (args.assert_zero_copy || report.sessions == report.failed) {
        return Err(Failure::new(
            "levada: the graph failed; the log above names the node",
        ));
    }
    Ok(())
}

/// Ready when the run is to end: the time is over, or the user asks.
async fn end_of(duration: Option<Duration>) {
    match duration {
        Some(duration) => {
            tokio::select! {
                () = tokio::time::sleep(duration) => {}
                () = ctrl_c() => {}
            }
        }
        None => ctrl_c().await,
    }
}

/// Runs a graph without peers: one session.
async fn once(args: &Run, plan: &Arc<Plan>, engine: &Engine) -> Result<Report, Failure> {
    let (tell, mut ended) = oneshot::channel();
    let session = engine
        .start_session(plan, move |ended| {
            // The receiver lives until the session has ended or is given up.
            let _ = tell.send(ended);
        })
        .map_err(|error| Failure::new(format!("levada: {error}")))?;
    say(&format!(
        "levada: {} is running. Ctrl-C ends.",
        plan.graph().name
    ));
    {
        let progress = Progress::start();
        let mut looks = progress.looks();
        let asked = end_of(args.duration);
        tokio::pin!(asked);
        loop {
            tokio::select! {
                ended = &mut ended => {
                    let report = ended.map(|e| e.report).map_err(Failure::new)?;
                    progress.end(&report);
                    return Ok(report);
                }
                () = &mut asked => break,
                _ = looks.tick() => progress.show(&session.report()),
            }
        }
    }
    if let Some(far) = Far::of(&session.report()) {
        say(&format!(
            "levada: stopped at {far}; what was made up to here is brought to its end"
        ));
    }
    session.stop();
    let drained = tokio::select! {
        drained = tokio::time::timeout(DRAIN, &mut ended) => drained.ok(),
        () = ctrl_c() => None,
    };
    match drained {
        Some(ended) => ended.map(|e| e.report).map_err(Failure::new),
        None => {
            say("levada: the graph did not drain and is ended without");
            session.abort();
            ended.await.map(|e| e.report).map_err(Failure::new)
        }
    }
}

/// Serves a session to each peer.
async fn serve(args: &Run, template: Template, engine: Engine) -> Result<Report, Failure> {
    let name = template.plan().graph().name.clone();
    let loss = Loss::from_env().map_err(|error| Failure::new(format!("levada: {error}")))?;
    let host = PeerHost::new(
        engine,
        template,
        WebRtcConfig {
            loss,
            ..WebRtcConfig::default()
        },
    );
    let mut config = ServerConfig::new(args.listen.unwrap_or(LISTEN), Mode::Host(host.clone()));
    config.allowed_origins.clone_from(&args.allow_origin);
    let server = Server::bind(config)
        .await
        .map_err(|error| Failure::new(format!("levada: {error}")))?;
    say(&format!(
        "levada: {name} is running. Open http://{} in a browser. Ctrl-C ends.",
        server.local_addr()
    ));
    server.run(end_of(args.duration)).await;
    Ok(host.end().await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["10", "s", "-1s", "10 parsecs", "1e400s", ""] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
