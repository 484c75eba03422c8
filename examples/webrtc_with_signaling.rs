//! Echoes what a browser sends, by way of a signaling server.
//!
//! 1. `levada signal` in one terminal,
//! 2. `cargo run --release --example webrtc_with_signaling` in another,
//! 3. `http://127.0.0.1:8765` in a browser.
//!
//! The first argument is another server's URL, if it is not `ws://127.0.0.1:8765/ws`.

use std::io::IsTerminal;

use levada::{Pipeline, TransformNode, WebRtcConfig, WebRtcManager};
use tracing::info;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let url = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "ws://127.0.0.1:8765/ws".into());

    let manager = WebRtcManager::new(WebRtcConfig::default())?;
    let pipeline = Pipeline::new([
        manager.create_source_node(),
        TransformNode::new(|frame| {
            info!(kind = ?frame.kind(), "echoing");
            Some(frame)
        }),
        manager.create_sink_node(),
    ]);
    tokio::select! {
        result = manager.run_with_signaling(pipeline, &url) => result?,
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(())
}
