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

/// The accept loop as a stream.
pub(super) struct Incoming {
    listener: TcpListener,
    seats: Arc<Seats>,
    cut: watch::Receiver<bool>,
    resting: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    /// When `cut` turns true, every connection breaks.
    pub(super) fn new(listener: TcpListener, max_connections: usize, cut: watch::Receiver<bool>) -> Self {
        Self { listener, seats: Seats::new(max_connections), cut, resting: None }
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
                    return Poll::Ready(Some(Ok(Connection { stream, cut, _seat: seat })));
                }
                Err(_) => this.resting = Some(Box::pin(sleep(ACCEPT_AGAIN))),
            }
        }
    }
}

/// A socket that can be cut.
pub(super) struct Connection {
    stream: TcpStream,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
    _seat: Seat,
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
        Pin::new(&mut self.stream).poll_read(cx, buf)
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
