//! [`Host`]: the engine's services, and [`Context`]: those of one call.

use levada_abi::{self as abi, Buffer, HostVTable, NodeHandle, Status, StreamInfo, Text};

use crate::{
    buffer::Loan,
    error::{Error, Result},
    format::Format,
    frame::{Frame, Kind},
};

/// The engine's services for one node. Cheap to copy, usable from any thread; a call after the
/// node's end is answered with an error and does no harm.
#[derive(Clone, Copy)]
pub struct Host {
    vtable: &'static HostVTable,
    node: NodeHandle,
}

/// Why frames were not taken by [`Host::ingest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The links have no room now; the frames are still the caller's.
    Full,
    /// The node has ended.
    Gone,
    /// The port is no output of the node.
    Invalid,
}

impl Host {
    /// Wraps what a node was told at its creation.
    ///
    /// # Safety
    /// `vtable` must be a host's, and live for ever.
    pub(crate) unsafe fn new(vtable: *const HostVTable, node: NodeHandle) -> Host {
        // SAFETY: the caller vouches for it.
        let vtable = unsafe { &*vtable };
        Host { vtable, node }
    }

    /// Loans a unique, writable buffer of `len` bytes from the engine's pool.
    ///
    /// # Errors
    /// When the pool's memory limit is reached, or the node has ended.
    pub fn loan(&self, len: usize) -> Result<Loan> {
        let mut buffer = Buffer::EMPTY;
        // SAFETY: `buffer` is writable for the call; the functions of a host vtable may be called
        // from any thread (contract), here and below.
        let status =
            unsafe { (self.vtable.loan)(self.vtable.host, self.node, len, &raw mut buffer) };
        match status {
            s if s.is_ok() => Ok(Loan(buffer)),
            Status::GONE => Err(Error::new("the node has ended")),
            _ => Err(Error::new(format_args!(
                "no buffer of {len} bytes: the memory limit of the engine's pool is reached; \
                 release frames sooner or raise the limit"
            ))),
        }
    }

    /// Interns a format in the session and returns its id.
    ///
    /// # Errors
    /// When the session's table (64 formats) is full, or the format is malformed.
    pub fn format_id(&self, format: &Format) -> Result<u32> {
        // SAFETY: the borrowed format is valid for the call.
        let id = format
            .with_abi(|f| unsafe { (self.vtable.format_intern)(self.vtable.host, self.node, f) });
        if id == 0 {
            return Err(Error::new(format_args!(
                "format {format:?} was refused: a session holds at most 64 well-formed formats"
            )));
        }
        Ok(id)
    }

    /// Declares a stream and returns its id; the same kind and label give the same id.
    ///
    /// # Errors
    /// When the session's table (256 streams) is full.
    pub fn stream_id(&self, kind: Kind, label: &str) -> Result<u16> {
        let info = StreamInfo {
            size: size_of::<StreamInfo>(),
            media: kind.to_abi(),
            label: Text::new(label),
        };
        // SAFETY: `info` is valid for the call.
        let id =
            unsafe { (self.vtable.stream_declare)(self.vtable.host, self.node, &raw const info) };
        u16::try_from(id).map_err(|_| {
            Error::new(format_args!(
                "stream \"{label}\" was refused: a session holds at most 256 streams"
            ))
        })
    }

    /// Hands a frame in at an output port of a source, from any thread of the source's own; one
    /// call at a time a node.
    ///
    /// # Errors
    /// The frame comes back when the links have no room, or the node has ended: it is the source's
    /// to try again, or to drop and [declare](Host::dropped).
    #[inline]
    pub fn ingest(&self, port: usize, frame: Frame) -> Result<(), (Frame, Refused)> {
        let mut slot = frame.into_abi();
        // SAFETY: `slot` is one writable slot for the call.
        let taken = unsafe {
            (self.vtable.ingest)(self.vtable.host, self.node, port as u32, &raw mut slot, 1)
        };
        match Frame::from_abi(slot) {
            None => Ok(()),
            Some(frame) => {
                let why = match Status(taken) {
                    Status::INVALID => Refused::Invalid,
                    status if status.is_ok() => Refused::Full,
                    _ => Refused::Gone,
                };
                Err((frame, why))
            }
        }
    }

    /// Hands several frames in at an output port of a source, in order, as [`Host::ingest`] does
    /// with one. Frames that were taken leave `frames`, whose memory stays for the next batch.
    ///
    /// # Errors
    /// What was not taken is still in `frames`, in order; see [`Host::ingest`].
    #[inline]
    pub fn ingest_batch(&self, port: usize, frames: &mut Vec<Frame>) -> Result<(), Refused> {
        let count = u32::try_from(frames.len()).unwrap_or(u32::MAX);
        // SAFETY: `Frame` is a transparent wrapper of the contract's type, and `frames` holds
        // `count` slots or more, which are writable for the call.
        let taken = unsafe {
            let slots = frames.as_mut_ptr().cast::<abi::Frame>();
            (self.vtable.ingest)(self.vtable.host, self.node, port as u32, slots, count)
        };
        if taken.unsigned_abs() as usize == frames.len() && taken >= 0 {
            // SAFETY: fewer than there are. Empty slots have nothing to drop.
            unsafe { frames.set_len(0) };
            return Ok(());
        }
        // Which slots the host emptied is plain to see, so its count need not be believed.
        frames.retain(|frame| !frame.is_empty_slot());
        match Status(taken) {
            _ if frames.is_empty() => Ok(()),
            Status::INVALID => Err(Refused::Invalid),
            status if status.is_ok() => Err(Refused::Full),
            _ => Err(Refused::Gone),
        }
    }

    /// Says that this source will hand in no more frames.
    pub fn finish(&self) {
        // SAFETY: plain call; a stale handle is answered.
        let _ = unsafe { (self.vtable.finish)(self.vtable.host, self.node) };
    }

    /// Asks for one call of [`tick`](crate::Node::tick) soon.
    pub fn wake(&self) {
        // SAFETY: plain call; a stale handle is answered.
        let _ = unsafe { (self.vtable.wake)(self.vtable.host, self.node) };
    }

    /// Asks for one call of [`tick`](crate::Node::tick) at `deadline_ns` of the host's clock;
    /// replaces an earlier deadline of the same node.
    pub fn wake_at(&self, deadline_ns: i64) {
        // SAFETY: plain call; a stale handle is answered.
        let _ = unsafe { (self.vtable.timer)(self.vtable.host, self.node, deadline_ns) };
    }

    /// The host's clock: ns since the engine started, monotonic.
    #[must_use]
    pub fn now(&self) -> i64 {
        // SAFETY: plain call.
        unsafe { (self.vtable.now)(self.vtable.host) }
    }

    /// Raises an upstream event (a keyframe request, a bitrate) at an input port of this node.
    pub fn raise(&self, port: usize, event: abi::Event) {
        // SAFETY: `event` is valid for the call.
        let _ = unsafe {
            (self.vtable.raise)(self.vtable.host, self.node, port as u32, &raw const event)
        };
    }

    /// Sends a downstream event (a [flush](abi::event::kind::FLUSH) or a
    /// [gap](abi::event::kind::GAP)) at an output port of a source, from a thread of the source's own
    /// and in order with what it [ingests](Host::ingest).
    ///
    /// # Errors
    /// As [`Host::ingest`].
    pub fn signal(&self, port: usize, event: abi::Event) -> Result<(), Refused> {
        // SAFETY: `event` is valid for the call.
        let status = unsafe {
            (self.vtable.signal)(self.vtable.host, self.node, port as u32, &raw const event)
        };
        match status {
            Status::FULL => Err(Refused::Full),
            Status::INVALID => Err(Refused::Invalid),
            status if status.is_ok() => Ok(()),
            _ => Err(Refused::Gone),
        }
    }

    /// Declares that this node copied `bytes` of payload; they show in the report.
    pub fn copied(&self, bytes: usize) {
        // SAFETY: plain call.
        unsafe { (self.vtable.copied)(self.vtable.host, self.node, bytes as u64) };
    }

    /// Declares that this node dropped `count` units itself; they show in the report.
    pub fn dropped(&self, count: u64) {
        // SAFETY: plain call.
        unsafe { (self.vtable.dropped)(self.vtable.host, self.node, count) };
    }

    /// Says how much media this node has played, recorded or worked through, in ns of the media's time, and of
    /// how much, if that is known and has an end. The last call stands. `levada run` shows it while it runs, and the
    /// report at the end; it is cheap enough for each frame.
    pub fn progress(&self, done_ns: i64, total_ns: Option<i64>) {
        let total_ns = total_ns.unwrap_or(0);
        // SAFETY: plain call.
        unsafe { (self.vtable.progress)(self.vtable.host, self.node, done_ns, total_ns) };
    }

    pub(crate) fn error(&self, text: &str) {
        // SAFETY: the text is valid for the call.
        unsafe { (self.vtable.error)(self.vtable.host, self.node, Text::new(text)) };
    }
}

/// The services of one call: everything of [`Host`], and handing frames on.
pub struct Context<'a> {
    host: &'a Host,
    call: &'a abi::Context,
    again: bool,
}

impl std::ops::Deref for Context<'_> {
    type Target = Host;
    fn deref(&self) -> &Host {
        self.host
    }
}

impl<'a> Context<'a> {
    #[inline]
    pub(crate) fn new(host: &'a Host, call: &'a abi::Context) -> Context<'a> {
        Context {
            host,
            call,
            again: false,
        }
    }

    /// In [`tick`](crate::Node::tick): asks for the next `tick` as soon as what this one emitted is on
    /// its way. It is the cheapest way to keep frames coming: the engine's thread stays with the node,
    /// until others wait for it. In other calls it does nothing; there, [`Host::wake`] asks for a
    /// `tick`.
    pub fn tick_again(&mut self) {
        self.again = true;
    }

    /// What `tick` answers.
    pub(crate) fn tick_status(&self) -> Status {
        if self.again {
            Status::AGAIN
        } else {
            Status::OK
        }
    }

    /// Returns the format with this id (see [`Frame::format_id`]), if the session has one.
    #[must_use]
    pub fn format(&self, id: u32) -> Option<Format> {
        // SAFETY: the answer is null, or valid as long as the node, which lives during its calls.
        unsafe {
            let format = (self.host.vtable.format_get)(self.host.vtable.host, self.host.node, id);
            format.as_ref().map(|f| Format::from_abi(f))
        }
    }

    /// Returns the label of a stream (a track's id, a data channel's label), if there is one.
    #[must_use]
    pub fn stream_label(&self, id: u16) -> Option<String> {
        // SAFETY: the answer is null, or valid as long as the node, which lives during its calls.
        unsafe {
            let info =
                (self.host.vtable.stream_get)(self.host.vtable.host, self.host.node, u32::from(id));
            info.as_ref().map(|info| info.label.as_str().to_owned())
        }
    }

    /// Hands a frame on at an output port.
    ///
    /// # Errors
    /// When the port is no output, or the call has emitted its
    /// [`max_out`](crate::Port::max_out) already.
    #[inline]
    pub fn emit(&mut self, port: usize, frame: Frame) -> Result {
        let mut slot = frame.into_abi();
        // SAFETY: the context is valid during the call, and `slot` is one writable slot.
        let status = unsafe { (self.call.emit)(self.call.call, port as u32, &raw mut slot) };
        match status {
            s if s.is_ok() => Ok(()),
            Status::FULL => Err(Error::new(format_args!(
                "port {port} has emitted all that its max_out allows in one call; declare more"
            ))),
            _ => Err(Error::new(format_args!(
                "port {port} is no output of this node"
            ))),
        }
    }

    /// Sends a downstream event (a [flush](abi::event::kind::FLUSH) or a
    /// [gap](abi::event::kind::GAP)) at an output port, behind what was emitted there so far.
    ///
    /// # Errors
    /// When the port is no output, the kind is another, no session has such a stream (they are fewer than
    /// 256), or this call has sent 256 already.
    pub fn signal(&mut self, port: usize, event: abi::Event) -> Result {
        // SAFETY: the context and the event are valid during the call.
        let status = unsafe { (self.call.signal)(self.call.call, port as u32, &raw const event) };
        match status {
            s if s.is_ok() => Ok(()),
            Status::FULL => Err(Error::new("a call sends at most 256 events downstream")),
            _ => Err(Error::new(format_args!(
                "port {port} is no output of this node, or event {:#x} of stream {} is no flush or gap of a \
                 stream that a session can have",
                event.kind, event.stream
            ))),
        }
    }

    /// Makes the payload of `frame` writable: in place when it is this frame's alone, otherwise by
    /// one copy into a buffer on loan, which is declared.
    ///
    /// # Errors
    /// As [`Host::loan`].
    pub fn make_writable<'f>(&self, frame: &'f mut Frame) -> Result<&'f mut [u8]> {
        if frame.payload_mut().is_none() {
            let mut copy = self.loan(frame.payload().len())?;
            copy.as_mut_slice().copy_from_slice(frame.payload());
            self.copied(frame.payload().len());
            frame.set_payload(copy);
        }
        frame
            .payload_mut()
            .ok_or_else(|| Error::new("the host loaned memory that is not writable"))
    }
}
