//! `pdtune plan`: every split of a simulated cluster, as a table with a chart, or as JSON.

mod chart;
mod table;

use std::io::IsTerminal;

use crossterm::terminal;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadgen::plan::{Plan, plan};

use super::{Ending, print};
use crate::cli::PlanOptions;
use crate::widget::wrap::wrap;

/// Columns of letters where nobody says how many there are.
const WIDTH: usize = 120;

/// Simulates and tells.
///
/// # Errors
/// When the question has no answer, or stdout is closed.
pub fn run(options: &PlanOptions) -> anyhow::Result<Ending> {
    let progress = progress("splits and changes of the load");
    let answer = plan(&options.question, |done, all| {
        progress.set_length(all as u64);
        progress.set_position(done as u64);
    });
    progress.finish_and_clear();
    let answer = answer?;
    if options.json {
        print(&format!("{}\n", serde_json::to_string(&answer)?))?;
    } else {
        print(&told(&answer, width()))?;
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

/// Columns of letters of the terminal that reads; `None` where none does.
fn width() -> Option<usize> {
    let is_read = std::io::stdout().is_terminal();
    is_read.then(terminal::size).and_then(Result::ok).map(|(columns, _)| usize::from(columns))
}

/// The answer in words and letters, as wide as there is room for.
fn told(plan: &Plan, width: Option<usize>) -> String {
    let asked = plan.rate.map_or_else(
        || format!("at the highest rate with {:.0} % of requests good", plan.attainment_level * 100.0),
        |rate| format!("at {rate} requests/s"),
    );
    let draws = if plan.draws > 1 { format!("{} draws", plan.draws) } else { "no intervals".to_owned() };
    let head = format!(
        "SIMULATED {}, {} GPUs, SLO {}, {asked}, {}: {} requests, {draws}, seed {}",
        plan.cluster, plan.gpus, plan.slo, plan.procedure, plan.requests, plan.seed
    );
    let mut text = paragraph("", &head, width);
    text += &table::table(&plan.splits, width);
    if let Some(bars) = chart::chart(&plan.splits, width.unwrap_or(WIDTH)) {
        text += &paragraph("", chart::HEAD, width);
        text += &bars;
    }
    for advice in &plan.advice {
        text += &paragraph("- ", advice, width);
    }
    text
}

/// Lines no longer than `width`, the first with `mark`, the others as far to the right.
fn paragraph(mark: &str, text: &str, width: Option<usize>) -> String {
    let Some(width) = width else { return format!("{mark}{text}\n") };
    let lines = wrap(text, width.saturating_sub(mark.len()).max(20), usize::MAX);
    let indent = " ".repeat(mark.len());
    let marks = std::iter::once(mark).chain(std::iter::repeat(indent.as_str()));
    let mut paragraph = String::new();
    for (line, mark) in lines.iter().zip(marks) {
        paragraph.extend([mark, line.as_str(), "\n"]);
    }
    paragraph
}

#[cfg(test)]
mod tests {
    use loadgen::plan::{Busy, Interval, Limit, SplitPlan};
    use loadgen::summary::Statistics;

    use super::*;

    fn split(name: &str, chunk: Option<u32>, [lo, mid, hi]: [f64; 3], limit: Limit) -> SplitPlan {
        let latency =
            |ms: f64| Statistics { mean: Some(ms), p50: Some(ms), p95: Some(ms * 1.2), ..Statistics::default() };
        SplitPlan {
            split: name.to_owned(),
            roles: name.parse().expect("a split"),
            is_bounded: true,
            is_settled: true,
            gpus: 24,
            chunk,
            offered_rps: mid,
            goodput_rps: Interval { lo, mid, hi },
            attainment: Interval { lo: 0.9, mid: 0.91, hi: 1.0 },
            ttft_ms: latency(697.0),
            tpot_ms: latency(24.6),
            limit,
            gpus_for_rate: None,
            usd_per_mtok: Interval { lo: 6.0, mid: 7.25, hi: 9.0 },
            gpu_s_per_good: Some(24.0 / mid),
            busy: Busy::default(),
            prefix_hit: 0.0,
        }
    }

    fn answer() -> Plan {
        Plan {
            schema: 1,
            cluster: "mi325x-qwen3-235b".to_owned(),
            gpus: 32,
            slo: "tpot=25ms".to_owned(),
            best: Some("2P1D".to_owned()),
            attainment_level: 0.5,
            splits: vec![
                split("2P1D", None, [1.2, 1.55, 1.9], Limit::Decode),
                split("3A", Some(8192), [0.9, 1.21, 1.6], Limit::Decode),
                split("1P2D", None, [0.4, 0.4, 0.4], Limit::HandOff),
            ],
            advice: vec![
                "disaggregated is right here: 2P1D gives 1.28 times the goodput of 3A for each GPU, but the intervals overlap: \
                 measure before you decide"
                    .to_owned(),
                "the hand-off of KV takes 132 ms for the mean prompt".to_owned(),
            ],
            procedure: "sustained".to_owned(),
            rate: None,
            requests: 2_000,
            draws: 20,
            seed: 7,
            sensitivity: Vec::new(),
        }
    }

    #[test]
    fn a_pipe_gets_the_whole_table() {
        insta::assert_snapshot!(told(&answer(), None));
    }

    #[test]
    fn every_line_fits_the_terminal() {
        for width in [40, 80, 100, 120, 200] {
            let text = told(&answer(), Some(width));
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
        }
        insta::assert_snapshot!(told(&answer(), Some(80)));
    }

    #[test]
    fn bars_of_nothing_are_left_out() {
        let nothing = split("2P1D", None, [0.0; 3], Limit::Prefill);
        assert_eq!(chart::chart(&[nothing], 80), None);
    }
}
