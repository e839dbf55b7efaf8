//! How long tokens are waited for.

use std::time::Duration;

use tokio::time::Instant;

use super::failed;
use crate::sample::{FailureKind, Outcome};
use crate::text::DurationText;
use crate::time::Micros;

/// How long a server may leave us without tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Patience {
    /// From the hand-over of a request to its first token.
    pub first_token: Option<Duration>,
    /// From one arrival of tokens to the next.
    pub between_tokens: Option<Duration>,
}

/// Waits for tokens, and not for ever. What keeps a connection busy without bringing one, such as comments, does not count.
#[derive(Clone, Copy, Debug)]
pub(in crate::target) struct Wait {
    patience: Patience,
    /// When nothing is waited for any more, and what to say then.
    until: Option<(Instant, Duration, &'static str)>,
}

impl Wait {
    pub(in crate::target) fn new(patience: Patience) -> Self {
        let mut wait = Self { patience, until: None };
        wait.start(patience.first_token, "no first token");
        wait
    }

    fn start(&mut self, limit: Option<Duration>, missing: &'static str) {
        self.until = limit.map(|limit| (tokio::time::sleep(limit).deadline(), limit, missing));
    }

    /// Tokens came.
    pub(in crate::target) fn came(&mut self) {
        self.start(self.patience.between_tokens, "no further token");
    }

    /// Waits for something.
    pub(in crate::target) async fn out<T>(self, future: impl Future<Output = T>) -> Result<T, Outcome> {
        let Some((until, limit, missing)) = self.until else { return Ok(future.await) };
        tokio::time::timeout_at(until, future).await.map_err(|_| {
            let limit = DurationText(Micros(limit.as_micros() as u64));
            failed(FailureKind::Timeout, format!("{missing} within {limit}"))
        })
    }
}
