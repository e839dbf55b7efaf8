//! What everything that speaks HTTP to others has in common: addresses, keys, a client that hides nothing, TLS, and answers of
//! bounded size.

mod address;
mod header;
mod key;
mod options;
mod proxy;
mod said;
mod tls;
mod trust;

use reqwest::Response;

pub use address::{HttpAddress, without_secret};
pub use header::ExtraHeader;
pub use key::ApiKey;
pub(crate) use key::with_key;
pub(crate) use options::client;
pub use options::{CONNECT_TIMEOUT, HttpOptions};
pub use proxy::ProxyAddress;
pub(crate) use said::{Said, message, misread, root, said, unreachable};
pub(crate) use tls::TlsFailure;
pub use trust::{Trust, TrustError};

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
