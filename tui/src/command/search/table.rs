//! A search in words: the answer first, then its steps.

use std::fmt::Write as _;

use loadgen::search::{Limit, Report, Step, Stopped, Verdict};
use loadgen::summary::Statistics;

/// Everything.
pub(super) fn text(report: &Report) -> String {
    let mut text = format!("{}\n", answer(report));
    let split = report.split.as_ref().map_or_else(String::new, |split| format!(", {split}"));
    let simulated = if report.target.starts_with(loadgen::target::sim::PREFIX) { "SIMULATED " } else { "" };
    let _ = writeln!(
        text,
        "{simulated}{}{split}, SLO {}, {}, seed {}: {}",
        report.target,
        report.slo,
        report.procedure,
        report.seed,
        match report.stopped {
            Stopped::Found => "nothing left to find",
            Stopped::Budget => "the budget is used up",
            Stopped::Steps => "no more steps allowed",
            Stopped::Interrupted => "interrupted",
            Stopped::Target => "the target was lost",
        }
    );
    let _ = writeln!(text, "interval: {}", report.interval);
    let header = ["rate/s", "judged", "good", "90 %", "TTFT p95", "TPOT p95", "steady", "verdict"];
    let mut rows: Vec<[String; 8]> = vec![header.map(str::to_owned)];
    rows.extend(report.steps.iter().map(row));
    let widths: Vec<usize> =
        (0..header.len()).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = if column < 6 { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:width$}  ") };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

fn answer(report: &Report) -> String {
    let level = (report.attainment_level * 1e4).round() / 100.0;
    let limit = name(report.limit);
    let rate = report.rate_rps;
    let Some(mid) = rate.mid else {
        let last = report.steps.iter().map(|step| step.rate_rps).reduce(f64::min);
        let tried = last.map_or_else(|| "at any rate".to_owned(), |rate| format!("down to {}/s", number(rate)));
        let why = match report.limit {
            Limit::None => "no step has come to a verdict",
            _ => limit,
        };
        return format!("the SLO is not met {tried} at attainment {level} %: {why}");
    };
    let interval = match (rate.lo, rate.hi) {
        (Some(lo), Some(hi)) => format!(" ({}..{})", number(lo), number(hi)),
        _ => String::new(),
    };
    let at_least = if rate.hi.is_none() { "at least " } else { "" };
    let why = match report.limit {
        Limit::None => ", nothing gave way".to_owned(),
        _ => format!(", limited by {limit}"),
    };
    format!("highest rate {at_least}{}/s{interval} at attainment {level} %{why}", number(mid))
}

/// One step, while the search goes on.
pub(super) fn line(step: &Step) -> String {
    let [rate, judged, good, interval, ttft, tpot, _, verdict] = row(step);
    format!("{rate}/s {verdict}: {good} ({interval}) of {judged} good, TTFT p95 {ttft}, TPOT p95 {tpot}")
}

fn row(step: &Step) -> [String; 8] {
    let percent = |share: f64| format!("{:.0}", share * 100.0);
    let p95 = |of: &Statistics| of.p95.map_or_else(|| "-".to_owned(), |ms| format!("{} ms", number(ms)));
    let verdict = match step.verdict {
        Verdict::Met => "met".to_owned(),
        Verdict::Missed => format!("missed: {}", name(step.limit)),
        Verdict::Unsteady => "too much".to_owned(),
        Verdict::Client => "the client's limit".to_owned(),
        Verdict::Undecided => "undecided".to_owned(),
    };
    let why = step.why.as_ref().map_or_else(String::new, |why| format!(", {why}"));
    [
        number(step.rate_rps),
        step.judged.to_string(),
        format!("{}%", percent(step.attainment.mid)),
        format!("{}..{}", percent(step.attainment.lo), percent(step.attainment.hi)),
        p95(&step.ttft_ms),
        p95(&step.tpot_ms),
        if step.steady { "yes" } else { "no" }.to_owned(),
        format!("{verdict}{why}"),
    ]
}

fn name(limit: Limit) -> &'static str {
    match limit {
        Limit::None => "nothing",
        Limit::Ttft => "TTFT",
        Limit::Tpot => "TPOT",
        Limit::Itl => "ITL",
        Limit::E2e => "E2E",
        Limit::Errors => "errors",
        Limit::Backlog => "a backlog that grows",
        Limit::Client => "the client",
        Limit::Prefill => "prefill",
        Limit::HandOff => "the hand-off",
        Limit::Decode => "decode",
    }
}

/// Three digits that matter.
fn number(value: f64) -> String {
    match value {
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
