//! The load as a simulation takes it: due times and lengths, drawn once, stretched to any rate.

use std::collections::HashMap;
use std::sync::Arc;

use engine::cluster::{Arrival, BlockHash, ClusterConfig};
use engine::drive::virtual_time::Input;
use engine::model::counter;
use engine::units::{Nanos, RequestId};

use super::{PlanError, Procedure};
use crate::arrival::{Arrival as Process, RatePlan};
use crate::schedule::{LoadSpec, Request, Schedule, Segment, Traffic};
use crate::workload::Limits;

/// Requests below which no percentile means anything.
pub(super) const FEWEST: usize = 20;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Seconds at one request per second.
    pub(crate) at: f64,
    /// Tokens of its prompt.
    pub(crate) input: u32,
    /// Tokens of its answer.
    pub(crate) output: u32,
    /// Its full blocks, where some of them may be cached.
    pub(crate) hashes: Arc<[BlockHash]>,
}

/// A load of one request per second on average.
#[derive(Clone, Debug)]
pub(crate) struct Rows(Vec<Row>);

impl Rows {
    /// As many requests of a load as it says itself, or as the procedure does.
    pub(super) fn new(
        mut load: LoadSpec,
        procedure: Procedure,
        limits: Limits,
        config: &ClusterConfig,
    ) -> Result<Self, PlanError> {
        load.duration = None;
        if let Procedure::Burst(requests) = procedure {
            load.requests = Some(u64::from(requests));
            if let Traffic::Synthetic { arrival, .. } = &mut load.traffic {
                *arrival = Process::Constant;
            }
        }
        if let Traffic::Synthetic { rate, .. } = &mut load.traffic {
            // A rate that changes is a question of its own; here it is stretched to any.
            *rate = RatePlan::Constant(1.0);
        }
        let planned: Vec<_> = Schedule::new(&load, limits)?.unlinked().collect();
        let span = planned.last().map_or(0.0, |last| last.due.as_secs_f64());
        let needed = match procedure {
            Procedure::Sustained => FEWEST,
            Procedure::Burst(requests) => requests as usize,
        };
        if planned.len() < needed || span <= 0.0 {
            return Err(PlanError::TooFew { found: planned.len(), needed });
        }
        let traced = matches!(load.traffic, Traffic::Trace { .. });
        // Synthetic requests come at one a second; a trace is brought to that, and a burst is evenly spaced.
        let stretch = if traced { (planned.len() - 1) as f64 / span } else { 1.0 };
        let evenly = matches!(procedure, Procedure::Burst(_));
        let mut sharing = Sharing { traced, block_tokens: config.block_tokens, shared: HashMap::new() };
        let rows = planned.into_iter().enumerate().map(|(index, planned)| {
            let Request { input_tokens, output_tokens, segments, .. } = planned.request;
            let hashes = if config.prefix_cache { sharing.hashes(segments) } else { Arc::default() };
            let at = if evenly { index as f64 } else { planned.due.as_secs_f64() * stretch };
            Row { at, input: input_tokens, output: output_tokens, hashes }
        });
        Ok(Self(rows.collect()))
    }

    /// Requests that are known already, in the order of being due.
    pub(crate) fn given(rows: Vec<Row>) -> Self {
        Self(rows)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The variance, in units of their squared means, of the gaps between the requests from one number to another and of the
    /// lengths of their prompts: what makes queues long by chance. 0 of equal requests at equal gaps.
    pub(super) fn irregularity(&self, from: usize, to: usize) -> f64 {
        let rows = self.0.get(from..to.min(self.0.len())).unwrap_or_default();
        let gaps = rows.windows(2).map(|pair| pair[1].at - pair[0].at);
        relative_variance(gaps) + relative_variance(rows.iter().map(|row| f64::from(row.input)))
    }

    /// When request `index` is due at `rate` requests per second.
    pub(crate) fn due(&self, index: usize, rate: f64) -> Nanos {
        self.0.get(index).map_or(Nanos::ZERO, |row| Nanos((row.at / rate * 1e9) as u64))
    }

    /// Tokens of the prompts from one number to another.
    pub(super) fn prompt_tokens(&self, from: usize, to: usize) -> u64 {
        self.0.iter().take(to).skip(from).map(|row| u64::from(row.input)).sum()
    }

    /// Tokens of prompts and of answers, on average.
    pub(crate) fn mean_lengths(&self) -> (f64, f64) {
        let count = self.0.len().max(1) as f64;
        let sum = |of: fn(&Row) -> u32| self.0.iter().map(|row| f64::from(of(row))).sum::<f64>() / count;
        (sum(|row| row.input), sum(|row| row.output))
    }

    /// All arrivals at `rate` requests per second.
    pub(crate) fn arrivals(
        self: Arc<Self>,
        rate: f64,
    ) -> impl Iterator<Item = (Nanos, Input)> + Clone + Send + 'static {
        (0..self.len()).map(move |index| {
            let row = &self.0[index];
            let arrival = Arrival {
                request: RequestId(index as u64),
                prompt_tokens: row.input,
                output_tokens: row.output,
                prompt_hashes: Arc::clone(&row.hashes),
            };
            (self.due(index, rate), Input::Arrive(arrival))
        })
    }
}

/// The variance of values over the square of their mean; 0 of none.
fn relative_variance(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    let variance = values.map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    if mean > 0.0 { variance / (mean * mean) } else { 0.0 }
}

/// Blocks of prompts that other prompts may have, too.
#[derive(Debug)]
struct Sharing {
    traced: bool,
    block_tokens: u32,
    /// Of what all prompts of a synthetic load begin with, by its length: held once.
    shared: HashMap<u32, Arc<[BlockHash]>>,
}

impl Sharing {
    /// The hashes of a prompt, as far as they can matter to another.
    fn hashes(&mut self, mut segments: Vec<Segment>) -> Arc<[BlockHash]> {
        if self.traced {
            return hashes(&segments, self.block_tokens);
        }
        // What comes last in a synthetic prompt is its own.
        segments.pop();
        let Some(Segment(_, tokens)) = segments.first() else { return Arc::default() };
        let of = || hashes(&segments, self.block_tokens);
        Arc::clone(self.shared.entry(*tokens).or_insert_with(of))
    }
}

/// Chained hashes of the full blocks of a prompt made of `segments`: equal where the segments before a block's end are.
pub(crate) fn hashes(segments: &[Segment], block_tokens: u32) -> Arc<[BlockHash]> {
    let size = u64::from(block_tokens.max(1));
    let (mut hashes, mut hash, mut filled) = (Vec::new(), 0_u64, 0_u64);
    for &Segment(id, tokens) in segments {
        let (mut from, tokens) = (0, u64::from(tokens));
        while from < tokens {
            let taken = (size - filled).min(tokens - from);
            // Which part of which segment this part of the block is.
            hash = counter::value(hash ^ counter::value(id, from), taken);
            (from, filled) = (from + taken, filled + taken);
            if filled == size {
                hashes.push(BlockHash(hash));
                filled = 0;
            }
        }
    }
    hashes.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_equal_as_far_as_prompts_are() {
        let base = hashes(&[Segment(1, 24), Segment(2, 40)], 16);
        let other = hashes(&[Segment(1, 24), Segment(3, 40)], 16);
        let short = hashes(&[Segment(1, 24), Segment(2, 9)], 16);
        assert_eq!((base.len(), short.len()), (4, 2));
        assert_eq!(base[0], other[0]);
        assert!(base.iter().zip(other.iter()).skip(1).all(|(a, b)| a != b));
        assert_eq!(base[..2], short[..]);
    }
}
