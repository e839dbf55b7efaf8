use super::{Emitted, Sink, StepRun};
use crate::cluster::{FinishReason, Finished};
use crate::units::{Nanos, RequestId, UnitId};

/// What is kept of a request: 48 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it arrived.
    pub arrived: Nanos,
    /// When its first token reached the client; meaningless without tokens.
    pub first: Nanos,
    /// When its last token did.
    pub last: Nanos,
    /// When its prompt was computed; from then on its first token waited for the hand-off.
    pub prefill_end: Nanos,
    /// Tokens that reached the client.
    pub tokens: u32,
    /// Prompt tokens that were cached.
    pub prefix_hit: u32,
    /// Where its first token was computed.
    pub prefill_unit: UnitId,
    /// Where its last token was computed.
    pub decode_unit: UnitId,
    /// How often it lost its KV.
    pub preemptions: u16,
    /// Whether it got all tokens that it asked for.
    pub completed: bool,
}

/// A sample of every request that was accepted, and totals. Requests are numbered from 0 without gaps.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    rows: Vec<Sample>,
    /// Requests that were not accepted.
    pub refused: u64,
    /// Steps computed.
    pub steps: u64,
    /// Tokens that decode steps gave.
    pub decoded: u64,
}

impl Samples {
    const NOTHING: Sample = Sample {
        arrived: Nanos::ZERO,
        first: Nanos::ZERO,
        last: Nanos::ZERO,
        prefill_end: Nanos::ZERO,
        tokens: 0,
        prefix_hit: 0,
        prefill_unit: UnitId(u16::MAX),
        decode_unit: UnitId(u16::MAX),
        preemptions: 0,
        completed: false,
    };

    /// Room for `requests` is made at once.
    pub fn with_capacity(requests: usize) -> Self {
        Self { rows: Vec::with_capacity(requests), ..Self::default() }
    }

    /// The requests in the order of their numbers. Without tokens: those that were refused or are in flight.
    pub fn rows(&self) -> &[Sample] {
        &self.rows
    }

    fn row(&mut self, request: RequestId) -> &mut Sample {
        let at = request.0 as usize;
        if at >= self.rows.len() {
            self.rows.resize(at + 1, Self::NOTHING);
        }
        &mut self.rows[at]
    }
}

impl Sink for Samples {
    const EVERY_TOKEN: bool = false;

    fn emitted(&mut self, emitted: Emitted) {
        if emitted.emission.first == 0 {
            let first = emitted.tokens().next().map_or(emitted.at, |(at, ..)| at);
            self.row(emitted.emission.request).first = first;
        }
    }

    fn finished(&mut self, at: Nanos, finished: Finished) {
        let row = self.row(finished.request);
        row.arrived = finished.stages.arrived;
        row.last = at;
        row.prefill_end = finished.stages.prefill_end.unwrap_or(at);
        row.tokens = finished.output_tokens;
        row.prefix_hit = finished.prefix_hit;
        row.prefill_unit = finished.prefill_unit.unwrap_or(row.prefill_unit);
        row.decode_unit = finished.decode_unit.unwrap_or(row.decode_unit);
        row.preemptions = finished.preemptions.min(u32::from(u16::MAX)) as u16;
        row.completed = matches!(finished.reason, FinishReason::Length | FinishReason::Stop);
    }

    fn stepped(&mut self, run: &StepRun) {
        self.steps += u64::from(run.steps);
        self.decoded += run.decoded();
    }

    fn refused(&mut self, _: Nanos, _: RequestId, _: crate::cluster::Refused) {
        self.refused += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_takes_forty_eight_bytes() {
        assert_eq!(size_of::<Sample>(), 48);
    }
}
