//! What a program writes where its stderr is a terminal of a given width.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Runs `command` to its end: how it ended, and what it wrote to the terminal.
///
/// # Panics
/// When the system gives no terminal, the program cannot be started, or it has not ended after `limit`.
pub fn on_terminal(mut command: Command, columns: u16, limit: Duration) -> (ExitStatus, String) {
    let (mut screen, terminal) = open(columns).expect("the system gives a terminal");
    command
        .env("TERM", "xterm")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::from(terminal));
    let mut child = command.spawn().expect("the program can be started");
    // Its copy of the terminal: what is written ends when the program has it alone no more.
    drop(command);
    let (done, written) = sync_channel(1);
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // Linux ends it with an error, which is an end like any other.
        let _ = screen.read_to_end(&mut bytes);
        let _ = done.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    let written = written.recv_timeout(limit);
    if written.is_err() {
        let _ = child.kill();
    }
    let status = child.wait().expect("the child is ours");
    let written = written.unwrap_or_else(|_| panic!("still running after {limit:?}"));
    (status, written)
}

/// The screen's side and the program's.
fn open(columns: u16) -> rustix::io::Result<(File, OwnedFd)> {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    rustix::io::fcntl_setfd(&screen, rustix::io::FdFlags::CLOEXEC)?;
    grantpt(&screen)?;
    unlockpt(&screen)?;
    let name = ptsname(&screen, Vec::new())?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal, size)?;
    Ok((File::from(screen), terminal))
}

/// The lines of what was written, each as it stood when the cursor left it.
pub fn lines(written: &str) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), String::new());
    let mut rest = written.chars();
    while let Some(c) = rest.next() {
        match c {
            // A sequence: `ESC [`, numbers, a letter. Colours leave the cursor where it is.
            '\u{1b}' => {
                let letter = rest.by_ref().skip(1).find(char::is_ascii_alphabetic);
                if letter != Some('m') {
                    lines.push(std::mem::take(&mut line));
                }
            }
            '\r' | '\n' => lines.push(std::mem::take(&mut line)),
            c => line.push(c),
        }
    }
    lines.push(line);
    lines
}
