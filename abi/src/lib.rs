//! The contract between the Levada engine and its plugins: C types, status codes, versions.
//!
//! There is no behaviour here beyond ownership: a [`Buffer`] and a [`Side`] count references. Plugin
//! authors use the crate `levada-plugin`, which wraps all of this safely; `include/levada.h` says
//! the same in C, and a test holds the two together.
//!
//! **Versions.** The crate is 1.x from its first day. A host loads plugins of the same major
//! version and of no newer minor version; everything else is refused with both versions in the
//! message. Structs that can grow begin with their size.
#![deny(missing_docs)]

mod buffer;
pub mod event;
mod format;
mod frame;
mod host;
mod node;
mod offers;
mod plugin;
mod status;
mod text;

pub use buffer::{Buffer, BufferVTable, RawBuffer};
pub use event::Event;
pub use format::{Format, StreamInfo, media};
pub use frame::{Frame, Side, SideData, flags};
pub use host::{HostVTable, LogSite, NodeHandle, level};
pub use node::{
    Context, NOWHERE, NodeConfig, NodeTypeDesc, NodeVTable, ParamDesc, ParamValue, PortDesc, cost,
    direction, param_kind, port_flags, type_flags,
};
pub use offers::{Answer, OFFERS, OffersVTable, SESSION_PLACE, TIME_PLACE, is_open};
pub use plugin::{
    ABI_MAJOR, ABI_MINOR, ABI_VERSION, C_ENTRY, CEntry, NOTE_MAGIC, NOTE_SECTION, Note, Plugin,
    PluginDesc, PluginModule, PluginModuleRef,
};
pub use status::Status;
pub use text::{List, Text};
