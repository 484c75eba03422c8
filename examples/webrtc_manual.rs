//! A WebRTC connection made by hand, from end to end, which checks itself:
//!
//! `cargo run --release --example webrtc_manual`
//!
//! ```text
//!  this process                                                     a process of its own
//!  film --+-- pictures, as they are --------+                       signaling server
//!         +-- sound, AAC -> Opus -----------+-> offerer --- POST /offer ---> |
//!  verified <-- what came back <--------------- offerer                      |
//!                            echo <-> answerer ------------ /ws -----------> |
//! ```
//!
//! Two `WebRtcManager`s exchange their descriptions over HTTP with the by-hand calls. The offerer sends a film's pictures
//! and sound, the answerer echoes what comes, and the offerer compares what returns with what it sent, unit by unit.
//! Prints a table and exits with 0 if everything came back unchanged and in order, else with 1.

use std::{path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use clap::Parser;
use levada::{
    Loss, Pipeline, PipelineNode, TransformNode, WebRtcConfig, WebRtcManager,
    signaling::{self as signal, ConnectOptions, Message},
};
use tokio::{sync::watch, time::timeout};

#[path = "webrtc_manual/signaling.rs"]
mod signaling;
#[path = "webrtc_manual/stun.rs"]
mod stun;
#[path = "webrtc_manual/verdict.rs"]
mod verdict;

use signaling::{Process, post_offer};
use stun::Stun;
use verdict::{Record, of_packet, of_picture};

/// Whatever went wrong, in words.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// For the connection to come up, once the descriptions are exchanged.
const CONNECT: Duration = Duration::from_secs(20);
/// The film is over, and all that comes back has come, when nothing has moved for this long.
const QUIET: Duration = Duration::from_secs(2);

/// Sends a film through a WebRTC connection and back, and checks what returns.
#[derive(Parser)]
struct Args {
    /// The film: an MP4 with H.264 and AAC in it.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/sample.mp4"))]
    file: PathBuf,
    /// The STUN server; one that does not answer costs at most 3 s.
    #[arg(
        long,
        value_parser = stun::url,
        default_value = "stun:stun.l.google.com:19302",
        value_name = "URL"
    )]
    stun: String,
    /// Is the signaling server, for the process that started this one.
    #[arg(long, hide = true)]
    signaling: bool,
}

fn main() -> ExitCode {
    // This program loads a plugin, which is tried in a process of its own first: this program again.
    levada::engine::plugin::trial::serve_if_asked();
    let args = Args::parse();
    match main_of(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("webrtc_manual: {error}");
            ExitCode::FAILURE
        }
    }
}

fn main_of(args: &Args) -> Result<bool, Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    let outcome = runtime.block_on(async {
        if args.signaling {
            signaling::serve().await.map(|()| true)
        } else {
            run(args).await
        }
    });
    // A name that is still being looked up is not worth waiting for.
    runtime.shutdown_background();
    outcome
}

async fn run(args: &Args) -> Result<bool, Failure> {
    let aac = concat!(env!("CARGO_MANIFEST_DIR"), "/plugins/aac");
    let aac = tokio::task::spawn_blocking(|| levada::load_crate(aac.as_ref())).await??;
    let server = Process::start().await?;
    let mut stun = Stun::find(&args.stun).await;
    // For the test that what is lost is told.
    let loss = Loss::from_env()?;
    let manager = |stun: &Stun| {
        WebRtcManager::new(WebRtcConfig {
            ice_servers: stun.servers(),
            loss: loss.clone(),
            ..WebRtcConfig::default()
        })
    };
    let offerer = manager(&stun)?;

    let (progress, mut progressed) = watch::channel(());
    let pictures = Arc::new(Record::new(of_picture, &progress));
    let sound = Arc::new(Record::new(of_packet, &progress));
    let film = args.file.to_str().ok_or("the film's path is no UTF-8")?;
    let call = Pipeline::named("call")
        .plugin(&aac)
        .node("film", PipelineNode::new("file-source").param("path", film))
        .node("pictures", note(&pictures, "video/h264", Record::sent))
        .node("sound", note(&sound, "audio/opus", Record::sent))
        .node("out", offerer.create_sink_node())
        .link("film.video -> pictures -> out.video")
        .link("film.audio -> sound -> out.audio")
        .node("in", offerer.create_source_node())
        .node(
            "pictures-back",
            note(&pictures, "video/h264", Record::returned),
        )
        .node("sound-back", note(&sound, "audio/opus", Record::returned))
        .node("pictures-end", PipelineNode::new("null"))
        .node("sound-end", PipelineNode::new("null"))
        .link("in.video -> pictures-back -> pictures-end")
        .link("in.audio -> sound-back -> sound-end");

    // The echo waits for the connection; the film begins when it is up.
    offerer.prepare(&call).await?;
    offerer.create_offer().await?;
    let offer = stun.gathered(&offerer).await?;
    // The other side comes after that: a server that does not answer is waited for once.
    let answerer = manager(&stun)?;
    let echo = Pipeline::new([
        answerer.create_source_node(),
        TransformNode::new(Some),
        answerer.create_sink_node(),
    ]);

    answerer.start(&echo).await?;
    connect(&offerer, offer, &answerer, &server, &mut stun).await?;
    offerer.start(&call).await?;
    while timeout(QUIET, progressed.changed())
        .await
        .is_ok_and(|changed| changed.is_ok())
    {}
    tokio::join!(offerer.close(), answerer.close());

    let verdicts = [("pictures", pictures.verdict()), ("sound", sound.verdict())];
    println!("film       {film}");
    println!("converted  {}", converted(&call)?);
    println!(
        "signaling  http://{}, process {}",
        server.address(),
        server.id()
    );
    println!("stun       {}", stun.line());
    println!();
    println!("              sent  returned  verified  gaps  displaced  altered");
    for (name, verdict) in &verdicts {
        println!("{name:<10} {verdict}");
    }
    server.end().await?;
    Ok(verdicts.iter().all(|(_, verdict)| verdict.is_good()))
}

/// A node that notes each frame, and lets it pass.
fn note(record: &Arc<Record>, formats: &str, how: fn(&Record, &[u8])) -> PipelineNode {
    let record = record.clone();
    TransformNode::of(formats, move |frame| {
        how(&record, frame.payload());
        Some(frame)
    })
}

/// Which nodes the engine inserted into the call.
fn converted(call: &Pipeline) -> Result<String, Failure> {
    let plan = call.plan()?;
    let nodes = plan.graph().nodes.iter();
    let inserted = nodes.filter(|node| node.inserted.is_some());
    let names: Vec<&str> = inserted.map(|node| node.type_name.as_str()).collect();
    Ok(match names.is_empty() {
        true => "nothing".into(),
        false => format!("the sound, by {}", names.join(" and ")),
    })
}

/// Exchanges the descriptions by way of the server, and waits until both sides are connected.
async fn connect(
    offerer: &WebRtcManager,
    offer: String,
    answerer: &WebRtcManager,
    server: &Process,
    stun: &mut Stun,
) -> Result<(), Failure> {
    // The answerer is in its room before the offer comes.
    let url = server.socket_url();
    let mut link = signal::connect(&url, None, ConnectOptions::default()).await?;
    let answering = async {
        let sdp = match link.rx.recv().await {
            Some(Message::Offer { sdp }) => sdp,
            Some(other) => return Err(format!("{other:?} came where an offer belongs").into()),
            None => return Err("the signaling server left".into()),
        };
        answerer.handle_offer_and_create_answer(&sdp).await?;
        let sdp = stun.gathered(answerer).await?;
        link.tx.send(Message::Answer { sdp }).await?;
        Ok::<(), Failure>(())
    };
    let (answer, ()) = tokio::try_join!(post_offer(server.address(), offer), answering)?;
    offerer.handle_answer(&answer).await?;
    timeout(CONNECT, async {
        tokio::try_join!(
            offerer.wait_for_connection(),
            answerer.wait_for_connection()
        )
    })
    .await
    .map_err(|_| format!("no connection came up in {} s", CONNECT.as_secs()))??;
    Ok(())
}
