//! One page, of bounded size and time.

use std::time::Duration;

use reqwest::Client;

use super::Shared;
use crate::http::{ApiKey, read_to, root, with_key};
use crate::time::Micros;

/// The longest page that is read.
const LONGEST: usize = 8 << 20;
/// How long a page may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A page, with the instant at which it began to arrive.
pub(super) async fn fetch(
    client: &Client,
    url: &str,
    key: Option<&ApiKey>,
    shared: &Shared,
) -> Result<(Micros, Vec<u8>), String> {
    let request = with_key(client.get(url), key).header("accept", "text/plain;version=0.0.4");
    let fetched = tokio::time::timeout(TIMEOUT, async {
        let response = request.send().await.map_err(|error| root(&error))?;
        let at = shared.now();
        let status = response.status();
        if !status.is_success() {
            return Err(format!("it answered {}", status.as_u16()));
        }
        let body = read_to(response, LONGEST).await.map_err(|error| root(&error))?;
        if body.len() > LONGEST {
            return Err(format!("its page is longer than {} MiB", LONGEST >> 20));
        }
        Ok((at, body))
    });
    fetched.await.unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())))
}
