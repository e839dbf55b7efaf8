//! Errors in OpenAI's shape.

use serde_json::json;

use crate::serve::choice::Failure;
use crate::serve::hub::Refusal;
use crate::serve::shortened;

/// Most characters of a message.
const LONGEST_MESSAGE: usize = 500;
/// Seconds after which a client that was turned away may try again.
const RETRY_AFTER: u32 = 1;

/// What a client is told when it does not get what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::serve) struct ApiError {
    /// The HTTP status.
    pub(in crate::serve) status: u16,
    /// The kind of error, in OpenAI's words.
    kind: &'static str,
    /// A name that programs can act on.
    code: Option<&'static str>,
    message: String,
    /// The field that is wrong.
    param: Option<String>,
    /// Seconds after which it is worth trying again.
    pub(in crate::serve) retry_after: Option<u32>,
}

impl ApiError {
    /// A message may repeat what the client sent, whatever its length: it is cut.
    fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(LONGEST_MESSAGE) {
            message.truncate(end);
        }
        Self { status, kind, code: None, message, param: None, retry_after: None }
    }

    /// A request that is wrong.
    pub(in crate::serve) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// A request that is wrong in one field.
    pub(in crate::serve) fn field(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::invalid(message) }
    }

    /// A prompt, or prompt and answer together, beyond the context.
    pub(in crate::serve) fn too_long(param: &str, message: impl Into<String>) -> Self {
        Self { code: Some("context_length_exceeded"), ..Self::field(param, message) }
    }

    /// A model that is not served here.
    pub(in crate::serve) fn no_model(asked: &str, served: &str) -> Self {
        let message = format!("the model `{}` does not exist, `{served}` is served", shortened(asked));
        let error = Self::new(404, "invalid_request_error", message);
        Self { code: Some("model_not_found"), param: Some("model".to_owned()), ..error }
    }

    /// A key that is missing or wrong.
    pub(in crate::serve) fn unauthorized() -> Self {
        let message = "a valid API key is needed: `Authorization: Bearer KEY`";
        Self { code: Some("invalid_api_key"), ..Self::new(401, "authentication_error", message) }
    }

    /// A request by a name that is not this machine's.
    pub(in crate::serve) fn foreign_host(host: &str) -> Self {
        let why = "a server without a key answers to localhost and 127.0.0.1 alone";
        let message = format!("host `{}`: {why}", shortened(host));
        Self { code: Some("host_not_allowed"), ..Self::new(403, "permission_error", message) }
    }

    /// A request that a browser sends for a page from elsewhere.
    pub(in crate::serve) fn foreign_origin(origin: &str) -> Self {
        let message =
            format!("origin `{}`: a server without a key does not answer to pages from elsewhere", shortened(origin));
        Self { code: Some("origin_not_allowed"), ..Self::new(403, "permission_error", message) }
    }

    /// A path that does not exist.
    pub(in crate::serve) fn no_path(method: &str, path: &str) -> Self {
        Self::new(404, "invalid_request_error", format!("unknown path: {method} {}", shortened(path)))
    }

    /// A path that does exist, for another method.
    pub(in crate::serve) fn no_method(method: &str, path: &str) -> Self {
        Self::new(405, "invalid_request_error", format!("{method} is not allowed for {}", shortened(path)))
    }

    /// A body that took too long to come.
    pub(in crate::serve) fn timeout() -> Self {
        Self::new(408, "invalid_request_error", "the request body took too long to arrive")
    }

    /// A body over the limit.
    pub(in crate::serve) fn too_large(limit: usize) -> Self {
        Self::new(413, "invalid_request_error", format!("the request body is larger than {limit} bytes"))
    }

    /// No room now.
    pub(in crate::serve) fn busy(message: impl Into<String>) -> Self {
        let error = Self::new(429, "rate_limit_error", message);
        Self { code: Some("rate_limit_exceeded"), retry_after: Some(RETRY_AFTER), ..error }
    }

    /// More log-probabilities than all answers together may have.
    pub(in crate::serve) fn too_many_logprobs(asked: u64, limit: usize) -> Self {
        let hint = "ask for fewer answers, tokens or `top_logprobs`, or for a stream";
        Self::field("logprobs", format!("up to {asked} log-probabilities in one answer, {limit} are possible; {hint}"))
    }

    /// No seat for a connection.
    pub(in crate::serve) fn no_room() -> Self {
        let error = Self::unavailable("too many connections are busy");
        Self { retry_after: Some(RETRY_AFTER), ..error }
    }

    /// The engine cannot serve.
    pub(in crate::serve) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "service_unavailable_error", message)
    }

    /// The server is about to stop.
    pub(in crate::serve) fn stopping() -> Self {
        let error = Self::unavailable("the server is stopping");
        Self { retry_after: Some(RETRY_AFTER), ..error }
    }

    /// The body of the answer.
    pub(in crate::serve) fn body(&self) -> String {
        let Self { kind, code, message, param, .. } = self;
        json!({ "error": { "message": message, "type": kind, "param": param, "code": code } }).to_string()
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::Empty { .. } | Refusal::UnknownToken { .. } => Self::field("prompt", message),
            Refusal::TooLong { .. } => Self::too_long("prompt", message),
            Refusal::TooMany { .. } => Self::field("n", message),
            Refusal::Full { .. } => Self::busy(message),
            Refusal::Closed => Self::stopping(),
        }
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::Overrun => Self::new(500, "server_error", message),
            // The hub has checked all that is the client's: what the engine refuses all the same, it cannot serve now.
            Failure::Refused(_) | Failure::Lost => Self::unavailable(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_sent_is_not_repeated_at_length() {
        let error = ApiError::field("max_tokens", format!("invalid type: string {}", "ü".repeat(1 << 20)));
        assert!(error.body().len() < 2_000);
        assert_eq!(ApiError::invalid("short").message, "short");
    }

    #[test]
    fn the_shape_is_openais() {
        let error = ApiError::no_model(&"x".repeat(500), "built-in");
        let body: serde_json::Value = serde_json::from_str(&error.body()).expect("JSON");
        assert_eq!(body["error"]["code"], "model_not_found");
        assert_eq!(body["error"]["param"], "model");
        assert_eq!(body["error"]["type"], "invalid_request_error");
        assert!(body["error"]["message"].as_str().is_some_and(|message| message.len() < 200));
    }
}
