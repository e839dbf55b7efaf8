//! The verdict on a step, while it goes on and when it is over.

use super::attainment::{NEARLY_SURE, NINE_IN_TEN, alike, wilson};
use super::seen::{self, Fate, Seen};
use super::steady::unsteady;
use super::{Goal, Limit, Step, Verdict};
use crate::measure::Distribution;
use crate::plan::steady::kept_up;
use crate::plan::{Interval, Procedure, WINDOW};
use crate::summary::Statistics;
use crate::time::Micros;

/// Judged requests at which a verdict is first looked for, and at each doubling from then on.
const FIRST_LOOK: usize = 60;
/// By how much more alike requests may be than is known before the end.
const CAUTION: f64 = 2.0;

/// Judges the requests of one step.
#[derive(Debug)]
pub(super) struct Judge {
    goal: Goal,
    rate: f64,
    /// Requests that are sent, at most.
    requests: usize,
    /// How many requests were worth one in steps before.
    alike: f64,
    seen: Vec<Seen>,
    /// What the server said when it failed one last.
    trouble: Option<String>,
    next_look: usize,
}

impl Judge {
    pub(super) fn new(goal: Goal, rate: f64, requests: usize, alike: f64) -> Self {
        Self { goal, rate, requests, alike, seen: Vec::with_capacity(requests), trouble: None, next_look: FIRST_LOOK }
    }

    /// Another request is over.
    pub(super) fn add(&mut self, seen: Seen) {
        // Nearly always behind all others.
        let at = self.seen.partition_point(|other| other.index < seen.index);
        self.seen.insert(at, seen);
    }

    /// A request was failed by the server, which said so much.
    pub(super) fn hear(&mut self, trouble: String) {
        self.trouble = Some(trouble);
    }

    /// Numbers of the requests that are judged: before them the system fills, after them it empties.
    fn window(&self) -> (usize, usize) {
        let share = |share: f64| (self.requests as f64 * share) as usize;
        match self.goal.procedure {
            Procedure::Sustained => (share(WINDOW.0), share(WINDOW.1)),
            Procedure::Burst(_) => (0, self.requests),
        }
    }

    /// Requests from the first on that are all over.
    fn settled(&self) -> usize {
        self.seen.iter().zip(0..).take_while(|(seen, index)| seen.index == *index).count()
    }

    /// The verdict, once more requests would hardly change it. That it is met takes half of the requests at least, or a
    /// backlog would have had no time to show.
    pub(super) fn look(&mut self) -> Option<Verdict> {
        if self.goal.procedure != Procedure::Sustained {
            return None;
        }
        let (from, to) = self.window();
        let until = self.settled().min(to);
        let judged = until.checked_sub(from).filter(|judged| *judged >= self.next_look)?;
        self.next_look = judged * 2;
        let window = self.seen.get(from..until)?;
        let alike = CAUTION * self.alike(window);
        let share = share(window, NEARLY_SURE, alike);
        if share.hi < self.goal.attainment {
            return Some(Verdict::Missed);
        }
        let sure = share.lo >= self.goal.attainment && judged * 2 >= to - from;
        (sure && unsteady(self.seen.get(..until)?, from, alike).is_none()).then_some(Verdict::Met)
    }

    /// How many requests of a window are worth one, at least as many as in steps before.
    fn alike(&self, window: &[Seen]) -> f64 {
        alike(&window.iter().map(|seen| seen.good).collect::<Vec<_>>()).max(self.alike)
    }

    /// The step, when it is over: `early` is what [`Judge::look`] said, `stopped` whether it was ended by neither that nor
    /// itself, `client` why the client was the limit.
    pub(super) fn finish(self, early: Option<Verdict>, stopped: bool, client: Option<String>) -> Step {
        let (from, to) = self.window();
        let until = if early.is_some() || stopped { self.settled().min(to) } else { self.seen.len().min(to) };
        let window = self.seen.get(from.min(until)..until).unwrap_or_default();
        let mut step = Step {
            rate_rps: self.rate,
            requests: self.seen.len() as u64,
            judged: window.len() as u64,
            good: window.iter().filter(|seen| seen.good).count() as u64,
            ..Step::default()
        };
        let statistics = |of: fn(&Seen) -> Option<crate::time::Micros>| {
            let mut values = Distribution::default();
            window
                .iter()
                .filter(|seen| seen.fate == Fate::Completed)
                .filter_map(of)
                .for_each(|value| values.record(value));
            Statistics::from(&values)
        };
        (step.ttft_ms, step.tpot_ms) = (statistics(|seen| seen.ttft), statistics(|seen| seen.tpot));
        step.e2e_p95_s = statistics(|seen| seen.e2e).p95.unwrap_or(0.0) / 1e3;
        step.limit = seen::limit(window, &self.goal.slo);
        let is_met = match self.goal.procedure {
            Procedure::Sustained => {
                step.alike = self.alike(window);
                step.attainment = share(window, NINE_IN_TEN, step.alike);
                step.why = unsteady(&self.seen[..until], from.min(until), CAUTION * step.alike);
                step.attainment.mid >= self.goal.attainment
            }
            Procedure::Burst(_) => {
                let mean = seen::mean(window, &self.goal.slo);
                let firsts = window.iter().filter_map(|seen| seen.first).map(Micros::as_secs_f64);
                let kept_up = kept_up(self.rate, firsts);
                step.why =
                    (kept_up < 1.0).then(|| format!("first tokens come at {:.0} % of the rate", kept_up * 100.0));
                let is_met = mean.is_some_and(|mean| mean.good);
                step.limit = mean.map_or(Limit::None, |mean| seen::limit(&[mean], &self.goal.slo));
                let share = if is_met { 1.0 } else { 0.0 };
                (step.attainment, step.good) =
                    (Interval { lo: share, mid: share, hi: share }, step.judged * u64::from(is_met));
                is_met
            }
        };
        step.steady = step.why.is_none() && !window.is_empty();
        let failed = window.iter().filter(|seen| seen.fate == Fate::Failed).count();
        let errors_alone = ((window.len() - failed) as f64) < self.goal.attainment * window.len() as f64;
        step.verdict = match early {
            _ if window.is_empty() || (stopped && early.is_none()) => Verdict::Undecided,
            _ if is_met && step.steady => Verdict::Met,
            // However late the client was: it does not make a server fail.
            _ if errors_alone => Verdict::Missed,
            // What a late client adds is no limit of the server.
            _ if client.is_some() => Verdict::Client,
            _ if is_met => Verdict::Unsteady,
            _ => Verdict::Missed,
        };
        match step.verdict {
            Verdict::Client => (step.limit, step.why) = (Limit::Client, client),
            Verdict::Unsteady => step.limit = Limit::Backlog,
            Verdict::Met => step.limit = Limit::None,
            Verdict::Missed if errors_alone => step.limit = Limit::Errors,
            Verdict::Missed | Verdict::Undecided => {}
        }
        if step.limit == Limit::Errors {
            let last = self.trouble.map_or_else(String::new, |trouble| format!(", the last one: {trouble}"));
            step.why = Some(format!("{failed} failed{last}"));
        }
        step
    }
}

/// The share of good ones of a window in which so many as `alike` are worth one.
fn share(window: &[Seen], z: f64, alike: f64) -> Interval {
    let (good, judged) = (window.iter().filter(|seen| seen.good).count() as f64, window.len() as f64);
    wilson(good / alike, judged / alike, z)
}
