//! What every split of a simulated cluster gives under a load: goodput, latencies, cost, each with an interval.
//!
//! ```text
//!   load ─► Rows (due times and lengths, drawn once) ──────────────┐
//!   cluster ─► draws of its constants ─► tables, one set a draw ───┤
//!                                                                  ▼
//!                     for every split and draw: the scheduler in virtual time ─► samples ─► Figures
//!                                                                  ▼
//!                                     intervals over the draws, the winner
//!                                                                  ▼
//!                     the best of them under half and twice the load's lengths, hits and rate ─► advice in words
//! ```
//!
//! The first draw is the profile as it stands and gives the middle of every interval; the others move constants together where
//! a calibration says how, each within its spread where none does, and shift the load to another stretch of the same
//! distribution. All splits see the same draws, so that what tells them apart is not luck. Results depend on the seed alone, not on how many threads there are.

mod advice;
pub(crate) mod constants;
pub(crate) mod figures;
mod procedure;
pub(crate) mod rows;
mod runs;
mod search;
mod sensitivity;
pub(crate) mod simulate;
mod splits;
pub(crate) mod steady;
mod stretch;
mod trials;
mod usage;
mod work;

use engine::executor::sim::Unusable;
use engine::units::Split;
use serde::Serialize;

pub use advice::Finding;
pub(crate) use figures::WINDOW;
pub use figures::{Figures, Limit};
pub use procedure::Procedure;
pub use runs::{Run, Runs};
pub use sensitivity::{Change, Outcome, Quantity};
pub use splits::candidates;
pub use trials::Trials;
pub use usage::Busy;

use crate::profile::{Cluster, Loaded, TooManyUnits};
use crate::schedule::{LoadError, LoadSpec};
use crate::slo::Slo;
use crate::summary::Statistics;
use simulate::World;
use stretch::Stretch;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The cluster.
    pub cluster: Loaded<Cluster>,
    /// The load. Its rate is scaled.
    pub load: LoadSpec,
    /// What makes a request good.
    pub slo: Slo,
    /// The share of requests that has to be good.
    pub attainment: f64,
    /// How it is measured.
    pub procedure: Procedure,
    /// Requests per second; without it, the most at which the SLO is met is looked for.
    pub rate: Option<f64>,
    /// The splits; without any, all of the cluster's units.
    pub splits: Vec<Split>,
    /// Requests of each simulation at first: synthetic loads have as many more as it takes for units to fill.
    pub requests: u64,
    /// Draws of the constants beside the profile's own.
    pub draws: u32,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A split needs more units than there are.
    #[error(transparent)]
    Units(#[from] TooManyUnits),
    /// A bound that is not predicted.
    #[error("plan predicts ttft, tpot and e2e; {0} of the SLO is not predicted")]
    Bound(&'static str),
    /// The load cannot be offered.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The load ends too early to be measured.
    #[error("{found} requests are too few to measure, at least {needed} are needed")]
    TooFew {
        /// Requests of the load.
        found: usize,
        /// Least number.
        needed: usize,
    },
    /// The constants lead to times that are none.
    #[error("cluster {cluster}: {why}")]
    Unusable {
        /// The cluster's name.
        cluster: String,
        /// What is wrong.
        why: Unusable,
    },
}

/// A figure with what is known of its error: nine times in ten it is between `lo` and `hi`, as far as the spreads of the
/// constants are honest and the model is right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Interval {
    /// The 5th percentile over the draws.
    pub lo: f64,
    /// The profile as it stands.
    pub mid: f64,
    /// The 95th percentile over the draws.
    pub hi: f64,
}

impl Interval {
    /// Around the first of `values`, which stand for the draws.
    pub(crate) fn of(values: &[f64]) -> Self {
        let mid = values.first().copied().unwrap_or(f64::NAN);
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        // The nearest rank; of few draws the outermost.
        let rank = |share: f64| sorted.get(((sorted.len() - 1) as f64 * share).round() as usize).copied();
        let (lo, hi) = (rank(0.05).unwrap_or(mid), rank(0.95).unwrap_or(mid));
        Self { lo: lo.min(mid), mid, hi: hi.max(mid) }
    }
}

/// What one split gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SplitPlan {
    /// The split, as it is written.
    pub split: String,
    /// The split.
    #[serde(skip)]
    pub roles: Split,
    /// Whether the highest rate was found; otherwise the SLO is met at any that was tried.
    #[serde(skip)]
    pub is_bounded: bool,
    /// Whether enough was simulated of it: of a trace there may be too little.
    #[serde(skip)]
    pub is_settled: bool,
    /// Its GPUs.
    pub gpus: u32,
    /// Tokens of a step of aggregated units, the best of those tried; `None` without such units.
    pub chunk: Option<u32>,
    /// Requests per second that were offered, in the middle of the interval.
    pub offered_rps: f64,
    /// Good requests per second.
    pub goodput_rps: Interval,
    /// Good over offered requests.
    pub attainment: Interval,
    /// TTFT in milliseconds.
    pub ttft_ms: Statistics,
    /// TPOT in milliseconds.
    pub tpot_ms: Statistics,
    /// What limits.
    pub limit: Limit,
    /// GPUs of as many copies of this split as serve the rate asked for; `None` when no rate was given or no number of copies
    /// that was tried does.
    pub gpus_for_rate: Option<u32>,
    /// US dollars for a million tokens of good and other answers, over the interval of prices and of the rate.
    pub usd_per_mtok: Interval,
    /// Seconds of its GPUs for a good request, idle ones included; `None` when nothing is good.
    pub gpu_s_per_good: Option<f64>,
    /// How busy its units are.
    pub busy: Busy,
    /// Prompt tokens that were cached, of all.
    pub prefix_hit: f64,
}

impl SplitPlan {
    /// Whether all units either prefill or decode.
    pub(crate) fn is_disaggregated(&self) -> bool {
        self.roles.aggregated == 0
    }

    /// Whether all units do both.
    pub(crate) fn is_aggregated(&self) -> bool {
        self.roles.prefill + self.roles.decode == 0
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Version of this object.
    pub schema: u32,
    /// The cluster's name.
    pub cluster: String,
    /// GPUs of its units.
    pub gpus: u32,
    /// The SLO, as it is written.
    pub slo: String,
    /// The split with the most goodput for each GPU, if any has some.
    pub best: Option<String>,
    /// The share of requests that had to be good.
    pub attainment_level: f64,
    /// All splits, the best first.
    pub splits: Vec<SplitPlan>,
    /// What follows, in words.
    pub advice: Vec<String>,
    /// How it was measured.
    pub procedure: String,
    /// The rate that was asked for.
    pub rate: Option<f64>,
    /// Requests of each simulation at first.
    pub requests: u64,
    /// Draws behind each interval, the profile's own included.
    pub draws: u32,
    /// The seed.
    pub seed: u64,
    /// Who wins when something about the load is different.
    pub sensitivity: Vec<Change>,
}

/// Answers `question`; `told` hears how many of how many pieces of work are done: splits, then changes of the load.
///
/// # Errors
/// When the SLO has bounds that are not predicted, a split does not fit, or the load cannot be offered.
pub fn plan(question: &Question, told: impl Fn(usize, usize) + Sync) -> Result<Plan, PlanError> {
    let cluster = &question.cluster.profile;
    let splits = if question.splits.is_empty() { candidates(cluster.units) } else { question.splits.clone() };
    for split in &splits {
        question.cluster.check_units(*split)?;
    }
    let world = world(question)?;
    let variations = sensitivity::variations(question);
    let all = splits.len() + variations.len();
    let mut plans = work::map(&splits, |split| splits::plan(&world, *split, question.rate), |done, _| told(done, all));
    let per_gpu = |plan: &SplitPlan| plan.goodput_rps.mid / f64::from(plan.gpus);
    // Where nothing is good, what is least bad goes first; the order of the list decides what is left.
    plans.sort_by(|a, b| per_gpu(b).total_cmp(&per_gpu(a)).then(b.attainment.mid.total_cmp(&a.attainment.mid)));
    let tried = |variation: &sensitivity::Variation| sensitivity::outcome(question, &world, &plans, *variation);
    let outcomes = work::map(&variations, tried, |done, _| told(splits.len() + done, all));
    let sensitivity = sensitivity::sensitivity(&variations, outcomes);
    let findings = advice::findings(&plans, &world, question, sensitivity.as_ref());
    let gpus = cluster.deployment.parts().parallel.gpus() * u32::from(cluster.units);
    Ok(Plan {
        schema: 1,
        cluster: question.cluster.name.clone(),
        gpus,
        slo: question.slo.to_string(),
        best: plans.first().filter(|plan| plan.goodput_rps.mid > 0.0).map(|plan| plan.split.clone()),
        attainment_level: question.attainment,
        splits: plans,
        advice: findings.iter().map(ToString::to_string).collect(),
        procedure: question.procedure.to_string(),
        rate: question.rate,
        requests: world.first().map_or(0, |rows| rows.len() as u64),
        draws: question.draws + 1,
        seed: question.load.seed,
        sensitivity: sensitivity.map_or_else(Vec::new, |sensitivity| sensitivity.changes),
    })
}

/// What the simulations of `question` have in common.
fn world(question: &Question) -> Result<World<'_>, PlanError> {
    let Loaded { name, profile: cluster, .. } = &question.cluster;
    for (bound, name) in [(question.slo.itl_p99, "itl.p99"), (question.slo.itl_mean, "itl.mean")] {
        if bound.is_some() {
            return Err(PlanError::Bound(name));
        }
    }
    let unusable = |why| PlanError::Unusable { cluster: name.clone(), why };
    Ok(World {
        loads: Stretch::of_draws(question, cluster.limits(), &cluster.config)?,
        tables: constants::tables(cluster, question.load.seed, question.draws).map_err(unusable)?,
        cluster,
        slo: question.slo,
        attainment: question.attainment,
        procedure: question.procedure,
    })
}

#[cfg(test)]
mod honesty;
#[cfg(test)]
mod tests;
