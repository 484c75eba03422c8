//! The runtime that the `webrtc` crate runs on: tokio, with bigger socket buffers, and with loss when a test asks.
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
        let socket = self.inner.wrap_udp_socket(socket)?;
        Ok(match &self.loss {
            None => socket,
            Some(loss) => Arc::new(LossySocket {
                inner: socket,
                loss: loss.clone(),
            }),
        })
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

/// A socket that loses media datagrams as its control says.
struct LossySocket {
    inner: Arc<dyn AsyncUdpSocket>,
    loss: LossControl,
}

impl fmt::Debug for LossySocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LossySocket").field(&self.inner).finish()
    }
}

impl AsyncUdpSocket for LossySocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        // One datagram a call, for `max_gso_segments` says so.
        if self.loss.drops(Direction::Outgoing, transmit.contents) {
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
        let received = self.inner.poll_recv(cx, buffers, meta);
        if let Poll::Ready(Ok(count)) = received {
            for (buffer, meta) in buffers.iter_mut().zip(meta.iter_mut()).take(count) {
                // The system may hand over several datagrams of one stride at once. Those that stay move together; a
                // message of which none stays has length 0, which the driver passes over.
                meta.len = retain_segments(&mut buffer[..meta.len], meta.stride.max(1), |bytes| {
                    !self.loss.drops(Direction::Incoming, bytes)
                });
            }
        }
        received
    }

    fn max_gso_segments(&self) -> usize {
        1
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
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
