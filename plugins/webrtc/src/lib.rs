//! WebRTC for Levada: a peer connection behind one narrow face, and the code that turns RTP packets into access units
//! and back.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod codec;
mod config;
mod congestion;
mod driver;
mod error;
mod feedback;
mod intake;
mod keyframes;
mod lane;
mod loss;
pub mod media;
#[cfg(test)]
mod node_tests;
mod peer;
mod session;
mod sink;
#[cfg(test)]
mod sink_tests;
mod source;
#[cfg(test)]
mod source_tests;
mod wire;

pub use codec::{Codec, MediaKind};
pub use config::{IceServer, MAX_ADDRESSES, MAX_MESSAGE_BYTES, PeerConfig};
pub use driver::{Abilities, TokioPeer};
pub use error::{PeerError, Refused};
pub use loss::{LOSS_VARIABLE, Loss, LossControl, SeededLoss};
pub use peer::{
    ConnectionState, IceCandidate, Message, Peer, PeerEvent, PeerSink, PeerStats, RtpIn, RtpOut,
    TrackId, TrackInfo,
};
pub use session::{Session, SessionError};

/// The node types of this crate, for a host to register: `webrtc-source` and `webrtc-sink`.
pub fn plugin() -> levada_plugin::Plugin {
    levada_plugin::Builtin::new("levada-webrtc", env!("CARGO_PKG_VERSION"))
        .with::<source::Source>()
        .with::<sink::Sink>()
        .into_plugin()
}
