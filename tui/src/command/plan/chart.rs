//! Goodput for each GPU, by split, as bars that end in their intervals.

use std::fmt::Write as _;

use loadgen::plan::SplitPlan;

/// What the bars show.
pub(super) const HEAD: &str = "good/s for each GPU (█ at least, ▓ estimate, ▒ at most)";

/// Letters of the longest bar at most, and at least.
const BAR: (usize, usize) = (60, 10);

/// Bars in `width` columns of letters: solid up to the least, dark from there to the estimate, light up to the most. None where
/// nothing is good.
pub(super) fn chart(splits: &[SplitPlan], width: usize) -> Option<String> {
    let per_gpu = |split: &SplitPlan| {
        let of = split.goodput_rps;
        [of.lo, of.mid, of.hi].map(|rate| rate / f64::from(split.gpus))
    };
    let rows: Vec<([f64; 3], String)> = splits.iter().map(|split| (per_gpu(split), figures(per_gpu(split)))).collect();
    let most = rows.iter().map(|([_, _, hi], _)| *hi).fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let longest = |of: &dyn Fn(usize) -> usize| (0..splits.len()).map(of).max().unwrap_or(0);
    let names = longest(&|index| splits[index].split.chars().count());
    let texts = longest(&|index| rows[index].1.chars().count());
    let bar = width.saturating_sub(names + texts + 4).clamp(BAR.1, BAR.0);
    let mut text = String::new();
    for (split, (values, figures)) in splits.iter().zip(&rows) {
        let [lo, mid, hi] = values.map(|value| (value / most * bar as f64).round() as usize);
        let letters = format!("{}{}{}", "█".repeat(lo), "▓".repeat(mid - lo), "▒".repeat(hi - mid));
        let _ = writeln!(text, "{:names$}  {letters:bar$}  {figures}", split.split);
    }
    Some(text)
}

fn figures([lo, mid, hi]: [f64; 3]) -> String {
    if lo < hi { format!("{mid:.3} ({lo:.3}..{hi:.3})") } else { format!("{mid:.3}") }
}
