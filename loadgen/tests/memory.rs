//! Hours of a run in a second, through the structures that a live run uses: what they hold stops growing.
//!
//! Alone in its file, because it looks at the memory of its whole process.
#![cfg(target_os = "linux")]

use loadgen::live::Snapshot;
use loadgen::measure::Aggregator;
use loadgen::recording::{Record, Recorder, RunRecord};
use loadgen::run::resident_bytes;
use loadgen::sample::{Account, Gap, Outcome, Sample, ServerSide, TOKEN_HASH_SEED};
use loadgen::schedule::Segment;
use loadgen::summary::Accumulator;
use loadgen::time::Micros;

const PER_SECOND: u64 = 10;
const MINUTE: u64 = 60;
const SECOND: u64 = 1_000_000;
const MIB: u64 = 1 << 20;

/// An answer of 64 tokens, a little different each time.
fn sample(index: u64) -> Sample {
    let due = index * SECOND / PER_SECOND;
    let ttft = 20_000 + index * 7_919 % 400_000;
    let gaps: Vec<Gap> =
        (0..63).map(|i| Gap { gap: Micros(3_000 + (index * 31 + i * 17) % 9_000), tokens: 1 }).collect();
    let last = Micros(due + ttft + gaps.iter().map(|gap| gap.gap.0).sum::<u64>());
    Sample {
        index,
        due: Micros(due),
        sent: Some(Micros(due)),
        first: Some(Micros(due + ttft)),
        last: Some(last),
        ended: last,
        first_tokens: 1,
        gaps,
        input_tokens: 200,
        output_asked: 64,
        output_tokens: 64,
        segments: vec![Segment(index, 200)],
        clamped: false,
        turn: None,
        outcome: Outcome::Completed,
        token_hash: TOKEN_HASH_SEED,
        logits_hash: None,
        account: Account::default(),
        server: Some(ServerSide { arrived: Some(Micros(due + 90)), ..ServerSide::default() }),
    }
}

fn run_record() -> RunRecord {
    RunRecord {
        split: "2P2D".parse().ok(),
        slo: "ttft=400ms,tpot=10ms".parse().ok(),
        ..RunRecord::named("hours", "cpu")
    }
}

#[test]
fn after_ten_minutes_memory_is_flat() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = run_record();
    let mut recorder = Recorder::create(&folder.path().join("run.jsonl.zst"), &run, || Micros::ZERO).expect("a file");
    let mut accumulator = Accumulator::new(&run);
    let mut aggregator = Aggregator::new(run.slo);
    let mut seen = Vec::new();
    let mut published = aggregator.history();
    for second in 0..90 * MINUTE {
        for index in second * PER_SECOND..(second + 1) * PER_SECOND {
            let sample = sample(index);
            aggregator.offered(sample.due);
            aggregator.sent(Micros(index % 300), false);
            aggregator.first_token(sample.ended, sample.input_tokens);
            aggregator.tokens(sample.ended, sample.output_tokens);
            aggregator.sample(&sample);
            let record = Record::Req(Box::new(sample));
            accumulator.record(&record);
            recorder.push(&record).expect("recorded");
        }
        let now = Micros((second + 1) * SECOND);
        if aggregator.advance(now) {
            aggregator.remember(Snapshot { now, counts: aggregator.counts(), ..Snapshot::empty() });
        }
        // What the screen holds on to. A live run publishes every second; what is held is the same.
        if second % 5 == 0 {
            published = aggregator.history();
        }
        if (second + 1) % (10 * MINUTE) == 0 {
            seen.push(resident_bytes());
        }
    }
    let completed: u64 = published.iter().map(|slot| u64::from(slot.completed)).sum();
    assert!(completed > (90 * MINUTE - 10) * PER_SECOND, "{completed} are still in the history");
    let (ten, hour, end) = (seen[0], seen[5], seen[8]);
    // Up to an hour every second has a slot of its own, of less than six kilobytes: half of them are its slowest requests.
    assert!(hour < ten + 18 * MIB, "{} MiB after ten minutes, {} after an hour", ten / MIB, hour / MIB);
    assert!(end < hour + 4 * MIB, "{} MiB after an hour, {} after an hour and a half", hour / MIB, end / MIB);
}
