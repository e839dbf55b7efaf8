//! An engine of vLLM's over its own gRPC service, `vllm.grpc.engine.VllmEngine`, without the HTTP server before it.
//!
//! Requests are a prompt of token ids with `max_tokens` and `ignore_eos`, greedy and streamed. Chunks bring the ids of tokens, by
//! which they are counted: what completes an answer repeats those of the last chunk, and says why it ended, how long the prompt
//! was and how much of it the prefix cache had.
//!
//! # Outcomes
//! | what happened | outcome |
//! |---|---|
//! | the answer was completed by `stop` or `length` | completed |
//! | no connection | failed: connect |
//! | `RESOURCE_EXHAUSTED` | failed: limited |
//! | `UNAVAILABLE` before any token | failed: refused |
//! | `INTERNAL`, `ABORTED`, or completed by `abort` or `error` | failed: engine |
//! | any other status | failed: status |
//! | not gRPC, not such messages, or far more tokens than asked for | failed: malformed |
//! | no first token, no further token or no end in time | failed: timeout |
//! | the stream or its connection ended before all that, or `UNAVAILABLE` behind tokens | cut |

mod answer;
mod probe;
mod serve;

use std::collections::BTreeMap;
use std::time::Duration;

use engine::remote::vllm::{VllmAddress, VllmEngine, VllmModel, VllmServer};
use engine::remote::{RemoteConfig, RemoteError, RemoteKey, StatusCode};
use engine::units::Split;

use super::http::{CONTEXT, VOCABULARY};
pub use super::remote::Patience;

use super::remote::{GRPC_CONNECTIONS, Ground, Limits, RunId};
use super::{Connection, TargetEvent, TargetInfo, TargetLimits};
use crate::clock::unix_micros;
use crate::control::listener::Listener;
use crate::time::Micros;
use serve::Generations;

/// Replicas that an engine may say that it has; beyond that it is not believed.
const MOST_RANKS: u32 = 1024;

/// An engine to open.
#[derive(Clone, Debug)]
pub struct VllmTarget {
    /// Where it is.
    pub address: VllmAddress,
    /// The key that whatever stands before it wants.
    pub key: Option<RemoteKey>,
    /// How long a request may take from being handed over to its end.
    pub timeout: Duration,
    /// How long each answer before the load may take: to what it serves, and to a request for one token.
    pub opening: Duration,
    /// How long it may go without tokens.
    pub patience: Patience,
}

/// Why an engine cannot be a target.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be reached, or does not speak gRPC.
    #[error("{0}\nhint: is the engine up? `vllm serve MODEL --grpc` starts one; one over HTTP is http://HOST:PORT")]
    Remote(RemoteError),
    /// It does not say what it serves.
    #[error("{address} gave no answer within {after:?}")]
    Late {
        /// Where it was asked.
        address: VllmAddress,
        /// How long it had.
        after: Duration,
    },
    /// It answers with an error.
    #[error("{address} answered {error}{hint}", hint = key_hint(.error))]
    Status {
        /// Where it was asked.
        address: VllmAddress,
        /// What it said.
        error: RemoteError,
    },
    /// Something else is served there.
    #[error(
        "{address} does not serve vllm.grpc.engine.VllmEngine\nhint: it may be an engine of SGLang's, which is reached over HTTP, or \
         pdtune's own, which is grpc://HOST:PORT"
    )]
    OtherService {
        /// Where.
        address: VllmAddress,
    },
    /// It says that it is not well.
    #[error(
        "{address} says that it is not healthy: {message}\nhint: one that still starts is waited for with --ready-timeout"
    )]
    Unhealthy {
        /// Where.
        address: VllmAddress,
        /// What it says of that.
        message: String,
    },
    /// Its model is for something else.
    #[error("{address} serves {model}, which generates no answers")]
    NoAnswers {
        /// Where.
        address: VllmAddress,
        /// What it serves.
        model: String,
    },
    /// It refuses what the load would be made of.
    #[error("{address} refused a request for one token before the load: {error}{hint}", hint = key_hint(.error))]
    Refused {
        /// Where it was asked.
        address: VllmAddress,
        /// What it said.
        error: RemoteError,
    },
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

impl OpenError {
    /// Whether it may be otherwise a little later, when the engine has started.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Remote(error) => !matches!(error, RemoteError::Malformed { .. }),
            Self::Late { .. } | Self::Unhealthy { .. } => true,
            Self::Status { error, .. } => error.code() == Some(StatusCode::Unavailable),
            _ => false,
        }
    }

    fn of(address: &VllmAddress, error: RemoteError) -> Self {
        match error.code() {
            Some(StatusCode::Unimplemented) => Self::OtherService { address: address.clone() },
            Some(_) => Self::Status { address: address.clone(), error },
            None => Self::Remote(error),
        }
    }
}

fn key_hint(error: &RemoteError) -> &'static str {
    match error.code() {
        Some(StatusCode::Unauthenticated | StatusCode::PermissionDenied) => {
            "\nhint: put its key into a variable and name that with --api-key-env"
        }
        _ => "",
    }
}

/// Asks the engine about itself and opens it.
///
/// # Errors
/// When it cannot be reached, is no such engine or not up, or refuses what the load would be made of.
pub fn open(target: VllmTarget) -> Result<Connection, OpenError> {
    let VllmTarget { address, key, timeout, opening, patience } = target;
    let ground = Ground::new()?;
    let config = RemoteConfig { connections: GRPC_CONNECTIONS, key, ..RemoteConfig::default() };
    let (engine, model) = ground.block_on(async {
        let late = || OpenError::Late { address: address.clone(), after: opening };
        tokio::time::timeout(opening, ask(&address, config)).await.unwrap_or_else(|_| Err(late()))
    })?;
    let limits = limits(&model);
    let run = RunId(unix_micros());
    let remark = ground.block_on(probe::probe(&engine, &address, run, limits.vocabulary, opening))?;
    if let Some(text) = remark {
        let mut remark = vec![TargetEvent::Remark { at: Micros::ZERO, text }];
        ground.block_on(ground.link().tell(&mut remark));
    }
    // An older one does not tell.
    let server = ground.block_on(engine.server()).unwrap_or_default();
    let version = ground.block_on(engine.version()).unwrap_or_default();
    let (split, facts) = (split(&server), facts(run, &server, version));
    let info = TargetInfo { name: address.to_string(), model: model.name, split, limits, facts };
    let parts = ground.connect(Generations { engine, patience, run }, Limits::of_grpc(timeout))?;
    Ok(Connection {
        info,
        target: parts.target,
        events: parts.events,
        // The stages of a request are not told.
        terms: None,
        control: None,
        metrics: None,
        client: Some(parts.client),
        time_scale: 1.0,
        tells_answers: true,
        remarks: Vec::new(),
    })
}

async fn ask(address: &VllmAddress, config: RemoteConfig) -> Result<(VllmEngine, VllmModel), OpenError> {
    let wrong = |error| OpenError::of(address, error);
    let engine = VllmEngine::connect(address.clone(), config).await.map_err(wrong)?;
    let health = engine.health().await.map_err(wrong)?;
    if !health.healthy {
        return Err(OpenError::Unhealthy { address: address.clone(), message: health.message });
    }
    let model = engine.model().await.map_err(wrong)?;
    if !model.generates {
        return Err(OpenError::NoAnswers { address: address.clone(), model: model.name });
    }
    Ok((engine, model))
}

/// What it can take. What goes beyond its context it would not refuse, but answer with fewer tokens.
fn limits(model: &VllmModel) -> TargetLimits {
    let told = |number: u32, otherwise| if number == 0 { otherwise } else { number };
    let context_tokens = told(model.context_tokens, CONTEXT);
    // It has counted its KV in.
    TargetLimits { context_tokens, kv_tokens: context_tokens, vocabulary: told(model.vocabulary, VOCABULARY) }
}

/// Each of its replicas computes prompts and continues them, whatever part it has behind a gateway.
fn split(server: &VllmServer) -> Option<Split> {
    let ranks = server.ranks.filter(|ranks| (1..=MOST_RANKS).contains(ranks))?;
    Some(Split { prefill: 0, decode: 0, aggregated: u16::try_from(ranks).ok()? })
}

/// What the recording keeps of how it was asked, and of what it tells of itself.
fn facts(run: RunId, server: &VllmServer, version: String) -> BTreeMap<String, String> {
    let arguments: Vec<String> = server.arguments.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let facts = [
        ("prompts", "tokens".to_owned()),
        ("request_ids", run.request("INDEX")),
        ("trace_ids", run.traces()),
        ("server_version", version),
        ("server_arguments", arguments.join(" ")),
    ];
    facts.into_iter().filter(|(_, fact)| !fact.is_empty()).map(|(name, fact)| (name.to_owned(), fact)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_told_is_not_taken_for_nothing() {
        let model = VllmModel { name: "m".to_owned(), generates: true, context_tokens: 0, vocabulary: 0 };
        let limits = limits(&model);
        assert_eq!((limits.context_tokens, limits.vocabulary), (CONTEXT, VOCABULARY));
        assert_eq!(split(&VllmServer::default()), None);
        assert_eq!(split(&VllmServer { ranks: Some(u32::MAX), ..VllmServer::default() }), None);
        let two = split(&VllmServer { ranks: Some(2), ..VllmServer::default() });
        assert_eq!(two.map(|split| split.to_string()).as_deref(), Some("2A"));
    }
}
