//! Records of every kind, and a file to write them to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::cluster::How;
use engine::units::{Role, Split};
use loadgen::arrival::Arrival;
use loadgen::live::{Counts, MarkKind};
use loadgen::metrics::{Counter, Gauges, Sums, Timed, Timer};
use loadgen::recording::{
    ClientUse, EndRecord, LagRecord, LoadRecord, LoadState, NoteRecord, RateRecord, Record, Recorder, RunRecord,
    ServerRecord, ShiftEnd, ShiftRecord, SloRecord, UnitPhase, UnitRecord, WaitingRecord, WaitingShift,
};
use loadgen::sample::{
    Account, CountedBy, CutBy, Failure, FailureKind, Gap, Outcome, Reasoning, Sample, ServerSide, ServerTimes, Told,
    WorkerName,
};
use loadgen::schedule::{Segment, Shape, Turn};
use loadgen::slo::Slo;
use loadgen::time::Micros;
use loadgen::workload::Lengths;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tempfile::TempDir;

/// The first record of every test.
pub(crate) fn run() -> RunRecord {
    RunRecord {
        started: "2026-11-23T09:01:12.000345Z".to_owned(),
        seed: u64::MAX,
        split: "2P2D".parse().ok(),
        slo: Some(Slo { ttft: Some(Micros(400_000)), tpot: Some(Micros(25_000)), ..Slo::default() }),
        warmup: Micros(1_000_000),
        load: serde_json::json!({ "rate": "4/s 60s", "isl": "lognormal:900,0.7" }),
        engine: serde_json::json!({ "model": "built-in" }),
        versions: BTreeMap::from([("pdtune".to_owned(), "0.1.0".to_owned())]),
        ..RunRecord::named("chat", "cpu")
    }
}

/// The last record of every test.
pub(crate) fn end() -> EndRecord {
    EndRecord {
        at: Micros(12_500_000),
        schedule_end: Micros(11_000_000),
        requests: Counts { offered: 3, sent: 3, completed: 3, ..Counts::default() },
        client: ClientUse {
            cpu: Micros(250_000),
            cores: 2,
            rss_bytes: 30_000_000,
            dropped: 0,
            realtime: None,
            held_up: 0,
        },
        aborted: None,
    }
}

/// Writes a recording into a new folder.
pub(crate) fn written(records: &[Record]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl.zst");
    let mut recorder = recorder(&path);
    for record in records {
        recorder.push(record).expect("written");
    }
    let recorded = recorder.finish(&end()).expect("finished");
    assert_eq!(recorded.bytes, std::fs::metadata(&path).expect("the file").len());
    (folder, path)
}

/// A recorder whose clock stands still.
pub(crate) fn recorder(path: &Path) -> Recorder {
    Recorder::create(path, &run(), || Micros::ZERO).expect("created")
}

/// Any record.
pub(crate) fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        6 => sample().prop_map(|sample| Record::Req(Box::new(sample))),
        1 => unit().prop_map(Record::Unit),
        1 => server_record().prop_map(|server| Record::Server(Box::new(server))),
        1 => shift().prop_map(Record::Shift),
        1 => rate().prop_map(Record::Rate),
        1 => load().prop_map(Record::Load),
        1 => (instant(), option::of(slo())).prop_map(|(at, slo)| Record::Slo(SloRecord { at, slo })),
        1 => lag().prop_map(Record::Lag),
        1 => waiting().prop_map(Record::Waiting),
        1 => note().prop_map(Record::Note),
    ]
}

fn instant() -> impl Strategy<Value = Micros> {
    (0_u64..20_000_000).prop_map(Micros)
}

/// Any SLO, also one without a bound.
pub(crate) fn slo() -> impl Strategy<Value = Slo> {
    let bound = || option::of(instant());
    (bound(), bound(), bound(), bound(), bound()).prop_map(|(ttft, tpot, itl_p99, itl_mean, e2e)| Slo {
        ttft,
        tpot,
        itl_p99,
        itl_mean,
        e2e,
    })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let failure = (select(FailureKind::ALL.to_vec()), ".{0,20}")
        .prop_map(|(kind, message)| Outcome::Failed(Failure { kind, message }));
    prop_oneof![
        5 => Just(Outcome::Completed),
        1 => failure,
        1 => select(vec![Outcome::Cut, Outcome::Cancelled, Outcome::Shed]),
    ]
}

fn server() -> impl Strategy<Value = ServerSide> {
    let units = (option::of(any::<u16>()), option::of(any::<u16>()));
    let stages = proptest::array::uniform6(option::of(instant()));
    (units, any::<[u32; 3]>(), stages, option::of(told())).prop_map(|(units, counts, stages, told)| ServerSide {
        prefill_unit: units.0,
        decode_unit: units.1,
        prefix_queried: counts[0],
        prefix_hit: counts[1],
        preemptions: counts[2],
        arrived: stages[0],
        prefill_start: stages[1],
        prefill_end: stages[2],
        handoff_start: stages[3],
        handoff_end: stages[4],
        decode_start: stages[5],
        told: told.map(Arc::new),
    })
}

fn told() -> impl Strategy<Value = Told> {
    let name = || ".{0,80}".prop_map(|name| WorkerName::new(&name));
    let times = proptest::array::uniform5(option::of(instant()));
    (name(), name(), times).prop_map(|(prefill, decode, times)| Told {
        prefill,
        decode,
        times: ServerTimes { wait: times[0], prefill: times[1], ttft: times[2], total: times[3], transfer: times[4] },
    })
}

fn account() -> impl Strategy<Value = Account> {
    let counted = option::of(select(vec![CountedBy::Usage, CountedBy::Ids, CountedBy::Chunks]));
    let reasoning = (any::<u32>(), option::of(instant())).prop_map(|(tokens, answer)| Reasoning { tokens, answer });
    let tokens = || option::of(any::<u32>());
    let cut = option::of(select(CutBy::ALL.to_vec()));
    (counted, tokens(), tokens(), option::of(reasoning), option::of(any::<u16>()), cut).prop_map(
        |(counted, usage_tokens, prompt_tokens, reasoning, address, cut)| Account {
            counted,
            usage_tokens,
            prompt_tokens,
            reasoning,
            address,
            cut,
        },
    )
}

fn gaps() -> impl Strategy<Value = Vec<Gap>> {
    let gap = |tokens: std::ops::Range<u32>| {
        ((0_u64..200_000).prop_map(Micros), tokens).prop_map(|(gap, tokens)| Gap { gap, tokens })
    };
    prop_oneof![proptest::collection::vec(gap(1..2), 0..20), proptest::collection::vec(gap(1..5), 0..20)]
}

fn sample() -> impl Strategy<Value = Sample> {
    let instants = (instant(), option::of(instant()), option::of(instant()), instant());
    let numbers = (any::<[u64; 2]>(), any::<[u32; 2]>(), any::<bool>(), option::of(any::<u64>()));
    let segments = proptest::collection::vec((any::<u64>(), any::<u32>()), 0..4);
    (instants, numbers, gaps(), segments, outcome(), (option::of(server()), account(), option::of(turn()))).prop_map(
        |(
            (due, sent, first, ended),
            (long, short, clamped, logits_hash),
            gaps,
            segments,
            outcome,
            (server, account, turn),
        )| {
            let gaps = if first.is_some() { gaps } else { Vec::new() };
            let first_tokens = u32::from(first.is_some());
            Sample {
                index: long[0],
                due,
                sent,
                first,
                last: first.map(|first| gaps.iter().fold(first, |at, gap| at + gap.gap)),
                ended,
                first_tokens,
                output_tokens: first_tokens + gaps.iter().map(|gap| gap.tokens).sum::<u32>(),
                gaps,
                input_tokens: short[0],
                output_asked: short[1],
                segments: segments.into_iter().map(|(id, tokens)| Segment(id, tokens)).collect(),
                clamped,
                turn,
                account: Account { cut: account.cut.filter(|_| outcome == Outcome::Cut), ..account },
                outcome,
                token_hash: long[1],
                logits_hash,
                server,
            }
        },
    )
}

fn turn() -> impl Strategy<Value = Turn> {
    let numbers = (any::<u64>(), any::<[u32; 3]>(), any::<bool>(), instant());
    numbers.prop_map(|(session, [turn, of, new_tokens], lost, think)| Turn {
        session,
        turn,
        of,
        think,
        new_tokens,
        lost,
    })
}

fn unit() -> impl Strategy<Value = UnitRecord> {
    let state = prop_oneof![
        (0_u32..9).prop_map(|left| (UnitPhase::Draining, Some(left))),
        select(vec![UnitPhase::Serving, UnitPhase::Switching, UnitPhase::Warming, UnitPhase::Failed])
            .prop_map(|state| (state, None)),
    ];
    let role = select(vec![Role::Prefill, Role::Decode, Role::Aggregated]);
    (instant(), any::<u16>(), role, state, any::<[u16; 3]>(), any::<[u32; 3]>(), any::<[u64; 2]>()).prop_map(
        |(at, unit, role, (state, left), shares, counts, rates)| UnitRecord {
            at,
            unit,
            role,
            state,
            left,
            measured: shares[0] % 7 > 0,
            busy: shares[0],
            queue: counts[0],
            running: counts[1],
            handing_off: counts[2],
            kv_used: shares[1],
            kv_cached: shares[2],
            input_tps: rates[0],
            output_tps: rates[1],
        },
    )
}

fn server_record() -> impl Strategy<Value = ServerRecord> {
    let role = option::of(select(vec![Role::Prefill, Role::Decode, Role::Aggregated]));
    let gauges = (option::of(any::<u32>()), option::of(any::<u32>()), option::of(any::<u16>()))
        .prop_map(|(running, waiting, kv_used)| Gauges { running, waiting, kv_used });
    let counts = proptest::collection::vec((select(Counter::ALL.to_vec()), any::<u64>()), 0..4);
    let times = proptest::collection::vec((select(Timer::ALL.to_vec()), any::<u64>(), instant(), instant()), 0..4);
    let flags = (any::<bool>(), any::<bool>());
    (instant(), instant(), "[a-zA-Z0-9:.# ]{0,20}", role, option::of(any::<u16>()), flags, gauges, counts, times)
        .prop_map(|(at, span, name, role, unit, (whole, failed), gauges, counts, times)| {
            let mut sums = Sums::default();
            for (counter, count) in counts {
                sums.add_count(counter, count);
            }
            for (timer, taken, sum, more) in times {
                sums.add_time(timer, Timed { taken, least: sum, most: sum + more });
            }
            ServerRecord { at, span, name, role, unit, whole, failed, gauges, sums }
        })
}

fn split() -> impl Strategy<Value = Split> {
    (1_u16..9, 1_u16..9, 0_u16..3).prop_map(|(prefill, decode, aggregated)| Split { prefill, decode, aggregated })
}

fn shift() -> impl Strategy<Value = ShiftRecord> {
    let ended = (instant(), instant(), any::<[u32; 2]>(), option::of("[a-z ]{1,20}"))
        .prop_map(|(drain, total, [in_flight, lost], abandoned)| ShiftEnd { drain, total, in_flight, lost, abandoned });
    (instant(), split(), split(), select(vec![How::Drain, How::Migrate]), option::of(ended))
        .prop_map(|(at, from, to, how, ended)| ShiftRecord { at, from, to, how, ended })
}

fn load() -> impl Strategy<Value = LoadRecord> {
    let lengths = || select(vec![Lengths::Fixed(7), Lengths::Uniform(1, 90), Lengths::LogNormal(900.5, 0.7)]);
    (instant(), select(vec![Arrival::Constant, Arrival::Poisson]), lengths(), lengths())
        .prop_map(|(at, arrival, isl, osl)| LoadRecord { at, shape: Shape { arrival, isl, osl } })
}

fn rate() -> impl Strategy<Value = RateRecord> {
    let state = select(vec![LoadState::Loading, LoadState::Paused, LoadState::Finishing]);
    (instant(), state, 0_u32..1_000_000, option::of(0_u32..1_000_000)).prop_map(|(at, state, rps, resumed)| {
        RateRecord { at, state, rps: f64::from(rps) / 8.0, resumed_rps: resumed.map(|rps| f64::from(rps) / 8.0) }
    })
}

fn lag() -> impl Strategy<Value = LagRecord> {
    let cores = option::of(any::<u32>());
    (instant(), any::<[u64; 4]>(), option::of((instant(), instant())), instant(), cores).prop_map(
        |(at, [sent, rss_bytes, dropped, held_up], lag, cpu, cores)| LagRecord {
            at,
            sent,
            p99: lag.map(|lag| lag.0),
            max: lag.map(|lag| lag.1),
            cpu,
            rss_bytes,
            dropped,
            cores,
            held_up,
        },
    )
}

fn waiting() -> impl Strategy<Value = WaitingRecord> {
    let shift = (split(), select(vec![How::Drain, How::Migrate])).prop_map(|(to, how)| WaitingShift { to, how });
    (instant(), proptest::collection::vec(shift, 0..3)).prop_map(|(at, shifts)| WaitingRecord { at, shifts })
}

fn note() -> impl Strategy<Value = NoteRecord> {
    let mark =
        select(vec![None, Some(MarkKind::Shift), Some(MarkKind::Load), Some(MarkKind::Slo), Some(MarkKind::Failure)]);
    (instant(), mark, "[a-z]{0,12}", ".{0,30}").prop_map(|(at, mark, label, text)| NoteRecord { at, mark, label, text })
}
