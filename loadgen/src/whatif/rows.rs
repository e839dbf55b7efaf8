//! Observed traffic as the load of simulations: the same requests again and again, for as long as it takes.

use std::collections::HashMap;
use std::sync::Arc;

use engine::cluster::{BlockHash, ClusterConfig};
use engine::model::counter;

use super::Observed;
use crate::plan::rows::{Row, Rows, hashes};
use crate::schedule::Segment;

/// Tells what is drawn here from all else that a seed decides.
const STREAM: u64 = 0x7768_6174_2069_6673;
/// What at least so many requests of a window begin with, or one in so many of them, is common to all traffic and not the
/// history of one conversation.
const COMMON: (usize, usize) = (4, 20);

/// By how much prompts and answers are longer than observed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch {
    pub(super) input: f64,
    pub(super) output: f64,
}

impl Stretch {
    pub(super) const NONE: Self = Self { input: 1.0, output: 1.0 };
}

/// Observed, prepared to be repeated.
#[derive(Debug)]
pub(super) struct Pattern {
    /// Seconds from the arrival before, the first from the last around the end of the window.
    gaps: Vec<f64>,
    /// Tokens of prompt and answer, and what the prompt is made of.
    requests: Vec<(u32, u32, Arc<[Segment]>)>,
    /// How often each segment occurs, where any does more than once.
    shared: HashMap<u64, usize>,
    rate_rps: f64,
}

impl Pattern {
    /// Of the requests of `traffic`; lengths are cut to what the cluster could serve at all.
    pub(super) fn new(traffic: &Observed) -> Self {
        let mut pattern = Self { gaps: Vec::new(), requests: Vec::new(), shared: HashMap::new(), rate_rps: 0.0 };
        let mut before = traffic.from;
        for offered in traffic.requests() {
            pattern.gaps.push(offered.due.since(before).as_secs_f64());
            before = offered.due;
            let answer = (f64::from(offered.output_tokens) * traffic.answered).round().max(1.0) as u32;
            pattern.requests.push((offered.input_tokens, answer, Arc::clone(&offered.segments)));
            for Segment(id, _) in offered.segments.iter() {
                *pattern.shared.entry(*id).or_default() += 1;
            }
        }
        if let Some(first) = pattern.gaps.first_mut() {
            *first += traffic.to.since(before).as_secs_f64();
        }
        if pattern.shared.values().all(|count| *count < 2) {
            pattern.shared.clear();
        }
        pattern.rate_rps = traffic.rate_rps();
        pattern
    }

    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Tokens of an answer on average.
    pub(super) fn mean_answer(&self) -> f64 {
        self.requests.iter().map(|(_, output, _)| f64::from(*output)).sum::<f64>() / self.len().max(1) as f64
    }

    pub(super) fn rate_rps(&self) -> f64 {
        self.rate_rps
    }

    /// The first `count` requests of the traffic repeated for ever, at one a second on average. Of a `draw` other than the
    /// first they begin elsewhere, with gaps drawn from those that were observed: the same traffic by other chances.
    pub(super) fn rows(&self, config: &ClusterConfig, count: usize, draw: u64, stretch: Stretch) -> Arc<Rows> {
        let length = self.len().max(1);
        let start = counter::value(STREAM, draw) as usize % length * usize::from(draw > 0);
        let key = counter::stream(STREAM, draw);
        let mut at = 0.0;
        let count = if self.requests.is_empty() { 0 } else { count };
        let rows = (0..count).map(|number| {
            let place = (start + number) % length;
            let gap = if draw == 0 { place } else { counter::value(key, number as u64) as usize % length };
            at += self.gaps[gap] * self.rate_rps;
            let (input, output, segments) = &self.requests[place];
            let fits = config.max_context.min(config.blocks_per_unit.saturating_mul(config.block_tokens));
            let output = stretched(*output, stretch.output).min(fits.saturating_sub(1)).max(1);
            let input = stretched(*input, stretch.input).min(fits.saturating_sub(output)).max(1);
            let cycle = ((start + number) / length) as u64;
            Row { at, input, output, hashes: self.hashes(config, segments, cycle, input, stretch.input) }
        });
        Arc::new(Rows::given(rows.collect()))
    }

    /// Blocks of a prompt. What is common to all traffic stays what it is when the traffic is repeated; all else is new.
    fn hashes(
        &self,
        config: &ClusterConfig,
        segments: &[Segment],
        cycle: u64,
        input: u32,
        stretch: f64,
    ) -> Arc<[BlockHash]> {
        if self.shared.is_empty() || !config.prefix_cache {
            return Arc::default();
        }
        let common = COMMON.0.max(self.len() / COMMON.1);
        let renamed = segments.iter().map(|&Segment(id, tokens)| {
            let is_common = self.shared.get(&id).is_some_and(|count| *count >= common);
            let id = if is_common || cycle == 0 { id } else { counter::value(id, cycle) };
            Segment(id, stretched(tokens, stretch))
        });
        let all = hashes(&renamed.collect::<Vec<_>>(), config.block_tokens);
        let whole = (input / config.block_tokens.max(1)) as usize;
        if all.len() <= whole { all } else { all.iter().take(whole).copied().collect() }
    }
}

fn stretched(tokens: u32, by: f64) -> u32 {
    (f64::from(tokens) * by).round() as u32
}
