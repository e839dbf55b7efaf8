//! What the steps say together.

use serde::Serialize;

use super::edge::{Share, edge};
use super::hunt::Hunt;
use super::{Goal, Limit, Step, Verdict};
use crate::plan::Procedure;

/// The highest rate; each end is `None` where nothing is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub lo: Option<f64>,
    /// The estimate.
    pub mid: Option<f64>,
    /// Its upper end.
    pub hi: Option<f64>,
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Found {
    /// Requests per second.
    pub rate_rps: Interval,
    /// How the interval was made, in words.
    pub interval: String,
    /// What gives way a little above it.
    pub limit: Limit,
}

impl Found {
    pub(super) fn of(goal: &Goal, hunt: &Hunt, steps: &[Step], alike: f64) -> Self {
        let Some(low) = hunt.low else {
            let highest = hunt.high.filter(|(_, client)| !client).map(|(high, _)| high);
            let last = steps.iter().rev().find(|step| step.verdict != Verdict::Undecided);
            return Self {
                rate_rps: Interval { hi: highest, ..Interval::default() },
                interval: "met at no rate that was tried".to_owned(),
                limit: last.map_or(Limit::None, |step| step.limit),
            };
        };
        let Some((high, by_client)) = hunt.high else {
            return Self {
                rate_rps: Interval { lo: Some(low), mid: Some(low), hi: None },
                interval: "met at every rate that was tried".to_owned(),
                limit: Limit::None,
            };
        };
        let failed = |step: &&Step| step.rate_rps >= high && step.verdict != Verdict::Undecided;
        let nearest = steps.iter().filter(failed).min_by(|a, b| a.rate_rps.total_cmp(&b.rate_rps));
        let limit = nearest.map_or(Limit::None, |step| step.limit);
        if by_client {
            return Self {
                rate_rps: Interval { lo: Some(low), mid: Some(low), hi: None },
                interval: "the highest rate met; above it the client is the limit, and nothing is known".to_owned(),
                limit,
            };
        }
        let bracket = Self {
            rate_rps: Interval { lo: Some(low), mid: Some(low), hi: Some(high) },
            interval: "the highest rate met and the lowest that was not, each tried once".to_owned(),
            limit,
        };
        if matches!(goal.procedure, Procedure::Burst(_)) {
            return bracket;
        }
        let tells = |step: &&Step| step.judged > 0 && matches!(step.verdict, Verdict::Met | Verdict::Missed);
        let share = |step: &Step| Share {
            rate: step.rate_rps,
            good: step.attainment.mid,
            of: step.judged as f64 / alike.max(step.alike),
        };
        let shares: Vec<Share> = steps.iter().filter(tells).map(share).collect();
        let backlog = |step: &&Step| step.verdict == Verdict::Unsteady;
        let below = steps.iter().filter(backlog).map(|step| step.rate_rps).reduce(f64::min);
        let Some(found) = edge(&shares, goal.attainment, below) else { return bracket };
        Self {
            rate_rps: Interval { lo: Some(found.lo), mid: Some(found.mid), hi: Some(found.hi) },
            interval:
                "90 %, from the profile likelihood of a logistic curve of attainment over the logarithm of the rate \
                       through all steps, each worth as many requests as are independent in the step where neighbours \
                       are most alike, and below every rate at which a backlog grew"
                    .to_owned(),
            limit,
        }
    }
}
