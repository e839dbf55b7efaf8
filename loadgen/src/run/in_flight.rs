//! A request in flight, as it is observed.

use std::sync::Arc;

use super::orders::Answered;
use crate::sample::{Account, Gap, Outcome, Sample, ServerSide, TOKEN_HASH_SEED, hash_token};
use crate::schedule::{Answer, Planned, Turn};
use crate::time::Micros;

/// What has arrived of one request so far.
#[derive(Debug)]
pub(super) struct InFlight {
    planned: Planned,
    sent: Micros,
    /// `sent` is what the target told; otherwise, and of a request that it could not send, it is the hand-over.
    sent_is_told: bool,
    first: Option<Micros>,
    last: Option<Micros>,
    first_tokens: u32,
    gaps: Vec<Gap>,
    tokens: u32,
    token_hash: u64,
    logits_hash: u64,
    /// Whether any digest of logits was told.
    has_digests: bool,
    account: Account,
    /// What its session goes on from, where it goes on.
    repeated: Option<Repeated>,
}

/// What was told of an answer that a turn repeats.
#[derive(Debug, Default)]
struct Repeated {
    session: u64,
    /// Ids of its tokens, as far as they are told.
    ids: Vec<u32>,
    /// A token came without its id.
    nameless: bool,
    text: Option<Arc<str>>,
}

impl InFlight {
    pub(super) fn new(planned: Planned, sent: Micros) -> Self {
        Self {
            sent,
            sent_is_told: false,
            first: None,
            last: None,
            first_tokens: 0,
            gaps: Vec::new(),
            tokens: 0,
            token_hash: TOKEN_HASH_SEED,
            logits_hash: TOKEN_HASH_SEED,
            has_digests: false,
            account: Account::default(),
            repeated: planned.request.turn.filter(|turn| !turn.is_last()).map(Repeated::of),
            planned,
        }
    }

    pub(super) fn input_tokens(&self) -> u32 {
        self.planned.request.input_tokens
    }

    pub(super) fn index(&self) -> u64 {
        self.planned.request.index
    }

    /// When its first token came.
    pub(super) fn first(&self) -> Option<Micros> {
        self.first
    }

    pub(super) fn is_clamped(&self) -> bool {
        self.planned.request.clamped
    }

    /// The target told when the request was sent.
    pub(super) fn sent(&mut self, at: Micros) {
        (self.sent, self.sent_is_told) = (at, true);
    }

    /// Whether the target told so.
    pub(super) fn was_sent(&self) -> bool {
        self.sent_is_told
    }

    pub(super) fn lag(&self) -> Micros {
        self.sent.since(self.planned.due)
    }

    /// Takes a token; `true` when it is the first.
    pub(super) fn token(&mut self, at: Micros, token: Option<u32>, logits_digest: u64) -> bool {
        self.tokens += 1;
        if let Some(token) = token {
            self.token_hash = hash_token(self.token_hash, u64::from(token));
        }
        if let Some(repeated) = &mut self.repeated {
            repeated.nameless |= token.is_none();
            repeated.ids.extend(token);
        }
        self.logits_hash = hash_token(self.logits_hash, logits_digest);
        self.has_digests |= logits_digest != 0;
        let Some(last) = self.last.replace(at) else {
            self.first = Some(at);
            self.first_tokens = 1;
            return true;
        };
        if at > last {
            self.gaps.push(Gap { gap: at.since(last), tokens: 1 });
        } else if let Some(gap) = self.gaps.last_mut() {
            gap.tokens += 1;
        } else {
            self.first_tokens += 1;
        }
        false
    }

    /// What is known beside the arrivals: the answer has so many tokens, however many of them were told.
    pub(super) fn counted(&mut self, tokens: Option<u32>, account: Account) {
        self.tokens = tokens.unwrap_or(self.tokens);
        // What equals what was asked is not worth a word.
        let prompt_tokens = account.prompt_tokens.filter(|counted| *counted != self.input_tokens());
        self.account = Account { prompt_tokens, ..account };
    }

    /// The target told the text of its answer.
    pub(super) fn said(&mut self, text: Arc<str>) {
        if let Some(repeated) = &mut self.repeated {
            repeated.text = Some(text);
        }
    }

    /// What the session goes on from, now that this turn of it is over at `at`; `None` where nothing follows.
    pub(super) fn answered(&mut self, at: Micros, outcome: &Outcome) -> Option<Answered> {
        let Repeated { session, ids, nameless, text } = self.repeated.take()?;
        let answer = match text {
            Some(text) => Some(Answer::Text { text, tokens: self.tokens }),
            None => (!ids.is_empty() && !nameless).then_some(Answer::Ids(ids)),
        };
        Some(Answered { session, at, answer: answer.filter(|_| outcome.is_completed()) })
    }

    /// The request is over.
    pub(super) fn end(self, at: Micros, outcome: Outcome, server: Option<ServerSide>) -> Sample {
        Sample {
            index: self.planned.request.index,
            due: self.planned.due,
            sent: Some(self.sent),
            first: self.first,
            last: self.last,
            ended: at,
            first_tokens: self.first_tokens,
            gaps: self.gaps,
            input_tokens: self.planned.request.input_tokens,
            output_asked: self.planned.request.output_tokens,
            output_tokens: self.tokens,
            segments: self.planned.request.segments,
            clamped: self.planned.request.clamped,
            turn: self.planned.request.turn,
            outcome,
            token_hash: self.token_hash,
            logits_hash: self.has_digests.then_some(self.logits_hash),
            server,
            account: self.account,
        }
    }
}

impl Repeated {
    fn of(turn: Turn) -> Self {
        Self { session: turn.session, ..Self::default() }
    }
}

/// A request that was never sent.
pub(super) fn shed(planned: Planned, at: Micros) -> Sample {
    Sample { sent: None, ..InFlight::new(planned, at).end(at, Outcome::Shed, None) }
}
