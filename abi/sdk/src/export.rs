//! What makes a crate a plugin: [`export_plugin!`](crate::export_plugin) for libraries that are
//! loaded, [`Builtin`] for crates that are linked into a host.

use std::sync::Arc;

use levada_abi::{List, NOTE_MAGIC, NodeTypeDesc, Note, Plugin};

use crate::{
    closure::{self, Closure, Outcome, Picture, Sound},
    frame::Frame,
    glue::Glue,
    node::Node,
};

/// A node type's descriptor, known to be sound because it was made from a [`Node`].
#[repr(transparent)]
pub struct TypeDesc(NodeTypeDesc);

impl TypeDesc {
    /// The descriptor of `N`.
    #[must_use]
    pub const fn of<N: Node>() -> TypeDesc {
        TypeDesc(Glue::<N>::DESC)
    }
}

/// The node types of a crate that is linked into a host.
///
/// ```
/// # use levada_plugin::prelude::*;
/// # struct Nothing;
/// # impl Node for Nothing {
/// #     const NAME: &'static str = "nothing";
/// #     const SUMMARY: &'static str = "Releases what comes in";
/// #     const PORTS: &'static [Port] = &[Port::input("in")];
/// #     fn create(_: &Config) -> Result<Self> { Ok(Nothing) }
/// # }
/// pub fn plugin() -> levada_plugin::Plugin {
///     Builtin::new("mine", "1.0.0").with::<Nothing>().into_plugin()
/// }
/// assert_eq!(plugin().types().len(), 1);
/// ```
pub struct Builtin {
    name: String,
    version: String,
    types: Vec<NodeTypeDesc>,
}

impl Builtin {
    /// Begins a plugin without node types.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Builtin {
        Builtin {
            name: name.into(),
            version: version.into(),
            types: vec![],
        }
    }

    /// Adds a node type.
    #[must_use]
    pub fn with<N: Node>(mut self) -> Builtin {
        self.types.push(Glue::<N>::DESC);
        self
    }

    /// Ends the description.
    #[must_use]
    pub fn into_plugin(self) -> Plugin {
        // SAFETY: each descriptor comes from `Glue`, whose tables are static and whose functions
        // keep the contract.
        unsafe { Plugin::new(self.name, self.version, self.types, None) }
    }
}

/// Makes a plugin of one node type, called `name`, whose instances each run a clone of `f` on every
/// frame: `Some` goes on, `None` ends the frame's way. Ports: `in` and `out`, every format.
#[must_use]
pub fn closure_plugin<F>(name: &str, f: F) -> Plugin
where
    F: FnMut(Frame) -> Option<Frame> + Clone + Send + 'static,
{
    closure_plugin_of(name, "*", f)
}

/// Does what [`closure_plugin`] does, with ports that take and give these `formats` only: patterns as in
/// [`Port::formats`](crate::Port::formats). A host may refuse patterns that it cannot read.
#[must_use]
pub fn closure_plugin_of<F>(name: &str, formats: &str, f: F) -> Plugin
where
    F: FnMut(Frame) -> Option<Frame> + Clone + Send + 'static,
{
    plugin_of(Closure::each(name, formats, f))
}

/// Makes a plugin of one node type, called `name`, whose instances each run a clone of `f` on every raw picture. It
/// writes the picture where it lies; one that others hold as well is copied first, which is declared. Ports: `in`
/// and `out`, `video/i420`. The node is heavy, and runs on the workers.
#[must_use]
pub fn picture_closure<F, R>(name: &str, f: F) -> Plugin
where
    F: FnMut(&mut Picture) -> R + Clone + Send + 'static,
    R: Outcome,
{
    plugin_of(Closure::picture(name, f))
}

/// Makes a plugin of one node type, called `name`, whose instances each run a clone of `f` on every block of raw
/// sound. Sound of one channel is written where it lies; that of more is taken apart and put together again, two copies
/// that are declared. Ports: `in` and `out`, `audio/f32`. The node is light, so `f` should take microseconds.
#[must_use]
pub fn sound_closure<F, R>(name: &str, f: F) -> Plugin
where
    F: FnMut(&mut Sound) -> R + Clone + Send + 'static,
    R: Outcome,
{
    plugin_of(Closure::sound(name, f))
}

fn plugin_of(closure: Closure) -> Plugin {
    let factory = Arc::new(closure);
    let name = factory.name().to_owned();
    let desc = NodeTypeDesc {
        name: levada_abi::Text::new(factory.name()),
        ports: List {
            ptr: factory.ports().as_ptr(),
            len: factory.ports().len(),
        },
        cost: factory.cost.to_abi(),
        data: Arc::as_ptr(&factory).cast(),
        ..Glue::<closure::Transform>::DESC
    };
    // SAFETY: the descriptor comes from `Glue`; its name, ports and data point into `factory`, which
    // `keep` keeps alive at a fixed address.
    unsafe { Plugin::new(name, env!("CARGO_PKG_VERSION"), vec![desc], Some(factory)) }
}

/// Makes the note for section `.levada`. Used by [`export_plugin!`](crate::export_plugin).
#[doc(hidden)]
#[must_use]
pub const fn note() -> Note {
    let version = env!("CARGO_PKG_VERSION").as_bytes();
    let mut sdk_version = [0; 32];
    let mut i = 0;
    while i < version.len() && i < sdk_version.len() {
        sdk_version[i] = version[i];
        i += 1;
    }
    Note {
        magic: NOTE_MAGIC,
        abi_version: levada_abi::ABI_VERSION,
        panic_unwinds: cfg!(panic = "unwind") as u32,
        sdk_version,
    }
}

/// Makes a cdylib crate a plugin with these node types.
///
/// Only a crate of `crate-type = ["cdylib"]` calls it: it defines symbols of fixed names, and two in
/// one program collide.
///
/// ```ignore
/// levada_plugin::export_plugin!(Gain);
/// ```
#[macro_export]
macro_rules! export_plugin {
    ($($node:ty),+ $(,)?) => {
        const _: () = {
            use $crate::__private::{abi, abi_stable};

            static TYPES: &[$crate::TypeDesc] = &[$($crate::TypeDesc::of::<$node>()),+];

            static PLUGIN: abi::PluginDesc = abi::PluginDesc {
                size: ::core::mem::size_of::<abi::PluginDesc>(),
                abi_version: abi::ABI_VERSION,
                name: abi::Text::new(::core::env!("CARGO_PKG_NAME")),
                version: abi::Text::new(::core::env!("CARGO_PKG_VERSION")),
                // `TypeDesc` is a transparent wrapper of the contract's type.
                types: abi::List { ptr: TYPES.as_ptr().cast(), len: TYPES.len() },
                init: ::core::option::Option::Some($crate::__private::install),
            };

            #[allow(unsafe_code)]
            #[used]
            #[cfg_attr(not(target_os = "macos"), unsafe(link_section = ".levada"))]
            #[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,.levada"))]
            static NOTE: abi::Note = $crate::__private::note();

            #[allow(unsafe_code)]
            #[unsafe(no_mangle)]
            extern "C" fn levada_plugin_v1() -> *const abi::PluginDesc {
                &raw const PLUGIN
            }

            // What `abi_stable::export_root_module` writes, but for a crate that does not depend on
            // abi_stable itself. A test of this crate compares the name.
            #[allow(unsafe_code)]
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            static ROOT_MODULE: abi_stable::library::LibHeader = {
                fn make() -> abi::PluginModuleRef {
                    use abi_stable::prefix_type::PrefixTypeTrait;
                    abi::PluginModule { plugin: levada_plugin_v1 }.leak_into_prefix()
                }
                extern "C" fn erased() -> abi_stable::library::RootModuleResult {
                    abi_stable::library::__call_root_module_loader(make)
                }
                // SAFETY: `erased` answers a module of exactly this type.
                unsafe {
                    abi_stable::library::LibHeader::from_constructor::<abi::PluginModuleRef>(
                        erased,
                        abi_stable::library::CheckTypeLayout::Yes,
                    )
                }
            };
        };
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_root_module_is_exported_under_the_name_that_loaders_look_for() {
        assert_eq!(
            abi_stable::library::ROOT_MODULE_LOADER_NAME,
            "_1as_0lib_1header_0root_bmodule_bloader"
        );
    }
}
