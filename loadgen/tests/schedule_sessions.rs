//! Sessions in a schedule: what a turn says, when it is due, and what becomes of those that cannot be sent.
#![expect(clippy::expect_used, reason = "a helper of a test may fail it")]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

use loadgen::arrival::RatePlan;
use loadgen::schedule::{Answer, LoadSpec, Planned, Schedule, Traffic, Turns};
use loadgen::time::Micros;
use loadgen::workload::{Content, Limits};
use proptest::prelude::*;

const LIMITS: Limits = Limits { context_tokens: 4_096, kv_tokens: 32_768 };

fn spec(rate: &str, isl: &str, osl: &str, turns: u32, think: Micros) -> LoadSpec {
    let traffic = Traffic::Synthetic {
        arrival: "poisson".parse().expect("an arrival"),
        rate: RatePlan::parse_rate(rate).expect("a rate"),
        isl: isl.parse().expect("isl"),
        osl: osl.parse().expect("osl"),
    };
    LoadSpec { sessions: Some(Turns { turns, think }), ..LoadSpec::new("test", traffic) }
}

fn schedule(spec: &LoadSpec) -> Schedule {
    Schedule::new(spec, LIMITS).expect("a schedule")
}

fn content(schedule: &Schedule) -> Content {
    schedule.content(NonZeroU32::new(30_000).expect("positive"))
}

/// A request that has left, with its prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Left {
    planned: Planned,
    prompt: Vec<u32>,
    /// When it was over, and with which answer; `None` when it was lost or did not complete.
    over: (Micros, Option<Vec<u32>>),
}

impl Left {
    fn key(&self) -> (u64, u32) {
        let turn = self.planned.request.turn.expect("all are turns");
        (turn.session, turn.turn)
    }
}

/// A target whose answers take as long as `service` says of a session's turn, and are its own; `None` is a failure after 1 ms.
fn drive(mut schedule: Schedule, service: impl Fn(u64, u32) -> Option<Micros>) -> Vec<Left> {
    let content = content(&schedule);
    let mut left: Vec<Left> = Vec::new();
    let mut in_flight: BTreeSet<(Micros, usize)> = BTreeSet::new();
    loop {
        let over = in_flight.first().copied();
        let Some(due) = schedule.next_due().filter(|due| over.is_none_or(|(at, _)| *due <= at)) else {
            let Some((at, index)) = in_flight.pop_first() else { return left };
            schedule.answered(left[index].key().0, at, left[index].over.1.clone().map(Answer::Ids));
            continue;
        };
        let mut prompt = Vec::new();
        let prepared = schedule.prepare(content, &mut prompt).expect("it is due");
        let planned = schedule.next().expect("it is due");
        assert_eq!((planned.due, planned.request.index, planned.request.turn), (due, prepared.index, prepared.turn));
        assert!(prepared.said.is_empty(), "answers were ids");
        let turn = planned.request.turn.expect("all are turns");
        let served = service(turn.session, turn.turn).filter(|_| !turn.lost);
        let token = |i: u32| turn.session as u32 * 1_000 + turn.turn * 100 + i;
        let answer = served.map(|_| (0..planned.request.output_tokens).map(token).collect::<Vec<u32>>());
        let over = (due + served.unwrap_or(Micros(if turn.lost { 0 } else { 1_000 })), answer);
        if !turn.lost {
            in_flight.insert((over.0, left.len()));
        }
        left.push(Left { planned, prompt, over });
    }
}

fn by_turn(left: &[Left]) -> BTreeMap<(u64, u32), Left> {
    left.iter().map(|left| (left.key(), left.clone())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_turn_begins_with_the_turn_before_it_and_its_answer_and_never_before_that_is_over(
        turns in 2..6_u32,
        requests in 1..40_u64,
        think in 0..2_000_000_u64,
        rate in 1..2_000_u32,
        seed in any::<u64>(),
        service in 0..5_000_000_u64,
        shared in 0..50_u32,
    ) {
        let base = spec(&rate.to_string(), "uniform:1..60", "uniform:1..40", turns, Micros(think));
        let prefix_hit = format!("0.{shared:02}").parse().expect("a share");
        let spec = LoadSpec { seed, requests: Some(requests), prefix_hit, ..base };
        let service = |session: u64, turn: u32| Some(Micros((session * 7_919 + u64::from(turn) * 104_729) * 31 % (service + 1)));
        let left = drive(schedule(&spec), service);
        prop_assert_eq!(left.len() as u64, requests, "all of them leave");
        prop_assert!(left.iter().zip(0..).all(|(left, index)| left.planned.request.index == index));
        prop_assert!(left.windows(2).all(|two| two[0].planned.due <= two[1].planned.due), "in the order of being due");
        let all = by_turn(&left);
        prop_assert_eq!(all.len(), left.len(), "each once");
        for ((session, number), left) in &all {
            let request = &left.planned.request;
            let turn = request.turn.expect("a turn");
            prop_assert_eq!(left.prompt.len(), request.input_tokens as usize);
            prop_assert_eq!(request.segments.iter().map(|segment| segment.1).sum::<u32>(), request.input_tokens);
            prop_assert!(LIMITS.fit(request.input_tokens, request.output_tokens));
            let expected = u64::from(turns).min(requests - session * u64::from(turns));
            prop_assert_eq!(u64::from(turn.of), expected, "only the last session is shorter");
            let Some(before) = number.checked_sub(1).map(|before| &all[&(*session, before)]) else { continue };
            let said = [&before.prompt[..], before.over.1.as_deref().expect("it completed")].concat();
            prop_assert!(left.prompt.starts_with(&said));
            prop_assert_eq!(left.prompt.len() - said.len(), turn.new_tokens as usize);
            prop_assert_eq!(left.planned.due, before.over.0 + Micros(think), "a think time after the answer was over");
            prop_assert!(request.segments.starts_with(&before.planned.request.segments));
        }
        prop_assert_eq!(drive(schedule(&spec), service), left, "the same answers, the same requests");
    }

    #[test]
    fn lengths_and_first_turns_are_those_of_the_seed_whatever_the_answers_take(
        seed in any::<u64>(), fast in 0..1_000_u64, slow in 1_000_000..20_000_000_u64,
    ) {
        let spec = LoadSpec { seed, requests: Some(60), ..spec("20", "uniform:1..60", "uniform:1..40", 4, Micros(50_000)) };
        let (fast, slow) = (drive(schedule(&spec), |_, _| Some(Micros(fast))), drive(schedule(&spec), |_, _| Some(Micros(slow))));
        let said = |left: &Left| {
            let due = (left.key().1 == 0).then_some(left.planned.due);
            (left.key(), due, left.prompt.clone(), left.planned.request.output_tokens)
        };
        let (fast, slow) = (by_turn(&fast), by_turn(&slow));
        prop_assert_eq!(fast.values().map(said).collect::<Vec<_>>(), slow.values().map(said).collect::<Vec<_>>());
    }
}

#[test]
fn the_rate_is_that_of_turns() {
    let of = |arrival: &str, turns| {
        let mut spec = spec("8", "10", "10", turns, Micros::ZERO);
        if let Traffic::Synthetic { arrival: process, .. } = &mut spec.traffic {
            *process = arrival.parse().expect("an arrival");
        }
        LoadSpec { duration: Some(Micros(1_000_000_000)), ..spec }
    };
    let starts: Vec<u64> = schedule(&of("constant", 4)).take(3).map(|planned| planned.due.0).collect();
    assert_eq!(starts, [0, 500_000, 1_000_000], "8 turns a second are 2 sessions of 4");
    let left = drive(schedule(&of("poisson", 4)), |_, _| Some(Micros(100)));
    // 8,000 expected; sessions of 4 vary by 4 times the square root of 2,000.
    assert!((7_300..8_700).contains(&left.len()), "{}", left.len());
    assert!((schedule(&of("poisson", 4)).rate().at(Micros::ZERO) - 8.0).abs() < 1e-9);
}

#[test]
fn a_turn_that_did_not_complete_takes_those_after_it_with_it_and_they_are_offered_all_the_same() {
    let spec = LoadSpec { requests: Some(10), ..spec("5", "10", "7", 5, Micros(1_000_000)) };
    let left = drive(schedule(&spec), |session, turn| (session != 0 || turn != 1).then_some(Micros(20_000)));
    assert_eq!(left.len(), 10);
    let all = by_turn(&left);
    let lost: Vec<_> = all.iter().filter(|(_, left)| left.planned.request.turn.is_some_and(|turn| turn.lost)).collect();
    assert_eq!(lost.iter().map(|(key, _)| **key).collect::<Vec<_>>(), [(0, 2), (0, 3), (0, 4)]);
    let failed = all[&(0, 1)].over.0;
    for ((_, left), place) in lost.iter().zip(1..) {
        assert_eq!(left.planned.due, failed + Micros(place * 1_000_000), "one think time after another");
        // What was answered is not known, how long it was to be is.
        assert_eq!(left.planned.request.input_tokens, 10 * (2 + place as u32) + 7 * (1 + place as u32));
    }
}

#[test]
fn what_is_not_due_before_the_end_is_not_offered() {
    let spec = LoadSpec { duration: Some(Micros(3_000_000)), ..spec("1000", "10", "7", 50, Micros(400_000)) };
    let mut over = schedule(&spec);
    assert!(!over.is_over(Micros(2_999_999)));
    let left = drive(over.clone(), |_, _| Some(Micros(100_000)));
    assert!(left.iter().all(|left| left.planned.due < Micros(3_000_000)));
    assert!(left.iter().any(|left| left.key().1 == 5) && left.iter().all(|left| left.key().1 < 7), "every 500 ms");
    // An answer that comes too late leaves nothing to wait for.
    while over.next().is_some() {}
    assert!(over.is_over(Micros(3_000_000)));
    over.answered(0, Micros(2_900_000), Some(Answer::Ids(vec![1])));
    assert!(over.next_due().is_none() && over.is_over(Micros(3_000_000)));
}

#[test]
fn a_schedule_with_turns_to_come_is_not_over_and_a_lost_answer_ends_it_too() {
    let spec = LoadSpec { requests: Some(2), ..spec("1000", "10", "7", 2, Micros::ZERO) };
    let mut schedule = schedule(&spec);
    let first = schedule.next().expect("a first turn");
    assert!(schedule.next_due().is_none() && !schedule.is_over(Micros(60_000_000)));
    schedule.answered(0, Micros(70_000_000), None);
    let second = schedule.next().expect("it is shed, and offered");
    assert!(second.request.turn.is_some_and(|turn| turn.lost) && schedule.is_over(Micros(70_000_000)));
    assert_eq!((first.request.index, second.request.index, second.due), (0, 1, Micros(70_000_000)));
}

#[test]
fn a_pause_holds_turns_as_well_and_they_are_due_when_it_ends() {
    let spec = LoadSpec { requests: Some(3), ..spec("1000", "10", "7", 3, Micros(1_000_000)) };
    let mut schedule = schedule(&spec);
    assert!(schedule.next().is_some());
    schedule.answered(0, Micros(500_000), Some(Answer::Ids(vec![1])));
    schedule.pause(Micros(600_000));
    assert_eq!(schedule.next_due(), None, "it would be due at 1.5 s");
    schedule.resume(Micros(9_000_000));
    assert_eq!(schedule.next_due(), Some(Micros(9_000_000)));
    assert!(schedule.next().is_some());
    schedule.answered(0, Micros(9_100_000), Some(Answer::Ids(vec![1])));
    assert_eq!(schedule.next_due(), Some(Micros(10_100_000)), "the pause is over");
}

#[test]
fn answers_that_are_text_stand_between_the_tokens_of_the_user() {
    let spec = LoadSpec { requests: Some(3), ..spec("1000", "10", "7", 3, Micros::ZERO) };
    let mut schedule = schedule(&spec);
    let content = content(&schedule);
    let mut prompts = Vec::new();
    for (turn, text) in ["well", "then"].into_iter().enumerate() {
        let mut prompt = Vec::new();
        let prepared = schedule.prepare(content, &mut prompt).expect("a turn");
        assert_eq!(prepared.said.len(), turn);
        prompts.push(prompt);
        assert!(schedule.next().is_some());
        schedule.answered(0, Micros(turn as u64), Some(Answer::Text { text: text.into(), tokens: 7 }));
    }
    let mut last = Vec::new();
    let prepared = schedule.prepare(content, &mut last).expect("the last turn");
    let said: Vec<_> = prepared.said.iter().map(|said| (said.at, &*said.text)).collect();
    assert_eq!((last.len(), said), (30, vec![(10, "well"), (20, "then")]));
    assert!(last.starts_with(&prompts[1]) && prompts[1].starts_with(&prompts[0]));
    assert_eq!(schedule.next().expect("the last turn").request.input_tokens, 44, "answers count by their tokens");
}

#[test]
fn sessions_beyond_the_context_are_refused_with_the_numbers() {
    let refusal = |isl, osl, turns| {
        Schedule::new(&spec("1", isl, osl, turns, Micros::ZERO), LIMITS).expect_err("beyond").to_string()
    };
    assert_eq!(
        refusal("900", "200", 4),
        "4 turns of isl 900 and osl 200 come to 4400 tokens, and the last one's prompt and answer, which are all of them, are beyond the \
         4096 tokens a request may have; use fewer --turns or shorter lengths"
    );
    assert_eq!(
        refusal("uniform:900..1000", "200", 4),
        "isl uniform:900..1000 with osl 200 in sessions of 4 turns: 0 of 4096 drawn sessions are, all turns together, within the 4096 \
         tokens a request may have, at least 41 must be; use fewer --turns or shorter lengths"
    );
    let fits = spec("1", "824", "200", 4, Micros::ZERO);
    assert!(Schedule::new(&fits, LIMITS).is_ok(), "4,096 in all");
}

#[test]
fn a_load_with_sessions_is_written_and_read_and_one_without_is_what_it_was() {
    let with = spec("4", "10", "7", 3, Micros(1_500_000));
    let text = serde_json::to_string(&with).expect("JSON");
    assert!(text.contains(r#""sessions":{"turns":3,"think_us":1500000}"#), "{text}");
    assert_eq!(serde_json::from_str::<LoadSpec>(&text).expect("a load"), with);
    let without = LoadSpec { sessions: None, ..with };
    assert!(!serde_json::to_string(&without).expect("JSON").contains("sessions"));
}
