//! A search as it is told to scripts.

use serde::Serialize;

use super::found::Interval;
use super::{Found, Goal, Limit, Search, Step, Stopped};

/// What `pdtune search --json` prints. The keys and their order are a promise to scripts; new keys go to the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The version of these keys.
    pub schema: u32,
    /// The target as the user named it.
    pub target: String,
    /// The split, where the target tells.
    pub split: Option<String>,
    /// The seed of the search; each step has its own.
    pub seed: u64,
    /// The SLO, as it is written.
    pub slo: String,
    /// The share of requests that had to be good.
    pub attainment_level: f64,
    /// How it was measured.
    pub procedure: String,
    /// The highest rate in requests per second.
    pub rate_rps: Interval,
    /// What gives way a little above it.
    pub limit: Limit,
    /// All rates that were tried, in their order.
    pub steps: Vec<Step>,
    /// How the interval was made, in words.
    pub interval: String,
    /// Why it ended.
    pub stopped: Stopped,
}

impl Report {
    /// Of a search of `target` that has ended.
    pub fn new(
        (target, split, seed): (String, Option<String>, u64),
        goal: &Goal,
        search: &Search,
        found: Found,
        stopped: Stopped,
    ) -> Self {
        Self {
            schema: 1,
            target,
            split,
            seed,
            slo: goal.slo.to_string(),
            attainment_level: goal.attainment,
            procedure: goal.procedure.to_string(),
            rate_rps: found.rate_rps,
            limit: found.limit,
            steps: search.steps().to_vec(),
            interval: found.interval,
            stopped,
        }
    }

    /// Whether the SLO was met at some rate.
    pub fn is_met(&self) -> bool {
        self.rate_rps.mid.is_some()
    }
}
