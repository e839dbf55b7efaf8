//! An answer that comes from elsewhere.

use std::sync::Arc;

use tonic::Streaming;

use super::RemoteError;
use super::peer::Peer;
use crate::cluster::Finished;
use crate::serve::hub::Token;
use crate::wire::{self, v1};

/// Tokens that arrived together, the end, or both.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerEvent {
    /// In order, none left out. `at` is on the server's clock; log-probabilities are not carried.
    pub tokens: Vec<Token>,
    /// How it went; nothing comes after it.
    pub finished: Option<Finished>,
}

/// The tokens of one request as they arrive. Dropped before its end, it cancels the request in the engine.
#[derive(Debug)]
pub struct RemoteAnswer {
    peer: Arc<Peer>,
    stream: Streaming<v1::GenerateEvent>,
    over: bool,
}

impl RemoteAnswer {
    pub(super) fn new(peer: Arc<Peer>, stream: Streaming<v1::GenerateEvent>) -> Self {
        Self { peer, stream, over: false }
    }

    /// The next event; `None` after the end or an error. May be given up at any moment without losing anything.
    ///
    /// # Errors
    /// When the server ended the answer before its time, the connection broke, or what came makes no sense.
    pub async fn next(&mut self) -> Option<Result<AnswerEvent, RemoteError>> {
        if self.over {
            return None;
        }
        let event = match self.stream.message().await {
            Ok(Some(event)) => wire::read_event(&event).map_err(|wrong| self.peer.malformed(&wrong)),
            Ok(None) => Err(self.peer.broken("the answer ended without saying how")),
            Err(status) => Err(self.peer.status(&status)),
        };
        let event = event.map(|(tokens, finished)| AnswerEvent { tokens, finished });
        self.over = event.as_ref().map_or(true, |event| event.finished.is_some());
        Some(event)
    }
}
