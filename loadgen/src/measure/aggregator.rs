//! The one owner of all windows of a run.

use std::sync::Arc;

use super::history::{Cell, History, percentiles, sum, sum_counts};
use super::{Distribution, SlotHistogram, StageTimes, Standing};
use crate::live::{Counts, FailureCounts, Outage, Reasons, Recent, Slot, Snapshot, TtftStages};
use crate::sample::{FailureKind, Outcome, Sample};
use crate::slo::Slo;
use crate::time::Micros;

/// How far an event may lie ahead of the last instant told: targets stamp events before the aggregator is told the time.
/// What lies further ahead is counted at the end of that span.
const AHEAD: Micros = Micros(10_000_000);
/// The shortest time over which a recent rate is told: an SLO that has just come would make a rate of one request a storm.
const SHORTEST: Micros = Micros(1_000_000);

/// The lag of the requests sent since the last such summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LagSummary {
    /// Requests sent.
    pub sent: u64,
    /// 99th percentile of their lag.
    pub p99: Option<Micros>,
    /// The largest lag.
    pub max: Option<Micros>,
}

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
    outage: Option<Outage>,
    failures: FailureCounts,
    reasons: Reasons,
    lag: Distribution,
    recent_lag: SlotHistogram,
    recent_lag_max: Micros,
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
            outage: None,
            failures: FailureCounts::default(),
            reasons: Reasons::default(),
            lag: Distribution::default(),
            recent_lag: SlotHistogram::default(),
            recent_lag_max: Micros::ZERO,
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
        self.recent_lag.record(lag.0);
        self.recent_lag_max = self.recent_lag_max.max(lag);
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
        self.note_outage(sample);
        self.failures.count(sample);
        self.reasons.note(sample);
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

    fn note_outage(&mut self, sample: &Sample) {
        let (error, limited) = match &sample.outcome {
            Outcome::Completed => {
                self.outage = None;
                return;
            }
            Outcome::Failed(failure) => {
                (format!("{}: {}", failure.kind, failure.message), failure.kind == FailureKind::Limited)
            }
            Outcome::Cut => {
                // Not every target can tell.
                (sample.account.cut.map_or_else(|| "cut".to_owned(), |by| format!("cut: {}", by.why())), false)
            }
            Outcome::Cancelled | Outcome::Shed => return,
        };
        let outage = self.outage.get_or_insert_with(|| Outage { since: sample.ended, ..Outage::default() });
        outage.failed += 1;
        outage.limited += u64::from(limited);
        if *outage.error != *error {
            outage.error = error.into();
        }
    }

    /// The requests that failed since the last one that completed, while there are any.
    pub fn outage(&self) -> Option<&Outage> {
        self.outage.as_ref()
    }

    /// The requests that failed since the start.
    pub fn failures(&self) -> FailureCounts {
        self.failures
    }

    /// Why requests failed, as last told.
    pub fn reasons(&self) -> &Reasons {
        &self.reasons
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
        self.lag.quantile(0.99)
    }

    /// The lag since this was last asked.
    pub fn take_lag(&mut self) -> LagSummary {
        let recent = std::mem::take(&mut self.recent_lag);
        let max = std::mem::take(&mut self.recent_lag_max);
        let p99 = recent.quantile(0.99).map(|p99| Micros(p99).min(max));
        LagSummary { sent: recent.count(), p99, max: p99.map(|_| max) }
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::measure::history::MAX_SLOTS;
    use crate::measure::{MeanStages, Stage, StageHistogram};
    use crate::sample::ServerSide;
    use crate::sample::testing::{completed, failed, unanswered};

    const SECOND: u64 = 1_000_000;

    fn slo() -> Slo {
        Slo { ttft: Some(Micros(SECOND / 2)), ..Slo::default() }
    }

    /// Tells an aggregator of a whole request.
    fn tell(aggregator: &mut Aggregator, sample: &Sample) {
        aggregator.offered(sample.due);
        if let Some(lag) = sample.lag() {
            aggregator.sent(lag, sample.clamped);
        }
        if let Some(first) = sample.first {
            aggregator.first_token(first, sample.input_tokens);
            aggregator.tokens(first, sample.first_tokens);
            let mut at = first;
            for gap in sample.itl() {
                at = at + gap.gap;
                aggregator.tokens(at, gap.tokens);
            }
        }
        aggregator.sample(sample);
    }

    #[test]
    fn counts_add_up_with_every_outcome() {
        let mut aggregator = Aggregator::new(Some(slo()));
        let outcomes = [Outcome::Cut, Outcome::Cancelled, Outcome::Shed, failed()];
        for (index, outcome) in outcomes.into_iter().enumerate() {
            tell(&mut aggregator, &unanswered(index as u64, 0, 10, outcome));
        }
        tell(&mut aggregator, &completed(4, 0, 10, &[10]));
        tell(&mut aggregator, &completed(5, 0, SECOND, &[10]));
        aggregator.offered(Micros(20));
        aggregator.sent(Micros(0), true);
        let counts = aggregator.counts();
        assert_eq!(counts.offered, counts.sent + counts.shed);
        assert_eq!(counts.sent, counts.completed + counts.failed + counts.cut + counts.cancelled + counts.in_flight);
        assert_eq!((counts.completed, counts.good, counts.shed, counts.in_flight, counts.clamped), (2, 1, 1, 1, 1));
    }

    #[test]
    fn a_second_is_published_when_it_is_over_and_counts_by_completion() {
        let mut aggregator = Aggregator::new(Some(slo()));
        tell(&mut aggregator, &completed(0, SECOND / 2, SECOND / 4, &[SECOND / 2]));
        aggregator.advance(Micros(SECOND - 1));
        assert!(aggregator.history().is_empty(), "what is ahead of now is not over");
        aggregator.advance(Micros(2 * SECOND));
        let history = aggregator.history();
        let figures: Vec<_> =
            history.iter().map(|s| (s.offered, s.completed, s.good, s.input_tokens, s.output_tokens)).collect();
        assert_eq!(figures, [(1, 0, Some(0), 100, 1), (0, 1, Some(1), 0, 1)]);
        assert_eq!(history[0].ttft.p50, None, "an empty second has no latency, not 0");
        assert!(history[1].ttft.p50.is_some_and(|p50| p50.0.abs_diff(SECOND / 4) <= SECOND / 4 / 100));
    }

    /// A request that waited `queue` of its `ttft` for its first prompt chunk.
    fn queued(index: u64, due: u64, ttft: u64, queue: u64) -> Sample {
        let server = ServerSide {
            arrived: Some(Micros(due)),
            prefill_start: Some(Micros(due + queue)),
            prefill_end: Some(Micros(due + ttft)),
            ..ServerSide::default()
        };
        Sample { server: Some(server), ..completed(index, due, ttft, &[10]) }
    }

    #[test]
    fn the_recent_seconds_and_each_slot_know_where_ttft_went_and_who_was_slowest() {
        let mut aggregator = Aggregator::new(None);
        for second in 0..4 {
            for index in 0..50 {
                tell(&mut aggregator, &queued(second * 100 + index, second * SECOND, 20_000, 2_000));
            }
            tell(&mut aggregator, &queued(second * 100 + 99, second * SECOND, 400_000, 380_000));
            tell(&mut aggregator, &unanswered(second * 100 + 98, second * SECOND, second * SECOND + 9, failed()));
        }
        aggregator.advance(Micros(4 * SECOND));
        let recent = aggregator.recent(Micros(10 * SECOND));
        let queue = |mean: Option<MeanStages>| mean.map(|mean| (mean.requests, mean.times.get(Stage::Queue).0));
        assert_eq!((queue(recent.stages.p50), queue(recent.stages.p99)), (Some((200, 2_000)), Some((4, 380_000))));
        assert_eq!((recent.completed, recent.growth), (204, 0));
        for (slot, second) in aggregator.history().iter().zip(0..) {
            assert_eq!(queue(slot.stages.from(0.99)), Some((1, 380_000)));
            let kept: Vec<u64> = slot.slowest.lines().iter().map(|line| line.index).collect();
            assert!(kept.contains(&(second * 100 + 99)) && kept.len() <= 9, "{kept:?}");
        }
    }

    #[test]
    fn what_comes_late_is_counted_in_its_own_second() {
        let mut aggregator = Aggregator::new(None);
        aggregator.advance(Micros(5 * SECOND));
        aggregator.tokens(Micros(2 * SECOND + 1), 7);
        aggregator.advance(Micros(6 * SECOND));
        assert_eq!(aggregator.history()[2].output_tokens, 7);
        assert_eq!(aggregator.history()[2].good, None, "no SLO, no goodput");
    }

    #[test]
    fn tokens_that_only_the_count_at_the_end_tells_of_count_where_the_last_ones_came() {
        let mut aggregator = Aggregator::new(None);
        let sample = completed(0, 0, SECOND / 2, &[SECOND]);
        tell(&mut aggregator, &Sample { output_tokens: 9, ended: Micros(2 * SECOND + 5), ..sample });
        aggregator.advance(Micros(3 * SECOND));
        assert_eq!(aggregator.history().iter().map(|slot| slot.output_tokens).collect::<Vec<_>>(), [1, 8, 0]);
    }

    #[test]
    fn recent_figures_cover_closed_seconds_and_know_the_window_before() {
        let mut aggregator = Aggregator::new(Some(slo()));
        for second in 0..20 {
            let requests = if second < 10 { 1 } else { 3 };
            for request in 0..requests {
                tell(&mut aggregator, &completed(request, second * SECOND, 1000, &[1000]));
            }
            tell(&mut aggregator, &unanswered(9, second * SECOND, second * SECOND + 5, failed()));
            aggregator.advance(Micros(second * SECOND + SECOND / 2));
        }
        aggregator.advance(Micros(20 * SECOND + 1));
        let recent = aggregator.recent(Micros(10 * SECOND));
        assert_eq!(recent.window, Micros(10 * SECOND));
        assert_eq!((recent.goodput_rps, recent.goodput_before_rps), (Some(3.0), Some(1.0)));
        assert_eq!((recent.attainment, recent.offered_rps), (Some(0.75), 4.0));
        assert_eq!((recent.input_tps, recent.output_tps), (300.0, 6.0));
    }

    #[test]
    fn the_first_second_is_shown_before_it_is_over() {
        let mut aggregator = Aggregator::new(None);
        assert_eq!(aggregator.recent(Micros(10 * SECOND)), Recent { goodput_rps: None, ..Recent::default() });
        aggregator.offered(Micros(1));
        aggregator.advance(Micros(SECOND / 2));
        let recent = aggregator.recent(Micros(10 * SECOND));
        assert_eq!((recent.window, recent.offered_rps, recent.goodput_rps), (Micros(SECOND / 2), 2.0, None));
    }

    #[test]
    fn lag_is_summed_up_anew_each_time_and_kept_for_the_run() {
        let mut aggregator = Aggregator::new(None);
        assert_eq!(aggregator.take_lag(), LagSummary::default());
        aggregator.sent(Micros(40), false);
        assert_eq!(aggregator.take_lag(), LagSummary { sent: 1, p99: Some(Micros(40)), max: Some(Micros(40)) });
        aggregator.sent(Micros(10), false);
        assert_eq!(aggregator.take_lag(), LagSummary { sent: 1, p99: Some(Micros(10)), max: Some(Micros(10)) });
        assert_eq!(aggregator.lag_p99(), Some(Micros(40)));
    }

    #[test]
    fn a_day_of_load_takes_bounded_memory_and_loses_no_request() {
        const DAY: u64 = 24 * 3600;
        let mut aggregator = Aggregator::new(Some(slo()));
        for second in 0..DAY {
            for request in 0..4 {
                // Latencies wander over three decades, so that merged slots fill many buckets.
                let spread = (second * 4 + request) * 7919 % 900_000 + 1000;
                tell(&mut aggregator, &completed(request, second * SECOND, spread, &[spread / 10]));
            }
            if second % 3600 == 0 {
                aggregator.advance(Micros(second * SECOND));
            }
        }
        aggregator.advance(Micros((DAY + 2) * SECOND));
        let history = aggregator.history();
        assert!(history.len() <= MAX_SLOTS);
        assert_eq!(history.iter().map(|s| u64::from(s.completed)).sum::<u64>(), 4 * DAY);
        assert_eq!(history.iter().map(|s| s.length.0).sum::<u64>(), (DAY + 2) * SECOND);
        assert!(aggregator.history.heap_bytes() < 8 << 20, "{} bytes", aggregator.history.heap_bytes());
    }

    #[test]
    fn an_slo_that_comes_late_counts_nobody_before_it_as_bad() {
        let mut aggregator = Aggregator::new(None);
        tell(&mut aggregator, &completed(0, 0, 10, &[]));
        aggregator.set_slo(Micros(15), "ttft=1s".parse().ok());
        tell(&mut aggregator, &completed(1, 20, 10, &[]));
        aggregator.advance(Micros(SECOND));
        assert_eq!(aggregator.recent(Micros(SECOND)).attainment, Some(1.0));
    }

    #[test]
    fn a_request_is_judged_by_the_slo_that_stood_when_it_ended_however_late_that_is_told() {
        let mut aggregator = Aggregator::new(Some(slo()));
        aggregator.set_slo(Micros(100), "ttft=1us".parse().ok());
        tell(&mut aggregator, &completed(0, 0, 99, &[]));
        assert_eq!(aggregator.counts().good, 1, "it ended before the change");
        tell(&mut aggregator, &completed(1, 0, 100, &[]));
        assert_eq!(aggregator.counts().good, 1);
    }

    #[test]
    fn recent_goodput_is_over_the_time_in_which_an_slo_stood() {
        let mut aggregator = Aggregator::new(None);
        for second in 0..10 {
            if second == 6 {
                aggregator.set_slo(Micros(second * SECOND), Some(slo()));
            }
            tell(&mut aggregator, &completed(second, second * SECOND, 10, &[]));
        }
        aggregator.advance(Micros(10 * SECOND));
        assert_eq!(aggregator.recent(Micros(10 * SECOND)).goodput_rps, Some(1.0));
        aggregator.set_slo(Micros(10 * SECOND), None);
        let recent = aggregator.recent(Micros(10 * SECOND));
        assert_eq!((recent.goodput_rps, recent.attainment), (None, None), "without an SLO there is no goodput");
    }

    #[test]
    fn an_outage_lasts_from_the_first_error_to_the_next_completed_request() {
        let mut aggregator = Aggregator::new(None);
        tell(&mut aggregator, &completed(0, 0, 10, &[]));
        assert_eq!(aggregator.outage(), None);
        tell(&mut aggregator, &unanswered(1, 20, 30, failed()));
        tell(&mut aggregator, &unanswered(2, 20, 40, failed()));
        tell(&mut aggregator, &unanswered(3, 20, 50, Outcome::Cancelled));
        let outage = aggregator.outage().expect("two errors in a row");
        assert_eq!((outage.since, outage.failed), (Micros(30), 2));
        assert_eq!(&*outage.error, "status: 503 service unavailable");
        tell(&mut aggregator, &unanswered(3, 20, 55, Outcome::Cut));
        let outage = aggregator.outage().expect("a stream that was cut is no answer");
        assert_eq!((outage.since, outage.failed, outage.limited), (Micros(30), 3, 0));
        assert_eq!(&*outage.error, "cut");
        tell(&mut aggregator, &completed(4, 60, 10, &[]));
        assert_eq!(aggregator.outage(), None);
    }

    #[test]
    fn failures_between_completions_are_counted_by_sort_over_the_recent_seconds() {
        let mut aggregator = Aggregator::new(None);
        for second in 0..20 {
            tell(&mut aggregator, &completed(second, second * SECOND, 10, &[]));
            tell(&mut aggregator, &unanswered(second, second * SECOND, second * SECOND + 20, failed()));
            if second >= 15 {
                tell(&mut aggregator, &unanswered(second, second * SECOND, second * SECOND + 30, Outcome::Cut));
            }
            aggregator.advance(Micros((second + 1) * SECOND));
        }
        let failures = aggregator.recent(Micros(10 * SECOND)).failures;
        assert_eq!((failures.total(), failures.by_sort()), (15, "10 status, 5 cut".to_owned()));
        assert_eq!(failures.with(aggregator.reasons()), "10 status (503 service unavailable), 5 cut");
        assert_eq!(aggregator.recent(Micros(3 * SECOND)).failures.by_sort(), "3 status, 3 cut");
        assert_eq!(aggregator.failures().by_sort(), "20 status, 5 cut");
    }

    proptest! {
        #[test]
        fn coarse_slots_hold_the_merged_histogram_of_their_seconds(ttfts in prop::collection::vec(1_u64..900_000, 1..200)) {
            let (mut fine, mut stages) = (SlotHistogram::default(), StageHistogram::default());
            let mut aggregator = Aggregator::new(None);
            for (second, ttft) in ttfts.iter().enumerate() {
                fine.record(*ttft);
                let sample = queued(0, second as u64 * SECOND, *ttft, ttft / 3);
                stages.record(&StageTimes::of(&sample).expect("a first token"));
                tell(&mut aggregator, &sample);
            }
            let all = sum(aggregator.history.closed(Micros(500 * SECOND)), Micros::ZERO, Micros(500 * SECOND));
            let all = all.map(|cell| ((*cell.ttft).clone(), (*cell.stages).clone()));
            prop_assert_eq!(all, Some((fine, stages)));
        }
    }
}
