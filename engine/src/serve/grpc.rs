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
//! - A client that reads nothing of an answer or a watch for [`GrpcConfig::write_timeout`], though there is something to read:
//!   the call loses its place and ends with `ABORTED`.
//! - Watchers: [`GrpcConfig::max_watchers`], then `RESOURCE_EXHAUSTED`. One that is further behind than the hub's buffer of news
//!   ends with `ABORTED`.

mod answer;
mod control;
mod generation;
mod guard;
mod incoming;
mod rates;
mod readers;
mod seats;
mod status;
mod watch;

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch as signal};
use tokio::task::unconstrained;
use tokio::time::{interval, timeout};
use tonic::service::Routes;
use tonic::transport::Server;

use super::drain::drained;
use super::hub::Hub;
use super::listen::listen;
use super::{ApiKey, Drained, ListenError, ServedModel};
use crate::wire::v1::control_server::ControlServer;
use crate::wire::v1::generation_server::GenerationServer;
use incoming::Incoming;
use rates::Meter;
use readers::Readers;
use seats::Seats;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 256;
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
    /// How long a client may go with reading nothing of a stream while there is something to read.
    pub write_timeout: Duration,
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
            write_timeout: Duration::from_secs(30),
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
    /// Both, as those who have to read.
    readers: Arc<Readers>,
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
        let (listener, address) = listen(address, BACKLOG)?;
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
            readers: Readers::new(config.write_timeout),
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
        let (hub, answers, patience) = (&served.hub, &served.answers, served.config.drain_timeout);
        let draining = drained(stop, (hub, &served.stopping), patience, answers.empty(), || answers.taken());
        let mut draining = pin!(draining);
        let mut looks = interval(LOOK);
        let mut reads = interval(served.readers.period());
        // Before anyone can ask.
        served.meter.look(served.load());
        let drained = loop {
            tokio::select! {
                // It ends by itself only where it cannot go on at all.
                _ = &mut serving => return Drained { cancelled: hub.in_flight().max(answers.taken()) },
                _ = looks.tick() => served.meter.look(served.load()),
                now = reads.tick() => unconstrained(async { served.readers.look(now) }).await,
                drained = &mut draining => break drained,
            }
        };
        // Nobody listens for the values, only for the change. First everyone is asked to go, then nobody is.
        let _ = parting.send(true);
        if timeout(PARTING, &mut serving).await.is_err() {
            let _ = cutting.send(true);
            let _ = timeout(PARTING, &mut serving).await;
        }
        drained
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
