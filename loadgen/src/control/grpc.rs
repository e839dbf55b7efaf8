//! Control of an engine that answers at `grpc://HOST:PORT`, as `pdtune serve` does.
//!
//! ```text
//!   observing thread ── observe ──► last topology ◄── every 0.5 s ──┐
//!                    ── shift ────► orders (bounded) ──► control thread ◄──► engine
//!   reader of events ◄───────────── answers to orders, watch ◄──────┘
//! ```
//!
//! The thread has a connection of its own, so that control works while requests fill theirs. What the watch tells goes where
//! the target's events go, see [`Listener`], and so do the answers to orders: nobody waits for them. When the connection
//! breaks, the watch is begun anew, and what has changed in between is told from the state it begins with, the end of a shift
//! included. Where nobody answers for some time, or the engine was started anew, the shifts that were open are told as failed.

mod follow;
mod missed;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::cluster::How;
use engine::drive::wall::Observation;
use engine::remote::{RemoteAddress, RemoteConfig, RemoteEngine, RemoteError, StatusCode, Topology};
use engine::units::{Nanos, Split};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::listener::Listener;
use super::server_clock::ServerClock;
use crate::target::{ClusterView, Control, embedded};
use follow::Follower;

/// Shifts that may wait to be sent; one more is not taken.
const ORDERS: usize = 16;
/// How long a call may take; what is wanted meanwhile waits.
const CALL: Duration = Duration::from_secs(2);

/// Why an engine cannot be controlled.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be reached, or is none.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// The system has no room for a thread.
    #[error("cannot start the control thread: {0}")]
    Thread(#[from] io::Error),
}

impl OpenError {
    /// Whether it may be otherwise a little later, when the engine has started.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Remote(error) => may_pass(error),
            Self::Thread(_) => false,
        }
    }
}

/// Whether a call that has failed may go well a little later, when the engine has started: what it refuses it will refuse again.
pub(crate) fn may_pass(error: &RemoteError) -> bool {
    match error {
        RemoteError::Connect { .. } | RemoteError::Timeout { .. } | RemoteError::Broken { .. } => true,
        RemoteError::Status { code, .. } => !matches!(
            code,
            StatusCode::Unauthenticated
                | StatusCode::PermissionDenied
                | StatusCode::Unimplemented
                | StatusCode::InvalidArgument
        ),
        RemoteError::Malformed { .. } => false,
    }
}

/// An engine's control. Dropped, it lets the engine be.
#[derive(Debug)]
pub struct GrpcControl {
    seen: Arc<Seen>,
    orders: mpsc::Sender<Order>,
    clock: Arc<ServerClock>,
}

/// A shift that is wanted.
struct Order {
    to: Split,
    how: How,
}

/// What was last seen.
#[derive(Debug)]
struct Seen(Mutex<Looks>);

#[derive(Debug)]
struct Looks {
    latest: Observation,
    /// What was last told, and from which look.
    told: (Observation, ClusterView),
}

impl Seen {
    fn new(first: Observation) -> Self {
        let told = (first.clone(), embedded::view(&first, &first));
        Self(Mutex::new(Looks { latest: first, told }))
    }

    fn lock(&self) -> MutexGuard<'_, Looks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a look in. The instant of the last one before, if this is another engine, which was started in its place: its
    /// clock or its generation has fallen. Then rates begin anew.
    fn see(&self, latest: Observation) -> Option<Nanos> {
        let mut looks = self.lock();
        let before = &looks.latest;
        let anew = latest.at < before.at || latest.generation < before.generation;
        let before = before.at;
        if anew {
            looks.told = (latest.clone(), embedded::view(&latest, &latest));
        }
        looks.latest = latest;
        anew.then_some(before)
    }

    /// The instant of the last look.
    fn last(&self) -> Nanos {
        self.lock().latest.at
    }

    /// The latest look, with rates since the one that was told before; the same again where there is no newer one.
    fn view(&self) -> ClusterView {
        let mut looks = self.lock();
        if looks.latest.at > looks.told.0.at {
            let view = embedded::view(&looks.latest, &looks.told.0);
            looks.told = (looks.latest.clone(), view);
        }
        looks.told.1.clone()
    }
}

impl GrpcControl {
    /// Connects, looks, and starts to follow; `config` gives the key and the time to connect. Blocks until the engine has
    /// answered, so it is not for async code.
    ///
    /// # Errors
    /// When the engine cannot be reached or does not let us in.
    pub fn open(
        address: RemoteAddress,
        config: RemoteConfig,
        listener: impl Listener,
    ) -> Result<(Self, Topology), OpenError> {
        let config = RemoteConfig { connections: 1, call_timeout: CALL, ..config };
        // The thread beside it resolves names.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .thread_name("resolve")
            .build()?;
        let clock = Arc::new(ServerClock::default());
        let (engine, watch, topology) = runtime.block_on(async {
            let engine = RemoteEngine::connect(address, config).await?;
            let asked = clock.asked();
            clock.answered(asked, engine.topology().await?.observed.at);
            let (watch, topology) = engine.watch().await?;
            Ok::<_, RemoteError>((engine, watch, topology))
        })?;
        let seen = Arc::new(Seen::new(topology.observed.clone()));
        let (orders, asked) = mpsc::channel(ORDERS);
        let begun = (watch, &topology.observed);
        let follower = Follower::new(engine, Arc::clone(&seen), Arc::clone(&clock), listener, begun);
        let thread = std::thread::Builder::new().name("control".to_owned());
        thread.spawn(move || runtime.block_on(follower.run(asked)))?;
        Ok((Self { seen, orders, clock }, topology))
    }

    /// The engine's clock, for other instants that it tells.
    pub fn clock(&self) -> Arc<ServerClock> {
        Arc::clone(&self.clock)
    }
}

impl Control for GrpcControl {
    fn observe(&self) -> ClusterView {
        self.seen.view()
    }

    fn shift(&self, to: Split, how: How) -> Result<(), String> {
        self.orders.try_send(Order { to, how }).map_err(|error| match error {
            TrySendError::Full(_) => format!("{ORDERS} shifts wait to be sent already"),
            TrySendError::Closed(_) => "the control of the target has stopped".to_owned(),
        })
    }
}
