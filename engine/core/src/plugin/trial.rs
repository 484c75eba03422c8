//! Tries a plugin in a child process before the host opens it.
//!
//! A file can pass every reading and still crash whoever opens it: one flipped bit in a relocation
//! is enough. So a file of new content is first opened by a child: this program's own executable,
//! started again, which finds in its environment what to try. The child opens the plugin, checks its
//! descriptors, calls its `init`, creates and destroys a node of each type, asks what its ports offer, says
//! that it passed, and exits. Anything else (a signal, another exit code, silence, the time limit) is a refusal. What
//! passed is remembered by content, version of the contract and build of the host.
//!
//! What must hold: the program calls [`serve_if_asked`] first thing in `main`. A program that never
//! did is told so instead of being started again, because it would do its own work again.

use std::{
    ffi::OsString,
    io::{Read, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, WaitId, WaitIdOptions, getrlimit, setrlimit, waitid};

use super::{error::LoadError, inspect, load::ContentHash, memory, offers, open, trial_host};

/// A trial that takes longer is ended and the plugin refused.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Environment of a trial child: the copy to open, and the file's own path for messages.
const COPY: &str = "LEVADA_TRIAL_COPY";
const PATH: &str = "LEVADA_TRIAL_PATH";

/// The child's last line: this, and nothing or the sentence that refuses the plugin.
const PASSED: &str = "levada-trial-passed";
const REFUSED: &str = "levada-trial-refused: ";
/// The child's exit code when it refused the plugin by that line.
const REFUSED_CODE: i32 = 3;
/// The child's exit code when the trial itself failed.
const PANIC_CODE: i32 = 101;

/// How much of the end of a child's output is kept.
const MAX_TAIL: usize = 16 * 1024;
/// How much of that a message shows, in characters.
const MAX_SAID: usize = 200;
/// Once the child has ended, its output is waited for no longer than this: a process that the
/// plugin itself started may hold the pipe open.
const OUTPUT_GRACE: Duration = Duration::from_secs(1);

/// Whether this program has called [`serve_if_asked`].
static SERVES: AtomicBool = AtomicBool::new(false);
/// Arguments with which this program, started again, comes to [`serve_if_asked`].
static ARGUMENTS: Mutex<Vec<OsString>> = Mutex::new(Vec::new());

/// Serves as a trial child if this process was started as one, and then does not return; otherwise
/// returns at once.
///
/// A program that loads plugins calls it first thing in `main`, before threads, arguments and logs.
pub fn serve_if_asked() {
    SERVES.store(true, Ordering::Relaxed);
    let (Some(copy), Some(path)) = (std::env::var_os(COPY), std::env::var_os(PATH)) else {
        return;
    };
    limit_self();
    // On a thread that ends before the verdict, so that what the plugin left for the end of a
    // thread is tried as well.
    let trial = thread::Builder::new().spawn(move || serve(Path::new(&path), Path::new(&copy)));
    let (line, code) = match trial.map(thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => (PASSED.to_owned(), 0),
        Ok(Ok(Err(error))) => (format!("{REFUSED}{error}"), REFUSED_CODE),
        // A panic, or no thread to be had, has been said on stderr or is said now.
        Ok(Err(_)) => ("the trial panicked".to_owned(), PANIC_CODE),
        Err(error) => (format!("no thread: {error}"), PANIC_CODE),
    };
    // Not by `eprintln!`, which test programs capture. If the pipe is gone, so is the host.
    let _ = std::io::stderr().write_all(format!("\n{line}\n").as_bytes());
    std::process::exit(code);
}

/// Sets the arguments with which this program, started again, comes to [`serve_if_asked`]: for
/// programs that cannot call it first thing in `main`, such as a test, whose `main` is the test
/// runner's and which names the test that calls it.
pub fn serve_by_arguments<I: IntoIterator<Item: Into<OsString>>>(arguments: I) {
    *ARGUMENTS.lock().unwrap_or_else(PoisonError::into_inner) =
        arguments.into_iter().map(Into::into).collect();
    SERVES.store(true, Ordering::Relaxed);
}

/// Sets the folder in which passed trials are remembered, or `None` to try every file again in
/// every process. Without a call: `levada/trials` in `$XDG_CACHE_HOME` or `~/.cache`.
pub fn remember_in(folder: Option<PathBuf>) {
    memory::set_folder(folder);
}

/// Leaves no core dump, and does not outlive the host.
fn limit_self() {
    let limit = Rlimit {
        current: Some(0),
        maximum: getrlimit(Resource::Core).maximum,
    };
    // Either failing makes a crash untidy and nothing else.
    let _ = setrlimit(Resource::Core, limit);
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
}

fn serve(path: &Path, copy: &Path) -> Result<(), LoadError> {
    let bytes = inspect::read(copy)?;
    let inspection = inspect::inspect(path, &bytes)?;
    drop(bytes);
    // SAFETY: the file passed inspection; finding out whether its code can be run is what this
    // process is for, and all it can harm.
    let valid = unsafe { open::open(path, copy, inspection.has_root_module) }?;
    if let Some(init) = valid.init {
        // SAFETY: the vtable is static.
        let status = unsafe { init(&raw const trial_host::HOST) };
        if !status.is_ok() {
            return Err(LoadError::Init {
                path: path.to_owned(),
                status: status.0,
            });
        }
    }
    // SAFETY: the descriptors are checked, and `init` was called.
    unsafe { trial_host::create_and_destroy(&valid.types) };
    for desc in &valid.types {
        // SAFETY: as above.
        unsafe { offers::try_out(desc) }.map_err(|cause| LoadError::Descriptor {
            path: path.to_owned(),
            // SAFETY: names of a checked descriptor are valid.
            place: format!("node type \"{}\"", unsafe { desc.name.as_str() }),
            cause,
        })?;
    }
    Ok(())
}

/// Makes sure that the content of `copy` has passed a trial; `path` is named in errors.
pub(super) fn pass(path: &Path, copy: &Path, hash: &ContentHash) -> Result<(), LoadError> {
    if memory::has_passed(hash) {
        return Ok(());
    }
    if !SERVES.load(Ordering::Relaxed) {
        return Err(LoadError::NoTrial {
            path: path.to_owned(),
        });
    }
    run(path, copy)?;
    memory::remember(hash);
    Ok(())
}

fn run(path: &Path, copy: &Path) -> Result<(), LoadError> {
    let not_run = |source| LoadError::TrialStart {
        path: path.to_owned(),
        source,
    };
    // The running executable itself, even when a build has replaced its file.
    let executable = if cfg!(target_os = "linux") {
        PathBuf::from("/proc/self/exe")
    } else {
        std::env::current_exe().map_err(not_run)?
    };
    let arguments = ARGUMENTS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let mut child = Command::new(executable)
        .args(arguments)
        .env(COPY, copy)
        .env(PATH, path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(not_run)?;
    let tail = child.stderr.take().map(Tail::of);
    let status = match wait(&mut child, TIME_LIMIT) {
        Ok(Some(status)) => status,
        Ok(None) => {
            return Err(LoadError::Hung {
                path: path.to_owned(),
                seconds: TIME_LIMIT.as_secs(),
            });
        }
        Err(source) => return Err(not_run(source)),
    };
    let output = tail.map(Tail::take).unwrap_or_default();
    judge(path, status, &output)
}

/// Waits for the child to end; kills it when it does not in time. Either way it is reaped.
fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let pid = Pid::from_child(child);
    let (ended, has_ended) = mpsc::sync_channel(1);
    // The thread looks without reaping, so the pid stays the child's until `child.wait` below and
    // the kill cannot hit another process.
    thread::Builder::new()
        .name("plugin-trial".into())
        .spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
            let _ = ended.send(());
        })
        .inspect_err(|_| {
            let _ = child.kill().and_then(|()| child.wait());
        })?;
    if has_ended.recv_timeout(limit).is_ok() {
        return child.wait().map(Some);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

/// What the end of a trial means.
fn judge(path: &Path, status: ExitStatus, output: &str) -> Result<(), LoadError> {
    let path = path.to_owned();
    let last = |prefix: &str| {
        let mut lines = output.lines().rev();
        lines.find_map(|line| line.strip_prefix(prefix).map(str::to_owned))
    };
    if let Some(signal) = status.signal() {
        return Err(LoadError::Crashed {
            path,
            signal: signal_name(signal),
            said: said(output),
        });
    }
    let code = status.code().unwrap_or(-1);
    match (code, last(PASSED), last(REFUSED)) {
        (0, Some(_), None) => Ok(()),
        (REFUSED_CODE, None, Some(said)) => Err(LoadError::Refused { said }),
        _ => Err(LoadError::Exited {
            path,
            code,
            said: said(output),
        }),
    }
}

/// The last lines that a child wrote, as one, without the trial's own.
fn said(output: &str) -> String {
    let own = |line: &&str| line.starts_with(PASSED) || line.starts_with(REFUSED);
    let words: Vec<&str> = output
        .lines()
        .filter(|line| !own(line))
        .flat_map(str::split_whitespace)
        .collect();
    let text = words.join(" ").replace(|c: char| c.is_control(), "?");
    let skip = text.chars().count().saturating_sub(MAX_SAID);
    text.chars().skip(skip).collect()
}

fn signal_name(signal: i32) -> String {
    use rustix::process::Signal as S;
    let names = [
        (S::SEGV, "SIGSEGV"),
        (S::BUS, "SIGBUS"),
        (S::ABORT, "SIGABRT"),
        (S::ILL, "SIGILL"),
        (S::FPE, "SIGFPE"),
        (S::TRAP, "SIGTRAP"),
        (S::KILL, "SIGKILL"),
        (S::TERM, "SIGTERM"),
        (S::SYS, "SIGSYS"),
        (S::PIPE, "SIGPIPE"),
    ];
    names
        .iter()
        .find(|(s, _)| s.as_raw() == signal)
        .map_or_else(
            || format!("signal {signal}"),
            |(_, name)| (*name).to_owned(),
        )
}

/// The end of a child's output, read by a thread of its own so that the child never waits.
struct Tail {
    text: Arc<Mutex<Vec<u8>>>,
    done: mpsc::Receiver<()>,
}

impl Tail {
    fn of(mut pipe: impl Read + Send + 'static) -> Tail {
        let text = Arc::new(Mutex::new(Vec::new()));
        let (is_done, done) = mpsc::sync_channel(1);
        let kept = Arc::clone(&text);
        // Without a thread the output is lost and the outcome stays right: the closed pipe makes a
        // child that writes fail.
        let _ = thread::Builder::new()
            .name("plugin-trial-output".into())
            .spawn(move || {
                let mut chunk = [0; 1024];
                while let Ok(len @ 1..) = pipe.read(&mut chunk) {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.extend_from_slice(&chunk[..len]);
                    let excess = kept.len().saturating_sub(MAX_TAIL);
                    kept.drain(..excess);
                }
                let _ = is_done.send(());
            });
        Tail { text, done }
    }

    fn take(self) -> String {
        let _ = self.done.recv_timeout(OUTPUT_GRACE);
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&text).into_owned()
    }
}
