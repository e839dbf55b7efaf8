use proptest::prelude::*;

use super::*;
use crate::measure::history::MAX_SLOTS;
use crate::measure::{MeanStages, SlotHistogram, Stage, StageHistogram};
use crate::sample::testing::{completed, failed, unanswered};
use crate::sample::{Outcome, ServerSide};

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
    assert_eq!(failures.with(aggregator.failed().reasons()), "10 status (503 service unavailable), 5 cut");
    assert_eq!(aggregator.recent(Micros(3 * SECOND)).failures.by_sort(), "3 status, 3 cut");
    assert_eq!(aggregator.failed().counts().by_sort(), "20 status, 5 cut");
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
