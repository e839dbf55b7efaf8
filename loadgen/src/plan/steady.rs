//! Whether as many prompts are begun as arrive.

use engine::drive::virtual_time::Sample;
use engine::units::Nanos;

use super::rows::Rows;

/// The share by which the first tokens of a burst may come more slowly than its requests: answers of unlike length and batches
/// make as much.
const LATE: f64 = 0.03;

/// Share of the arrivals of half a window by which the prompts that wait may become more in it, in both halves, before they
/// are taken to become ever more.
const GROWTH: f64 = 0.01;
/// Standard deviations of what chance alone adds in half a window, that are forgiven beside it.
const CHANCE: f64 = 0.25;
/// Share of answers that are no longer than what units take to fill.
const LONG: f64 = 0.95;
/// How much of what is forgiven may arrive within a step.
const COARSE: f64 = 2.0;

/// The share of the arrivals of a window, between two numbers of requests, that is served for ever: 1 unless ever more prompts
/// wait.
///
/// A queue that is longer at the end of a window than at its start can be so by chance, in a system that is nearly full; one
/// that grows for want of capacity grows in every part of it. How much of a growth is chance depends on how regular the load
/// is: of equal requests at equal gaps none.
pub(super) fn served(rows: &Rows, rate: f64, samples: &[Sample], (from, to): (usize, usize)) -> f64 {
    let middle = from.midpoint(to);
    // Whoever has come before and is begun now stands for one who comes now and is begun later.
    let waiting = |index: usize| {
        let now = rows.due(index, rate);
        let begun = samples.iter().filter(|sample| sample.tokens > 0 && sample.first < now).count();
        index as f64 - begun as f64
    };
    let [start, halfway, end] = [from, middle, to].map(waiting);
    if (halfway - start).min(end - halfway) <= forgiven(rows, (from, to)) {
        return 1.0;
    }
    1.0 - (end - start) / (to - from) as f64
}

/// By how many the prompts that wait may become more in half a window.
fn forgiven(rows: &Rows, (from, to): (usize, usize)) -> f64 {
    let half = (to - from) as f64 / 2.0;
    1.0 + GROWTH * half + CHANCE * (half * rows.irregularity(from, to)).sqrt()
}

/// How often there would have to be twice as many requests for a window of them to begin when the first have long got their answers,
/// so that as many are under way as ever will be.
pub(super) fn filling(rows: &Rows, rate: f64, samples: &[Sample], (from, to): (usize, usize)) -> usize {
    let window = samples.iter().take(to).skip(from).filter(|sample| sample.completed);
    let mut answers: Vec<Nanos> = window.map(|sample| sample.last.since(sample.first)).collect();
    let most = (answers.len() as f64 * LONG) as usize;
    let answer = if most < answers.len() { *answers.select_nth_unstable(most).1 } else { Nanos::ZERO };
    let share = answer.as_secs_f64() / rows.due(from, rate).as_secs_f64().max(f64::MIN_POSITIVE);
    share.log2().ceil().clamp(0.0, 64.0) as usize
}

/// Whether what arrives within one step, which begins many prompts at once, is much beside the growth that is looked for.
pub(super) fn is_coarse(rows: &Rows, rate: f64, samples: &[Sample], window: (usize, usize)) -> bool {
    // Of the first requests some find everything idle.
    let begun = samples.iter().filter(|sample| sample.tokens > 0);
    let step = begun.map(|sample| sample.prefill_end.since(sample.arrived)).min().unwrap_or_default();
    rate * step.as_secs_f64() > COARSE * forgiven(rows, window)
}

/// The share of a burst's rate at which its first tokens come, at these seconds: 1 where they keep up with the requests. A rate at which they fall
/// ever further behind is none that a system bears, however fast the tokens of an answer are.
pub(crate) fn kept_up(rate: f64, firsts: impl Iterator<Item = f64>) -> f64 {
    let (mut count, mut begin, mut end) = (0_u64, f64::INFINITY, f64::NEG_INFINITY);
    for at in firsts {
        (count, begin, end) = (count + 1, begin.min(at), end.max(at));
    }
    if count < 2 {
        return 1.0;
    }
    let share = (count - 1) as f64 / ((end - begin) * rate).max(1e-9);
    if share >= 1.0 - LATE { 1.0 } else { share }
}
