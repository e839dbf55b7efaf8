//! What connections go through, where the user says so.

use std::fmt;
use std::str::FromStr;

use reqwest::{Proxy, Url};

use super::root;
use crate::text::Malformed;

/// The address of a proxy, as `http://HOST:PORT`. Proxies that the environment names are never used: a load test goes where it
/// is told to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyAddress(String);

impl ProxyAddress {
    /// # Errors
    /// One line: what is wrong with it.
    pub(super) fn proxy(&self) -> Result<Proxy, String> {
        Proxy::all(&self.0).map_err(|error| root(&error))
    }
}

impl FromStr for ProxyAddress {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed =
            |allowed| Malformed::new("the address of a proxy", &super::address::without_secret(text), allowed);
        let url = Url::parse(text).map_err(|_| malformed("write http://HOST:PORT"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(malformed("write http://HOST:PORT"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(malformed("others on this machine could read its secret; use one that asks for none"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(malformed("write http://HOST:PORT, with nothing behind"));
        }
        Ok(Self(url.as_str().trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for ProxyAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_address_without_a_secret() {
        let proxy: ProxyAddress = "http://127.0.0.1:3128/".parse().expect("a proxy");
        assert_eq!(proxy.to_string(), "http://127.0.0.1:3128");
        assert!(proxy.proxy().is_ok());
        for text in ["127.0.0.1:3128", "socks5://host:1", "http://", "http://host/path", "http://me:hunter2@host:1"] {
            let error = text.parse::<ProxyAddress>().expect_err(text).to_string();
            assert!(error.contains("is not the address of a proxy: ") && !error.contains("hunter2"), "{error}");
        }
    }
}
