use std::collections::BTreeMap;
use std::sync::Arc;

use engine::cluster::{Arrival, BatchLimits, Cluster as Scheduler, ClusterConfig, Finished, FirstToken};
use engine::drive::virtual_time::{Emitted, Input, Pace, Sink, VirtualDriver};
use engine::executor::sim::{Affine, AffineSeconds, Timing};
use engine::model::counter;
use engine::units::{Nanos, RequestId, Split};
use proptest::prelude::*;

use super::law::Law;
use super::*;
use crate::sample::{Gap, Sample, ServerSide, testing};
use crate::time::Micros;
use crate::whatif::{Asked, Basis, Grounds, Observed, Offered, predict};

/// What steps take in truth.
pub(in crate::whatif) const TRUTH: AffineSeconds = AffineSeconds {
    prompt_step: 4e-3,
    prompt_token: 1.5e-4,
    beside_token: 1.5e-4,
    pair: 8e-8,
    step: 6e-3,
    sequence: 7e-4,
    position: 4e-7,
    hand_off: 2e-3,
    hand_off_token: 5e-6,
    switch: 0.0,
    warm: 0.0,
};

fn terms() -> UnitTerms {
    let config = ClusterConfig {
        block_tokens: 16,
        blocks_per_unit: 2048,
        max_context: 4096,
        prefill: BatchLimits { tokens: 256, sequences: 16 },
        decode: BatchLimits { tokens: 64, sequences: 64 },
        aggregated: BatchLimits { tokens: 128, sequences: 64 },
        watermark_permille: 20,
        prefix_cache: false,
        first_token: FirstToken::AfterHandOff,
        drain_timeout: None,
    };
    UnitTerms { config, assumed: None }
}

/// Seconds between two arrivals, and tokens of a prompt and its answer.
pub(in crate::whatif) type Load = fn(u64) -> (f64, u32, u32);

fn random(index: u64, number: u64) -> f64 {
    counter::unit_interval(counter::stream(11, index), number)
}

/// Poisson arrivals, eight a second, of prompts and answers of all lengths.
pub(in crate::whatif) fn varied(index: u64) -> (f64, u32, u32) {
    let gap = -(1.0 - random(index, 0)).ln() / 8.0;
    (gap, 40 + (random(index, 1) * 900.0) as u32, 8 + (random(index, 2) * 120.0) as u32)
}

/// Samples as the engine tells them: its own instants, to the microsecond.
#[derive(Debug, Default)]
struct Collect {
    tokens: BTreeMap<RequestId, Vec<Micros>>,
    finished: Vec<(Nanos, Finished)>,
}

fn micros(at: Nanos) -> Micros {
    Micros(at.0 / 1000)
}

impl Sink for Collect {
    const EVERY_TOKEN: bool = true;

    fn emitted(&mut self, emitted: Emitted) {
        for (at, request, ..) in emitted.tokens() {
            self.tokens.entry(request).or_default().push(micros(at));
        }
    }

    fn finished(&mut self, at: Nanos, finished: Finished) {
        self.finished.push((at, finished));
    }
}

/// What a cluster of these units does with `count` requests; each step takes up to `noise` more or less than it should.
pub(in crate::whatif) fn observed(
    split: &str,
    timing: AffineSeconds,
    noise: f64,
    count: u64,
    load: Load,
) -> (Vec<Sample>, Vec<Offered>) {
    let scheduler = Scheduler::new(terms().config, split.parse().expect("a split")).expect("a cluster");
    let timing = Noisy { timing: Affine::from(timing), noise };
    let mut driver = VirtualDriver::with_sink(scheduler, timing, Pace::SingleSteps, Collect::default());
    let mut at = 0.0;
    let mut offered = Vec::new();
    for index in 0..count {
        let (gap, input_tokens, output_tokens) = load(index);
        at += gap;
        let arrival = Arrival {
            request: RequestId(index),
            prompt_tokens: input_tokens,
            output_tokens,
            prompt_hashes: Arc::default(),
        };
        driver.schedule(Nanos((at * 1e9) as u64), Input::Arrive(arrival));
        let due = Micros::from_secs_f64(at);
        offered.push(Offered { due, input_tokens, output_tokens, segments: Arc::new([]) });
    }
    driver.run();
    let (_, Collect { tokens, finished }) = driver.into_parts();
    let sample = |(at, finished): (Nanos, Finished)| {
        let offered = &offered[finished.request.0 as usize];
        let tokens = &tokens[&finished.request];
        let stages = finished.stages;
        Sample {
            due: offered.due,
            sent: Some(offered.due),
            first: tokens.first().copied(),
            last: tokens.last().copied(),
            ended: micros(at),
            gaps: tokens.windows(2).map(|pair| Gap { gap: pair[1].since(pair[0]), tokens: 1 }).collect(),
            input_tokens: offered.input_tokens,
            output_asked: offered.output_tokens,
            output_tokens: tokens.len() as u32,
            server: Some(ServerSide {
                prefill_unit: finished.prefill_unit.map(|unit| unit.0),
                decode_unit: finished.decode_unit.map(|unit| unit.0),
                preemptions: finished.preemptions,
                arrived: Some(micros(stages.arrived)),
                prefill_start: stages.prefill_start.map(micros),
                prefill_end: stages.prefill_end.map(micros),
                handoff_start: stages.handoff_start.map(micros),
                handoff_end: stages.handoff_end.map(micros),
                decode_start: stages.decode_start.map(micros),
                ..ServerSide::default()
            }),
            ..testing::completed(finished.request.0, 0, 0, &[])
        }
    };
    (finished.into_iter().map(sample).collect(), offered)
}

/// Steps that take more or less by chance, and always the same for the same contents.
#[derive(Debug)]
struct Noisy {
    timing: Affine,
    noise: f64,
}

impl Timing for Noisy {
    fn step(&self, role: engine::units::Role, shape: &engine::cluster::StepShape) -> engine::executor::sim::StepLine {
        let key = shape.context ^ shape.doubled_pairs << 20 ^ u64::from(shape.prompt_tokens) << 50;
        let off = 1.0 + self.noise * (2.0 * counter::unit_interval(key, 5) - 1.0);
        let line = self.timing.step(role, shape);
        let scaled = |ticks: engine::executor::sim::Ticks| engine::executor::sim::Ticks((ticks.0 as f64 * off) as u64);
        engine::executor::sim::StepLine { base: scaled(line.base), per_position: scaled(line.per_position) }
    }

    fn transfer(&self, transfer: &engine::executor::sim::TransferShape) -> engine::executor::sim::TransferWork {
        self.timing.transfer(transfer)
    }

    fn link_bytes_per_second(&self) -> u64 {
        1
    }

    fn switch(&self, _: engine::units::Role, _: engine::units::Role) -> Nanos {
        Nanos::ZERO
    }

    fn restart(&self, _: engine::units::Role) -> Nanos {
        Nanos::ZERO
    }

    fn warm(&self, _: engine::units::Role) -> Nanos {
        Nanos::ZERO
    }
}

/// The law of a run, and its sights.
fn fitted(split: &str, noise: f64, count: u64, load: Load) -> Result<Law, String> {
    Law::of(&Sights::of_samples(&observed(split, TRUTH, noise, count, load).0), &terms())
}

/// How far off a law is for steps as they occur, at the most.
fn worst(law: &Law, role: &str) -> f64 {
    let found = law.seconds(0);
    let of = |seconds: &AffineSeconds| -> Vec<f64> {
        let prompt = |n: f64| seconds.prompt_step + n * seconds.prompt_token + n * n / 2.0 * seconds.pair;
        let answer = |n: f64, context: f64| seconds.step + n * seconds.sequence + n * context * seconds.position;
        let hand_off = |n: f64| seconds.hand_off + n * seconds.hand_off_token;
        match role {
            "both" => vec![
                prompt(100.0),
                answer(2.0, 300.0),
                answer(16.0, 900.0),
                answer(5.0, 500.0) + 100.0 * seconds.beside_token,
            ],
            _ => vec![
                prompt(60.0),
                prompt(256.0),
                answer(1.0, 500.0),
                answer(8.0, 500.0),
                answer(24.0, 900.0),
                hand_off(100.0),
                hand_off(900.0),
            ],
        }
    };
    of(&found).iter().zip(of(&TRUTH)).map(|(found, really)| (found / really - 1.0).abs()).fold(0.0, f64::max)
}

#[test]
fn costs_of_a_cluster_are_found_again() {
    let law = fitted("2P2D", 0.0, 500, varied).expect("a fit");
    assert!(worst(&law, "apart") < 0.01, "{} {:?}", worst(&law, "apart"), law.seconds(0));
    let found = law.seconds(0);
    for (name, found, really) in [
        ("token", found.prompt_token, TRUTH.prompt_token),
        ("step", found.step, TRUTH.step),
        ("sequence", found.sequence, TRUTH.sequence),
        ("hand-off", found.hand_off_token, TRUTH.hand_off_token),
    ] {
        assert!((found / really - 1.0).abs() < 0.1, "{name}: {found} for {really}");
    }
    assert!(law.fit.residual < 0.02 && law.fit.unsure.is_empty(), "{:?}", law.fit);
    assert_eq!(law.fit.assumed.len(), 1, "{:?}", law.fit.assumed);
}

#[test]
fn a_unit_that_never_rests_is_fitted_too() {
    let all = |index| {
        let (gap, input, output) = varied(index);
        (gap / 2.0, input, output)
    };
    let (samples, _) = observed("1P3D", TRUTH, 0.0, 600, all);
    // What is over half-way: the queue grows until the last request.
    let half = Micros(40_000_000);
    let over: Vec<Sample> = samples.into_iter().filter(|sample| sample.ended <= half).collect();
    let law = Law::of(&Sights::of_samples(&over), &terms()).expect("a fit");
    let step = |seconds: &AffineSeconds| seconds.prompt_step + 256.0 * seconds.prompt_token + 60_000.0 * seconds.pair;
    let (found, really) = (step(&law.seconds(0)), step(&TRUTH));
    assert!((found / really - 1.0).abs() < 0.02, "{found} for {really}: {:?}", law.fit);
    assert!(law.fit.requests > 150, "{:?}", law.fit);
}

#[test]
fn units_that_do_both_are_fitted_too() {
    let law = fitted("4A", 0.0, 500, varied).expect("a fit");
    assert!(worst(&law, "both") < 0.02, "{} {:?}", worst(&law, "both"), law.seconds(0));
    assert!(law.fit.assumed.iter().any(|line| line.starts_with("a hand-off was not seen")), "{:?}", law.fit);
}

#[test]
fn steps_that_vary_by_chance_are_fitted_in_the_mean() {
    let law = fitted("2P2D", 0.3, 700, varied).expect("a fit");
    assert!(worst(&law, "apart") < 0.1, "{} {:?}", worst(&law, "apart"), law.seconds(0));
    assert!(law.fit.residual > 0.02, "{:?}", law.fit);
}

#[test]
fn what_never_varies_is_named_and_drawn_widely() {
    // One at a time: no batch but of one.
    let law = fitted("1P1D", 0.0, 60, |_| (2.0, 200, 60)).expect("a fit");
    assert!(law.fit.unsure.contains(&"a sequence in a step"), "{:?}", law.fit);
    let of = |draw| {
        let seconds = law.seconds(draw);
        (seconds.step + seconds.sequence + 230.0 * seconds.position, seconds.sequence)
    };
    let really = TRUTH.step + TRUTH.sequence + 230.0 * TRUTH.position;
    let draws: Vec<_> = (0..9).map(of).collect();
    // What was seen is known, whatever its parts are.
    assert!(draws.iter().all(|(alone, _)| (alone / really - 1.0).abs() < 0.06), "{draws:?} for {really}");
    let most = draws.iter().map(|(_, sequence)| *sequence).fold(0.0, f64::max);
    let least = draws.iter().map(|(_, sequence)| *sequence).fold(1.0, f64::min);
    assert!(most > 2.0 * least && most > 1e-3, "{draws:?}");
}

#[test]
fn too_little_is_no_fit_and_says_why() {
    let why = fitted("2P2D", 0.0, 12, varied).expect_err("too few");
    assert!(why.starts_with("not enough seen yet: the steps of ") && why.ends_with("30 are needed"), "{why}");
    let silent: Vec<Sample> = (0..40).map(|index| testing::completed(index, index * 1000, 900, &[20; 30])).collect();
    let why = Law::of(&Sights::of_samples(&silent), &terms()).expect_err("nothing is told");
    assert_eq!(why, "the target does not tell which unit served a request, and when");
}

#[test]
fn other_splits_are_predicted_from_what_was_seen_in_one() {
    let slo = "ttft=500ms,tpot=14ms".parse().expect("an SLO");
    for now in ["2P2D", "1P3D", "4A"] {
        let (samples, offered) = observed(now, TRUTH, 0.1, 480, varied);
        let end = offered.last().map_or(Micros::ZERO, |last| last.due + Micros(1));
        let traffic = Observed::new(Micros::ZERO, end, offered);
        let basis = Basis::fitted(&Sights::of_samples(&samples), &terms()).expect("a basis");
        let Grounds::Fitted(fit) = &basis.grounds else { panic!("{:?}", basis.grounds) };
        assert!(fit.requests > 300, "{fit:?}");
        let truth: Arc<dyn Timing + Send + Sync> = Arc::new(Affine::from(TRUTH));
        let really = Basis { timings: vec![Arc::clone(&truth), truth], ..basis.clone() };
        let of = |basis: &Basis| {
            let asked = Asked { traffic: &traffic, basis, slo, now: now.parse().expect("a split") };
            predict(&asked, &|| false).expect("a prediction")
        };
        let (answer, truth) = (of(&basis), of(&really));
        for name in ["3P1D", "2P2D", "1P3D", "4A"] {
            let split: Split = name.parse().expect("a split");
            let (predicted, then) = (answer.of(split).expect(name), truth.of(split).expect(name));
            let off = (predicted.attainment.mid - then.attainment.mid).abs();
            assert!(off < 0.1, "{name} seen in {now}: {:?}, {:?} in truth", predicted.attainment, then.attainment);
            let range = predicted.goodput_rps;
            assert!(range.lo <= range.mid && range.mid <= range.hi, "{name} {range:?}");
        }
    }
}

#[test]
fn the_same_requests_give_the_same_basis() {
    let of = || fitted("2P2D", 0.1, 200, varied).map(|law| (law.seconds(0), law.seconds(3), law.fit));
    assert_eq!(of(), of());
}

/// The same requests as a client of an HTTP server sees them.
fn untold(samples: Vec<Sample>) -> Vec<Sample> {
    samples.into_iter().map(|sample| Sample { server: None, ..sample }).collect()
}

fn by_requests(now: &str, samples: Vec<Sample>) -> Result<Basis, String> {
    let samples = untold(samples);
    let until = samples.iter().map(|sample| sample.ended).max().unwrap_or_default();
    let eras = Eras::of(now.parse().expect("a split"), until);
    Basis::of_requests(&Sights::of_samples(&samples), &eras, &UnitTerms::untold(4096))
}

#[test]
fn what_clients_see_tells_whether_another_split_gives_more() {
    let slo = "ttft=500ms,tpot=14ms".parse().expect("an SLO");
    for now in ["2P2D", "1P3D", "3P1D", "4A"] {
        let (samples, offered) = observed(now, TRUTH, 0.1, 480, varied);
        let end = offered.last().map_or(Micros::ZERO, |last| last.due + Micros(1));
        let traffic = Observed::new(Micros::ZERO, end, offered);
        let basis = by_requests(now, samples).expect("a basis");
        let Grounds::Fitted(fit) = &basis.grounds else { panic!("{:?}", basis.grounds) };
        assert!(fit.assumed.iter().any(|line| line.contains("spread evenly")), "{fit:?}");
        let truth: Arc<dyn Timing + Send + Sync> = Arc::new(Affine::from(TRUTH));
        let really = Basis { config: terms().config, timings: vec![Arc::clone(&truth), truth], ..basis.clone() };
        let of = |basis: &Basis| {
            let asked = Asked { traffic: &traffic, basis, slo, now: now.parse().expect("a split") };
            predict(&asked, &|| false).expect("a prediction")
        };
        let (answer, truth) = (of(&basis), of(&really));
        let serving = now.parse().expect("a split");
        let (mine, then) = (answer.of(serving).expect(now), truth.of(serving).expect(now));
        let (predicted, true_share) = (mine.attainment, then.attainment.mid);
        assert!(
            predicted.lo - 0.05 <= true_share && true_share <= predicted.hi + 0.05,
            "{now}: {predicted:?}, {true_share} in truth, {fit:?}"
        );
        for name in ["3P1D", "2P2D", "1P3D", "4A"] {
            let split: Split = name.parse().expect("a split");
            let gain = truth.of(split).expect(name).attainment.mid - true_share;
            let told = answer.of(split).expect(name).attainment.mid - predicted.mid;
            assert!(gain.abs() < 0.25 || gain.signum() * told > 0.0, "{name} seen in {now}: {told}, {gain} in truth");
        }
    }
}

#[test]
fn prompts_that_all_waited_tell_nothing_to_clients() {
    // Twice what one unit can compute: from some on every prompt waits.
    let flood = |index| {
        let (gap, input, output) = varied(index);
        (gap / 4.0, input, output)
    };
    let (samples, _) = observed("1P3D", TRUTH, 0.0, 300, flood);
    let why = by_requests("1P3D", samples).expect_err("a queue");
    assert!(why.starts_with("not enough seen yet: ") && why.ends_with("30 are needed"), "{why}");
    let (few, _) = observed("2P2D", TRUTH, 0.0, 12, varied);
    assert!(by_requests("2P2D", few).is_err_and(|why| why.starts_with("not enough seen yet")));
}

#[test]
fn requests_from_while_units_moved_are_left_out() {
    let (samples, _) = observed("2P2D", TRUTH, 0.0, 200, varied);
    let sights = Sights::of_samples(&untold(samples));
    let nothing = Basis::of_requests(&sights, &Eras::default(), &UnitTerms::untold(4096)).expect_err("no split");
    assert!(nothing.starts_with("not enough seen yet: the steps of 0 answers"), "{nothing}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever servers tell, in whatever order, nothing takes less than no time.
    #[test]
    fn costs_are_never_negative(seed in any::<u64>(), units in 1_u16..4) {
        let at = |index, number| Micros((counter::unit_interval(counter::stream(seed, index), number) * 2e7) as u64);
        let sample = |index| Sample {
            server: Some(ServerSide {
                prefill_unit: Some(index as u16 % units),
                decode_unit: Some((index / 3) as u16 % units),
                arrived: Some(at(index, 0)),
                prefill_start: Some(at(index, 1)),
                prefill_end: Some(at(index, 2)),
                handoff_start: Some(at(index, 3)),
                handoff_end: Some(at(index, 4)),
                prefix_hit: at(index, 5).0 as u32,
                ..ServerSide::default()
            }),
            ..testing::completed(index, at(index, 6).0, at(index, 7).0, &[at(index, 8).0 / 100; 40])
        };
        let samples: Vec<Sample> = (0..200).map(sample).collect();
        if let Ok(law) = Law::of(&Sights::of_samples(&samples), &terms()) {
            for draw in 0..9 {
                let AffineSeconds { prompt_step, prompt_token, pair, step, sequence, position, hand_off, hand_off_token, .. } =
                    law.seconds(draw);
                for cost in [prompt_step, prompt_token, pair, step, sequence, position, hand_off, hand_off_token] {
                    prop_assert!(cost >= 0.0 && cost.is_finite(), "{:?}", law.seconds(draw));
                }
            }
        }
    }
}
