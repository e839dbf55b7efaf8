//! How servers are reached, whether requests go there or a control plane is asked.

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, retry};

use super::{ProxyAddress, Trust, root};

/// How long a connection may take to be made when nobody says. Longer than two lost packets, shorter than an operator's
/// patience.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the user has said about the way to servers.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Certificates that are trusted beside those of the system.
    pub trust: Trust,
    /// What all connections go through.
    pub proxy: Option<ProxyAddress>,
    /// Whether HTTP/2 is spoken, over TLS and without, in place of HTTP/1.1.
    pub http2: bool,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self { trust: Trust::default(), proxy: None, http2: false, connect_timeout: CONNECT_TIMEOUT }
    }
}

impl HttpOptions {
    /// The same way, but by HTTP/1.1: control planes speak it all, and not all speak HTTP/2.
    #[must_use]
    pub fn of_controls(&self) -> Self {
        Self { http2: false, ..self.clone() }
    }
}

/// A client that keeps unused connections for `idle`.
///
/// HTTP/2 is spoken only where it is asked for: one connection carries all requests then, and a server bounds how many at a
/// time, so that what it is offered would be held back here, and not there.
///
/// # Errors
/// One line: why the system gives none.
pub(crate) fn client(idle: Duration, options: &HttpOptions) -> Result<Client, String> {
    let alpn: &[u8] = if options.http2 { b"h2" } else { b"http/1.1" };
    let builder = Client::builder()
        .user_agent(concat!("pdtune/", env!("CARGO_PKG_VERSION")))
        // What a proxy of the environment, a redirect or a second attempt adds is not the server's.
        .no_proxy()
        .redirect(Policy::none())
        .retry(retry::never())
        .connect_timeout(options.connect_timeout)
        .tcp_nodelay(true)
        .pool_idle_timeout(idle)
        .pool_max_idle_per_host(usize::MAX)
        .tls_backend_preconfigured(options.trust.client_config(alpn)?);
    let builder = if options.http2 { builder.http2_prior_knowledge() } else { builder.http1_only() };
    let builder = match &options.proxy {
        Some(proxy) => builder.proxy(proxy.proxy()?),
        None => builder,
    };
    builder.build().map_err(|error| root(&error))
}
