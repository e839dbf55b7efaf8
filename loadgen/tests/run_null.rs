//! Whole runs against a target that answers at once: the schedule, the counts and the recording agree.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use loadgen::arrival::Arrival;
use loadgen::clock::RunClock;
use loadgen::live::{Command, MarkKind, Phase, Snapshot};
use loadgen::recording::{Reader, Record};
use loadgen::run::{self, RunConfig, RunError, RunHandle};
use loadgen::sample::{FailureKind, Outcome};
use loadgen::schedule::{LoadSpec, Shape};
use loadgen::target::{TargetEvent, TargetEvents, null};
use loadgen::time::Micros;
use loadgen::workload::Lengths;

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

/// Waits until the run has done what was asked.
fn wait(handle: &mut RunHandle, done: impl FnMut(&Arc<Snapshot>) -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(handle.snapshots.wait_for(done)).expect("a snapshot");
}

#[test]
fn what_the_operator_changes_holds_from_then_on_and_is_marked_and_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut load = load(1_000_000, "500");
    load.slo = "ttft=1us".parse().ok();
    let config = RunConfig { load, connection: null::connect(), record_to: Some(file(&folder)) };
    let mut handle = run::start(config).expect("a run");
    wait(&mut handle, |snapshot| snapshot.counts.completed > 0);
    let slo = "ttft=20s".parse().ok();
    let shape = Shape { arrival: Arrival::Constant, isl: Lengths::Fixed(33), osl: Lengths::Fixed(1) };
    let impossible = Shape { isl: Lengths::Fixed(u32::MAX), ..shape };
    for command in [Command::SetSlo(slo), Command::Reshape(impossible), Command::Reshape(shape)] {
        handle.commands.try_send(command).expect("room");
    }
    wait(&mut handle, |snapshot| snapshot.shape == Some(shape) && snapshot.counts.good > 10);
    let snapshot = Arc::clone(&handle.snapshots.borrow());
    assert_eq!(snapshot.slo, slo);
    // Whether the pacing thread may run in the real-time class depends on the machine.
    let events: Vec<_> = snapshot.events.iter().filter(|event| !event.text.starts_with("pacing thread")).collect();
    let marks: Vec<_> = events.iter().map(|event| (event.mark, event.label.as_str())).collect();
    assert_eq!(marks, [(Some(MarkKind::Slo), "SLO"), (None, ""), (Some(MarkKind::Load), "isl 33")]);
    assert!(events[1].text.starts_with("the load stays as it is: isl "), "{}", events[1].text);
    handle.commands.try_send(Command::Finish).expect("room");
    let result = handle.wait().expect("an end");
    assert!(result.error.is_none(), "{result:?}");

    let mut reader = Reader::open(&file(&folder)).expect("a recording");
    let (mut slos, mut loads, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(record) = reader.next().transpose().expect("a record") {
        match record {
            Record::Slo(record) => slos.push(record.slo),
            Record::Load(record) => loads.push(record),
            Record::Req(sample) => lengths.push((sample.index, sample.input_tokens)),
            _ => {}
        }
    }
    assert_eq!((slos, loads.len()), (vec![slo], 1));
    lengths.sort_unstable();
    let turn = lengths.partition_point(|(_, tokens)| *tokens == 16);
    assert!(turn > 0 && turn < lengths.len() && lengths[turn..].iter().all(|(_, tokens)| *tokens == 33));
}

/// Of phases, the rate of now and not the one at the start; of a rate that the operator set, that one from then on.
#[test]
fn the_rate_that_is_shown_is_the_one_of_now() {
    let mut load = load(1_000_000, "1");
    if let loadgen::schedule::Traffic::Synthetic { rate, .. } = &mut load.traffic {
        *rate = "100..100100/s 1000s".parse().expect("phases");
    }
    let config = RunConfig { load, connection: null::connect(), record_to: None };
    let mut handle = run::start(config).expect("a run");
    wait(&mut handle, |snapshot| snapshot.now >= Micros(300_000));
    let snapshot = Arc::clone(&handle.snapshots.borrow());
    let planned = 100.0 + 100.0 * snapshot.now.as_secs_f64();
    assert!((snapshot.rate_rps - planned).abs() < 1e-6, "{} at {:?}", snapshot.rate_rps, snapshot.now);
    handle.commands.try_send(Command::SetRate(77.0)).expect("room");
    wait(&mut handle, |snapshot| snapshot.rate_rps.to_bits() == 77.0_f64.to_bits());
    handle.commands.try_send(Command::Abort).expect("room");
    handle.wait().expect("an end");
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

/// A target that answers so many requests and is gone then.
#[derive(Debug)]
struct Mortal {
    inner: Box<dyn TargetEvents>,
    answers: usize,
}

impl TargetEvents for Mortal {
    fn align(&mut self, clock: RunClock) {
        self.inner.align(clock);
    }

    fn drain(&mut self, into: &mut Vec<TargetEvent>, wait: Duration) -> bool {
        let mut fresh = Vec::new();
        self.inner.drain(&mut fresh, wait);
        for event in fresh {
            if self.answers == 0 {
                return false;
            }
            self.answers -= usize::from(matches!(event, TargetEvent::Ended { .. }));
            into.push(event);
        }
        true
    }
}

#[test]
fn a_target_that_stops_for_good_ends_the_run_with_an_error_and_every_request_with_an_outcome() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut connection = null::connect();
    connection.events = Box::new(Mortal { inner: connection.events, answers: 20 });
    let config = RunConfig { load: load(1_000_000, "2000"), connection, record_to: Some(file(&folder)) };
    let handle = run::start(config).expect("a run");
    let snapshots = handle.snapshots.clone();
    let result = handle.wait().expect("an end");
    let requests = result.summary.requests;
    assert_eq!((requests.completed, requests.offered), (20, 20 + requests.failed));
    let error = result.error.expect("the run did not come to its end");
    assert_eq!(
        error.to_string(),
        format!("target null stopped before the run was over; requests in flight then: {}", requests.failed)
    );
    let last = Arc::clone(&snapshots.borrow());
    assert_eq!((last.phase, last.counts.in_flight, last.counts.failed), (Phase::Done, 0, requests.failed));
    assert!(requests.failed > 0 && last.events.iter().any(|event| event.text == "the target stopped"));
    let mut reader = Reader::open(&file(&folder)).expect("a recording");
    let mut failed = 0;
    while let Some(record) = reader.next().transpose().expect("a record") {
        if let Record::Req(sample) = record
            && let Outcome::Failed(failure) = sample.outcome
        {
            assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Engine, "the target stopped"));
            failed += 1;
        }
    }
    assert_eq!(failed, requests.failed);
    assert!(reader.incomplete().is_none() && reader.end().is_some());
}

/// A target whose answers are cut from some on.
#[derive(Debug)]
struct Cutting {
    inner: Box<dyn TargetEvents>,
    whole: u64,
}

impl TargetEvents for Cutting {
    fn align(&mut self, clock: RunClock) {
        self.inner.align(clock);
    }

    fn drain(&mut self, into: &mut Vec<TargetEvent>, wait: Duration) -> bool {
        let before = into.len();
        let open = self.inner.drain(into, wait);
        for event in &mut into[before..] {
            if let TargetEvent::Ended { index, outcome, .. } = event
                && *index >= self.whole
            {
                *outcome = Outcome::Cut;
            }
        }
        open
    }
}

#[test]
fn a_rule_that_is_broken_ends_the_load_and_the_recording_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut connection = null::connect();
    connection.events = Box::new(Cutting { inner: connection.events, whole: 200 });
    let abort_on = "shed>0,cut>10%@2s,errors>1000000".parse().expect("rules");
    let load = LoadSpec { abort_on, ..load(1_000_000, "500") };
    let handle = run::start(RunConfig { load, connection, record_to: Some(file(&folder)) }).expect("a run");
    let snapshots = handle.snapshots.clone();
    let result = handle.wait().expect("an end");
    let tripped = result.tripped.expect("a rule was broken");
    assert!(result.error.is_none() && tripped.to_string().starts_with("cut>10%@2s: "), "{tripped}");
    let requests = result.summary.requests;
    assert_eq!(requests.completed, 200);
    assert!(requests.cut > 20 && requests.cut + 200 == requests.sent && requests.sent < 1_000_000, "{requests:?}");
    let last = Arc::clone(&snapshots.borrow());
    assert!(last.events.iter().any(|event| event.label == "abort-on" && event.mark == Some(MarkKind::Failure)));
    assert!(last.aborted.as_ref().is_some_and(|why| why.starts_with("nothing more is sent, ")), "{:?}", last.aborted);
    let mut reader = Reader::open(&file(&folder)).expect("a recording");
    while reader.next().transpose().expect("a record").is_some() {}
    assert_eq!(reader.end().and_then(|end| end.aborted.clone()), Some(tripped.to_string()));
    assert_eq!(result.summary.aborted, Some(tripped.to_string()));
}
