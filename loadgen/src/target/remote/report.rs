//! How the task of one request serves it and tells of it.

use std::sync::Arc;

use super::{Inbox, SharedClock};
use crate::sample::{Account, Failure, FailureKind, Outcome, ServerSide};
use crate::target::{Dispatch, TargetEvent};
use crate::time::Micros;

/// What a target speaks.
pub(in crate::target) trait Protocol: Send + Sync + 'static {
    /// Sends a request and reads its answer to the end. Dropped before that, it gives the request up.
    fn serve(&self, dispatch: Dispatch, report: &mut Report) -> impl Future<Output = End> + Send;
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::target) struct End {
    pub(in crate::target) outcome: Outcome,
    pub(in crate::target) server: Option<ServerSide>,
    /// The target's own count of tokens, where it is not that of the tokens told.
    pub(in crate::target) tokens: Option<u32>,
    pub(in crate::target) account: Account,
    /// Its text, where it was asked for.
    pub(in crate::target) text: Option<String>,
}

impl From<Outcome> for End {
    fn from(outcome: Outcome) -> Self {
        Self { outcome, server: None, tokens: None, account: Account::default(), text: None }
    }
}

/// Letters of a message at most. What servers say was cut before; this is for what was forgotten, since every message of a run
/// is kept and recorded.
const MESSAGE: usize = 600;

/// A failure with one line for people.
pub(in crate::target) fn failed(kind: FailureKind, message: impl Into<String>) -> Outcome {
    let mut message = message.into();
    if let Some((end, _)) = message.char_indices().nth(MESSAGE) {
        message.truncate(end);
        message.push('…');
    }
    Outcome::Failed(Failure { kind, message })
}

/// Tells of one request.
#[derive(Debug)]
pub(in crate::target) struct Report {
    index: u64,
    clock: SharedClock,
    inbox: Arc<Inbox>,
    /// Kept for its memory.
    events: Vec<TargetEvent>,
    completed: bool,
    /// Which of the target's addresses it went to, where there are several.
    address: Option<u16>,
}

impl Report {
    pub(super) fn new(index: u64, clock: SharedClock, inbox: Arc<Inbox>) -> Self {
        Self { index, clock, inbox, events: Vec::new(), completed: false, address: None }
    }

    /// The clock that stamps are from.
    pub(in crate::target) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// It goes to this one of several addresses.
    pub(in crate::target) fn goes_to(&mut self, address: Option<u16>) {
        self.address = address;
    }

    /// The bytes of the request were handed to the socket.
    pub(in crate::target) async fn sent(&mut self, at: Micros) {
        self.events.push(TargetEvent::Sent { index: self.index, at });
        self.inbox.push(&mut self.events).await;
    }

    /// Tokens arrived together, each with its id and the digest of its logits as far as they are told.
    pub(in crate::target) async fn tokens(&mut self, at: Micros, tokens: impl Iterator<Item = (Option<u32>, u64)>) {
        let index = self.index;
        let event = |(token, logits_digest)| TargetEvent::Token { index, at, token, logits_digest };
        self.events.extend(tokens.map(event));
        self.inbox.push(&mut self.events).await;
    }

    /// The answer is there, whatever may still be told of it: that nothing is told in time does not make it late.
    pub(in crate::target) fn completed(&mut self) {
        self.completed = true;
    }

    /// Whether it was.
    pub(super) fn is_completed(&self) -> bool {
        self.completed
    }

    /// The request is over.
    pub(super) async fn ended(mut self, end: End) {
        let (index, at) = (self.index, self.clock.now());
        let End { outcome, server, tokens, account, text } = end;
        let account = Account { address: self.address, ..account };
        // What was being told when the request was given up is not told any more.
        self.events.clear();
        self.events.extend(text.map(|text| TargetEvent::Said { index, text: text.into() }));
        if tokens.is_some() || account != Account::default() {
            self.events.push(TargetEvent::Counted { index, tokens, account });
        }
        self.events.push(TargetEvent::Ended { index, at, outcome, server });
        self.inbox.push(&mut self.events).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_failure_says_more_than_a_few_lines() {
        let Outcome::Failed(failure) = failed(FailureKind::Engine, "ü".repeat(100_000)) else { panic!("it failed") };
        assert_eq!(failure.message.chars().count(), MESSAGE + 1);
    }
}
