//! Opening a recording and moving through it, `cargo bench -p pdtune --bench view`.
//!
//! The recording is made here: 100,000 requests of 64 tokens over an hour, eight units, a shift every ten minutes. Budgets:
//! it opens in 1 s, and a step of the cursor with the frame that follows it takes 16 ms.
#![expect(clippy::expect_used, reason = "without its recording there is nothing to measure")]

use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use crossterm::event::{KeyCode, KeyEvent};
use engine::cluster::How;
use engine::units::{Role, Split};
use loadgen::playback;
use loadgen::recording::{
    ClientUse, EndRecord, LagRecord, LoadState, RateRecord, Record, Recorder, RunRecord, ShiftEnd, ShiftRecord,
    UnitPhase, UnitRecord,
};
use loadgen::sample::{Account, Gap, Outcome, Sample, ServerSide, TOKEN_HASH_SEED};
use loadgen::schedule::Segment;
use loadgen::time::Micros;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tui::model::{Model, Recording};
use tui::theme::{Depth, Theme};
use tui::update::{Msg, update};
use tui::view::view;

const REQUESTS: u64 = 100_000;
const SECONDS: u64 = 3_600;
const SECOND: u64 = 1_000_000;
const TOKENS: u32 = 64;
const UNITS: u16 = 8;

/// A number in 0..`below` that looks random and is not (Steele, Lea and Flood, 2014).
fn spread(number: u64, below: u64) -> u64 {
    let mut z = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (z ^ (z >> 27)) % below
}

fn sample(index: u64) -> Sample {
    let due = index * SECONDS * SECOND / REQUESTS;
    let sent = due + 20 + spread(index, 400);
    let first = due + 40_000 + spread(index, 60_000) + spread(index, 9).pow(6);
    let gaps: Vec<Gap> = (1..u64::from(TOKENS))
        .map(|i| Gap { gap: Micros(12_000 + spread(index * 64 + i, 9_000)), tokens: 1 })
        .collect();
    let last = Micros(first + gaps.iter().map(|gap| gap.gap.0).sum::<u64>());
    Sample {
        index,
        due: Micros(due),
        sent: Some(Micros(sent)),
        first: Some(Micros(first)),
        last: Some(last),
        ended: last,
        first_tokens: 1,
        gaps,
        input_tokens: 600,
        output_asked: TOKENS,
        output_tokens: TOKENS,
        segments: vec![Segment(index, 600)],
        clamped: false,
        turn: None,
        outcome: Outcome::Completed,
        token_hash: TOKEN_HASH_SEED ^ index,
        logits_hash: None,
        account: Account::default(),
        server: Some(ServerSide {
            prefill_unit: Some((index % 4) as u16),
            decode_unit: Some(4 + (index % 4) as u16),
            prefix_queried: 600,
            arrived: Some(Micros(sent + 50)),
            prefill_start: Some(Micros(sent + 9_000)),
            prefill_end: Some(Micros(first - 4_000)),
            handoff_start: Some(Micros(first - 3_000)),
            handoff_end: Some(Micros(first)),
            decode_start: Some(Micros(first + 500)),
            told: None,
            ..ServerSide::default()
        }),
    }
}

fn unit(second: u64, unit: u16) -> Record {
    let shaken = |number: u64| spread(second * 64 + u64::from(unit) + number, 400) as u16;
    Record::Unit(UnitRecord {
        at: Micros(second * SECOND),
        unit,
        role: if unit < 4 { Role::Prefill } else { Role::Decode },
        state: UnitPhase::Serving,
        measured: true,
        left: None,
        busy: 500 + shaken(1),
        queue: u32::from(shaken(2) / 100),
        running: u32::from(shaken(3) / 20),
        handing_off: 0,
        kv_used: 200 + shaken(4),
        kv_cached: 0,
        input_tps: 4_000 + u64::from(shaken(5)),
        output_tps: 400 + u64::from(shaken(6)),
    })
}

fn shift(at: u64) -> Record {
    let (from, to) = (Split { prefill: 4, decode: 4, aggregated: 0 }, Split { prefill: 3, decode: 5, aggregated: 0 });
    let ended = ShiftEnd { drain: Micros(400_000), total: Micros(900_000), in_flight: 9, lost: 0, abandoned: None };
    Record::Shift(ShiftRecord { at: Micros(at), from, to, how: How::Drain, ended: Some(ended) })
}

fn lag(second: u64) -> Record {
    Record::Lag(LagRecord {
        at: Micros(second * SECOND),
        sent: 28,
        p99: Some(Micros(390)),
        max: Some(Micros(410)),
        cpu: Micros(second * 30_000),
        rss_bytes: 60_000_000,
        dropped: 0,
        cores: Some(2),
        held_up: 0,
    })
}

/// Every record with the instant at which it was known.
fn records() -> Vec<(u64, Record)> {
    let requests = (0..REQUESTS).map(|index| {
        let sample = sample(index);
        (sample.ended.0, Record::Req(Box::new(sample)))
    });
    let seconds = (0..SECONDS).flat_map(|second| {
        let units = (0..UNITS).map(move |number| (second * SECOND, unit(second, number)));
        units.chain([(second * SECOND, lag(second))])
    });
    let shifts = (1..6).map(|n| (n * 600 * SECOND + 900_000, shift(n * 600 * SECOND)));
    let mut all: Vec<_> = requests.chain(seconds).chain(shifts).collect();
    all.sort_by_key(|(at, _)| *at);
    all
}

fn write(path: &Path) {
    let run = RunRecord {
        split: Some(Split { prefill: 4, decode: 4, aggregated: 0 }),
        slo: "ttft=200ms,tpot=25ms,itl.p99=40ms".parse().ok(),
        ..RunRecord::named("hour", "cpu")
    };
    let mut recorder = Recorder::create(path, &run, || Micros::ZERO).expect("a file");
    let start = RateRecord { at: Micros::ZERO, state: LoadState::Loading, rps: 27.8, resumed_rps: None };
    recorder.push(&Record::Rate(start)).expect("written");
    for (_, record) in records() {
        recorder.push(&record).expect("written");
    }
    let at = Micros((SECONDS + 5) * SECOND);
    let end = EndRecord {
        at,
        schedule_end: Micros(SECONDS * SECOND),
        requests: loadgen::live::Counts {
            offered: REQUESTS,
            sent: REQUESTS,
            completed: REQUESTS,
            ..loadgen::live::Counts::default()
        },
        client: ClientUse { cores: 2, ..ClientUse::default() },
        aborted: None,
    };
    recorder.finish(&end).expect("finished");
}

fn recording(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("hour.jsonl.zst");
    write(&path);
    let mut group = c.benchmark_group("a recording of 100,000 requests and an hour");
    group.sample_size(10);
    group.bench_function("open", |bench| bench.iter(|| playback::open(black_box(&path)).expect("a recording")));
    group.finish();

    let opened = playback::open(&path).expect("a recording");
    assert_eq!(opened.last.counts.completed, REQUESTS);
    let theme = Theme::dark(Depth::True);
    let area = Rect::new(0, 0, 200, 60);
    let mut buffer = Buffer::empty(area);
    for (name, keys) in [("lines", "5"), ("heatmaps", "5m")] {
        let mut model = Model::viewing(opened.last.clone(), Recording::of(&opened, "hour.jsonl.zst"));
        for key in keys.chars() {
            update(&mut model, Msg::Key(KeyEvent::from(KeyCode::Char(key))));
        }
        let mut step = 0_u64;
        c.bench_function(&format!("a step of the cursor and a frame at 200x60, the whole hour as {name}"), |bench| {
            bench.iter(|| {
                step += 1;
                let key = if (step / 600).is_multiple_of(2) { KeyCode::Left } else { KeyCode::Right };
                update(&mut model, Msg::Key(KeyEvent::from(key)));
                buffer.reset();
                view(black_box(&model), &theme, area, &mut buffer);
                black_box(&buffer);
            });
        });
    }
}

criterion_group!(benches, recording);
criterion_main!(benches);
