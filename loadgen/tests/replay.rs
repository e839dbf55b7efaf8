//! A recording as load: what was offered then is offered again.
#![expect(clippy::expect_used, reason = "a helper of a test may fail it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use loadgen::arrival::RatePlan;
use loadgen::live::Counts;
use loadgen::playback;
use loadgen::recording::{ClientUse, EndRecord, Incomplete, Reader, Record, Recorder, RunRecord};
use loadgen::run::{self, RunConfig};
use loadgen::sample::{Account, Outcome, Sample, TOKEN_HASH_SEED};
use loadgen::schedule::{LoadSpec, Planned, Schedule, Segment, Traffic};
use loadgen::target::null;
use loadgen::time::Micros;
use loadgen::trace::{ReadOptions, Trace, TraceFormat, is_recording};
use loadgen::workload::Limits;
use proptest::prelude::*;

const LIMITS: Limits = Limits { context_tokens: 1 << 20, kv_tokens: 1 << 20 };

fn sample(index: u64, due: u64, segments: &[(u64, u32)], output: u32, outcome: Outcome) -> Sample {
    let segments: Vec<_> = segments.iter().map(|(id, tokens)| Segment(*id, *tokens)).collect();
    Sample {
        index,
        due: Micros(due),
        sent: (outcome != Outcome::Shed).then_some(Micros(due)),
        first: None,
        last: None,
        ended: Micros(due + 10),
        first_tokens: 0,
        gaps: Vec::new(),
        input_tokens: segments.iter().map(|segment| segment.1).sum(),
        output_asked: output,
        output_tokens: 0,
        segments,
        clamped: false,
        turn: None,
        outcome,
        token_hash: TOKEN_HASH_SEED,
        logits_hash: None,
        account: Account::default(),
        server: None,
    }
}

/// Writes a recording; with `end`, a finished one.
fn write(folder: &Path, samples: &[Sample], end: Option<u64>) -> PathBuf {
    let path = folder.join("run.jsonl.zst");
    let mut recorder = Recorder::create(&path, &RunRecord::named("chat", "cpu"), || Micros::ZERO).expect("created");
    for sample in samples {
        recorder.push(&Record::Req(Box::new(sample.clone()))).expect("written");
    }
    let at = Micros(end.unwrap_or(0));
    let end_record =
        EndRecord { at, schedule_end: at, requests: Counts::default(), client: ClientUse::default(), aborted: None };
    recorder.finish(&end_record).expect("finished");
    if end.is_none() {
        let bytes = fs::read(&path).expect("the file");
        // The last frame holds the end record: without its checksum nothing of it counts.
        fs::write(&path, &bytes[..bytes.len() - 1]).expect("written");
    }
    path
}

fn spec(path: &Path, speed: f64, limit: Option<u64>) -> LoadSpec {
    let traffic = Traffic::Trace { path: path.to_owned(), format: TraceFormat::Auto, speed, limit };
    LoadSpec::new("replay", traffic)
}

fn planned(spec: &LoadSpec) -> Vec<Planned> {
    Schedule::new(spec, LIMITS).expect("a schedule").collect()
}

fn refusal(path: &Path, limits: Limits, clamp: bool) -> String {
    let options = ReadOptions { format: TraceFormat::Pdtune, limit: None, limits, clamp };
    Trace::open(path, options).expect_err("refused").to_string()
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop::sample::select(vec![Outcome::Completed, Outcome::Cut, Outcome::Cancelled, Outcome::Shed])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn at_speed_one_a_recording_is_offered_as_it_was(
        requests in prop::collection::vec(
            (0..5_000_000_u64, prop::collection::vec((0..4_u64, 1..600_u32), 1..4), 1..500_u32, outcomes()), 1..30),
        shuffle in any::<u64>(),
        tail in 1..3_000_000_u64,
    ) {
        let mut due = 0;
        let mut samples: Vec<Sample> = requests.iter().zip(0..).map(|((gap, segments, output, outcome), index)| {
            due += gap;
            sample(index, due, segments, *output, outcome.clone())
        }).collect();
        let expected: Vec<_> =
            samples.iter().map(|s| (s.index, s.due, s.input_tokens, s.output_asked, s.segments.clone())).collect();
        // In the order in which they ended, whatever that was.
        samples.sort_by_key(|sample| (sample.index + 1).wrapping_mul(shuffle | 1));
        let folder = tempfile::tempdir().expect("a folder");
        let path = write(folder.path(), &samples, Some(due + tail));
        let schedule = Schedule::new(&spec(&path, 1.0, None), LIMITS).expect("a schedule");
        prop_assert_eq!(schedule.end(), Some(Micros(due + tail)), "it ends when the recorded one did");
        let found: Vec<_> = schedule
            .map(|p| (p.request.index, p.due, p.request.input_tokens, p.request.output_tokens, p.request.segments))
            .collect();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn faster_is_the_same_in_less_time_and_loses_nothing(gaps in prop::collection::vec(0..2_000_000_u64, 1..40), speed in 0.01..50.0) {
        let mut due = 0;
        let samples: Vec<_> = gaps.iter().zip(0..).map(|(gap, index)| {
            due += gap;
            sample(index, due, &[(index, 9)], 5, Outcome::Completed)
        }).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let path = write(folder.path(), &samples, Some(due + 1));
        let plan = planned(&spec(&path, speed, None));
        prop_assert_eq!(plan.len(), samples.len());
        for (planned, sample) in plan.iter().zip(&samples) {
            prop_assert!((planned.due.0 as f64 - sample.due.0 as f64 / speed).abs() <= 1.0);
        }
    }
}

#[test]
fn the_schedule_goes_on_to_its_recorded_end_unless_only_a_part_is_replayed() {
    let samples = [1_000, 5_000].map(|due| sample(due / 1_000, due, &[(due, 9)], 5, Outcome::Completed));
    let folder = tempfile::tempdir().expect("a folder");
    let path = write(folder.path(), &samples, Some(1_000_000));
    let over_at = |spec: &LoadSpec, at| {
        let mut schedule = Schedule::new(spec, LIMITS).expect("a schedule");
        schedule.by_ref().for_each(drop);
        schedule.is_over(Micros(at))
    };
    let whole = spec(&path, 1.0, None);
    assert!(!over_at(&whole, 999_999) && over_at(&whole, 1_000_000));
    assert!(over_at(&spec(&path, 2.0, None), 500_000));
    assert!(over_at(&spec(&path, 1.0, Some(1)), 2_000), "with the last request of a part");
    assert!(over_at(&LoadSpec { requests: Some(2), ..whole }, 6_000), "and where a number of requests was asked for");
    assert_eq!(planned(&spec(&path, 1.0, Some(1))).len(), 1);
}

#[test]
fn of_a_part_nothing_else_is_checked_and_nothing_else_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    // As they ended: the last first, and those that are left out could not be served.
    let samples: Vec<_> = (0..50)
        .rev()
        .map(|index| sample(index, index * 1_000, &[(index, if index < 7 { 9 } else { 90 })], 5, Outcome::Completed))
        .collect();
    let path = write(folder.path(), &samples, Some(50_000));
    let limits = Limits { context_tokens: 20, kv_tokens: 20 };
    let options = ReadOptions { format: TraceFormat::Auto, limit: Some(7), limits, clamp: false };
    let trace = Trace::open(&path, options).expect("the first seven can be served");
    let dues: Vec<u64> =
        (0..trace.len()).filter_map(|index| trace.request(index)).map(|request| request.at.0).collect();
    assert_eq!(dues, [0, 1_000, 2_000, 3_000, 4_000, 5_000, 6_000]);
    assert_eq!(trace.end(), None, "only a part is replayed");
    let whole = ReadOptions { limit: Some(50), limits: LIMITS, ..options };
    assert_eq!(Trace::open(&path, whole).expect("all").end(), Some(Micros(50_000)), "a limit that leaves nothing out");
    let eighth = Trace::open(&path, ReadOptions { limit: Some(8), ..options }).expect_err("the eighth cannot");
    assert!(eighth.to_string().contains("request 7: 90 tokens in"), "{eighth}");
}

#[test]
fn an_incomplete_recording_is_replayed_as_far_as_it_goes_and_that_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let samples: Vec<_> =
        (0..3).map(|index| sample(index, index * 1_000, &[(index, 9)], 5, Outcome::Completed)).collect();
    let path = write(folder.path(), &samples, None);
    assert!(is_recording(&path).expect("a file"));
    let schedule = Schedule::new(&spec(&path, 1.0, None), LIMITS).expect("a schedule");
    assert_eq!(schedule.trace().and_then(Trace::incomplete), Some(Incomplete::Torn));
    assert_eq!(schedule.end(), None);
    let handle = run::start(RunConfig { load: spec(&path, 1.0, None), connection: null::connect(), record_to: None });
    let handle = handle.expect("a run");
    assert!(handle.remarks[0].contains("run.jsonl.zst is incomplete: "), "{:?}", handle.remarks);
    let events = std::sync::Arc::clone(&handle.snapshots.borrow().events);
    assert!(events.iter().any(|event| event.text == handle.remarks[0]), "{events:?}");
    assert!(handle.wait().expect("an end").error.is_none());
}

#[test]
fn what_cannot_be_replayed_is_refused_with_its_request() {
    let folder = || tempfile::tempdir().expect("a folder");
    let small = Limits { context_tokens: 10, kv_tokens: 10 };
    let long = folder();
    let path = write(long.path(), &[sample(3, 0, &[(1, 6), (2, 6)], 3, Outcome::Completed)], Some(1));
    let why = refusal(&path, small, false);
    assert!(why.contains("run.jsonl.zst, request 3: 12 tokens in and 3 out are beyond the 10"), "{why}");
    let options = ReadOptions { format: TraceFormat::Auto, limit: None, limits: small, clamp: true };
    let cut = Trace::open(&path, options).expect("cut").request(0).expect("a request");
    assert_eq!((cut.input_tokens, cut.clamped, cut.segments), (7, true, vec![Segment(1, 6), Segment(2, 1)]));

    let empty = folder();
    let why = refusal(&write(empty.path(), &[], Some(1)), LIMITS, false);
    assert!(why.contains("has no request"), "{why}");
    let wrong = folder();
    let sum = Sample { input_tokens: 7, ..sample(0, 0, &[(1, 6)], 3, Outcome::Completed) };
    let why = refusal(&write(wrong.path(), &[sum], Some(1)), LIMITS, false);
    assert!(why.contains("request 0: its segments have 6 tokens, its prompt 7"), "{why}");
    let order = folder();
    let samples = [(0, 500), (1, 400)].map(|(index, due)| sample(index, due, &[(1, 6)], 3, Outcome::Completed));
    let why = refusal(&write(order.path(), &samples, Some(1)), LIMITS, false);
    assert!(why.contains("request 1: it is due at 400us, but request 0 before it at 500us"), "{why}");
    let twice = folder();
    let samples = [500, 400].map(|due| sample(3, due, &[(1, 6)], 3, Outcome::Completed));
    let why = refusal(&write(twice.path(), &samples, Some(1)), LIMITS, false);
    assert!(why.contains("request 3: two requests have this number"), "{why}");
    let text = folder().path().with_extension("txt");
    fs::write(&text, "notes").expect("written");
    let why = refusal(&text, LIMITS, false);
    fs::remove_file(&text).expect("removed");
    assert!(why.contains("is not a recording"), "{why}");
}

#[test]
fn a_run_that_is_replayed_is_the_same_run_and_says_what_it_replays() {
    let folder = tempfile::tempdir().expect("a folder");
    let traffic = Traffic::Synthetic {
        arrival: "poisson".parse().expect("an arrival"),
        rate: RatePlan::parse_rate("500").expect("a rate"),
        isl: "uniform:4..40".parse().expect("lengths"),
        osl: "1".parse().expect("lengths"),
    };
    let first = LoadSpec { duration: Some(Micros(300_000)), ..LoadSpec::new("first", traffic) };
    let record = |load: LoadSpec, name: &str| {
        let path = folder.path().join(name);
        let config = RunConfig { load, connection: null::connect(), record_to: Some(path.clone()) };
        let result = run::start(config).expect("a run").wait().expect("an end");
        assert!(result.error.is_none(), "{result:?}");
        path
    };
    let first = record(first, "first.jsonl.zst");
    let second = record(spec(&first, 1.0, None), "second.jsonl.zst");
    let offered = |path: &Path| {
        let mut reader = Reader::open(path).expect("a recording");
        let mut all = BTreeMap::new();
        for record in reader.by_ref() {
            if let Record::Req(sample) = record.expect("a record") {
                all.insert(sample.index, (sample.due, sample.input_tokens, sample.output_asked, sample.segments));
            }
        }
        let end = reader.end().expect("it is complete").schedule_end;
        (all, end)
    };
    assert_eq!(offered(&first), offered(&second));
    let run = Reader::open(&second).expect("a recording").run().clone();
    let replayed = run.load["traffic"]["trace"]["path"].as_str().expect("a path").to_owned();
    assert_eq!(Path::new(&replayed), first);
}

#[test]
fn a_warm_up_that_nothing_comes_after_is_refused_or_left_out_by_where_it_comes_from() {
    let folder = tempfile::tempdir().expect("a folder");
    let samples: Vec<_> =
        (0..4).map(|index| sample(index, index * 1_000, &[(index, 9)], 1, Outcome::Completed)).collect();
    let path = write(folder.path(), &samples, Some(50_000));
    let start = |name: &str, warmup, warmup_is_inherited, limit| {
        let load = LoadSpec { warmup: Micros(warmup), warmup_is_inherited, ..spec(&path, 1.0, limit) };
        let record_to = Some(folder.path().join(name));
        run::start(RunConfig { load, connection: null::connect(), record_to })
    };
    // The recorded schedule goes on until 50 ms, but nothing is due behind 3 ms.
    let refused = start("asked", 3_001, false, None).expect_err("nothing would be measured").to_string();
    assert!(refused.starts_with("no request is due after --warmup 3001us: nothing"), "{refused}");

    let handle = start("inherited", 3_001, true, None).expect("a run");
    assert!(handle.remarks[0].contains("warm-up of 3001us, which is that of the recorded run"), "{:?}", handle.remarks);
    let summary = handle.wait().expect("an end").summary;
    assert!(summary.window.from_s.abs() < 1e-9 && summary.ttft_ms.p50.is_some(), "{summary:?}");
    let run = Reader::open(&folder.path().join("inherited")).expect("a recording").run().clone();
    assert_eq!((run.warmup, run.load["warmup_us"].as_u64()), (Micros::ZERO, Some(0)));

    let handle = start("part", 2_000, true, Some(2)).expect("a run");
    assert_eq!(handle.remarks.len(), 1, "the third request is not replayed");
    handle.wait().expect("an end");
    for (name, inherited) in [("kept", true), ("asked for", false)] {
        let handle = start(name, 3_000, inherited, None).expect("the last request is due then");
        assert!(handle.remarks.is_empty(), "{:?}", handle.remarks);
        assert_eq!(handle.wait().expect("an end").summary.ttft_ms.n, 1);
    }
}

#[test]
fn the_end_of_a_replay_is_known_from_its_start_live_and_in_its_recording() {
    let folder = tempfile::tempdir().expect("a folder");
    let samples: Vec<_> =
        (0..4).map(|index| sample(index, index * 1_000, &[(index, 9)], 1, Outcome::Completed)).collect();
    let path = write(folder.path(), &samples, Some(50_000));
    for (name, limit, end) in [("whole", None, Some(Micros(25_000))), ("part", Some(3), None)] {
        let record_to = folder.path().join(name);
        let load = spec(&path, 2.0, limit);
        let config = RunConfig { load, connection: null::connect(), record_to: Some(record_to.clone()) };
        let handle = run::start(config).expect("a run");
        let known = (end, Some(limit.unwrap_or(4)));
        let first = std::sync::Arc::clone(&handle.snapshots.borrow());
        assert_eq!((first.duration, first.requests), known);
        handle.wait().expect("an end");
        let last = playback::open(&record_to).expect("a recording").last;
        assert_eq!((last.duration, last.requests), known);
    }
}
