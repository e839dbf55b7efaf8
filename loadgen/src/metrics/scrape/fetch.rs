//! One page, of bounded size and time.

use std::time::Duration;

use reqwest::RequestBuilder;

use super::Shared;
use crate::http::{read_to, root};
use crate::time::Micros;

/// How long a page may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A page of at most `longest` bytes, with the instant at which it began to arrive.
pub(super) async fn fetch(
    request: RequestBuilder,
    longest: usize,
    shared: &Shared,
) -> Result<(Micros, Vec<u8>), String> {
    let request = request.header("accept", "text/plain;version=0.0.4");
    let fetched = tokio::time::timeout(TIMEOUT, async {
        let response = request.send().await.map_err(|error| root(&error))?;
        let at = shared.now();
        let status = response.status();
        if !status.is_success() {
            return Err(format!("it answered {}", status.as_u16()));
        }
        let body = read_to(response, longest).await.map_err(|error| root(&error))?;
        if body.len() > longest {
            return Err(format!("its page is longer than {} MiB", longest >> 20));
        }
        Ok((at, body))
    });
    fetched.await.unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())))
}
