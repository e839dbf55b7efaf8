use proptest::prelude::*;

use super::*;
use crate::sample::testing::{completed, failed, unanswered as no_answer};
use crate::sample::{Outcome, Sample};

/// A request through a prefill and a decode unit, with the instants that the engine tells of it.
fn disaggregated() -> Sample {
    let server = ServerSide {
        arrived: Some(Micros(1_030)),
        prefill_start: Some(Micros(1_530)),
        prefill_end: Some(Micros(1_730)),
        handoff_start: Some(Micros(1_830)),
        handoff_end: Some(Micros(1_870)),
        decode_start: Some(Micros(1_990)),
        ..ServerSide::default()
    };
    Sample { sent: Some(Micros(1_010)), server: Some(server), ..completed(0, 1_000, 870, &[300, 200]) }
}

fn with(change: impl FnOnce(&mut ServerSide)) -> Sample {
    let mut sample = disaggregated();
    if let Some(server) = &mut sample.server {
        change(server);
    }
    sample
}

fn times(sample: &Sample) -> Vec<(Stage, u64)> {
    let times = StageTimes::of(sample).expect("a first token");
    assert_eq!(Some(times.total()), sample.ttft());
    times.iter().filter(|(_, time)| time.0 > 0).map(|(stage, time)| (stage, time.0)).collect()
}

fn life(sample: &Sample) -> Vec<(Stage, u64)> {
    let ends = [sample.first, sample.last];
    let spans = whole(sample.due, sample.sent, ends, sample.ended, sample.server.as_ref());
    spans.into_iter().map(|span| (span.stage, span.length().0)).collect()
}

#[test]
fn each_stretch_of_a_ttft_is_named_after_what_happened_in_it() {
    use Stage::{HandOff, HandOffWait, Lag, Prefill, Queue, WayIn};
    let expected = [(Lag, 10), (WayIn, 20), (Queue, 500), (Prefill, 200), (HandOffWait, 100), (HandOff, 40)];
    assert_eq!(times(&disaggregated()), expected);
    let then = [(Stage::DecodeQueue, 120), (Stage::Decode, 380)];
    assert_eq!(life(&disaggregated()), [expected.as_slice(), then.as_slice()].concat());
    let times = StageTimes::of(&disaggregated()).expect("a first token");
    assert_eq!(times.longest(), Some(Queue));
    assert!((times.share(Queue) - 500.0 / 870.0).abs() < 1e-9);
    assert_eq!(StageTimes::default().longest(), None);
}

#[test]
fn a_unit_that_does_both_has_no_hand_off() {
    let alone = with(|server| {
        (server.handoff_start, server.handoff_end) = (None, None);
        server.decode_start = Some(Micros(1_750));
    });
    assert_eq!(
        times(&alone),
        [(Stage::Lag, 10), (Stage::WayIn, 20), (Stage::Queue, 500), (Stage::Prefill, 200), (Stage::WayBack, 140)]
    );
}

#[test]
fn a_hand_off_after_the_first_token_is_no_part_of_ttft() {
    let answered_by_prefill = with(|server| {
        (server.handoff_start, server.handoff_end) = (Some(Micros(1_900)), Some(Micros(1_950)));
    });
    assert_eq!(times(&answered_by_prefill).last(), Some(&(Stage::WayBack, 140)));
    let after = life(&answered_by_prefill).split_off(5);
    assert_eq!(after, [(Stage::HandOffWait, 30), (Stage::HandOff, 50), (Stage::DecodeQueue, 40), (Stage::Decode, 380)]);
    let moved_while_decoding = with(|server| {
        (server.handoff_start, server.handoff_end) = (Some(Micros(2_100)), Some(Micros(2_150)));
    });
    assert_eq!(life(&moved_while_decoding).split_off(5), [(Stage::DecodeQueue, 120), (Stage::Decode, 380)]);
}

#[test]
fn what_a_target_does_not_tell_is_unknown_and_nothing_else_is() {
    let silent = Sample { server: None, ..disaggregated() };
    assert_eq!(times(&silent), [(Stage::Lag, 10), (Stage::Unknown, 860)]);
    let partly = with(|server| server.prefill_start = None);
    assert!(times(&partly).contains(&(Stage::Unknown, 700)), "queue and prefill cannot be told apart");
    assert!(times(&partly).contains(&(Stage::HandOff, 40)));
    let from_decode = with(|server| server.decode_start = Some(Micros(1_869)));
    assert_eq!(times(&from_decode).last(), Some(&(Stage::HandOff, 40)), "a clock that is behind");
}

#[test]
fn a_request_without_an_answer_was_in_the_stage_after_the_last_one_told() {
    let cancelled = no_answer(0, 1_000, 3_000, Outcome::Cancelled);
    assert_eq!(life(&cancelled), [(Stage::Unknown, 2_000)]);
    let queued = ServerSide { arrived: Some(Micros(1_200)), ..ServerSide::default() };
    let timed_out = Sample { server: Some(queued), ..no_answer(0, 1_000, 3_000, failed()) };
    assert_eq!(life(&timed_out), [(Stage::WayIn, 200), (Stage::Queue, 1_800)]);
    assert_eq!(life(&no_answer(0, 1_000, 1_050, Outcome::Shed)), [(Stage::Lag, 50)]);
    assert_eq!(StageTimes::of(&timed_out), None);
}

fn instant() -> impl Strategy<Value = Option<Micros>> {
    prop::option::of(prop_oneof![0..3_000u64, any::<u64>()].prop_map(Micros))
}

fn server() -> impl Strategy<Value = Option<ServerSide>> {
    let instants = [instant(), instant(), instant(), instant(), instant(), instant()];
    prop::option::of(instants.prop_map(
        |[arrived, prefill_start, prefill_end, handoff_start, handoff_end, decode_start]| ServerSide {
            arrived,
            prefill_start,
            prefill_end,
            handoff_start,
            handoff_end,
            decode_start,
            ..ServerSide::default()
        },
    ))
}

proptest! {
    #[test]
    fn the_stages_of_any_sample_add_up_to_its_ttft(
        due in 0..3_000u64, sent in instant(), first in instant(), server in server(),
    ) {
        let sample = Sample { due: Micros(due), sent, first, server, ..completed(0, 0, 0, &[]) };
        prop_assert_eq!(StageTimes::of(&sample).map(|times| times.total()), sample.ttft());
    }

    #[test]
    fn the_stages_of_any_life_follow_each_other_from_due_to_its_end(
        due in 0..3_000u64, sent in instant(), first in instant(), last in instant(), ended in 0..9_000u64,
        server in server(),
    ) {
        let ended = Micros(ended);
        let spans = whole(Micros(due), sent, [first, last], ended, server.as_ref());
        for pair in spans.windows(2) {
            prop_assert_eq!(pair[0].to, pair[1].from);
        }
        let over = [Some(ended), first, last.filter(|_| first.is_some())].into_iter().flatten().max().unwrap_or(ended);
        let lived = spans.last().map_or(Micros::ZERO, |end| end.to.since(spans[0].from));
        prop_assert_eq!(lived, over.since(Micros(due)));
        prop_assert!(spans.iter().all(|span| span.from < span.to));
    }
}
