use std::sync::Arc;

use engine::cluster::{Cluster as Scheduler, How};
use engine::model::counter;
use proptest::prelude::*;

use super::change::best;
use super::contest::Contest;
use super::cost::Moving;
use super::rows::{Pattern, Stretch};
use super::*;
use crate::plan::Procedure;
use crate::plan::figures::Judge;
use crate::plan::rows::{Row, Rows};
use crate::plan::simulate::run;
use crate::profile::Library;
use crate::schedule::Segment;
use crate::slo::Slo;
use crate::time::Micros;

fn basis() -> Basis {
    let cluster = Library::new(Vec::new()).cluster("mi325x-qwen3-235b").expect("a cluster");
    Basis {
        timings: Basis::of_profile(&cluster).expect("tables").timings[..2].to_vec(),
        ..Basis::of_profile(&cluster).expect("tables")
    }
}

fn slo() -> Slo {
    "ttft=2s,tpot=30ms".parse().expect("an SLO")
}

/// A minute of Poisson arrivals: prompts of 16,000 tokens, the first `common` of them the same in all, answers of 512.
fn poisson(rate: f64, seconds: f64, seed: u64, common: u32) -> Vec<Offered> {
    let mut at = 0.0;
    let mut offered = Vec::new();
    for number in 0_u64.. {
        at -= (1.0 - counter::unit_interval(seed, number)).ln() / rate;
        if at >= seconds {
            break;
        }
        let segments: Arc<[Segment]> = match common {
            0 => Arc::new([Segment(1000 + number, 16_000)]),
            common => Arc::new([Segment(1, common), Segment(1000 + number, 16_000 - common)]),
        };
        offered.push(Offered { due: Micros::from_secs_f64(at), input_tokens: 16_000, output_tokens: 512, segments });
    }
    offered
}

fn minute(rate: f64, common: u32) -> Observed {
    Observed::new(Micros::ZERO, Micros::from_secs_f64(60.0), poisson(rate, 60.0, 7, common))
}

fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

fn asked<'a>(traffic: &'a Observed, basis: &'a Basis, now: &str) -> Asked<'a> {
    Asked { traffic, basis, slo: slo(), now: split(now) }
}

#[test]
fn candidates_go_from_prefill_to_decode_and_keep_the_one_that_serves() {
    let names = |now: &str| candidates(split(now)).iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names("2P2D"), ["3P1D", "2P2D", "1P3D", "4A"]);
    assert_eq!(names("1P2D1A"), ["1P2D1A", "3P1D", "2P2D", "1P3D", "4A"]);
    assert_eq!(moves(split("3P1D"), split("1P3D")), 2);
    assert_eq!(moves(split("2P2D"), split("4A")), 4);
}

/// What a long stretch of the same distribution, with other chances, then gives.
fn truth(basis: &Basis, now: &str, rate: f64) -> f64 {
    let rows = poisson(1.0, 700.0, 99, 0).into_iter().map(|offered| Row {
        at: offered.due.as_secs_f64(),
        input: offered.input_tokens,
        output: offered.output_tokens,
        hashes: Arc::default(),
    });
    let scheduler = Scheduler::new(basis.config.clone(), split(now)).expect("a cluster");
    let judge = Judge { slo: slo(), procedure: Procedure::Sustained };
    run(scheduler, Arc::clone(&basis.timings[0]), &Arc::new(Rows::given(rows.collect())), rate, judge).goodput_rps
}

#[test]
fn a_minute_of_traffic_tells_what_every_split_then_gives() {
    let basis = basis();
    for rate in [1.5, 3.0] {
        let traffic = minute(rate, 0);
        let answer = predict(&asked(&traffic, &basis, "3P1D"), &|| false).expect("a prediction");
        assert_eq!(answer.splits.len(), 4);
        for name in ["3P1D", "2P2D", "1P3D"] {
            let predicted = answer.of(split(name)).expect("a split");
            let interval = predicted.goodput_rps;
            assert!(interval.lo <= interval.mid && interval.mid <= interval.hi, "{name} {interval:?}");
            // The rate that was observed is one draw of the Poisson process; what is compared is the share that is good.
            let (share, really) = (predicted.attainment.mid, truth(&basis, name, rate) / rate);
            assert!((share - really).abs() < 0.12, "{name} at {rate}: {share:.3} predicted, {really:.3} then");
        }
    }
}

#[test]
fn the_best_split_is_the_nearest_of_equals() {
    let basis = basis();
    let traffic = minute(0.5, 0);
    for now in ["3P1D", "2P2D"] {
        let answer = predict(&asked(&traffic, &basis, now), &|| false).expect("a prediction");
        assert_eq!(answer.best().map(|best| best.split.to_string()).as_deref(), Some(now), "{answer:?}");
    }
    let loaded = minute(3.0, 0);
    let answer = predict(&asked(&loaded, &basis, "1P3D"), &|| false).expect("a prediction");
    let best = answer.best().expect("a best");
    assert!(best.split.prefill > 1 && best.moves >= 1, "{best:?}");
}

#[test]
fn moving_takes_time_and_migrating_drains_faster() {
    let basis = basis();
    let traffic = minute(1.5, 0);
    let answer = predict(&asked(&traffic, &basis, "2P2D"), &|| false).expect("a prediction");
    assert!(answer.of(split("2P2D")).is_some_and(|now| now.costs.is_empty() && now.moves == 0));
    let costs = &answer.of(split("3P1D")).expect("a split").costs;
    let [drain, migrate, restart] = costs[..] else { panic!("{costs:?}") };
    assert_eq!([drain, migrate, restart].map(|cost| cost.how), How::ALL);
    assert!(drain.drain > Micros::from_secs_f64(1.0), "{drain:?}");
    assert!(migrate.drain < drain.drain && drain.total >= drain.drain, "{costs:?}");
    // A process is away for as long as it takes to start and to load the weights, whatever it held.
    let away = basis.restart_seconds().expect("a simulated cluster");
    assert!(away > 60.0 && restart.total.as_secs_f64() >= away, "{away} {restart:?}");
    assert!((restart.total.since(restart.drain).as_secs_f64() - away).abs() < 0.01, "{away} {restart:?}");
    assert!(restart.late >= drain.late, "{costs:?}");
    let mixed: Vec<String> = answer.mixed.iter().map(|of| of.split.to_string()).collect();
    assert_eq!(mixed, ["1P2D1A", "2P1D1A"]);
}

#[test]
fn to_migrate_is_to_drain_where_nobody_stops_decoding() {
    let basis = basis();
    let traffic = minute(2.0, 0);
    let pattern = Pattern::new(&traffic);
    let rows = pattern.rows(&basis.config, 160, 0, Stretch::NONE);
    let moving = Moving::new(&basis, (rows, 80), pattern.rate_rps(), slo(), split("2P2D")).expect("it serves");
    for to in ["1P3D", "4A", "1P2D1A", "2P1D1A"] {
        let [drained, migrated] = [How::Drain, How::Migrate].map(|how| moving.cost(split(to), how).expect("it ends"));
        assert_eq!(MoveCost { how: How::Migrate, ..drained }, migrated, "{to}");
    }
}

#[test]
fn leaving_out_what_cannot_matter_changes_no_answer() {
    let basis = basis();
    let timing = &basis.timings[0];
    let judge = Judge { slo: slo(), procedure: Procedure::Sustained };
    let (mut looked_at, mut left_out) = (0, 0);
    for (now, rate) in [("3P1D", 0.5), ("3P1D", 2.0), ("2P2D", 2.0), ("1P3D", 3.0)] {
        let traffic = minute(rate, 0);
        let pattern = Pattern::new(&traffic);
        let answer = predict(&asked(&traffic, &basis, now), &|| false).expect("a prediction");
        for factor in [0.5, 1.5, 4.0] {
            let rows = pattern.rows(&basis.config, 250, 0, Stretch::NONE);
            let rate = pattern.rate_rps() * factor;
            let run = |split| {
                let scheduler = Scheduler::new(basis.config.clone(), split).expect("a cluster");
                run(scheduler, Arc::clone(timing), &rows, rate, judge).goodput_rps
            };
            let all: Vec<_> = answer.splits.iter().map(|of| (of.split, of.moves, run(of.split))).collect();
            let contest = Contest { basis: &basis, rows: Arc::clone(&rows), rate, slo: slo() };
            let some = contest.goodput(&answer.splits, &|| false).expect("an answer");
            assert!(some.iter().all(|one| all.contains(one)), "{some:?} of {all:?}");
            looked_at += all.len();
            left_out += all.len() - some.len();
            assert_eq!(best(Aspect::Rate, factor, some), best(Aspect::Rate, factor, all), "{now} at {rate}");
        }
    }
    assert!(left_out * 3 > looked_at, "{left_out} of {looked_at}");
}

#[test]
fn what_prompts_share_is_predicted_to_be_cached() {
    let mut basis = basis();
    basis.config.prefix_cache = true;
    let predicted = |common: u32| {
        let traffic = minute(3.0, common);
        let answer = predict(&asked(&traffic, &basis, "1P3D"), &|| false).expect("a prediction");
        answer.of(split("1P3D")).map_or(0.0, |of| of.goodput_rps.mid)
    };
    let (alone, shared) = (predicted(0), predicted(12_800));
    assert!(shared > alone + 0.5, "{alone} and {shared}");
}

#[test]
fn too_little_traffic_is_no_ground_and_a_stop_is_heeded() {
    let basis = basis();
    let few = minute(0.1, 0);
    let why = predict(&asked(&few, &basis, "2P2D"), &|| false).expect_err("too few");
    assert!(why.ends_with("of 20 requests that a prediction needs"), "{why}");
    assert!(predict(&asked(&minute(2.0, 0), &basis, "2P2D"), &|| true).is_err());
}

#[test]
fn the_same_traffic_gives_the_same_prediction() {
    let basis = basis();
    let traffic = minute(1.0, 0);
    let once = predict(&asked(&traffic, &basis, "2P2D"), &|| false);
    assert_eq!(once, predict(&asked(&traffic, &basis, "2P2D"), &|| false));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Repeated traffic keeps its order, its rate and its lengths; stretched, it still fits the cluster.
    #[test]
    fn rows_are_the_traffic_again(rate in 0.5..20.0, draw in 0_u64..4, input in 0.3..3.0, count in 1_usize..3000) {
        let config = Library::new(Vec::new()).cluster("mi325x-qwen3-235b").expect("a cluster").profile.config;
        let traffic = minute(rate, 0);
        let pattern = Pattern::new(&traffic);
        prop_assume!(pattern.len() > 0);
        let rows = pattern.rows(&config, count, draw, Stretch { input, output: 1.0 });
        prop_assert_eq!(rows.len(), count);
        let at: Vec<u64> = (0..count).map(|index| rows.due(index, 1.0).0).collect();
        prop_assert!(at.is_sorted());
        if draw == 0 && count > pattern.len() {
            let span = at[pattern.len()] - at[0];
            prop_assert!((span as f64 / 1e9 - pattern.len() as f64).abs() < 1e-3);
        }
        let (isl, osl) = rows.mean_lengths();
        let fits = f64::from(config.max_context);
        prop_assert!(isl + osl <= fits + 1.0);
        prop_assert!(((isl - 16_000.0 * input).abs() < 2.0) || isl + osl > fits - 2.0, "{}", isl);
    }
}

#[test]
fn what_would_change_with_the_traffic_and_why_is_told_in_words() {
    let basis = basis();
    let traffic = minute(3.0, 0);
    let answer = predict(&asked(&traffic, &basis, "1P3D"), &|| false).expect("a prediction");
    let factors: usize = CHANGES.iter().map(|(_, factors)| factors.len()).sum();
    assert_eq!(answer.changes.len(), factors);
    let half = answer.changes.iter().find(|change| change.aspect == Aspect::Rate && change.factor < 1.0);
    assert!(half.is_some_and(|half| half.goodput_rps > 0.0), "{:?}", answer.changes);
    let words: Vec<String> = findings(&answer, split("2P2D")).iter().map(ToString::to_string).collect();
    assert!(words[0].starts_with("1P3D → 2P2D  gains ") && words[0].contains("TTFT p95"), "{words:?}");
    assert!(words.iter().any(|line| line.starts_with("to 2P2D by drain: ")), "{words:?}");
}

#[test]
fn a_gain_is_one_only_if_no_draw_loses() {
    let verdict = |lo, mid, hi| Interval { lo, mid, hi }.verdict();
    assert_eq!(verdict(0.0, 2.9, 2.9), Verdict::Gains);
    assert_eq!(verdict(-1.0, 2.9, 2.9), Verdict::Unsure);
    assert_eq!(verdict(-3.0, -2.0, 0.0), Verdict::Loses);
    assert_eq!(verdict(-3.0, 0.01, 3.0), Verdict::Even);
    assert_eq!(verdict(f64::NAN, f64::NAN, f64::NAN), Verdict::Even);
}

#[test]
fn other_programs_get_what_the_screen_shows() {
    let basis = basis();
    let traffic = minute(3.0, 0);
    let answer = predict(&asked(&traffic, &basis, "1P3D"), &|| false).expect("a prediction");
    let told = export(&answer, &Outlook::default(), split("2P2D"));
    assert_eq!(
        (&told["schema"], &told["split"], &told["slo"]),
        (&1.into(), &"1P3D".into(), &"ttft=2s,tpot=30ms".into())
    );
    assert_eq!(told["times"]["profile"], "mi325x-qwen3-235b");
    let splits = told["splits"].as_array().expect("splits");
    assert_eq!(splits.len(), answer.splits.len());
    let best = splits.iter().find(|of| of["split"] == told["best"]).expect("the best of them");
    let mid = answer.best().map(|best| best.goodput_rps.mid);
    assert_eq!(best["goodput_rps"]["mid"].as_f64(), mid);
    let lines = told["why"].as_array().map(Vec::len);
    assert_eq!(lines, Some(findings(&answer, split("2P2D")).len()));
}
