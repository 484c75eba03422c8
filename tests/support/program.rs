//! A child process of a test: its output collected, its end awaited, never left behind.
//!
//! Two threads read stdout and stderr, a third waits for the end without reaping the process, so that its id stays
//! its own until [`Program`] has collected the exit status: a signal can never reach another process. The child stays
//! in the process group of the test, so that Ctrl-C and a test runner's time limit end it too.

use std::collections::VecDeque;
use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// Lines of stderr that are kept; the oldest go first.
const KEPT_LINES: usize = 4000;
/// Bytes of one line that are kept.
const KEPT_LINE_LENGTH: usize = 8 * 1024;
/// Bytes of stdout that are kept.
const KEPT_STDOUT: u64 = 16 * 1024 * 1024;

/// A running program.
pub struct Program {
    name: String,
    /// How many of the last lines of stderr a failing test prints.
    shown_lines: usize,
    child: Child,
    stderr: Arc<Lines>,
    readers: Option<(JoinHandle<Vec<u8>>, JoinHandle<()>)>,
    ended: Receiver<()>,
    status: Option<ExitStatus>,
}

/// What a program left behind.
#[derive(Debug)]
pub struct Output {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// Starts `command`; `name` stands for it in messages.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub fn start(name: &str, mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: cannot start {command:?}: {error}"));
        let mut stdout = child.stdout.take().expect("stdout is piped");
        let mut stderr = child.stderr.take().expect("stderr is piped");
        let lines = Arc::new(Lines::default());
        let stdout = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // An error is the end of the output; what came before it is what there is to judge.
            let _ = stdout.by_ref().take(KEPT_STDOUT).read_to_end(&mut bytes);
            let _ = std::io::copy(&mut stdout, &mut std::io::sink());
            bytes
        });
        let stderr = std::thread::spawn({
            let lines = lines.clone();
            move || lines.fill_from(&mut stderr)
        });
        let (end, ended) = sync_channel(1);
        let pid = pid_of(&child);
        std::thread::spawn(move || {
            // NOWAIT leaves the status for `Child::wait`. An error means that there is nothing left to wait for.
            let _ = waitid(
                WaitId::Pid(pid),
                WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
            );
            let _ = end.send(());
        });
        Self {
            name: name.to_owned(),
            shown_lines: KEPT_LINES,
            child,
            stderr: lines,
            readers: Some((stdout, stderr)),
            ended,
            status: None,
        }
    }

    /// Lets a failing test print the last `lines` lines of stderr only.
    pub fn show_only(mut self, lines: usize) -> Self {
        self.shown_lines = lines;
        self
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `find` returns something for a line of stderr, those already written included.
    ///
    /// # Panics
    /// When `limit` runs out or stderr ends before such a line.
    pub fn wait_for_line<T>(
        &self,
        what: &str,
        limit: Duration,
        find: impl FnMut(&str) -> Option<T>,
    ) -> T {
        self.stderr
            .wait_for(0, limit, find)
            .unwrap_or_else(|why| panic!("{}: waited for {what}: {why}", self.name))
    }

    /// Like [`Self::wait_for_line`], but sees only lines that are written after the first `seen` ones.
    pub fn wait_for_line_after<T>(
        &self,
        seen: usize,
        what: &str,
        limit: Duration,
        find: impl FnMut(&str) -> Option<T>,
    ) -> T {
        self.stderr
            .wait_for(seen, limit, find)
            .unwrap_or_else(|why| panic!("{}: waited for {what}: {why}", self.name))
    }

    /// How many lines of stderr there were up to now.
    pub fn lines_seen(&self) -> usize {
        let lines = self.stderr.lock();
        lines.dropped + lines.kept.len()
    }

    /// What was kept of stderr up to now.
    pub fn stderr(&self) -> String {
        self.stderr.text(KEPT_LINES)
    }

    /// Sends `signal` to the program.
    pub fn signal(&mut self, signal: Signal) {
        if self.status.is_none() {
            // A process that has ended meanwhile is still ours (not reaped), so the id is right and an error harmless.
            let _ = kill_process(pid_of(&self.child), signal);
        }
    }

    /// Says whether the program still runs.
    pub fn is_running(&mut self) -> bool {
        if self.status.is_none()
            && !matches!(
                self.ended.try_recv(),
                Err(std::sync::mpsc::TryRecvError::Empty)
            )
        {
            self.status = Some(
                self.child
                    .wait()
                    .expect("the child is ours and not yet reaped"),
            );
        }
        self.status.is_none()
    }

    /// Waits for the program's own end.
    ///
    /// # Panics
    /// When it still runs after `limit`; it is ended then.
    pub fn wait(mut self, limit: Duration) -> Output {
        assert!(
            self.ends_within(limit),
            "{}: still running after {limit:?}",
            self.name
        );
        let status = self.status.expect("the program has ended");
        let (stdout, stderr) = self.readers.take().expect("wait consumes the program");
        let stdout = stdout.join().expect("the reader of stdout does not panic");
        stderr.join().expect("the reader of stderr does not panic");
        let stdout = String::from_utf8(stdout)
            .unwrap_or_else(|error| panic!("{}: stdout is no text: {error}", self.name));
        Output {
            status,
            stdout,
            stderr: self.stderr.text(KEPT_LINES),
        }
    }

    fn ends_within(&mut self, limit: Duration) -> bool {
        if self.status.is_none() && self.ended.recv_timeout(limit) != Err(RecvTimeoutError::Timeout)
        {
            self.status = Some(
                self.child
                    .wait()
                    .expect("the child is ours and not yet reaped"),
            );
        }
        self.status.is_some()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.is_running() {
            self.signal(Signal::TERM);
            if !self.ends_within(Duration::from_secs(5)) {
                self.signal(Signal::KILL);
                self.ends_within(Duration::from_secs(5));
            }
        }
        if std::thread::panicking() {
            eprintln!(
                "--- stderr of {} ---\n{}",
                self.name,
                self.stderr.text(self.shown_lines)
            );
        }
    }
}

fn pid_of(child: &Child) -> Pid {
    let id = i32::try_from(child.id()).expect("process ids are positive 32-bit numbers");
    Pid::from_raw(id).expect("a child's id is not zero")
}

/// The lines of a stream, the last [`KEPT_LINES`] of them.
#[derive(Default)]
struct Lines {
    state: Mutex<LinesState>,
    changed: Condvar,
}

#[derive(Default)]
struct LinesState {
    kept: VecDeque<String>,
    /// How many lines went before `kept`.
    dropped: usize,
    ended: bool,
}

impl Lines {
    fn lock(&self) -> MutexGuard<'_, LinesState> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn fill_from(&self, stream: &mut impl Read) {
        let mut chunk = [0; 4096];
        let mut line = Vec::new();
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            for &byte in &chunk[..count] {
                if byte == b'\n' {
                    self.push(&line);
                    line.clear();
                } else if line.len() < KEPT_LINE_LENGTH {
                    line.push(byte);
                }
            }
        }
        if !line.is_empty() {
            self.push(&line);
        }
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.kept.len() == KEPT_LINES {
            state.kept.pop_front();
            state.dropped += 1;
        }
        state
            .kept
            .push_back(String::from_utf8_lossy(line).into_owned());
        self.changed.notify_all();
    }

    fn wait_for<T>(
        &self,
        seen: usize,
        limit: Duration,
        mut find: impl FnMut(&str) -> Option<T>,
    ) -> Result<T, &'static str> {
        let deadline = Instant::now() + limit;
        let mut next = seen;
        let mut state = self.lock();
        loop {
            let from = next.saturating_sub(state.dropped);
            if let Some(found) = state.kept.iter().skip(from).find_map(|line| find(line)) {
                return Ok(found);
            }
            next = next.max(state.dropped + state.kept.len());
            if state.ended {
                return Err("its stderr ended without it");
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("the time ran out");
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .0;
        }
    }

    /// The last `count` lines.
    fn text(&self, count: usize) -> String {
        let state = self.lock();
        let mut text = String::new();
        let skipped = state.kept.len().saturating_sub(count);
        if state.dropped + skipped > 0 {
            text.push_str(&format!(
                "({} earlier lines are left out)\n",
                state.dropped + skipped
            ));
        }
        for line in state.kept.iter().skip(skipped) {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}
