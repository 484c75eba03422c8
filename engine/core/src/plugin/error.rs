//! [`LoadError`]: why a plugin file was not loaded.

use std::{io, path::PathBuf};

/// Why a plugin file was not loaded. Each message is one sentence of one line: the file, the cause,
/// the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is no such file.
    #[error("{}: there is no such file; build the plugin, or correct the path", .path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("{}: the file cannot be read ({source}); give the host the right to read it", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path names something else than a file.
    #[error("{}: this is {found}, not a file; name the plugin's library itself", .path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// The file is too large to be a plugin.
    #[error("{}: the file has {size} bytes, and a plugin at most {limit}; strip its debug information", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file is of another kind.
    #[error("{}: this is {found}, not a shared library; {remedy}", .path.display())]
    NotALibrary {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// The file ends too early.
    #[error("{}: the file is truncated: its {part} reach to byte {end}, but it has {size}; copy or build it again", .path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Which part of it.
        part: &'static str,
        /// Where that part ends, in bytes.
        end: u64,
        /// The file's size in bytes.
        size: u64,
    },
    /// The file's structure is broken.
    #[error("{}: the file is damaged: {what}; copy or build it again", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The library is for another machine.
    #[error("{}: the library is for {found}, this host runs on {host}; build it for {host}", .path.display())]
    OtherMachine {
        /// The file.
        path: PathBuf,
        /// Its machine.
        found: String,
        /// This machine.
        host: &'static str,
    },
    /// The library is not a Levada plugin.
    #[error("{}: the library has no plugin entry (no symbol {}); call export_plugin! in a cdylib crate, or LEVADA_EXPORT in C", .path.display(), levada_abi::C_ENTRY)]
    NoEntry {
        /// The file.
        path: PathBuf,
    },
    /// The library has an entry but does not say its version.
    #[error("{}: the library has a plugin entry but no intact version note (section {}); call export_plugin! in a cdylib crate, or LEVADA_NOTE in C", .path.display(), levada_abi::NOTE_SECTION)]
    NoNote {
        /// The file.
        path: PathBuf,
    },
    /// The plugin is of another version of the contract.
    #[error("{}: the plugin needs plugin ABI {}.{}, this host offers {}.{}; {}", .path.display(), .plugin.0, .plugin.1, .host.0, .host.1, version_remedy(*.plugin, *.host))]
    Version {
        /// The file.
        path: PathBuf,
        /// Major and minor version that the plugin was built for.
        plugin: (u32, u32),
        /// Major and minor version of the host.
        host: (u32, u32),
    },
    /// The host program cannot try plugins.
    #[error("{}: a plugin that was not seen before is first tried in a child process, and this program does not serve as one; call levada_engine::plugin::trial::serve_if_asked() first thing in main", .path.display())]
    NoTrial {
        /// The file.
        path: PathBuf,
    },
    /// The child process that tries plugins could not be started or waited for.
    #[error("{}: the child process that tries the plugin failed to run ({source}); allow the host to start its own executable", .path.display())]
    TrialStart {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The plugin crashed its trial.
    #[error("{}: the plugin crashed with {signal} while a child process tried it{}; run it under a debugger, or build it again", .path.display(), said_of(.said))]
    Crashed {
        /// The file.
        path: PathBuf,
        /// Name of the signal.
        signal: String,
        /// The end of what the child wrote; may be empty.
        said: String,
    },
    /// The plugin did not come back from its trial.
    #[error("{}: the plugin did not finish loading, creating and destroying its nodes within {seconds} s; keep waiting out of constructors, create and destroy", .path.display())]
    Hung {
        /// The file.
        path: PathBuf,
        /// The time limit in seconds.
        seconds: u64,
    },
    /// The plugin ended its trial.
    #[error("{}: the plugin ended the process (exit code {code}) while a child process tried it{}; answer errors instead of calling exit", .path.display(), said_of(.said))]
    Exited {
        /// The file.
        path: PathBuf,
        /// Exit code.
        code: i32,
        /// The end of what the child wrote; may be empty.
        said: String,
    },
    /// The trial refused the plugin; this is the child's own sentence.
    #[error("{said}")]
    Refused {
        /// The sentence, which names the file.
        said: String,
    },
    /// The private copy of the file, which is what gets opened, could not be made.
    #[error("{}: a private copy in {} could not be made ({source}); make room or give the right to write there, or set TMPDIR", .path.display(), .folder.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// Where the copy was to be.
        folder: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system's loader refused the library.
    #[error("{}: the system cannot open the library ({reason}); install what it needs, or build it again", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the loader said.
        reason: String,
    },
    /// The plugin's types are laid out otherwise than the host's.
    #[error("{}: the plugin's interface differs from this host's ({reason}); build it with the levada-plugin version of this host", .path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// The innermost difference.
        reason: String,
    },
    /// A descriptor breaks the contract.
    #[error("{}: {place}: {cause}; correct it and build the plugin again", .path.display())]
    Descriptor {
        /// The file.
        path: PathBuf,
        /// The plugin, the node type, and its port or param.
        place: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The plugin's own initialization failed.
    #[error("{}: the plugin's init answered failure {status}; see what it logged", .path.display())]
    Init {
        /// The file.
        path: PathBuf,
        /// The status.
        status: i32,
    },
}

fn version_remedy(plugin: (u32, u32), host: (u32, u32)) -> &'static str {
    if plugin > host {
        "update the host, or build the plugin with the host's levada-plugin version"
    } else {
        "build the plugin with the host's levada-plugin version"
    }
}

fn said_of(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(" (it wrote: {said})")
    }
}
