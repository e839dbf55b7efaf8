//! Queues with known answers, and sums that must come out exactly.

use engine::cluster::{Arrival, BatchLimits, ClusterConfig, Stages, StepShape};
use engine::drive::virtual_time::{Charged, Input, Log, Pace, VirtualDriver};
use engine::executor::sim::{HandOff, Replicas, StepLine, Ticks, Timing, TransferShape, TransferWork};
use engine::units::{Nanos, RequestId, Role, UnitId};

use crate::random::CounterRandom;
use crate::world::{AFFINE, Affine, config, request, timed_driver};

/// A prompt token takes a microsecond, nothing else takes anything to speak of.
#[derive(Clone, Copy, Debug)]
struct PerToken;

impl Timing for PerToken {
    fn step(&self, _: Role, shape: &StepShape) -> StepLine {
        StepLine { base: Ticks::from(Nanos(1000 * u64::from(shape.prompt_tokens))), per_position: Ticks(0) }
    }

    fn transfer(&self, _: &TransferShape) -> TransferWork {
        TransferWork { setup: Nanos(1), bytes: 0 }
    }

    fn link_bytes_per_second(&self) -> u64 {
        1
    }

    fn switch(&self, _: Role, _: Role) -> Nanos {
        Nanos::ZERO
    }

    fn warm(&self, _: Role) -> Nanos {
        Nanos::ZERO
    }
}

/// A prefill unit that computes one whole prompt at a time.
fn one_at_a_time() -> ClusterConfig {
    ClusterConfig {
        block_tokens: 16,
        blocks_per_unit: 1 << 20,
        max_context: 1 << 20,
        prefill: BatchLimits { tokens: 1 << 20, sequences: 1 },
        prefix_cache: false,
        ..config()
    }
}

/// The mean wait for the prefill unit of Poisson arrivals that keep it busy for `load` of the time, over the mean prompt.
fn mean_wait(load: f64, mean_tokens: f64, seed: u64, length: impl Fn(&mut CounterRandom) -> u32) -> (f64, f64) {
    let requests = 60_000;
    let (mut at, mut square, mut sum) = (0.0, 0.0, 0.0);
    let mut driver = timed_driver(one_at_a_time(), "1P1D", Pace::Bulk, PerToken);
    let gap = mean_tokens * 1000.0 / load;
    let mut arrivals = Vec::new();
    for number in 0..requests {
        let mut random = CounterRandom::new(seed, number);
        at += -gap * random.unit().ln();
        let prompt_tokens = length(&mut random);
        sum += f64::from(prompt_tokens);
        square += f64::from(prompt_tokens).powi(2);
        let arrival = Arrival { request: RequestId(number), prompt_tokens, output_tokens: 1, prompt_hashes: [].into() };
        arrivals.push((Nanos(at as u64), Input::Arrive(arrival)));
    }
    driver.feed(arrivals.into_iter());
    driver.run();
    let log = driver.take_log();
    assert_eq!(log.finished.len(), requests as usize);
    let wait = |stages: &Stages| stages.prefill_start.map_or(0, |start| start.since(stages.arrived).0) as f64;
    let mean = log.finished.iter().map(|(_, finished)| wait(&finished.stages)).sum::<f64>() / requests as f64;
    // Pollaczek and Khinchine, with the rate and the lengths as drawn.
    let rate = requests as f64 / at;
    let (mean_square, busy) = (square * 1e6 / requests as f64, sum * 1000.0 / at);
    (mean, rate * mean_square / (2.0 * (1.0 - busy)))
}

#[test]
fn waiting_for_equal_prompts_is_that_of_an_m_d_1_queue() {
    for (seed, load) in [(1, 0.5), (2, 0.8)] {
        let (wait, expected) = mean_wait(load, 1000.0, seed, |_| 1000);
        assert!((wait / expected - 1.0).abs() < 0.06, "at {load}: {wait} ns, {expected} expected");
    }
}

#[test]
fn waiting_for_lognormal_prompts_is_that_of_an_m_g_1_queue() {
    let sigma = 0.7_f64;
    let lognormal = |random: &mut CounterRandom| {
        let normal = (-2.0 * random.unit().ln()).sqrt() * (std::f64::consts::TAU * random.unit()).cos();
        (1000.0 * (sigma * normal - sigma * sigma / 2.0).exp()).max(1.0) as u32
    };
    for (seed, load) in [(3, 0.5), (4, 0.7)] {
        let (wait, expected) = mean_wait(load, 1000.0, seed, lognormal);
        assert!((wait / expected - 1.0).abs() < 0.08, "at {load}: {wait} ns, {expected} expected");
    }
}

/// Two hundred requests of all lengths on 2P2D with shared links; `scale` makes everything take so many times as long.
fn mixed(scale: u64) -> Vec<(u64, Input)> {
    let mut at = 0;
    (0..200)
        .map(|number| {
            let mut random = CounterRandom::new(5, number);
            at += random.bits() % 120;
            let (prompt, output) = (1 + random.bits() % 60, 1 + random.bits() % 40);
            (at * scale, Input::Arrive(request(number, prompt as u32, output as u32)))
        })
        .collect()
}

#[test]
fn little_s_law_holds_to_the_nanosecond_in_every_stage() {
    let mut driver = timed_driver(config(), "2P2D", Pace::Bulk, AFFINE);
    driver.feed(mixed(1).into_iter().map(|(at, input)| (Nanos(at), input)));
    // Numbers in the system and with KV on the way, added up over time.
    let (mut before, mut inside, mut held, mut moving) = (Nanos::ZERO, 0, 0, 0);
    let (mut integrals, mut busy) = ([0_u64; 3], 0);
    while let Some(now) = driver.step() {
        let passed = now.since(before).0;
        integrals = [integrals[0] + inside * passed, integrals[1] + held * passed, integrals[2] + moving * passed];
        busy += if inside > 0 { passed } else { 0 };
        let figures: Vec<_> = (0..4).map(|unit| driver.cluster().unit_figures(UnitId(unit))).collect();
        inside = driver.cluster().in_flight() as u64;
        held = figures.iter().map(|unit| u64::from(unit.queue + unit.running + unit.handing_off)).sum();
        moving = figures.iter().map(|unit| u64::from(unit.incoming)).sum();
        before = now;
    }
    let log = driver.take_log();
    let sum = |length: fn(Nanos, &Stages) -> Option<u64>| -> u64 {
        log.finished.iter().filter_map(|(at, finished)| length(*at, &finished.stages)).sum()
    };
    assert_eq!(log.finished.len(), 200);
    assert_eq!(integrals[0], sum(|at, stages| Some(at.since(stages.arrived).0)));
    assert_eq!(
        integrals[1],
        sum(|at, stages| Some(at.since(stages.arrived).0)),
        "everybody is on one unit at any time"
    );
    let transfers = sum(|_, stages| Some(stages.handoff_end?.since(stages.handoff_start?).0));
    assert_eq!(integrals[2], transfers);
    assert!(transfers > 0 && busy > 0);
}

#[test]
fn units_are_busy_for_exactly_as_long_as_their_steps_take_and_never_idle_with_work() {
    // With blocks for everybody: a prompt that waits for blocks is work that cannot be begun.
    let roomy = ClusterConfig { blocks_per_unit: 10_000, ..config() };
    let mut driver = timed_driver(roomy, "2P2D", Pace::SingleSteps, AFFINE);
    driver.feed(mixed(1).into_iter().map(|(at, input)| (Nanos(at), input)));
    let mut working = [0_u64; 4];
    let (mut before, mut had_work) = (Nanos::ZERO, [false; 4]);
    while let Some(now) = driver.step() {
        for unit in 0..4 {
            working[unit] += if had_work[unit] { now.since(before).0 } else { 0 };
            let figures = driver.cluster().unit_figures(UnitId(unit as u16));
            had_work[unit] = figures.queue + figures.running > 0;
        }
        before = now;
    }
    for (unit, working) in working.into_iter().enumerate() {
        let busy = driver.busy(UnitId(unit as u16)) / u128::from(Ticks::PER_NANO);
        // What follows a step carries its fraction of a nanosecond; each time of idleness drops one.
        let lost = u128::from(working).abs_diff(busy);
        assert!(lost <= 200, "unit {unit}: {busy} ns in steps, {working} ns with work");
    }
    let nanos = |role| driver.ledger().unit_nanos(driver.now(), role, Charged::Serving);
    assert_eq!(nanos(Role::Prefill), 2 * driver.now().0);
    assert_eq!(driver.ledger().total(driver.now()), 4 * driver.now().0);
}

/// Everything takes `self.0` times as long as with [`AFFINE`].
#[derive(Clone, Copy, Debug)]
struct Slower(u64);

impl Timing for Slower {
    fn step(&self, role: Role, shape: &StepShape) -> StepLine {
        // Whole nanoseconds, so that nothing is rounded on the way.
        let whole = |ticks: Ticks| Ticks((ticks.0 >> 16 << 16) * self.0);
        let line = AFFINE.step(role, shape);
        StepLine { base: whole(line.base), per_position: Ticks(Ticks::PER_NANO * self.0) }
    }

    fn transfer(&self, transfer: &TransferShape) -> TransferWork {
        let hand_off = HandOff { layers: 1, ..AFFINE.hand_off };
        let work = hand_off.work(transfer);
        TransferWork { setup: Nanos((work.setup.0 + work.bytes / 16) * self.0), bytes: 0 }
    }

    fn link_bytes_per_second(&self) -> u64 {
        1
    }

    fn switch(&self, _: Role, _: Role) -> Nanos {
        Nanos(50 * self.0)
    }

    fn warm(&self, _: Role) -> Nanos {
        Nanos(70 * self.0)
    }
}

#[test]
fn when_everything_takes_longer_by_a_factor_so_does_the_result() {
    let play = |scale: u64| -> (Vec<u64>, Log) {
        let mut driver: VirtualDriver<_> = timed_driver(config(), "2P2D", Pace::Bulk, Slower(scale));
        driver.feed(mixed(scale).into_iter().map(|(at, input)| (Nanos(at), input)));
        driver.run();
        let log = driver.take_log();
        let mut instants: Vec<_> = log.emitted.iter().flat_map(|emitted| emitted.tokens()).collect();
        instants.sort_by_key(|&(_, request, index, _)| (request, index));
        (instants.into_iter().map(|(at, ..)| at.0).collect(), log)
    };
    let (once, log) = play(1);
    let (seven_times, _) = play(7);
    assert!(log.finished.len() == 200 && once.len() > 3000);
    assert_eq!(once.iter().map(|at| at * 7).collect::<Vec<_>>(), seven_times);
}

/// Every token and every stage of a run, mixed into one number: whoever changes what happens changes it.
fn fingerprint(log: &Log) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut mix = |number: u64| hash = (hash ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    let mut tokens: Vec<_> = log.emitted.iter().flat_map(|emitted| emitted.tokens()).collect();
    tokens.sort_unstable();
    for (at, request, index, unit) in tokens {
        for number in [at.0, request.0, u64::from(index), u64::from(unit.0)] {
            mix(number);
        }
    }
    for (at, finished) in &log.finished {
        let stages = finished.stages;
        for instant in [Some(*at), stages.prefill_start, stages.prefill_end, stages.handoff_start, stages.handoff_end] {
            mix(instant.map_or(u64::MAX, |at| at.0));
        }
        mix(finished.request.0);
    }
    hash
}

#[test]
fn a_run_is_the_same_for_ever_and_on_every_thread() {
    let play = |pace| {
        let mut driver = timed_driver(config(), "2P2D", pace, AFFINE);
        driver.feed(mixed(1).into_iter().map(|(at, input)| (Nanos(at), input)));
        driver.schedule(Nanos(4000), Input::Shift(crate::world::split("1P3D"), engine::cluster::How::Migrate));
        driver.run();
        fingerprint(driver.log())
    };
    let others: Vec<_> = (0..3).map(|_| std::thread::spawn(move || play(Pace::Bulk))).collect();
    let here = play(Pace::Bulk);
    assert_eq!(play(Pace::SingleSteps), here);
    for other in others {
        assert_eq!(other.join().expect("a run"), here);
    }
    assert_eq!(here, GOLDEN, "what happens in a run has changed; if that was meant, this is the new number");
}

const GOLDEN: u64 = 16_546_648_787_179_102_371;

#[test]
fn steps_of_many_aggregated_units_take_longer_by_what_is_said_and_no_others_do() {
    let ends = |split: &str, replicas: Option<Replicas>| {
        let mut driver = timed_driver(config(), split, Pace::Bulk, Affine { replicas, ..AFFINE });
        driver.schedule(Nanos(0), Input::Arrive(request(1, 20, 11)));
        driver.run();
        driver.now().0
    };
    let replicas = Some(Replicas { from: 3, overhead: Ticks::from(Nanos(1000)) });
    for split in ["1P1D", "2A", "1P1D2A", "3P1D"] {
        assert_eq!(ends(split, replicas), ends(split, None), "{split}");
    }
    // One step for the prompt and its first token, and one for each other.
    for split in ["3A", "4A"] {
        assert_eq!(ends(split, replicas), ends(split, None) + 11_000, "{split}");
    }
}
