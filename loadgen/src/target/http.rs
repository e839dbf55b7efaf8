//! A server that speaks OpenAI's HTTP protocol: vLLM, SGLang, a gateway before them, or `pdtune serve`.
//!
//! Requests go to `/v1/completions` with the prompt as token ids, so that its length is what the schedule says, or as text, or
//! to `/v1/chat/completions`. They ask for a stream, greedy sampling and an answer of exactly the length wanted. Fields beyond
//! `OpenAI`'s (`ignore_eos`, `return_token_ids`) are vLLM's; most servers that do not know them ignore them, and those that refuse
//! them, as a small request before the load shows, do not get them.
//!
//! # Tokens of an answer
//! See [`answer`].
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
//! | no file or port on this machine | failed: client |
//! | no connection | failed: connect |
//! | TLS is not agreed, or its certificate not trusted | failed: tls |
//! | 429, or 503 with the time to come back | failed: limited |
//! | 413, 503, or an error that says the context is exceeded | failed: refused |
//! | any other status but 200 | failed: status |
//! | an error in the stream, or `finish_reason` `abort` or `error` | failed: engine |
//! | not HTTP, not an event stream, not JSON, or far more tokens than asked for, or a usage of so many | failed: malformed |
//! | no first token, no further token or no end in time | failed: timeout |
//! | the connection ended before all that | cut |
//!
//! Behind a `finish_reason`, the usage and `[DONE]` are waited for a moment: a server that sends neither and keeps the
//! connection open has answered all the same.

mod answer;
mod complaint;
mod facts;
mod failure;
mod fields;
mod models;
mod probe;
mod request;
mod secrets;
mod serve;
mod words;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use engine::remote::one_line;
use engine::units::Split;

pub use self::answer::read_answer;
pub use self::fields::BodyField;
pub use super::remote::{OPENING, Patience, REQUEST_TIMEOUT};
pub use crate::http::{ApiKey, ExtraHeader, HttpAddress, HttpOptions};

use super::remote::{Ground, Limits, RunId};
use super::{Connection, TargetEvent, TargetInfo, TargetLimits};
use crate::clock::unix_micros;
use crate::control::at::{self, ControlAt};
use crate::control::listener::Listener;
use crate::time::Micros;
use fields::Fields;
use models::Served;
use request::Requests;
use secrets::Secrets;
use serve::Completions;

/// How long an unused connection is kept: less than the 5 s after which vLLM, as many servers, closes one. A request sent on
/// a connection that is just being closed would be lost.
const IDLE: Duration = Duration::from_secs(4);
/// Token ids that every model of today has, when the server does not say how many it has.
pub(super) const VOCABULARY: u32 = 30_000;
/// The context of a server that does not tell its own: it will refuse what it cannot serve.
pub(super) const CONTEXT: u32 = 1 << 20;

/// Letters of the user's fields that are recorded.
const SHOWN: usize = 2_000;

/// What a server is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Api {
    /// Completions of a prompt.
    #[default]
    Completions,
    /// Answers in a chat.
    Chat,
}

impl Api {
    /// Where it is asked.
    fn path(self) -> &'static str {
        match self {
            Self::Completions => "/v1/completions",
            Self::Chat => "/v1/chat/completions",
        }
    }
}

/// What prompts are sent as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prompts {
    /// Ids of tokens: their number is exact.
    #[default]
    Tokens,
    /// Words that are about a token each. A chat has no other.
    Text,
}

/// A server to open, or several that serve the same.
#[derive(Clone, Debug)]
pub struct HttpTarget {
    /// Where it is; where there are several, requests take turns.
    pub addresses: Vec<HttpAddress>,
    /// Its name for the model; needed only where it has several.
    pub model: Option<String>,
    /// The key that it wants.
    pub key: Option<ApiKey>,
    /// Headers of the user's.
    pub headers: Vec<ExtraHeader>,
    /// What it is asked for.
    pub api: Api,
    /// What prompts are sent as.
    pub prompts: Prompts,
    /// Whether requests keep to the fields of `OpenAI`'s own protocol.
    pub strict: bool,
    /// Fields of the user's.
    pub fields: Vec<BodyField>,
    /// How it is reached.
    pub http: HttpOptions,
    /// How long a request may take from being handed over to its end.
    pub timeout: Duration,
    /// How long each answer before the load may take: to what it serves, and to a request for one token.
    pub opening: Duration,
    /// How long it may go without tokens.
    pub patience: Patience,
    /// Where its units are watched and shifted, if anywhere.
    pub control: Option<ControlAt>,
    /// The units that the user says it has, where no control tells of them.
    pub split: Option<Split>,
}

impl HttpTarget {
    /// A server of which nothing is known but where it is.
    pub fn new(address: HttpAddress) -> Self {
        Self {
            addresses: vec![address],
            model: None,
            key: None,
            headers: Vec::new(),
            api: Api::default(),
            prompts: Prompts::default(),
            strict: false,
            fields: Vec::new(),
            http: HttpOptions::default(),
            timeout: REQUEST_TIMEOUT,
            opening: OPENING,
            patience: Patience::default(),
            control: None,
            split: None,
        }
    }
}

/// Why a server cannot be a target.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody answers there.
    #[error(
        "cannot reach {address}: {why}\nhint: is the server up? `pdtune serve` starts one on http://127.0.0.1:8080"
    )]
    Unreachable {
        /// Where.
        address: HttpAddress,
        /// Why not.
        why: String,
    },
    /// Somebody takes connections there and gives them up.
    #[error("{address} hangs up: {why}{hint}")]
    HangsUp {
        /// Where.
        address: HttpAddress,
        /// How.
        why: String,
        /// What may help, on a line of its own, or nothing.
        hint: &'static str,
    },
    /// Somebody answers there, and not in HTTP.
    #[error("{address} does not answer in HTTP: {why}{hint}")]
    OtherProtocol {
        /// Where.
        address: HttpAddress,
        /// What came instead.
        why: String,
        /// What may help, on a line of its own, or nothing.
        hint: &'static str,
    },
    /// TLS is not agreed, or its certificate not trusted.
    #[error("cannot reach {address}: {why}{hint}")]
    Tls {
        /// Where.
        address: HttpAddress,
        /// Why not.
        why: String,
        /// What may help, on a line of its own, or nothing.
        hint: &'static str,
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
    /// It serves nothing, or nothing yet.
    #[error(
        "{address} serves nothing: it lists no model\nhint: a server that still starts is waited for with --ready-timeout"
    )]
    NoModel {
        /// Where.
        address: HttpAddress,
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
    /// Several addresses serve different models.
    #[error("{first} serves {one}, and {second} {other}\nhint: requests take turns among addresses of the same model")]
    DifferentModels {
        /// The first address.
        first: HttpAddress,
        /// What it serves.
        one: String,
        /// Another address.
        second: HttpAddress,
        /// What that serves.
        other: String,
    },
    /// It refuses what the load would be made of.
    #[error("{address} refused a request for one token before the load: {message}{hint}")]
    Refused {
        /// Where it was asked.
        address: String,
        /// The HTTP status.
        status: u16,
        /// What it said, with its status.
        message: String,
        /// What may help, on a line of its own, or nothing.
        hint: String,
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

impl OpenError {
    /// Whether it may be otherwise a little later, when the server or its units have started.
    pub fn may_pass(&self) -> bool {
        match self {
            // What routes requests may be up before the server that it asks has its models, or its paths.
            Self::Unreachable { .. } | Self::HangsUp { .. } | Self::NoModel { .. } | Self::NoSuchModel { .. } => true,
            Self::Control(error) => error.may_pass(),
            Self::Status { status, .. } => *status >= 500 || matches!(status, 404 | 429),
            Self::Refused { status, .. } => *status == 404,
            _ => false,
        }
    }
}

/// Whether it was given none, or one that is not taken.
const KEY_HINT: &str =
    "\nhint: it wants a key, or another one: put it into a variable and name that with --api-key-env";

fn unauthorized_hint(status: u16) -> &'static str {
    match status {
        401 | 403 => KEY_HINT,
        _ => "",
    }
}

/// Asks the server about itself and opens it.
///
/// # Errors
/// When it cannot be reached, is no such server, does not serve the model, or refuses what the load would be made of.
pub fn open(target: HttpTarget) -> Result<Connection, OpenError> {
    let client = crate::http::client(IDLE, &target.http).map_err(OpenError::Client)?;
    let ground = Ground::new()?;
    let secrets = Secrets::new(target.key, target.headers);
    let ask = || ask_all(&client, &target.addresses, &secrets, target.model.as_deref(), target.opening);
    let first = ground.block_on(ask());
    let starts = target.control.as_ref().is_some_and(ControlAt::starts_workers);
    // There may be no model before there are workers.
    let first = if starts { models::absent(first)? } else { Some(first?) };
    let control = target.control.map(|control| control.open(ground.link())).transpose()?;
    let served = match first {
        Some(served) => served,
        None => ground.block_on(models::patiently(ask))?,
    };
    let run = RunId(unix_micros());
    // A chat takes no ids.
    let mut fields = Fields::new(&served.name, target.strict, &target.fields);
    if served.is_dynamo && !target.strict {
        fields.ask_dynamo();
    }
    let prompts = if target.api == Api::Chat { Prompts::Text } else { target.prompts };
    let mut requests = Requests {
        client,
        headers: secrets.headers(),
        addresses: target.addresses,
        secrets,
        api: target.api,
        prompts,
        fields,
        run,
        turn: AtomicUsize::new(0),
    };
    let shown = ground.block_on(probe::probe(&mut requests, target.opening))?;
    let mut facts = ground.block_on(facts::ask(&requests, target.opening));
    facts.extend(told(&requests, &target.fields, &shown));
    if let Some(text) = remark(&requests, &shown) {
        let mut remark = vec![TargetEvent::Remark { at: Micros::ZERO, text }];
        ground.block_on(ground.link().tell(&mut remark));
    }
    let limits = TargetLimits {
        context_tokens: served.context_tokens.unwrap_or(CONTEXT),
        // A server that says what a request may have has counted its KV in.
        kv_tokens: served.context_tokens.unwrap_or(CONTEXT),
        vocabulary: match prompts {
            Prompts::Tokens => served.vocabulary.unwrap_or(VOCABULARY),
            Prompts::Text => words::COUNT,
        },
    };
    let split = control.as_ref().map(|(_, split)| *split).or(target.split).or(served.split);
    let control = control.map(|(control, _)| control);
    let name: Vec<String> = requests.addresses.iter().map(ToString::to_string).collect();
    // The server's own name for it goes back to the server alone.
    let info = TargetInfo { name: name.join(","), model: one_line(&served.name), split, limits, facts };
    let tells_answers = requests.sends_text() || !shown.tells_no_ids;
    let completions = Completions::new(requests, target.patience, control.as_ref());
    let (limits, too_few) = Limits::of_sockets(target.timeout);
    let parts = ground.connect(completions, limits)?;
    Ok(Connection {
        info,
        target: parts.target,
        events: parts.events,
        // The stages of a request are not told over HTTP.
        terms: None,
        control,
        metrics: None,
        client: Some(parts.client),
        time_scale: 1.0,
        tells_answers,
        remarks: too_few.into_iter().collect(),
    })
}

/// What all addresses serve, each of which has so long to say it: the shortest context, and the split only where there is one of them.
async fn ask_all(
    client: &reqwest::Client,
    addresses: &[HttpAddress],
    secrets: &Secrets,
    wanted: Option<&str>,
    within: Duration,
) -> Result<Served, OpenError> {
    let mut all: Option<(&HttpAddress, Served)> = None;
    for address in addresses {
        let served = models::ask(client, address, secrets, wanted, within).await?;
        all = Some(match all {
            None => (address, served),
            Some((first, before)) if before.name != served.name => {
                return Err(OpenError::DifferentModels {
                    first: first.clone(),
                    one: one_line(&before.name),
                    second: address.clone(),
                    other: one_line(&served.name),
                });
            }
            Some((first, before)) => (first, before.beside(&served)),
        });
    }
    all.map(|(_, served)| served).ok_or_else(|| OpenError::Client("the target has no address".to_owned()))
}

/// What the recording keeps of how the server was asked, and of what it calls itself.
fn told(requests: &Requests, users: &[BodyField], shown: &probe::Shown) -> BTreeMap<String, String> {
    let api = match requests.api {
        Api::Completions => "completions",
        Api::Chat => "chat",
    };
    let prompts = match requests.prompts {
        Prompts::Tokens => "tokens",
        Prompts::Text => "text",
    };
    let fields: Vec<String> = users.iter().map(|field| field.shown(&requests.secrets)).collect();
    let fields: String = fields.join(" ").chars().take(SHOWN).collect();
    let mut facts = BTreeMap::from([
        ("api".to_owned(), api.to_owned()),
        ("prompts".to_owned(), prompts.to_owned()),
        ("request_ids".to_owned(), requests.run.request("INDEX")),
        ("trace_ids".to_owned(), requests.run.traces()),
    ]);
    for (name, fact) in [
        ("body_fields", fields),
        ("fields_left_out", requests.fields.left_out.join(" ")),
        ("server", shown.server.clone().unwrap_or_default()),
        ("system_fingerprint", shown.fingerprint.clone().unwrap_or_default()),
    ] {
        if !fact.is_empty() {
            facts.insert(name.to_owned(), fact);
        }
    }
    facts
}

/// What people should know before the load.
fn remark(requests: &Requests, shown: &probe::Shown) -> Option<String> {
    let left_out = &requests.fields.left_out;
    let fields = (!left_out.is_empty()).then(|| {
        let shorter = left_out.iter().any(|name| name == "ignore_eos");
        let shorter = if shorter { ": answers may be shorter than asked for" } else { "" };
        format!("the server refuses {}, which is left out of requests{shorter}", left_out.join(", "))
    });
    let remarks: Vec<String> = fields.into_iter().chain(shown.remark.clone()).collect();
    (!remarks.is_empty()).then(|| remarks.join("; "))
}
