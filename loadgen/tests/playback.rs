//! A recording that is viewed shows what the live screen showed.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::path::Path;
use std::sync::Arc;

use engine::model::ModelSource;
use loadgen::arrival::RatePlan;
use loadgen::live::{Command, Counts, MarkKind, Phase, Slot, Snapshot};
use loadgen::playback::{self, Playback};
use loadgen::recording::{ClientUse, EndRecord, NoteRecord, Record, Recorder, RunRecord, WaitingRecord, WaitingShift};
use loadgen::run::{self, RunConfig, RunHandle};
use loadgen::sample::{Account, Failure, FailureKind, Outcome, Sample, TOKEN_HASH_SEED};
use loadgen::schedule::{LoadSpec, Shape, Traffic};
use loadgen::summary::Summary;
use loadgen::target::cpu::{self, CpuTarget};
use loadgen::target::{Connection, null};
use loadgen::time::Micros;
use loadgen::workload::Lengths;

fn load(rate: &str, slo: &str) -> LoadSpec {
    let traffic = Traffic::Synthetic {
        arrival: "poisson".parse().expect("an arrival"),
        rate: RatePlan::parse_rate(rate).expect("a rate"),
        isl: "uniform:16..48".parse().expect("lengths"),
        osl: "uniform:4..12".parse().expect("lengths"),
    };
    LoadSpec { slo: slo.parse().ok(), ..LoadSpec::new("viewed", traffic) }
}

/// Waits until the run is as wanted.
fn wait(handle: &mut RunHandle, done: impl FnMut(&Arc<Snapshot>) -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(handle.snapshots.wait_for(done)).expect("a snapshot");
}

/// Runs a load while `steer` steers it; the last snapshot of the screen, the summary, and the recording opened.
fn run(load: LoadSpec, connection: Connection, steer: impl FnOnce(&mut RunHandle)) -> (Snapshot, Summary, Playback) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl.zst");
    let config = RunConfig { load, connection, record_to: Some(path.clone()) };
    let mut handle = run::start(config).expect("a run");
    steer(&mut handle);
    let snapshots = handle.snapshots.clone();
    let result = handle.wait().expect("an end");
    assert!(result.error.is_none(), "{result:?}");
    let last = Snapshot::clone(&snapshots.borrow());
    let viewed = playback::open(&path).expect("a recording");
    same_summary(&result.summary, &viewed, &path);
    (last, result.summary, viewed)
}

fn same_summary(live: &Summary, viewed: &Playback, path: &Path) {
    assert_eq!(live.recording, Some(path.display().to_string()));
    assert_eq!(*live, viewed.summary);
}

/// What was remembered of the end of a slot is told apart: a live run does so a little later than a second ends.
fn without_memories(history: &[Slot]) -> Vec<Slot> {
    history.iter().map(|slot| Slot { then: None, ..slot.clone() }).collect()
}

fn assert_same(live: &Snapshot, viewed: &Playback) {
    assert_eq!(viewed.incomplete, None);
    let last = &viewed.last;
    assert_eq!(live.phase, Phase::Done);
    assert_eq!(without_memories(&live.history), without_memories(&last.history));
    let remembered = |history: &[Slot]| history.iter().filter(|slot| slot.then.is_some()).count();
    assert!(remembered(&last.history) >= remembered(&live.history) && remembered(&live.history) > 0);
    assert_eq!(live.events, last.events);
    let mut live = live.clone();
    assert!(live.health.recorded_bytes.is_some_and(|bytes| bytes > 0));
    (live.history, live.health.recorded_bytes) = (Arc::clone(&last.history), None);
    assert_eq!(live, **last);
}

#[test]
fn what_an_operator_did_to_a_run_is_seen_again() {
    let (live, summary, viewed) = run(load("400", "ttft=20s"), null::connect(), |handle| {
        let ask = |handle: &RunHandle, command| handle.commands.try_send(command).expect("room");
        wait(handle, |snapshot| snapshot.counts.completed > 20);
        ask(handle, Command::SetRate(700.0));
        wait(handle, |snapshot| snapshot.rate_rps > 600.0);
        ask(handle, Command::Pause);
        wait(handle, |snapshot| snapshot.phase == Phase::Paused);
        ask(handle, Command::SetRate(300.0));
        ask(handle, Command::Shift("1P1D".parse().expect("a split"), engine::cluster::How::Drain));
        wait(handle, |snapshot| snapshot.rate_rps < 301.0 && !snapshot.history.is_empty());
        ask(handle, Command::Resume);
        let shape =
            Shape { arrival: "constant".parse().expect("an arrival"), isl: Lengths::Fixed(20), osl: Lengths::Fixed(1) };
        ask(handle, Command::Reshape(Shape { isl: Lengths::Fixed(u32::MAX), ..shape }));
        ask(handle, Command::Reshape(shape));
        ask(handle, Command::SetSlo(None));
        let history = |snapshot: &Arc<Snapshot>| snapshot.slo.is_none() && snapshot.history.len() >= 3;
        wait(handle, history);
        ask(handle, Command::SetSlo("ttft=1us".parse().ok()));
        wait(handle, |snapshot| snapshot.slo.is_some() && snapshot.history.len() >= 4);
        ask(handle, Command::Finish);
    });
    assert_same(&live, &viewed);
    // Whether the pacing thread may have real-time priority is up to the machine.
    let told: Vec<_> = viewed.last.events.iter().filter(|event| !event.text.contains("real-time priority")).collect();
    let labels: Vec<&str> = told.iter().map(|event| event.label.as_str()).collect();
    assert_eq!(labels, ["700/s", "paused", "", "", "resumed", "", "isl 20", "SLO", "SLO", ""]);
    assert!(told[2].text.ends_with("once resumed"), "{told:?}");
    assert_eq!(viewed.last.counts.completed, summary.requests.completed);
}

#[test]
fn a_shift_of_the_embedded_engine_is_seen_again_with_its_units() {
    let split = "2P2D".parse().expect("a split");
    let connection = cpu::open(&CpuTarget { model: ModelSource::Builtin { seed: 1 }, split }).expect("an engine");
    let mut spec = load("12", "ttft=20s,tpot=5s");
    spec.requests = Some(40);
    spec.shifts = "300ms=1P3D,400ms=3P1D:migrate".parse().expect("a script");
    let (live, summary, viewed) = run(spec, connection, |_| {});
    assert_same(&live, &viewed);
    assert_eq!((summary.shifts.len(), viewed.last.split.to_string().as_str()), (2, "3P1D"));
    assert_eq!(viewed.last.units.len(), 4);
    let first = viewed.last.history.iter().find_map(|slot| slot.then.as_deref()).expect("a memory");
    assert_eq!(first.units.len(), 4);
    // Before they were over, requests were offered, sent and brought tokens.
    assert!(first.counts.offered >= 3 && first.counts.sent == first.counts.offered, "{:?}", first.counts);
}

/// A recording of ten seconds in which nothing but errors came, told at length.
fn wordy(path: &Path) {
    const LONG: usize = 1 << 20;
    let text = |letter: &str| letter.repeat(LONG);
    let run = RunRecord::named(text("n"), text("t"));
    let mut recorder = Recorder::create(path, &run, || Micros::ZERO).expect("a file");
    for second in 0..10 {
        let at = Micros(second * 1_000_000);
        let failure = Failure { kind: FailureKind::Status, message: text("f") };
        let sample = Sample {
            index: second,
            due: at,
            sent: Some(at),
            first: None,
            last: None,
            ended: at,
            first_tokens: 0,
            gaps: Vec::new(),
            input_tokens: 9,
            output_asked: 9,
            output_tokens: 0,
            segments: Vec::new(),
            clamped: false,
            turn: None,
            outcome: Outcome::Failed(failure),
            token_hash: TOKEN_HASH_SEED,
            logits_hash: None,
            account: Account::default(),
            server: None,
        };
        let (mark, label) = (Some(MarkKind::Failure), text("l"));
        let waits = WaitingShift { to: "1P1D".parse().expect("a split"), how: engine::cluster::How::Drain };
        recorder.push(&Record::Req(Box::new(sample))).expect("written");
        recorder.push(&Record::Note(NoteRecord { at, mark, label, text: text("w") })).expect("written");
        recorder.push(&Record::Waiting(WaitingRecord { at, shifts: vec![waits; 10_000] })).expect("written");
    }
    let client = ClientUse::default();
    let at = Micros(10_000_000);
    recorder
        .finish(&EndRecord { at, schedule_end: at, requests: Counts::default(), client, aborted: None })
        .expect("finished");
}

#[test]
fn what_somebody_wrote_at_length_is_cut_and_what_every_second_repeats_is_there_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wordy.jsonl.zst");
    wordy(&path);
    let last = playback::open(&path).expect("a recording").last;
    let remembered: Vec<&Snapshot> = last.history.iter().filter_map(|slot| slot.then.as_deref()).collect();
    assert_eq!((last.counts.failed, remembered.len()), (10, 10));
    for then in &remembered {
        assert!(Arc::ptr_eq(&then.workload, &last.workload) && Arc::ptr_eq(&then.target, &last.target));
        let error = &then.outage.as_ref().expect("nothing but errors").error;
        assert!(error.starts_with("status: fff") && error.ends_with('…') && error.len() < 2_000);
        assert!(then.workload.len() < 2_000 && then.target.len() < 2_000 && then.shifts.len() <= 64);
    }
    assert!(last.events.iter().all(|event| event.text.len() < 2_000 && event.label.len() < 200));
    let lines = last.history.iter().flat_map(|slot| slot.slowest.lines());
    for line in lines {
        assert!(matches!(&line.outcome, Outcome::Failed(failure) if failure.message.capacity() < 2_000));
    }
}
