//! [`PluginDesc`] and its two doors.
//!
//! A plugin library answers the same static [`PluginDesc`] twice: from an `abi_stable` root module,
//! whose layout check walks every type reachable from the function's signature before the host
//! follows a pointer, and from the C symbol [`C_ENTRY`], so that C, C++ and Zig can write plugins.
//! A note in section [`NOTE_SECTION`] lets the host read the version before it opens the file.

use std::{any::Any, sync::Arc};

use abi_stable::{
    StableAbi, library::RootModule, package_version_strings, sabi_types::VersionStrings,
};

use crate::{HostVTable, List, NodeTypeDesc, Status, Text};

/// Major version of the contract: another major is refused.
pub const ABI_MAJOR: u32 = 1;
/// Minor version of the contract: a plugin's may not be newer than the host's.
pub const ABI_MINOR: u32 = 0;
/// `major << 16 | minor`.
pub const ABI_VERSION: u32 = ABI_MAJOR << 16 | ABI_MINOR;

/// Name of the C symbol: a function of type [`CEntry`].
pub const C_ENTRY: &str = "levada_plugin_v1";
/// Type of the C symbol. The answer is static.
pub type CEntry = unsafe extern "C" fn() -> *const PluginDesc;

/// Name of the section that holds the plugin's [`Note`].
pub const NOTE_SECTION: &str = ".levada";
/// First bytes of a [`Note`].
pub const NOTE_MAGIC: [u8; 8] = *b"LEVADA\0\x01";

/// What the file says of itself before it is opened: 48 bytes, native endian.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Note {
    /// [`NOTE_MAGIC`].
    pub magic: [u8; 8],
    /// [`ABI_VERSION`] at the time of the build.
    pub abi_version: u32,
    /// 1 when a panic unwinds (and is caught), 0 when it aborts the process, 2 when unknown.
    pub panic_unwinds: u32,
    /// Version of the kit that built the plugin, UTF-8, padded with zeros.
    pub sdk_version: [u8; 32],
}

const _: () = assert!(size_of::<Note>() == 48);

/// What a plugin library offers.
#[repr(C)]
#[derive(StableAbi)]
pub struct PluginDesc {
    /// Size of this struct in bytes as its maker knew it; later versions append fields.
    pub size: usize,
    /// [`ABI_VERSION`] at the time of the build.
    pub abi_version: u32,
    /// Name, `[a-z0-9_-]+`.
    pub name: Text,
    /// Version.
    pub version: Text,
    /// Node types.
    pub types: List<NodeTypeDesc>,
    /// Called once in a process before anything else; the host vtable lives for ever. May be null.
    pub init: Option<unsafe extern "C" fn(host: *const HostVTable) -> Status>,
}

// SAFETY: immutable, and its pointers name static memory.
unsafe impl Sync for PluginDesc {}
// SAFETY: as above.
unsafe impl Send for PluginDesc {}

/// The `abi_stable` root module: the passport.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModuleRef)))]
pub struct PluginModule {
    /// Answers the description; static.
    #[sabi(last_prefix_field)]
    pub plugin: extern "C" fn() -> *const PluginDesc,
}

impl RootModule for PluginModuleRef {
    abi_stable::declare_root_module_statics! {PluginModuleRef}
    const BASE_NAME: &'static str = "levada_plugin";
    const NAME: &'static str = "levada plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// A plugin that this process may call: its descriptors have been checked, or vouched for.
///
/// Engines take this and nothing less, so that code without `unsafe` cannot register descriptors
/// with wild pointers.
#[derive(Clone)]
pub struct Plugin {
    name: String,
    version: String,
    types: Arc<[NodeTypeDesc]>,
    keep: Option<Arc<dyn Any + Send + Sync>>,
}

impl Plugin {
    /// Vouches for descriptors.
    ///
    /// # Safety
    /// Every pointer in `types` must be valid, and every function keep the contract of
    /// [`NodeVTable`](crate::NodeVTable), for as long as `keep` lives (for ever when `None`).
    #[must_use]
    pub unsafe fn new(
        name: impl Into<String>,
        version: impl Into<String>,
        types: Vec<NodeTypeDesc>,
        keep: Option<Arc<dyn Any + Send + Sync>>,
    ) -> Plugin {
        Plugin {
            name: name.into(),
            version: version.into(),
            types: types.into(),
            keep,
        }
    }

    /// The plugin's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The plugin's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Its node types. Their pointers are valid while `self` or a clone of it lives.
    #[must_use]
    pub fn types(&self) -> &[NodeTypeDesc] {
        &self.types
    }

    /// Whether the descriptors live for ever (and not just as long as this value).
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.keep.is_none()
    }
}
