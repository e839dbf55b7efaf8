//! Whole runs of sessions on the embedded engine and on a simulated cluster: what caches find of them, and their replay.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::model::ModelSource;
use loadgen::arrival::RatePlan;
use loadgen::recording::{Reader, Record};
use loadgen::run::{self, RunConfig, RunError, RunResult};
use loadgen::sample::{Outcome, Sample};
use loadgen::schedule::{LoadSpec, Traffic, Turns};
use loadgen::target::cpu::{self, CpuTarget};
use loadgen::target::{Connection, null};
use loadgen::time::Micros;
use loadgen::trace::TraceFormat;

const ISL: u32 = 40;
const OSL: u32 = 24;
const TURNS: u32 = 4;

fn load(requests: u64, rate: &str, turns: u32, think: Micros) -> LoadSpec {
    let traffic = Traffic::Synthetic {
        arrival: "poisson".parse().expect("an arrival"),
        rate: RatePlan::parse_rate(rate).expect("a rate"),
        isl: ISL.to_string().parse().expect("lengths"),
        osl: OSL.to_string().parse().expect("lengths"),
    };
    LoadSpec { requests: Some(requests), sessions: Some(Turns { turns, think }), ..LoadSpec::new("sessions", traffic) }
}

fn engine(split: &str) -> Connection {
    let split = split.parse().expect("a split");
    cpu::open(&CpuTarget { model: ModelSource::Builtin { seed: 1 }, split }).expect("an engine")
}

fn file(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("run.jsonl.zst")
}

fn record(load: LoadSpec, connection: Connection, path: &Path) -> RunResult {
    let config = RunConfig { load, connection, record_to: Some(path.to_owned()) };
    let result = run::start(config).expect("a run").wait().expect("an end");
    assert!(result.error.is_none(), "{result:?}");
    result
}

/// What was recorded, by session and turn.
fn turns(path: &Path) -> BTreeMap<(u64, u32), Sample> {
    let mut reader = Reader::open(path).expect("a recording");
    let mut turns = BTreeMap::new();
    while let Some(record) = reader.next().transpose().expect("a record") {
        if let Record::Req(sample) = record {
            let turn = sample.turn.expect("all are turns");
            turns.insert((turn.session, turn.turn), *sample);
        }
    }
    turns
}

#[test]
fn caches_find_in_a_turn_what_was_said_before_answers_as_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let result = record(load(12, "12", TURNS, Micros(20_000)), engine("1A"), &file(&folder));
    let summary = result.summary;
    assert_eq!(summary.requests.completed, 12, "{summary:?}");
    let turns = turns(&file(&folder));
    let hits: Vec<(u32, u32)> = turns
        .range((0, 0)..(1, 0))
        .filter_map(|(key, sample)| Some((key.1, sample.server.as_ref()?.prefix_hit)))
        .collect();
    assert_eq!(hits.len(), TURNS as usize);
    for ((session, turn), sample) in &turns {
        let server = sample.server.as_ref().expect("the engine tells");
        let said = turn * (ISL + OSL);
        assert_eq!((sample.input_tokens, server.prefix_queried), (said + ISL, said + ISL), "{session} {turn}");
        // The last token of an answer is never computed, and blocks are found as a whole.
        assert!(server.prefix_hit <= said, "{session} {turn}: {server:?}");
        if *turn > 0 {
            let before = &turns[&(*session, turn - 1)];
            assert!(sample.due == before.ended + Micros(20_000) && sample.sent >= Some(before.ended), "{sample:?}");
            let told = server.prefix_hit > before.input_tokens;
            assert!(told, "{session} {turn}: of an answer more than its prompt is found: {server:?}");
        }
    }
    assert!(hits.windows(2).all(|two| two[0].1 < two[1].1), "{hits:?}");
    let sessions = summary.sessions.expect("sessions");
    assert_eq!((sessions.started, sessions.completed, sessions.broken, sessions.unfinished), (3, 3, 0, 0));
    assert_eq!((sessions.first_turns.requests, sessions.later_turns.requests), (3, 9));
    assert_eq!(sessions.first_turns.prefix.hit_tokens, Some(0));
    assert!(sessions.later_turns.prefix.hit_tokens > Some(9 * u64::from(ISL)), "{sessions:?}");
}

#[test]
fn a_recording_replays_the_same_sessions_with_the_answers_of_now() {
    let folder = tempfile::tempdir().expect("a folder");
    record(load(10, "20", 4, Micros(30_000)), engine("1P1D"), &file(&folder));
    let recorded = turns(&file(&folder));
    let again = folder.path().join("again.jsonl.zst");
    let traffic = Traffic::Trace { path: file(&folder), format: TraceFormat::Auto, speed: 1.0, limit: None };
    let result = record(LoadSpec::new("again", traffic), engine("1A"), &again);
    let replayed = turns(&again);
    assert_eq!(replayed.keys().collect::<Vec<_>>(), recorded.keys().collect::<Vec<_>>());
    for (key, sample) in &replayed {
        let before = &recorded[key];
        assert_eq!(
            (&sample.segments, sample.output_asked, sample.turn),
            (&before.segments, before.output_asked, before.turn)
        );
        // The same model answers the same to the same prompt: so the prompt was the same, answers of earlier turns included.
        assert_eq!(sample.token_hash, before.token_hash, "{key:?}");
        match key.1.checked_sub(1) {
            None => assert_eq!(sample.due, before.due, "{key:?}"),
            Some(turn) => assert_eq!(sample.due, replayed[&(key.0, turn)].ended + Micros(30_000), "{key:?}"),
        }
    }
    let sessions = result.summary.sessions.expect("sessions");
    assert_eq!((sessions.started, sessions.completed), (3, 3), "two of four turns and one of two");
}

#[test]
fn without_a_think_time_every_turn_is_sent_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let result = record(load(1_000, "5000", 10, Micros::ZERO), null::connect(), &file(&folder));
    assert_eq!((result.summary.requests.offered, result.summary.requests.completed), (1_000, 1_000));
    let turns = turns(&file(&folder));
    assert_eq!(turns.len(), 1_000);
    for ((session, turn), sample) in &turns {
        // A target of one token an answer: what it said is in the prompt, and not what was asked for.
        assert_eq!(sample.input_tokens, (turn + 1) * ISL + turn, "{session} {turn}");
        if let Some(before) = turn.checked_sub(1) {
            assert_eq!(sample.due, turns[&(*session, before)].ended);
        }
    }
    // Turns that were due before they were known come behind what had left by then, and a replay takes them in their order.
    let traffic = Traffic::Trace { path: file(&folder), format: TraceFormat::Auto, speed: 10.0, limit: None };
    let again = folder.path().join("again.jsonl.zst");
    let result = record(LoadSpec::new("again", traffic), null::connect(), &again);
    assert_eq!(result.summary.requests.completed, 1_000);
    assert_eq!(result.summary.sessions.map(|sessions| sessions.completed), Some(100));
}

#[test]
fn a_target_that_tells_nothing_that_could_be_repeated_is_refused_before_any_load() {
    let mut connection = null::connect();
    connection.tells_answers = false;
    let refused = run::start(RunConfig { load: load(4, "10", 2, Micros::ZERO), connection, record_to: None });
    assert!(matches!(refused, Err(RunError::UntoldAnswers(_))), "{refused:?}");
}

#[test]
fn a_run_with_turns_to_come_ends_when_it_is_told_to() {
    let config =
        RunConfig { load: load(1_000_000, "500", 200, Micros(100_000)), connection: null::connect(), record_to: None };
    let handle = run::start(config).expect("a run");
    handle.commands.try_send(loadgen::live::Command::Finish).expect("room");
    let result = handle.wait().expect("an end");
    let requests = result.summary.requests;
    assert_eq!((requests.sent, requests.shed), (requests.completed, 0), "{requests:?}");
    assert!(result.summary.sessions.is_none_or(|sessions| sessions.completed == 0 && sessions.broken == 0));
}

#[test]
fn a_session_whose_turn_is_refused_is_broken_and_the_rest_is_shed() {
    let folder = tempfile::tempdir().expect("a folder");
    // Prompts are longer than the target has context for, which it does not tell: first turns are refused there, and nothing can follow.
    let mut connection = engine("1A");
    connection.info.limits.context_tokens = 1 << 20;
    connection.info.limits.kv_tokens = 1 << 20;
    let mut load = load(6, "50", 3, Micros(5_000));
    if let Traffic::Synthetic { isl, .. } = &mut load.traffic {
        *isl = "100000".parse().expect("lengths");
    }
    let result = record(load, connection, &file(&folder));
    let requests = result.summary.requests;
    assert_eq!((requests.offered, requests.failed, requests.shed), (6, 2, 4), "{requests:?}");
    let sessions = result.summary.sessions.expect("sessions");
    assert_eq!((sessions.broken, sessions.lost_turns, sessions.unfinished), (2, 4, 0), "{sessions:?}");
    for ((_, turn), sample) in turns(&file(&folder)) {
        assert_eq!(sample.outcome == Outcome::Shed, turn > 0);
        assert_eq!(sample.turn.map(|turn| turn.lost), Some(turn > 0));
    }
}
