//! Stretches of time in which a unit was busy without a break, and what its steps contained.

use super::activity::activities;
use super::busy::busy_with_prompts;
use super::law::UnitTerms;
use super::seen::{Seen, Sights};
use crate::time::Micros;

/// Costs of steps: of a step with prompts alone, of a prompt's token and pair, of a step with answers, its sequences and their positions.
pub(super) const STEPS: usize = 6;
/// The names of these costs.
pub(super) const STEP_NAMES: [&str; STEPS] = [
    "a step of prompts",
    "a prompt's token",
    "a prompt's length squared",
    "a step of answers",
    "a sequence in a step",
    "a position of context",
];
/// Costs of a hand-off: itself, and each of its positions.
pub(super) const HAND_OFF: usize = 2;
/// Steps of an answer that are looked at together: so few that batches differ, so many that what a network adds cancels out.
pub(super) const PIECE: usize = 32;
/// Fewest steps of a piece.
const SHORTEST: usize = 4;
/// How far back is looked, from the end of what is known; further only until there is enough.
const RECENT: Micros = Micros(60_000_000);
/// Pieces that are enough, of prompts, answers and hand-offs each.
const ENOUGH: usize = 200;

/// How long something took, and how often it contained what has a cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch<const N: usize> {
    pub(super) parts: [f64; N],
    pub(super) seconds: f64,
    /// How much it counts: less where others tell of the same steps.
    pub(super) weight: f64,
    pub(super) end: Micros,
}

/// All that can be fitted to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stretches {
    pub(super) prompts: Vec<Stretch<STEPS>>,
    pub(super) answers: Vec<Stretch<STEPS>>,
    pub(super) hand_offs: Vec<Stretch<HAND_OFF>>,
    /// Requests whose prompts and answers these are.
    pub(super) prompted: usize,
    pub(super) answered: usize,
    /// Whether requests were served by one unit alone, and by two.
    pub(super) alone: bool,
    pub(super) handed_off: bool,
    /// From the earliest to the latest of them.
    pub(super) from: Micros,
    pub(super) to: Micros,
}

impl Stretches {
    /// Of requests that are over, on units with such limits.
    pub(super) fn of(sights: &Sights, terms: &UnitTerms) -> Self {
        let units = activities(sights);
        // Of what is under way and has had no token yet, the prompt may be in a step that looks complete: for as long as it takes
        // from a prompt's first step to the first token.
        let alone = |seen: &&Seen| on_two(seen) == Some(false);
        let until_token = |seen: &Seen| Some(seen.first?.since(seen.prompt?.start));
        let slack = sights.requests().filter(alone).filter_map(until_token).max();
        let (from, to) = (sights.since, sights.until);
        let to_beside_prompts = to.since(slack.unwrap_or_default());
        let mut all = Self { from, to, ..Self::default() };
        let known = |seen: &&Seen| !seen.preempted && seen.ended >= from;
        for seen in sights.requests().filter(known) {
            all.alone |= on_two(seen) == Some(false);
            all.handed_off |= on_two(seen) == Some(true);
            if let Some((start, end)) = seen.hand_off.filter(|(start, end)| *start >= from && *end <= to) {
                let parts = [1.0, f64::from(seen.input_tokens)];
                all.hand_offs.push(Stretch { parts, seconds: end.since(start).as_secs_f64(), weight: 1.0, end });
            }
            if let Some(activity) = seen.decode_unit.and_then(|unit| units.get(&unit)) {
                let pieces = all.answers.len();
                let to = if activity.has_prompts() { to_beside_prompts } else { to };
                for (start, end, steps) in pieces_of(seen).filter(|(start, end, _)| *start >= from && *end <= to) {
                    let inside = activity.between(start, end);
                    let parts = [0.0, inside.prompt_tokens, inside.pairs, steps, inside.tokens, inside.positions];
                    let weight = steps / inside.tokens.max(steps) * steps / PIECE as f64;
                    all.answers.push(Stretch { parts, seconds: end.since(start).as_secs_f64(), weight, end });
                }
                all.answered += usize::from(all.answers.len() > pieces);
            }
        }
        for (unit, activity) in &units {
            let known = prompts_known_until(sights, *unit);
            for busy in busy_with_prompts(sights, *unit).into_iter().filter(|busy| busy.is_known) {
                let chunk = if busy.on_two { terms.config.prefill } else { terms.config.aggregated };
                for cut in busy.cuts(chunk.tokens) {
                    let alone = activity.between(cut.start, cut.end).tokens == 0.0;
                    if alone && cut.start >= from && cut.end <= known {
                        let parts = [cut.steps, cut.tokens, cut.pairs, 0.0, 0.0, 0.0];
                        let seconds = cut.end.since(cut.start).as_secs_f64();
                        all.prompts.push(Stretch { parts, seconds, weight: 1.0, end: cut.end });
                        all.prompted += cut.requests;
                    }
                }
            }
        }
        all.from = [recent(&mut all.prompts, to), recent(&mut all.answers, to), recent(&mut all.hand_offs, to)]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(to);
        all
    }
}

/// Whether one unit computed its prompt and another its answer.
pub(super) fn on_two(seen: &Seen) -> Option<bool> {
    Some(seen.prompt?.unit != seen.decode_unit?)
}

/// Leaves the recent ones, and of older ones as many as are needed for enough. The end of the earliest.
pub(super) fn recent<const N: usize>(all: &mut Vec<Stretch<N>>, to: Micros) -> Option<Micros> {
    all.retain(|stretch| stretch.seconds > 0.0);
    all.sort_by_key(|stretch| stretch.end);
    let recent = all.len() - all.partition_point(|stretch| stretch.end < to.since(RECENT));
    let kept = recent.max(ENOUGH).min(all.len());
    all.drain(..all.len() - kept);
    all.first().map(|first| first.end)
}

/// From which token to which: their instants, and the steps in between. The first token is none of a step of answers, and the
/// second one may have waited for one.
pub(super) fn pieces_of(seen: &Seen) -> impl Iterator<Item = (Micros, Micros, f64)> {
    let first = seen.first.unwrap_or_default();
    let at = move |since: u32| first + Micros(since.into());
    let rest = seen.arrivals.split_first().map_or(&[][..], |(_, rest)| rest);
    let starts = seen.arrivals.iter().step_by(PIECE).map(move |(since, _)| at(*since));
    rest.chunks(PIECE).zip(starts).filter_map(move |(piece, start)| {
        let steps = piece.iter().map(|(_, tokens)| *tokens as usize).sum::<usize>();
        let (since, _) = piece.last()?;
        (steps >= SHORTEST).then(|| (start, at(*since), steps as f64))
    })
}

/// Prompts of a unit are computed and handed off in the order in which they came: whatever began before the last one of which
/// all is known is over, however long it waited for room where it is decoded.
fn prompts_known_until(sights: &Sights, unit: u16) -> Micros {
    let known = sights.requests().filter(|seen| seen.first.is_some_and(|first| first <= sights.until));
    let starts = known.filter_map(|seen| seen.prompt.filter(|prompt| prompt.unit == unit).map(|prompt| prompt.start));
    starts.max().unwrap_or_default()
}
