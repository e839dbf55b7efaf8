//! Whether a window is one of a steady state: a rate beyond capacity meets any SLO for a while.

use super::attainment::{NEARLY_SURE, wilson};
use super::seen::Seen;
use crate::time::Micros;

/// Share of the arrivals of a window by which those that wait for a first token may grow in number.
const WAITING: f64 = 0.05;
/// The same of all that are in flight, answers under way included.
const IN_FLIGHT: f64 = 0.1;
/// So many more are chance, however short the window.
const CHANCE: f64 = 4.0;

/// Why the requests from `from` on, in the order of being due, are none of a steady state. `all` are those before them, too; so
/// many as `alike` says are worth one.
pub(super) fn unsteady(all: &[Seen], from: usize, alike: f64) -> Option<String> {
    let window = all.get(from..)?;
    let (start, end) = (window.first()?.due, window.last()?.due);
    let arrived = window.len() as f64;
    // Whoever has come before and ends now stands for one who comes now and ends later.
    let within = |at: Micros| (start..=end).contains(&at);
    let begun = all.iter().filter(|seen| seen.first.unwrap_or(seen.ended).min(seen.ended) <= end);
    let begun = begun.filter(|seen| within(seen.first.unwrap_or(seen.ended))).count() as f64;
    let ended = all.iter().filter(|seen| within(seen.ended)).count() as f64;
    if arrived - begun > (WAITING * arrived).max(CHANCE) {
        return Some(format!("{arrived} arrived and {begun} got a first token meanwhile"));
    }
    if arrived - ended > (IN_FLIGHT * arrived).max(1.5 * CHANCE) {
        return Some(format!("{arrived} arrived and {ended} ended meanwhile"));
    }
    let good: Vec<bool> = window.iter().map(|seen| seen.good).collect();
    let (before, after) = good.split_at(good.len() / 2);
    let share = |half: &[bool]| {
        let worth = half.len() as f64 / alike;
        let good = half.iter().filter(|good| **good).count() as f64 / half.len().max(1) as f64;
        wilson(good * worth, worth, NEARLY_SURE)
    };
    let (before, after) = (share(before), share(after));
    (after.hi < before.lo).then(|| {
        format!("{:.0} % of the first half are good and {:.0} % of the second", before.mid * 100.0, after.mid * 100.0)
    })
}
