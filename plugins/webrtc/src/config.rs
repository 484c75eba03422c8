//! What a peer is to do, given once when it is built.

use std::net::SocketAddr;
use std::time::Duration;

use crate::codec::{Codec, MediaKind};
use crate::error::PeerError;
use crate::loss::Loss;

/// The largest data-channel message that a peer sends or receives, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 262_144;

/// A STUN or TURN server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IceServer {
    /// URLs such as `stun:stun.example.org:3478` or `turn:turn.example.org?transport=udp`.
    pub urls: Vec<String>,
    /// The user name for TURN; empty for STUN.
    pub username: String,
    /// The password for TURN; empty for STUN.
    pub credential: String,
}

/// How a peer connects and what it sends and receives.
#[derive(Debug, Clone)]
pub struct PeerConfig {
    /// STUN and TURN servers. Empty by default: host candidates only, which is enough on one machine or network.
    pub ice_servers: Vec<IceServer>,
    /// Offer or agree to send sound.
    pub send_audio: bool,
    /// Offer or agree to send pictures.
    pub send_video: bool,
    /// Offer or agree to receive sound.
    pub receive_audio: bool,
    /// Offer or agree to receive pictures.
    pub receive_video: bool,
    /// The codecs that may be agreed on, the preferred one of a kind first: all of them by default. A graph that takes
    /// or gives only some of them is run with those.
    pub codecs: Vec<Codec>,
    /// UDP addresses to bind, each a host candidate; port 0 lets the system choose. Empty, the default, means every
    /// address of this machine's interfaces except link-local ones, and 127.0.0.1. At most [`MAX_ADDRESSES`].
    pub addresses: Vec<SocketAddr>,
    /// Size asked for each UDP socket's receive and send buffer, in bytes. The system may grant less. The default of
    /// 4 MiB keeps a burst (a keyframe is hundreds of datagrams) from being lost while the process is busy.
    pub socket_buffer_bytes: usize,
    /// How long without a word from the other side until the state is `Disconnected`. Default 5 s.
    pub disconnected_after: Duration,
    /// How long from `Disconnected` until the state is `Failed`, which is final. Default 25 s.
    pub failed_after: Duration,
    /// Loses media packets on purpose, for tests. Off by default, and then without any cost.
    pub loss: Option<Loss>,
}

/// The most addresses that one peer binds.
pub const MAX_ADDRESSES: usize = 16;

impl Default for PeerConfig {
    fn default() -> Self {
        Self {
            ice_servers: Vec::new(),
            send_audio: true,
            send_video: true,
            receive_audio: true,
            receive_video: true,
            codecs: Codec::ALL.to_vec(),
            addresses: Vec::new(),
            socket_buffer_bytes: 4 << 20,
            disconnected_after: Duration::from_secs(5),
            failed_after: Duration::from_secs(25),
            loss: None,
        }
    }
}

impl PeerConfig {
    /// Whether media of this kind may be sent.
    pub const fn sends(&self, kind: MediaKind) -> bool {
        match kind {
            MediaKind::Audio => self.send_audio,
            MediaKind::Video => self.send_video,
        }
    }

    /// Whether media of this kind may be received.
    pub const fn receives(&self, kind: MediaKind) -> bool {
        match kind {
            MediaKind::Audio => self.receive_audio,
            MediaKind::Video => self.receive_video,
        }
    }

    /// The codecs of a kind, the preferred one first.
    pub fn codecs(&self, kind: MediaKind) -> impl Iterator<Item = Codec> + '_ {
        self.codecs
            .iter()
            .copied()
            .filter(move |codec| codec.kind() == kind)
    }

    /// Checks everything that can be checked without a network.
    ///
    /// # Errors
    ///
    /// [`PeerError::Config`] with every problem found.
    pub fn validate(&self) -> Result<(), PeerError> {
        let mut problems = Vec::new();
        if self.ice_servers.len() > 16 {
            problems.push(format!(
                "ice_servers has {} entries; at most 16 are used",
                self.ice_servers.len()
            ));
        }
        for (index, server) in self.ice_servers.iter().enumerate() {
            if server.urls.is_empty() {
                problems.push(format!(
                    "ice_servers[{index}] has no URL; give one such as stun:stun.example.org:3478"
                ));
            }
            for url in &server.urls {
                let scheme = url.split(':').next().unwrap_or_default();
                match scheme {
                    "stun" | "stuns" => {}
                    "turn" | "turns" => {
                        if server.username.is_empty() || server.credential.is_empty() {
                            problems.push(format!(
                                "ice_servers[{index}] \"{url}\": TURN needs username and credential"
                            ));
                        }
                    }
                    _ => problems.push(format!(
                        "ice_servers[{index}] \"{url}\": a URL begins with stun:, stuns:, turn: or turns:"
                    )),
                }
            }
        }
        for kind in MediaKind::ALL {
            if (self.sends(kind) || self.receives(kind)) && self.codecs(kind).next().is_none() {
                problems.push(format!(
                    "codecs has none for {kind}; name one, or set send_{kind} and receive_{kind} to false"
                ));
            }
        }
        for (index, codec) in self.codecs.iter().enumerate() {
            if self.codecs[..index].contains(codec) {
                problems.push(format!("codecs names {codec} twice; leave one out"));
            }
        }
        if self.addresses.len() > MAX_ADDRESSES {
            problems.push(format!(
                "addresses has {} entries; at most {MAX_ADDRESSES} are bound",
                self.addresses.len()
            ));
        }
        if !(4096..=(1 << 30)).contains(&self.socket_buffer_bytes) {
            problems.push(format!(
                "socket_buffer_bytes is {}; choose 4096 to 1073741824",
                self.socket_buffer_bytes
            ));
        }
        for (name, value) in [
            ("disconnected_after", self.disconnected_after),
            ("failed_after", self.failed_after),
        ] {
            if value < Duration::from_millis(100) || value > Duration::from_secs(3600) {
                problems.push(format!("{name} is {value:?}; choose 100 ms to 1 h"));
            }
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(PeerError::Config { problems })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_configuration_is_valid_and_does_everything() {
        let config = PeerConfig::default();
        config.validate().unwrap();
        for kind in MediaKind::ALL {
            assert!(config.sends(kind) && config.receives(kind));
        }
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let config = PeerConfig {
            ice_servers: vec![
                IceServer::default(),
                IceServer {
                    urls: vec!["http://x".into(), "turn:t".into()],
                    ..IceServer::default()
                },
            ],
            socket_buffer_bytes: 1,
            codecs: vec![Codec::Vp8, Codec::Vp8],
            failed_after: Duration::ZERO,
            ..PeerConfig::default()
        };
        let Err(PeerError::Config { problems }) = config.validate() else {
            panic!("accepted");
        };
        assert_eq!(problems.len(), 7, "{problems:?}");
    }
}
