//! Builds a plugin crate that a graph names by its folder.
//!
//! Cargo itself knows whether the library is newer than its sources, so it is asked every time; an
//! unchanged crate costs a fraction of a second. The profile is the host's own, so that a release
//! host runs release plugins.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, IsTerminal, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;

/// Lines of the compiler's output that an error repeats.
const MAX_LINES: usize = 40;
/// Longest line of Cargo's output that is read.
const MAX_LINE: u64 = 4 << 20;

/// Why a plugin crate gave no library.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The folder holds no crate.
    #[error("{} is no crate: it has no Cargo.toml", .folder.display())]
    NoCrate {
        /// The folder.
        folder: PathBuf,
    },
    /// Cargo cannot be started.
    #[error("cargo, which builds the plugin, cannot be started: {source}")]
    NoCargo {
        /// What the system says.
        source: std::io::Error,
    },
    /// The compiler refused the crate.
    #[error("the plugin in {} does not compile:\n{output}", .folder.display())]
    Compile {
        /// The folder.
        folder: PathBuf,
        /// The end of what the compiler said.
        output: String,
    },
    /// The crate makes no cdylib.
    #[error("the crate in {} makes no library that can be loaded", .folder.display())]
    NoLibrary {
        /// The folder.
        folder: PathBuf,
    },
}

impl BuildError {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            BuildError::NoCrate { .. } => {
                "name the folder of a plugin crate, relative to the graph file"
            }
            BuildError::NoCargo { .. } => {
                "install Rust, or name the built library instead: { lib = \"libname.so\" }"
            }
            BuildError::Compile { .. } => "mend what the compiler points at",
            BuildError::NoLibrary { .. } => {
                "add crate-type = [\"cdylib\"] to the [lib] section of its Cargo.toml"
            }
        }
    }
}

/// The parts of Cargo's messages that are used.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    manifest_path: PathBuf,
    #[serde(default)]
    target: Target,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Default, Deserialize)]
struct Target {
    #[serde(default)]
    crate_types: Vec<String>,
}

/// Builds the crate in `folder` if it has changed, and returns its library. What takes more than two
/// seconds says so on stderr.
///
/// # Errors
/// See [`BuildError`].
pub fn build(name: &str, folder: &Path) -> Result<PathBuf, BuildError> {
    let Ok(manifest) = folder.join("Cargo.toml").canonicalize() else {
        return Err(BuildError::NoCrate {
            folder: folder.into(),
        });
    };
    // As short as it can be said: without `..`, and from here where it lies below.
    let folder = manifest.parent().unwrap_or(folder);
    let here = std::env::current_dir().unwrap_or_default();
    let folder = folder.strip_prefix(&here).unwrap_or(folder);
    let no_cargo = |source| BuildError::NoCargo { source };
    let mut child = command(&manifest).spawn().map_err(no_cargo)?;
    let progress = Progress::start(name, folder);
    let (said, library) = std::thread::scope(|scope| {
        let stderr = child.stderr.take();
        let said = scope.spawn(|| stderr.map(last_lines).unwrap_or_default());
        let library = child
            .stdout
            .take()
            .and_then(|out| find_library(out, &manifest));
        (said.join().unwrap_or_default(), library)
    });
    let status = wait(&mut child).map_err(no_cargo)?;
    progress.end(status);
    if !status {
        return Err(BuildError::Compile {
            folder: folder.into(),
            output: said,
        });
    }
    library.ok_or_else(|| BuildError::NoLibrary {
        folder: folder.into(),
    })
}

fn command(manifest: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args([
            "build",
            "--lib",
            "--message-format=json-render-diagnostics",
            "--manifest-path",
        ])
        .arg(manifest);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    // When the host itself runs under `cargo run`, these describe the host's own package, and build
    // scripts of the plugin's dependencies would take them for a change.
    for (key, _) in std::env::vars_os() {
        let text = key.to_string_lossy();
        if text.starts_with("CARGO_PKG_")
            || text.starts_with("CARGO_MANIFEST_")
            || text == "CARGO_BIN_NAME"
        {
            command.env_remove(&key);
        }
    }
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn wait(child: &mut Child) -> std::io::Result<bool> {
    child.wait().map(|status| status.success())
}

fn find_library(out: impl Read, manifest: &Path) -> Option<PathBuf> {
    let mut out = BufReader::new(out);
    let (mut line, mut found) = (String::new(), None);
    loop {
        line.clear();
        match out.by_ref().take(MAX_LINE).read_line(&mut line) {
            Ok(0) | Err(_) => return found,
            Ok(_) => {}
        }
        let Ok(message) = serde_json::from_str::<Message>(&line) else {
            continue;
        };
        let is_ours = message.reason == "compiler-artifact"
            && message.target.crate_types.iter().any(|t| t == "cdylib")
            && message
                .manifest_path
                .canonicalize()
                .is_ok_and(|path| path == manifest);
        if is_ours {
            let is_library = |f: &&PathBuf| {
                f.extension()
                    .is_some_and(|e| e == std::env::consts::DLL_EXTENSION)
            };
            found = message.filenames.iter().find(is_library).cloned();
        }
    }
}

fn last_lines(from: impl Read) -> String {
    let mut from = BufReader::new(from);
    let (mut line, mut lines) = (Vec::new(), VecDeque::new());
    loop {
        line.clear();
        match from.by_ref().take(MAX_LINE).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        // Progress of the build itself is not what went wrong.
        if [
            "Compiling ",
            "Blocking ",
            "Finished ",
            "Locking ",
            "Updating ",
            "Adding ",
        ]
        .iter()
        .any(|word| text.trim_start().starts_with(word))
        {
            continue;
        }
        if lines.len() == MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(text);
    }
    Vec::from(lines).join("\n")
}

/// Says on stderr that a build is under way: a spinner on a terminal, else a line at its beginning
/// (after two seconds) and one at its end.
struct Progress {
    what: String,
    begin: Instant,
    spinner: Option<ProgressBar>,
    /// Dropped to end the thread that waits to say the first line.
    late: Option<std::sync::mpsc::SyncSender<()>>,
    said: Option<std::thread::JoinHandle<bool>>,
}

const QUIET: Duration = Duration::from_secs(2);

impl Progress {
    fn start(name: &str, folder: &Path) -> Progress {
        let what = format!("plugin {name} ({})", folder.display());
        let begin = Instant::now();
        if std::io::stderr().is_terminal() {
            let spinner = ProgressBar::new_spinner().with_message(format!("building {what}"));
            // The template is a constant that is known to parse.
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
                spinner.set_style(style);
            }
            spinner.enable_steady_tick(Duration::from_millis(100));
            return Progress {
                what,
                begin,
                spinner: Some(spinner),
                late: None,
                said: None,
            };
        }
        let (late, ended) = std::sync::mpsc::sync_channel::<()>(0);
        let line = format!("levada: building {what} ...");
        let said = std::thread::spawn(move || {
            let is_late =
                ended.recv_timeout(QUIET) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
            if is_late {
                eprintln!("{line}");
            }
            is_late
        });
        Progress {
            what,
            begin,
            spinner: None,
            late: Some(late),
            said: Some(said),
        }
    }

    fn end(self, well: bool) {
        drop(self.late);
        let was_said = self
            .said
            .is_some_and(|thread| thread.join().unwrap_or(false));
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
        let seconds = self.begin.elapsed();
        if well && (was_said || (self.spinner.is_some() && seconds > QUIET)) {
            eprintln!(
                "levada: built {} in {:.1} s",
                self.what,
                seconds.as_secs_f64()
            );
        }
    }
}
