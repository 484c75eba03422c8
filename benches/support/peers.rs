//! What chains are compared with: a task or a thread a node, a bounded channel before each.

use std::{
    sync::mpsc,
    thread::{self, JoinHandle},
};

use levada_plugin::Frame;
use tokio::runtime::{Builder, Runtime};

use super::{LAST, Pass};

/// Frames that fit between two tasks or threads.
pub const CAPACITY: usize = 64;

/// The end of a chain that says when the frame stamped [`LAST`] has come.
pub fn until_last() -> (impl FnMut(Frame) + Send + 'static, mpsc::Receiver<()>) {
    let (tell, finished) = mpsc::sync_channel(1);
    let sink = move |frame: Frame| {
        if frame.pts() == LAST {
            // The bench has gone, and this end goes next.
            let _ = tell.send(());
        }
    };
    (sink, finished)
}

/// A task a node, and one for the sink.
pub struct Tasks {
    pub runtime: Runtime,
    pub first: tokio::sync::mpsc::Sender<Frame>,
}

impl Tasks {
    /// Starts a chain of `nodes` tasks that take up to `batch` frames a wake, and `sink` behind them.
    pub fn start(
        mut builder: Builder,
        nodes: usize,
        batch: usize,
        mut sink: impl FnMut(Frame) + Send + 'static,
    ) -> Tasks {
        let runtime = builder.build().expect("the system has threads");
        let (first, mut from) = tokio::sync::mpsc::channel::<Frame>(CAPACITY);
        for _ in 0..nodes {
            let (to, next) = tokio::sync::mpsc::channel(CAPACITY);
            let mut from = std::mem::replace(&mut from, next);
            runtime.spawn(async move {
                let (mut node, mut frames) = (Pass::default(), Vec::with_capacity(batch));
                while from.recv_many(&mut frames, batch).await > 0 {
                    for frame in frames.drain(..) {
                        node.look(frame.pts());
                        if to.send(frame).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
        runtime.spawn(async move {
            while let Some(frame) = from.recv().await {
                sink(frame);
            }
        });
        Tasks { runtime, first }
    }

    /// Sends a frame from a thread outside of the runtime.
    pub fn send(&self, frame: Frame) {
        assert!(self.first.blocking_send(frame).is_ok());
    }
}

/// A thread a node, and one for the sink. Dropping it ends them, from the source down.
pub struct Threads {
    first: Option<crossbeam::channel::Sender<Frame>>,
    threads: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Starts a chain of `nodes` threads, and `sink` behind them.
    pub fn start(nodes: usize, sink: impl FnMut(Frame) + Send + 'static) -> Threads {
        let (first, mut from) = crossbeam::channel::bounded::<Frame>(CAPACITY);
        let mut threads = vec![];
        for _ in 0..nodes {
            let (to, next) = crossbeam::channel::bounded(CAPACITY);
            let from = std::mem::replace(&mut from, next);
            threads.push(thread::spawn(move || {
                let mut node = Pass::default();
                for frame in from {
                    node.look(frame.pts());
                    if to.send(frame).is_err() {
                        return;
                    }
                }
            }));
        }
        threads.push(thread::spawn(move || from.into_iter().for_each(sink)));
        Threads {
            first: Some(first),
            threads,
        }
    }

    /// Sends a frame.
    pub fn send(&self, frame: Frame) {
        let first = self.first.as_ref().expect("open until the drop");
        assert!(first.send(frame).is_ok());
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.first = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
