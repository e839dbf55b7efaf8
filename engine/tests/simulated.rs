//! A simulated engine in wall time does what virtual time does, at the same virtual instants.
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::block_hash;
use engine::cluster::{Arrival, BatchLimits, Cluster, ClusterConfig, FinishReason, FirstToken, How, Notice};
use engine::drive::simulated::SimulatedConfig;
use engine::drive::virtual_time::{Costs, Input, Pace, VirtualDriver};
use engine::drive::wall::{EngineEvent, EngineHandle, EventReader, ShiftError, Submission, SubmitError, WallEngine};
use engine::executor::Sampling;
use engine::units::{Nanos, RequestId, Split};

/// Longer than anything takes: a test that would hang fails instead.
const PATIENCE: Duration = Duration::from_mins(1);

const COSTS: Costs = Costs {
    step: Nanos(3_000_000),
    token: Nanos(10_000),
    transfer: Nanos(1_000_000),
    block: Nanos(50_000),
    switch: Nanos(20_000_000),
    restart: Nanos(400_000_000),
    warm: Nanos(30_000_000),
};

fn cluster() -> ClusterConfig {
    let limits = BatchLimits { tokens: 256, sequences: 16 };
    ClusterConfig {
        block_tokens: 16,
        blocks_per_unit: 256,
        max_context: 2048,
        prefill: limits,
        decode: limits,
        aggregated: limits,
        watermark_permille: 20,
        prefix_cache: true,
        first_token: FirstToken::AfterHandOff,
        drain_timeout: None,
    }
}

fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

struct World {
    handle: EngineHandle,
    reader: EventReader,
    events: Vec<EngineEvent>,
    _engine: WallEngine,
}

impl World {
    fn new(from: &str, request_limit: usize) -> Self {
        let config = SimulatedConfig {
            cluster: cluster(),
            split: split(from),
            time_scale: 20.0,
            vocabulary: 1000,
            request_limit,
            inbox_limit: 256,
            event_limit: 4096,
        };
        let (engine, reader) = config.start(COSTS).expect("an engine");
        Self { handle: engine.handle(), reader, events: Vec::new(), _engine: engine }
    }

    /// Reads until `enough` of what came is there.
    fn until(&mut self, what: &str, enough: impl Fn(&[EngineEvent]) -> bool) {
        while !enough(&self.events) {
            let before = self.events.len();
            assert!(self.reader.drain(&mut self.events, PATIENCE), "the engine has stopped before {what}");
            assert!(self.events.len() > before, "never: {what}");
        }
    }

    fn submit(&self, number: u64) -> Result<(), SubmitError> {
        self.handle.submit(submission(number))
    }

    fn shifts_ended(events: &[EngineEvent]) -> usize {
        let ended = |event: &&EngineEvent| matches!(event, EngineEvent::Notice { notice: Notice::ShiftEnded(_), .. });
        events.iter().filter(ended).count()
    }
}

/// Prompts of 20 to 320 tokens of which every third shares its first 64, answers of 1 to 60 tokens.
fn submission(number: u64) -> Submission {
    let length = 20 + number * 97 % 300;
    let token = |at: u64| if number.is_multiple_of(3) && at < 64 { 7 } else { (number * 31 + at) % 1000 };
    Submission {
        request: RequestId(number),
        prompt: (0..length).map(|at| token(at) as u32).collect(),
        output_tokens: 1 + (number * 13 % 60) as u32,
        sampling: Sampling::Greedy,
        stop: Arc::new([]),
        logprobs: None,
    }
}

fn arrival(number: u64) -> Arrival {
    let Submission { request, prompt, output_tokens, .. } = submission(number);
    let prompt_hashes = block_hash::hashes(&prompt, cluster().block_tokens).into();
    Arrival { request, prompt_tokens: prompt.len() as u32, output_tokens, prompt_hashes }
}

fn finished(events: &[EngineEvent]) -> usize {
    events.iter().filter(|event| matches!(event, EngineEvent::Finished { .. })).count()
}

/// Every token with its instant, by request and index.
fn tokens(events: &[EngineEvent]) -> BTreeMap<(RequestId, u32), Nanos> {
    let token = |event: &EngineEvent| match event {
        EngineEvent::Token { at, request, index, .. } => Some(((*request, *index), *at)),
        _ => None,
    };
    events.iter().filter_map(token).collect()
}

#[test]
fn what_happens_is_what_virtual_time_says_to_the_nanosecond() {
    const REQUESTS: u64 = 120;
    let mut world = World::new("2P2D", 4096);
    let clock = world.handle.clock();
    let mut handed_over = BTreeMap::new();
    for number in 0..REQUESTS {
        let before = clock.now();
        world.submit(number).expect("room");
        handed_over.insert(number, before..=clock.now());
        // Somebody looks now and then: that changes nothing.
        if number.is_multiple_of(7) {
            world.handle.observe();
        }
        if number == REQUESTS / 2 {
            world.until("half of the answers", |events| finished(events) > 5);
        }
    }
    world.until("all answers", |events| finished(events) == REQUESTS as usize);
    let mut virtual_time =
        VirtualDriver::new(Cluster::new(cluster(), split("2P2D")).expect("a cluster"), COSTS, Pace::Bulk);
    let mut arrivals: Vec<_> = (world.events.iter())
        .filter_map(|event| match event {
            EngineEvent::Finished { finished, .. } => Some((finished.stages.arrived, finished.request.0)),
            _ => None,
        })
        .collect();
    arrivals.sort_unstable();
    // Whoever looked meanwhile: a request arrives when it is handed over.
    assert!(arrivals.iter().all(|(at, number)| handed_over[number].contains(at)), "{arrivals:?} {handed_over:?}");
    assert!(world.events.is_sorted_by_key(EngineEvent::at));
    for (at, number) in arrivals {
        virtual_time.schedule(at, Input::Arrive(arrival(number)));
    }
    virtual_time.run();
    let predicted: BTreeMap<_, _> = (virtual_time.log().emitted.iter())
        .flat_map(|emitted| emitted.tokens().map(|(at, request, index, _)| ((request, index), at)))
        .collect();
    assert_eq!(tokens(&world.events), predicted);
    assert_eq!(world.handle.check(), Ok(()));
}

#[test]
fn a_shift_drains_switches_and_warms_and_the_one_after_it_waits() {
    let mut world = World::new("2P2D", 4096);
    for number in 0..40 {
        world.submit(number).expect("room");
    }
    let first = world.handle.shift(split("1P3D"), How::Drain).expect("a shift");
    let second = world.handle.shift(split("3P1D"), How::Migrate).expect("one that waits");
    assert!(first < second);
    assert!(matches!(world.handle.shift(split("3P3D"), How::Drain), Err(ShiftError::Refused(_))));
    assert!(matches!(world.handle.shift_at(split("2P2D"), How::Drain, Some(0)), Err(ShiftError::Moved { .. })));
    world.until("both shifts", |events| World::shifts_ended(events) == 2);
    world.until("all answers", |events| finished(events) == 40);
    let reports: Vec<_> = (world.events.iter())
        .filter_map(|event| match event {
            EngineEvent::Notice { at, notice: Notice::ShiftEnded(report) } => Some((*at, report.clone())),
            _ => None,
        })
        .collect();
    assert_eq!((reports[0].1.id, reports[1].1.id), (first, second));
    assert!(reports.iter().all(|(_, report)| report.abandoned.is_none()));
    assert!(reports[0].1.total >= COSTS.switch + COSTS.warm, "{reports:?}");
    // The second begins at the instant at which the first has ended, whenever anybody looked.
    assert_eq!(reports[1].1.accepted, reports[0].0);
    let now = world.handle.observe();
    assert_eq!((now.split, now.in_flight), (split("3P1D"), 0));
    assert!(
        now.units.iter().any(|unit| unit.imports > 0 && unit.imported_blocks > 0 && unit.import_time > Nanos::ZERO)
    );
    assert!(now.units.iter().all(|unit| unit.busy < now.at) && now.units[3].busy > Nanos::ZERO, "{now:?}");
}

/// Nobody looks at the clock while nothing happens.
#[test]
fn a_shift_of_a_cluster_that_does_nothing_begins_when_it_is_asked_for() {
    let mut world = World::new("2P2D", 4096);
    let asked = world.handle.clock().now();
    world.handle.shift(split("1P3D"), How::Drain).expect("a shift");
    world.until("the shift", |events| World::shifts_ended(events) == 1);
    let report = world.events.iter().find_map(|event| match event {
        EngineEvent::Notice { at, notice: Notice::ShiftEnded(report) } => Some((*at, report.clone())),
        _ => None,
    });
    let (ended, report) = report.expect("a report");
    assert!(asked > Nanos::ZERO && report.accepted >= asked, "{asked:?} {report:?}");
    assert_eq!((ended, report.total), (report.accepted + report.total, COSTS.switch + COSTS.warm));
    let asked = world.handle.clock().now();
    world.handle.shift(split("2P2D"), How::Drain).expect("one more");
    world.until("one more", |events| World::shifts_ended(events) == 2);
    assert!(world.events.iter().skip_while(|event| event.at() <= ended).all(|event| event.at() >= asked));
}

#[test]
fn a_restart_drains_starts_anew_and_loses_nothing() {
    let mut world = World::new("2P2D", 4096);
    for number in 0..40 {
        world.submit(number).expect("room");
    }
    world.handle.shift(split("1P3D"), How::Restart).expect("a shift");
    world.until("the shift", |events| World::shifts_ended(events) == 1);
    world.until("all answers", |events| finished(events) == 40);
    let report = world.events.iter().find_map(|event| match event {
        EngineEvent::Notice { notice: Notice::ShiftEnded(report), .. } => Some(report.clone()),
        _ => None,
    });
    let report = report.expect("just seen");
    assert_eq!((report.how, report.abandoned), (How::Restart, None));
    assert_eq!(report.total, report.drain + COSTS.restart + COSTS.warm);
    assert_eq!(world.handle.observe().split, split("1P3D"));
}

#[test]
fn requests_beyond_the_limit_are_refused_and_cancelled_ones_end() {
    let mut world = World::new("2A", 4);
    let answer = |number| Submission { output_tokens: 1500, ..submission(number) };
    for number in 0..4 {
        world.handle.submit(answer(number)).expect("room");
    }
    assert_eq!(world.handle.submit(answer(4)), Err(SubmitError::TooMany));
    for number in 0..4 {
        world.handle.cancel(RequestId(number));
    }
    world.until("the end of all", |events| finished(events) == 4);
    for event in &world.events {
        let EngineEvent::Finished { finished, .. } = event else { continue };
        assert_eq!(finished.reason, FinishReason::Cancelled);
    }
    // There is room again, and what could never be served is refused with the numbers.
    world.handle.submit(Submission { output_tokens: 4000, ..submission(9) }).expect("room");
    world.until("the refusal", |events| events.iter().any(|event| matches!(event, EngineEvent::Refused { .. })));
    assert_eq!(world.handle.check(), Ok(()));
}
