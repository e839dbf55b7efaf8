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
