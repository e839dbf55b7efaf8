//! The accept loop: every connection gets a seat and a task, or is turned away.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::io::AsyncWrite;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::HttpConfig;
use super::connection::{self, PARTING};
use super::connections::Connections;
use super::routes::{Served, router};
use super::socket::Socket;
use crate::serve::Drained;
use crate::serve::drain::drained;
use crate::serve::openai::ApiError;

/// After an error of the listener, such as too many open files.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// Connections that are told at the same time that there is no room; more are closed without a word.
const TOLD: usize = 32;

/// What every connection needs.
struct Door {
    connections: Arc<Connections>,
    config: Arc<HttpConfig>,
    router: Router,
    parted: watch::Receiver<bool>,
    /// Those that may still be told that there is no room.
    told: Arc<Semaphore>,
}

/// Serves until `stop`, then drains.
pub(super) async fn run(
    listener: TcpListener,
    served: Arc<Served>,
    connections: Arc<Connections>,
    stop: impl Future<Output = ()>,
) -> Drained {
    let (parting, parted) = watch::channel(false);
    let door = Door {
        connections: Arc::clone(&connections),
        config: Arc::clone(&served.config),
        router: router(&served),
        parted,
        told: Arc::new(Semaphore::new(TOLD)),
    };
    let mut tasks = JoinSet::new();
    let (hub, stopping, patience) = (&served.hub, &served.stopping, served.config.drain_timeout);
    let open = || connections.answering();
    let mut drained = pin!(drained(stop, (hub, stopping), patience, connections.quiet(), open));
    let mut again = pin!(sleep(Duration::ZERO));
    let mut refused = false;
    let drained = loop {
        tokio::select! {
            accepted = listener.accept(), if !refused => if let Ok((stream, _)) = accepted {
                door.admit(stream, &mut tasks);
            } else {
                // Most likely there are too many open files: one that nobody uses is closed.
                connections.make_room();
                refused = true;
                again.set(sleep(ACCEPT_AGAIN));
            },
            () = &mut again, if refused => refused = false,
            Some(_) = tasks.join_next() => {}
            drained = &mut drained => break drained,
        }
    };
    drop(listener);
    // Nobody listens for the value, only for the change.
    let _ = parting.send(true);
    let rest = async { while tasks.join_next().await.is_some() {} };
    let _ = timeout(PARTING, rest).await;
    tasks.shutdown().await;
    drained
}

impl Door {
    /// Gives a connection its seat and its task, or turns it away.
    fn admit(&self, stream: TcpStream, tasks: &mut JoinSet<()>) {
        let Some(seat) = self.connections.seat() else {
            if let Ok(told) = Arc::clone(&self.told).try_acquire_owned() {
                tasks.spawn(async move {
                    let _ = timeout(PARTING, turn_away(stream)).await;
                    drop(told);
                });
            }
            return;
        };
        // Tokens are small and each counts.
        let _ = stream.set_nodelay(true);
        let connections = Arc::clone(&self.connections);
        let socket = Socket::new(stream, self.config.write_timeout, Arc::clone(&seat), connections);
        let router = self.router.clone();
        tasks.spawn(connection::run(socket, seat, router, self.config.head_timeout, self.parted.clone()));
    }
}

/// Says that there is no room, and waits for the client to close: what it has sent would otherwise take the answer from it.
async fn turn_away(mut stream: TcpStream) {
    let body = ApiError::no_room().body();
    let head =
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close";
    let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    // It fits into the empty buffer of a new connection; where it does not, closing says enough.
    let _ = stream.try_write(answer.as_bytes());
    let _ = poll_fn(|context| Pin::new(&mut stream).poll_shutdown(context)).await;
    let mut ignored = [0; 1024];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut ignored) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
