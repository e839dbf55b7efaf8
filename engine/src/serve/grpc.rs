//! Control and generation over gRPC: `proto/pdtune/v1`.
//!
//! ```text
//!   incoming ─► seat of a connection ─► HTTP/2 ─► guard: key, bytes of messages ─┬─ Generation ─► hub
//!   (bounded)                                                                   └─ Control ────► hub, its news
//! ```
//!
//! # Bounds, and what happens at each
//! - Connections: [`GrpcConfig::max_connections`]; one more is closed at once. One that has not begun with HTTP/2
//!   within [`GrpcConfig::keep_alive`], or does not answer a ping within that of the question, is closed, and so are its
//!   requests.
//! - Calls on a connection: [`GrpcConfig::max_streams`]; the client lets more wait.
//! - A message: [`GrpcConfig::message_limit`], then `OUT_OF_RANGE`; [`GrpcConfig::message_timeout`] to arrive, then `CANCELLED`.
//!   All messages that are being read together: [`GrpcConfig::messages_limit`], then `RESOURCE_EXHAUSTED`.
//! - Requests in flight: the hub's bound, then `RESOURCE_EXHAUSTED`. Answers that are open, those included that are over in the
//!   engine and not yet read: twice that, and the same.
//! - Tokens that a client does not read wait in HTTP/2's window, then in the hub's buffer; from there on the request is
//!   cancelled and ends with `ABORTED`.
//! - Watchers: [`GrpcConfig::max_watchers`], then `RESOURCE_EXHAUSTED`. One that is further behind than the hub's buffer of news
//!   ends with `ABORTED`.

mod answer;
mod control;
mod generation;
mod guard;
mod incoming;
mod rates;
mod seats;
mod status;
mod watch;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, watch as signal};
use tokio::time::{interval, sleep, timeout};
use tonic::service::Routes;
use tonic::transport::Server;

use super::ServedModel;
use super::http::{ApiKey, Drained, ListenError};
use super::hub::Hub;
use crate::wire::v1::control_server::ControlServer;
use crate::wire::v1::generation_server::GenerationServer;
use incoming::Incoming;
use rates::Meter;
use seats::Seats;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 256;
/// What the system buffers for a client that does not read. More would only hide for longer that it does not.
const SEND_BUFFER: u32 = 256 * 1024;
/// How long connections may take to go once they were asked to.
const PARTING: Duration = Duration::from_secs(1);
/// How often the counters are looked at for rates.
const LOOK: Duration = Duration::from_secs(1);

/// The bounds of a server.
#[derive(Clone, Debug)]
pub struct GrpcConfig {
    /// Open connections at most.
    pub max_connections: usize,
    /// Calls at once on one connection.
    pub max_streams: u32,
    /// Clients that follow the units.
    pub max_watchers: usize,
    /// After how long of silence a connection is asked whether it lives, how long it may take to say so, and how long a new one
    /// may take to begin.
    pub keep_alive: Duration,
    /// How long a message may take to arrive.
    pub message_timeout: Duration,
    /// Bytes of one message.
    pub message_limit: usize,
    /// Bytes of all messages that are being read.
    pub messages_limit: usize,
    /// How long requests in flight may take once the server has been asked to stop; then they are cancelled.
    pub drain_timeout: Duration,
    /// What clients have to present, if anything.
    pub key: Option<ApiKey>,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self {
            max_connections: 256,
            max_streams: 512,
            max_watchers: 64,
            keep_alive: Duration::from_secs(20),
            message_timeout: Duration::from_secs(30),
            message_limit: 8 << 20,
            messages_limit: 64 << 20,
            drain_timeout: Duration::from_secs(30),
            key: None,
        }
    }
}

/// What the services work with.
#[derive(Debug)]
struct Served {
    hub: Hub,
    model: String,
    config: GrpcConfig,
    /// Answers that are open.
    answers: Arc<Seats>,
    /// Clients that follow the units.
    watchers: Arc<Seats>,
    /// Bytes of messages that may still be read.
    messages: Arc<Semaphore>,
    meter: Meter,
    stopping: AtomicBool,
    /// Turns true when everyone who watches has to go.
    parted: signal::Receiver<bool>,
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct GrpcServer {
    listener: TcpListener,
    address: SocketAddr,
    config: GrpcConfig,
}

impl GrpcServer {
    /// Listens; port 0 takes a free one. Has to be called within a tokio runtime.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub fn bind(address: SocketAddr, config: GrpcConfig) -> Result<Self, ListenError> {
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

    /// Answers until `stop` is done. Then no request and no shift is taken any more (`UNAVAILABLE`), what is in flight may
    /// finish within [`GrpcConfig::drain_timeout`], and watchers see that to its end.
    pub async fn run(self, hub: Hub, model: &ServedModel, stop: impl Future<Output = ()> + Send) -> Drained {
        let Self { listener, config, .. } = self;
        let (parting, parted) = signal::channel(false);
        let (cutting, cut) = signal::channel(false);
        let incoming = Incoming::new(listener, config.max_connections, config.keep_alive, cut);
        let served = Arc::new(Served {
            answers: Seats::new(hub.config().in_flight_limit.saturating_mul(2)),
            watchers: Seats::new(config.max_watchers),
            messages: Arc::new(Semaphore::new(config.messages_limit.min(Semaphore::MAX_PERMITS))),
            meter: Meter::default(),
            stopping: AtomicBool::new(false),
            parted: parted.clone(),
            model: model.name.clone(),
            config,
            hub,
        });
        let mut serving = pin!(
            server(&served.config)
                .add_routes(routes(&served))
                .serve_with_incoming_shutdown(incoming, async move { turned(parted).await })
        );
        let mut stop = pin!(stop);
        let mut stopping = false;
        let mut drained = pin!(async {
            served.hub.idle().await;
            served.answers.empty().await;
        });
        let mut patience = pin!(sleep(Duration::ZERO));
        let mut looks = interval(LOOK);
        // Before anyone can ask.
        served.meter.look(served.load());
        let cancelled = loop {
            tokio::select! {
                // It ends by itself only where it cannot go on at all.
                _ = &mut serving => return Drained { cancelled: served.hub.in_flight() },
                _ = looks.tick() => served.meter.look(served.load()),
                () = &mut stop, if !stopping => {
                    stopping = true;
                    served.stopping.store(true, Ordering::Relaxed);
                    served.hub.close();
                    patience.set(sleep(served.config.drain_timeout));
                }
                () = &mut drained, if stopping => break 0,
                () = &mut patience, if stopping => break served.hub.in_flight(),
            }
        };
        // Nobody listens for the values, only for the change. First everyone is asked to go, then nobody is.
        let _ = parting.send(true);
        if timeout(PARTING, &mut serving).await.is_err() {
            let _ = cutting.send(true);
            let _ = timeout(PARTING, &mut serving).await;
        }
        Drained { cancelled }
    }
}

/// Waits until a signal has turned true, or whoever would turn it is gone.
async fn turned(mut signal: signal::Receiver<bool>) {
    let _ = signal.wait_for(|on| *on).await;
}

fn server(config: &GrpcConfig) -> Server {
    Server::builder()
        .max_concurrent_streams(config.max_streams)
        // A client that gives up all its calls at once is none that means harm.
        .http2_max_pending_accept_reset_streams(Some(config.max_streams as usize))
        .http2_keepalive_interval(Some(config.keep_alive))
        .http2_keepalive_timeout(Some(config.keep_alive))
        // Until an answer begins: of a call, all but reading its message takes no time.
        .timeout(config.message_timeout)
}

fn routes(served: &Arc<Served>) -> Routes {
    let limit = served.config.message_limit;
    let control = ControlServer::new(control::Service(Arc::clone(served))).max_decoding_message_size(limit);
    let generation = GenerationServer::new(generation::Service(Arc::clone(served))).max_decoding_message_size(limit);
    let routes = Routes::new(control).add_service(generation);
    guard::guarded(routes.into_axum_router(), served).into()
}
