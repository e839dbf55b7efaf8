//! One answer with its text: what a transport sends.

use std::task::{Context, Poll, ready};

use super::hub::{Answer, End, Part, Token};
use super::text::{Finish, Transcript};
use crate::cluster::{FinishReason, Finished};
use crate::units::Nanos;

/// What a choice yields, in this order: its tokens, then one end or failure.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// A token came, and whether it was the last. The text that it added has been appended.
    Token(Token, Option<Finish>),
    /// It is complete.
    Done,
    /// It ended before its time.
    Failed(Failure),
}

/// Why an answer ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// The engine did not take it.
    #[error("{0}")]
    Refused(String),
    /// The consumer did not keep up.
    #[error("the answer was not read fast enough and has been cancelled")]
    Overrun,
    /// No unit is left, or the engine has stopped.
    #[error("the engine can no longer serve this request")]
    Lost,
}

impl End {
    /// How the engine finished the answer, or why it did not.
    pub(super) fn finished(self) -> Result<Finished, Failure> {
        match self {
            Self::Finished(finished) => Ok(finished),
            Self::Refused(why) => Err(Failure::Refused(why)),
            Self::Overrun => Err(Failure::Overrun),
            Self::Stopped => Err(Failure::Lost),
        }
    }
}

/// The prompt tokens of a request that came from the prefix cache. `hits` are those of its choices, of which `n` in a row
/// share a prompt: what the first of them brought into the cache was not there before, so the least of them counts. `None`
/// as soon as one is not known.
pub(super) fn cached(hits: &[Option<u32>], n: usize) -> Option<u64> {
    let least = |hits: &[Option<u32>]| hits.iter().copied().reduce(|a, b| Some(a?.min(b?))).flatten();
    hits.chunks(n.max(1)).map(|hits| least(hits).map(u64::from)).sum()
}

/// An answer and its transcript.
#[derive(Debug)]
pub(super) struct Choice {
    answer: Option<Answer>,
    transcript: Transcript,
    /// Whether the engine ends the request at a stop token by itself.
    engine_stops: bool,
    /// What ended the text.
    finish: Option<Finish>,
    cached_tokens: Option<u32>,
    /// When the last token came.
    last: Nanos,
}

impl Choice {
    /// `engine_stops` says whether the request was submitted with the stop tokens of its transcript.
    pub(super) fn new(answer: Answer, transcript: Transcript, engine_stops: bool) -> Self {
        Self { answer: Some(answer), transcript, engine_stops, finish: None, cached_tokens: None, last: Nanos::ZERO }
    }

    /// Tokens of the answer so far, one that stopped it included.
    pub(super) fn tokens(&self) -> u32 {
        self.transcript.tokens()
    }

    /// Prompt tokens that came from the prefix cache, where the engine came to tell.
    pub(super) fn cached_tokens(&self) -> Option<u32> {
        self.cached_tokens
    }

    /// The next step; `None` after the last. The text of a token, often none, is appended to `text`.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>, text: &mut String) -> Poll<Option<Step>> {
        if self.finish.is_some_and(|finish| !self.engine_ends(finish))
            && let Some(answer) = self.answer.take()
        {
            answer.complete(self.transcript.tokens(), self.last);
            return Poll::Ready(Some(Step::Done));
        }
        let Some(answer) = &mut self.answer else { return Poll::Ready(None) };
        let step = match ready!(answer.poll_next(context)) {
            Some(Part::Token(token)) => {
                debug_assert!(self.finish.is_none(), "the engine ends an answer where its text ends");
                self.last = token.at;
                self.finish = self.transcript.push(token.token, text);
                return Poll::Ready(Some(Step::Token(token, self.finish)));
            }
            Some(Part::End(end)) => self.ended(end),
            None => Step::Failed(Failure::Lost),
        };
        self.answer = None;
        Poll::Ready(Some(step))
    }

    /// Whether the engine knows that the answer is over, and so has a last word on it that is worth waiting for.
    fn engine_ends(&self, finish: Finish) -> bool {
        match finish {
            Finish::Length => true,
            Finish::StopToken => self.engine_stops,
            Finish::StopText => false,
        }
    }

    fn ended(&mut self, end: End) -> Step {
        match end.finished() {
            Ok(finished) => {
                self.cached_tokens = Some(finished.prefix_hit);
                match finished.reason {
                    FinishReason::Stop | FinishReason::Length => Step::Done,
                    FinishReason::Cancelled | FinishReason::NoCapacity => Step::Failed(Failure::Lost),
                }
            }
            Err(failure) => Step::Failed(failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_cached_once_however_many_answers_it_has() {
        assert_eq!(cached(&[Some(0), Some(48), Some(16), Some(32)], 2), Some(16));
        assert_eq!(cached(&[Some(16), Some(16)], 2), Some(16));
        assert_eq!(cached(&[Some(16), None], 1), None);
        assert_eq!(cached(&[], 1), Some(0));
    }
}
