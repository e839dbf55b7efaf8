//! What became of one request: the instants it was observed at, its tokens, and its outcome.
//!
//! A sample is written once, when its request is over, and never changes. Everything that is shown, judged or recorded of
//! a request is derived from it, live and from a recording alike.

mod account;

use std::fmt;
use std::sync::Arc;

use crate::schedule::{Segment, Turn};
use crate::time::Micros;

#[cfg(test)]
pub(crate) mod testing;
mod told;

pub use told::{ServerTimes, Told, WorkerName};

pub use account::{Account, CountedBy, CutBy, Reasoning};

/// The time from one arrival of tokens to the next, and how many tokens the later one brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Since the arrival before.
    pub gap: Micros,
    /// Tokens that arrived together at its end, at least 1.
    pub tokens: u32,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As asked: the stream said that it was over.
    Completed,
    /// By an error.
    Failed(Failure),
    /// The stream ended without saying so.
    Cut,
    /// We cancelled it.
    Cancelled,
    /// It was never sent, because a stated limit was reached.
    Shed,
}

impl Outcome {
    /// Whether the request completed.
    pub fn is_completed(&self) -> bool {
        matches!(self, Self::Completed)
    }

    /// Whether the target has failed the request, or cut its answer. What has never left this machine it knows nothing of.
    pub fn is_targets_failure(&self) -> bool {
        match self {
            Self::Failed(failure) => failure.kind != FailureKind::Client,
            Self::Cut => true,
            Self::Completed | Self::Cancelled | Self::Shed => false,
        }
    }

    /// Whether it has never left this machine, which had no file or port for it.
    pub fn is_unsent(&self) -> bool {
        matches!(self, Self::Failed(failure) if failure.kind == FailureKind::Client)
    }
}

/// An error of one request: data, never the end of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What sort.
    pub kind: FailureKind,
    /// One line for people, without secrets and without prompt text.
    pub message: String,
}

/// The sorts of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// The target could not be reached.
    Connect,
    /// The target was reached, but TLS was not agreed.
    Tls,
    /// The target answered with an error status.
    Status,
    /// The target took longer than the limit.
    Timeout,
    /// The target answered something that is not the protocol.
    Malformed,
    /// The target would not take the request (too long, no room).
    Refused,
    /// The target takes no more requests for now (429, or 503 with the time to come back): offered load that it shed.
    Limited,
    /// The engine failed while it served the request.
    Engine,
    /// This machine had no file or no port left for it, so the target has not even been asked.
    Client,
}

impl FailureKind {
    /// All sorts.
    pub const ALL: [Self; 9] = [
        Self::Connect,
        Self::Tls,
        Self::Status,
        Self::Timeout,
        Self::Malformed,
        Self::Refused,
        Self::Limited,
        Self::Engine,
        Self::Client,
    ];

    /// Its name in recordings and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Status => "status",
            Self::Timeout => "timeout",
            Self::Malformed => "malformed",
            Self::Refused => "refused",
            Self::Limited => "limited",
            Self::Engine => "engine",
            Self::Client => "client",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the server said about a request. Instants are on the run's clock, converted by the target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSide {
    /// The unit that computed the first token.
    pub prefill_unit: Option<u16>,
    /// The unit that computed the last token.
    pub decode_unit: Option<u16>,
    /// Prompt tokens looked up in the prefix cache.
    pub prefix_queried: u32,
    /// Prompt tokens found there.
    pub prefix_hit: u32,
    /// Times the sequence lost its KV and was computed anew.
    pub preemptions: u32,
    /// The request arrived at the engine.
    pub arrived: Option<Micros>,
    /// Its first prompt chunk was put into a step.
    pub prefill_start: Option<Micros>,
    /// Its first token was sampled.
    pub prefill_end: Option<Micros>,
    /// Its KV hand-off started.
    pub handoff_start: Option<Micros>,
    /// Its KV hand-off ended.
    pub handoff_end: Option<Micros>,
    /// Its first decode step started.
    pub decode_start: Option<Micros>,
    /// What else it told, in its own words.
    pub told: Option<Arc<Told>>,
}

/// One request that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Its number in the schedule.
    pub index: u64,
    /// When the schedule wanted it to leave.
    pub due: Micros,
    /// When it was handed to the target; `None` when it was shed.
    pub sent: Option<Micros>,
    /// When its first token arrived.
    pub first: Option<Micros>,
    /// When its last token arrived.
    pub last: Option<Micros>,
    /// When its outcome was known.
    pub ended: Micros,
    /// Tokens in its first arrival, 0 without one.
    pub first_tokens: u32,
    /// Every arrival after the first, in order.
    pub gaps: Vec<Gap>,
    /// Tokens of its prompt.
    pub input_tokens: u32,
    /// Tokens asked of its answer.
    pub output_asked: u32,
    /// Tokens of its answer that arrived.
    pub output_tokens: u32,
    /// What its prompt was made of.
    pub segments: Vec<Segment>,
    /// Whether a length was cut to what the target can serve.
    pub clamped: bool,
    /// Which turn of a session it was, if of any.
    pub turn: Option<Turn>,
    /// How it ended.
    pub outcome: Outcome,
    /// A rolling hash of the token ids of its answer, see [`hash_token`]; [`TOKEN_HASH_SEED`] when none is known.
    pub token_hash: u64,
    /// A rolling hash of the digests of the logits, where the target tells them.
    pub logits_hash: Option<u64>,
    /// What the server said about it, where it says anything.
    pub server: Option<ServerSide>,
    /// What is known of its answer beside the arrivals.
    pub account: Account,
}

impl Sample {
    /// Lag: sent − due.
    pub fn lag(&self) -> Option<Micros> {
        Some(self.sent?.since(self.due))
    }

    /// TTFT: first token − due.
    pub fn ttft(&self) -> Option<Micros> {
        Some(self.first?.since(self.due))
    }

    /// First token of the answer itself − due: TTFT, unless reasoning came before. `None` where nothing but reasoning came.
    pub fn first_answer(&self) -> Option<Micros> {
        let first = match self.account.reasoning {
            Some(reasoning) => reasoning.answer,
            None => self.first,
        };
        Some(first?.since(self.due))
    }

    /// Tokens of its prompt as the server counted them, where it did.
    pub fn prompt_tokens(&self) -> u32 {
        self.account.prompt_tokens.unwrap_or(self.input_tokens)
    }

    /// First token − sent.
    pub fn ttft_sent(&self) -> Option<Micros> {
        Some(self.first?.since(self.sent?))
    }

    /// TPOT: (last token − first token) / (output tokens − 1), rounded to the nearest microsecond.
    /// Undefined for answers of fewer than two tokens, and for those that came [in one piece](Self::is_one_piece).
    pub fn tpot(&self) -> Option<Micros> {
        let steps = u64::from(self.output_tokens.checked_sub(1)?);
        let span = self.last?.since(self.first?).0;
        let mean = span.saturating_add(steps / 2).checked_div(steps)?;
        (mean > 0).then_some(Micros(mean))
    }

    /// Whether all tokens of an answer of several came at once, to the microsecond a token, as where something on the way collects
    /// what is streamed: when they were made cannot be seen then.
    pub fn is_one_piece(&self) -> bool {
        self.output_tokens > 1 && self.first.is_some() && self.tpot().is_none()
    }

    /// ITL: the gaps between consecutive arrivals, each with its tokens.
    pub fn itl(&self) -> impl ExactSizeIterator<Item = Gap> + '_ {
        self.gaps.iter().copied()
    }

    /// The mean of the gaps between arrivals.
    pub fn itl_mean(&self) -> Option<Micros> {
        let gaps = self.gaps.len() as u64;
        let sum = self.gaps.iter().fold(gaps / 2, |sum, g| sum.saturating_add(g.gap.0));
        sum.checked_div(gaps).map(Micros)
    }

    /// The exact `per_mille / 1000` quantile of the gaps between arrivals (nearest rank: the smallest gap that at least
    /// that share of the gaps do not exceed).
    pub fn itl_quantile(&self, per_mille: u32) -> Option<Micros> {
        let rank = (self.gaps.len() * per_mille as usize).div_ceil(1000).max(1) - 1;
        let mut gaps: Vec<Micros> = self.gaps.iter().map(|g| g.gap).collect();
        let rank = rank.min(gaps.len().checked_sub(1)?);
        Some(*gaps.select_nth_unstable(rank).1)
    }

    /// Tokens of the answer that no arrival told of: known only from the target's own count when the request was over. They
    /// count as arrived with the last one.
    pub fn untold_tokens(&self) -> u32 {
        let told = self.gaps.iter().fold(self.first_tokens, |told, gap| told.saturating_add(gap.tokens));
        self.output_tokens.saturating_sub(told)
    }

    /// E2E: last token − due.
    pub fn e2e(&self) -> Option<Micros> {
        Some(self.last?.since(self.due))
    }
}

/// Where [`hash_token`] starts.
pub const TOKEN_HASH_SEED: u64 = 0xcbf2_9ce4_8422_2325;

/// Adds one token id (or logits digest) to a rolling hash: FNV-1a over the eight bytes, least significant first.
///
/// Two answers have equal hashes when they consist of the same tokens in the same order, which is what tests of
/// disaggregation and of shifts compare.
#[must_use]
pub fn hash_token(hash: u64, token: u64) -> u64 {
    token.to_le_bytes().iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(first: u64, gaps: &[(u64, u32)]) -> Sample {
        let spans: Vec<u64> = gaps.iter().map(|g| g.0).collect();
        Sample {
            sent: Some(Micros(130)),
            gaps: gaps.iter().map(|g| Gap { gap: Micros(g.0), tokens: g.1 }).collect(),
            output_tokens: 1 + gaps.iter().map(|g| g.1).sum::<u32>(),
            ..testing::completed(0, 100, first - 100, &spans)
        }
    }

    #[test]
    fn latencies_run_from_due_and_tpot_counts_tokens_that_arrived_together() {
        let sample = answer(1_100, &[(10, 1), (20, 2), (30, 1)]);
        assert_eq!(sample.lag(), Some(Micros(30)));
        assert_eq!(sample.ttft(), Some(Micros(1_000)));
        assert_eq!(sample.ttft_sent(), Some(Micros(970)));
        assert_eq!(sample.e2e(), Some(Micros(1_060)));
        assert_eq!(sample.tpot(), Some(Micros(15)), "60 us over 4 tokens after the first");
        assert_eq!(sample.itl_mean(), Some(Micros(20)));
        assert_eq!(sample.itl().map(|g| g.tokens).sum::<u32>(), 4);
    }

    #[test]
    fn tokens_that_no_arrival_told_of_are_what_the_count_of_all_leaves() {
        let sample = answer(1_100, &[(10, 1), (20, 2)]);
        assert_eq!(sample.untold_tokens(), 0);
        assert_eq!(Sample { output_tokens: 100, ..sample.clone() }.untold_tokens(), 96);
        assert_eq!(Sample { output_tokens: 3, ..sample }.untold_tokens(), 0, "a count below what came");
    }

    #[test]
    fn a_one_token_answer_has_neither_tpot_nor_itl() {
        let sample = answer(1_100, &[]);
        assert_eq!(sample.tpot(), None);
        assert_eq!(sample.itl_mean(), None);
        assert_eq!(sample.itl_quantile(990), None);
        assert_eq!(sample.e2e(), sample.ttft());
    }

    #[test]
    fn an_answer_in_one_piece_has_no_tpot() {
        let sample = Sample { output_tokens: 64, ..answer(1_100, &[]) };
        assert_eq!((sample.is_one_piece(), sample.tpot(), sample.itl_mean()), (true, None, None));
        let flushed = answer(1_100, &[(60, 512), (40, 511)]);
        assert_eq!((flushed.is_one_piece(), flushed.tpot()), (true, None), "100 us for 1,023 tokens");
        assert!(!answer(1_100, &[]).is_one_piece() && !answer(1_100, &[(10, 1)]).is_one_piece());
    }

    #[test]
    fn a_shed_request_has_no_latency_at_all() {
        let shed = Sample { sent: None, first: None, last: None, outcome: Outcome::Shed, ..answer(100, &[]) };
        assert_eq!((shed.lag(), shed.ttft(), shed.ttft_sent(), shed.e2e()), (None, None, None, None));
    }

    #[test]
    fn quantiles_of_gaps_are_exact_by_nearest_rank() {
        let gaps: Vec<(u64, u32)> = (1..=200).rev().map(|gap| (gap, 1)).collect();
        let sample = answer(1_100, &gaps);
        assert_eq!(sample.itl_quantile(990), Some(Micros(198)));
        assert_eq!(sample.itl_quantile(500), Some(Micros(100)));
        assert_eq!(sample.itl_quantile(1000), Some(Micros(200)));
        assert_eq!(sample.itl_quantile(0), Some(Micros(1)));
    }

    #[test]
    fn the_token_hash_depends_on_tokens_and_their_order() {
        let hash = |tokens: &[u64]| tokens.iter().fold(TOKEN_HASH_SEED, |h, t| hash_token(h, *t));
        assert_eq!(hash(&[1, 2, 3]), hash(&[1, 2, 3]));
        assert_ne!(hash(&[1, 2, 3]), hash(&[3, 2, 1]));
        assert_ne!(hash(&[1, 2]), hash(&[1, 2, 0]));
    }
}
