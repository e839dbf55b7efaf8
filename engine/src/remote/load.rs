//! What a remote engine has done.

use crate::units::Nanos;

/// Counters of a server since its start, over all its protocols. They count requests once, when they are over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// When, on the server's clock.
    pub at: Nanos,
    /// Requests in flight.
    pub in_flight: u64,
    /// Those of them that wait for their prefill.
    pub waiting: u64,
    /// Requests that may be in flight.
    pub in_flight_limit: u64,
    /// Requests admitted.
    pub admitted: u64,
    /// Answers that ended with a stop token, or that their client found complete.
    pub stopped: u64,
    /// Answers as long as asked for.
    pub full_length: u64,
    /// Requests whose client went away.
    pub abandoned: u64,
    /// Requests whose client was too far behind.
    pub overrun: u64,
    /// Requests that the engine could not serve.
    pub failed: u64,
    /// Requests not admitted because as many as allowed were in flight.
    pub turned_away: u64,
    /// Prompt tokens of admitted requests.
    pub input_tokens: u64,
    /// Tokens that came out of the engine.
    pub output_tokens: u64,
    /// Times a sequence lost its KV and was computed anew.
    pub preemptions: u64,
    /// Shifts that started.
    pub shifts_started: u64,
    /// Shifts that converged.
    pub shifts_converged: u64,
    /// Shifts that were given up or could not start.
    pub shifts_failed: u64,
    /// Units that were lost.
    pub units_lost: u64,
    /// How fast it goes; `None` right after the start.
    pub rates: Option<Rates>,
}

impl Load {
    /// Requests that are over, however they ended.
    pub fn ended(&self) -> u64 {
        self.stopped + self.full_length + self.abandoned + self.overrun + self.failed
    }
}

/// Changes per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// The time that they are taken over.
    pub over: Nanos,
    /// Requests admitted.
    pub admitted: f64,
    /// Requests over, however they ended.
    pub ended: f64,
    /// Prompt tokens of admitted requests.
    pub input_tokens: f64,
    /// Tokens that came out of the engine.
    pub output_tokens: f64,
}

impl Rates {
    /// From two looks; `None` when there is no time between them.
    pub(crate) fn between(before: &Load, now: &Load) -> Option<Self> {
        let over = now.at.since(before.at);
        let seconds = Some(over.as_secs_f64()).filter(|seconds| *seconds > 0.0)?;
        let rate = |before: u64, now: u64| now.saturating_sub(before) as f64 / seconds;
        Some(Self {
            over,
            admitted: rate(before.admitted, now.admitted),
            ended: rate(before.ended(), now.ended()),
            input_tokens: rate(before.input_tokens, now.input_tokens),
            output_tokens: rate(before.output_tokens, now.output_tokens),
        })
    }
}
