//! Another pdtune over gRPC, and its control for whatever speaks to its units.
//!
//! Requests go out as token ids and come back as token ids with the digests of their logits. Tokens are stamped when they
//! arrive here; what the engine tells of a request's stages is on the engine's clock, and is put on the run's by
//! [`ServerClock`], the best of several round trips.
//!
//! A request is `sent` when it is handed to its connection, which writes it in the same turn of the thread.

mod serve;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::remote::{RemoteAddress, RemoteConfig, RemoteEngine, RemoteError, RemoteKey, StatusCode, Topology};

use super::remote::{GRPC_CONNECTIONS, Ground, Limits};
use super::{Connection, Control, TargetInfo, TargetLimits};
use crate::control::at::GrpcControlAt;
use crate::control::grpc as control;
use crate::control::server_clock::ServerClock;
use serve::Generations;

/// Round trips by which the clocks are compared before the run.
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
    /// How long it may take to tell what it serves.
    pub opening: Duration,
    /// Whether its units are watched and can be shifted.
    pub controlled: bool,
}

/// Why an engine cannot be a target.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be reached, or does not let us in.
    #[error("{0}{hint}", hint = hint(.0))]
    Remote(RemoteError),
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

impl OpenError {
    /// Whether it may be otherwise a little later, when the engine has started.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Remote(error) => control::may_pass(error),
            Self::Thread(_) => false,
        }
    }
}

/// Not by `from`: its text would stand there again as that of a cause.
impl From<RemoteError> for OpenError {
    fn from(error: RemoteError) -> Self {
        Self::Remote(error)
    }
}

impl From<control::OpenError> for OpenError {
    fn from(error: control::OpenError) -> Self {
        match error {
            control::OpenError::Remote(error) => Self::Remote(error),
            control::OpenError::Thread(error) => Self::Thread(error),
        }
    }
}

fn hint(error: &RemoteError) -> &'static str {
    match (error, error.code()) {
        (RemoteError::Connect { .. }, _) => {
            "\nhint: is the engine up? `pdtune serve` answers on grpc://127.0.0.1:50051 beside its HTTP"
        }
        (_, Some(StatusCode::Unauthenticated)) => {
            "\nhint: put its key into a variable and name that with --api-key-env"
        }
        (_, Some(StatusCode::Unimplemented)) => "\nhint: an engine of vLLM's over gRPC is vllm+grpc://HOST:PORT",
        _ => "",
    }
}

/// Opens an engine.
///
/// # Errors
/// When it cannot be reached or does not let us in.
pub fn open(target: GrpcTarget) -> Result<Connection, OpenError> {
    let GrpcTarget { address, key, timeout, opening, controlled } = target;
    let ground = Ground::new()?;
    let config = RemoteConfig {
        connections: GRPC_CONNECTIONS,
        call_timeout: timeout,
        key: key.clone(),
        ..RemoteConfig::default()
    };
    let engine = ground.block_on(RemoteEngine::connect(address.clone(), config))?;
    // The control reads the clock for as long as the run takes; without one it is read before.
    let (control, clock) = if controlled {
        let (control, _) = GrpcControlAt { address: address.clone(), key }.open(ground.link())?;
        let clock = control.clock();
        let control: Arc<dyn Control> = Arc::new(control);
        (Some(control), clock)
    } else {
        (None, Arc::new(ServerClock::default()))
    };
    let Topology { model, limits, observed } = ground.block_on(async {
        let late = RemoteError::Timeout { address: address.clone(), after: opening };
        tokio::time::timeout(opening, compare_clocks(&engine, &clock)).await.unwrap_or(Err(late))
    })?;
    let limits = TargetLimits {
        context_tokens: limits.context_tokens,
        kv_tokens: limits.kv_tokens,
        vocabulary: limits.vocabulary,
    };
    let split = Some(observed.split);
    let info = TargetInfo { name: address.to_string(), model, split, limits, facts: BTreeMap::new() };
    let terms = Some(super::cpu::terms_like(Some(observed.block_tokens), limits));
    let parts = ground.connect(Generations { engine, clock }, Limits::of_grpc(timeout))?;
    Ok(Connection {
        info,
        target: parts.target,
        events: parts.events,
        terms,
        control,
        metrics: None,
        client: Some(parts.client),
        time_scale: 1.0,
        tells_answers: true,
        remarks: Vec::new(),
    })
}

/// Asks the engine what it is a few times, and what its clock reads.
async fn compare_clocks(engine: &RemoteEngine, clock: &ServerClock) -> Result<Topology, RemoteError> {
    let mut asked = clock.asked();
    let mut topology = engine.topology().await?;
    for _ in 1..ROUND_TRIPS {
        clock.answered(asked, topology.observed.at);
        asked = clock.asked();
        topology = engine.topology().await?;
    }
    clock.answered(asked, topology.observed.at);
    Ok(topology)
}
