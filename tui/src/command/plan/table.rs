//! The splits of a plan as a table, with as many columns as there is room for.

use std::fmt::Write as _;

use loadgen::plan::{Interval, Limit, SplitPlan};
use loadgen::summary::Statistics;

/// A column: its head, and what stands in it.
type Column = (&'static str, fn(&SplitPlan) -> String);

const FULL: [Column; 11] = [
    ("split", |split| split.split.clone()),
    ("GPUs", |split| split.gpus.to_string()),
    ("chunk", |split| split.chunk.map_or_else(none, |chunk| chunk.to_string())),
    ("good/s", good),
    ("lo..hi", interval),
    ("good", attainment),
    ("TTFT p50/p95", |split| pair(&split.ttft_ms)),
    ("TPOT p50/p95", |split| pair(&split.tpot_ms)),
    ("limit", limit),
    ("GPU s/good", gpu_seconds),
    ("$/Mtok", usd),
];

const NARROW: [Column; 8] = [
    ("split", |split| split.split.clone()),
    ("good/s", good),
    ("lo..hi", interval),
    ("good", attainment),
    ("TTFT p95", |split| p95(&split.ttft_ms)),
    ("TPOT p95", |split| p95(&split.tpot_ms)),
    ("limit", limit),
    ("$/Mtok", usd),
];

const NARROWEST: [Column; 4] =
    [("split", |split| split.split.clone()), ("good/s", good), ("lo..hi", interval), ("limit", limit)];

/// The table in `width` columns of letters; in as many as it takes without one. What is narrower than the narrowest table wraps.
pub(super) fn table(splits: &[SplitPlan], width: Option<usize>) -> String {
    let full = lines(splits, &FULL);
    let fits = |text: &str| width.is_none_or(|width| text.lines().all(|line| line.chars().count() <= width));
    if fits(&full) {
        return full;
    }
    let narrow = lines(splits, &NARROW);
    if fits(&narrow) { narrow } else { lines(splits, &NARROWEST) }
}

fn lines(splits: &[SplitPlan], columns: &[Column]) -> String {
    let cells: Vec<Vec<String>> =
        splits.iter().map(|split| columns.iter().map(|(_, of)| of(split)).collect()).collect();
    let heads = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(heads).chain(cells).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            // Words from the left, numbers from the right.
            let _ = if matches!(columns[column].0, "split" | "limit") {
                write!(line, "{cell:width$}  ")
            } else {
                write!(line, "{cell:>width$}  ")
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn none() -> String {
    "-".to_owned()
}

fn good(split: &SplitPlan) -> String {
    format!("{:.2}", split.goodput_rps.mid)
}

fn interval(split: &SplitPlan) -> String {
    let Interval { lo, hi, .. } = split.goodput_rps;
    if lo < hi { format!("{lo:.2}..{hi:.2}") } else { none() }
}

fn attainment(split: &SplitPlan) -> String {
    format!("{:.0}%", (split.attainment.mid * 100.0).floor())
}

fn pair(of: &Statistics) -> String {
    of.p50.zip(of.p95).map_or_else(none, |(p50, p95)| format!("{}/{} ms", number(p50), number(p95)))
}

fn p95(of: &Statistics) -> String {
    of.p95.map_or_else(none, |p95| format!("{} ms", number(p95)))
}

fn limit(split: &SplitPlan) -> String {
    let limit = match split.limit {
        Limit::None => "-",
        Limit::Prefill => "prefill",
        Limit::HandOff => "hand-off",
        Limit::Decode => "decode",
        Limit::E2e => "e2e",
    };
    limit.to_owned()
}

fn gpu_seconds(split: &SplitPlan) -> String {
    split.gpu_s_per_good.map_or_else(none, number)
}

fn usd(split: &SplitPlan) -> String {
    let usd = split.usd_per_mtok.mid;
    if usd.is_finite() { format!("{usd:.2}") } else { none() }
}

/// Three digits that matter.
fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}
