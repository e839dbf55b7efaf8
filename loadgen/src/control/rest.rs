//! Calls over HTTP that are bounded in size and time, and that tell a refusal from what nobody knows.

use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};

use super::plane::{CallError, Unseen};
use crate::http::{ApiKey, TlsFailure, message, read_to, root, unreachable, with_key};

/// What helps where a control lets nobody in without a key.
pub(super) const KEY_HINT: &str = "\nhint: put the control's key into a variable and name that with --control-key-env, or of `pdtune shift` with --api-key-env";

/// Whether a key is missing, or is not good for this.
pub(super) fn wants_key(status: StatusCode) -> bool {
    matches!(status.as_u16(), 401 | 403)
}

/// Whether whoever answered, or stands before them, has had too much to do, or has waited too long.
pub(super) fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
}

/// Why there is no good answer.
#[derive(Debug)]
pub(super) enum Failed {
    /// The request was not sent: nobody was there to take it.
    Unsent(String),
    /// The same, since TLS was not agreed, or its certificate is not trusted.
    Tls(String),
    /// It can never be sent.
    Unsendable(String),
    /// It was answered with a status of its own.
    Status(StatusCode, Vec<u8>),
    /// Nobody knows.
    Unclear(String),
}

/// Somebody who answers over HTTP.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    client: Client,
    key: Option<ApiKey>,
    /// Keys that are sent in bodies: an answer may repeat them, too.
    sent: Vec<ApiKey>,
    /// Most bytes of an answer.
    longest: usize,
}

impl Rest {
    pub(super) fn new(client: Client, key: Option<ApiKey>, longest: usize) -> Self {
        Self { client, key, sent: Vec::new(), longest }
    }

    /// The same, of somebody who is told this key, too.
    pub(super) fn telling(self, key: Option<ApiKey>) -> Self {
        Self { sent: key.into_iter().collect(), ..self }
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a request and reads the whole answer, all within `time`.
    pub(super) async fn send(&self, request: RequestBuilder, time: Duration) -> Result<Vec<u8>, Failed> {
        let exchange = async {
            let response =
                with_key(request, self.key.as_ref()).send().await.map_err(|error| match TlsFailure::find(&error) {
                    _ if !error.is_connect() => Failed::Unclear(root(&error)),
                    Some(_) => Failed::Tls(unreachable(&error)),
                    None => Failed::Unsent(unreachable(&error)),
                })?;
            let status = response.status();
            let body = read_to(response, self.longest).await.map_err(|error| Failed::Unclear(root(&error)))?;
            if body.len() > self.longest {
                return Err(Failed::Unclear(format!("an answer of more than {} MB", self.longest >> 20)));
            }
            if status.is_success() { Ok(body) } else { Err(Failed::Status(status, body)) }
        };
        let late = || Failed::Unclear(format!("no answer within {} s", time.as_secs()));
        tokio::time::timeout(time, exchange).await.unwrap_or_else(|_| Err(late()))
    }

    /// A status with what was said, in one line.
    pub(super) fn said(&self, status: StatusCode, body: &[u8]) -> String {
        let said = message(body, self.key.iter().chain(&self.sent));
        if said.is_empty() { status.as_u16().to_string() } else { format!("{}: {said}", status.as_u16()) }
    }

    /// What a call that was to change something has come to; `who` was called.
    pub(super) fn call_error(&self, who: &str, failed: Failed) -> CallError {
        match failed {
            // Certificates are renewed, and a shift is not given up for the moment of it.
            Failed::Unsent(why) | Failed::Tls(why) => CallError::NotYet(format!("cannot reach {who}: {why}")),
            Failed::Unsendable(why) => CallError::Refused(format!("cannot call {who}: {why}")),
            Failed::Status(status, body) if is_busy(status) => {
                CallError::NotYet(format!("{who} did not take it: {}", self.said(status, &body)))
            }
            Failed::Status(status, body) if status.is_client_error() => {
                CallError::Refused(format!("{who} refused it with {}", self.said(status, &body)))
            }
            Failed::Status(status, body) => CallError::Unclear(format!("{who} answered {}", self.said(status, &body))),
            Failed::Unclear(why) => CallError::Unclear(format!("{who}: {why}")),
        }
    }

    /// Why a question has no answer; `who` was asked. Another answer may come of a server that is about to start or has too much to
    /// do, and none of one that says what is wrong with the question.
    pub(super) fn unanswered(&self, who: &str, failed: Failed) -> Unseen {
        match failed {
            Failed::Unsent(why) => Unseen::NotYet(format!("cannot reach {who}: {why}")),
            Failed::Tls(why) | Failed::Unsendable(why) => Unseen::Never(format!("cannot reach {who}: {why}")),
            Failed::Status(status, body) => {
                let may_pass = status.is_server_error() || is_busy(status);
                let unseen = if may_pass { Unseen::NotYet } else { Unseen::Never };
                unseen(format!("{who} answered {}", self.said(status, &body)))
            }
            Failed::Unclear(why) => Unseen::NotYet(format!("{who} did not answer: {why}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::{HttpOptions, client};

    fn rest() -> Rest {
        Rest::new(client(Duration::from_secs(1), &HttpOptions::default()).expect("a client"), None, 1 << 10)
    }

    #[test]
    fn what_was_not_taken_may_be_tried_again_and_what_was_refused_may_not() {
        let rest = rest();
        let of = |failed| rest.call_error("Ray", failed);
        let status = |status| of(Failed::Status(StatusCode::from_u16(status).expect("a status"), b"{}".to_vec()));
        let unsent = [Failed::Unsent, Failed::Tls].map(|failed| of(failed("refused".to_owned())));
        for passing in unsent.into_iter().chain([status(408), status(425), status(429)]) {
            assert!(matches!(passing, CallError::NotYet(_)), "{passing:?}");
        }
        for final_one in [of(Failed::Unsendable("no address".to_owned())), status(400), status(404), status(422)] {
            assert!(matches!(final_one, CallError::Refused(_)), "{final_one:?}");
        }
        for unknown in [of(Failed::Unclear("late".to_owned())), status(500), status(503)] {
            assert!(matches!(unknown, CallError::Unclear(_)), "{unknown:?}");
        }
    }

    #[test]
    fn a_question_is_asked_again_unless_the_answer_will_stay_as_it_is() {
        let rest = rest();
        let of = |failed| rest.unanswered("Ray", failed);
        let status = |status| of(Failed::Status(StatusCode::from_u16(status).expect("a status"), b"{}".to_vec()));
        let passing = [Failed::Unsent, Failed::Unclear].map(|failed| of(failed("no".to_owned())));
        for unseen in passing.into_iter().chain([408, 429, 500, 502, 503].map(status)) {
            assert!(unseen.may_pass(), "{unseen:?}");
        }
        let final_ones = [Failed::Tls, Failed::Unsendable].map(|failed| of(failed("no".to_owned())));
        for unseen in final_ones.into_iter().chain([302, 400, 401, 403, 404].map(status)) {
            assert!(!unseen.may_pass(), "{unseen:?}");
        }
        assert_eq!(status(401).and("\nhint: a key"), Unseen::Never("Ray answered 401: {}\nhint: a key".to_owned()));
    }
}
