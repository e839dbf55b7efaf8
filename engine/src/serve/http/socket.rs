//! A socket whose client has to read, and that notices when the client goes away even while nobody reads from it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::connections::{Connections, Seat};

/// Bytes that a client may send ahead while a request is answered. One that sends more is not waiting for its answer.
const AHEAD: usize = 64 * 1024;
/// Bytes that a client has to read in the time that it may take to read anything.
const LEAST_READ: usize = 16 * 1024;

/// A connection's socket; clones are the same one. It fails when it cannot write for too long.
#[derive(Clone, Debug)]
pub(super) struct Socket(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    stream: TcpStream,
    seat: Arc<Seat>,
    connections: Arc<Connections>,
    patience: Duration,
    /// Runs while there is something to write that nobody takes.
    waiting: Option<Pin<Box<Sleep>>>,
    /// Bytes taken since then.
    taken: usize,
    /// Bytes read before anybody asked for them.
    ahead: Vec<u8>,
    /// How many of them were given out.
    given: usize,
}

/// What reading ahead has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ahead {
    /// There is more to read for whoever wants it.
    More,
    /// The client has closed the connection or its half of it, or sends without end.
    Gone,
}

impl Socket {
    /// `patience` is how long the client may read next to nothing while there is something to read.
    pub(super) fn new(stream: TcpStream, patience: Duration, seat: Arc<Seat>, connections: Arc<Connections>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            stream,
            seat,
            connections,
            patience,
            waiting: None,
            taken: 0,
            ahead: Vec::new(),
            given: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what nobody has asked for yet, which is how the end of a connection is noticed.
    pub(super) fn poll_ahead(&self, context: &mut Context<'_>) -> Poll<Ahead> {
        let inner = &mut *self.lock();
        if inner.ahead.len() - inner.given >= AHEAD {
            return Poll::Ready(Ahead::Gone);
        }
        let mut bytes = [0; 1024];
        let mut read = ReadBuf::new(&mut bytes);
        let ended = ready!(Pin::new(&mut inner.stream).poll_read(context, &mut read)).is_err();
        if ended || read.filled().is_empty() {
            return Poll::Ready(Ahead::Gone);
        }
        inner.ahead.extend_from_slice(read.filled());
        Poll::Ready(Ahead::More)
    }
}

impl Inner {
    /// Passes on what a write came to, unless it has come to too little for too long.
    fn judge(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                self.taken += bytes;
                if self.taken >= LEAST_READ {
                    self.waiting = None;
                }
                return written;
            }
            Poll::Ready(Err(_)) => return written,
            Poll::Pending => {}
        }
        let waiting = self.waiting.get_or_insert_with(|| {
            self.taken = 0;
            Box::pin(sleep(self.patience))
        });
        ready!(waiting.as_mut().poll(context));
        self.waiting = None;
        self.connections.stalled();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client has stopped reading")))
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.lock();
        let ahead = inner.ahead.get(inner.given..).unwrap_or_default();
        if ahead.is_empty() {
            return Pin::new(&mut inner.stream).poll_read(cx, buf);
        }
        let some = ahead.get(..buf.remaining()).unwrap_or(ahead);
        buf.put_slice(some);
        inner.given += some.len();
        if inner.given == inner.ahead.len() {
            (inner.ahead, inner.given) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let inner = &mut *self.lock();
        let written = Pin::new(&mut inner.stream).poll_write(cx, bytes);
        inner.judge(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.lock();
        let written = Pin::new(&mut inner.stream).poll_write_vectored(cx, slices);
        inner.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Whoever writes flushes when everything has been written.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.lock();
        inner.waiting = None;
        inner.seat.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_shutdown(cx)
    }
}
