//! Samples for tests.

use super::{Failure, FailureKind, Gap, Outcome, Sample, TOKEN_HASH_SEED};
use crate::schedule::Segment;
use crate::time::Micros;

/// A completed request that was sent when it was due. Instants and gaps in microseconds; one token an arrival.
pub(crate) fn completed(index: u64, due: u64, ttft: u64, gaps: &[u64]) -> Sample {
    let last = Micros(due + ttft + gaps.iter().sum::<u64>());
    Sample {
        index,
        due: Micros(due),
        sent: Some(Micros(due)),
        first: Some(Micros(due + ttft)),
        last: Some(last),
        ended: last,
        first_tokens: 1,
        gaps: gaps.iter().map(|gap| Gap { gap: Micros(*gap), tokens: 1 }).collect(),
        input_tokens: 100,
        output_asked: 1 + gaps.len() as u32,
        output_tokens: 1 + gaps.len() as u32,
        segments: vec![Segment(index, 100)],
        clamped: false,
        turn: None,
        outcome: Outcome::Completed,
        token_hash: TOKEN_HASH_SEED,
        logits_hash: None,
        account: crate::sample::Account::default(),
        server: None,
    }
}

/// A request that ended at `ended` without an answer.
pub(crate) fn unanswered(index: u64, due: u64, ended: u64, outcome: Outcome) -> Sample {
    Sample {
        sent: (outcome != Outcome::Shed).then_some(Micros(due)),
        first: None,
        last: None,
        ended: Micros(ended),
        first_tokens: 0,
        output_tokens: 0,
        outcome,
        ..completed(index, due, 0, &[])
    }
}

/// An error.
pub(crate) fn failed() -> Outcome {
    Outcome::Failed(Failure { kind: FailureKind::Status, message: "503 service unavailable".to_owned() })
}
