//! Which splits give the most under one load, without simulating more than it takes to know.
//!
//! Who is best, and whether others are as good, does not depend on what becomes of a split that gives clearly less than another
//! one: its simulation ends as soon as too many requests are not good, or cannot be any more, for it to come near. Nor does it
//! depend on anybody else where the split that serves, and a second one, give as much as could be given at all. And no request
//! behind the window that counts can change what came of those in it once these are over. So the answer is that of simulating
//! everything.

use std::sync::Arc;

use engine::cluster::{Cluster as Scheduler, Finished, Refused};
use engine::drive::virtual_time::{Emitted, Pace, Samples, Sink, StepRun, VirtualDriver};
use engine::units::{Nanos, RequestId, Split};

use super::Basis;
use super::predict::{AS_GOOD, SplitPrediction};
use crate::plan::Procedure;
use crate::plan::figures::{self, is_good};
use crate::plan::rows::Rows;
use crate::slo::Slo;
use crate::time::Micros;

/// The load under which splits are compared, by the first timing of the basis alone.
#[derive(Debug)]
pub(super) struct Contest<'a> {
    pub(super) basis: &'a Basis,
    pub(super) rows: Arc<Rows>,
    pub(super) rate: f64,
    pub(super) slo: Slo,
}

/// What is known of a request that counts, or comes before those that do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// It has no token yet.
    Waits,
    /// It has.
    Begun,
    /// It has none, and is too late for any.
    Missed,
}

/// Samples, and what is known by now of the requests that count.
#[derive(Debug)]
struct Watch<'a> {
    contest: &'a Contest<'a>,
    samples: Samples,
    /// The first request of the window.
    from: usize,
    /// Of all requests before the end of the window.
    standing: Vec<Standing>,
    /// How many of these are not over.
    open: usize,
    /// How many of the window are known not to be good.
    missed: usize,
    /// The first of them that may still begin in time, and from when on it cannot.
    next: (usize, Nanos),
}

impl<'a> Watch<'a> {
    /// Of requests of which those from one number to another count.
    fn new(contest: &'a Contest<'a>, (from, to): (usize, usize)) -> Self {
        Self {
            contest,
            samples: Samples::with_capacity(contest.rows.len()),
            from,
            standing: vec![Standing::Waits; to],
            open: to,
            missed: 0,
            next: (0, contest.too_late(0)),
        }
    }

    /// It is `now`, and all that has happened by then was told.
    fn pass(&mut self, now: Nanos) {
        while let Some(standing) = self.standing.get_mut(self.next.0).filter(|_| self.next.1 <= now) {
            if *standing == Standing::Waits {
                *standing = Standing::Missed;
                self.missed += usize::from(self.next.0 >= self.from);
            }
            let next = self.next.0 + 1;
            self.next = (next, self.contest.too_late(next));
        }
    }
}

impl Sink for Watch<'_> {
    const EVERY_TOKEN: bool = Samples::EVERY_TOKEN;

    fn emitted(&mut self, emitted: Emitted) {
        if let Some(standing @ Standing::Waits) = self.standing.get_mut(emitted.emission.request.0 as usize) {
            *standing = Standing::Begun;
        }
        self.samples.emitted(emitted);
    }

    fn finished(&mut self, at: Nanos, finished: Finished) {
        let number = finished.request.0 as usize;
        self.samples.finished(at, finished);
        let Some(standing) = self.standing.get(number) else { return };
        self.open -= 1;
        let is_good = || self.samples.rows().get(number).is_some_and(|sample| is_good(self.contest.slo, sample));
        if number >= self.from && *standing != Standing::Missed && !is_good() {
            self.missed += 1;
        }
    }

    fn stepped(&mut self, run: &StepRun) {
        self.samples.stepped(run);
    }

    fn refused(&mut self, at: Nanos, request: RequestId, why: Refused) {
        self.samples.refused(at, request, why);
    }
}

impl Contest<'_> {
    /// Good requests per second in each of `splits`, in their order, those left out that can change nothing. `None` when it was stopped.
    pub(super) fn goodput(
        &self,
        splits: &[SplitPrediction],
        stop: &dyn Fn() -> bool,
    ) -> Option<Vec<(Split, u16, f64)>> {
        let mut found: Vec<(usize, &SplitPrediction, f64)> = Vec::with_capacity(splits.len());
        for (place, of) in by_promise(splits) {
            // Nobody gives more than what is offered.
            let as_good = || found.iter().filter(|(.., goodput)| *goodput >= self.rate * AS_GOOD);
            if as_good().any(|(_, of, _)| of.moves == 0) && as_good().count() > 1 {
                break;
            }
            if stop() {
                return None;
            }
            let most = found.iter().map(|(.., goodput)| *goodput).fold(0.0, f64::max);
            let goodput = self.goodput_of(of.split, most * AS_GOOD);
            found.extend(goodput.map(|goodput| (place, of, goodput)));
        }
        found.sort_unstable_by_key(|(place, ..)| *place);
        Some(found.into_iter().map(|(_, of, goodput)| (of.split, of.moves, goodput)).collect())
    }

    /// Good requests per second in `split`; `None` as soon as they are known to be less than `least`.
    fn goodput_of(&self, split: Split, least: f64) -> Option<f64> {
        // Units that failed may leave a split that serves nobody.
        let Ok(scheduler) = Scheduler::new(self.basis.config.clone(), split) else { return Some(0.0) };
        let timing = Arc::clone(self.basis.timings.first()?);
        let window = figures::window(Procedure::Sustained, self.rows.len());
        let offered = window.1 - window.0;
        let at_most = |missed: usize| self.rate * ((offered - missed) as f64 / offered.max(1) as f64);
        let too_many = (0..=offered).take_while(|missed| at_most(*missed) >= least).count();
        let mut driver = VirtualDriver::with_sink(scheduler, timing, Pace::Bulk, Watch::new(self, window));
        driver.feed(Arc::clone(&self.rows).arrivals(self.rate));
        while driver.sink().open > 0
            && let Some(now) = driver.step()
        {
            driver.sink_mut().pass(now);
            match driver.sink().missed {
                missed if missed >= too_many => return None,
                missed if missed == offered => return Some(0.0),
                _ => {}
            }
        }
        Some(figures::goodput(self.slo, &self.rows, self.rate, driver.sink().samples.rows()))
    }

    /// From when on a request that has no token yet cannot be good any more.
    fn too_late(&self, number: usize) -> Nanos {
        let beyond = |bound: Micros| Nanos((bound.0 + 1).saturating_mul(1000));
        self.slo.ttft.map_or(Nanos(u64::MAX), |bound| self.rows.due(number, self.rate) + beyond(bound))
    }
}

/// All of them with their places, those first that are likely to settle it: the best under the load as it is, of equals the
/// nearest, then the one that serves.
fn by_promise(splits: &[SplitPrediction]) -> Vec<(usize, &SplitPrediction)> {
    let mut order: Vec<_> = splits.iter().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| b.goodput_rps.mid.total_cmp(&a.goodput_rps.mid).then(a.moves.cmp(&b.moves)));
    if let Some(serving) = order.iter().skip(1).position(|(_, of)| of.moves == 0) {
        order[1..=serving + 1].rotate_right(1);
    }
    order
}
