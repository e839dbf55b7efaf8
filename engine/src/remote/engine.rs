//! The client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};

use super::error::innermost;
use super::key::Present;
use super::peer::Peer;
use super::watch::opened;
use super::{Load, RemoteAddress, RemoteAnswer, RemoteError, RemoteKey, RemoteWatch, Topology};
use crate::cluster::{How, ShiftId};
use crate::serve::hub::Generation;
use crate::units::Split;
use crate::wire::v1::control_client::ControlClient;
use crate::wire::v1::generation_client::GenerationClient;
use crate::wire::{self, v1};

/// A connection on which nothing comes is asked whether it still lives; without an answer it is given up.
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

/// A remote engine; cheap to clone, and used from any number of tasks.
#[derive(Clone, Debug)]
pub struct RemoteEngine(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    peer: Arc<Peer>,
    call_timeout: Duration,
    channels: Vec<Channel>,
    next: AtomicUsize,
}

type Carrier = InterceptedService<Channel, Present>;

impl RemoteEngine {
    /// Makes all connections and asks for the topology once, so that what is there is known to be an engine that lets us in.
    /// Has to be called within a tokio runtime, which then carries the connections.
    ///
    /// # Errors
    /// When a connection cannot be made, the key is not the right one, or what answers is no engine.
    pub async fn connect(address: RemoteAddress, config: RemoteConfig) -> Result<Self, RemoteError> {
        let peer = Arc::new(Peer { address, key: config.key });
        let unreachable = |why: String| peer.unreachable(&why);
        let endpoint = Endpoint::from_shared(format!("http://{}", peer.address.authority()));
        let endpoint = endpoint
            .map_err(|error| unreachable(innermost(&error)))?
            .connect_timeout(config.connect_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .initial_stream_window_size(config.stream_window)
            .initial_connection_window_size(config.stream_window.saturating_mul(UNREAD_STREAMS).min(i32::MAX as u32));
        let mut channels = Vec::with_capacity(config.connections.max(1));
        for _ in 0..config.connections.max(1) {
            // Looking up a name is not under the connection's own timeout.
            let made = timeout(config.connect_timeout, endpoint.connect()).await;
            let made = made.map_err(|_| unreachable(format!("no answer within {:?}", config.connect_timeout)))?;
            channels.push(made.map_err(|error| unreachable(innermost(&error)))?);
        }
        let (peer, call_timeout) = (Arc::clone(&peer), config.call_timeout);
        let engine = Self(Arc::new(Inner { peer, call_timeout, channels, next: AtomicUsize::new(0) }));
        match engine.topology().await {
            Ok(_) => Ok(engine),
            // It took the connection and then did not speak the protocol.
            Err(RemoteError::Broken { why, .. }) => Err(unreachable(why)),
            Err(error) => Err(error),
        }
    }

    /// Where it is.
    pub fn address(&self) -> &RemoteAddress {
        &self.0.peer.address
    }

    /// The engine as it is now.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn topology(&self) -> Result<Topology, RemoteError> {
        let mut client = self.control();
        let topology = self.call(client.get_topology(v1::GetTopologyRequest {})).await?;
        self.0.peer.topology(topology)
    }

    /// What it has done and is doing.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn load(&self) -> Result<Load, RemoteError> {
        let mut client = self.control();
        Ok(wire::read_load(&self.call(client.get_load(v1::GetLoadRequest {})).await?))
    }

    /// Asks for a shift and returns its number; a [watch](Self::watch) tells what becomes of it, and only a
    /// [topology](Self::topology) tells that it is done. With `expected`, only if the topology still has that generation.
    ///
    /// # Errors
    /// When the server refuses it, and when the call fails: then it may or may not have been taken.
    pub async fn shift(&self, to: Split, how: How, expected: Option<u64>) -> Result<ShiftId, RemoteError> {
        let mut client = self.control();
        let request =
            v1::ShiftRequest { to: Some(wire::split(to)), how: wire::how(how), expected_generation: expected };
        Ok(ShiftId(self.call(client.shift(request)).await?.ticket))
    }

    /// Follows the units and shifts from the state on that comes with it.
    ///
    /// # Errors
    /// When the call fails or gives no state in its time, or as many as allowed are watching.
    pub async fn watch(&self) -> Result<(RemoteWatch, Topology), RemoteError> {
        let mut client = self.control();
        let opened = self.call(opened(client.watch_units(v1::WatchUnitsRequest {}))).await?;
        RemoteWatch::new(Arc::clone(&self.0.peer), opened)
    }

    /// Asks for an answer. Returns when the server has accepted it.
    ///
    /// # Errors
    /// When the server refuses it ([`ResourceExhausted`](super::StatusCode::ResourceExhausted) when it has no room), or the
    /// call fails.
    pub async fn generate(&self, generation: &Generation) -> Result<RemoteAnswer, RemoteError> {
        let mut client = GenerationClient::with_interceptor(self.channel(), self.presented());
        let stream = self.call(client.generate(wire::request(generation))).await?;
        Ok(RemoteAnswer::new(Arc::clone(&self.0.peer), stream))
    }

    fn control(&self) -> ControlClient<Carrier> {
        ControlClient::with_interceptor(self.channel(), self.presented())
    }

    fn presented(&self) -> Present {
        Present(self.0.peer.key.clone())
    }

    /// The next connection in turn.
    fn channel(&self) -> Channel {
        let turn = self.0.next.fetch_add(1, Ordering::Relaxed) % self.0.channels.len();
        self.0.channels[turn].clone()
    }

    async fn call<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, RemoteError> {
        let after = self.0.call_timeout;
        match timeout(after, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.0.peer.status(&status)),
            Err(_) => Err(RemoteError::Timeout { address: self.address().clone(), after }),
        }
    }
}
