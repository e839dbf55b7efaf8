//! `pdtune plan`: a cluster, a load, an SLO, and how to measure.

use anyhow::{Context, bail, ensure};
use clap::Args;
use engine::units::Split;
use loadgen::plan::{Procedure, Question};
use loadgen::profile::Library;
use loadgen::schedule::Traffic;
use loadgen::text::Malformed;

use super::load::LoadArgs;

/// Requests of a simulation, unless told otherwise: some minutes of a cluster, and the 99th percentile of 20.
pub(super) const REQUESTS: u64 = 2_000;
/// Requests of a simulation at most; of a trace, those that are taken unless told otherwise.
pub(super) const MOST_REQUESTS: u64 = 10_000_000;
/// Share of the requests that has to be good, unless told otherwise.
pub(super) const ATTAINMENT: f64 = 0.9;
/// Draws of the constants, unless told otherwise: fewer say little about 5th and 95th percentiles.
pub(super) const DRAWS: u32 = 19;

#[derive(Args, Debug)]
pub(super) struct PlanArgs {
    /// The cluster: GPUs, model, and how sure its constants are; `pdtune profiles list` shows them, a file works, too [default:
    /// that of --scenario]
    #[arg(long, value_name = "NAME|FILE", required_unless_present = "scenario", help_heading = "Cluster")]
    cluster: Option<String>,
    /// Only these splits, which may use fewer units than there are: --split 2P1D,3A [default: those of --scenario, else all of
    /// all units, and all of them aggregated]
    #[arg(long, value_name = "xPyD|nA,…", value_delimiter = ',', help_heading = "Cluster")]
    split: Vec<Split>,
    #[command(flatten)]
    load: LoadArgs,
    /// Share of the requests that has to be good [default: that of --scenario, else 0.9]
    #[arg(long, value_name = "SHARE", value_parser = parse_share, help_heading = "Plan")]
    attainment: Option<f64>,
    /// How it is measured: `sustained` (a window in steady state, every request judged) or `burst:N` (N evenly spaced requests
    /// into an empty system, their means judged, as published figures often are) [default: that of --scenario, else sustained]
    #[arg(long, value_name = "PROCEDURE", help_heading = "Plan")]
    procedure: Option<Procedure>,
    /// Draws of the constants, each within its spread, behind every interval; 0 leaves intervals out
    #[arg(long, value_name = "N", default_value_t = DRAWS, value_parser = clap::value_parser!(u32).range(0..=1000), help_heading = "Plan")]
    draws: u32,
    /// Print one JSON object instead of a table
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// What to plan, and how to tell.
#[derive(Clone, Debug)]
pub struct PlanOptions {
    /// What is asked.
    pub question: Question,
    /// Whether as JSON.
    pub json: bool,
}

pub(super) fn parse_share(text: &str) -> Result<f64, Malformed> {
    let share = text.parse().ok().filter(|share: &f64| *share > 0.0 && *share <= 1.0);
    let malformed = || Malformed { what: "a share", found: text.to_owned(), allowed: "above 0, at most 1".to_owned() };
    share.ok_or_else(malformed)
}

impl PlanArgs {
    /// # Errors
    /// When a profile is missing or wrong, there is no SLO, or an option has no meaning here.
    pub(super) fn resolve(self, library: &Library) -> anyhow::Result<PlanOptions> {
        self.load.check_unguarded()?;
        let scenario = self.load.scenario(library)?;
        let rate = self.load.steady_rate()?.or(scenario.as_ref().and_then(|scenario| scenario.profile.rate));
        let load = self.load.resolve(library, false)?;
        let slo = load.slo.context("plan needs --slo, or a --workload that has one\nhint: --slo ttft=2s,tpot=30ms")?;
        let (attainment, procedure) = scenario
            .as_ref()
            .map_or((None, None), |scenario| (scenario.profile.attainment, scenario.profile.procedure));
        let (cluster, splits) = match (self.cluster, scenario) {
            (Some(name), _) => (library.cluster(&name)?, Vec::new()),
            (None, Some(scenario)) => (scenario.profile.cluster, scenario.profile.splits),
            (None, None) => bail!("plan needs --cluster or --scenario"),
        };
        let splits = if self.split.is_empty() { splits } else { self.split };
        for split in &splits {
            cluster.check_units(*split)?;
        }
        let own = if matches!(load.traffic, Traffic::Trace { .. }) { MOST_REQUESTS } else { REQUESTS };
        let requests = load.requests.unwrap_or(own);
        ensure!(
            requests <= MOST_REQUESTS,
            "--requests {requests} are more than the {MOST_REQUESTS} that are kept in memory"
        );
        let question = Question {
            cluster,
            load,
            slo,
            attainment: self.attainment.or(attainment).unwrap_or(ATTAINMENT),
            procedure: self.procedure.or(procedure).unwrap_or_default(),
            rate,
            splits,
            requests,
            draws: self.draws,
        };
        Ok(PlanOptions { question, json: self.json })
    }
}
