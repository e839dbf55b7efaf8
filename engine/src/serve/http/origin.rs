//! Keeps pages of others, shown by a browser of this machine, from driving a server that has no key.
//!
//! Such a page may send simple requests to any address (its `Origin` gives it away), and by pointing a name of its own at
//! 127.0.0.1 it may even read the answers (the `Host` gives that away: it is the page's name, not that of this machine).

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

use crate::serve::openai::ApiError;

/// Refuses what a page of others has sent. `loopback` when the server can be reached from this machine alone.
pub(super) fn judge(uri: &Uri, headers: &HeaderMap, loopback: bool) -> Result<(), ApiError> {
    let header = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let host = uri.authority().map(Authority::as_str).or_else(|| header(header::HOST));
    if let Some(host) = host.filter(|_| loopback)
        && !host.parse().is_ok_and(|authority: Authority| is_loopback(authority.host()))
    {
        return Err(ApiError::foreign_host(host));
    }
    match header(header::ORIGIN) {
        Some(origin) if origin.split_once("://").map(|(_, authority)| authority) != host => {
            Err(ApiError::foreign_origin(origin))
        }
        Some(_) | None => Ok(()),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(uri: &str, headers: &[(&'static str, &'static str)], loopback: bool) -> bool {
        let headers = headers.iter().map(|(name, value)| {
            let name: axum::http::HeaderName = name.parse().expect("a name");
            (name, value.parse().expect("a value"))
        });
        judge(&uri.parse().expect("a URI"), &headers.collect(), loopback).is_ok()
    }

    #[test]
    fn only_this_machines_own_names_are_served_on_loopback() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.9.9.9", "[::1]:8080", "[::ffff:127.0.0.1]"] {
            assert!(judged("/", &[("host", host)], true), "{host}");
            assert!(
                judged("/", &[("host", host), ("origin", "http://evil.example")], true) == host.is_empty(),
                "{host}"
            );
        }
        for host in ["evil.example", "evil.example:8080", "192.168.0.1", "localhost.evil.example", "", "a b", "0.0.0.0"]
        {
            assert!(!judged("/", &[("host", host)], true), "{host}");
            assert!(judged("/", &[("host", host)], false), "{host}");
        }
        assert!(judged("/", &[], true), "no browser leaves the host out");
        assert!(!judged("http://evil.example/", &[("host", "localhost")], true));
    }

    #[test]
    fn an_origin_has_to_be_the_server_itself() {
        for (origin, own) in [
            ("http://localhost:8080", true),
            ("http://localhost:3000", false),
            ("http://evil.example", false),
            ("null", false),
            ("", false),
        ] {
            assert_eq!(judged("/", &[("host", "localhost:8080"), ("origin", origin)], true), own, "{origin}");
            assert_eq!(judged("/", &[("host", "localhost:8080"), ("origin", origin)], false), own, "{origin}");
        }
    }
}
