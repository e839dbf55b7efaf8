//! A server that speaks OpenAI's HTTP protocol: vLLM, SGLang, a gateway before them, or `pdtune serve`.
//!
//! Requests go to `/v1/completions` with the prompt as token ids, so that its length is what the schedule says, and ask for a
//! stream, greedy sampling and an answer of exactly the length wanted. Fields beyond `OpenAI`'s (`min_tokens`, `ignore_eos`,
//! `return_token_ids`) are vLLM's; servers that do not know them ignore them.
//!
//! # Tokens of an answer
//! Where the server tells ids, each is a token, and those of one piece arrived together. Else, where every piece carries a
//! usage so far, the difference counts. Else each piece with text is a token, and the usage at the end corrects the count.
//!
//! # Who served it
//! Dynamo's frontend, known by the owner of its models, tells the workers of a request when asked to, with lengths by its own
//! clock; it is not sent `return_token_ids`, which it refuses. Behind vLLM's router the addresses of the pair are in the id of the
//! answer. Names are kept as they are told; where the control knows a unit by that name, its number is kept beside.
//!
//! # Outcomes
//! | what happened | outcome |
//! |---|---|
//! | `finish_reason` or `[DONE]` came | completed |
//! | no connection | failed: connect |
//! | TLS is not agreed, or its certificate not trusted | failed: tls |
//! | 413, 429, 503, or an error that says the context is exceeded | failed: refused |
//! | any other status but 200 | failed: status |
//! | an error in the stream, or `finish_reason` `abort` or `error` | failed: engine |
//! | not HTTP, not an event stream, not JSON, or far more tokens than asked for, or a usage of so many | failed: malformed |
//! | no end within the timeout | failed: timeout |
//! | the connection ended before all that | cut |
//!
//! Behind a `finish_reason`, the usage and `[DONE]` are waited for a moment: a server that sends neither and keeps the
//! connection open has answered all the same.

mod answer;
mod failure;
mod models;
mod request;
mod serve;

use std::collections::BTreeMap;
use std::time::Duration;

use engine::remote::one_line;
use engine::units::Split;

pub use crate::http::{ApiKey, HttpAddress, HttpOptions};

use super::remote::{Ground, Limits};
use super::{Connection, TargetInfo, TargetLimits};
use crate::clock::unix_micros;
use crate::control::at::{self, ControlAt};
use request::{Extension, Requests};
use serve::Completions;

/// How long an unused connection is kept: less than the 5 s after which vLLM, as many servers, closes one. A request sent on
/// a connection that is just being closed would be lost.
const IDLE: Duration = Duration::from_secs(4);
/// Token ids that every model of today has, when the server does not say how many it has.
const VOCABULARY: u32 = 30_000;
/// The context of a server that does not tell its own: it will refuse what it cannot serve.
const CONTEXT: u32 = 1 << 20;

/// How long a request may take when nobody says: an overloaded server keeps some waiting for minutes.
pub const REQUEST_TIMEOUT: Duration = Duration::from_mins(10);

/// A server to open.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    /// Where it is.
    pub address: HttpAddress,
    /// Its name for the model; needed only where it has several.
    pub model: Option<String>,
    /// The key that it wants.
    pub key: Option<ApiKey>,
    /// How it is reached.
    pub http: HttpOptions,
    /// How long a request may take from being handed over to its end.
    pub timeout: Duration,
    /// Where its units are watched and shifted, if anywhere.
    pub control: Option<ControlAt>,
    /// Its units, where no control tells of them and somebody else does.
    pub split: Option<Split>,
}

impl HttpTarget {
    /// A server of which nothing is known but where it is.
    pub fn new(address: HttpAddress) -> Self {
        let (http, timeout) = (HttpOptions::default(), REQUEST_TIMEOUT);
        Self { address, model: None, key: None, http, timeout, control: None, split: None }
    }
}

/// Why a server cannot be a target.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody answers there.
    #[error("cannot reach {address}: {why}{hint}", hint = up_hint(why))]
    Unreachable {
        /// Where.
        address: HttpAddress,
        /// Why not.
        why: String,
    },
    /// It answers with an error.
    #[error("{address}/v1/models answered {status}{message}{hint}", hint = unauthorized_hint(*.status))]
    Status {
        /// Where.
        address: HttpAddress,
        /// The HTTP status.
        status: u16,
        /// What the server said, with a colon before it, or nothing.
        message: String,
    },
    /// It answers something else.
    #[error("{address}/v1/models did not answer as OpenAI's protocol has it: {why}\nhint: is it an inference server?")]
    Malformed {
        /// Where.
        address: HttpAddress,
        /// What is wrong.
        why: String,
    },
    /// It does not serve the model.
    #[error("{address} does not serve {asked}, but {served}\nhint: pick one of them with --model")]
    NoSuchModel {
        /// Where.
        address: HttpAddress,
        /// The model asked for.
        asked: String,
        /// The models there are.
        served: String,
    },
    /// It serves several models and none was named.
    #[error("{address} serves several models: {served}\nhint: pick one of them with --model")]
    SeveralModels {
        /// Where.
        address: HttpAddress,
        /// The models there are.
        served: String,
    },
    /// Its control cannot be had.
    #[error(transparent)]
    Control(#[from] at::OpenError),
    /// The client could not be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
    /// The thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}

/// A reason may come with a hint of its own.
fn up_hint(why: &str) -> &'static str {
    if why.contains("\nhint: ") {
        return "";
    }
    "\nhint: is the server up? `pdtune serve` starts one on http://127.0.0.1:8080"
}

impl OpenError {
    /// Whether it may be otherwise a little later, when the server or its units have started.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Control(_) => true,
            Self::Status { status, .. } => *status >= 500,
            _ => false,
        }
    }
}

fn unauthorized_hint(status: u16) -> &'static str {
    match status {
        401 | 403 => "\nhint: put its key into a variable and name that with --api-key-env",
        _ => "",
    }
}

/// Asks the server about itself and opens it.
///
/// # Errors
/// When it cannot be reached, is no such server, or does not serve the model.
pub fn open(target: HttpTarget) -> Result<Connection, OpenError> {
    let HttpTarget { address, model, key, http, timeout, control, split } = target;
    let client = crate::http::client(IDLE, &http).map_err(OpenError::Client)?;
    let ground = Ground::new()?;
    let served = ground.block_on(models::ask(&client, &address, key.as_ref(), model.as_deref()))?;
    let control = control.map(|control| control.open(ground.link())).transpose()?;
    let limits = TargetLimits {
        context_tokens: served.context_tokens.unwrap_or(CONTEXT),
        // A server that says what a request may have has counted its KV in.
        kv_tokens: served.context_tokens.unwrap_or(CONTEXT),
        vocabulary: served.vocabulary.unwrap_or(VOCABULARY),
    };
    // Tells the requests of this run from all others in the server's log.
    let run = format!("pdtune-{:x}", unix_micros());
    let facts = BTreeMap::from([("request_ids".to_owned(), format!("{run}-INDEX"))]);
    let split = control.as_ref().map(|(_, split)| *split).or(split).or(served.split);
    let control = control.map(|(control, _)| control);
    // The server's own name for it goes back to the server alone.
    let info = TargetInfo { name: address.to_string(), model: one_line(&served.name), split, limits, facts };
    let extension = if served.is_dynamo { Extension::Dynamo } else { Extension::TokenIds };
    let requests = Requests::new(client, &address, key, served.name, run).with(extension);
    let (limits, too_few) = Limits::of_sockets(timeout);
    let parts = ground.connect(Completions::new(requests, control.clone()), limits)?;
    Ok(Connection {
        info,
        target: parts.target,
        events: parts.events,
        // The stages of a request are not told over HTTP.
        terms: None,
        control,
        client: Some(parts.client),
        time_scale: 1.0,
        remarks: too_few.into_iter().collect(),
    })
}
