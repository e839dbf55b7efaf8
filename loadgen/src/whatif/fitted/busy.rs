//! Stretches in which a unit computes prompts one after another, cut where it is known what was computed by then.
//!
//! Prompts share a step when one starts before the other ends: the next one fills up the last step of the one before. So all
//! steps of such a stretch are full but the last, and how many there were until a prompt's end follows from the tokens that came
//! until then.

use super::activity::work;
use super::seen::{Prompt, Seen, Sights};
use super::stretches::on_two;
use crate::time::Micros;

/// Steps from one cut to the next at the least: a unit that never rests is one stretch otherwise, however long it lasts.
const APART: f64 = 4.0;

/// A prompt of a stretch.
#[derive(Clone, Copy, Debug)]
struct Part {
    end: Micros,
    /// Positions computed, behind those that were cached.
    tokens: f64,
    cached: f64,
}

impl Part {
    /// Pairs of the first `tokens` positions and those that they attend to.
    fn pairs(&self, tokens: f64) -> f64 {
        tokens * (self.cached + tokens / 2.0)
    }
}

/// A stretch.
#[derive(Debug)]
pub(super) struct Busy {
    start: Micros,
    end: Micros,
    parts: Vec<Part>,
    /// Whether all is known of what was computed.
    pub(super) is_known: bool,
    /// Whether these prompts are handed off.
    pub(super) on_two: bool,
}

/// What a unit computed between two ends of prompts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    pub(super) start: Micros,
    pub(super) end: Micros,
    pub(super) steps: f64,
    pub(super) tokens: f64,
    pub(super) pairs: f64,
    /// Prompts that ended in it.
    pub(super) requests: usize,
}

/// All stretches of a unit.
pub(super) fn busy_with_prompts(sights: &Sights, unit: u16) -> Vec<Busy> {
    let here = |seen: &&Seen| seen.prompt.is_some_and(|prompt| prompt.unit == unit);
    let mut prompts: Vec<(Prompt, &Seen)> =
        sights.requests().filter(here).filter_map(|seen| Some((seen.prompt?, seen))).collect();
    prompts.sort_by_key(|(prompt, _)| (prompt.start, prompt.end));
    let mut all: Vec<Busy> = Vec::new();
    for (prompt, seen) in prompts {
        let [tokens, _] = work(seen);
        let part = Part { end: prompt.end, tokens, cached: f64::from(seen.input_tokens) - tokens };
        let on_two = on_two(seen) == Some(true);
        match all.last_mut().filter(|busy| prompt.start < busy.end) {
            Some(busy) => {
                busy.end = busy.end.max(prompt.end);
                busy.parts.push(part);
                busy.is_known &= !seen.preempted && busy.on_two == on_two;
            }
            None => all.push(Busy {
                start: prompt.start,
                end: prompt.end,
                parts: vec![part],
                is_known: !seen.preempted,
                on_two,
            }),
        }
    }
    all
}

impl Busy {
    /// The same in pieces, where steps have at most `chunk` tokens.
    pub(super) fn cuts(&self, chunk: u32) -> Vec<Cut> {
        let chunk = f64::from(chunk.max(1));
        let total: f64 = self.parts.iter().map(|part| part.tokens).sum();
        let mut cuts = Vec::new();
        // Until the last cut: when, how many steps, tokens, pairs and prompts.
        let mut last = (self.start, 0.0, 0.0, 0.0, 0);
        let (mut came, mut pairs_came) = (0.0, 0.0);
        for (index, part) in self.parts.iter().enumerate() {
            came += part.tokens;
            pairs_came += part.pairs(part.tokens);
            let steps = (came / chunk).ceil().max(1.0);
            let is_last = index + 1 == self.parts.len();
            if part.end <= last.0 || (steps - last.1 < APART && !is_last) {
                continue;
            }
            // The step in which it ended is full of those behind it.
            let tokens = (steps * chunk).min(total);
            let (mut left, mut pairs) = (tokens - came, pairs_came);
            for next in self.parts.iter().skip(index + 1) {
                let here = left.min(next.tokens).max(0.0);
                pairs += next.pairs(here);
                left -= here;
                if left <= 0.0 {
                    break;
                }
            }
            let now = (part.end, steps, tokens, pairs, index + 1);
            if now.1 > last.1 {
                cuts.push(Cut {
                    start: last.0,
                    end: now.0,
                    steps: now.1 - last.1,
                    tokens: now.2 - last.2,
                    pairs: now.3 - last.3,
                    requests: now.4 - last.4,
                });
                last = now;
            }
        }
        cuts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_is_cut_where_prompts_end_and_nothing_is_counted_twice() {
        let part = |end, tokens| Part { end: Micros(end), tokens, cached: 0.0 };
        // Steps of 100 tokens, 10 microseconds each: 4.5, then 1, then 6 steps' worth of tokens.
        let parts = vec![part(50, 450.0), part(60, 100.0), part(120, 600.0)];
        let busy = Busy { start: Micros(0), end: Micros(120), parts, is_known: true, on_two: true };
        let cuts = busy.cuts(100);
        let seen: Vec<_> = cuts.iter().map(|cut| (cut.end.0, cut.steps, cut.tokens, cut.requests)).collect();
        assert_eq!(seen, [(50, 5.0, 500.0, 1), (120, 7.0, 650.0, 2)]);
        let pairs: f64 = cuts.iter().map(|cut| cut.pairs).sum();
        assert!((pairs - (450.0_f64.powi(2) + 100.0_f64.powi(2) + 600.0_f64.powi(2)) / 2.0).abs() < 1e-6);
    }
}
