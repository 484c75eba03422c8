//! Runs graphs of media nodes without copying the media: Levada for applications.
//!
//! ```no_run
//! use levada::{Pipeline, TransformNode, WebRtcConfig, WebRtcManager};
//! use tracing::info;
//!
//! # async fn main_() -> Result<(), levada::ManagerError> {
//! let manager = WebRtcManager::new(WebRtcConfig::default())?;
//! let pipeline = Pipeline::new([
//!     manager.create_source_node(),
//!     TransformNode::new(|frame| {
//!         info!(kind = ?frame.kind(), "echoing");
//!         Some(frame)
//!     }),
//!     manager.create_sink_node(),
//! ]);
//! manager.run_with_signaling(pipeline, "ws://127.0.0.1:8765/ws").await?;
//! # Ok(())
//! # }
//! ```
//!
//! The command line `levada` is built from this crate; [`graph_file`] and [`serve`] are what its
//! command `run` uses, for an application that wants to do the same.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod call;
mod codecs;
mod fits;
pub mod graph_file;
mod handshake;
mod manager;
mod pipeline;
mod plugin_build;
mod plugin_crate;
pub mod report;
pub mod serve;
mod template;

pub use levada_engine as engine;
pub use levada_plugin::{Frame, Kind, Outcome, Picture, Sound};
pub use levada_signaling as signaling;
pub use levada_webrtc::{Codec, IceServer, Loss, PeerConfig as WebRtcConfig};
pub use manager::{ManagerError, WebRtcManager};
pub use pipeline::{Pipeline, PipelineNode, TransformNode};
pub use plugin_build::BuildError;
pub use plugin_crate::{CrateError, load_crate};
pub use template::Template;

/// The listings of the README, compiled as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}
