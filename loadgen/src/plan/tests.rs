use super::*;
use crate::arrival::{Arrival, RatePlan};
use crate::profile::Library;
use crate::schedule::Traffic;

fn question(rate: Option<f64>, splits: &[&str]) -> Question {
    let load = LoadSpec::new(
        "custom",
        Traffic::Synthetic {
            arrival: Arrival::Poisson,
            rate: RatePlan::Constant(1.0),
            isl: "16000".parse().expect("isl"),
            osl: "1024".parse().expect("osl"),
        },
    );
    Question {
        cluster: Library::new(Vec::new()).cluster("mi325x-qwen3-235b").expect("a cluster"),
        load,
        slo: "tpot=25ms".parse().expect("an SLO"),
        attainment: 0.9,
        procedure: Procedure::Sustained,
        rate,
        splits: splits.iter().map(|split| split.parse().expect("a split")).collect(),
        requests: 120,
        draws: 2,
    }
}

fn answer(question: &Question) -> Plan {
    plan(question, |_, _| {}).expect("a plan")
}

#[test]
fn figures_at_a_rate_have_ordered_intervals_and_the_same_every_time() {
    let question = question(Some(1.0), &["2P1D", "3A"]);
    let plan = answer(&question);
    assert_eq!(plan, answer(&question));
    assert_eq!((plan.gpus, plan.splits.len()), (32, 2));
    for split in &plan.splits {
        for interval in [split.goodput_rps, split.attainment, split.usd_per_mtok] {
            assert!(interval.lo <= interval.mid && interval.mid <= interval.hi, "{split:?}");
        }
        assert_eq!((split.gpus, split.chunk.is_some()), (24, split.split == "3A"));
        assert_eq!(split.offered_rps.to_bits(), 1.0_f64.to_bits());
    }
}

#[test]
fn the_highest_rate_meets_the_slo_and_a_little_more_does_not() {
    let mut question = question(None, &["2P1D"]);
    question.draws = 0;
    let best = answer(&question).splits.remove(0);
    assert!(best.attainment.mid >= 0.9 && best.limit == Limit::Decode, "{best:?}");
    let beyond = answer(&Question { rate: Some(best.offered_rps * 1.3), ..question }).splits.remove(0);
    assert!(beyond.attainment.mid < 0.9 && beyond.gpus_for_rate == Some(48), "{beyond:?}");
}

#[test]
fn a_rate_beyond_what_is_served_is_not_met_even_where_nothing_is_bounded_that_shows_it() {
    let mut even = Question { requests: 800, draws: 0, ..question(Some(3.0), &["1P3D"]) };
    even.slo = "tpot=1s".parse().expect("an SLO");
    if let Traffic::Synthetic { arrival, .. } = &mut even.load.traffic {
        *arrival = Arrival::Constant;
    }
    // Under more than it can, the unit that prefills does what it can.
    let most = answer(&even).splits.remove(0).goodput_rps.mid;
    let found = answer(&Question { rate: None, ..even }).splits.remove(0);
    assert!((most * 0.97..=most * 1.02).contains(&found.goodput_rps.mid), "{found:?} of {most}");
    assert!(found.busy.prefill > Some(0.95) && found.limit == Limit::Prefill, "{found:?}");
}

/// One unit of `h200-llama70b` that does both, with prompts and answers of these lengths.
fn alone(rate: Option<f64>, (isl, osl): (&str, &str), slo: &str, requests: u64) -> SplitPlan {
    let mut alone = Question { requests, draws: 0, ..question(rate, &["1A"]) };
    alone.cluster = Library::new(Vec::new()).cluster("h200-llama70b").expect("a cluster");
    alone.slo = slo.parse().expect("an SLO");
    if let Traffic::Synthetic { isl: prompts, osl: answers, .. } = &mut alone.load.traffic {
        (*prompts, *answers) = (isl.parse().expect("isl"), osl.parse().expect("osl"));
    }
    answer(&alone).splits.remove(0)
}

/// So few requests that all are under way before the first answer is over, or that a step begins most of them.
#[test]
fn a_load_is_made_longer_until_units_have_filled() {
    let [short, long] = [100, 1600].map(|requests| alone(None, ("500", "1000"), "ttft=2s,tpot=30ms", requests));
    assert!(short.is_settled && short.is_bounded, "{short:?}");
    let ratio = short.goodput_rps.mid / long.goodput_rps.mid;
    assert!((ratio - 1.0).abs() < 0.15, "{short:?} {long:?}");
    let far = alone(Some(6.0), ("500", "2000"), "ttft=2s,tpot=30ms", 100);
    assert!(far.attainment.mid < 0.1, "{far:?}");
    let many = alone(Some(4000.0), ("1", "1"), "ttft=500ms", 2000);
    assert!(many.goodput_rps.mid > 3990.0 && many.is_settled, "{many:?}");
}

#[test]
fn units_that_wait_for_room_where_it_goes_on_are_not_the_limit() {
    let mut narrow = Question { requests: 300, draws: 0, ..question(Some(0.5), &["1P1D"]) };
    narrow.slo = "ttft=2s,tpot=100ms".parse().expect("an SLO");
    narrow.cluster.profile.config.decode.sequences = 1;
    let split = answer(&narrow).splits.remove(0);
    assert_eq!(split.limit, Limit::HandOff, "{split:?}");
    assert!(split.busy.prefill < Some(0.5) && split.busy.decode > Some(0.9), "{split:?}");
}

#[test]
fn what_is_asked_to_be_cached_is_hit() {
    for (hit, splits) in [("0.3", ["2P1D", "3A"]), ("0.75", ["1P1D", "1A"])] {
        let mut shared = Question { draws: 0, requests: 200, ..question(Some(1.0), &splits) };
        shared.load.prefix_hit = hit.parse().expect("a share");
        let asked = shared.load.prefix_hit.share();
        for split in answer(&shared).splits {
            // By whole blocks of 16 tokens, of prompts of 16,000; the window begins after each unit's first prompt.
            assert!(split.prefix_hit <= asked + 1e-9 && split.prefix_hit > asked - 16.0 / 16_000.0, "{split:?}");
        }
    }
    let none = answer(&Question { draws: 0, ..question(Some(1.0), &["2P1D"]) });
    assert_eq!(none.splits[0].prefix_hit.total_cmp(&0.0), std::cmp::Ordering::Equal);
}

#[test]
fn a_trace_shares_what_its_segments_say_and_is_the_same_in_every_draw() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.jsonl");
    // Blocks of 512 tokens: every second request has the first two of another.
    let lines = (0..80).map(|i| {
        let hashes = if i % 2 == 0 { [1, 2, 1000 + i, 2000 + i] } else { [3000 + i, 4000 + i, 5000 + i, 6000 + i] };
        format!(
            "{{\"timestamp\": {}, \"input_length\": 2048, \"output_length\": 64, \"hash_ids\": {hashes:?}}}\n",
            i * 1000
        )
    });
    std::fs::write(&path, lines.collect::<String>()).expect("written");
    let mut traced = question(Some(2.0), &["1P1D"]);
    traced.load.traffic =
        Traffic::Trace { path, format: crate::trace::TraceFormat::default(), speed: 1.0, limit: None };
    let plan = answer(&traced);
    let split = &plan.splits[0];
    // Half of the prompts hit a half.
    assert!((0.23..0.27).contains(&split.prefix_hit), "{split:?}");
    assert_eq!(split.offered_rps.total_cmp(&2.0), std::cmp::Ordering::Equal);
    assert!(plan.sensitivity.iter().all(|change| change.what == Quantity::Rate), "{:?}", plan.sensitivity);
}

#[test]
fn half_and_twice_the_load_are_tried_and_told() {
    let mut asked = Question { draws: 0, requests: 60, ..question(Some(1.0), &["2P1D", "3A"]) };
    let plan = answer(&asked);
    let tried: Vec<_> = plan.sensitivity.iter().map(|change| (change.what, change.factor)).collect();
    let both = |what| [(what, Some(0.5)), (what, Some(2.0))];
    let lengths = [both(Quantity::Isl), both(Quantity::Osl)].concat();
    assert_eq!(tried, [lengths, vec![(Quantity::PrefixHit, None)], both(Quantity::Rate).to_vec()].concat());
    // 32,000 and 1,024 tokens are more than the context of 32,768.
    assert!(plan.sensitivity[1].outcome.is_none(), "{:?}", plan.sensitivity[1]);
    let outcome = |index: usize| plan.sensitivity[index].outcome.clone().expect("an outcome");
    // Half a request a second is borne by any of them.
    let half = outcome(5).goodput_per_gpu * 24.0;
    assert!(outcome(0).best.is_some() && (0.45..=0.5).contains(&half), "{:?}", plan.sensitivity);
    for words in [
        "with prompts half as long ",
        "twice as long the cluster cannot serve them",
        "with 50 % of prompts cached ",
        "at 0.5 ",
    ] {
        assert!(plan.advice.iter().any(|line| line.contains(words)), "{words}: {:?}", plan.advice);
    }
    asked.load.prefix_hit = "0.2".parse().expect("a share");
    let plan = answer(&Question { rate: None, ..asked });
    let hits: Vec<f64> = plan.sensitivity.iter().skip(4).map(|change| change.value).collect();
    assert!(hits.len() == 2 && (hits[0] - 0.1).abs() < 1e-9 && (hits[1] - 0.4).abs() < 1e-9, "{hits:?}");
}

#[test]
fn gpu_seconds_are_those_of_the_units_and_of_what_is_good() {
    for split in answer(&Question { draws: 0, requests: 300, ..question(Some(0.5), &["2P1D", "1P3D", "2A"]) }).splits {
        let expected = f64::from(split.gpus) / split.goodput_rps.mid;
        let found = split.gpu_s_per_good.expect("good ones");
        assert!((found / expected - 1.0).abs() < 0.2, "{found} for {expected}: {split:?}");
        let shares = [split.busy.prefill, split.busy.decode, split.busy.aggregated];
        assert!(shares.iter().flatten().all(|share| (0.0..=1.0).contains(share)), "{split:?}");
        assert_eq!(split.busy.aggregated.is_some(), split.split == "2A");
        // Half a prompt a second, of about half a second each, on so many units.
        if let Some(share) = split.busy.prefill {
            let units = f64::from(split.roles.prefill);
            assert!((0.2..0.35).contains(&(share * units)), "{split:?}");
        }
    }
}

#[test]
fn a_burst_is_judged_by_its_means() {
    let burst = Question { procedure: Procedure::Burst(50), ..question(Some(3.0), &["2P1D", "3A"]) };
    for split in answer(&burst).splits {
        assert!(
            split.attainment.mid.to_bits() == 1.0_f64.to_bits() || split.attainment.mid.to_bits() == 0,
            "{split:?}"
        );
        assert_eq!(split.attainment.mid > 0.0, split.tpot_ms.mean <= Some(25.0), "{split:?}");
    }
}

#[test]
fn what_cannot_be_answered_is_refused_with_the_numbers() {
    let wrong = |question: Question| plan(&question, |_, _| {}).expect_err("refused").to_string();
    assert_eq!(wrong(question(Some(1.0), &["9P9D"])), "--split 9P9D has 18 units, cluster mi325x-qwen3-235b has 4");
    let slo = "itl.p99=60ms".parse().expect("an SLO");
    assert_eq!(
        wrong(Question { slo, ..question(None, &[]) }),
        "plan predicts ttft, tpot and e2e; itl.p99 of the SLO is not predicted"
    );
    assert_eq!(
        wrong(Question { requests: 5, ..question(None, &[]) }),
        "5 requests are too few to measure, at least 20 are needed"
    );
}

#[test]
fn a_burst_that_meets_the_slo_at_once_is_called_what_it_is() {
    let mut burst = Question { procedure: Procedure::Burst(20), ..question(None, &["2P1D", "3A"]) };
    burst.slo = "tpot=100ms".parse().expect("an SLO");
    burst.draws = 0;
    // Prompts of 16,000 tokens are computed by two units at about four a second, whatever their tokens take afterwards.
    for split in answer(&burst).splits.iter().filter(|split| split.split == "2P1D") {
        assert!((3.4..4.6).contains(&split.goodput_rps.mid) && split.limit == Limit::Prefill, "{split:?}");
    }
    if let Traffic::Synthetic { isl, osl, .. } = &mut burst.load.traffic {
        (*isl, *osl) = (crate::workload::Lengths::Fixed(100), crate::workload::Lengths::Fixed(16));
    }
    let advice = answer(&burst).advice;
    assert!(advice[0].contains("meets the SLO at any rate that was tried"), "{advice:?}");
    assert!(!advice.iter().any(|line| line.contains("is right here")), "{advice:?}");
}

#[test]
fn more_than_is_served_is_no_goodput_whatever_the_slo_leaves_out() {
    // One unit prefills two such prompts a second, whether TTFT is bounded or not.
    let mut narrow = Question { requests: 300, draws: 0, ..question(None, &["1P3D"]) };
    let highest = answer(&narrow).splits.remove(0);
    assert!((1.8..2.4).contains(&highest.goodput_rps.mid) && highest.limit == Limit::Prefill, "{highest:?}");
    narrow.rate = Some(50.0);
    let flooded = answer(&narrow).splits.remove(0);
    assert!(flooded.goodput_rps.mid < 2.2 && flooded.limit == Limit::Prefill, "{flooded:?}");
    let (cheap, dear) = (flooded.usd_per_mtok.mid, highest.usd_per_mtok.mid);
    assert!(cheap > dear * 0.5, "{cheap} under a flood, {dear} at its best");
    narrow.rate = None;
    narrow.slo = "ttft=2s,tpot=25ms".parse().expect("an SLO");
    let bounded = answer(&narrow).splits.remove(0);
    assert!(bounded.goodput_rps.mid <= highest.goodput_rps.mid && bounded.limit == Limit::Prefill, "{bounded:?}");
}

#[test]
fn what_does_both_is_neither_disaggregated_nor_aggregated() {
    let advice = answer(&Question { draws: 0, ..question(Some(0.5), &["1P2D1A", "1P1D"]) }).advice;
    assert!(!advice.iter().any(|line| line.contains("is right here") || line.contains("hardly matters")), "{advice:?}");
    let advice = answer(&Question { draws: 0, ..question(Some(0.5), &["2P1D", "2A"]) }).advice;
    assert!(advice.iter().any(|line| line.contains("draws would tell")), "{advice:?}");
}
