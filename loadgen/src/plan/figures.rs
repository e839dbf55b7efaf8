//! What came of one simulation.

use engine::drive::virtual_time::Sample;
use serde::Serialize;

use super::Procedure;
use super::rows::Rows;
use super::simulate::World;
use crate::measure::Distribution;
use crate::slo::Slo;
use crate::time::Micros;

/// Shares of the requests, in the order of being due, between which a window in steady state is taken: before it the system
/// fills, after it it empties.
const WINDOW: (f64, f64) = (0.2, 0.9);

/// One latency in milliseconds; `None` where nothing has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// The mean.
    pub mean: Option<f64>,
    /// The median.
    pub p50: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
}

impl From<&Distribution> for Statistics {
    fn from(distribution: &Distribution) -> Self {
        let quantile = |q| distribution.quantile(q).map(Micros::as_millis_f64);
        let mean = distribution.mean().map(|mean| mean.round() / 1e3);
        Self { mean, p50: quantile(0.5), p95: quantile(0.95), p99: quantile(0.99) }
    }
}

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
    /// Requests offered per second, in the window.
    pub offered_rps: f64,
    /// Good ones.
    pub goodput_rps: f64,
    /// Good over offered.
    pub attainment: f64,
    /// Answer tokens of the requests of the window, over its length.
    pub output_tps: f64,
    /// TTFT.
    pub ttft: Statistics,
    /// TPOT.
    pub tpot: Statistics,
    /// What requests missed, if too many did.
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

    /// What most of them missed. TTFT that is missed while prefill units have time to spare waits for the other side.
    fn limit(&self, (prefill, decode): (f64, f64)) -> Limit {
        match (self.ttft, self.tpot, self.e2e) {
            (0, 0, 0) => Limit::None,
            (0, 0, _) => Limit::E2e,
            (ttft, tpot, _) if tpot >= ttft => Limit::Decode,
            _ if decode > 0.0 && prefill < SPARE => Limit::HandOff,
            _ => Limit::Prefill,
        }
    }
}

/// Busy share of prefill units below which they are not what prompts wait for.
const SPARE: f64 = 0.8;

/// The figures of all requests of a simulation, by the procedure; `busy` shares are those of prefill and decode units.
pub(super) fn of(world: &World<'_>, rows: &Rows, rate: f64, samples: &[Sample], busy: (f64, f64)) -> Figures {
    let (from, to) = match world.procedure {
        Procedure::Sustained => ((rows.len() as f64 * WINDOW.0) as usize, (rows.len() as f64 * WINDOW.1) as usize),
        Procedure::Burst(_) => (0, rows.len()),
    };
    let (mut ttft, mut tpot, mut e2e) = (Distribution::default(), Distribution::default(), Distribution::default());
    let (mut good, mut completed, mut tokens, mut misses) = (0_u64, 0_u64, 0_u64, Misses::default());
    for sample in samples.iter().take(to).skip(from).filter(|sample| sample.completed) {
        let times = Times::of(sample);
        ttft.record(times.ttft);
        e2e.record(times.e2e);
        if let Some(each) = times.tpot {
            tpot.record(each);
        }
        completed += 1;
        tokens += u64::from(sample.tokens);
        good += u64::from(misses.judge(world.slo, times));
    }
    let offered = (to - from) as u64;
    let length = match world.procedure {
        Procedure::Sustained => rows.due(to.min(rows.len() - 1), rate).since(rows.due(from, rate)).as_secs_f64(),
        Procedure::Burst(requests) => f64::from(requests) / rate,
    }
    .max(1e-9);
    if matches!(world.procedure, Procedure::Burst(_)) {
        // The averages are judged, as if they were those of one request.
        misses = Misses::default();
        let mean = |of: &Distribution| of.mean().map(|mean| Micros(mean.round() as u64));
        let times =
            Times { ttft: mean(&ttft).unwrap_or_default(), tpot: mean(&tpot), e2e: mean(&e2e).unwrap_or_default() };
        good = if misses.judge(world.slo, times) { completed } else { 0 };
    }
    Figures {
        offered_rps: offered as f64 / length,
        goodput_rps: good as f64 / length,
        attainment: good as f64 / offered.max(1) as f64,
        output_tps: tokens as f64 / length,
        ttft: (&ttft).into(),
        tpot: (&tpot).into(),
        limit: misses.limit(busy),
    }
}
