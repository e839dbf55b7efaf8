//! Another pdtune over gRPC, and its control for whatever speaks to its units.
//!
//! Requests go out as token ids and come back as token ids with the digests of their logits. Tokens are stamped when they
//! arrive here; what the engine tells of a request's stages is on the engine's clock, and is put on the run's by the best of
//! several round trips, see [`Alignment`](align::Alignment).
//!
//! A request is `sent` when it is handed to its connection, which writes it in the same turn of the thread.

mod align;
mod control;
mod serve;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::remote::{RemoteAddress, RemoteConfig, RemoteEngine, RemoteError, RemoteKey, StatusCode, Topology};

use super::remote::{Beside, Ground, Limits, SharedClock};
use super::{Connection, Control, TargetInfo, TargetLimits};
use align::Alignment;
use control::GrpcControl;
use serve::Generations;

/// Connections that requests take in turn, and requests in flight on each: a server lets more of them wait without a word.
const CONNECTIONS: usize = 8;
const ON_EACH: usize = 512;
/// How long a call of the control may take.
const CALL: Duration = Duration::from_secs(10);
/// Round trips by which the clocks are compared at first.
const ROUND_TRIPS: usize = 8;

/// An engine to open.
#[derive(Clone, Debug)]
pub struct GrpcTarget {
    /// Where it is.
    pub address: RemoteAddress,
    /// The key that it wants.
    pub key: Option<RemoteKey>,
    /// How long a request may take from being handed over to its end.
    pub timeout: Duration,
    /// Whether its units are watched and can be shifted.
    pub controlled: bool,
}

/// The control of an engine that is reached otherwise, or not at all for requests.
#[derive(Clone, Debug)]
pub struct GrpcControlAt {
    /// Where it is.
    pub address: RemoteAddress,
    /// The key that it wants.
    pub key: Option<RemoteKey>,
}

/// Why an engine cannot be a target.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be reached, or does not let us in.
    #[error("{0}{hint}", hint = hint(.0))]
    Remote(#[from] RemoteError),
    /// The thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

fn hint(error: &RemoteError) -> &'static str {
    match (error, error.code()) {
        (RemoteError::Connect { .. }, _) => {
            "\nhint: is the engine up? `pdtune serve` answers on grpc://127.0.0.1:50051 beside its HTTP"
        }
        (_, Some(StatusCode::Unauthenticated)) => {
            "\nhint: put its key into a variable and name that with --api-key-env"
        }
        _ => "",
    }
}

/// Opens an engine.
///
/// # Errors
/// When it cannot be reached or does not let us in.
pub fn open(target: GrpcTarget) -> Result<Connection, OpenError> {
    let GrpcTarget { address, key, timeout, controlled } = target;
    let ground = Ground::new()?;
    let config =
        RemoteConfig { connections: CONNECTIONS, call_timeout: timeout, key: key.clone(), ..RemoteConfig::default() };
    let engine = ground.block_on(RemoteEngine::connect(address.clone(), config))?;
    // On a connection of its own, where no request makes it wait.
    let overseen = ground.block_on(oversee(&ground, address.clone(), key))?;
    let Topology { model, limits, observed } = overseen.topology.clone();
    let info = TargetInfo {
        name: address.to_string(),
        model,
        split: Some(observed.split),
        limits: TargetLimits {
            context_tokens: limits.context_tokens,
            kv_tokens: limits.kv_tokens,
            vocabulary: limits.vocabulary,
        },
        facts: overseen.facts(),
    };
    let alignment = Arc::clone(&overseen.alignment);
    // Without control the clocks are compared once.
    let (control, beside) = controlled.then(|| overseen.control()).unzip();
    let limits = Limits { in_flight: CONNECTIONS * ON_EACH, ..Limits::of_sockets(timeout) };
    let protocol = Generations { engine, alignment, clock: ground.clock().clone() };
    let parts = ground.connect(protocol, limits, beside)?;
    Ok(Connection { info, target: parts.target, events: parts.events, control, client: Some(parts.client) })
}

/// The control of an engine that requests reach by another way.
pub(super) struct Controlled {
    pub(super) control: Arc<dyn Control>,
    pub(super) beside: Beside,
    /// The engine as it was found.
    pub(super) topology: Topology,
    pub(super) facts: BTreeMap<String, String>,
}

/// Opens the control at `at`, to run beside a target on `ground`.
pub(super) fn control(ground: &Ground, at: GrpcControlAt) -> Result<Controlled, OpenError> {
    let overseen = ground.block_on(oversee(ground, at.address, at.key))?;
    let (topology, facts) = (overseen.topology.clone(), overseen.facts());
    let (control, beside) = overseen.control();
    Ok(Controlled { control, beside, topology, facts })
}

/// An engine as it was found, and how its clock goes.
struct Overseen {
    engine: RemoteEngine,
    topology: Topology,
    alignment: Arc<Alignment>,
    clock: SharedClock,
}

async fn oversee(ground: &Ground, address: RemoteAddress, key: Option<RemoteKey>) -> Result<Overseen, RemoteError> {
    let config = RemoteConfig { call_timeout: CALL, key, ..RemoteConfig::default() };
    let engine = RemoteEngine::connect(address, config).await?;
    let clock = ground.clock().clone();
    let alignment = Arc::new(Alignment::default());
    let mut topology = align::look(&engine, &clock, &alignment).await?;
    for _ in 1..ROUND_TRIPS {
        topology = align::look(&engine, &clock, &alignment).await?;
    }
    Ok(Overseen { engine, topology, alignment, clock })
}

impl Overseen {
    fn facts(&self) -> BTreeMap<String, String> {
        let known_to = format!("{} us", self.alignment.uncertainty().0);
        BTreeMap::from([("server_clock_known_to".to_owned(), known_to)])
    }

    fn control(self) -> (Arc<dyn Control>, Beside) {
        let Self { engine, topology, alignment, clock } = self;
        let (control, orders) = GrpcControl::new(&topology.observed);
        let control = Arc::new(control);
        let overseer = control::Overseer {
            engine,
            clock,
            alignment,
            control: Arc::clone(&control),
            orders,
            last: topology.observed,
        };
        (control, Box::new(move |inbox| Box::pin(overseer.run(inbox))))
    }
}
