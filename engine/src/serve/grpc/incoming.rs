//! Connections as they come in, a bounded number of them.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::seats::{Seat, Seats};
use super::turned;

/// After an error of the listener, such as too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// Bytes that every client of HTTP/2 begins with (RFC 9113, 3.4).
const PREFACE: usize = 24;

/// The accept loop as a stream.
pub(super) struct Incoming {
    listener: TcpListener,
    seats: Arc<Seats>,
    patience: Duration,
    cut: watch::Receiver<bool>,
    resting: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    /// A connection that has not begun with HTTP/2 after `patience` breaks; when `cut` turns true, every one does.
    pub(super) fn new(
        listener: TcpListener,
        max_connections: usize,
        patience: Duration,
        cut: watch::Receiver<bool>,
    ) -> Self {
        Self { listener, seats: Seats::new(max_connections), patience, cut, resting: None }
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(resting) = &mut this.resting {
                ready!(resting.as_mut().poll(context));
                this.resting = None;
            }
            match ready!(this.listener.poll_accept(context)) {
                Ok((stream, _)) => {
                    // Without a seat it is closed: there is nothing to say before HTTP/2 has begun.
                    let Some(seat) = this.seats.take() else { continue };
                    // Tokens are small and each counts.
                    let _ = stream.set_nodelay(true);
                    let cut = Box::pin(turned(this.cut.clone()));
                    let opening = Some(Opening { left: PREFACE, until: Box::pin(sleep(this.patience)) });
                    return Poll::Ready(Some(Ok(Connection { stream, opening, cut, _seat: seat })));
                }
                Err(_) => this.resting = Some(Box::pin(sleep(ACCEPT_AGAIN))),
            }
        }
    }
}

/// A socket that can be cut.
pub(super) struct Connection {
    stream: TcpStream,
    /// Until HTTP/2 has begun: only then are there pings that find out who is gone.
    opening: Option<Opening>,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
    _seat: Seat,
}

/// The begin of a connection.
struct Opening {
    /// Bytes of the preface that are to come.
    left: usize,
    until: Pin<Box<Sleep>>,
}

impl Opening {
    /// Counts bytes that came; whether they are all of the preface, or an error when it takes too long.
    fn poll_open(&mut self, context: &mut Context<'_>, came: usize) -> Poll<io::Result<()>> {
        self.left = self.left.saturating_sub(came);
        if self.left == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(self.until.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not begin with HTTP/2")))
    }
}

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // HTTP/2 reads all the time, whatever else it waits for.
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the server has stopped")));
        }
        let this = &mut *self;
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        let came = buf.filled().len() - before;
        if let Some(Poll::Ready(open)) = this.opening.as_mut().map(|opening| opening.poll_open(cx, came)) {
            open?;
            this.opening = None;
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
