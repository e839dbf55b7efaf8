//! OpenAI's protocol over HTTP/1.1.
//!
//! ```text
//!   accept loop ─► seat of a connection ─► hyper ─► router ─► key ─► handler ─► hub
//!                  (bounded, idle ones      (header   │
//!                   make room)              timeout)  └ body: bounded each, and all together
//! ```
//!
//! # Bounds, and what happens at each
//! - Connections: [`HttpConfig::max_connections`]. One more closes the one that has waited for its client the longest, in
//!   the middle of a request or between two; where all are busy it is answered 503 and closed. So is one for which the
//!   process has no file left. Up to 32 beyond the bound may be on their way out, or stay for the answer to a request whose
//!   last byte came while they were asked to go.
//! - The head of a request, or the wait for one: [`HttpConfig::head_timeout`], then the connection is closed. 64 KiB, then 431.
//! - A body: [`HttpConfig::body_limit`], then 413; [`HttpConfig::body_timeout`], then 408. All bodies that are being read or
//!   parsed together: [`HttpConfig::bodies_limit`], then 429.
//! - A client that reads next to nothing for [`HttpConfig::write_timeout`] (16 KiB, or all there is): its connection is
//!   closed and its request cancelled.
//! - What is left of a request that was answered early is read for 5 s, so that its client gets to see the answer.
//! - 64 KiB sent ahead while a request is answered, then the connection is closed and the request cancelled.
//! - Requests in flight: the hub's bound, then 429.
//! - Log-probabilities of answers that are not streamed, each of which is kept until its answer has gone out: as many as
//!   [`HttpConfig::logprobs_limit`] together, then 429. A request counts answers x tokens asked for x (those told beside each
//!   token + 1); one that comes to more by itself is refused with 400. A stream keeps none.
//!
//! A client that closes its side of a connection, or half of it, is gone: its request is cancelled at once. An answer is
//! over when the socket has taken all of it.
//!
//! Without a key, what a browser sends for somebody else's page is refused (see `origin`): an `Origin` that is not the server
//! itself always, and a `Host` that is not this machine where the server listens on a loopback address. On any other, such as
//! 0.0.0.0, the server cannot know by which names it is reached: `Host` is not looked at, and a page that points a name of its
//! own at the server gets through. A server that others can reach wants a key.

mod accept;
mod arriving;
mod body;
mod connection;
mod connections;
mod events;
mod files;
mod generate;
mod origin;
mod respond;
mod routes;
mod socket;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use files::raise_affordable_connections;
use tokio::net::TcpListener;

use super::hub::Hub;
use super::listen::listen;
use super::{ApiKey, Drained, ListenError, ServedModel};
use connections::Connections;
use routes::Served;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// The bounds of a server.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Open connections at most; see [`raise_affordable_connections`].
    pub max_connections: usize,
    /// How long a connection may take to send the head of a request, the wait for it included.
    pub head_timeout: Duration,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long a client may go with reading next to nothing while there is something to read.
    pub write_timeout: Duration,
    /// Bytes of one body.
    pub body_limit: usize,
    /// Bytes of all bodies that are being read or parsed.
    pub bodies_limit: usize,
    /// Log-probabilities of all answers that are not streamed. One takes up to 200 bytes, tokens and JSON together.
    pub logprobs_limit: usize,
    /// How long requests in flight may take once the server has been asked to stop; then they are cancelled.
    pub drain_timeout: Duration,
    /// What clients have to present, if anything.
    pub key: Option<ApiKey>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            max_connections: 512,
            head_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            body_limit: 8 << 20,
            bodies_limit: 64 << 20,
            logprobs_limit: 2 << 20,
            drain_timeout: Duration::from_secs(30),
            key: None,
        }
    }
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
        let (listener, address) = listen(address, BACKLOG)?;
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
        let loopback = self.address.ip().is_loopback();
        let served = Served::new(hub, model, self.config, loopback, Arc::clone(&connections));
        accept::run(self.listener, served, connections, stop).await
    }
}
