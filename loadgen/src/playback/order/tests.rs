use proptest::prelude::*;

use super::*;
use crate::recording::{LagRecord, LoadState, RateRecord, RunRecord, SloRecord};
use crate::sample::Outcome;
use crate::sample::testing::{completed, failed, unanswered};

fn run() -> RunRecord {
    RunRecord { split: "1P1D".parse().ok(), slo: "ttft=400ms".parse().ok(), ..RunRecord::named("ordered", "cpu") }
}

/// Requests numbered in the order of being due, with an outcome each.
fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let request = (0..700_000_u64, 40..3_000_000_u64, proptest::collection::vec(0..900_000_u64, 0..6), 0..8_u8);
    proptest::collection::vec(request, 1..60).prop_map(|requests| {
        let mut due = 0;
        let numbered = (0..).zip(requests);
        let sample = |(index, (gap, ttft, gaps, outcome)): (u64, (u64, u64, Vec<u64>, u8))| {
            due += gap;
            match outcome {
                0 => unanswered(index, due, due + ttft, failed()),
                1 => unanswered(index, due, due, Outcome::Shed),
                2 => Sample { outcome: Outcome::Cut, ..completed(index, due, ttft, &gaps) },
                _ => Sample { sent: Some(Micros(due + 30)), ..completed(index, due, ttft, &gaps) },
            }
        };
        numbered.map(sample).collect()
    })
}

fn others() -> impl Strategy<Value = Vec<Record>> {
    let at = || (0..40_000_000_u64).prop_map(Micros);
    let rate = at().prop_map(|at| RateRecord { at, state: LoadState::Loading, rps: 3.0, resumed_rps: None });
    let slo = prop_oneof![Just(None), Just("ttft=1s".parse().ok())];
    let lag = at().prop_map(|at| LagRecord {
        at,
        sent: 0,
        p99: None,
        max: None,
        cpu: Micros(at.0 / 20),
        rss_bytes: at.0,
        dropped: 0,
        cores: None,
        held_up: 0,
    });
    let record = prop_oneof![
        rate.prop_map(Record::Rate),
        (at(), slo).prop_map(|(at, slo)| Record::Slo(SloRecord { at, slo })),
        lag.prop_map(Record::Lag),
    ];
    proptest::collection::vec(record, 0..12)
}

/// What a live run does as it happens: when, and its place among what happens at the same instant.
type Happening<'a> = (Micros, u8, Box<dyn Fn(&mut Fold) + 'a>);

fn happenings(sample: &Sample) -> Vec<Happening<'_>> {
    let mut all: Vec<Happening<'_>> = vec![(sample.due, 1, Box::new(|fold| fold.offered(sample.due)))];
    if let Some(sent) = sample.sent {
        all.push((sent, 1, Box::new(move |fold| fold.sent(sent.since(sample.due), sample.clamped))));
    }
    if let Some(first) = sample.first {
        all.push((first, 1, Box::new(move |fold| fold.first_token(first, sample.input_tokens))));
        all.push((first, 1, Box::new(move |fold| fold.tokens(first, sample.first_tokens))));
        let mut at = first;
        for gap in sample.itl() {
            at = at + gap.gap;
            let then = at;
            all.push((then, 1, Box::new(move |fold| fold.tokens(then, gap.tokens))));
        }
    }
    all
}

/// The run as a live one is told: everything at its instant, the time at the end of every second.
fn live(samples: &[Sample], records: &[(Micros, &Record)], end: Micros) -> Snapshot {
    let mut fold = Fold::new(&run());
    let mut all: Vec<Happening<'_>> = samples.iter().flat_map(happenings).collect();
    for (at, record) in records {
        all.push((*at, 2, Box::new(move |fold| fold.apply(record))));
    }
    for second in 1..=second(end) {
        let at = Micros(second * SECOND);
        all.push((at, 0, Box::new(move |fold| fold.advance(at))));
    }
    all.sort_by_key(|(at, place, _)| (*at, *place));
    for (_, _, happening) in &all {
        happening(&mut fold);
    }
    fold.advance(end);
    fold.snapshot(end)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn read_in_the_order_of_ends_a_run_is_told_as_it_happened(samples in samples(), others in others()) {
        let requests: Vec<Record> = samples.iter().map(|sample| Record::Req(Box::new(sample.clone()))).collect();
        let mut records: Vec<(Micros, &Record)> =
            requests.iter().chain(&others).map(|record| (known_at(record), record)).collect();
        records.sort_by_key(|(at, _)| *at);
        let end = records.last().map_or(Micros::ZERO, |(at, _)| *at);
        let expected = live(&samples, &records, end);
        let mut order = Order::new(Fold::new(&run()));
        for (_, record) in &records {
            order.push((*record).clone());
        }
        let seen = order.finish(None);
        prop_assert_eq!(expected.history.len(), seen.history.len());
        for (expected, seen) in expected.history.iter().zip(seen.history.iter()) {
            prop_assert_eq!(expected, seen);
        }
        prop_assert_eq!(expected, seen);
    }
}

fn lag(at: u64) -> Record {
    let (sent, cpu, rss_bytes, dropped) = (0, Micros::ZERO, 0, 0);
    Record::Lag(LagRecord {
        at: Micros(at),
        sent,
        p99: None,
        max: None,
        cpu,
        rss_bytes,
        dropped,
        cores: None,
        held_up: 0,
    })
}

#[test]
fn a_request_that_was_never_recorded_holds_nothing_up_for_ever() {
    let mut order = Order::new(Fold::new(&run()));
    let count = 3 * WAITING as u64;
    // Number 0 is missing.
    for index in 1..count {
        order.push(Record::Req(Box::new(completed(index, index * 1_000, 500, &[]))));
        assert!(order.waiting.len() <= WAITING + 1_001, "{}", order.waiting.len());
        assert!(order.read.len() <= order.waiting.len(), "{} numbers are kept", order.read.len());
    }
    assert!(order.next_request > 0, "the hole is behind");
    // As many again, all at once.
    let late = (count - 1) * 1_000;
    for index in count..2 * count {
        order.push(Record::Req(Box::new(completed(index, late, 500, &[]))));
        assert!(order.waiting.len() <= WAITING + 1_001, "{}", order.waiting.len());
        assert!(order.read.len() <= order.waiting.len(), "{} numbers are kept", order.read.len());
    }
    let last = order.finish(None);
    assert_eq!((last.counts.offered, last.counts.completed), (2 * count - 1, 2 * count - 1));
    assert_eq!(last.history.iter().map(|slot| u64::from(slot.completed)).sum::<u64>(), 2 * count - 1);
}

#[test]
fn behind_a_hole_that_was_passed_seconds_are_told_in_order_again() {
    let mut order = Order::new(Fold::new(&run()));
    let request = |index: u64| Record::Req(Box::new(completed(index, index * 1_000, 500, &[])));
    let count = WAITING as u64 + 2_000;
    (1..count).for_each(|index| order.push(request(index)));
    let waiting = order.waiting.len();
    assert!(waiting < 2_002, "{waiting} wait although nothing is missing any more");
    order.push(request(0));
    order.push(request(count));
    assert!(order.read.is_empty(), "who comes late is not kept");
}

#[test]
fn instants_that_no_run_has_are_passed_in_leaps() {
    let mut order = Order::new(Fold::new(&run()));
    for at in [5, 10_000_000, u64::MAX / 2, 7, u64::MAX] {
        order.push(lag(at));
        order.push(Record::Req(Box::new(completed(at, at / 2, 1, &[u64::MAX / 4]))));
    }
    let last = order.finish(None);
    assert_eq!(last.counts.completed, 5);
    assert!(last.history.len() < 100, "{}", last.history.len());
}
