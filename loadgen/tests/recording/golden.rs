//! Recordings of every past schema stay readable for ever, and the present one does not change unnoticed.

use std::path::PathBuf;

use engine::cluster::How;
use engine::units::Role;
use loadgen::recording::{
    LagRecord, LoadState, RateRecord, Reader, Record, ShiftEnd, ShiftRecord, SloRecord, UnitPhase, UnitRecord,
};
use loadgen::sample::{Account, Failure, FailureKind, Gap, Outcome, Sample, ServerSide, TOKEN_HASH_SEED, hash_token};
use loadgen::schedule::Segment;
use loadgen::slo::Slo;
use loadgen::time::Micros;

use crate::strategy;

/// A request of each outcome, with and without each optional key.
fn requests() -> Vec<Record> {
    let answered = Sample {
        index: 0,
        due: Micros(1_250_000),
        sent: Some(Micros(1_250_040)),
        first: Some(Micros(1_450_000)),
        last: Some(Micros(1_510_000)),
        ended: Micros(1_510_200),
        first_tokens: 1,
        gaps: vec![Gap { gap: Micros(20_000), tokens: 1 }, Gap { gap: Micros(40_000), tokens: 2 }],
        input_tokens: 912,
        output_asked: 4,
        output_tokens: 4,
        segments: vec![Segment(0x9e37_79b9_7f4a_7c15, 512), Segment(17, 400)],
        clamped: true,
        turn: None,
        outcome: Outcome::Completed,
        token_hash: hash_token(TOKEN_HASH_SEED, 42),
        logits_hash: Some(7),
        account: Account::default(),
        server: Some(ServerSide {
            prefill_unit: Some(0),
            decode_unit: Some(3),
            prefix_queried: 912,
            prefix_hit: 512,
            preemptions: 1,
            arrived: Some(Micros(1_250_100)),
            prefill_start: Some(Micros(1_260_000)),
            prefill_end: Some(Micros(1_440_000)),
            handoff_start: Some(Micros(1_441_000)),
            handoff_end: Some(Micros(1_448_000)),
            decode_start: Some(Micros(1_451_000)),
            told: None,
        }),
    };
    let unanswered = |index, outcome| Sample {
        index,
        sent: (outcome != Outcome::Shed).then_some(Micros(2_000_000)),
        due: Micros(2_000_000),
        first: None,
        last: None,
        ended: Micros(2_100_000),
        first_tokens: 0,
        gaps: Vec::new(),
        output_tokens: 0,
        clamped: false,
        turn: None,
        outcome,
        token_hash: TOKEN_HASH_SEED,
        logits_hash: None,
        account: Account::default(),
        server: None,
        ..answered.clone()
    };
    let failure = Failure { kind: FailureKind::Status, message: "503 service unavailable".to_owned() };
    let outcomes = [Outcome::Failed(failure), Outcome::Cut, Outcome::Cancelled, Outcome::Shed];
    let others: Vec<Sample> = (1..).zip(outcomes).map(|(index, outcome)| unanswered(index, outcome)).collect();
    std::iter::once(answered.clone()).chain(others).map(|sample| Record::Req(Box::new(sample))).collect()
}

/// One record of each other kind, with and without each optional key.
fn observed() -> Vec<Record> {
    let from = "2P2D".parse().expect("a split");
    let to = "1P3D".parse().expect("a split");
    let shift = ShiftRecord { at: Micros(3_000_000), from, to, how: How::Drain, ended: None };
    let ended = ShiftEnd { drain: Micros(210_000), total: Micros(260_000), in_flight: 4, lost: 0, abandoned: None };
    let unit = UnitRecord {
        at: Micros(2_000_000),
        unit: 1,
        role: Role::Prefill,
        state: UnitPhase::Serving,
        left: None,
        measured: true,
        busy: 933,
        queue: 4,
        running: 2,
        handing_off: 1,
        kv_used: 620,
        kv_cached: 80,
        input_tps: 8_900,
        output_tps: 11,
    };
    let slo = Slo {
        ttft: Some(Micros(1)),
        tpot: Some(Micros(2)),
        itl_p99: Some(Micros(3)),
        itl_mean: Some(Micros(4)),
        e2e: Some(Micros(5)),
    };
    let lag = LagRecord {
        at: Micros(4_000_000),
        sent: 4,
        p99: Some(Micros(40)),
        max: Some(Micros(44)),
        cpu: Micros(12_000),
        rss_bytes: 20_000_000,
        dropped: 0,
        cores: None,
        held_up: 0,
    };
    vec![
        Record::Rate(RateRecord { at: Micros::ZERO, state: LoadState::Loading, rps: 4.5, resumed_rps: None }),
        Record::Unit(unit.clone()),
        Record::Shift(shift.clone()),
        Record::Unit(UnitRecord { state: UnitPhase::Draining, left: Some(4), ..unit }),
        Record::Shift(ShiftRecord { ended: Some(ended.clone()), ..shift.clone() }),
        Record::Shift(ShiftRecord {
            how: How::Migrate,
            ended: Some(ShiftEnd { abandoned: Some("the drain timed out".to_owned()), ..ended }),
            ..shift
        }),
        Record::Slo(SloRecord { at: Micros(3_500_000), slo: Some(slo) }),
        Record::Slo(SloRecord { at: Micros(3_600_000), slo: None }),
        Record::Lag(lag.clone()),
        Record::Lag(LagRecord { sent: 0, p99: None, max: None, ..lag }),
        Record::Rate(RateRecord { at: Micros(11_000_000), state: LoadState::Finishing, rps: 0.0, resumed_rps: None }),
    ]
}

fn records() -> Vec<Record> {
    requests().into_iter().chain(observed()).collect()
}

fn golden(schema: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/schema-{schema}.jsonl.zst"))
}

fn lines(path: &std::path::Path) -> String {
    let bytes = zstd::decode_all(std::fs::File::open(path).expect("the file")).expect("zstd");
    String::from_utf8(bytes).expect("text")
}

#[test]
fn a_recording_of_schema_1_means_what_it_always_meant() {
    let mut reader = Reader::open(&golden(1)).expect("a recording");
    assert_eq!(reader.run(), &strategy::run());
    let read: Vec<Record> = reader.by_ref().map(|record| record.expect("a record")).collect();
    assert_eq!(read, records());
    assert_eq!(reader.end(), Some(&strategy::end()));
}

#[test]
fn what_is_written_today_is_schema_1_to_the_letter() {
    let (_folder, path) = strategy::written(&records());
    assert_eq!(lines(&path), lines(&golden(1)));
}
