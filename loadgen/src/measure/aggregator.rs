//! The one owner of all windows of a run.

use std::sync::Arc;

use super::history::{Cell, History, percentiles, sum, sum_counts};
use super::lag::Lag;
use super::{Failed, LagSummary, StageTimes, Standing};
use crate::live::{Counts, Recent, Slot, Snapshot, TtftStages};
use crate::sample::Sample;
use crate::slo::Slo;
use crate::time::Micros;

/// How far an event may lie ahead of the last instant told: targets stamp events before the aggregator is told the time.
/// What lies further ahead is counted at the end of that span.
const AHEAD: Micros = Micros(10_000_000);
/// The shortest time over which a recent rate is told: an SLO that has just come would make a rate of one request a storm.
const SHORTEST: Micros = Micros(1_000_000);

/// Turns events into counts, recent figures and history.
///
/// Events may be told a little late or early; each is counted in the slot of its own instant. Live figures count a request
/// when it *ends*, and say so; the goodput of a whole run, which counts by due time, is the business of
/// [`summary`](crate::summary).
#[derive(Debug)]
pub struct Aggregator {
    slo: Standing,
    now: Micros,
    counts: Counts,
    history: History,
    published: Arc<Vec<Slot>>,
    /// Something closed or was remembered since the history was last published.
    stale: bool,
    closed_until: Option<Micros>,
    failed: Failed,
    lag: Lag,
}

impl Aggregator {
    /// At the start of a run.
    pub fn new(slo: Option<Slo>) -> Self {
        Self {
            slo: Standing::new(slo),
            now: Micros::ZERO,
            counts: Counts::default(),
            history: History::new(slo.map(|_| 0)),
            published: Arc::default(),
            stale: false,
            closed_until: None,
            failed: Failed::default(),
            lag: Lag::default(),
        }
    }

    /// Judges requests that end at `at` or later by `slo`. Earlier judgements stand.
    pub fn set_slo(&mut self, at: Micros, slo: Option<Slo>) {
        self.slo.change(at, slo);
    }

    /// What a slot begins with: without an SLO it has no goodput.
    fn fresh(&self) -> Option<u64> {
        self.slo.now().map(|_| 0)
    }

    /// Tells the time. Seconds that are over are closed. Whether one was: then the run as it is now is worth
    /// [remembering](Self::remember).
    pub fn advance(&mut self, now: Micros) -> bool {
        self.now = self.now.max(now);
        self.history.extend(self.now, self.fresh());
        let over = self.history.closed(self.now).last().map(|cell| cell.end);
        let closed_one = over > self.closed_until;
        self.closed_until = over;
        self.stale |= closed_one;
        closed_one
    }

    /// Keeps what the run looked like at the end of the last closed second, less history and events, so that the history
    /// can show it again. Of seconds that were merged for their age, the last one is kept.
    pub fn remember(&mut self, mut then: Snapshot) {
        (then.history, then.events) = (Arc::default(), Arc::default());
        if let Some(cell) = self.history.last_closed(self.now) {
            cell.then = Some(Arc::new(then));
            self.stale = true;
        }
    }

    /// A request was due.
    pub fn offered(&mut self, due: Micros) {
        self.counts.offered += 1;
        self.with_slot(due, |slot| slot.offered += 1);
    }

    /// A request was handed to the target, `lag` after it was due.
    pub fn sent(&mut self, lag: Micros, clamped: bool) {
        self.counts.sent += 1;
        self.counts.in_flight += 1;
        self.counts.clamped += u64::from(clamped);
        self.lag.record(lag);
    }

    /// The first token of a request with a prompt of `input_tokens` arrived.
    pub fn first_token(&mut self, at: Micros, input_tokens: u32) {
        self.with_slot(at, |slot| slot.input_tokens += u64::from(input_tokens));
    }

    /// `count` tokens arrived, the first ones of an answer included. Those that no arrival tells of are told by the
    /// [sample](Self::sample).
    pub fn tokens(&mut self, at: Micros, count: u32) {
        self.with_slot(at, |slot| slot.output_tokens += u64::from(count));
    }

    /// A request is over.
    pub fn sample(&mut self, sample: &Sample) {
        self.failed.note(sample);
        if let Some(last) = sample.last {
            self.with_slot(last, |slot| slot.output_tokens += u64::from(sample.untold_tokens()));
        }
        let counts = &mut self.counts;
        counts.ended(&sample.outcome);
        if sample.sent.is_some() {
            counts.in_flight = counts.in_flight.saturating_sub(1);
        }
        // By the one that stood when it ended, however late that is told.
        let good = self.slo.at(sample.ended).map(|slo| u64::from(slo.judge(sample)));
        counts.good += good.unwrap_or(0);
        self.with_slot(sample.ended, |slot| {
            if let Some(good) = good {
                *slot.good.get_or_insert(0) += good;
                slot.judged += 1;
            }
            Arc::make_mut(&mut slot.slowest).offer(sample);
            if !sample.outcome.is_completed() {
                slot.errors += 1;
                slot.failures.count(sample);
                return;
            }
            slot.completed += 1;
            slot.pieces += u64::from(sample.is_one_piece());
            if let Some(ttft) = sample.ttft() {
                Arc::make_mut(&mut slot.ttft).record(ttft.0);
            }
            if let Some(tpot) = sample.tpot() {
                Arc::make_mut(&mut slot.tpot).record(tpot.0);
            }
            if let Some(times) = StageTimes::of(sample) {
                Arc::make_mut(&mut slot.stages).record(&times);
            }
        });
    }

    /// The requests that failed.
    pub fn failed(&self) -> &Failed {
        &self.failed
    }

    /// Requests by outcome.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Figures over the last closed seconds, at most `window` of them. During the first second of a run there is none, and
    /// the part of it that has passed stands in.
    pub fn recent(&self, window: Micros) -> Recent {
        let closed = self.history.closed(self.now);
        let to = closed.last().map_or(Micros::ZERO, |cell| cell.end);
        let from = to.since(window);
        let (figures, covered) = match sum(closed, from, to) {
            Some(figures) => {
                let covered = figures.end.since(figures.start);
                (figures, covered)
            }
            None => (self.history.open(self.now).cloned().unwrap_or_default(), self.now),
        };
        let rate = |count: u64| if covered == Micros::ZERO { 0.0 } else { count as f64 / covered.as_secs_f64() };
        let before = sum_counts(closed, from.since(window), from);
        let standing = self.slo.now().is_some();
        let good = figures.good.filter(|_| standing);
        Recent {
            window: covered,
            goodput_rps: good.map(|good| self.good_rate(good, figures.start, figures.start + covered)),
            goodput_before_rps: before.as_ref().and_then(|b| Some(self.good_rate(b.good?, b.start, b.end))),
            attainment: good.filter(|_| figures.judged > 0).map(|good| good as f64 / figures.judged as f64),
            offered_rps: rate(figures.offered),
            completed: figures.completed,
            pieces: figures.pieces,
            failures: figures.failures,
            growth: figures.offered.cast_signed() - (figures.completed + figures.errors).cast_signed(),
            input_tps: rate(figures.input_tokens),
            output_tps: rate(figures.output_tokens),
            output_before_tps: before.map(|b| b.output_tokens as f64 / b.end.since(b.start).as_secs_f64()),
            ttft: percentiles(&figures.ttft),
            tpot: percentiles(&figures.tpot),
            stages: TtftStages::of(&figures.stages),
        }
    }

    /// Good requests per second of the time from `from` to `to` in which an SLO stood.
    fn good_rate(&self, good: u64, from: Micros, to: Micros) -> f64 {
        let shortest = SHORTEST.min(to.since(from)).max(Micros(1));
        good as f64 / self.slo.within(from, to).max(shortest).as_secs_f64()
    }

    /// The closed slots, oldest first; replaced as a whole when a second closes.
    pub fn history(&mut self) -> Arc<Vec<Slot>> {
        if std::mem::take(&mut self.stale) {
            self.published = Arc::new(self.history.closed(self.now).iter().map(Cell::slot).collect());
        }
        Arc::clone(&self.published)
    }

    /// 99th percentile of the lag of all requests sent so far.
    pub fn lag_p99(&self) -> Option<Micros> {
        self.lag.p99()
    }

    /// The lag since this was last asked.
    pub fn take_lag(&mut self) -> LagSummary {
        self.lag.take()
    }

    fn with_slot(&mut self, at: Micros, change: impl FnOnce(&mut Cell)) {
        let at = at.min(self.now + AHEAD);
        self.history.extend(at, self.fresh());
        if let Some(slot) = self.history.at(at) {
            change(slot);
        }
    }
}

#[cfg(test)]
mod tests;
