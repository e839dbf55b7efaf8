//! From the instants of tokens to what steps took: pure.

use std::collections::BTreeMap;

use engine::perf::{Deployment, StepShape};
use serde::Serialize;

use super::runner::Answer;
use crate::time::Micros;

/// Steps at the beginning of a steady stretch that are left out: the last hand-offs may still be copied beside them.
const SETTLING: usize = 2;
/// Gaps of one sequence at the least.
const LEAST_GAPS: usize = 8;

/// What was measured, as far as the time it takes depends on it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    /// One step.
    Step(StepShape),
    /// All steps of a prompt alone, of at most `chunk` tokens each.
    Prompt { tokens: u32, cached: u32, chunk: u32 },
    /// A hand-off of a prompt that was computed in steps of at most `chunk` tokens.
    HandOff { tokens: u32, chunk: u32 },
    /// The first token of a prompt alone, from where times of stages are not told: its steps, then its hand-off if there is one.
    FirstToken { tokens: u32, cached: u32, chunk: u32, handed_off: bool },
}

/// What kind of time it is, for people and scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// One step.
    Step,
    /// All steps of a prompt.
    Prefill,
    /// A KV hand-off.
    HandOff,
    /// From sending a prompt to its first token.
    FirstToken,
}

impl Measure {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Prefill => "prefill",
            Self::HandOff => "hand-off",
            Self::FirstToken => "first token",
        }
    }
}

impl Shape {
    pub(super) fn measure(self) -> Measure {
        match self {
            Self::Step(_) => Measure::Step,
            Self::Prompt { .. } => Measure::Prefill,
            Self::HandOff { .. } => Measure::HandOff,
            Self::FirstToken { .. } => Measure::FirstToken,
        }
    }

    /// Seconds that a deployment takes for it.
    pub(super) fn seconds(self, deployment: &Deployment) -> f64 {
        match self {
            Self::Step(shape) => deployment.step_seconds(&shape),
            Self::Prompt { tokens, cached, chunk } => {
                let (mut done, mut seconds) = (cached, 0.0);
                while done < tokens {
                    let new = (tokens - done).min(chunk.max(1));
                    let ends = done + new == tokens;
                    let shape = StepShape::default().with_prompt(u64::from(done), u64::from(new), ends);
                    seconds += deployment.step_seconds(&shape);
                    done += new;
                }
                seconds
            }
            Self::HandOff { tokens, chunk } => {
                // Layers leave while the last step computes, where they leave one by one.
                let before = tokens.saturating_sub(1) / chunk.max(1) * chunk.max(1);
                let last = StepShape::default().with_prompt(u64::from(before), u64::from(tokens - before), true);
                let (bytes, layers) = (deployment.handoff_bytes(u64::from(tokens)), deployment.handoff_layers());
                deployment.handoff().by_layer(bytes, layers, deployment.step_seconds(&last))
            }
            Self::FirstToken { tokens, cached, chunk, handed_off } => {
                let prompt = Self::Prompt { tokens, cached, chunk }.seconds(deployment);
                prompt + if handed_off { Self::HandOff { tokens, chunk }.seconds(deployment) } else { 0.0 }
            }
        }
    }
}

/// Who stamps tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamps {
    /// The engine, when they are sampled.
    ByEngine,
    /// The client, when they arrive over a socket.
    OnArrival,
}

/// A time that was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Timed {
    pub(super) shape: Shape,
    pub(super) seconds: f64,
}

/// The middle of some values; the upper one of two.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn seconds(later: Micros, earlier: Micros) -> f64 {
    later.since(earlier).as_secs_f64()
}

/// The number of sequences that shared each answer's unit, where the target tells units, and `batch` elsewhere.
fn sharers(answers: &[Answer], batch: u32) -> Vec<u32> {
    let unit = |answer: &Answer| answer.server.as_ref().and_then(|server| server.decode_unit);
    let mut counts: BTreeMap<u16, u32> = BTreeMap::new();
    for unit in answers.iter().filter_map(unit) {
        *counts.entry(unit).or_default() += 1;
    }
    answers.iter().map(|answer| unit(answer).and_then(|unit| counts.get(&unit).copied()).unwrap_or(batch)).collect()
}

/// Gaps between tokens, with the context of the step that ended each.
fn gaps(answer: &Answer, from: Micros, to: Micros) -> Vec<(f64, f64)> {
    let pairs = answer.tokens.windows(2).enumerate();
    let within = pairs.filter(|(_, pair)| pair[0] >= from && pair[1] <= to);
    // The step that gives token `index + 1` attends to the prompt and the tokens before.
    within.map(|(index, pair)| (seconds(pair[1], pair[0]), f64::from(answer.prompt) + index as f64 + 1.0)).collect()
}

/// How many steps all answers have shared so far.
pub(super) fn shared_steps(answers: &[Answer]) -> usize {
    let from = answers.iter().map(|answer| answer.tokens.first().copied()).max().flatten();
    let (Some(from), true) = (from, answers.iter().all(|answer| !answer.tokens.is_empty())) else { return 0 };
    answers.iter().map(|answer| answer.tokens.iter().filter(|at| **at >= from).count()).min().unwrap_or(0)
}

/// What a step took, out of the gaps of each of the sequences on a unit that did the same.
///
/// Where the engine stamps its tokens, the middle of the gaps is a step, whatever disturbed a few of them. Over a socket a busy machine
/// brings them in bunches, and no single gap is a step any more: most are nothing, and the others several. Then it is the time over the
/// steps in it. It counts from the end of one bunch to the end of another, since a bunch comes when its last token is there.
fn step_seconds(sequences: &[Vec<(f64, f64)>], stamps: Stamps) -> Option<f64> {
    if stamps == Stamps::ByEngine {
        return median(sequences.iter().flatten().map(|gap| gap.0).collect());
    }
    let (mut seconds, mut steps) = (0.0, 0);
    for gaps in sequences {
        let behind_a_bunch = gaps.iter().skip_while(|gap| gap.0 <= 0.0);
        let (span, count) = behind_a_bunch.fold((0.0, 0), |(span, count), gap| (span + gap.0, count + 1));
        if count >= LEAST_GAPS {
            (seconds, steps) = (seconds + span, steps + count);
        }
    }
    (steps > 0).then(|| seconds / steps as f64)
}

/// The step while all sequences decoded, one for each number of sequences on a unit; none where they never did together for long.
pub(super) fn steady(answers: &[Answer], batch: u32, stamps: Stamps) -> Vec<Timed> {
    let first = answers.iter().filter_map(|answer| answer.tokens.first().copied()).max().unwrap_or_default();
    let last = answers.iter().map(|answer| answer.tokens.last().copied().unwrap_or_default()).min().unwrap_or_default();
    let mut found: BTreeMap<u32, Vec<Vec<(f64, f64)>>> = BTreeMap::new();
    for (answer, sharers) in answers.iter().zip(sharers(answers, batch)) {
        let mut gaps = gaps(answer, first, last);
        if gaps.len() < SETTLING + LEAST_GAPS {
            return Vec::new();
        }
        found.entry(sharers).or_default().push(gaps.split_off(SETTLING));
    }
    let timed = |(sharers, sequences): (u32, Vec<Vec<(f64, f64)>>)| {
        let contexts = sequences.iter().flatten().map(|gap| gap.1);
        let context = contexts.clone().sum::<f64>() / contexts.count() as f64;
        let positions = (context * f64::from(sharers)).round() as u64;
        let seconds = step_seconds(&sequences, stamps)?;
        Some(Timed { shape: Shape::Step(StepShape::decode(sharers, positions)), seconds })
    };
    found.into_iter().filter_map(timed).filter(|timed| timed.seconds > 0.0).collect()
}

/// The step that ended with the first token of `prompt`, put between `answers`: the gap that ended nearest to it.
pub(super) fn mixed(answers: &[Answer], prompt: &Answer, batch: u32) -> Option<Timed> {
    let at = *prompt.tokens.first()?;
    let sharers = sharers(answers, batch);
    let distance = |other: Micros| other.since(at).0.max(at.since(other).0);
    let ends = answers.iter().zip(sharers).flat_map(|(answer, sharers)| {
        answer.tokens.windows(2).enumerate().map(move |(index, pair)| {
            let context = f64::from(answer.prompt) + index as f64 + 1.0;
            (distance(pair[1]), seconds(pair[1], pair[0]), context, sharers)
        })
    });
    let (_, seconds, context, sharers) =
        ends.min_by(|one, other| (one.0).cmp(&other.0).then(other.1.total_cmp(&one.1)))?;
    let positions = (context * f64::from(sharers)).round() as u64;
    let shape = StepShape::decode(sharers, positions).with_prompt(0, u64::from(prompt.prompt), true);
    (seconds > 0.0).then_some(Timed { shape: Shape::Step(shape), seconds })
}

/// What a lone prompt took: its steps and its hand-off where the target tells of both, else its first token.
pub(super) fn alone(answer: &Answer, cached: u32, chunk: u32, handed_off: bool) -> Vec<Timed> {
    let tokens = answer.prompt;
    let mut found = Vec::new();
    let told = answer.server.as_ref().and_then(|server| Some((server, server.prefill_start?, server.prefill_end?)));
    if let Some((server, start, end)) = told {
        let shape = Shape::Prompt { tokens, cached: server.prefix_hit, chunk };
        found.push(Timed { shape, seconds: seconds(end, start) });
        // Of a prompt seen before, the other side may have a part already.
        if let (Some(start), Some(end), 0) = (server.handoff_start, server.handoff_end, server.prefix_hit) {
            found.push(Timed { shape: Shape::HandOff { tokens, chunk }, seconds: seconds(end, start) });
        }
    } else if let Some(first) = answer.tokens.first().filter(|_| cached == 0 || !handed_off) {
        // A server may have no cache, or not say what it found there: then nobody knows what it computed.
        let hit = answer.server.as_ref().map_or(0, |server| server.prefix_hit);
        if cached > 0 && hit == 0 {
            return found;
        }
        let shape = Shape::FirstToken { tokens, cached: hit, chunk, handed_off };
        found.push(Timed { shape, seconds: seconds(*first, answer.sent) });
    }
    found.retain(|timed| timed.seconds > 0.0);
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::ServerSide;

    fn at(micros: impl IntoIterator<Item = u64>) -> Vec<Micros> {
        micros.into_iter().map(Micros).collect()
    }

    #[test]
    fn only_steps_that_all_sequences_shared_count() {
        // Steps of 5 ms alone, of 10 ms together; the second leaves early.
        let one = at((0..20).map(|k| k * 5_000).chain((1..=20).map(|k| 95_000 + k * 10_000)));
        let other = at((0..=20).map(|k| 95_000 + k * 10_000));
        let answers = [Answer::of_tokens(100, Micros(0), one, None), Answer::of_tokens(200, Micros(0), other, None)];
        let timed = steady(&answers, 2, Stamps::ByEngine);
        let [Timed { shape: Shape::Step(shape), seconds }] = timed[..] else { panic!("{timed:?}") };
        assert!((seconds - 0.010).abs() < 1e-9, "{seconds}");
        // 130.5 and 211.5 in the middle of what is left.
        assert_eq!((shape.decodes, shape.decode_context), (2, 342));
        assert_eq!(shared_steps(&answers), 21);
    }

    #[test]
    fn a_step_is_found_in_arrivals_that_a_busy_machine_has_bunched() {
        // Steps of 1 ms that arrive by sixes, then by bunches of other sizes, each with its last token.
        let sizes = [6_u64, 6, 6, 6, 1, 9, 3, 6, 7, 5, 2, 6, 4, 8];
        let ends = sizes.iter().scan(0, |end, size| {
            *end += size;
            Some((*end, *size))
        });
        let bunched = at(ends.flat_map(|(end, size)| std::iter::repeat_n(end * 1_000, size as usize)));
        let answers = [Answer::of_tokens(100, Micros(0), bunched, None)];
        let timed = steady(&answers, 1, Stamps::OnArrival);
        assert!(timed.len() == 1 && (timed[0].seconds - 0.001).abs() < 1e-9, "{timed:?}");
        assert_eq!(steady(&answers, 1, Stamps::ByEngine), Vec::new(), "most gaps are nothing, and that is no step");
    }

    #[test]
    fn what_two_sequences_share_is_the_time_of_both_over_their_steps() {
        // Bunches of three steps of 2 ms, and of two of the other sequence, which the network brings apart.
        let by = |size: u64| at((1..=60).map(|k: u64| k.div_ceil(size) * size * 2_000));
        let answers = [3, 2].map(|size| Answer::of_tokens(64, Micros(0), by(size), None));
        let timed = steady(&answers, 2, Stamps::OnArrival);
        let [Timed { shape: Shape::Step(shape), seconds }] = timed[..] else { panic!("{timed:?}") };
        assert!((seconds - 0.002).abs() < 1e-9 && shape.decodes == 2, "{seconds}");
    }

    #[test]
    fn one_disturbed_step_of_an_engine_that_stamps_its_tokens_does_not_count() {
        let disturbed = at((0..30).map(|k| k * 1_000 + if k > 15 { 50_000 } else { 0 }));
        let timed = steady(&[Answer::of_tokens(100, Micros(0), disturbed, None)], 1, Stamps::ByEngine);
        assert!((timed[0].seconds - 0.001).abs() < 1e-9, "{timed:?}");
    }

    #[test]
    fn units_that_are_told_are_taken_apart() {
        let of = |unit, gap: u64| {
            let server = ServerSide { decode_unit: Some(unit), ..ServerSide::default() };
            Answer::of_tokens(64, Micros(0), at((0..30).map(|k| k * gap)), Some(server))
        };
        let answers = [of(0, 10_000), of(0, 10_000), of(1, 10_000)];
        let decodes: Vec<u32> = steady(&answers, 9, Stamps::ByEngine)
            .iter()
            .map(|timed| if let Shape::Step(shape) = timed.shape { shape.decodes } else { 0 })
            .collect();
        assert_eq!(decodes, [1, 2]);
    }

    #[test]
    fn sequences_that_never_decoded_together_tell_nothing() {
        let answers = [
            Answer::of_tokens(64, Micros(0), at((0..30).map(|k| k * 1_000)), None),
            Answer::of_tokens(64, Micros(0), at((0..30).map(|k| 100_000 + k * 1_000)), None),
        ];
        assert_eq!(steady(&answers, 2, Stamps::ByEngine), Vec::new());
        assert_eq!(steady(&[], 1, Stamps::OnArrival), Vec::new());
    }

    #[test]
    fn a_mixed_step_is_the_gap_that_ends_with_the_first_token_of_its_prompt() {
        let decoding = at([0, 10_000, 20_000, 60_000, 70_000]);
        let answers = [Answer::of_tokens(100, Micros(0), decoding, None)];
        let prompt = Answer::of_tokens(512, Micros(15_000), at([60_000]), None);
        let timed = mixed(&answers, &prompt, 1).expect("a step");
        assert!((timed.seconds - 0.040).abs() < 1e-9);
        assert_eq!(timed.shape, Shape::Step(StepShape::decode(1, 103).with_prompt(0, 512, true)));
    }

    #[test]
    fn stages_are_told_apart_where_the_target_tells_them() {
        let server = ServerSide {
            prefill_start: Some(Micros(1_000)),
            prefill_end: Some(Micros(21_000)),
            handoff_start: Some(Micros(21_000)),
            handoff_end: Some(Micros(24_000)),
            ..ServerSide::default()
        };
        let told = Answer::of_tokens(512, Micros(0), at([25_000]), Some(server));
        let measures: Vec<(Measure, f64)> =
            alone(&told, 0, 256, true).iter().map(|timed| (timed.shape.measure(), timed.seconds)).collect();
        assert_eq!(measures, [(Measure::Prefill, 0.020), (Measure::HandOff, 0.003)]);
        let untold = Answer::of_tokens(512, Micros(500), at([25_000]), None);
        let timed = alone(&untold, 0, 256, true);
        assert_eq!(timed[0].shape, Shape::FirstToken { tokens: 512, cached: 0, chunk: 256, handed_off: true });
        assert!((timed[0].seconds - 0.0245).abs() < 1e-9);
    }
}
