//! What holds for any traffic, driven in virtual time.

#[path = "scenarios/world.rs"]
mod world;

use std::collections::BTreeMap;

use engine::cluster::{ClusterConfig, FinishReason, FirstToken, How};
use engine::drive::virtual_time::{Input, Log, Pace, VirtualDriver};
use engine::units::{Nanos, RequestId, Split, UnitId};
use proptest::prelude::*;

use world::{config, driver, family_request, run, split};

const SPLITS: [&str; 8] = ["1P1D", "2P1D", "1P3D", "2A", "4A", "1P1D1A", "2P2D", "1P2A"];

fn any_config() -> impl Strategy<Value = ClusterConfig> {
    (
        prop_oneof![Just(64_u32), Just(24), Just(12)],
        1_u32..40,
        1_u32..9,
        prop_oneof![Just(0_u32), Just(100), Just(300)],
        any::<bool>(),
        any::<bool>(),
        prop::option::of(100_u64..2000),
    )
        .prop_map(|(blocks, tokens, sequences, watermark, cache, early, timeout)| {
            let mut config = config();
            config.blocks_per_unit = blocks;
            config.prefill.tokens = tokens;
            config.aggregated.tokens = tokens;
            config.decode.sequences = sequences;
            config.aggregated.sequences = sequences;
            config.watermark_permille = watermark;
            config.prefix_cache = cache;
            config.first_token = if early { FirstToken::FromPrefill } else { FirstToken::AfterHandOff };
            config.drain_timeout = timeout.map(Nanos);
            config
        })
}

fn any_split() -> impl Strategy<Value = Split> {
    prop::sample::select(&SPLITS[..]).prop_map(split)
}

fn any_input() -> impl Strategy<Value = (u64, Input)> {
    let arrival =
        (0_u64..40, 0_u64..3, 0_u32..6, 1_u32..40, 1_u32..60).prop_map(|(request, family, shared, prompt, output)| {
            Input::Arrive(family_request(request, family, shared.min(prompt / 4), prompt, output))
        });
    let how = prop_oneof![Just(How::Drain), Just(How::Migrate)];
    let input = prop_oneof![
        12 => arrival,
        2 => (0_u64..40).prop_map(|request| Input::Cancel(RequestId(request))),
        2 => (any_split(), how).prop_map(|(to, how)| Input::Shift(to, how)),
        1 => (0_u16..5).prop_map(|unit| Input::Fail(UnitId(unit))),
    ];
    (0_u64..6000, input)
}

fn any_schedule() -> impl Strategy<Value = Vec<(u64, Input)>> {
    prop::collection::vec(any_input(), 1..60)
}

/// Every accepted request ends exactly once with all tokens it was asked for, and its tokens come in order from 0.
fn tokens_are_conserved(schedule: &[(u64, Input)], log: &Log) -> Result<(), TestCaseError> {
    let mut sorted: Vec<_> = schedule.iter().collect();
    sorted.sort_by_key(|(at, _)| *at);
    let mut asked: BTreeMap<RequestId, Vec<u32>> = BTreeMap::new();
    let mut refused = log.refused.iter();
    let mut next_refused = refused.next();
    for (at, input) in sorted {
        let Input::Arrive(arrival) = input else { continue };
        if next_refused.is_some_and(|(when, request, _)| when.0 == *at && *request == arrival.request) {
            next_refused = refused.next();
        } else {
            asked.entry(arrival.request).or_default().push(arrival.output_tokens);
        }
    }
    prop_assert!(next_refused.is_none());
    let mut ended: BTreeMap<RequestId, Vec<u32>> = BTreeMap::new();
    for (_, finished) in &log.finished {
        let turn = ended.entry(finished.request).or_default();
        let asked = asked.get(&finished.request).and_then(|asked| asked.get(turn.len()));
        prop_assert!(asked.is_some(), "{:?} ended and was not asked for", finished.request);
        match finished.reason {
            FinishReason::Length => prop_assert_eq!(Some(&finished.output_tokens), asked),
            FinishReason::Cancelled | FinishReason::NoCapacity => prop_assert!(Some(&finished.output_tokens) <= asked),
            FinishReason::Stop => prop_assert!(false, "nothing stops here"),
        }
        turn.push(finished.output_tokens);
    }
    for (request, asked) in &asked {
        prop_assert_eq!(ended.get(request).map(Vec::len), Some(asked.len()), "{:?} never ended", request);
    }
    let mut next: BTreeMap<RequestId, (u32, usize)> = BTreeMap::new();
    let mut tokens: Vec<_> = log.emitted.iter().flat_map(|emitted| emitted.tokens()).collect();
    tokens.sort();
    for (_, request, index, _) in tokens {
        let (expected, turn) = next.entry(request).or_default();
        while ended.get(&request).and_then(|ended| ended.get(*turn)).is_some_and(|&count| count == *expected) {
            (*expected, *turn) = (0, *turn + 1);
        }
        prop_assert_eq!(index, *expected, "{:?}", request);
        *expected += 1;
    }
    Ok(())
}

fn outcome(log: &Log) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut tokens: Vec<_> = log.emitted.iter().flat_map(|emitted| emitted.tokens()).collect();
    tokens.sort();
    (tokens, log.finished.clone(), log.shifts.clone(), log.notices.clone(), log.refused.clone())
}

fn play(config: &ClusterConfig, from: Split, pace: Pace, schedule: &[(u64, Input)]) -> (Log, VirtualDriver) {
    let mut driver = driver(config.clone(), &from.to_string(), pace);
    let log = run(&mut driver, schedule.iter().cloned());
    (log, driver)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn every_request_ends_once_with_all_its_tokens(
        config in any_config(),
        from in any_split(),
        schedule in any_schedule(),
    ) {
        let (log, driver) = play(&config, from, Pace::Bulk, &schedule);
        prop_assert_eq!(driver.cluster().in_flight(), 0, "nothing will ever happen again, and requests are in flight");
        tokens_are_conserved(&schedule, &log)?;
        for unit in (0..driver.cluster().units()).map(UnitId) {
            prop_assert_eq!(driver.cluster().unit_figures(unit).held, 0, "{} holds blocks for nobody", unit);
        }
    }

    #[test]
    fn bulk_steps_equal_single_steps(config in any_config(), from in any_split(), schedule in any_schedule()) {
        let (bulk, bulk_driver) = play(&config, from, Pace::Bulk, &schedule);
        let (single, single_driver) = play(&config, from, Pace::SingleSteps, &schedule);
        prop_assert_eq!(outcome(&bulk), outcome(&single));
        for unit in (0..bulk_driver.cluster().units()).map(UnitId) {
            prop_assert_eq!(bulk_driver.cluster().unit_figures(unit), single_driver.cluster().unit_figures(unit));
        }
        prop_assert_eq!(bulk_driver.cluster().prefix_totals(), single_driver.cluster().prefix_totals());
    }
}
