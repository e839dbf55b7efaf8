//! The highest open-loop rate at which a target meets an SLO.
//!
//! ```text
//!   Search: steps so far ─► the next rate ─► one bounded run at it ─► Judge: met, missed, unsteady, the client's fault
//!      ▲                                                                  │
//!      └──────────────────────────────────────────────────────────────────┘       at the end: Found, with an interval
//! ```
//!
//! Rates are bracketed by factors of two and bisected by ratio. A step is a run of its own on an empty system: its first fifth
//! and its last tenth are not judged, a backlog that grows counts against it whatever the SLO says, and it ends as soon as its
//! verdict is nearly sure. What the client is to blame for is never taken for the server's limit. Deciding is pure; [`WallSearch`]
//! runs steps against real targets, [`simulated`](fn@simulated) simulates them.

mod attainment;
mod edge;
mod found;
mod hunt;
mod judge;
mod report;
mod seen;
mod simulated;
mod steady;
mod wall;

use serde::Serialize;

pub use found::{Found, Interval};
pub use report::Report;
pub use simulated::simulated;
pub use wall::{Ask, Question, StepError, WallSearch};

use crate::plan::{self, Procedure};
use crate::slo::Slo;
use crate::summary::Statistics;
use hunt::Hunt;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// What makes a request good.
    pub slo: Slo,
    /// The share of requests that has to be good.
    pub attainment: f64,
    /// How it is measured.
    pub procedure: Procedure,
    /// Requests per second of the first step.
    pub start_rps: f64,
    /// Ratio of the rates to either side of the edge at which the search ends.
    pub resolution: f64,
    /// Steps at most.
    pub steps: u32,
}

/// What became of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Enough requests were good, in a steady state.
    Met,
    /// Too few were.
    Missed,
    /// Enough were so far, but fewer are served than arrive.
    Unsteady,
    /// The client was the limit.
    Client,
    /// It was ended before it could tell.
    #[default]
    Undecided,
}

/// What gave way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// Nothing.
    #[default]
    None,
    /// The bound on TTFT.
    Ttft,
    /// The bound on TPOT.
    Tpot,
    /// A bound on ITL.
    Itl,
    /// The bound on E2E.
    E2e,
    /// Requests failed.
    Errors,
    /// More arrive than are served.
    Backlog,
    /// The client.
    Client,
    /// Of a simulated cluster: units that prefill.
    Prefill,
    /// Of a simulated cluster: prompts wait for units that decode.
    #[serde(rename = "hand-off")]
    HandOff,
    /// Of a simulated cluster: units that decode.
    Decode,
}

/// One rate that was tried.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Step {
    /// Requests offered per second.
    pub rate_rps: f64,
    /// The seed of its load: each step has other prompts, so that none is found in a prefix cache.
    pub seed: u64,
    /// Requests that were sent and ended by themselves.
    pub requests: u64,
    /// Those that were judged.
    pub judged: u64,
    /// The good ones of them; of a burst, all or none.
    pub good: u64,
    /// Good over judged, with the 90 % score interval for as many independent requests as they are worth; of a simulation, as if
    /// all of them were.
    pub attainment: plan::Interval,
    /// TTFT of those judged.
    pub ttft_ms: Statistics,
    /// TPOT of those judged.
    pub tpot_ms: Statistics,
    /// Whether the judged ones are of a steady state.
    pub steady: bool,
    /// What became of it.
    pub verdict: Verdict,
    /// What gave way.
    pub limit: Limit,
    /// Why it is not steady, or what the client did.
    pub why: Option<String>,
    /// How long it took, in seconds of the target's time.
    pub seconds: f64,
    /// How many of the judged ones are worth one that is independent, in this step or one before.
    #[serde(skip)]
    alike: f64,
    /// The 95th percentile of E2E in seconds.
    #[serde(skip)]
    e2e_p95_s: f64,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stopped {
    /// There is nothing left to find.
    Found,
    /// Its time was up.
    Budget,
    /// As many steps were made as allowed.
    Steps,
    /// It was told to.
    Interrupted,
    /// The target was lost.
    Target,
}

/// The search: what was tried, and what is tried next.
#[derive(Clone, Debug)]
pub struct Search {
    goal: Goal,
    hunt: Hunt,
    steps: Vec<Step>,
}

impl Search {
    /// Before the first step; no rate is above `most_rps`.
    pub fn new(goal: Goal, most_rps: f64) -> Self {
        let most = match goal.procedure {
            Procedure::Sustained => most_rps,
            // All in a second: whoever bears that bears any rate.
            Procedure::Burst(requests) => most_rps.min(f64::from(requests)),
        };
        Self { goal, hunt: Hunt::new(goal.start_rps, most, goal.resolution), steps: Vec::new() }
    }

    /// The rate of the next step; why there is none.
    ///
    /// # Errors
    /// When the edge is found, or there were too many steps.
    pub fn next(&self) -> Result<f64, Stopped> {
        let rate = self.hunt.next().ok_or(Stopped::Found)?;
        if self.steps.len() >= self.goal.steps as usize { Err(Stopped::Steps) } else { Ok(rate) }
    }

    /// What came of a step.
    pub fn told(&mut self, step: Step) {
        self.hunt.told(step.rate_rps, step.verdict);
        self.steps.push(step);
    }

    /// All steps so far.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How many requests are worth one that is independent, as far as steps have told. One in which a backlog grew, so that it
    /// began with good requests and ended with others, tells nothing of that.
    fn alike(&self) -> f64 {
        self.steps.iter().filter(|step| step.steady).map(|step| step.alike).fold(1.0, f64::max)
    }

    /// What is known by now.
    pub fn found(&self) -> Found {
        Found::of(&self.goal, &self.hunt, &self.steps, self.alike())
    }
}

#[cfg(test)]
mod tests;
