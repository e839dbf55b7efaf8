//! What can be asked, and the small answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::routing::{get, post};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::connections::Connections;
use super::respond::{self, JSON, METRICS};
use super::{HttpConfig, body, generate, origin};
use crate::clock::unix_seconds;
use crate::serve::ServedModel;
use crate::serve::hub::Hub;
use crate::serve::metrics::Page;
use crate::serve::openai::{ApiError, Text};

const HEALTH: &str = "/health";

/// What handlers work with.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) hub: Hub,
    pub(super) model: ServedModel,
    pub(super) config: Arc<HttpConfig>,
    /// Bytes of bodies that may still be read.
    pub(super) bodies: Arc<Semaphore>,
    /// Log-probabilities that answers may still be made of.
    pub(super) logprobs: Arc<Semaphore>,
    /// The number of the next request for answers.
    pub(super) next: AtomicU64,
    pub(super) stopping: AtomicBool,
    /// Whether the server can be reached from this machine alone.
    loopback: bool,
    connections: Arc<Connections>,
    since: u64,
}

impl Served {
    pub(super) fn new(
        hub: Hub,
        model: ServedModel,
        config: HttpConfig,
        loopback: bool,
        connections: Arc<Connections>,
    ) -> Arc<Self> {
        let room = |limit: usize| Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        let (bodies, logprobs) = (room(config.bodies_limit), room(config.logprobs_limit));
        let (config, next, stopping) = (Arc::new(config), AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(Self {
            hub,
            model,
            config,
            bodies,
            logprobs,
            next,
            stopping,
            loopback,
            connections,
            since: unix_seconds(),
        })
    }
}

pub(super) fn router(served: &Arc<Served>) -> Router {
    Router::new()
        .route("/v1/completions", post(generate::completion))
        .route("/v1/chat/completions", post(generate::chat))
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(model))
        .route("/tokenize", post(tokenize))
        .route("/metrics", get(metrics))
        .route(HEALTH, get(health))
        .fallback(no_path)
        .method_not_allowed_fallback(no_method)
        .layer(middleware::from_fn_with_state(Arc::clone(served), guard))
        .with_state(Arc::clone(served))
}

/// Lets nobody without the key in, except to ask whether the server is alive. Where there is no key, nobody whose page only
/// happens to be shown on this machine.
async fn guard(State(served): State<Arc<Served>>, request: Request, next: Next) -> Response<Body> {
    let judged = match &served.config.key {
        Some(key) if key.opens(request.headers()) || request.uri().path() == HEALTH => Ok(()),
        Some(_) => Err(ApiError::unauthorized()),
        None => origin::judge(request.uri(), request.headers(), served.loopback),
    };
    match judged {
        Ok(()) => next.run(request).await,
        Err(error) => respond::error(&error),
    }
}

async fn no_path(method: Method, uri: Uri) -> Response<Body> {
    respond::error(&ApiError::no_path(method.as_str(), uri.path()))
}

async fn no_method(method: Method, uri: Uri) -> Response<Body> {
    respond::error(&ApiError::no_method(method.as_str(), uri.path()))
}

async fn health(State(served): State<Arc<Served>>) -> Response<Body> {
    if served.stopping.load(Ordering::Relaxed) {
        return respond::error(&ApiError::stopping());
    }
    match served.hub.observe().split.check() {
        Ok(_) => respond::with(StatusCode::OK, JSON, Body::empty()),
        Err(lacking) => respond::error(&ApiError::unavailable(lacking.to_string())),
    }
}

/// As vLLM's, and with what a load tester has to know and the protocol has no words for.
fn described(served: &Served) -> serde_json::Value {
    let ServedModel { name, context_tokens, .. } = &served.model;
    let own = json!({
        "vocabulary": served.hub.config().vocabulary,
        "split": served.hub.observe().split.to_string(),
    });
    json!({
        "id": name,
        "object": "model",
        "created": served.since,
        "owned_by": "pdtune",
        "max_model_len": context_tokens,
        "pdtune": own,
    })
}

async fn models(State(served): State<Arc<Served>>) -> Response<Body> {
    let list = json!({ "object": "list", "data": [described(&served)] });
    respond::with(StatusCode::OK, JSON, list.to_string())
}

async fn model(State(served): State<Arc<Served>>, asked: Result<Path<String>, PathRejection>) -> Response<Body> {
    let Ok(Path(asked)) = asked else {
        return respond::error(&ApiError::field("model", "the name of the model is not valid UTF-8"));
    };
    if asked != served.model.name {
        return respond::error(&ApiError::no_model(&asked, &served.model.name));
    }
    respond::with(StatusCode::OK, JSON, described(&served).to_string())
}

async fn metrics(State(served): State<Arc<Served>>) -> Response<Body> {
    let (observed, counts) = (served.hub.observe(), served.hub.counts());
    let page = Page {
        model: &served.model.name,
        kv_block_bytes: served.model.kv_block_bytes,
        observed: &observed,
        counts: &counts,
        in_flight: served.hub.in_flight(),
        http: served.connections.figures(),
    };
    respond::with(StatusCode::OK, METRICS, page.render())
}

/// As vLLM's: the tokens of a prompt, or of messages, and how many there are.
async fn tokenize(State(served): State<Arc<Served>>, headers: HeaderMap, body: Body) -> Response<Body> {
    let answer = async {
        let body = body::read(&headers, body, &served.config, &served.bodies).await?;
        let served = Arc::clone(&served);
        let answer = spawn_blocking(move || tokens(&served.model, &body.bytes));
        answer.await.map_err(|_| ApiError::stopping())?
    };
    match answer.await {
        Err(error) => respond::error(&error),
        Ok(answer) => respond::with(StatusCode::OK, JSON, answer),
    }
}

fn tokens(model: &ServedModel, body: &[u8]) -> Result<String, ApiError> {
    let tokens = Text::read(body, model)?.tokens(model).next().unwrap_or_else(|| Ok(Arc::default()))?;
    let (count, longest) = (tokens.len(), model.context_tokens);
    let answer = json!({ "count": count, "max_model_len": longest, "tokens": &*tokens, "token_strs": null });
    Ok(answer.to_string())
}
