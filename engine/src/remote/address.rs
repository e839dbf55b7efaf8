//! Where a remote engine is.

use std::fmt;
use std::str::FromStr;

/// What the address of an engine of ours begins with.
const SCHEME: &str = "grpc://";

/// `grpc://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteAddress {
    /// What it begins with, which says what is spoken there.
    scheme: &'static str,
    authority: String,
}

/// Why a text is no address of a remote engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no address of an engine: {why}; write {scheme}HOST:PORT, such as {scheme}127.0.0.1:50051")]
pub struct RemoteAddressError {
    scheme: &'static str,
    found: String,
    why: String,
}

impl RemoteAddress {
    /// `HOST:PORT`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// `HOST`, with the brackets of an address of IPv6.
    pub fn host(&self) -> &str {
        self.authority.rsplit_once(':').map_or(&self.authority, |(host, _)| host)
    }

    /// What begins with `scheme`.
    pub(super) fn read(scheme: &'static str, text: &str) -> Result<Self, RemoteAddressError> {
        let wrong = |why: &str| RemoteAddressError { scheme, found: text.to_owned(), why: why.to_owned() };
        let rest = text.strip_prefix(scheme).ok_or_else(|| wrong(&format!("it does not begin with {scheme}")))?;
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| wrong("it has no port"))?;
        // `parse` alone would take a sign.
        if !port.bytes().all(|byte| byte.is_ascii_digit()) || port.parse::<u16>().unwrap_or(0) == 0 {
            return Err(wrong("its port is no number from 1 to 65535"));
        }
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let good = match bracketed {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)),
        };
        if good {
            Ok(Self { scheme, authority: rest.to_owned() })
        } else {
            Err(wrong("its host is neither a name nor an address"))
        }
    }
}

impl fmt::Display for RemoteAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.scheme, self.authority)
    }
}

impl FromStr for RemoteAddress {
    type Err = RemoteAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(SCHEME, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_what_they_print() {
        for text in
            ["grpc://127.0.0.1:50051", "grpc://[::1]:1", "grpc://gpu-7.example.org:65535", "grpc://localhost:80"]
        {
            assert_eq!(text.parse::<RemoteAddress>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_is_wrong() {
        for (text, why) in [
            ("http://127.0.0.1:80", "does not begin with grpc://"),
            ("127.0.0.1:80", "does not begin with grpc://"),
            ("grpc://localhost", "no port"),
            ("grpc://localhost:0", "no number"),
            ("grpc://localhost:70000", "no number"),
            ("grpc://localhost:+80", "no number"),
            ("grpc://:80", "its host"),
            ("grpc://::1:80", "its host"),
            ("grpc://[::g]:80", "its host"),
            ("grpc://user@host:80", "its host"),
            ("grpc://host/path:80", "its host"),
            ("grpc://host:80/", "no number"),
        ] {
            let error = text.parse::<RemoteAddress>().expect_err(text).to_string();
            assert!(error.contains(why) && error.contains(text), "{error}");
        }
    }
}
