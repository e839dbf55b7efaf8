//! A search on a simulated cluster, in virtual time: the trials are those of a plan, for one split.

use std::sync::atomic::{AtomicBool, Ordering};

use engine::units::Split;

use super::attainment::{NINE_IN_TEN, wilson};
use super::{Found, Goal, Interval, Limit, Search, Step, Stopped, Verdict};
use crate::plan::{self, PlanError, Procedure, Question, Trials, WINDOW};

/// Finds the highest rate of `split`. Steps show the profile as it stands; the interval is that of a plan, over the draws.
/// `stepped` hears of each step, and `told` how many of how many draws are done. Once `stop` is set, what is known by then is told.
///
/// # Errors
/// When the SLO has bounds that are not predicted, the split does not fit, or the load cannot be offered.
pub fn simulated(
    question: &Question,
    split: Split,
    goal: Goal,
    stop: &AtomicBool,
    stepped: impl Fn(&Step),
    told: impl Fn(usize, usize) + Sync,
) -> Result<(Search, Found, Stopped), PlanError> {
    let trials = Trials::new(question, split)?;
    let mut search = Search::new(goal, trials.most_rate());
    let is_over = || stop.load(Ordering::Relaxed);
    let mut stopped = loop {
        match search.next() {
            _ if is_over() => break Stopped::Interrupted,
            Ok(rate) => {
                let step = step(&trials, question, rate);
                stepped(&step);
                search.told(step);
            }
            Err(why) => break why,
        }
    };
    let mut found = search.found();
    if let Some(mid) = search.hunt.low {
        let highest = trials.highest_of_draws(mid, is_over, told);
        let is_cut = is_over();
        if is_cut {
            stopped = Stopped::Interrupted;
        }
        if highest.is_empty() || is_cut {
            found.rate_rps = Interval { lo: Some(mid), mid: Some(mid), hi: search.hunt.high.map(|(high, _)| high) };
            "the highest rate met and the lowest that was not, with the constants as they stand"
                .clone_into(&mut found.interval);
        } else {
            let all: Vec<f64> = std::iter::once(mid).chain(highest).collect();
            let plan::Interval { lo, mid, hi } = plan::Interval::of(&all);
            // Where the SLO is met at every rate that was tried, nobody knows the end.
            let bounded = search.hunt.high.is_some() && hi < trials.most_rate();
            found.rate_rps = Interval { lo: Some(lo), mid: Some(mid), hi: bounded.then_some(hi) };
            found.interval = format!(
                "90 %, over {} draws of the profile's constants, each with another stretch of the load",
                all.len()
            );
        }
    }
    Ok((search, found, stopped))
}

fn step(trials: &Trials<'_>, question: &Question, rate: f64) -> Step {
    let (figures, is_met) = trials.at(rate);
    let judged = match question.procedure {
        Procedure::Sustained => (figures.requests as f64 * (WINDOW.1 - WINDOW.0)) as u64,
        Procedure::Burst(_) => figures.requests,
    };
    let share = figures.attainment;
    let good = (figures.attainment * judged as f64).round();
    Step {
        rate_rps: rate,
        seed: question.load.seed,
        requests: figures.requests,
        judged,
        good: good as u64,
        attainment: match question.procedure {
            Procedure::Sustained => wilson(good, judged as f64, NINE_IN_TEN),
            Procedure::Burst(_) => plan::Interval { lo: share, mid: share, hi: share },
        },
        ttft_ms: figures.ttft,
        tpot_ms: figures.tpot,
        steady: figures.is_steady,
        verdict: match () {
            () if is_met => Verdict::Met,
            () if figures.is_steady || share < question.attainment => Verdict::Missed,
            () => Verdict::Unsteady,
        },
        limit: match figures.limit {
            _ if is_met => Limit::None,
            plan::Limit::None => Limit::Backlog,
            plan::Limit::Prefill => Limit::Prefill,
            plan::Limit::HandOff => Limit::HandOff,
            plan::Limit::Decode => Limit::Decode,
            plan::Limit::E2e => Limit::E2e,
        },
        seconds: figures.requests as f64 / rate,
        ..Step::default()
    }
}
