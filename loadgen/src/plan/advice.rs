//! What follows from a plan, as findings and in words.

use std::fmt;

use super::figures::Limit;
use super::simulate::World;
use super::{Interval, SplitPlan};

/// A difference in goodput that nobody would notice.
const EVEN: f64 = 0.05;

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

/// What follows from `plans`, the best of them first. Latencies are held against each other only at one rate.
pub(super) fn findings(plans: &[SplitPlan], world: &World<'_>, at_one_rate: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_good = |plan: &&SplitPlan| plan.goodput_rps.mid > 0.0;
    if !plans.iter().any(|plan| is_good(&plan)) {
        findings.push(Finding::Hopeless);
    }
    let pd = plans.iter().find(|plan| plan.roles.aggregated == 0);
    let aggregated = plans.iter().find(|plan| plan.roles.prefill + plan.roles.decode == 0);
    let unbounded = plans.iter().filter(|plan| !plan.is_bounded);
    findings.extend(unbounded.map(|plan| Finding::Unbounded { split: plan.split.clone() }));
    let bounded = findings.is_empty();
    if let Some((pd, aggregated)) = pd.filter(is_good).zip(aggregated.filter(is_good)).filter(|_| bounded) {
        let per_gpu = |plan: &SplitPlan| {
            let Interval { lo, mid, hi } = plan.goodput_rps;
            [lo, mid, hi].map(|rate| rate / f64::from(plan.gpus))
        };
        let (a, b) = (per_gpu(pd), per_gpu(aggregated));
        let certainty = match () {
            () if world.tables.len() == 1 => Certainty::Unknown,
            () if a[0] > b[2] || b[0] > a[2] => Certainty::Apart,
            () => Certainty::Overlapping,
        };
        let (pd, aggregated) = (pd.split.clone(), aggregated.split.clone());
        findings.push(Finding::Compared { pd, aggregated, ratio: a[1] / b[1], certainty });
    }
    let limited = plans.iter().filter(|plan| plan.limit != Limit::None);
    findings.extend(limited.map(|plan| Finding::Limited { split: plan.split.clone(), limit: plan.limit }));
    let (isl, osl) = world.rows.first().map_or((0.0, 0.0), |rows| rows.mean_lengths());
    if let Some(pd) = pd {
        let deployment = &world.cluster.deployment;
        let ms = deployment.handoff_seconds(isl as u32) * 1e3;
        findings.push(Finding::HandOff { ms, share: pd.ttft_ms.mean.map(|mean| ms / mean) });
    }
    if let Some((pd, aggregated)) = pd.zip(aggregated).filter(|_| at_one_rate)
        && let Some((fast, slow)) = pd.tpot_ms.mean.zip(aggregated.tpot_ms.mean)
    {
        let (split, against, ms) = if fast <= slow {
            (&pd.split, &aggregated.split, slow - fast)
        } else {
            (&aggregated.split, &pd.split, fast - slow)
        };
        findings.push(Finding::Saved { split: split.clone(), against: against.clone(), ms, tokens: osl });
    }
    findings
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hopeless => f.write_str("no split meets the SLO: longer bounds, shorter prompts or other GPUs"),
            Self::Unbounded { split } => write!(
                f,
                "{split} meets the SLO at any rate that was tried: the burst is too short, or the SLO too narrow, to find its limit"
            ),
            Self::Compared { pd, aggregated, ratio, certainty } => {
                let doubt = match certainty {
                    Certainty::Apart => "",
                    Certainty::Overlapping => ", but the intervals overlap: measure before you decide",
                    Certainty::Unknown => ", if the constants are right: draws would tell how sure that is",
                };
                if (1.0 - EVEN..=1.0 + EVEN).contains(ratio) {
                    write!(
                        f,
                        "it hardly matters here: {pd} and {aggregated} give the same goodput for each GPU, within 5 %"
                    )
                } else if *ratio >= 1.0 {
                    write!(
                        f,
                        "disaggregated is right here: {pd} gives {ratio:.2} times the goodput of {aggregated} for each GPU{doubt}"
                    )
                } else {
                    let ratio = 1.0 / ratio;
                    write!(
                        f,
                        "aggregated is right here: {aggregated} gives {ratio:.2} times the goodput of {pd} for each GPU{doubt}"
                    )
                }
            }
            Self::Limited { split, limit } => match limit {
                Limit::Prefill => write!(f, "{split}: prompts wait for units that prefill"),
                Limit::HandOff => write!(f, "{split}: computed prompts wait for room on units that decode"),
                Limit::Decode => {
                    write!(f, "{split}: tokens come too slowly, too many sequences share the units that decode")
                }
                Limit::E2e => write!(f, "{split}: answers take too long altogether"),
                Limit::None => write!(f, "{split}: nothing gives way"),
            },
            Self::HandOff { ms, share } => {
                write!(f, "the hand-off of KV takes {ms:.0} ms for the mean prompt")?;
                share.map_or(Ok(()), |share| write!(f, ", {:.0} % of the best disaggregated TTFT", share * 100.0))
            }
            Self::Saved { split, against, ms, tokens } => {
                let answer = ms * tokens / 1e3;
                write!(
                    f,
                    "{split} is {ms:.1} ms a token faster than {against}: {answer:.1} s of an answer of {tokens:.0} tokens"
                )
            }
        }
    }
}
