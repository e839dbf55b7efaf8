//! What everything that speaks HTTP to others has in common: addresses, keys, a client that hides nothing, and answers of
//! bounded size.

mod address;
mod key;
mod said;

use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response};

pub use address::HttpAddress;
pub use key::ApiKey;
pub(crate) use key::with_key;
pub(crate) use said::{Said, message, root};

/// How long a connection may take to be made. Longer than two lost packets, shorter than an operator's patience.
const CONNECT: Duration = Duration::from_secs(10);

/// A client that keeps unused connections for `idle`.
///
/// # Errors
/// One line: why the system gives none.
pub(crate) fn client(idle: Duration) -> Result<Client, String> {
    let client = Client::builder()
        .user_agent(concat!("pdtune/", env!("CARGO_PKG_VERSION")))
        // What a proxy, a redirect or a second attempt adds is not the server's.
        .no_proxy()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .pool_idle_timeout(idle)
        .pool_max_idle_per_host(usize::MAX)
        .http1_only()
        .build();
    client.map_err(|error| root(&error))
}

/// The body of an answer, up to somewhat more than `longest` bytes; the rest is not read.
pub(crate) async fn read_to(mut response: Response, longest: usize) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await? {
        body.extend_from_slice(&bytes);
        if body.len() > longest {
            break;
        }
    }
    Ok(body)
}
