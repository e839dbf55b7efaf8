//! The report: what was measured, what is predicted, and what misses its bound.

use std::fmt::Write;

use engine::units::Split;
use loadgen::arrival::{Arrival, RatePlan};
use loadgen::plan::{Figures, Plan, Procedure, Question, plan};
use loadgen::profile::{Cluster, Library, Loaded};
use loadgen::schedule::{LoadSpec, Traffic};

use super::mi325x::{Measured, least_ttft_ms, measured, predicted, runs};
use super::{handoffs, june, steps};

/// Draws behind an interval.
const DRAWS: u32 = 40;

/// A report that grows line by line.
#[derive(Default)]
struct Report {
    text: String,
    misses: Vec<String>,
    /// How many of the runs that nothing was fitted to are inside their interval, and of how many.
    covered: (u32, u32),
}

impl Report {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// A figure with its bound, both in per cent.
    fn median(&mut self, what: &str, found: f64, bound: f64) {
        self.line(&format!("{what:<62} {found:>5.1} % of {bound:>2.0} %"));
        if found > bound {
            self.misses.push(format!("{what}: {found:.1} %"));
        }
    }

    /// A prediction with its interval; without a bound it is only told.
    fn prediction(&mut self, what: &str, found: f64, all: &[f64], bound: Option<f64>) {
        let predicted = all[0];
        let error = 100.0 * (predicted / found - 1.0);
        let mut sorted = all.to_vec();
        sorted.sort_by(f64::total_cmp);
        let rank = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
        let (low, high) = (rank(0.05), rank(0.95));
        let is_inside = (low..=high).contains(&found);
        let digits = if found < 100.0 { 2 } else { 0 };
        let mut line = format!("{what:<28} {found:>7.digits$} {predicted:>7.digits$} {error:>+6.1} %");
        let of_bound = bound.map_or(String::new(), |bound| format!("{bound:>3.0} %"));
        let _ = write!(line, " {of_bound:>5}  {low:>7.digits$} .. {high:<7.digits$}");
        line.push_str(if is_inside { " inside" } else { " outside" });
        let Some(bound) = bound else { return self.line(&line) };
        if error.abs() > bound {
            line.push_str(", misses its bound");
            self.misses.push(format!("{what}: {error:+.1} %, bound {bound:.0} %"));
        }
        self.covered.0 += u32::from(is_inside);
        self.covered.1 += 1;
        self.line(&line);
    }
}

/// The rate up to which mean TPOT is at most 25 ms, of two units for prompts and one for decode, and of three that do both.
fn rates(cluster: &Loaded<Cluster>, procedure: Procedure) -> Vec<(String, f64)> {
    let traffic = Traffic::Synthetic {
        arrival: Arrival::Constant,
        rate: RatePlan::Constant(1.0),
        isl: "16000".parse().expect("isl"),
        osl: "1024".parse().expect("osl"),
    };
    let split = |text: &str| text.parse::<Split>().expect("a split");
    let question = Question {
        cluster: cluster.clone(),
        load: LoadSpec::new("custom", traffic),
        slo: "tpot=25ms".parse().expect("an SLO"),
        attainment: 0.9,
        procedure,
        rate: None,
        splits: vec![split("2P1D"), split("3A")],
        requests: 300,
        draws: 0,
    };
    let Plan { splits, .. } = plan(&question, |_, _| {}).expect("a plan");
    splits.into_iter().map(|split| (split.split, split.goodput_rps.mid)).collect()
}

/// What was published of both procedures, with its bounds.
const PUBLISHED: [(Procedure, [f64; 3]); 2] =
    [(Procedure::Sustained, [1.0, 1.33, 1.66]), (Procedure::Burst(50), [1.65, 2.2, 2.75])];

fn ratio(report: &mut Report, cluster: &Loaded<Cluster>, procedure: Procedure, published: [f64; 3]) {
    let rates = rates(cluster, procedure);
    let of = |split: &str| rates.iter().find(|(name, _)| name == split).map_or(f64::NAN, |(_, rate)| *rate);
    let (apart, together) = (of("2P1D"), of("3A"));
    let (found, [low, middle, high]) = (apart / together, published);
    let mut line = format!(
        "{procedure}: 2P1D {apart:.2}/s, 3A {together:.2}/s: {found:.2} times as much; published {middle:.2}, bound {low:.2} to {high:.2}"
    );
    if !(low..=high).contains(&found) {
        line.push_str(", misses its bound");
        report.misses.push(format!("2P1D over 3A, {procedure}: {found:.2} instead of {middle:.2}"));
    }
    report.line(&line);
}

/// A run, whether it is beyond the knee, and the figures of every draw.
type Predicted = (Measured, bool, Vec<Figures>);

/// The runs of one kind: those that constants were fitted to, or others.
fn of_runs<'a>(report: &mut Report, is_fitted: bool, rows: impl Iterator<Item = &'a Predicted>) {
    report.line("run                         measured predicted error bound  90 % interval");
    for (row, is_beyond, figures) in rows {
        let name = |what: &str| format!("{what} {} {}/s {}", row.split, row.offered, row.procedure);
        let values = |of: fn((f64, f64, f64)) -> f64| figures.iter().map(|one| of(predicted(one))).collect::<Vec<_>>();
        let is_apart = row.split.contains('P');
        let bound = |bound: f64| (!is_fitted && !is_beyond).then_some(bound);
        let tpot = match row.procedure {
            Procedure::Sustained => bound(15.0),
            Procedure::Burst(_) if is_apart => bound(10.0),
            Procedure::Burst(_) => None,
        };
        report.prediction(&name("TPOT"), row.tpot_ms, &values(|(_, tpot, _)| tpot), tpot);
        if let Some(ttft) = row.ttft_ms.filter(|_| !is_beyond) {
            report.prediction(&name("TTFT"), ttft, &values(|(ttft, _, _)| ttft), bound(15.0));
        }
        if let Some(achieved) = row.achieved.filter(|_| *is_beyond && row.split == "1P1D") {
            report.prediction(&name("served"), achieved, &values(|(.., served)| served), Some(10.0));
        }
    }
}

#[test]
fn the_report_is_what_it_was_and_lists_what_misses() {
    let mut report = Report::default();
    report.line("steps and hand-offs, median error and its bound");
    report.median("dense bf16 steps on H100 and H200, no fit", steps::plain().median, 8.0);
    report.median("dense bf16 steps, eight constants fitted to the other half", steps::fitted().median, 6.0);
    for (system, spread) in handoffs::spreads() {
        report.median(&format!("hand-offs on {system}, setup and bandwidth fitted"), spread.median, 10.0);
    }

    of_one_pair(&mut report);
    of_june(&mut report);
    report.line("\nwhat misses its bound");
    for miss in std::mem::take(&mut report.misses) {
        report.line(&miss);
    }
    println!("{}", report.text);
    insta::assert_snapshot!(report.text);
}

/// All runs as a shipped cluster has them.
fn all_predicted(cluster: &Loaded<Cluster>) -> Vec<Predicted> {
    let rows = measured();
    let runs = runs(cluster, &rows);
    let mut draws = vec![runs.figures(&cluster.profile.deployment).expect("figures")];
    draws.extend((1..=DRAWS).map(|draw| runs.figures_of_draw(7, draw).expect("figures")));
    let rows = rows.iter().enumerate().map(|(index, row)| {
        (
            row.clone(),
            row.is_beyond_knee(least_ttft_ms(&rows, &row.split)),
            draws.iter().map(|draw| draw[index]).collect::<Vec<_>>(),
        )
    });
    rows.collect()
}

/// What is fitted to the runs of one pair alone.
fn of_one_pair(report: &mut Report) {
    let cluster = Library::new(Vec::new()).cluster("mi325x-qwen3-235b").expect("a cluster");
    let rows = all_predicted(&cluster);
    report.line("\nmi325x-qwen3-235b, fitted to its 1P1D runs: those runs");
    of_runs(report, true, rows.iter().filter(|(row, ..)| row.split == "1P1D"));
    let fitted = std::mem::take(&mut report.covered);
    report.line("\nruns that nothing was fitted to, up to the knee");
    of_runs(report, false, rows.iter().filter(|(row, is_beyond, _)| row.split != "1P1D" && !is_beyond));
    report.line("\nbeyond the knee, where what is measured depends on for how long");
    of_runs(report, false, rows.iter().filter(|(row, is_beyond, _)| row.split != "1P1D" && *is_beyond));
    assert!(fitted.1 == 1);
    covered(report);
    report.line("\nhighest rate with TPOT up to 25 ms, the chunk of 3A tuned");
    for (procedure, published) in PUBLISHED {
        ratio(report, &cluster, procedure, published);
    }
}

/// What is fitted to all windows up to the knee; only bursts are predictions.
fn of_june(report: &mut Report) {
    let cluster = Library::new(Vec::new()).cluster(june::NAME).expect("a cluster");
    let (rows, all) = (all_predicted(&cluster), measured());
    let misses = report.misses.len();
    report.line(&format!("\n{}, fitted to all windows up to the knee: those runs", june::NAME));
    of_runs(report, true, rows.iter().filter(|(row, ..)| june::is_known(row, &all)));
    report.covered = (0, 0);
    let is_burst = |row: &Measured| matches!(row.procedure, Procedure::Burst(_));
    report.line("\nbursts, which nothing was fitted to");
    of_runs(report, false, rows.iter().filter(|(row, ..)| is_burst(row)));
    report.line("\nbeyond the knee, where what is measured depends on for how long");
    of_runs(report, false, rows.iter().filter(|(row, ..)| !is_burst(row) && !june::is_known(row, &all)));
    covered(report);
    report.line("\nhighest rate with TPOT up to 25 ms, the chunk of 3A tuned: sustained in-sample, burst not");
    for (procedure, published) in PUBLISHED {
        ratio(report, &cluster, procedure, published);
    }
    for miss in report.misses.iter_mut().skip(misses) {
        *miss = format!("{}: {miss}", june::NAME);
    }
}

/// How many predictions were inside their interval.
fn covered(report: &mut Report) {
    let (covered, of) = std::mem::take(&mut report.covered);
    report.line(&format!(
        "\n{covered} of {of} figures with a bound that nothing was fitted to are inside their 90 % interval"
    ));
}
