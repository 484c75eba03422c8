//! The STUN server: found before it is used, and never waited for longer than it is worth.
//!
//! On one machine or network a connection does without, so one that cannot be found or does not answer costs
//! [`RESOLVE`] and twice [`GATHER`], five seconds in all, and fails nothing.

use std::{net::SocketAddr, time::Duration};

use levada::{IceServer, WebRtcManager};
use tokio::{net::lookup_host, time::timeout};

use crate::Failure;

/// For its name to become an address.
const RESOLVE: Duration = Duration::from_secs(1);
/// For each side to gather its candidates.
const GATHER: Duration = Duration::from_secs(2);
/// RFC 7064, 3.2.
const DEFAULT_PORT: u16 = 3478;

/// A STUN server, and what became of it.
pub struct Stun {
    url: String,
    server: Result<IceServer, String>,
    answered: bool,
    late: bool,
}

impl Stun {
    /// Looks up the server of a URL such as `stun:stun.example.org:3478`.
    pub async fn find(url: &str) -> Stun {
        Stun {
            url: url.to_owned(),
            server: resolve(url).await.map(|address| IceServer {
                urls: vec![format!("stun:{address}")],
                ..IceServer::default()
            }),
            answered: false,
            late: false,
        }
    }

    /// What a manager is to use.
    pub fn servers(&self) -> Vec<IceServer> {
        self.server.iter().cloned().collect()
    }

    /// Waits for the candidates of `manager`, and returns its description with those that it has by then.
    pub async fn gathered(&mut self, manager: &WebRtcManager) -> Result<String, Failure> {
        let sdp = match timeout(GATHER, manager.wait_for_ice_gathering()).await {
            Ok(sdp) => sdp?,
            Err(_) => {
                self.late = true;
                let sdp = manager.local_description().await?;
                sdp.ok_or("there is no description to wait for")?
            }
        };
        self.answered |= sdp.contains(" typ srflx");
        Ok(sdp)
    }

    /// The line in the table.
    pub fn line(&self) -> String {
        let Stun { url, server, .. } = self;
        match server {
            Err(why) => format!("{url}: {why}; the connection did without"),
            Ok(_) if self.answered => format!("{url}: answered"),
            Ok(_) if self.late => format!(
                "{url}: no answer in {} s; the connection did without",
                GATHER.as_secs()
            ),
            Ok(_) => format!("{url}: not reached; the connection did without"),
        }
    }
}

async fn resolve(url: &str) -> Result<SocketAddr, String> {
    let host = url
        .strip_prefix("stun:")
        .ok_or("not a URL such as stun:stun.example.org:3478")?;
    let host = host.split('?').next().unwrap_or(host);
    let has_port = host
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let host = match has_port {
        true => host.to_owned(),
        false => format!("{host}:{DEFAULT_PORT}"),
    };
    let found = timeout(RESOLVE, lookup_host(&host)).await;
    let mut found = found
        .map_err(|_| format!("its name was not found in {} s", RESOLVE.as_secs()))?
        .map_err(|error| format!("its name was not found ({error})"))?;
    let first = found.next().ok_or("its name has no address")?;
    // Most machines have an IPv4 address, not all an IPv6 one.
    Ok(found
        .find(SocketAddr::is_ipv4)
        .filter(|_| first.is_ipv6())
        .unwrap_or(first))
}
