//! Whole runs against the embedded engine: what a client observes does not depend on where it was computed.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;

use engine::model::ModelSource;
use engine::units::Split;
use loadgen::arrival::RatePlan;
use loadgen::measure::{Stage, StageTimes};
use loadgen::recording::{Reader, Record, UnitPhase, UnitRecord};
use loadgen::run::{self, RunConfig};
use loadgen::sample::Sample;
use loadgen::schedule::{LoadSpec, Traffic};
use loadgen::target::cpu::{self, CpuTarget};

struct Run {
    requests: BTreeMap<u64, Sample>,
    units: Vec<UnitRecord>,
    shifts: Vec<String>,
}

fn run(split: &str, shifts: &str) -> Run {
    let traffic = Traffic::Synthetic {
        arrival: "poisson".parse().expect("an arrival"),
        rate: RatePlan::parse_rate("12").expect("a rate"),
        isl: "uniform:16..48".parse().expect("lengths"),
        osl: "uniform:8..24".parse().expect("lengths"),
    };
    let mut load = LoadSpec { requests: Some(40), ..LoadSpec::new("embedded", traffic) };
    load.shifts = shifts.parse().expect("a script");
    let split: Split = split.parse().expect("a split");
    let connection = cpu::open(&CpuTarget { model: ModelSource::Builtin { seed: 1 }, split }).expect("an engine");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl.zst");
    let handle = run::start(RunConfig { load, connection, record_to: Some(path.clone()) }).expect("a run");
    let result = handle.wait().expect("an end");
    assert!(result.error.is_none() && result.failed_shifts.is_empty(), "{result:?}");
    assert_eq!(result.summary.requests.completed, 40);

    let (mut requests, mut units) = (BTreeMap::new(), Vec::new());
    let mut reader = Reader::open(&path).expect("a recording");
    while let Some(record) = reader.next().transpose().expect("a record") {
        match record {
            Record::Req(sample) => {
                requests.insert(sample.index, *sample);
            }
            Record::Unit(unit) => units.push(unit),
            _ => {}
        }
    }
    Run { requests, units, shifts: result.summary.shifts.iter().map(|shift| shift.to.clone()).collect() }
}

#[test]
fn tokens_and_logits_are_the_same_for_every_split_and_under_shifts() {
    let reference = run("1P1D", "");
    for (split, shifts, converged) in
        [("2A", "", &[][..]), ("2P2D", "300ms=1P3D,1200ms=3P1D:migrate,2s=2P2D:migrate", &["1P3D", "3P1D", "2P2D"][..])]
    {
        let other = run(split, shifts);
        assert_eq!(other.shifts, converged, "{split}");
        for (index, sample) in &other.requests {
            let expected = &reference.requests[index];
            assert_eq!(sample.output_tokens, sample.output_asked, "{split}, request {index}");
            assert_eq!(sample.token_hash, expected.token_hash, "{split}, request {index}");
            assert_eq!(sample.logits_hash, expected.logits_hash, "{split}, request {index}");
        }
        assert_states_in_order(&other.units);
        assert_stages_add_up(&other.requests);
    }
    assert_stages_add_up(&reference.requests);
    let handed_off = reference.requests.values().filter_map(StageTimes::of);
    assert!(handed_off.into_iter().all(|times| times.get(Stage::HandOff).0 > 0), "every request of 1P1D is copied");
}

/// The engine tells every instant, so no part of a TTFT is unknown, whatever was moved or preempted.
fn assert_stages_add_up(requests: &BTreeMap<u64, Sample>) {
    for sample in requests.values() {
        let times = StageTimes::of(sample).expect("a first token");
        assert_eq!(Some(times.total()), sample.ttft(), "request {}", sample.index);
        assert_eq!(times.get(Stage::Unknown).0, 0, "request {}: {times:?}", sample.index);
        assert!(times.get(Stage::Prefill).0 > 0, "request {}: {times:?}", sample.index);
    }
}

fn assert_states_in_order(units: &[UnitRecord]) {
    let mut before: BTreeMap<u16, UnitPhase> = BTreeMap::new();
    for unit in units {
        let now = unit.state;
        let allowed = match before.insert(unit.unit, now) {
            None => true,
            Some(last) if last == now => true,
            Some(UnitPhase::Serving) => now == UnitPhase::Draining,
            Some(UnitPhase::Draining) => now == UnitPhase::Switching,
            Some(UnitPhase::Switching) => now == UnitPhase::Warming,
            Some(UnitPhase::Warming) => now == UnitPhase::Serving,
            Some(UnitPhase::Failed) => false,
        };
        assert!(allowed, "unit {} came to {now:?} out of order", unit.unit);
    }
    assert!(before.values().all(|state| *state == UnitPhase::Serving), "{before:?}");
}
