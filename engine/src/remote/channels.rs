//! Connections to a server, which calls take in turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use super::error::innermost;
use super::key::Present;
use super::peer::{Peer, Service};
use super::{RemoteAddress, RemoteError, RemoteKey};

/// After so long a connection on which nothing comes is asked whether it still lives; without an answer it is given up.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Unread bytes of all streams of a connection, in streams.
const UNREAD_STREAMS: u32 = 64;

/// How a remote engine is reached.
#[derive(Clone, Debug)]
pub struct RemoteConfig {
    /// Connections, at least 1; calls take them in turn. A server answers a bounded number of calls on each, and lets more
    /// wait without a word: a load generator that has more than some hundred requests in flight wants several.
    pub connections: usize,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a call may take to be answered; of an answer, until it is accepted; of a watch, until it has its first state. What comes then has all the time
    /// it wants.
    pub call_timeout: Duration,
    /// The key, where the server wants one.
    pub key: Option<RemoteKey>,
    /// Bytes that a stream may be ahead of its reader; from there on the server waits.
    pub stream_window: u32,
}

impl Default for RemoteConfig {
    fn default() -> Self {
        Self {
            connections: 1,
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(10),
            key: None,
            stream_window: 256 * 1024,
        }
    }
}

/// The connections.
#[derive(Debug)]
pub(super) struct Channels {
    pub(super) peer: Arc<Peer>,
    call_timeout: Duration,
    all: Vec<Channel>,
    next: AtomicUsize,
}

impl Channels {
    /// Makes all of them. Has to be called within a tokio runtime, which then carries them.
    ///
    /// # Errors
    /// When one cannot be made.
    pub(super) async fn connect(
        address: RemoteAddress,
        config: RemoteConfig,
        service: Service,
    ) -> Result<Self, RemoteError> {
        let peer = Peer { address, key: config.key, service };
        let unreachable = |why: String| peer.unreachable(&why);
        let endpoint = Endpoint::from_shared(format!("http://{}", peer.address.authority()));
        let endpoint = endpoint
            .map_err(|error| unreachable(innermost(&error)))?
            .connect_timeout(config.connect_timeout)
            .tcp_nodelay(true)
            .initial_stream_window_size(config.stream_window)
            .initial_connection_window_size(config.stream_window.saturating_mul(UNREAD_STREAMS).min(i32::MAX as u32));
        let endpoint = match service {
            Service::Ours => endpoint.http2_keep_alive_interval(KEEP_ALIVE).keep_alive_timeout(KEEP_ALIVE),
            // Unless told otherwise, its server takes gRPC's own pings for an attack when they come while a first token is waited
            // for, and leaves: the system asks.
            Service::Vllm => endpoint.tcp_keepalive(Some(KEEP_ALIVE)),
        };
        let mut all = Vec::with_capacity(config.connections.max(1));
        for _ in 0..config.connections.max(1) {
            // Looking up a name is not under the connection's own timeout.
            let made = timeout(config.connect_timeout, endpoint.connect()).await;
            let made = made.map_err(|_| unreachable(format!("no answer within {:?}", config.connect_timeout)))?;
            all.push(made.map_err(|error| unreachable(innermost(&error)))?);
        }
        Ok(Self { peer: Arc::new(peer), call_timeout: config.call_timeout, all, next: AtomicUsize::new(0) })
    }

    /// The next in turn.
    pub(super) fn next(&self) -> Channel {
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.all.len();
        self.all[turn].clone()
    }

    /// What puts the key on calls.
    pub(super) fn presented(&self) -> Present {
        Present(self.peer.key.clone())
    }

    /// Waits for an answer, but not for ever.
    pub(super) async fn call<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, RemoteError> {
        let after = self.call_timeout;
        match timeout(after, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.peer.status(&status)),
            Err(_) => Err(RemoteError::Timeout { address: self.peer.address.clone(), after }),
        }
    }
}
