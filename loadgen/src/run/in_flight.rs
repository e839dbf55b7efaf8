//! A request in flight, as it is observed.

use crate::sample::{Gap, Outcome, Sample, ServerSide, TOKEN_HASH_SEED, hash_token};
use crate::schedule::Planned;
use crate::time::Micros;

/// What has arrived of one request so far.
#[derive(Debug)]
pub(super) struct InFlight {
    planned: Planned,
    sent: Micros,
    first: Option<Micros>,
    last: Option<Micros>,
    first_tokens: u32,
    gaps: Vec<Gap>,
    tokens: u32,
    token_hash: u64,
    logits_hash: u64,
}

impl InFlight {
    pub(super) fn new(planned: Planned, sent: Micros) -> Self {
        Self {
            sent,
            first: None,
            last: None,
            first_tokens: 0,
            gaps: Vec::new(),
            tokens: 0,
            token_hash: TOKEN_HASH_SEED,
            logits_hash: TOKEN_HASH_SEED,
            planned,
        }
    }

    pub(super) fn input_tokens(&self) -> u32 {
        self.planned.request.input_tokens
    }

    /// Takes a token; `true` when it is the first.
    pub(super) fn token(&mut self, at: Micros, token: u32, logits_digest: u64) -> bool {
        self.tokens += 1;
        self.token_hash = hash_token(self.token_hash, u64::from(token));
        self.logits_hash = hash_token(self.logits_hash, logits_digest);
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
            outcome,
            token_hash: self.token_hash,
            logits_hash: (self.tokens > 0).then_some(self.logits_hash),
            server,
        }
    }
}

/// A request that was never sent.
pub(super) fn shed(planned: Planned, at: Micros) -> Sample {
    Sample { sent: None, ..InFlight::new(planned, at).end(at, Outcome::Shed, None) }
}
