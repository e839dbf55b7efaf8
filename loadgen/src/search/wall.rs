//! A search against a target in wall time: one run after another, each on a fresh connection and an empty system.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use engine::model::counter;

use super::judge::Judge;
use super::seen::{self, Seen};
use super::{Goal, Limit, Search, Step, Stopped, Verdict};
use crate::arrival::phases::MAX_RATE;
use crate::arrival::{Arrival, RatePlan};
use crate::clock::RunClock;
use crate::guard::{Bound, Latency};
use crate::live::{Command, Phase, Snapshot};
use crate::plan::{Procedure, WINDOW};
use crate::run::{self, RunConfig, RunError};
use crate::schedule::{LoadError, LoadSpec, Schedule, Traffic};
use crate::target::Connection;
use crate::time::Micros;
use crate::workload::Limits;

/// Steps that the budget is meant to last for.
const SHARES: f64 = 12.0;
/// Requests of a step at least, so that some twenty are judged.
const FEWEST: f64 = 30.0;
/// How many answers long a step is at least, so that its warm-up is as long as one.
const ANSWERS: f64 = 5.0;
/// How often a rate is tried again for that.
const REPEATS: u32 = 3;
/// By how much a step may be longer for that than it was meant to be.
const LONGER: f64 = 10.0;

/// What to search with.
#[derive(Clone, Debug)]
pub struct Question {
    /// The load. Its rate is what is looked for.
    pub load: LoadSpec,
    /// What is looked for.
    pub goal: Goal,
    /// Requests judged in a step at most, as long as answers are not longer than that takes.
    pub requests: u64,
    /// Wall time of everything.
    pub budget: Micros,
}

/// What gave way where a rule was broken.
fn limit(bound: Bound) -> Limit {
    match bound {
        Bound::Number(..) | Bound::Percent(..) => Limit::Errors,
        Bound::Latency(Latency::Ttft, ..) => Limit::Ttft,
        Bound::Latency(Latency::Tpot, ..) => Limit::Tpot,
        Bound::Latency(Latency::E2e, ..) => Limit::E2e,
    }
}

/// The next step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    /// Its number, from 1.
    pub number: usize,
    /// Requests per second.
    pub rate_rps: f64,
    /// Requests at most.
    pub requests: u64,
}

/// A search under way.
#[derive(Debug)]
pub struct WallSearch {
    question: Question,
    search: Search,
    clock: RunClock,
    /// The longest that an answer took in a steady state, in seconds.
    answer_s: f64,
    /// The last step was shorter than its answers: it is repeated.
    again: Option<f64>,
    /// How often one rate was tried again.
    repeats: u32,
    stopped: Option<Stopped>,
}

/// Why a step could not be run.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The load cannot be offered to this target.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The run could not happen.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl WallSearch {
    /// Starts the budget.
    pub fn new(question: Question) -> Self {
        let search = Search::new(question.goal, MAX_RATE);
        Self { question, search, clock: RunClock::start(), answer_s: 0.0, again: None, repeats: 0, stopped: None }
    }

    /// What to run next; `None` when it is over.
    pub fn ask(&mut self) -> Option<Ask> {
        if self.stopped.is_some() {
            return None;
        }
        if self.clock.now() >= self.question.budget {
            self.stopped = Some(Stopped::Budget);
            return None;
        }
        match self.search.next() {
            Ok(rate) => {
                let rate_rps = self.again.unwrap_or(rate);
                Some(Ask { number: self.search.steps().len() + 1, rate_rps, requests: self.requests(rate_rps) })
            }
            Err(why) => {
                self.stopped = Some(why);
                None
            }
        }
    }

    /// Requests of a step: enough to judge, no more than its share of the budget, but several answers long.
    fn requests(&self, rate: f64) -> u64 {
        if let Procedure::Burst(requests) = self.question.goal.procedure {
            return u64::from(requests);
        }
        let wanted = self.question.requests as f64 / (WINDOW.1 - WINDOW.0);
        let meant = wanted.min(rate * self.question.budget.as_secs_f64() / SHARES).max(FEWEST);
        let long = (rate * self.answer_s * ANSWERS).min(meant * LONGER);
        meant.max(long).ceil() as u64
    }

    /// Runs a step on `connection` until its verdict is nearly sure, `stop` is set or the budget is used up. `told` hears how
    /// it goes, ten times a second.
    ///
    /// # Errors
    /// When the load cannot be offered to this target, or a thread of the run could not start or panicked.
    pub async fn step(
        &mut self,
        ask: Ask,
        connection: Connection,
        stop: &AtomicBool,
        mut told: impl FnMut(&Snapshot),
    ) -> Result<(), StepError> {
        let seed = counter::stream(self.question.load.seed, ask.number as u64);
        let limits = connection.info.limits;
        let limits = Limits { context_tokens: limits.context_tokens, kv_tokens: limits.kv_tokens };
        let load = self.load(ask, seed, limits)?;
        let goal = self.question.goal;
        let sent = Self::sent(&load, limits, ask)?;
        let judge = Arc::new(Mutex::new(Some(Judge::new(goal, ask.rate_rps, sent, self.search.alike()))));
        let watched = Arc::clone(&judge);
        let slo = goal.slo;
        let watch = move |sample: &crate::sample::Sample| {
            let mut judge = watched.lock().unwrap_or_else(PoisonError::into_inner);
            if let (Some(judge), Some(seen)) = (judge.as_mut(), Seen::of(sample, &slo)) {
                judge.add(seen);
                if let Some(trouble) = seen::trouble(sample) {
                    judge.hear(trouble);
                }
            }
        };
        let config = RunConfig { load, connection, record_to: None };
        let handle = run::start_watched(config, Some(Box::new(watch)))?;
        let mut snapshots = handle.snapshots.clone();
        let (mut early, mut aborted) = (None, false);
        while snapshots.changed().await.is_ok() {
            let snapshot = Arc::clone(&snapshots.borrow_and_update());
            handle.meters.screen();
            told(&snapshot);
            if snapshot.phase == Phase::Done {
                break;
            }
            if aborted {
                continue;
            }
            early = judge.lock().unwrap_or_else(PoisonError::into_inner).as_mut().and_then(Judge::look);
            if early.is_none() {
                self.stopped = match () {
                    () if stop.load(Ordering::Relaxed) => Some(Stopped::Interrupted),
                    () if self.clock.now() >= self.question.budget => Some(Stopped::Budget),
                    () => None,
                };
            }
            if early.is_some() || self.stopped.is_some() {
                // Full when nobody reads them any more: then the run is over anyhow.
                aborted = handle.commands.try_send(Command::Abort).is_ok();
            }
        }
        let result = handle.wait()?;
        let client = result.summary.client.verdict.filter(|verdict| verdict != "ok");
        let judge = judge.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(judge) = judge {
            let mut step = judge.finish(early, self.stopped.is_some(), client);
            (step.seed, step.seconds) = (seed, result.summary.duration_s);
            if let Some(tripped) = &result.tripped {
                (step.verdict, step.limit) = (Verdict::Missed, limit(tripped.rule.bound));
                step.why = Some(format!("ended by --abort-on {tripped}"));
            }
            self.told(step, sent as u64, ask);
        }
        if result.error.is_some() {
            self.stopped = Some(Stopped::Target);
        }
        Ok(())
    }

    /// What came of a step that had `sent` requests to send of those asked for.
    fn told(&mut self, mut step: Step, sent: u64, ask: Ask) {
        let warmup = sent as f64 * WINDOW.0 / step.rate_rps;
        let longer = step.e2e_p95_s.max(self.answer_s);
        // Until answers end as fast as they begin, their number grows in the steadiest of states.
        let short = step.verdict == Verdict::Unsteady && warmup < step.e2e_p95_s;
        self.answer_s = if step.verdict == Verdict::Met || short { longer } else { self.answer_s };
        let has_more = sent >= ask.requests && self.requests(step.rate_rps) > sent;
        self.repeats = if self.again.is_some() { self.repeats + 1 } else { 0 };
        self.again = None;
        if short && has_more && self.repeats < REPEATS {
            (step.verdict, step.limit) = (Verdict::Undecided, Limit::None);
            step.why = Some(format!("its warm-up of {warmup:.1} s is shorter than answers take: tried again, longer"));
            self.again = Some(step.rate_rps);
        }
        self.search.told(step);
    }

    /// The load of a step.
    fn load(&self, ask: Ask, seed: u64, limits: Limits) -> Result<LoadSpec, LoadError> {
        let base = &self.question.load;
        let mut load = LoadSpec {
            seed,
            duration: None,
            requests: Some(ask.requests),
            warmup: Micros::ZERO,
            slo: Some(self.question.goal.slo),
            ..base.clone()
        };
        let mean = match &load.traffic {
            Traffic::Synthetic { .. } => 1.0,
            Traffic::Trace { .. } => Schedule::new(&load, limits)?.rate().at(Micros::ZERO),
        };
        match &mut load.traffic {
            Traffic::Synthetic { arrival, rate, .. } => {
                *rate = RatePlan::Constant(ask.rate_rps);
                if matches!(self.question.goal.procedure, Procedure::Burst(_)) {
                    *arrival = Arrival::Constant;
                }
            }
            Traffic::Trace { speed, .. } => *speed *= ask.rate_rps / mean,
        }
        Ok(load)
    }

    /// How many requests the load really has: a trace may have fewer.
    fn sent(load: &LoadSpec, limits: Limits, ask: Ask) -> Result<usize, LoadError> {
        let count = match load.traffic {
            Traffic::Synthetic { .. } => None,
            Traffic::Trace { .. } => Schedule::count(&Schedule::new(load, limits)?),
        };
        Ok(count.unwrap_or(ask.requests).min(ask.requests) as usize)
    }

    /// The steps, what they say, and why there are no more.
    pub fn finish(self) -> (Search, Stopped) {
        (self.search, self.stopped.unwrap_or(Stopped::Interrupted))
    }

    /// The last step.
    pub fn last(&self) -> Option<&Step> {
        self.search.steps().last()
    }

    /// Ends it before the next step, because the target was lost or somebody says so.
    pub fn stop(&mut self, why: Stopped) {
        self.stopped = Some(why);
    }
}
