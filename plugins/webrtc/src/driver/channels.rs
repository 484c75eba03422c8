//! Data channels: one task that writes for all of them, and one for each that reads.
//!
//! Writing a message needs the connection's lock and, when much is on the way already, waits; so messages go through
//! one queue, bounded in messages and in bytes, to one task. All channels of a connection share one transport, which
//! makes a queue for each useless.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use webrtc::data_channel::{DataChannel, DataChannelEvent};

use super::shared::{Shared, count, lock};
use crate::config::MAX_MESSAGE_BYTES;
use crate::error::{PeerError, Refused};
use crate::peer::{Message, PeerEvent};

/// The most data channels that a peer may have at a time.
const MAX_CHANNELS: usize = 64;
/// The longest label, in bytes.
pub(super) const MAX_LABEL_BYTES: usize = 1024;
/// Messages that may wait to be written.
const QUEUE_MESSAGES: usize = 256;
/// Bytes that may wait to be written.
const QUEUE_BYTES: usize = 8 << 20;

struct Entry {
    label: Arc<str>,
    /// `None` while a channel of our own is being made.
    channel: Option<Arc<dyn DataChannel>>,
    open: bool,
}

struct Job {
    channel: Arc<dyn DataChannel>,
    message: Message,
}

/// The receiving end of the queue, for [`write`].
pub(super) struct Queue(mpsc::Receiver<Job>);

/// The data channels of a peer.
pub(super) struct Channels {
    entries: Mutex<Vec<Entry>>,
    queue: mpsc::Sender<Job>,
    queued_bytes: AtomicUsize,
    /// The largest message that the other side takes, in bytes.
    far_limit: AtomicU32,
}

impl Channels {
    pub(super) fn new() -> (Self, Queue) {
        let (queue, jobs) = mpsc::channel(QUEUE_MESSAGES);
        let channels = Self {
            entries: Mutex::default(),
            queue,
            queued_bytes: AtomicUsize::new(0),
            far_limit: AtomicU32::new(MAX_MESSAGE_BYTES as u32),
        };
        (channels, Queue(jobs))
    }

    /// Keeps a place for a channel of our own.
    pub(super) fn reserve(&self, label: &str) -> Result<(), PeerError> {
        if label.len() > MAX_LABEL_BYTES {
            return Err(PeerError::LabelTooLong {
                bytes: label.len(),
                limit: MAX_LABEL_BYTES,
            });
        }
        let mut entries = lock(&self.entries);
        if entries.iter().any(|entry| &*entry.label == label) {
            return Err(PeerError::DuplicateLabel {
                label: label.to_owned(),
            });
        }
        if entries.len() >= MAX_CHANNELS {
            return Err(PeerError::TooManyChannels {
                limit: MAX_CHANNELS,
            });
        }
        entries.push(Entry {
            label: label.into(),
            channel: None,
            open: false,
        });
        Ok(())
    }

    /// Gives the place up again.
    pub(super) fn give_up(&self, label: &str) {
        lock(&self.entries).retain(|entry| entry.channel.is_some() || &*entry.label != label);
    }

    pub(super) fn set_far_limit(&self, bytes: u32) {
        self.far_limit.store(bytes, Ordering::Relaxed);
    }

    /// Takes a message, or says why not. The caller counts.
    pub(super) fn send(&self, label: &str, message: Message) -> Result<(), Refused> {
        let bytes = message.payload.len();
        if bytes > self.far_limit.load(Ordering::Relaxed) as usize || bytes > MAX_MESSAGE_BYTES {
            return Err(Refused::TooLarge);
        }
        if message.text && std::str::from_utf8(&message.payload).is_err() {
            return Err(Refused::NotText);
        }
        let channel = lock(&self.entries)
            .iter()
            .find(|entry| entry.open && &*entry.label == label)
            .and_then(|entry| entry.channel.clone())
            .ok_or(Refused::NoSuchChannel)?;
        let queued = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        let sent = if queued + bytes > QUEUE_BYTES {
            Err(Refused::QueueFull)
        } else {
            self.queue
                .try_send(Job { channel, message })
                .map_err(|error| match error {
                    mpsc::error::TrySendError::Full(_) => Refused::QueueFull,
                    mpsc::error::TrySendError::Closed(_) => Refused::Closed,
                })
        };
        if sent.is_err() {
            self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        sent
    }

    pub(super) fn clear(&self) {
        lock(&self.entries).clear();
    }

    /// Puts a channel into the place kept for it, or into a new one. `false` when there is none.
    fn place(&self, label: &Arc<str>, channel: &Arc<dyn DataChannel>) -> bool {
        let mut entries = lock(&self.entries);
        let kept = entries
            .iter_mut()
            .find(|entry| entry.channel.is_none() && entry.label == *label);
        if let Some(entry) = kept {
            entry.channel = Some(channel.clone());
            return true;
        }
        if entries.len() >= MAX_CHANNELS {
            return false;
        }
        entries.push(Entry {
            label: label.clone(),
            channel: Some(channel.clone()),
            open: false,
        });
        true
    }

    fn opened(&self, channel: &Arc<dyn DataChannel>) {
        for entry in lock(&self.entries).iter_mut() {
            if is(entry, channel) {
                entry.open = true;
            }
        }
    }

    fn closed(&self, channel: &Arc<dyn DataChannel>) {
        lock(&self.entries).retain(|entry| !is(entry, channel));
    }
}

fn is(entry: &Entry, channel: &Arc<dyn DataChannel>) -> bool {
    entry
        .channel
        .as_ref()
        .is_some_and(|other| Arc::ptr_eq(other, channel))
}

/// The task that writes messages, in the order in which they were taken.
pub(super) async fn write(shared: Arc<Shared>, Queue(mut jobs): Queue) {
    while let Some(Job { channel, message }) = jobs.recv().await {
        let bytes = message.payload.len();
        let sent = if message.text {
            match std::str::from_utf8(&message.payload) {
                Ok(text) => channel.send_text(text).await,
                // Checked when it was taken.
                Err(_) => continue,
            }
        } else {
            channel.send(writable(&shared, message.payload)).await
        };
        shared
            .channels
            .queued_bytes
            .fetch_sub(bytes, Ordering::Relaxed);
        if let Err(error) = sent {
            count(&shared.counters.messages_refused);
            tracing::debug!(%error, bytes, "a data message was lost: its channel closed");
        }
    }
}

/// The crate wants memory of its own; a message that nobody else holds is given as it is, another is copied.
fn writable(shared: &Shared, payload: Bytes) -> BytesMut {
    payload.try_into_mut().unwrap_or_else(|shared_payload| {
        shared
            .counters
            .bytes_copied
            .fetch_add(shared_payload.len() as u64, Ordering::Relaxed);
        BytesMut::from(&shared_payload[..])
    })
}

/// Begins to read a channel that the other side opened. Called on the connection's task.
pub(super) fn accept(shared: &Arc<Shared>, channel: Arc<dyn DataChannel>) {
    let task = {
        let shared = shared.clone();
        async move {
            let label = match channel.label().await {
                Ok(label) if label.len() <= MAX_LABEL_BYTES => label,
                Ok(label) => {
                    tracing::warn!(
                        bytes = label.len(),
                        "a data channel is refused: its label is too long"
                    );
                    let _ = channel.close().await;
                    return;
                }
                Err(_) => return,
            };
            read(shared, label.into(), channel).await;
        }
    };
    shared.spawn(task);
}

/// Reads a channel until it closes.
pub(super) async fn read(shared: Arc<Shared>, label: Arc<str>, channel: Arc<dyn DataChannel>) {
    if !shared.channels.place(&label, &channel) {
        tracing::warn!(
            limit = MAX_CHANNELS,
            "a data channel is refused: the peer has too many"
        );
        let _ = channel.close().await;
        return;
    }
    let mut open = false;
    while let Some(event) = channel.poll().await {
        match event {
            DataChannelEvent::OnOpen => {
                open = true;
                shared.channels.opened(&channel);
                shared.event(PeerEvent::ChannelOpen {
                    label: label.to_string(),
                });
            }
            DataChannelEvent::OnMessage(message) => {
                count(&shared.counters.messages_received);
                shared.with_sink(|sink| {
                    sink.message(
                        &label,
                        Message {
                            text: message.is_string,
                            payload: message.data.freeze(),
                        },
                    );
                });
            }
            DataChannelEvent::OnClose => break,
            _ => {}
        }
    }
    shared.channels.closed(&channel);
    if open {
        shared.event(PeerEvent::ChannelClosed {
            label: label.to_string(),
        });
    }
}
