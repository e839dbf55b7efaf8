//! `pdtune search`: a target, a load, an SLO, and how long it may take.

use anyhow::{Context, ensure};
use clap::Args;
use loadgen::arrival::RatePlan;
use loadgen::plan::Procedure;
use loadgen::profile::Library;
use loadgen::schedule::{LoadSpec, Traffic};
use loadgen::search::Goal;
use loadgen::time::Micros;

use super::load::{LoadArgs, parse_positive_duration};
use super::plan::{ATTAINMENT, DRAWS, MOST_REQUESTS, REQUESTS, parse_share};
use super::ready::{Ready, ReadyArgs};
use super::target::{TargetArgs, TargetSpec};

/// Requests judged in a step of a run, unless told otherwise: the share of good ones to about four in a hundred.
const JUDGED: u64 = 300;
/// Requests of a step of a run at most.
const MOST_JUDGED: u64 = 100_000;
/// How close the rates to either side of the edge are at the end: of runs, whose noise is more than that, and of simulations.
const RESOLUTION: (f64, f64) = (1.05, 1.005);
/// Wall time of everything, unless told otherwise.
const BUDGET: Micros = Micros(600_000_000);
/// Steps, unless told otherwise.
const STEPS: u32 = 30;

#[derive(Args, Debug)]
pub(super) struct SearchArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    ready: ReadyArgs,
    #[command(flatten)]
    load: LoadArgs,
    /// Share of the requests that has to be good [default: 0.9]
    #[arg(long, value_name = "SHARE", value_parser = parse_share, help_heading = "Search")]
    attainment: Option<f64>,
    /// How it is measured: `sustained` (a window in steady state, every request judged) or `burst:N` (N evenly spaced requests
    /// into an empty system, their means judged, as published figures often are) [default: sustained]
    #[arg(long, value_name = "PROCEDURE", help_heading = "Search")]
    procedure: Option<Procedure>,
    /// Time for all steps; when it is up, what is known by then is told. Not for simulated clusters [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration, help_heading = "Search")]
    budget: Option<Micros>,
    /// Steps at most
    #[arg(long, value_name = "N", default_value_t = STEPS, value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Search")]
    steps: u32,
    /// Simulated clusters only: draws of the constants, each within its spread, behind the interval; 0 leaves it out
    /// [default: 19]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=1000), help_heading = "Search")]
    draws: Option<u32>,
    /// Print one JSON object instead of a table
    #[arg(long, help_heading = "Output")]
    json: bool,
}

/// What to look for, and how to tell.
#[derive(Clone, Debug)]
pub struct SearchOptions {
    /// Where the load goes.
    pub target: TargetSpec,
    /// How long it is waited for.
    pub ready: Ready,
    /// The load.
    pub load: LoadSpec,
    /// What is looked for.
    pub goal: Goal,
    /// Requests of a step: of a run, those judged at most; of a simulation, all.
    pub requests: u64,
    /// Wall time of all runs.
    pub budget: Micros,
    /// Draws of a simulated cluster's constants.
    pub draws: u32,
    /// Whether as JSON.
    pub json: bool,
}

impl SearchArgs {
    /// # Errors
    /// When a profile is missing or wrong, there is no SLO, or an option has no meaning here.
    pub(super) fn resolve(self, library: &Library) -> anyhow::Result<SearchOptions> {
        let scenario = self.load.scenario(library)?;
        let said = self.load.steady_rate()?;
        let unguarded = self.load.check_unguarded();
        let load = self.load.resolve(library, false)?;
        let slo =
            load.slo.context("search needs --slo, or a --workload that has one\nhint: --slo ttft=2s,tpot=200ms")?;
        ensure!(!self.target.is_scaled(), "--time-scale is for wall time, and search simulates in virtual time");
        let (attainment, procedure) = scenario
            .as_ref()
            .map_or((None, None), |scenario| (scenario.profile.attainment, scenario.profile.procedure));
        let of_scenario = scenario.as_ref().and_then(|scenario| scenario.profile.rate);
        let target = self.target.resolve_beside(scenario, library)?;
        let simulated = matches!(target, TargetSpec::Sim(_));
        if simulated {
            unguarded?;
        }
        ensure!(simulated || self.draws.is_none(), "--draws is for simulated clusters\nhint: --target sim:CLUSTER");
        ensure!(!simulated || self.budget.is_none(), "--budget is for runs, and simulations take seconds");
        let (own, most) = if simulated { (REQUESTS, MOST_REQUESTS) } else { (JUDGED, MOST_JUDGED) };
        let traced = matches!(load.traffic, Traffic::Trace { .. });
        let requests = load.requests.unwrap_or(if simulated && traced { most } else { own });
        ensure!(requests <= most, "--requests {requests} are more than the {most} that are kept in memory");
        let own_rate = match load.traffic {
            Traffic::Synthetic { rate: RatePlan::Constant(rate), .. } => Some(rate),
            _ => None,
        };
        let start_rps = said.or(of_scenario).or(own_rate).unwrap_or(1.0);
        ensure!(start_rps > 0.0, "--rate is where the search starts, above 0");
        let resolution = if simulated { RESOLUTION.1 } else { RESOLUTION.0 };
        let goal = Goal {
            slo,
            attainment: self.attainment.or(attainment).unwrap_or(ATTAINMENT),
            procedure: self.procedure.or(procedure).unwrap_or_default(),
            start_rps,
            resolution,
            steps: self.steps,
        };
        Ok(SearchOptions {
            ready: self.ready.resolve(&target)?,
            target,
            load,
            goal,
            requests,
            budget: self.budget.unwrap_or(BUDGET),
            draws: self.draws.unwrap_or(DRAWS),
            json: self.json,
        })
    }
}
