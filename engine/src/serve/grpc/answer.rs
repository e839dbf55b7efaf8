//! A streamed answer, made as it is asked for.
//!
//! HTTP/2 pulls as long as the client's window has room; while it has none, nothing is pulled and the hub's buffer fills up to
//! its bound. Dropping the stream drops the answer, which cancels its request.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio_stream::Stream;
use tonic::Status;

use super::seats::Seat;
use super::status;
use crate::serve::hub::{Answer, End, Part, Token};
use crate::wire::{self, v1};

/// Tokens in one event at most; more have piled up only where the client is behind.
const TOKENS: usize = 64;

/// The events of one answer.
pub(super) struct Events {
    answer: Option<Answer>,
    /// An end that is no event and has to wait for the tokens before it.
    last: Option<Status>,
    _seat: Seat,
}

impl Events {
    pub(super) fn new(answer: Answer, seat: Seat) -> Self {
        Self { answer: Some(answer), last: None, _seat: seat }
    }

    /// Everything that is there, as one event.
    fn pull(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<v1::GenerateEvent, Status>>> {
        if let Some(status) = self.last.take() {
            return Poll::Ready(Some(Err(status)));
        }
        let Some(answer) = &mut self.answer else { return Poll::Ready(None) };
        let mut tokens: Vec<Token> = Vec::new();
        let end = loop {
            if tokens.len() == TOKENS {
                return Poll::Ready(Some(Ok(wire::event(&tokens, None))));
            }
            match answer.poll_next(context) {
                Poll::Ready(Some(Part::Token(token))) => tokens.push(token),
                Poll::Ready(Some(Part::End(end))) => break end,
                Poll::Ready(None) => break End::Stopped,
                Poll::Pending if tokens.is_empty() => return Poll::Pending,
                // Asked again, there will be a wake-up.
                Poll::Pending => return Poll::Ready(Some(Ok(wire::event(&tokens, None)))),
            }
        };
        self.answer = None;
        let status = match end.finished() {
            Ok(finished) => return Poll::Ready(Some(Ok(wire::event(&tokens, Some(&finished))))),
            Err(failure) => status::failed(&failure),
        };
        if tokens.is_empty() {
            return Poll::Ready(Some(Err(status)));
        }
        self.last = Some(status);
        Poll::Ready(Some(Ok(wire::event(&tokens, None))))
    }
}

impl Stream for Events {
    type Item = Result<v1::GenerateEvent, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.pull(context)
    }
}
