//! The runtime that the `webrtc` crate runs on: tokio, with bigger socket buffers, with time to take in a handshake, and
//! with loss when a test asks.
//!
//! The crate leaves UDP buffers at the system's default, which loses a quarter of the datagrams of a burst while the
//! process is busy. Sockets are made inside the crate, so the only place to change them is the runtime's
//! `wrap_udp_socket`. Everything else is passed on, `spawn_reactor` included: its default would quietly put a
//! dedicated reactor's work on the common pool.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime,
    TokioRuntime, Transmit,
};

use crate::loss::{Direction, LossControl};

/// Tokio with this crate's UDP sockets.
pub(super) struct MediaRuntime {
    pub(super) inner: TokioRuntime,
    pub(super) socket_buffer_bytes: usize,
    pub(super) loss: Option<LossControl>,
    /// Called when the first task that is spawned ends, however it ends. That task is the connection's own: when it
    /// fails or panics, nothing else says so.
    pub(super) on_end: Mutex<Option<OnEnd>>,
}

pub(super) type OnEnd = Box<dyn FnOnce() + Send>;

struct Guard(Option<OnEnd>);

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(on_end) = self.0.take() {
            on_end();
        }
    }
}

impl MediaRuntime {
    fn guarded(&self, future: Boxed<'static, ()>) -> Boxed<'static, ()> {
        let on_end = self
            .on_end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        match on_end {
            None => future,
            Some(on_end) => {
                let guard = Guard(Some(on_end));
                Box::pin(async move {
                    let _guard = guard;
                    future.await;
                })
            }
        }
    }
}

impl fmt::Debug for MediaRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaRuntime").finish_non_exhaustive()
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Runtime for MediaRuntime {
    fn spawn(&self, future: Boxed<'static, ()>) -> Box<dyn JoinHandle> {
        self.inner.spawn(self.guarded(future))
    }

    fn spawn_reactor(&self, pool_size: usize, future: Boxed<'static, ()>) -> Box<dyn JoinHandle> {
        self.inner.spawn_reactor(pool_size, self.guarded(future))
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        // A smaller buffer than asked for is the system's limit, not an error: the connection works, with more loss
        // under load.
        let options = socket2::SockRef::from(&socket);
        let wanted = self.socket_buffer_bytes;
        if let Err(error) = options
            .set_recv_buffer_size(wanted)
            .and_then(|()| options.set_send_buffer_size(wanted))
        {
            tracing::debug!(%error, wanted, "the UDP buffers stay at the system's default");
        }
        Ok(Arc::new(MediaSocket {
            inner: self.inner.wrap_udp_socket(socket)?,
            loss: self.loss.clone(),
            rest: Mutex::default(),
        }))
    }

    fn wrap_tcp_listener(&self, listener: TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        self.inner.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        remote: SocketAddr,
    ) -> Boxed<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        self.inner.connect_tcp(remote)
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> Boxed<'a, io::Result<Vec<SocketAddr>>> {
        self.inner.resolve_host(host)
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }

    fn sleep(&self, duration: Duration) -> Boxed<'static, ()> {
        self.inner.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        self.inner.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        self.inner.block_on(future);
    }

    fn yield_now(&self) -> Boxed<'static, ()> {
        self.inner.yield_now()
    }

    fn name(&self) -> &'static str {
        self.inner.name()
    }
}

/// A socket that loses media datagrams where a test asks, and says "no more for now" after each datagram of the
/// encryption's handshake.
///
/// The crate takes dozens of datagrams before it looks at what came of them, and only then learns the keys that
/// the handshake ended with: media behind the last datagram of the handshake in the same burst would be thrown away,
/// and with them the first keyframe of whoever sends as soon as it may. A refusal ends the burst.
struct MediaSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    loss: Option<LossControl>,
    rest: Mutex<Rest>,
}

/// Handshakes take some twenty datagrams. Strangers can send what looks like one, and slow down no more than this.
const MAX_PAUSES: u16 = 512;

#[derive(Default)]
struct Rest {
    /// How often it has paused.
    pauses: u16,
    /// The last datagram was one of a handshake: the next call gets nothing.
    pause: bool,
    /// What the system handed over together with one.
    held: Option<(Vec<u8>, RecvMeta)>,
}

impl fmt::Debug for MediaSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MediaSocket").field(&self.inner).finish()
    }
}

impl AsyncUdpSocket for MediaSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        // One datagram a call where some are lost, for `max_gso_segments` says so.
        if let Some(loss) = &self.loss
            && loss.drops(Direction::Outgoing, transmit.contents)
        {
            return Poll::Ready(Ok(transmit.contents.len()));
        }
        self.inner.poll_send(cx, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut rest.pause) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // One message a call, so that none lies behind a handshake.
        let (Some(buffer), Some(told)) = (buffers.first_mut(), meta.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        if let Some((bytes, of)) = rest.held.take() {
            *told = of;
            told.len = bytes.len().min(buffer.len());
            buffer[..told.len].copy_from_slice(&bytes[..told.len]);
        } else {
            let one = (std::slice::from_mut(buffer), std::slice::from_mut(told));
            match self.inner.poll_recv(cx, one.0, one.1) {
                Poll::Ready(Ok(1)) => {}
                other => return other,
            }
            // The system may hand over several datagrams of one stride at once. Those that stay move together; a
            // message of which none stays has length 0, which the driver passes over.
            if let Some(loss) = &self.loss {
                told.len = retain_segments(&mut buffer[..told.len], told.stride.max(1), |bytes| {
                    !loss.drops(Direction::Incoming, bytes)
                });
            }
        }
        if rest.pauses < MAX_PAUSES
            && let Some(end) = end_of_handshake(&buffer[..told.len], told.stride.max(1))
        {
            rest.pauses += 1;
            rest.pause = true;
            rest.held = (end < told.len).then(|| (buffer[end..told.len].to_vec(), *told));
            told.len = end;
        }
        Poll::Ready(Ok(1))
    }

    fn max_gso_segments(&self) -> usize {
        match self.loss {
            Some(_) => 1,
            None => self.inner.max_gso_segments(),
        }
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}

/// Where the first segment that belongs to a handshake ends: records of DTLS that change the cipher (20), alert (21)
/// or shake hands (22), and none of media (128 and above) or of data (RFC 7983, 7; RFC 6347, 4.1). By way of a relay they lie
/// behind the four bytes of a channel (64 to 79; RFC 8656, 12.4).
fn end_of_handshake(bytes: &[u8], stride: usize) -> Option<usize> {
    let first = bytes
        .chunks(stride)
        .position(|segment| matches!(segment, [20..=22, ..] | [64..=79, _, _, _, 20..=22, ..]))?;
    Some(bytes.len().min((first + 1) * stride))
}

/// Moves the segments that `keep` wants to the front, and returns their length together.
///
/// Only the last segment may be shorter than the stride. It stays the last whether others go or not, so the result
/// has the same form.
fn retain_segments(bytes: &mut [u8], stride: usize, mut keep: impl FnMut(&[u8]) -> bool) -> usize {
    let mut kept = 0;
    let mut start = 0;
    while start < bytes.len() {
        let end = (start + stride).min(bytes.len());
        if keep(&bytes[start..end]) {
            bytes.copy_within(start..end, kept);
            kept += end - start;
        }
        start = end;
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_of_the_first_task_is_heard_even_when_it_panics() {
        let (heard, ends) = std::sync::mpsc::channel();
        let runtime = MediaRuntime {
            inner: TokioRuntime,
            socket_buffer_bytes: 4096,
            loss: None,
            on_end: Mutex::new(Some(Box::new(move || heard.send(()).unwrap()))),
        };
        let (release, released) = tokio::sync::oneshot::channel::<()>();
        let first = runtime.spawn(Box::pin(async move {
            released.await.unwrap();
            panic!("the end");
        }));
        // A later task may end without anybody's hearing of it.
        let second = runtime.spawn(Box::pin(async {}));
        while !second.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(ends.try_recv().is_err());
        release.send(()).unwrap();
        while !first.is_finished() {
            tokio::task::yield_now().await;
        }
        assert_eq!(ends.try_recv(), Ok(()));
    }

    /// Hands out these messages, of segments of this length, one a call.
    #[derive(Debug)]
    struct Scripted(Mutex<Vec<(&'static [u8], usize)>>);

    impl AsyncUdpSocket for Scripted {
        fn local_addr(&self) -> io::Result<SocketAddr> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn poll_send(&self, _: &mut Context<'_>, _: &Transmit<'_>) -> Poll<io::Result<usize>> {
            Poll::Pending
        }

        fn poll_recv(
            &self,
            _: &mut Context<'_>,
            buffers: &mut [IoSliceMut<'_>],
            meta: &mut [RecvMeta],
        ) -> Poll<io::Result<usize>> {
            let mut script = self.0.lock().unwrap();
            if script.is_empty() {
                return Poll::Pending;
            }
            let (bytes, stride) = script.remove(0);
            buffers[0][..bytes.len()].copy_from_slice(bytes);
            (meta[0].len, meta[0].stride) = (bytes.len(), stride);
            Poll::Ready(Ok(1))
        }
    }

    #[test]
    fn what_lies_behind_a_handshake_is_handed_out_after_a_pause() {
        const DATA: u8 = 23;
        let script: Vec<(&[u8], usize)> = vec![
            (&[200, 1], 2),
            (&[22, 1, 20, 2, 200, 3, 200], 2),
            (&[DATA, 4, 200, 5], 2),
            (&[22], 1),
            (&[200, 6], 2),
            (&[64, 0, 0, 1, 22], 5),
            (&[64, 0, 0, 1, 200], 5),
        ];
        let socket = MediaSocket {
            inner: Arc::new(Scripted(Mutex::new(script))),
            loss: None,
            rest: Mutex::default(),
        };
        let mut buffer = [0; 16];
        let mut next = || {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut meta = [RecvMeta::default()];
            match socket.poll_recv(&mut cx, &mut [IoSliceMut::new(&mut buffer)], &mut meta) {
                Poll::Ready(got) => got.map(|_| buffer[..meta[0].len].to_vec()).unwrap(),
                Poll::Pending => vec![],
            }
        };
        let heard: Vec<_> = (0..13).map(|_| next()).collect();
        let expected: [&[u8]; 13] = [
            &[200, 1],
            &[22, 1],
            &[],
            &[20, 2],
            &[],
            &[200, 3, 200],
            &[DATA, 4, 200, 5],
            &[22],
            &[],
            &[200, 6],
            &[64, 0, 0, 1, 22],
            &[],
            &[64, 0, 0, 1, 200],
        ];
        assert_eq!(heard, expected);
    }

    #[test]
    fn lost_segments_leave_the_others_in_order() {
        let mut bytes = *b"aabbccddee";
        let kept = retain_segments(&mut bytes, 2, |segment| {
            segment != b"bb" && segment != b"dd"
        });
        assert_eq!(&bytes[..kept], b"aaccee");
        let mut bytes = *b"aabbc";
        let kept = retain_segments(&mut bytes, 2, |segment| segment != b"aa");
        assert_eq!(&bytes[..kept], b"bbc");
        assert_eq!(retain_segments(&mut bytes[..2], 2, |_| false), 0);
    }
}
