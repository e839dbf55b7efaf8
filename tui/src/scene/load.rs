//! The requests of the script, and the run that they make.

use std::sync::Arc;

use engine::units::Split;
use loadgen::arrival::Arrival;
use loadgen::diagnose::diagnose;
use loadgen::live::{Event, Health, Phase, Recent, Slot, Snapshot};
use loadgen::measure::Aggregator;
use loadgen::sample::{Account, Failure, FailureKind, Gap, Outcome, Sample, ServerSide, TOKEN_HASH_SEED};
use loadgen::schedule::{Segment, Shape};
use loadgen::slo::Slo;
use loadgen::target::cpu;
use loadgen::time::Micros;
use loadgen::workload::Lengths;

use super::{seconds, units};

const SECOND: u64 = 1_000_000;
/// Tokens of an answer.
const TOKENS: u32 = 12;
/// The window of recent figures, as in a run.
const WINDOW: Micros = Micros(10 * SECOND);

/// TTFT rises until a unit moves to prefill, then falls.
#[derive(Clone, Copy, Debug)]
pub struct Script {
    /// How long the run has been going on, in seconds.
    pub seconds: u64,
    /// When the unit moved, in seconds.
    pub turn: u64,
    /// What makes a request good.
    pub slo: Option<Slo>,
    /// Whether the target tells the stages of requests.
    pub tells_stages: bool,
}

impl Default for Script {
    fn default() -> Self {
        let slo = Slo { ttft: Some(seconds(0.4)), tpot: Some(seconds(0.025)), ..Slo::default() };
        Self { seconds: 151, turn: 100, slo: Some(slo), tells_stages: true }
    }
}

/// A wave in place of a trend: never flat.
fn wave(second: u64, period: f64) -> f64 {
    (second as f64 * std::f64::consts::TAU / period).sin()
}

/// A share in 0..1 of a number, spread evenly (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
fn spread(number: u64) -> f64 {
    let mut z = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (z ^ (z >> 31)) as f64 / u64::MAX as f64
}

impl Script {
    /// The side that limits, the split and the share of the way to the worst TTFT, at a second.
    fn moved(&self, second: u64) -> bool {
        second >= self.turn
    }

    /// The split of a second.
    pub(super) fn split(&self, second: u64) -> Split {
        let (prefill, decode) = if self.moved(second) { (2, 2) } else { (1, 3) };
        Split { prefill, decode, aggregated: 0 }
    }

    fn pressure(&self, second: u64) -> f64 {
        if self.moved(second) {
            (1.0 - (second - self.turn) as f64 / 20.0).max(0.15)
        } else {
            second as f64 / self.turn.max(1) as f64
        }
    }

    /// The requests of a second: twelve, later fifteen. One second in fifty has none that completes.
    fn requests(&self, second: u64) -> Vec<Sample> {
        let rate = if second < self.turn * 3 / 5 { 12 } else { 15 };
        let request = |i: u64| {
            let index = second * 15 + i;
            let due = second * SECOND + i * SECOND / rate + (spread(index ^ 0x4D) * 40_000.0) as u64;
            let (early, late) = (spread(index), spread(index ^ 0xFFFF));
            let base = 175.0 + 190.0 * self.pressure(second) + 8.0 * wave(second, 9.0);
            let ttft = (base * (0.72 + 0.42 * early + 0.6 * early.powi(14)) * 1e3) as u64;
            let step = 16.8 + 0.8 * wave(second, 7.0) + if self.moved(second) { 3.1 } else { 0.0 };
            let gap = (step * (0.93 + 0.16 * late + 0.25 * late.powi(20)) * 1e3) as u64;
            let failed = second % 50 == 37 || index % 911 == 910;
            let sample = sample(index, due, ttft, gap, failed);
            Sample { server: self.tells_stages.then(|| self.server(second, &sample)), ..sample }
        };
        (0..rate).map(request).collect()
    }

    /// What the engine tells of a request: it computes a prompt in about 120 ms and copies its KV in about 14; what is left of
    /// its TTFT it waited, most of it for a unit that prefills.
    fn server(&self, second: u64, sample: &Sample) -> ServerSide {
        let ttft = sample.ttft().map_or(200_000, |ttft| ttft.0);
        let shake = spread(sample.index ^ 0x5EED);
        let computing = (ttft * 9 / 10).min(105_000 + (shake * 30_000.0) as u64);
        let copying = (ttft - computing).min(12_000 + (shake * 4_000.0) as u64);
        let waiting = ttft - computing - copying;
        let arrived = sample.due + Micros(600.min(waiting));
        if sample.first.is_none() {
            return ServerSide { arrived: Some(arrived), ..ServerSide::default() };
        }
        let for_room = Micros(waiting.saturating_sub(600) / if self.moved(second) { 8 } else { 20 });
        let first = sample.due + Micros(ttft);
        let handoff_start = first - Micros(copying);
        let prefill_end = handoff_start - for_room;
        let decode = if self.moved(second) { 2 } else { 1 };
        ServerSide {
            prefill_unit: Some(if self.moved(second) { (sample.index % 2) as u16 } else { 0 }),
            decode_unit: Some(decode + (sample.index % u64::from(4 - decode)) as u16),
            prefix_queried: sample.input_tokens,
            prefix_hit: if sample.index.is_multiple_of(4) { 256 } else { 0 },
            preemptions: u32::from(sample.index % 97 == 96),
            arrived: Some(arrived),
            prefill_start: Some(prefill_end - Micros(computing)),
            prefill_end: Some(prefill_end),
            handoff_start: Some(handoff_start),
            handoff_end: Some(first),
            decode_start: Some(first + Micros(900)),
            told: None,
        }
    }

    /// The run at its end, without events.
    pub fn run(self) -> Snapshot {
        self.run_and_whole().0
    }

    /// The same, and the figures of the whole run.
    pub fn run_and_whole(self) -> (Snapshot, Recent) {
        let mut aggregator = Aggregator::new(self.slo);
        let mut ending: Vec<Sample> = Vec::new();
        for second in 0..self.seconds {
            for sample in self.requests(second) {
                aggregator.offered(sample.due);
                aggregator.sent(sample.lag().unwrap_or_default(), false);
                if let Some(first) = sample.first {
                    aggregator.first_token(first, sample.input_tokens);
                    aggregator.tokens(first, 1);
                    for gap in 1..TOKENS {
                        aggregator.tokens(first + Micros(sample.gaps[0].gap.0 * u64::from(gap)), 1);
                    }
                }
                ending.push(sample);
            }
            let over = Micros((second + 1) * SECOND);
            for sample in ending.extract_if(.., |sample| sample.ended < over) {
                aggregator.sample(&sample);
            }
            if aggregator.advance(over) {
                let then = self.snapshot(&mut aggregator, second);
                aggregator.remember(then);
            }
        }
        let last = self.snapshot(&mut aggregator, self.seconds.saturating_sub(1));
        let whole = aggregator.recent(Micros(self.seconds * SECOND));
        (Snapshot { history: aggregator.history(), ..last }, whole)
    }

    fn snapshot(&self, aggregator: &mut Aggregator, second: u64) -> Snapshot {
        let units = Arc::new(units::at(self, second));
        let (counts, recent) = (aggregator.counts(), aggregator.recent(WINDOW));
        let diagnosis = diagnose(&units, &recent, self.slo, counts.in_flight);
        Snapshot {
            now: Micros((second + 1) * SECOND),
            phase: Phase::Loading,
            aborted: None,
            workload: "chat-burst".into(),
            target: "cpu".into(),
            seed: 7,
            duration: Some(seconds(600.0)),
            requests: None,
            rate_rps: if second < self.turn * 3 / 5 { 12.0 } else { 15.0 },
            shape: Some(Shape {
                arrival: Arrival::Poisson,
                isl: Lengths::LogNormal(900.0, 0.6),
                osl: Lengths::LogNormal(160.0, 0.5),
            }),
            slo: self.slo,
            split: self.split(second),
            counts,
            recent,
            history: Arc::default(),
            units,
            servers: Arc::default(),
            events: Arc::new(Vec::<Event>::new()),
            shifts: Vec::new(),
            abilities: cpu::ABILITIES,
            outage: None,
            failures: aggregator.failed().counts(),
            reasons: aggregator.failed().reasons().clone(),
            diagnosis,
            health: Health {
                lag_p99: Micros(420),
                client_cpu_s: second as f64 * 0.027,
                client_cpu: 0.05,
                rss_bytes: 80_000_000,
                dropped: 0,
                recorded_bytes: Some(2_730 * (second + 1)),
                recording_lost: None,
                verdict: None,
            },
        }
    }

    /// How far the second is into what the turn brought about; `None` before it.
    pub(super) fn since_turn(&self, second: u64) -> Option<u64> {
        second.checked_sub(self.turn)
    }
}

pub(super) fn sample(index: u64, due: u64, ttft: u64, gap: u64, failed: bool) -> Sample {
    let first = due + ttft;
    let last = first + gap * u64::from(TOKENS - 1);
    let failure = Failure { kind: FailureKind::Timeout, message: "no answer within 30 s".to_owned() };
    Sample {
        index,
        due: Micros(due),
        sent: Some(Micros(due + 80 + index % 350)),
        first: (!failed).then_some(Micros(first)),
        last: (!failed).then_some(Micros(last)),
        ended: Micros(last),
        first_tokens: u32::from(!failed),
        gaps: vec![Gap { gap: Micros(gap), tokens: 1 }; TOKENS as usize - 1],
        input_tokens: 1_000,
        output_asked: TOKENS,
        output_tokens: if failed { 0 } else { TOKENS },
        segments: vec![Segment(index, 1_000)],
        clamped: false,
        turn: None,
        outcome: if failed { Outcome::Failed(failure) } else { Outcome::Completed },
        token_hash: TOKEN_HASH_SEED,
        logits_hash: None,
        account: Account::default(),
        server: None,
    }
}

/// The history of so many seconds with the unit moving at `turn`.
pub fn history(seconds: u64, turn: u64) -> Vec<Slot> {
    let run = Script { seconds, turn, ..Script::default() }.run();
    run.history.to_vec()
}
