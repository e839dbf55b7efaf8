//! `pdtune plan`: every split of a simulated cluster, as a table or JSON.

use std::fmt::Write as _;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadgen::plan::{Interval, Limit, Plan, SplitPlan, plan};
use loadgen::summary::Statistics;

use super::{Ending, print};
use crate::cli::PlanOptions;

/// Letters of the longest bar.
const BAR: usize = 24;

/// Simulates and tells.
///
/// # Errors
/// When the question has no answer, or stdout is closed.
pub fn run(options: &PlanOptions) -> anyhow::Result<Ending> {
    let progress = progress("splits");
    let answer = plan(&options.question, |done, all| {
        progress.set_length(all as u64);
        progress.set_position(done as u64);
    });
    progress.finish_and_clear();
    let answer = answer?;
    if options.json {
        print(&format!("{}\n", serde_json::to_string(&answer)?))?;
    } else {
        print(&table(&answer))?;
    }
    Ok(Ending::Fine)
}

/// A bar on a terminal, nothing elsewhere: the answer follows in seconds or minutes.
pub(super) fn progress(what: &str) -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    match ProgressStyle::with_template(&format!("simulating {{bar:30}} {{pos}} of {{len}} {what}, {{elapsed}}")) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn table(plan: &Plan) -> String {
    let mut text = String::new();
    let asked = plan.rate.map_or_else(
        || format!("at the highest rate with {:.0} % of requests good", plan.attainment_level * 100.0),
        |rate| format!("at {rate} requests/s"),
    );
    let _ = writeln!(
        text,
        "SIMULATED {}, {} GPUs, SLO {}, {asked}, {}: {} requests, {}, seed {}",
        plan.cluster,
        plan.gpus,
        plan.slo,
        plan.procedure,
        plan.requests,
        if plan.draws > 1 { format!("{} draws", plan.draws) } else { "no intervals".to_owned() },
        plan.seed
    );
    let header =
        ["split", "GPUs", "chunk", "good/s", "lo..hi", "good", "TTFT p50/p95", "TPOT p50/p95", "limit", "$/Mtok"];
    let rows: Vec<[String; 10]> = plan.splits.iter().map(row).collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(header[column].len()))
        .collect();
    let mut line = |cells: Vec<&str>, bar: &str| {
        let mut line = String::new();
        for (cell, (column, width)) in cells.iter().zip(widths.iter().enumerate()) {
            let _ = if column == 0 || column == 8 {
                write!(line, "{cell:width$}  ")
            } else {
                write!(line, "{cell:>width$}  ")
            };
        }
        let _ = writeln!(text, "{}", format!("{line}{bar}").trim_end());
    };
    line(header.to_vec(), "");
    let most = plan.splits.iter().map(per_gpu).fold(0.0, f64::max);
    for (row, split) in rows.iter().zip(&plan.splits) {
        let letters = if most > 0.0 { (per_gpu(split) / most * BAR as f64).round() as usize } else { 0 };
        line(row.iter().map(String::as_str).collect(), &"█".repeat(letters));
    }
    for advice in &plan.advice {
        let _ = writeln!(text, "- {advice}");
    }
    text
}

/// What splits of unlike size are ranked by.
fn per_gpu(split: &SplitPlan) -> f64 {
    split.goodput_rps.mid / f64::from(split.gpus)
}

fn row(split: &SplitPlan) -> [String; 10] {
    let Interval { lo, mid, hi } = split.goodput_rps;
    let pair = |of: &Statistics| match (of.p50, of.p95) {
        (Some(p50), Some(p95)) => format!("{}/{} ms", number(p50), number(p95)),
        _ => "-".to_owned(),
    };
    let limit = match split.limit {
        Limit::None => "-",
        Limit::Prefill => "prefill",
        Limit::HandOff => "hand-off",
        Limit::Decode => "decode",
        Limit::E2e => "e2e",
    };
    let usd = split.usd_per_mtok.mid;
    [
        split.split.clone(),
        split.gpus.to_string(),
        split.chunk.map_or_else(|| "-".to_owned(), |chunk| chunk.to_string()),
        format!("{mid:.2}"),
        if lo < hi { format!("{lo:.2}..{hi:.2}") } else { "-".to_owned() },
        format!("{:.0}%", (split.attainment.mid * 100.0).floor()),
        pair(&split.ttft_ms),
        pair(&split.tpot_ms),
        limit.to_owned(),
        if usd.is_finite() { format!("{usd:.2}") } else { "-".to_owned() },
    ]
}

/// Three digits that matter.
fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.1}") }
}
