//! What came of one simulation.

use engine::drive::virtual_time::Sample;
use serde::Serialize;

use super::Procedure;
use super::rows::Rows;
use crate::measure::Distribution;
use crate::slo::Slo;
use crate::summary::Statistics;
use crate::time::Micros;

/// Shares of the requests, in the order of being due, between which a window in steady state is taken: before it the system
/// fills, after it it empties.
pub(crate) const WINDOW: (f64, f64) = (0.2, 0.9);

/// What limits a split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// Nothing: the SLO is met at the rate that was asked about.
    #[default]
    None,
    /// TTFT, for want of units that prefill.
    Prefill,
    /// TTFT, because computed prompts wait for units that decode.
    #[serde(rename = "hand-off")]
    HandOff,
    /// TPOT.
    Decode,
    /// E2E, without one of the others.
    E2e,
}

/// What came of one simulation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Requests offered per second.
    pub offered_rps: f64,
    /// Good ones; where more arrive than are served, of those that are.
    pub goodput_rps: f64,
    /// Good over offered.
    pub attainment: f64,
    /// Whether as many are served as arrive: otherwise every latency grows for as long as it is measured.
    pub is_steady: bool,
    /// First tokens per second in the window: where more arrive than are served, as many as can be.
    pub served_rps: f64,
    /// Answer tokens per second.
    pub output_tps: f64,
    /// TTFT.
    pub ttft: Statistics,
    /// TPOT.
    pub tpot: Statistics,
    /// What requests missed, or wait for.
    pub limit: Limit,
}

/// Times of a request in microseconds.
#[derive(Clone, Copy)]
struct Times {
    ttft: Micros,
    tpot: Option<Micros>,
    e2e: Micros,
}

impl Times {
    fn of(sample: &Sample) -> Self {
        let micros = |nanos: engine::units::Nanos| Micros(nanos.0 / 1000);
        let decoding = sample.last.since(sample.first);
        let gaps = u64::from(sample.tokens.saturating_sub(1));
        Self {
            ttft: micros(sample.first.since(sample.arrived)),
            tpot: (gaps > 0).then(|| Micros(decoding.0 / gaps.max(1) / 1000)),
            e2e: micros(sample.last.since(sample.arrived)),
        }
    }
}

/// How many of the requests of a window missed which bound.
#[derive(Default)]
struct Misses {
    ttft: u64,
    tpot: u64,
    e2e: u64,
}

impl Misses {
    /// Counts a request; whether it was good.
    fn judge(&mut self, slo: Slo, times: Times) -> bool {
        let over = |bound: Option<Micros>, value: Option<Micros>| bound.zip(value).is_some_and(|(most, is)| is > most);
        let missed = [over(slo.ttft, Some(times.ttft)), over(slo.tpot, times.tpot), over(slo.e2e, Some(times.e2e))];
        let [ttft, tpot, e2e] = missed.map(u64::from);
        (self.ttft, self.tpot, self.e2e) = (self.ttft + ttft, self.tpot + tpot, self.e2e + e2e);
        !missed.contains(&true)
    }

    /// What most of them missed. `waits` are microseconds until prompts were computed and from then to first tokens.
    fn limit(&self, is_steady: bool, (prefill, hand_off): (u64, u64)) -> Limit {
        let start = if hand_off > prefill { Limit::HandOff } else { Limit::Prefill };
        match (self.ttft, self.tpot, self.e2e) {
            (ttft, tpot, _) if tpot > 0 && tpot >= ttft => Limit::Decode,
            (0, _, e2e) if is_steady => {
                if e2e > 0 {
                    Limit::E2e
                } else {
                    Limit::None
                }
            }
            _ => start,
        }
    }
}

/// Share of the arrivals of a window that get their first token in it, below which a queue grows.
const STEADY: f64 = 0.95;

/// How requests are judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Judge {
    /// What makes one good.
    pub(crate) slo: Slo,
    /// Which of them count, and how.
    pub(crate) procedure: Procedure,
}

/// Whether a request of a simulation was good.
pub(crate) fn is_good(slo: Slo, sample: &Sample) -> bool {
    sample.completed && Misses::default().judge(slo, Times::of(sample))
}

/// The figures of all requests of a simulation, by the procedure.
pub(super) fn of(judge: Judge, rows: &Rows, rate: f64, samples: &[Sample]) -> Figures {
    let share = |share: f64| (rows.len() as f64 * share) as usize;
    let (from, to) = match judge.procedure {
        Procedure::Sustained => (share(WINDOW.0), share(WINDOW.1)),
        Procedure::Burst(_) => (0, rows.len()),
    };
    let (mut ttft, mut tpot, mut e2e) = (Distribution::default(), Distribution::default(), Distribution::default());
    let (mut good, mut completed, mut tokens, mut misses) = (0_u64, 0_u64, 0_u64, Misses::default());
    let mut waits = (0_u64, 0_u64);
    for sample in samples.iter().take(to).skip(from).filter(|sample| sample.completed) {
        let times = Times::of(sample);
        ttft.record(times.ttft);
        e2e.record(times.e2e);
        if let Some(each) = times.tpot {
            tpot.record(each);
        }
        completed += 1;
        tokens += u64::from(sample.tokens);
        good += u64::from(misses.judge(judge.slo, times));
        waits.0 += sample.prefill_end.since(sample.arrived).0 / 1000;
        waits.1 += sample.first.since(sample.prefill_end).0 / 1000;
    }
    let offered = (to - from).max(1) as f64;
    let mean_tokens = tokens as f64 / completed.max(1) as f64;
    let (served, output_tps) = match judge.procedure {
        Procedure::Sustained => {
            // Whoever has come before and gets the first token now stands for one who comes now and gets it later.
            let (start, end) = (rows.due(from, rate), rows.due(to.min(rows.len() - 1), rate));
            let begun =
                samples.iter().filter(|sample| sample.tokens > 0 && (start..end).contains(&sample.first)).count();
            let served = if begun as f64 >= STEADY * offered { 1.0 } else { begun as f64 / offered };
            (served, rate * served * mean_tokens)
        }
        Procedure::Burst(_) => {
            let over = samples.iter().map(|sample| sample.last).max().unwrap_or_default();
            (1.0, tokens as f64 / over.as_secs_f64().max(1e-9))
        }
    };
    if matches!(judge.procedure, Procedure::Burst(_)) {
        // The averages are judged, as if they were those of one request.
        misses = Misses::default();
        let mean = |of: &Distribution| of.mean().map(|mean| Micros(mean.round() as u64));
        let times =
            Times { ttft: mean(&ttft).unwrap_or_default(), tpot: mean(&tpot), e2e: mean(&e2e).unwrap_or_default() };
        good = if misses.judge(judge.slo, times) { completed } else { 0 };
    }
    let (attainment, is_steady) = (good as f64 / offered, served >= 1.0);
    Figures {
        offered_rps: rate,
        goodput_rps: rate * served * attainment,
        attainment,
        is_steady,
        served_rps: served_rps(samples, from, to),
        output_tps,
        ttft: (&ttft).into(),
        tpot: (&tpot).into(),
        limit: misses.limit(is_steady, waits),
    }
}

/// First tokens per second, from that of one rank in time to that of another.
fn served_rps(samples: &[Sample], from: usize, to: usize) -> f64 {
    let mut firsts: Vec<_> = samples.iter().filter(|sample| sample.tokens > 0).map(|sample| sample.first).collect();
    firsts.sort_unstable();
    let last = to.min(firsts.len()).saturating_sub(1);
    let span = firsts.get(from).zip(firsts.get(last)).map_or(0.0, |(start, end)| end.since(*start).as_secs_f64());
    if span > 0.0 { (last - from) as f64 / span } else { 0.0 }
}
