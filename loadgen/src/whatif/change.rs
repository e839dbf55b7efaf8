//! What would be best if the traffic were another one.

use engine::units::Split;

use super::Basis;
use super::contest::Contest;
use super::predict::{AS_GOOD, SplitPrediction};
use super::rows::{Pattern, Stretch};
use crate::slo::Slo;

/// Simulated requests of all changes together.
const BUDGET: usize = 16_000;
/// Requests of one simulation.
const ROWS: (usize, usize) = (120, 800);
/// Seconds of traffic that each is of at least, if that is not too many requests.
const SPAN: f64 = 30.0;
/// Most requests that seconds of traffic may ask for.
const MOST_ROWS: usize = 3_000;

/// What of the traffic changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aspect {
    /// Requests per second.
    Rate,
    /// Tokens of prompts.
    Prompt,
    /// Tokens of answers.
    Answer,
}

/// The best split under changed traffic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// What changes.
    pub aspect: Aspect,
    /// To how many times as much.
    pub factor: f64,
    /// The best split then; of equals the nearest.
    pub best: Split,
    /// Whether others are as good.
    pub is_tie: bool,
    /// Good requests per second in it.
    pub goodput_rps: f64,
}

/// All changes that are looked at, in the order in which they are shown.
pub const CHANGES: [(Aspect, &[f64]); 3] = [
    (Aspect::Rate, &[0.5, 1.0, 1.5, 2.0, 3.0]),
    (Aspect::Prompt, &[0.5, 1.0, 2.0]),
    (Aspect::Answer, &[0.5, 1.0, 2.0]),
];

/// What is best under each change of the traffic in `pattern`, by the first timing alone. `None` when it was stopped.
pub(super) fn changes(
    basis: &Basis,
    pattern: &Pattern,
    splits: &[SplitPrediction],
    slo: Slo,
    stop: &dyn Fn() -> bool,
) -> Option<Vec<Change>> {
    let count = CHANGES.iter().map(|(_, factors)| factors.len() - 1).sum::<usize>();
    let rows = (BUDGET / (count * splits.len()).max(1)).clamp(ROWS.0, ROWS.1);
    let mut changes = Vec::new();
    for (aspect, factors) in CHANGES {
        for &factor in factors {
            if (factor - 1.0).abs() < f64::EPSILON {
                let goodput = splits.iter().map(|of| (of.split, of.moves, of.goodput_rps.mid)).collect();
                changes.extend(best(aspect, factor, goodput));
                continue;
            }
            let (stretch, rate) = match aspect {
                Aspect::Rate => (Stretch::NONE, factor),
                Aspect::Prompt => (Stretch { input: factor, output: 1.0 }, 1.0),
                Aspect::Answer => (Stretch { input: 1.0, output: factor }, 1.0),
            };
            // As many seconds at every rate: over a short stretch any queue is short.
            let seconds = (pattern.rate_rps() * rate * SPAN) as usize;
            let rows = pattern.rows(&basis.config, rows.max(seconds.min(MOST_ROWS)), 0, stretch);
            let contest = Contest { basis, rows, rate: pattern.rate_rps() * rate, slo };
            changes.extend(best(aspect, factor, contest.goodput(splits, stop)?));
        }
    }
    Some(changes)
}

/// The nearest of those that are as good as the best.
pub(super) fn best(aspect: Aspect, factor: f64, mut goodput: Vec<(Split, u16, f64)>) -> Option<Change> {
    let most = goodput.iter().map(|(_, _, rps)| *rps).fold(0.0, f64::max);
    goodput.retain(|(_, _, rps)| *rps >= most * AS_GOOD);
    goodput.sort_by(|a, b| a.1.cmp(&b.1).then(b.2.total_cmp(&a.2)));
    let (split, _, goodput_rps) = *goodput.first()?;
    Some(Change { aspect, factor, best: split, is_tie: goodput.len() > 1, goodput_rps })
}
