//! OpenAI's protocol over HTTP/1.1.
//!
//! ```text
//!   accept loop ─► seat of a connection ─► hyper ─► router ─► key ─► handler ─► hub
//!                  (bounded, idle ones      (header   │
//!                   make room)              timeout)  └ body: bounded each, and all together
//! ```
//!
//! # Bounds, and what happens at each
//! - Connections: [`HttpConfig::max_connections`]. One more closes the one that has been idle the longest; where none is
//!   idle it is answered 503 and closed.
//! - The head of a request, or the wait for one: [`HttpConfig::head_timeout`], then the connection is closed. 64 KiB, then 431.
//! - A body: [`HttpConfig::body_limit`], then 413; [`HttpConfig::body_timeout`], then 408. All bodies that are being read or
//!   parsed together: [`HttpConfig::bodies_limit`], then 429.
//! - A client that does not read for [`HttpConfig::write_timeout`]: its connection is closed and its request cancelled.
//! - Requests in flight: the hub's bound, then 429.
//!
//! A client that closes its side of a connection, or half of it, is gone: its request is cancelled at once.

mod accept;
mod auth;
mod body;
mod connections;
mod events;
mod generate;
mod respond;
mod routes;
mod stall;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use auth::ApiKey;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;

use super::ServedModel;
use super::hub::Hub;
use connections::Connections;
use routes::Served;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// What the system buffers for a client that does not read. More would only hide for longer that it does not.
const SEND_BUFFER: u32 = 256 * 1024;

/// The bounds of a server.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Open connections at most.
    pub max_connections: usize,
    /// How long a connection may take to send the head of a request, the wait for it included.
    pub head_timeout: Duration,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a client may go without reading anything while there is something to read.
    pub write_timeout: Duration,
    /// Bytes of one body.
    pub body_limit: usize,
    /// Bytes of all bodies that are being read or parsed.
    pub bodies_limit: usize,
    /// How long requests in flight may take once the server has been asked to stop; then they are cancelled.
    pub drain_timeout: Duration,
    /// What clients have to present, if anything.
    pub key: Option<ApiKey>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            body_limit: 8 << 20,
            bodies_limit: 64 << 20,
            drain_timeout: Duration::from_secs(30),
            key: None,
        }
    }
}

/// Why a server could not listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Why.
    pub source: std::io::Error,
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests that were still in flight when the time to drain was over.
    pub cancelled: usize,
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct HttpServer {
    listener: TcpListener,
    address: SocketAddr,
    config: HttpConfig,
}

impl HttpServer {
    /// Listens; port 0 takes a free one. Has to be called within a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(address: SocketAddr, config: HttpConfig) -> Result<Self, ListenError> {
        let listen = || {
            let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            // A server that was restarted may have its port back at once.
            socket.set_reuseaddr(true)?;
            socket.set_send_buffer_size(SEND_BUFFER)?;
            socket.bind(address)?;
            let listener = socket.listen(BACKLOG)?;
            let address = listener.local_addr()?;
            Ok((listener, address))
        };
        let (listener, address) = listen().map_err(|source| ListenError { address, source })?;
        Ok(Self { listener, address, config })
    }

    /// Where it listens, the port as it really is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is done. Then nothing new is admitted (503, on `/health` too), and what is in flight may finish
    /// within [`HttpConfig::drain_timeout`].
    pub async fn run(self, hub: Hub, model: ServedModel, stop: impl Future<Output = ()> + Send) -> Drained {
        let connections = Connections::new(self.config.max_connections);
        let bodies = Arc::new(Semaphore::new(self.config.bodies_limit.min(Semaphore::MAX_PERMITS)));
        let config = Arc::new(self.config);
        let served = Served::new(hub, model, Arc::clone(&config), Arc::clone(&connections), bodies);
        accept::run(self.listener, served, connections, stop).await
    }
}
