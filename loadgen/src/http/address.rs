//! Where a server is.

use std::fmt;
use std::str::FromStr;

use reqwest::Url;

use crate::text::Malformed;

/// The address of a server, as `http://HOST:PORT` or `https://HOST`, with a path before `/v1` where a gateway has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAddress {
    /// Without a slash at its end.
    base: String,
}

impl HttpAddress {
    /// The address of one of the server's paths, which begins with a slash.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The host, without its port.
    pub fn host(&self) -> Option<String> {
        Url::parse(&self.base).ok()?.host_str().map(str::to_owned)
    }

    /// Whether what is sent there can be read by nobody on the way.
    pub fn is_secret(&self) -> bool {
        self.base.starts_with("https://")
    }
}

impl FromStr for HttpAddress {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = |allowed: &str| Malformed::new("the address of a server", &without_secret(text), allowed);
        let url = Url::parse(text).map_err(|_| malformed(SHAPE))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(malformed(SHAPE));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(malformed("it would be shown and recorded with its secret; give a key with --api-key-env"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(malformed("write http://HOST:PORT or https://HOST, at most with a path"));
        }
        let base = url.as_str().trim_end_matches('/');
        // What other clients call the base of the API.
        let base = base.strip_suffix("/v1").unwrap_or(base).trim_end_matches('/');
        Ok(Self { base: base.to_owned() })
    }
}

const SHAPE: &str = "write http://HOST:PORT or https://HOST";

/// An address, or what was meant to be one, without what stands before an `@` and behind a `?` or `#`.
pub fn without_secret(text: &str) -> String {
    let mut shown = match text.rsplit_once('@') {
        Some((before, rest)) => {
            let scheme = before.split_once("://").map(|(scheme, _)| format!("{scheme}://")).unwrap_or_default();
            format!("{scheme}…@{rest}")
        }
        None => text.to_owned(),
    };
    if let Some(end) = shown.find(['?', '#']) {
        shown.replace_range(end + 1.., "…");
    }
    shown
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_with_or_without_what_others_add() {
        for (text, read) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080"),
            ("HTTP://Gpu-Node:8000", "http://gpu-node:8000"),
            ("http://[::1]:8000", "http://[::1]:8000"),
            ("http://gateway/models/qwen/v1", "http://gateway/models/qwen"),
            ("https://Gateway/v1", "https://gateway"),
            ("https://gateway:8443", "https://gateway:8443"),
        ] {
            let address: HttpAddress = text.parse().expect(text);
            assert_eq!(address.to_string(), read);
            assert_eq!(address.to_string().parse(), Ok(address));
        }
    }

    #[test]
    fn an_address_tells_its_host_and_whether_it_is_secret() {
        for (text, host, is_secret) in [
            ("http://127.0.0.1:8080", "127.0.0.1", false),
            ("https://Gateway:8443/models/v1", "gateway", true),
            ("http://[::1]:8000", "[::1]", false),
        ] {
            let address: HttpAddress = text.parse().expect(text);
            assert_eq!((address.host().as_deref(), address.is_secret()), (Some(host), is_secret));
        }
    }

    #[test]
    fn what_is_no_plain_address_is_refused_without_showing_a_secret() {
        for (text, why) in [
            ("ftp://host", SHAPE),
            ("host:8000", SHAPE),
            ("http://", SHAPE),
            ("http://host:99999", SHAPE),
            ("http://host:8000/?key=hunter2", "at most with a path"),
            ("http://host:8000/#hunter2", "at most with a path"),
            ("http://user:hun?ter2@host:8000/?key=hunter2", SHAPE),
            ("http://user:hunter2@host:8000", "--api-key-env"),
        ] {
            let error = text.parse::<HttpAddress>().expect_err(text).to_string();
            assert!(error.contains(why) && !error.contains("hunter2"), "{error}");
        }
    }
}
