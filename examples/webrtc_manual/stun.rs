//! The STUN server: found before it is used, and never waited for longer than it is worth.
//!
//! On one machine or network a connection does without, so one that cannot be found or does not answer costs
//! [`RESOLVE`] and [`GATHER`], three seconds in all, and fails nothing.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use levada::{IceServer, WebRtcManager};
use tokio::{net::lookup_host, time::timeout};

use crate::Failure;

/// For its name to become an address.
const RESOLVE: Duration = Duration::from_secs(1);
/// For a side to gather its candidates.
const GATHER: Duration = Duration::from_secs(2);
/// What its URL begins with (RFC 7064, 3.1).
const SCHEME: &str = "stun:";
/// RFC 7064, 3.2.
const DEFAULT_PORT: u16 = 3478;

/// A STUN server, and what became of it.
pub struct Stun {
    url: String,
    server: Result<IceServer, String>,
    answered: bool,
    late: bool,
    /// What looking it up and waiting for it took.
    cost: Duration,
}

impl Stun {
    /// Looks up the server of a URL such as `stun:stun.example.org:3478`.
    pub async fn find(url: &str) -> Stun {
        let begin = Instant::now();
        Stun {
            url: url.to_owned(),
            server: resolve(url).await.map(|address| IceServer {
                urls: vec![format!("stun:{address}")],
                ..IceServer::default()
            }),
            answered: false,
            late: false,
            cost: begin.elapsed(),
        }
    }

    /// What a manager is to use: nothing once the server has left another one waiting.
    pub fn servers(&self) -> Vec<IceServer> {
        let is_silent = self.late && !self.answered;
        let server = self.server.iter().filter(|_| !is_silent);
        server.cloned().collect()
    }

    /// Waits for the candidates of `manager`, and returns its description with those that it has by then.
    pub async fn gathered(&mut self, manager: &WebRtcManager) -> Result<String, Failure> {
        let begin = Instant::now();
        let sdp = match timeout(GATHER, manager.wait_for_ice_gathering()).await {
            Ok(sdp) => sdp?,
            Err(_) => {
                self.late = true;
                let sdp = manager.local_description().await?;
                sdp.ok_or("there is no description to wait for")?
            }
        };
        self.cost += begin.elapsed();
        self.answered |= sdp.contains(" typ srflx");
        Ok(sdp)
    }

    /// The line in the table.
    pub fn line(&self) -> String {
        let outcome = match &self.server {
            Err(why) => why,
            Ok(_) if self.answered => "answered",
            Ok(_) if self.late => "no answer",
            Ok(_) => "not reached",
        };
        let without = match self.answered {
            true => "",
            false => "; the connection did without",
        };
        let (url, cost) = (&self.url, self.cost.as_secs_f64());
        format!("{url}: {outcome}, which took {cost:.1} s{without}")
    }
}

/// Takes a URL from the command line.
pub fn url(text: &str) -> Result<String, &'static str> {
    match text.strip_prefix(SCHEME) {
        Some(host) if !host.is_empty() => Ok(text.to_owned()),
        _ => Err("write a URL such as stun:stun.example.org:3478"),
    }
}

async fn resolve(url: &str) -> Result<SocketAddr, String> {
    let host = url.strip_prefix(SCHEME).unwrap_or(url);
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
