//! Stretches of requests of which nobody tells which unit served them, and when: all there is are the instants of their tokens,
//! and the split.
//!
//! Requests are taken to be spread evenly. Then the sequences that shared a step with an answer are its part of all that came
//! meanwhile, and a prompt that met fewer prompts under way than there are units for them had a unit to itself: its first token
//! took what its steps take, its hand-off and the way there and back. Prompts that waited for others tell nothing here; how
//! long they wait is simulated.

use engine::units::Split;

use super::Eras;
use super::activity::{Activity, activities_of, work};
use super::law::UnitTerms;
use super::seen::{Prompt, Seen, Sights};
use super::stretches::{PIECE, Stretch, Stretches, pieces_of, recent};
use crate::time::Micros;

/// All of the units as one.
const ALL: u16 = 0;

impl Stretches {
    /// Of requests that are over, while splits served.
    pub(super) fn untold(sights: &Sights, eras: &Eras, terms: &UnitTerms) -> Self {
        let all_as_one = |seen: &Seen| (Some(ALL), awaited(seen));
        let activity = activities_of(sights, all_as_one).remove(&ALL).unwrap_or_default();
        let (from, to) = (sights.since, sights.until);
        let mut all = Self { from, to, ..Self::default() };
        let known = |seen: &&Seen| !seen.preempted && seen.ended >= from;
        for seen in sights.requests().filter(known) {
            let pieces = all.answers.len();
            for (start, end, steps) in pieces_of(seen).filter(|(start, end, _)| *start >= from && *end <= to) {
                let Some(split) = eras.split(start, end) else { continue };
                let inside = Share::of(&activity, (start, end), split, steps);
                let parts = [0.0, inside.prompt_tokens, inside.pairs, steps, inside.tokens, inside.positions];
                let weight = steps / inside.tokens.max(steps) * steps / PIECE as f64;
                all.answers.push(Stretch { parts, seconds: end.since(start).as_secs_f64(), weight, end });
            }
            all.answered += usize::from(all.answers.len() > pieces);
        }
        all.take_prompts(sights, eras, terms, &activity);
        all.from =
            [recent(&mut all.prompts, to), recent(&mut all.answers, to)].into_iter().flatten().min().unwrap_or(to);
        all
    }

    fn take_prompts(&mut self, sights: &Sights, eras: &Eras, terms: &UnitTerms, activity: &Activity) {
        let mut prompts: Vec<(Prompt, &Seen)> =
            sights.requests().filter_map(|seen| Some((awaited(seen)?, seen))).collect();
        prompts.sort_by_key(|(prompt, _)| (prompt.start, prompt.end));
        // What has not had its first token by then may have been under way before.
        let slack = prompts.iter().map(|(prompt, _)| prompt.end.since(prompt.start)).max().unwrap_or_default();
        let to = self.to.since(slack);
        // Ends of those that began before.
        let mut under_way: Vec<Micros> = Vec::new();
        for (prompt, seen) in prompts {
            under_way.retain(|end| *end > prompt.start);
            let others = under_way.len();
            under_way.push(prompt.end);
            let Some(split) = eras.split(prompt.start, prompt.end) else { continue };
            let is_alone = others < usize::from(split.prefill + split.aggregated);
            if !is_alone || prompt.start < self.from || prompt.end > to || seen.preempted {
                continue;
            }
            let [tokens, pairs] = work(seen);
            let aggregated = split.prefill == 0;
            let chunk = if aggregated { terms.config.aggregated } else { terms.config.prefill };
            let steps = (tokens / f64::from(chunk.tokens.max(1))).ceil().max(1.0);
            let parts = if aggregated {
                let inside = Share::of(activity, (prompt.start, prompt.end), split, 0.0);
                [0.0, tokens, pairs, steps, inside.tokens, inside.positions]
            } else {
                [steps, tokens, pairs, 0.0, 0.0, 0.0]
            };
            self.alone |= aggregated;
            self.handed_off |= !aggregated;
            let seconds = prompt.end.since(prompt.start).as_secs_f64();
            self.prompts.push(Stretch { parts, seconds, weight: 1.0, end: prompt.end });
            self.prompted += 1;
        }
    }
}

/// From its sending to its first token, as if all that were one step after another of one unit.
fn awaited(seen: &Seen) -> Option<Prompt> {
    let (start, end) = (seen.sent?, seen.first?);
    Some(Prompt { unit: ALL, start, end }).filter(|_| start < end)
}

/// What one unit has of all that was done.
struct Share {
    prompt_tokens: f64,
    pairs: f64,
    tokens: f64,
    positions: f64,
}

impl Share {
    /// Of the unit that took `steps` for a sequence of its own meanwhile.
    fn of(activity: &Activity, (start, end): (Micros, Micros), split: Split, steps: f64) -> Self {
        let inside = activity.between(start, end);
        let decoders = f64::from((split.decode + split.aggregated).max(1));
        let computing = f64::from(split.aggregated.max(1));
        // Its own sequence is there, however few there are.
        let tokens = (inside.tokens / decoders).max(steps);
        let positions = if inside.tokens > 0.0 { inside.positions / inside.tokens * tokens } else { 0.0 };
        let mixed = if split.aggregated > 0 { 1.0 / computing } else { 0.0 };
        Self { prompt_tokens: inside.prompt_tokens * mixed, pairs: inside.pairs * mixed, tokens, positions }
    }
}
