//! Whole runs of Qwen3-235B on MI325X: eight constants are fitted to the runs with one unit for prompts and one for decode, and
//! all other runs are predicted.

use engine::perf::fit::{Fitted, Free, fit_to};
use engine::units::Split;
use loadgen::arrival::{Arrival, RatePlan};
use loadgen::plan::{Figures, Procedure, Run, Runs};
use loadgen::profile::{Cluster, ClusterProfile, Library, Loaded, Origin};
use loadgen::schedule::{LoadSpec, Traffic};

use super::world::Table;

const RUNS: &str = include_str!("../data/perf/mi325x_qwen3_235b.csv");
const PRIORS: &str = include_str!("../data/perf/mi325x-qwen3-235b-priors.toml");

/// What is fitted: the fixed time and the bandwidths of decode steps, the compute of prompts, and the hand-off.
pub(crate) const FREE: [&str; 8] = [
    "all.layer_floor_us",
    "all.expert_mbu",
    "all.decode_attention_mbu",
    "all.sequence_overhead_us",
    "prompt.expert_mfu",
    "all.prompt_attention_mfu",
    "all.handoff_setup_ms",
    "all.handoff_efficiency",
];

/// A line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) split: String,
    pub(crate) offered: f64,
    /// Requests served per second; of a window.
    pub(crate) achieved: Option<f64>,
    pub(crate) ttft_ms: Option<f64>,
    pub(crate) tpot_ms: f64,
    pub(crate) procedure: Procedure,
}

impl Measured {
    /// Whether less was served than came: what is then measured depends on for how long.
    fn is_saturated(&self) -> bool {
        self.achieved.is_some_and(|achieved| achieved < 0.95 * self.offered)
    }

    /// A run is up to the knee as long as what comes is served and first tokens wait no longer than with little load: a quarter
    /// more is a queue that has begun to grow.
    pub(crate) fn is_beyond_knee(&self, least_ttft_ms: f64) -> bool {
        self.is_saturated() || self.ttft_ms.is_some_and(|ttft| ttft > 1.25 * least_ttft_ms)
    }

    fn run(&self) -> Run {
        let requests = match self.procedure {
            Procedure::Burst(requests) => u64::from(requests),
            // A fifth of them is more than are ever in flight: a request is decoded for at most 50 s below the knee.
            Procedure::Sustained => (self.offered * 250.0).max(300.0) as u64,
        };
        let traffic = Traffic::Synthetic {
            arrival: Arrival::Constant,
            rate: RatePlan::Constant(1.0),
            isl: "16000".parse().expect("isl"),
            osl: "1024".parse().expect("osl"),
        };
        let split: Split = self.split.parse().expect("a split");
        let load = LoadSpec { requests: Some(requests), ..LoadSpec::new("custom", traffic) };
        Run { split, load, rate: self.offered, procedure: self.procedure }
    }
}

pub(crate) fn measured() -> Vec<Measured> {
    let table = Table::read(RUNS);
    let rows = table.rows().map(|row| {
        let number = |name: &str| row.get(name).parse().ok();
        let procedure = if row.get("set") == "transient" { Procedure::Burst(50) } else { Procedure::Sustained };
        Measured {
            split: row.get("layout").to_owned(),
            offered: row.number("offered_qps"),
            achieved: number("achieved_qps"),
            ttft_ms: number("ttft_mean_ms"),
            tpot_ms: row.number("tpot_mean_ms"),
            procedure,
        }
    });
    rows.collect()
}

/// TTFT of a split with as little load as it was measured with.
pub(crate) fn least_ttft_ms(all: &[Measured], split: &str) -> f64 {
    let of_split = all.iter().filter(|row| row.split == split).filter_map(|row| row.ttft_ms);
    of_split.fold(f64::INFINITY, f64::min)
}

pub(crate) fn runs<'a>(cluster: &'a Loaded<Cluster>, measured: &[Measured]) -> Runs<'a> {
    Runs::new(cluster, measured.iter().map(Measured::run).collect()).expect("runs")
}

/// What is believed of such a cluster before anything was measured on it.
pub(crate) fn priors() -> ClusterProfile {
    toml::from_str(PRIORS).expect("a profile")
}

/// The cluster of a profile.
pub(crate) fn loaded(profile: &ClusterProfile) -> Loaded<Cluster> {
    let library = Library::new(Vec::new());
    let gpu = library.gpu(&profile.gpu).expect("a gpu").profile.1;
    let model = library.model(&profile.model).expect("a model").profile.1;
    let cluster = profile.cluster(gpu, model).expect("a cluster");
    Loaded { name: "priors".to_owned(), origin: Origin::Shipped, profile: cluster }
}

/// TPOT of every run, TTFT of those that are not saturated, and what the others serve.
fn figures_of(measured: &Measured, (ttft_ms, tpot_ms, served): (f64, f64, f64)) -> [f64; 2] {
    [tpot_ms, if measured.is_saturated() { served } else { ttft_ms }]
}

pub(crate) fn predicted(figures: &Figures) -> (f64, f64, f64) {
    (figures.ttft.mean.unwrap_or(0.0), figures.tpot.mean.unwrap_or(0.0), figures.served_rps)
}

/// The fit to the runs of 1P1D.
fn calibration() -> (ClusterProfile, Fitted) {
    let profile = priors();
    let known: Vec<Measured> = measured().into_iter().filter(|row| row.split == "1P1D").collect();
    assert_eq!(known.len(), 5);
    let fitted = fitted(&loaded(&profile), &known, &FREE);
    (profile, fitted)
}

/// `cluster` with the constants called `free` moved to where they explain `known` best.
pub(crate) fn fitted(cluster: &Loaded<Cluster>, known: &[Measured], free: &[&str]) -> Fitted {
    let of = |row: &Measured| {
        // What was not measured is left out of a fit as 0.
        let figures = (row.ttft_ms.unwrap_or(0.0), row.tpot_ms, row.achieved.unwrap_or(0.0));
        figures_of(row, figures)
    };
    let values: Vec<f64> = known.iter().flat_map(of).collect();
    let runs = runs(cluster, known);
    let free: Vec<Free> = free.iter().map(|name| Free::named(name).expect(name)).collect();
    fit_to(&cluster.profile.deployment, &free, &values, |deployment| {
        let figures = runs.figures(deployment).expect("figures");
        figures.iter().zip(known).flat_map(|(figures, row)| figures_of(row, predicted(figures))).collect()
    })
}

const SOURCE: &str =
    "1P1D runs of 16K prompts and answers of 1K, 0.25 to 3 requests/s: MI325X, vLLM 0.18 on Ray Serve, June 2026";
const COMMENT: &str = "\
Four nodes of eight MI325X, one unit a node: the machines on which prefill-decode disaggregation was measured in June 2026
(vLLM 0.18 on Ray Serve, KV handed off in fp8 over RoCE, dummy weights with uniformly random routing).

Written by a test, `cargo test --workspace --test perf_accuracy`, from what is believed of such GPUs in general
(loadgen/tests/data/perf/mi325x-qwen3-235b-priors.toml) and from the five 1P1D runs among those measured
(loadgen/tests/data/perf/mi325x_qwen3_235b.csv); nothing of the other runs is in it.

What no data sheet tells: `kind` is `measured`, `fitted` (the best fit of this model to measurements of something larger), or
`prior`: a guess. `spread` is the standard deviation of a constant by itself.";

#[test]
fn the_shipped_profile_is_the_fit_to_the_runs_of_one_pair() {
    let (profile, fitted) = calibration();
    as_shipped("mi325x-qwen3-235b", &profile.calibrated(&fitted, SOURCE), COMMENT);
}

/// Fails where the shipped profile called `name` is not `ours` with `comment` above it; with `PDTUNE_WRITE_PROFILES` set, it is
/// written anew.
pub(crate) fn as_shipped(name: &str, ours: &ClusterProfile, comment: &str) {
    let text = ours.to_toml(comment);
    if std::env::var_os("PDTUNE_WRITE_PROFILES").is_some() {
        let path = format!("{}/../profiles/cluster/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, &text).expect("written");
        return;
    }
    let shipped = Library::new(Vec::new()).text(loadgen::profile::Kind::Cluster, name).expect("a text");
    assert!(shipped.profile.starts_with(text.split_once("[constants.all]").expect("constants").0), "{text}");
    let shipped: ClusterProfile = toml::from_str(&shipped.profile).expect("a profile");
    for (one, other) in
        [(&ours.constants.all, &shipped.constants.all), (&ours.constants.prompt, &shipped.constants.prompt)]
    {
        assert!(one.keys().eq(other.keys()));
        for ((constant, one), other) in one.iter().zip(other.values()) {
            // Logarithms are not the same to the bit on every machine.
            let close = (one.value / other.value - 1.0).abs() < 1e-3 && (one.spread / other.spread - 1.0).abs() < 1e-2;
            assert!(close && (one.kind, &one.source) == (other.kind, &other.source), "{constant:?}: {one:?} {other:?}");
        }
    }
    let (one, other) = (ours.posterior.as_ref().expect("a belief"), shipped.posterior.expect("a belief"));
    assert_eq!(one.constants, other.constants);
    for (row, (one, other)) in one.covariance.iter().zip(&other.covariance).enumerate() {
        for (one, other) in one.iter().zip(other) {
            assert!((one - other).abs() < 1e-2 * one.abs().max(1e-3), "row {row}: {one} {other}");
        }
    }
}
