//! What holds for any traffic, driven in virtual time.

use std::collections::BTreeMap;

use engine::cluster::{
    Arrival, Cluster, ClusterConfig, FinishReason, Finished, FirstToken, How, Notice, Refused, ShiftRefused,
};
use engine::drive::virtual_time::{Emitted, Input, Log, Pace, Sink, VirtualDriver, generated_hash};
use engine::executor::sim::{Costs, HandOff, Replicas, Ticks, Timing};
use engine::units::{Nanos, RequestId, Split, UnitId};
use proptest::prelude::*;

use crate::world::{AFFINE, Affine, COSTS, config, family_request, run, split, timed_driver};

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
    let how = prop::sample::select(&How::ALL[..]);
    let input = prop_oneof![
        12 => arrival,
        2 => (0_u64..40).prop_map(|request| Input::Cancel(RequestId(request))),
        2 => (any_split(), how).prop_map(|(to, how)| Input::Shift(to, how)),
        1 => (0_u16..5).prop_map(|unit| Input::Fail(UnitId(unit))),
    ];
    (0_u64..6000, input)
}

fn any_schedule() -> impl Strategy<Value = Vec<(u64, Input)>> {
    prop::collection::vec(any_input(), 1..60).prop_map(|mut schedule| {
        // Every arrival is a request of its own; what it shares with others it keeps.
        for (index, (_, input)) in schedule.iter_mut().enumerate() {
            if let Input::Arrive(arrival) = input {
                arrival.request = RequestId(index as u64);
            }
        }
        schedule
    })
}

/// As [`any_schedule`], but many prompts are another request's prompt and the first blocks of its answer, whether that has been
/// computed by then, is being computed, or comes later.
fn any_conversation() -> impl Strategy<Value = Vec<(u64, Input)>> {
    let follows = prop::collection::vec(prop::option::weighted(0.6, (any::<prop::sample::Index>(), 0_u32..12)), 60);
    (any_schedule(), follows).prop_map(|(mut schedule, follows)| {
        let mut earlier: Vec<Arrival> = Vec::new();
        for ((_, input), follow) in schedule.iter_mut().zip(follows) {
            let Input::Arrive(arrival) = input else { continue };
            if let Some((which, blocks)) = follow.filter(|_| !earlier.is_empty()) {
                let before = which.get(&earlier);
                let known = before.prompt_hashes.len() as u32;
                let answer = (known..known + blocks).map(|block| generated_hash(before.request, block));
                arrival.prompt_hashes = before.prompt_hashes.iter().copied().chain(answer).collect();
                arrival.prompt_tokens = (known + blocks) * config().block_tokens + arrival.prompt_tokens % 4;
                arrival.prompt_tokens = arrival.prompt_tokens.max(1);
            }
            earlier.push(arrival.clone());
        }
        schedule
    })
}

/// Every accepted request ends exactly once with all tokens it was asked for, and its tokens come in order from 0.
fn tokens_are_conserved(schedule: &[(u64, Input)], log: &Log) -> Result<(), TestCaseError> {
    let mut asked = BTreeMap::new();
    for (_, input) in schedule {
        let Input::Arrive(arrival) = input else { continue };
        asked.insert(arrival.request, arrival.output_tokens);
    }
    for (_, request, _) in &log.refused {
        asked.remove(request);
    }
    let mut emitted: BTreeMap<RequestId, u32> = BTreeMap::new();
    let mut tokens: Vec<_> = log.emitted.iter().flat_map(|emitted| emitted.tokens()).collect();
    tokens.sort();
    for (_, request, index, _) in tokens {
        let next = emitted.entry(request).or_default();
        prop_assert_eq!(index, *next, "{:?}", request);
        *next += 1;
    }
    for (_, finished) in &log.finished {
        let asked = asked.remove(&finished.request);
        match finished.reason {
            FinishReason::Length => prop_assert_eq!(Some(finished.output_tokens), asked),
            FinishReason::Cancelled | FinishReason::NoCapacity => prop_assert!(Some(finished.output_tokens) <= asked),
            FinishReason::Stop => prop_assert!(false, "nothing stops here"),
        }
        let emitted = emitted.get(&finished.request).copied().unwrap_or_default();
        prop_assert_eq!(emitted, finished.output_tokens, "{:?}", finished.request);
    }
    prop_assert!(asked.is_empty(), "never ended: {:?}", asked);
    Ok(())
}

fn outcome(log: &Log) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut tokens: Vec<_> = log.emitted.iter().flat_map(|emitted| emitted.tokens()).collect();
    tokens.sort();
    // A preemption is noticed with the next result of its unit, which is later where that stands for several steps.
    let when = |at, notice: &Notice| if matches!(notice, Notice::Preempted { .. }) { Nanos::ZERO } else { at };
    let notices: Vec<_> = log.notices.iter().map(|(at, notice)| (when(*at, notice), notice.clone())).collect();
    (tokens, log.finished.clone(), log.shifts.clone(), notices, log.refused.clone())
}

fn play<T: Timing>(
    config: &ClusterConfig,
    from: Split,
    pace: Pace,
    timing: T,
    schedule: &[(u64, Input)],
) -> (Log, VirtualDriver<T>) {
    let mut driver = timed_driver(config.clone(), &from.to_string(), pace, timing);
    let log = run(&mut driver, schedule.iter().cloned());
    (log, driver)
}

/// What is told of a run where nobody asks for every token.
#[derive(Clone, Debug, Default)]
struct Ends {
    log: Log,
    first: BTreeMap<RequestId, Nanos>,
    told: BTreeMap<RequestId, u32>,
}

impl Sink for Ends {
    const EVERY_TOKEN: bool = false;

    fn emitted(&mut self, emitted: Emitted) {
        let told = self.told.entry(emitted.emission.request).or_default();
        assert_eq!(*told, emitted.emission.first, "tokens are told in order");
        *told += emitted.emission.count;
        if emitted.emission.first == 0 {
            self.first.insert(emitted.emission.request, emitted.at);
        }
    }

    fn finished(&mut self, at: Nanos, finished: Finished) {
        assert_eq!(self.told.get(&finished.request).copied().unwrap_or_default(), finished.output_tokens);
        self.log.finished(at, finished);
    }

    fn noticed(&mut self, at: Nanos, notice: Notice) {
        self.log.noticed(at, notice);
    }

    fn refused(&mut self, at: Nanos, request: RequestId, why: Refused) {
        self.log.refused(at, request, why);
    }

    fn shift_refused(&mut self, at: Nanos, why: ShiftRefused) {
        self.log.shift_refused(at, why);
    }
}

/// A batch that is counted as one ends up where its sequences end up that are counted one by one.
fn counted_equals_single<T: Timing + Copy>(
    config: &ClusterConfig,
    from: Split,
    pace: Pace,
    timing: T,
    schedule: &[(u64, Input)],
) -> Result<(), TestCaseError> {
    let cluster = Cluster::new(config.clone(), from).expect("a cluster");
    let mut counted = VirtualDriver::with_sink(cluster, timing, pace, Ends::default());
    for (at, input) in schedule {
        counted.schedule(Nanos(*at), input.clone());
    }
    while let Some(now) = counted.step() {
        prop_assert_eq!(counted.cluster().check(), Ok(()), "at {:?}", now);
    }
    let (single, single_driver) = play(config, from, Pace::SingleSteps, timing, schedule);
    let mut first = BTreeMap::new();
    for (at, request, index, _) in single.emitted.iter().flat_map(|emitted| emitted.tokens()) {
        if index == 0 {
            first.insert(request, at);
        }
    }
    prop_assert_eq!(&counted.sink().first, &first);
    let mut single = single;
    single.emitted.clear();
    prop_assert_eq!(outcome(&counted.sink().log), outcome(&single));
    for unit in (0..counted.cluster().units()).map(UnitId) {
        prop_assert_eq!(counted.cluster().unit_figures(unit), single_driver.cluster().unit_figures(unit));
        prop_assert_eq!(counted.busy(unit), single_driver.busy(unit));
    }
    prop_assert_eq!(counted.cluster().prefix_totals(), single_driver.cluster().prefix_totals());
    prop_assert_eq!(counted.ledger(), single_driver.ledger());
    Ok(())
}

/// A cluster to which this will happen: arrivals as a source, all else as it is scheduled.
fn to_come(config: &ClusterConfig, from: Split, arrivals: Vec<(Nanos, Input)>) -> VirtualDriver<Affine, Ends> {
    let cluster = Cluster::new(config.clone(), from).expect("a cluster");
    let mut driver = VirtualDriver::with_sink(cluster, AFFINE, Pace::Bulk, Ends::default());
    driver.feed(arrivals.into_iter());
    driver
}

/// What comes of it at last.
fn finally(
    mut driver: VirtualDriver<Affine, Ends>,
    orders: &[(Nanos, Input)],
) -> impl PartialEq + std::fmt::Debug + use<> {
    for (at, input) in orders {
        driver.schedule(*at, input.clone());
    }
    while let Some(now) = driver.step() {
        assert_eq!(driver.cluster().check(), Ok(()), "at {now:?}");
    }
    let units = (0..driver.cluster().units()).map(UnitId);
    let units: Vec<_> = units.map(|unit| (driver.cluster().unit_figures(unit), driver.busy(unit))).collect();
    let Ends { log, first, told } = driver.sink();
    (outcome(log), first.clone(), told.clone(), units, driver.ledger().clone(), driver.now())
}

fn bulk_equals_single<T: Timing + Copy>(
    config: &ClusterConfig,
    from: Split,
    timing: T,
    schedule: &[(u64, Input)],
) -> Result<(), TestCaseError> {
    let (bulk, bulk_driver) = play(config, from, Pace::Bulk, timing, schedule);
    let (single, single_driver) = play(config, from, Pace::SingleSteps, timing, schedule);
    prop_assert_eq!(outcome(&bulk), outcome(&single));
    for unit in (0..bulk_driver.cluster().units()).map(UnitId) {
        prop_assert_eq!(bulk_driver.cluster().unit_figures(unit), single_driver.cluster().unit_figures(unit));
        prop_assert_eq!(bulk_driver.busy(unit), single_driver.busy(unit));
    }
    prop_assert_eq!(bulk_driver.cluster().prefix_totals(), single_driver.cluster().prefix_totals());
    prop_assert_eq!(bulk_driver.links().delivered(), single_driver.links().delivered());
    prop_assert_eq!(bulk_driver.now(), single_driver.now());
    prop_assert_eq!(bulk_driver.ledger(), single_driver.ledger());
    Ok(())
}

proptest! {
    #![proptest_config(crate::world::proptest_config(1000))]

    #[test]
    fn every_request_ends_once_with_all_its_tokens(
        config in any_config(),
        from in any_split(),
        schedule in any_schedule(),
    ) {
        let (log, driver) = play(&config, from, Pace::Bulk, COSTS, &schedule);
        prop_assert_eq!(driver.cluster().in_flight(), 0, "nothing will ever happen again: {:?}", driver.cluster());
        tokens_are_conserved(&schedule, &log)?;
        for unit in (0..driver.cluster().units()).map(UnitId) {
            prop_assert_eq!(driver.cluster().unit_figures(unit).held, 0, "{} holds blocks for nobody", unit);
        }
    }

    #[test]
    fn bulk_steps_equal_single_steps(config in any_config(), from in any_split(), schedule in any_schedule()) {
        bulk_equals_single(&config, from, COSTS, &schedule)?;
    }

    #[test]
    fn bulk_steps_equal_single_steps_where_each_is_longer_than_the_last_and_links_are_shared(
        config in any_config(),
        from in any_split(),
        schedule in any_schedule(),
        per_position in 0_u64..200_000,
        link in prop_oneof![Just(1_000_000_000_u64), Just(40_000_000_000)],
    ) {
        let hand_off = HandOff { link_bytes_per_second: link, ..AFFINE.hand_off };
        let timing = Affine { per_position: Ticks(per_position), hand_off, ..AFFINE };
        bulk_equals_single(&config, from, timing, &schedule)?;
    }

    #[test]
    fn bulk_steps_equal_single_steps_where_many_aggregated_units_cost_something(
        config in any_config(),
        from in any_split(),
        schedule in any_schedule(),
        many in 1_u16..4,
        overhead in 0_u64..5_000_000,
    ) {
        let replicas = Some(Replicas { from: many, overhead: Ticks(overhead) });
        let timing = Affine { replicas, ..AFFINE };
        bulk_equals_single(&config, from, timing, &schedule)?;
        counted_equals_single(&config, from, Pace::Bulk, timing, &schedule)?;
    }

    #[test]
    fn bulk_steps_equal_single_steps_where_units_change_their_role_for_many_steps(
        config in any_config(),
        from in any_split(),
        schedule in any_schedule(),
        switch in 100_u64..1500,
        warm in 0_u64..1500,
    ) {
        let timing = Costs { switch: Nanos(switch), warm: Nanos(warm), ..COSTS };
        bulk_equals_single(&config, from, timing, &schedule)?;
        counted_equals_single(&config, from, Pace::Bulk, timing, &schedule)?;
    }

    #[test]
    fn a_copy_goes_on_by_itself_as_if_nobody_else_had(
        config in any_config(),
        from in any_split(),
        schedule in any_schedule(),
        at in 0_u64..6000,
    ) {
        let schedule = schedule.into_iter().map(|(at, input)| (Nanos(at), input));
        let (mut arrivals, orders): (Vec<_>, Vec<_>) = schedule.partition(|(_, input)| matches!(input, Input::Arrive(_)));
        arrivals.sort_by_key(|(at, _)| *at);
        let (early, late): (Vec<_>, Vec<_>) = orders.iter().cloned().partition(|(due, _)| due.0 <= at);
        let mut original = to_come(&config, from, arrivals.clone());
        for (at, input) in &early {
            original.schedule(*at, input.clone());
        }
        while original.step_by(Nanos(at)).is_some() {}
        let copy = original.clone();
        prop_assert_eq!(finally(copy, &late), finally(to_come(&config, from, arrivals.clone()), &orders));
        prop_assert_eq!(finally(original, &[]), finally(to_come(&config, from, arrivals), &early));
    }

    #[test]
    fn batches_that_are_counted_as_one_equal_single_steps(
        config in any_config(),
        from in any_split(),
        schedule in any_schedule(),
        bulk in prop::bool::weighted(0.8),
        affine in any::<bool>(),
    ) {
        let pace = if bulk { Pace::Bulk } else { Pace::SingleSteps };
        if affine {
            counted_equals_single(&config, from, pace, AFFINE, &schedule)?;
        } else {
            counted_equals_single(&config, from, pace, COSTS, &schedule)?;
        }
    }
}

proptest! {
    #![proptest_config(crate::world::proptest_config(100))]

    #[test]
    fn what_a_counted_batch_has_written_is_found_as_if_it_were_written_block_by_block(
        config in any_config(),
        from in any_split(),
        schedule in any_conversation(),
        bulk in prop::bool::weighted(0.8),
    ) {
        // Nothing is evicted: what a prompt has of an answer before that is written stays where it is.
        let config = ClusterConfig { prefix_cache: true, blocks_per_unit: 2000, ..config };
        let pace = if bulk { Pace::Bulk } else { Pace::SingleSteps };
        counted_equals_single(&config, from, pace, AFFINE, &schedule)?;
    }
}
