//! The bodies of the fuzz targets. The parser of the plugin `h264`, which is no library for others, is compiled in here.
#![allow(dead_code, reason = "a part of the plugin's files is used")]

#[path = "../plugins/h264/src/bits.rs"]
mod bits;
#[path = "bodies/depacketiser.rs"]
pub mod depacketiser;
#[path = "bodies/files.rs"]
pub mod files;
#[path = "bodies/h264.rs"]
pub mod h264;
#[path = "../plugins/h264/src/nal.rs"]
mod nal;
#[path = "../plugins/h264/src/sps.rs"]
mod sps;
#[path = "../plugins/h264/src/vui.rs"]
mod vui;
