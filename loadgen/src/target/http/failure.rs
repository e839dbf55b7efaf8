//! What went wrong, in the words of outcomes.

use std::error::Error;
use std::io::ErrorKind;

use crate::http::{ApiKey, Said, TlsFailure, message, root};
use crate::sample::{FailureKind, Outcome};
use crate::target::remote::failed;

/// An error of the connection, from its making to the end of the answer.
pub(super) fn of_connection(error: &reqwest::Error) -> Outcome {
    if let Some(tls) = TlsFailure::find(error) {
        return failed(FailureKind::Tls, tls.why());
    }
    if error.is_connect() {
        return failed(FailureKind::Connect, root(error));
    }
    if is_garbage(error) {
        return failed(FailureKind::Malformed, format!("not HTTP: {}", root(error)));
    }
    Outcome::Cut
}

/// An answer with a status other than 200.
pub(super) fn of_status(status: u16, body: &[u8], key: Option<&ApiKey>) -> Outcome {
    let message = message(body, key);
    let line = if message.is_empty() { status.to_string() } else { format!("{status}: {message}") };
    let too_long = Said::read(body).is_some_and(|said| said.is_code("context_length_exceeded"));
    let kind = match status {
        413 | 429 | 503 => FailureKind::Refused,
        _ if too_long => FailureKind::Refused,
        _ => FailureKind::Status,
    };
    failed(kind, line)
}

/// Whether what came cannot be read as HTTP.
fn is_garbage(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        // The second is how wrong chunks of a body are told.
        let parse = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
        let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        if parse || matches!(io, Some(ErrorKind::InvalidInput | ErrorKind::InvalidData)) {
            return true;
        }
        source = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> String {
        match of_status(status, body.as_bytes(), ApiKey::new("hunter2".to_owned()).as_ref()) {
            Outcome::Failed(failure) => format!("{}: {}", failure.kind, failure.message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_status_tells_whether_the_server_would_not_or_could_not() {
        assert_eq!(of(429, r#"{"error": {"message": "too many requests"}}"#), "refused: 429: too many requests");
        assert_eq!(of(503, ""), "refused: 503");
        assert_eq!(of(500, "oh\nno"), "status: 500: oh no");
        assert_eq!(of(404, r#"{"detail": "Not Found"}"#), "status: 404: Not Found");
        assert_eq!(of(400, r#"{"object": "error", "message": "bad", "code": 400}"#), "status: 400: bad");
        assert_eq!(of(400, r#"{"error": {"message": "bad", "code": 400}}"#), "status: 400: bad");
        let long = r#"{"error": {"message": "too long", "code": "context_length_exceeded"}}"#;
        assert_eq!(of(400, long), "refused: 400: too long");
    }

    #[test]
    fn a_message_is_one_short_line_without_the_key() {
        assert_eq!(of(401, r#"{"error": "key hunter2 is wrong"}"#), "status: 401: key … is wrong");
        assert_eq!(of(500, "a\r\n\tb\u{1b}[31m c"), "status: 500: a b [31m c");
        let long = of(500, &"word ".repeat(1000));
        assert!(long.chars().count() < 230 && long.ends_with('…'), "{long}");
        assert!(of(500, &"x".repeat(100_000)).chars().count() < 230);
    }
}
