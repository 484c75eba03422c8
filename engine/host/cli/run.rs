//! `levada run`: runs a graph.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::Args;
use levada::{
    Loss, WebRtcConfig,
    engine::{Engine, EngineConfig, Report, graph::Plan},
    report,
    serve::PeerHost,
    signaling::{Mode, Server, ServerConfig},
};
use tokio::sync::oneshot;

use super::{Failure, Outcome, load, print_json, say};

/// How long a session may drain at the end.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs a graph and says what it did.
///
/// It runs until it ends by itself, the duration is over, or Ctrl-C. A graph with WebRTC nodes is a template: the command starts a web server, prints its URL, and gives
/// every browser that opens it a session of its own.
#[derive(Args)]
pub struct Run {
    /// The graph file, such as examples/echo.toml.
    graph: PathBuf,
    /// Where the web server listens, for a graph with WebRTC nodes; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDR")]
    listen: SocketAddr,
    /// Sets a param, as `node.param=value`; may be repeated.
    #[arg(long, value_name = "NODE.PARAM=VALUE")]
    set: Vec<String>,
    /// Ends the run after this time, such as `10s`, `500ms` or `2m`.
    #[arg(long, value_parser = duration, value_name = "TIME")]
    duration: Option<Duration>,
    /// Prints the final report as JSON on stdout.
    #[arg(long)]
    json: bool,
    /// Lets pages of this origin (such as `https://media.example.com`) use the server as well; may be
    /// repeated.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
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
    let plan = load(&args.graph, &args.set, false)?.plan;
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::new)?;
    let engine = Engine::start(&EngineConfig::default()).map_err(Failure::new)?;
    let report = runtime.block_on(async {
        if plan.is_template() {
            serve(args, plan, engine).await
        } else {
            once(args, &plan, &engine).await
        }
    })?;
    say(&report::run(&report));
    if args.json {
        print_json(&report)?;
    }
    // A template serves many peers, and one of them failing is in the report; a graph that runs once
    // and fails has not done what was asked.
    if report.failed > 0 && report.sessions == report.failed {
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
    tokio::select! {
        ended = &mut ended => return ended.map(|e| e.report).map_err(Failure::new),
        () = end_of(args.duration) => session.stop(),
    }
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
async fn serve(args: &Run, plan: Arc<Plan>, engine: Engine) -> Result<Report, Failure> {
    let name = plan.graph().name.clone();
    let loss = Loss::from_env().map_err(|error| Failure::new(format!("levada: {error}")))?;
    let host = PeerHost::new(
        engine,
        plan,
        WebRtcConfig {
            loss,
            ..WebRtcConfig::default()
        },
    );
    let mut config = ServerConfig::new(args.listen, Mode::Host(host.clone()));
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
