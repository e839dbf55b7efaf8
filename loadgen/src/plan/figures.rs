//! What came of one simulation.

use engine::drive::virtual_time::Sample;
use serde::Serialize;

use super::rows::Rows;
use super::usage::{Busy, Usage};
use super::{Procedure, steady};
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
    /// Requests that were simulated.
    pub requests: u64,
    /// How often they would have to become twice as many for what was looked at of them to be behind the time in which units fill, and long
    /// enough to tell what piles up.
    pub doublings: usize,
    /// Whether so many prompts are begun at once that these few requests do not tell what piles up.
    pub is_coarse: bool,
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
    /// Prompt tokens that were cached, of all.
    pub prefix_hit: f64,
    /// How busy the units are.
    pub busy: Busy,
    /// Seconds of units, whatever they do in them, for each good request.
    pub unit_s_per_good: Option<f64>,
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

    /// What most of them missed. `waits` are microseconds until prompts were computed and from then to first tokens; `is_blocked` says
    /// that prompts wait although units could compute them.
    fn limit(&self, is_steady: bool, (prefill, hand_off): (u64, u64), is_blocked: bool) -> Limit {
        let start = if hand_off > prefill || is_blocked { Limit::HandOff } else { Limit::Prefill };
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

/// The numbers of the first request that is looked at, and of the one behind the last.
pub(crate) fn window(procedure: Procedure, requests: usize) -> (usize, usize) {
    let share = |share: f64| (requests as f64 * share) as usize;
    match procedure {
        Procedure::Sustained => (share(WINDOW.0), share(WINDOW.1)),
        Procedure::Burst(_) => (0, requests),
    }
}

/// Good requests per second in a window in steady state: what [`of`] says of the same samples, and nothing else of it.
pub(crate) fn goodput(slo: Slo, rows: &Rows, rate: f64, samples: &[Sample]) -> f64 {
    let (from, to) = window(Procedure::Sustained, rows.len());
    let good = samples.iter().take(to).skip(from).filter(|sample| is_good(slo, sample)).count();
    rate * steady::served(rows, rate, samples, (from, to)) * (good as f64 / (to - from).max(1) as f64)
}

/// The figures of all requests of a simulation, by the procedure. `usage` is that of the time in which those of the window are
/// due, of a burst of all its time.
pub(super) fn of(judge: Judge, rows: &Rows, rate: f64, samples: &[Sample], usage: Usage) -> Figures {
    let (from, to) = window(judge.procedure, rows.len());
    let (mut ttft, mut tpot, mut e2e) = (Distribution::default(), Distribution::default(), Distribution::default());
    let (mut good, mut completed, mut tokens, mut misses) = (0_u64, 0_u64, 0_u64, Misses::default());
    let (mut waits, mut hits) = ((0_u64, 0_u64), 0_u64);
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
        hits += u64::from(sample.prefix_hit);
        waits.0 += sample.prefill_end.since(sample.arrived).0 / 1000;
        waits.1 += sample.first.since(sample.prefill_end).0 / 1000;
    }
    let offered = (to - from).max(1) as f64;
    let mean_tokens = tokens as f64 / completed.max(1) as f64;
    let (served, output_tps) = match judge.procedure {
        Procedure::Sustained => {
            let served = steady::served(rows, rate, samples, (from, to));
            (served, rate * served * mean_tokens)
        }
        Procedure::Burst(_) => {
            let over = samples.iter().map(|sample| sample.last).max().unwrap_or_default();
            let firsts = samples.iter().filter(|sample| sample.tokens > 0).map(|sample| sample.first.as_secs_f64());
            (steady::kept_up(rate, firsts), tokens as f64 / over.as_secs_f64().max(1e-9))
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
    let (doublings, is_coarse) = match judge.procedure {
        Procedure::Sustained => {
            let is_coarse = steady::is_coarse(rows, rate, samples, (from, to));
            (steady::filling(rows, rate, samples, (from, to)).max(usize::from(is_coarse)), is_coarse)
        }
        Procedure::Burst(_) => (0, false),
    };
    // The units of a burst are idle while its last answers end.
    let is_blocked = !is_steady && judge.procedure == Procedure::Sustained && usage.busy.is_blocked();
    let good_in_time = match judge.procedure {
        // Of those that are due in the window, as many as are served in it.
        Procedure::Sustained => good as f64 * served,
        Procedure::Burst(_) => good as f64,
    };
    Figures {
        requests: rows.len() as u64,
        doublings,
        is_coarse,
        offered_rps: rate,
        goodput_rps: rate * served * attainment,
        attainment,
        is_steady,
        served_rps: served_rps(samples, from, to),
        output_tps,
        ttft: (&ttft).into(),
        tpot: (&tpot).into(),
        limit: misses.limit(is_steady, waits, is_blocked),
        prefix_hit: hits as f64 / rows.prompt_tokens(from, to).max(1) as f64,
        busy: usage.busy,
        unit_s_per_good: (good_in_time > 0.0).then(|| usage.unit_seconds / good_in_time),
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
