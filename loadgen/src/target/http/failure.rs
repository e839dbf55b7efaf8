//! What went wrong, in the words of outcomes.

use std::error::Error;
use std::io::ErrorKind;
use std::net::Ipv4Addr;

use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use rustix::io::Errno;

use super::secrets::Secrets;
use crate::http::{Said, TlsFailure, root};
use crate::sample::{FailureKind, Outcome};
use crate::target::remote::failed;

/// What vLLM says, without a code of its own, of a prompt that with its answer is longer than the model's context.
const VLLMS_CONTEXT: &str = "maximum context length";

/// An error of the connection, from its making to the end of the answer.
pub(super) fn of_connection(error: &reqwest::Error) -> Outcome {
    if let Some(tls) = TlsFailure::find(error) {
        return failed(FailureKind::Tls, tls.why());
    }
    if error.is_connect() {
        let host = error.url().and_then(|url| url.host_str()).unwrap_or_default();
        let kind = if is_ours(error, host) { FailureKind::Client } else { FailureKind::Connect };
        return failed(kind, root(error));
    }
    if is_garbage(error) {
        return failed(FailureKind::Malformed, format!("not HTTP: {}", root(error)));
    }
    Outcome::Cut
}

/// An answer with a status other than 200.
pub(super) fn of_status(status: u16, headers: &HeaderMap, body: &[u8], secrets: &Secrets) -> Outcome {
    let said = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(|value| secrets.line(value));
    let (location, retry_after) = (said(LOCATION), said(RETRY_AFTER));
    let too_long =
        Said::read(body).is_some_and(|said| said.is_code("context_length_exceeded") || said.says(VLLMS_CONTEXT));
    let kind = match status {
        429 => FailureKind::Limited,
        // A server that says when to come back takes no more for now; one that does not may be broken.
        503 if retry_after.is_some() => FailureKind::Limited,
        413 | 503 => FailureKind::Refused,
        _ if too_long => FailureKind::Refused,
        _ => FailureKind::Status,
    };
    let location = location.filter(|_| (300..400).contains(&status));
    let location = location.as_deref().map(without_query);
    let retry_after = retry_after.filter(|_| kind == FailureKind::Limited).map(|after| {
        let unit = if after.bytes().all(|byte| byte.is_ascii_digit()) { " s" } else { "" };
        after + unit
    });
    let message = Some(secrets.message(body)).filter(|message| !message.is_empty());
    let parts = [
        Some(status.to_string()),
        location.map(|to| format!(", redirected to {to}")),
        retry_after.map(|after| format!(", retry after {after}")),
        message.map(|message| format!(": {message}")),
    ];
    let line: String = parts.into_iter().flatten().collect();
    failed(kind, line)
}

/// An address of a server's making without what stands behind its path, where keys may be.
pub(super) fn without_query(address: &str) -> &str {
    address.find(['?', '#']).map_or(address, |end| &address[..end])
}

/// Whether this machine had no file or port for a connection to `host`.
fn is_ours(error: &(dyn Error + 'static), host: &str) -> bool {
    let errors = sources(error).filter_map(|error| error.downcast_ref::<std::io::Error>());
    errors.filter_map(Errno::from_io_error).any(|errno| match errno {
        Errno::MFILE | Errno::NFILE => true,
        // It is also said of an address to which there is no way from here, as to one of IPv6 that a name has besides.
        Errno::ADDRNOTAVAIL => host.parse::<Ipv4Addr>().is_ok(),
        _ => false,
    })
}

/// Whether what came cannot be read as HTTP.
pub(super) fn is_garbage(error: &reqwest::Error) -> bool {
    sources(error).any(|error| {
        // The second is how wrong chunks of a body are told.
        let parse = error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
        let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        parse || matches!(io, Some(ErrorKind::InvalidInput | ErrorKind::InvalidData))
    })
}

/// Whether it is about the frames of HTTP/2.
pub(super) fn is_http2(error: &reqwest::Error) -> bool {
    let mut hypers = sources(error).filter_map(|error| error.downcast_ref::<hyper::Error>());
    // There is no other way to see it.
    hypers.any(|error| error.to_string().starts_with("http2 error"))
}

/// What an error comes from, one behind the other.
fn sources<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::ApiKey;

    fn with(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> String {
        let headers =
            headers.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        let key = ApiKey::new("hunter2".to_owned());
        let header = "x-team:swordfish".parse().expect("a header");
        let secrets = Secrets::new(key, vec![header]);
        match of_status(status, &headers.collect(), body.as_bytes(), &secrets) {
            Outcome::Failed(failure) => format!("{}: {}", failure.kind, failure.message),
            other => panic!("{other:?}"),
        }
    }

    fn of(status: u16, body: &str) -> String {
        with(status, &[], body)
    }

    #[test]
    fn a_status_tells_whether_the_server_would_not_or_could_not() {
        assert_eq!(of(413, r#"{"error": {"message": "too large"}}"#), "refused: 413: too large");
        assert_eq!(of(503, ""), "refused: 503");
        assert_eq!(of(500, "oh\nno"), "status: 500: oh no");
        assert_eq!(of(404, r#"{"detail": "Not Found"}"#), "status: 404: Not Found");
        assert_eq!(of(400, r#"{"object": "error", "message": "bad", "code": 400}"#), "status: 400: bad");
        assert_eq!(of(400, r#"{"error": {"message": "bad", "code": 400}}"#), "status: 400: bad");
        let long = r#"{"error": {"message": "too long", "code": "context_length_exceeded"}}"#;
        assert_eq!(of(400, long), "refused: 400: too long");
        let vllms = r#"{"object": "error", "message": "the maximum context length is 100 tokens", "code": 400}"#;
        assert_eq!(of(400, vllms), "refused: 400: the maximum context length is 100 tokens");
    }

    #[test]
    fn load_that_a_server_sheds_is_told_with_the_time_to_come_back() {
        let busy = r#"{"error": {"message": "too many requests"}}"#;
        assert_eq!(of(429, busy), "limited: 429: too many requests");
        assert_eq!(with(429, &[("retry-after", "3")], busy), "limited: 429, retry after 3 s: too many requests");
        let date = "Wed, 21 Oct 2026 07:28:00 GMT";
        assert_eq!(with(503, &[("retry-after", date)], ""), format!("limited: 503, retry after {date}"));
        assert_eq!(
            with(500, &[("retry-after", "3")], ""),
            "status: 500",
            "that it comes back does not say that it is full"
        );
    }

    #[test]
    fn a_connection_for_which_this_machine_has_no_file_or_port_is_not_the_servers_failure() {
        #[derive(Debug, thiserror::Error)]
        #[error("no connection")]
        struct Around(#[source] std::io::Error);
        for (errno, host, ours) in [
            (Errno::MFILE, "gateway", true),
            (Errno::ADDRNOTAVAIL, "10.0.0.1", true),
            (Errno::ADDRNOTAVAIL, "localhost", false),
            (Errno::ADDRNOTAVAIL, "::1", false),
            (Errno::CONNREFUSED, "10.0.0.1", false),
        ] {
            assert_eq!(is_ours(&Around(errno.into()), host), ours, "{errno:?} {host}");
        }
    }

    #[test]
    fn a_redirect_is_followed_by_the_reader_alone() {
        let to = [("location", "https://login.example/?team=swordfish")];
        assert_eq!(with(302, &to, ""), "status: 302, redirected to https://login.example/");
        assert_eq!(with(200, &to, ""), "status: 200");
    }

    #[test]
    fn a_message_is_one_short_line_without_secrets() {
        assert_eq!(of(401, r#"{"error": "key hunter2 of swordfish is wrong"}"#), "status: 401: key … of … is wrong");
        assert_eq!(of(500, "a\r\n\tb\u{1b}[31m c"), "status: 500: a b [31m c");
        let long = of(500, &"word ".repeat(1000));
        assert!(long.chars().count() < 230 && long.ends_with('…'), "{long}");
        assert!(of(500, &"x".repeat(100_000)).chars().count() < 230);
    }
}
