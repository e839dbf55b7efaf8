//! What a unit did in any stretch of time, summed up beforehand.

use std::collections::BTreeMap;

use super::seen::{Prompt, Seen, Sights};
use crate::time::Micros;

/// What the steps of a stretch contained.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Contents {
    /// Tokens of answers, the first of each left out.
    pub(super) tokens: f64,
    /// Positions that they attended to.
    pub(super) positions: f64,
    /// Tokens of prompts, and the pairs of positions that were computed for them.
    pub(super) prompt_tokens: f64,
    pub(super) pairs: f64,
}

/// One unit.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// When tokens of answers came, with their number and positions up to then.
    answers: Vec<(Micros, f64, f64)>,
    /// When the speed changes at which prompts are computed, with their tokens and pairs up to then, and those per microsecond
    /// from then on.
    prompts: Vec<(Micros, [f64; 2], [f64; 2])>,
}

/// Positions that were computed for a prompt, and pairs of them with what they attend to.
pub(super) fn work(seen: &Seen) -> [f64; 2] {
    let cached = f64::from(seen.cached.min(seen.input_tokens));
    let tokens = f64::from(seen.input_tokens) - cached;
    [tokens, tokens * (cached + tokens / 2.0)]
}

/// All units.
pub(super) fn activities(sights: &Sights) -> BTreeMap<u16, Activity> {
    activities_of(sights, |seen| (seen.decode_unit, seen.prompt))
}

/// The same where `place` says which unit gave the tokens of a request, and where and when its prompt was computed.
pub(super) fn activities_of(
    sights: &Sights,
    place: impl Fn(&Seen) -> (Option<u16>, Option<Prompt>),
) -> BTreeMap<u16, Activity> {
    let mut units: BTreeMap<u16, Activity> = BTreeMap::new();
    let mut speeds: BTreeMap<u16, Vec<(Micros, [f64; 2])>> = BTreeMap::new();
    for seen in sights.requests() {
        let (decode_unit, prompt) = place(seen);
        if let (Some(unit), Some(first)) = (decode_unit, seen.first) {
            let answers = &mut units.entry(unit).or_default().answers;
            let mut context = f64::from(seen.input_tokens);
            for &(since, tokens) in &seen.arrivals {
                let tokens = f64::from(tokens);
                // Each attends to one more than the one before.
                let positions = tokens * (context + tokens.midpoint(1.0));
                answers.push((first + Micros(since.into()), tokens, positions));
                context += tokens;
            }
        }
        if let Some(prompt) = prompt {
            let length = prompt.end.since(prompt.start).0.max(1) as f64;
            let speed = work(seen).map(|work| work / length);
            let changes = speeds.entry(prompt.unit).or_default();
            changes.push((prompt.start, speed));
            changes.push((prompt.end, speed.map(|speed| -speed)));
        }
    }
    for activity in units.values_mut() {
        activity.answers.sort_by_key(|(at, ..)| *at);
        let mut sum = (0.0, 0.0);
        for (_, tokens, positions) in &mut activity.answers {
            sum = (sum.0 + *tokens, sum.1 + *positions);
            (*tokens, *positions) = sum;
        }
    }
    for (unit, mut changes) in speeds {
        changes.sort_by_key(|(at, _)| *at);
        let (mut last, mut done, mut speed) = (Micros::ZERO, [0.0; 2], [0.0; 2]);
        let prompts = changes.into_iter().map(|(at, change)| {
            let passed = at.since(last).0 as f64;
            last = at;
            for part in 0..2 {
                done[part] += speed[part] * passed;
                speed[part] += change[part];
            }
            (at, done, speed)
        });
        units.entry(unit).or_default().prompts = prompts.collect();
    }
    units
}

impl Activity {
    /// After `from` and until `to`. A prompt is taken to be computed evenly from its start to its end.
    pub(super) fn between(&self, from: Micros, to: Micros) -> Contents {
        let (start, end) = (self.until(from), self.until(to));
        Contents {
            tokens: end.tokens - start.tokens,
            positions: end.positions - start.positions,
            // What is left of a difference of long sums is nothing.
            prompt_tokens: Some(end.prompt_tokens - start.prompt_tokens).filter(|some| *some > 1e-3).unwrap_or(0.0),
            pairs: (end.pairs - start.pairs).max(0.0),
        }
    }

    /// Whether prompts were computed here.
    pub(super) fn has_prompts(&self) -> bool {
        !self.prompts.is_empty()
    }

    fn until(&self, at: Micros) -> Contents {
        let answers = self.answers.partition_point(|(then, ..)| *then <= at).checked_sub(1);
        let (tokens, positions) = answers
            .and_then(|last| self.answers.get(last))
            .map_or((0.0, 0.0), |(_, tokens, positions)| (*tokens, *positions));
        let prompts = self.prompts.partition_point(|(then, ..)| *then <= at).checked_sub(1);
        let [prompt_tokens, pairs] =
            prompts.and_then(|last| self.prompts.get(last)).map_or([0.0; 2], |(then, done, speed)| {
                let passed = at.since(*then).0 as f64;
                [done[0] + speed[0] * passed, done[1] + speed[1] * passed]
            });
        Contents { tokens, positions, prompt_tokens, pairs }
    }
}
