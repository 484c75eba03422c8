//! Plugin files: checked, tried in a child process, opened, and never closed. Then node types by
//! name ([`Registry`]), and instances of them.
//!
//! [`load()`] reads a file once and works on those bytes from then on. [`inspect`] reads them as
//! data: machine, segments, symbols, version. [`trial`] has a child process open them, because a
//! file can pass every reading and still crash the process that opens it. Only then the host opens
//! them, and believes no descriptor that `validate` has not been through.
//!
//! None of this is a security boundary: a plugin runs with all rights of the host.

mod copy;
mod elf;
mod elf_relocations;
mod elf_tables;
mod error;
pub mod inspect;
pub(crate) mod instance;
mod load;
mod macho;
mod memory;
mod offers;
mod open;
pub(crate) mod outputs;
mod registry;
pub(crate) mod spare;
pub mod trial;
mod trial_host;
mod validate;

pub use error::LoadError;
pub use load::{Loaded, load};
pub use registry::{NodeType, Registry};

/// The page's Rust listing, compiled as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../../../../docs/write-a-plugin.md")]
mod write_a_plugin {}
