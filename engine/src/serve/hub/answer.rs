//! The consumer's end of one request.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::{mpsc, oneshot};

use super::counts::Times;
use super::shared::{Shared, Why};
use crate::cluster::Finished;
use crate::executor::Logprobs;
use crate::units::{Nanos, RequestId};

/// A token of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// When it came, on the engine's clock.
    pub at: Nanos,
    /// Its id.
    pub token: u32,
    /// Digest of the logits it was chosen from.
    pub logits_digest: u64,
    /// How likely it was, if asked for and known.
    pub logprobs: Option<Arc<Logprobs>>,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The engine is done with it, one way or another.
    Finished(Finished),
    /// The engine did not take it, though the hub did.
    Refused(String),
    /// Its consumer was too far behind; the request was cancelled.
    Overrun,
    /// The engine has stopped.
    Stopped,
}

/// What an answer yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// The next token, in order, none left out.
    Token(Token),
    /// The end; nothing comes after it.
    End(End),
}

/// The tokens of one request as they come. Dropped before its end, it cancels the request.
#[derive(Debug)]
pub struct Answer {
    request: RequestId,
    tokens: mpsc::Receiver<Token>,
    end: oneshot::Receiver<Over>,
    over: bool,
    shared: Arc<Shared>,
}

/// The hub's end of an answer.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) tokens: mpsc::Sender<Token>,
    pub(super) end: oneshot::Sender<Over>,
}

/// An end with the instants that led to it. It is counted when its consumer has come to it.
#[derive(Debug)]
pub(super) struct Over {
    pub(super) end: End,
    pub(super) times: Times,
}

impl Answer {
    pub(super) fn new(request: RequestId, shared: Arc<Shared>) -> (Self, Delivery) {
        let (token_sender, tokens) = mpsc::channel(shared.config.answer_buffer.max(1));
        let (end_sender, end) = oneshot::channel();
        (Self { request, tokens, end, over: false, shared }, Delivery { tokens: token_sender, end: end_sender })
    }

    /// The next part; `None` after the end.
    pub async fn next(&mut self) -> Option<Part> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// Polls for the next part; `None` after the end.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Part>> {
        if self.over {
            return Poll::Ready(None);
        }
        if let Some(token) = ready!(self.tokens.poll_recv(context)) {
            return Poll::Ready(Some(Part::Token(token)));
        }
        let over = ready!(Pin::new(&mut self.end).poll(context));
        self.over = true;
        // Without a word the router is gone.
        let end = over.map_or(End::Stopped, |over| {
            self.shared.ended(&over);
            over.end
        });
        Poll::Ready(Some(Part::End(end)))
    }

    /// Ends the request here because the answer is complete for its consumer (it met a stop text, say), which has taken
    /// `tokens` of it, the last of which came `at`. It is cancelled in the engine where that is still at it, and in any case
    /// counted as one that stopped, with these figures.
    pub fn complete(mut self, tokens: u32, at: Nanos) {
        self.over = true;
        self.shared.leave(self.request, &mut self.end, Why::Complete { tokens, at });
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.over {
            self.shared.leave(self.request, &mut self.end, Why::Gone);
        }
    }
}
