//! Whole runs against a target that answers at once: the schedule, the counts and the recording agree.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;

use loadgen::live::Phase;
use loadgen::recording::{Reader, Record};
use loadgen::run::{self, RunConfig, RunError};
use loadgen::schedule::LoadSpec;
use loadgen::target::null;

fn load(requests: u64, rate: &str) -> LoadSpec {
    let traffic = loadgen::schedule::Traffic::Synthetic {
        arrival: "poisson".parse().expect("an arrival"),
        rate: loadgen::arrival::RatePlan::parse_rate(rate).expect("a rate"),
        isl: "16".parse().expect("lengths"),
        osl: "1".parse().expect("lengths"),
    };
    LoadSpec { requests: Some(requests), slo: "ttft=1s".parse().ok(), ..LoadSpec::new("null", traffic) }
}

fn file(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("run.jsonl.zst")
}

#[test]
fn every_request_is_sent_answered_and_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = RunConfig { load: load(500, "2000"), connection: null::connect(), record_to: Some(file(&folder)) };
    let handle = run::start(config).expect("a run");
    let snapshots = handle.snapshots.clone();
    let result = handle.wait().expect("an end");
    assert!(result.error.is_none() && result.failed_shifts.is_empty(), "{result:?}");
    let requests = &result.summary.requests;
    assert_eq!((requests.offered, requests.sent, requests.completed), (500, 500, 500));
    assert_eq!(result.summary.attainment, Some(1.0));
    assert_eq!(snapshots.borrow().phase, Phase::Done);
    assert_eq!(snapshots.borrow().counts.in_flight, 0);

    let mut reader = Reader::open(&file(&folder)).expect("a recording");
    let mut numbers = Vec::new();
    while let Some(record) = reader.next().transpose().expect("a record") {
        if let Record::Req(sample) = record {
            assert!(sample.sent >= Some(sample.due), "nothing leaves before it is due");
            numbers.push(sample.index);
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..500).collect::<Vec<_>>());
}

#[test]
fn a_shift_that_the_target_cannot_do_is_refused_before_any_load() {
    let mut load = load(1, "10");
    load.shifts = "1s=1P1D".parse().expect("a script");
    let refused = run::start(RunConfig { load, connection: null::connect(), record_to: None });
    assert!(matches!(refused, Err(RunError::NoControl(_))), "{refused:?}");
}

#[test]
fn a_recording_that_exists_is_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(file(&folder), "mine").expect("a file");
    let config = RunConfig { load: load(1, "10"), connection: null::connect(), record_to: Some(file(&folder)) };
    assert!(matches!(run::start(config), Err(RunError::Recording(_))));
    assert_eq!(std::fs::read(file(&folder)).expect("a file"), b"mine");
}
