//! What follows from a plan, as findings; [`words`] says them.

mod words;

use super::figures::Limit;
use super::sensitivity::{Outcome, Quantity, Sensitivity};
use super::simulate::{Setting, World};
use super::{Change, Interval, Question, SplitPlan};

/// A TPOT that is shorter by less is worth nothing to anybody, in milliseconds.
const HARDLY_MS: f64 = 0.1;

/// A finding.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Nothing meets the SLO.
    Hopeless,
    /// The SLO is met at any rate that was tried: that is no capacity.
    Unbounded {
        /// The split.
        split: String,
    },
    /// The load ends before units have filled and what piles up can be told.
    TooShort {
        /// The split.
        split: String,
    },
    /// Disaggregated and aggregated at their best, by goodput for each GPU.
    Compared {
        /// The best disaggregated split.
        pd: String,
        /// The aggregated one.
        aggregated: String,
        /// Goodput for each GPU of the first over that of the second.
        ratio: f64,
        /// What the intervals of the two say of it.
        certainty: Certainty,
    },
    /// What a split gives way to.
    Limited {
        /// The split.
        split: String,
        /// What.
        limit: Limit,
        /// The share of their time that its units which prefill compute, where others decode.
        prefill_busy: Option<f64>,
    },
    /// What the hand-off alone adds to TTFT.
    HandOff {
        /// Milliseconds, at the mean prompt, without a queue.
        ms: f64,
        /// Share of the best disaggregated split's mean TTFT.
        share: Option<f64>,
    },
    /// What a shorter TPOT is worth.
    Saved {
        /// The split that is faster.
        split: String,
        /// The one that it is held against.
        against: String,
        /// Milliseconds a token.
        ms: f64,
        /// Tokens of the mean answer.
        tokens: f64,
        /// Milliseconds a token of the slower one.
        of: f64,
        /// Requests per second for each GPU at which both are looked at.
        rps_per_gpu: f64,
    },
    /// Who wins when one thing about the load is different.
    Moved {
        /// What, and what comes of it.
        changes: Vec<Change>,
        /// Of the load as it was asked about.
        base: Outcome,
    },
    /// Where disaggregated and aggregated change places, between two values that were tried.
    Flips {
        /// Of what.
        what: Quantity,
        /// At which value.
        at: f64,
        /// Whether disaggregated wins above it.
        pd_above: bool,
    },
}

/// What intervals say of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// They are apart.
    Apart,
    /// They overlap.
    Overlapping,
    /// There are none.
    Unknown,
}

/// What follows from `plans`, the best of them first.
pub(super) fn findings(
    plans: &[SplitPlan],
    world: &World<'_>,
    question: &Question,
    sensitivity: Option<&Sensitivity>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_good = |plan: &&SplitPlan| plan.goodput_rps.mid > 0.0;
    if !plans.iter().any(|plan| is_good(&plan)) {
        findings.push(Finding::Hopeless);
    }
    let pd = plans.iter().find(|plan| plan.is_disaggregated());
    let aggregated = plans.iter().find(|plan| plan.is_aggregated());
    let unbounded = plans.iter().filter(|plan| !plan.is_bounded);
    findings.extend(unbounded.map(|plan| Finding::Unbounded { split: plan.split.clone() }));
    let bounded = findings.is_empty();
    if let Some((pd, aggregated)) = pd.filter(is_good).zip(aggregated.filter(is_good)).filter(|_| bounded) {
        findings.push(compared(pd, aggregated, world.tables.len() > 1));
    }
    let short = plans.iter().filter(|plan| !plan.is_settled);
    findings.extend(short.map(|plan| Finding::TooShort { split: plan.split.clone() }));
    let limited = plans.iter().filter(|plan| plan.limit != Limit::None);
    findings.extend(limited.map(|plan| {
        let prefill_busy = plan.busy.prefill.filter(|_| plan.busy.decode.is_some() && plan.goodput_rps.mid > 0.0);
        Finding::Limited { split: plan.split.clone(), limit: plan.limit, prefill_busy }
    }));
    let (isl, _) = world.first().map_or((0.0, 0.0), |rows| rows.mean_lengths());
    if let Some(pd) = pd {
        let deployment = &world.cluster.deployment;
        let ms = deployment.handoff_seconds(isl as u32) * 1e3;
        findings.push(Finding::HandOff { ms, share: pd.ttft_ms.mean.map(|mean| ms / mean) });
    }
    findings.extend(pd.zip(aggregated).and_then(|(pd, aggregated)| saved(pd, aggregated, world, question.rate)));
    if let Some(sensitivity) = sensitivity.filter(|_| bounded) {
        for what in [Quantity::Isl, Quantity::Osl, Quantity::PrefixHit, Quantity::Rate] {
            let changes: Vec<_> = sensitivity.changes.iter().filter(|change| change.what == what).cloned().collect();
            if !changes.is_empty() {
                findings.push(Finding::Moved { changes, base: sensitivity.base.clone() });
            }
        }
        let flips = sensitivity.flips().into_iter();
        findings.extend(flips.map(|(what, at, pd_above)| Finding::Flips { what, at, pd_above }));
    }
    findings
}

/// The best disaggregated split against the aggregated one.
fn compared(pd: &SplitPlan, aggregated: &SplitPlan, has_intervals: bool) -> Finding {
    let per_gpu = |plan: &SplitPlan| {
        let Interval { lo, mid, hi } = plan.goodput_rps;
        [lo, mid, hi].map(|rate| rate / f64::from(plan.gpus))
    };
    let (a, b) = (per_gpu(pd), per_gpu(aggregated));
    let certainty = match () {
        () if !has_intervals => Certainty::Unknown,
        () if a[0] > b[2] || b[0] > a[2] => Certainty::Apart,
        () => Certainty::Overlapping,
    };
    Finding::Compared { pd: pd.split.clone(), aggregated: aggregated.split.clone(), ratio: a[1] / b[1], certainty }
}

/// What the faster tokens of one are worth, at one rate for each GPU: what was asked about, or the most that both bear.
fn saved(pd: &SplitPlan, aggregated: &SplitPlan, world: &World<'_>, rate: Option<f64>) -> Option<Finding> {
    let per_gpu = |plan: &SplitPlan| plan.offered_rps / f64::from(plan.gpus);
    let rps_per_gpu = match rate {
        // Of splits of unlike size, each is asked for the whole rate: there is no one rate for a GPU.
        Some(_) if pd.gpus != aggregated.gpus => return None,
        Some(rate) => rate / f64::from(pd.gpus),
        None => per_gpu(pd).min(per_gpu(aggregated)),
    };
    if rps_per_gpu <= 0.0 {
        return None;
    }
    let tpot = |plan: &SplitPlan| {
        if rate.is_some() {
            return plan.tpot_ms.mean;
        }
        let setting = Setting { split: plan.roles, chunk: plan.chunk };
        world.figures(setting, 0, rps_per_gpu * f64::from(plan.gpus)).tpot.mean
    };
    let (fast, slow) = tpot(pd).zip(tpot(aggregated))?;
    let ((split, fast), (against, slow)) =
        if fast <= slow { ((pd, fast), (aggregated, slow)) } else { ((aggregated, slow), (pd, fast)) };
    if slow - fast < HARDLY_MS {
        return None;
    }
    let tokens = world.first().map_or(0.0, |rows| rows.mean_lengths().1);
    let (split, against) = (split.split.clone(), against.split.clone());
    Some(Finding::Saved { split, against, ms: slow - fast, tokens, of: slow, rps_per_gpu })
}
