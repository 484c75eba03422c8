//! `levada signal`: the signaling server alone.

use std::net::SocketAddr;

use clap::Args;
use levada::signaling::{Mode, Server, ServerConfig};

use super::{Failure, Outcome, run::ctrl_c, say};

/// Relays signaling between a page and an application, and serves the page.
///
/// Two peers of a room exchange their descriptions through it; media never passes.
#[derive(Args)]
pub struct Signal {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8765", value_name = "ADDR")]
    listen: SocketAddr,
    /// Lets pages of this origin (such as `https://media.example.com`) use the server as well; may be
    /// repeated.
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
}

pub fn signal(args: &Signal) -> Outcome {
    let runtime = tokio::runtime::Runtime::new().map_err(Failure::new)?;
    runtime.block_on(async {
        let mut config = ServerConfig::new(args.listen, Mode::Relay);
        config.allowed_origins.clone_from(&args.allow_origin);
        let server = Server::bind(config).await.map_err(|e| Failure::new(format!("levada: {e}")))?;
        let at = server.local_addr();
        say(&format!(
            "levada: signaling at ws://{at}/ws; open http://{at} in a browser once an application has joined. Ctrl-C ends."
        ));
        server.run(ctrl_c()).await;
        Ok(())
    })
}
