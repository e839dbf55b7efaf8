//! Why a split gives more or less than the one that serves, as findings and in words.

use std::fmt;

use engine::cluster::How;
use engine::units::Split;

use super::{Interval, Limit, MoveCost, SplitPrediction, WhatIf, moves};

/// Requests per second that make no difference.
const EVEN: f64 = 0.05;

/// What the interval of a gain says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// More, and less by no draw.
    Gains,
    /// Less, and more by no draw.
    Loses,
    /// Next to nothing.
    Even,
    /// More by some draws, less by others.
    Unsure,
}

impl Interval {
    /// What it says as a gain in requests per second.
    pub fn verdict(self) -> Verdict {
        match self {
            Self { mid, .. } if mid.abs() <= EVEN || mid.is_nan() => Verdict::Even,
            Self { lo, mid, .. } if mid > 0.0 && lo >= -EVEN => Verdict::Gains,
            Self { hi, mid, .. } if mid < 0.0 && hi <= EVEN => Verdict::Loses,
            _ => Verdict::Unsure,
        }
    }
}
/// A change of a latency that is worth a word, as a share of it.
const WORTH: f64 = 0.05;

/// A 95th percentile in milliseconds, here and there, with its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// In the split that serves.
    pub now: f64,
    /// In the other.
    pub then: f64,
    /// What the SLO allows.
    pub bound: Option<f64>,
}

impl Latency {
    fn is_over(&self, value: f64) -> bool {
        self.bound.is_some_and(|bound| value > bound)
    }

    /// Whether the other split is over the bound, and this one is not.
    fn breaks(&self) -> bool {
        self.is_over(self.then) && !self.is_over(self.now)
    }

    /// Whether the other split is within the bound, and this one is not.
    fn mends(&self) -> bool {
        self.is_over(self.now) && !self.is_over(self.then)
    }
}

/// A finding.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// What another split does.
    Step {
        /// The split that serves.
        from: Split,
        /// The other.
        to: Split,
        /// Good requests per second more.
        gain: Interval,
        /// TTFT.
        ttft: Option<Latency>,
        /// TPOT.
        tpot: Option<Latency>,
        /// What limits it.
        limit: Limit,
    },
    /// What getting there takes.
    Cost {
        /// The other split.
        to: Split,
        /// What it takes.
        cost: MoveCost,
        /// Seconds after which it has paid for itself; `None` where it never does.
        pays_back_s: Option<f64>,
    },
}

/// Why `selected` and the splits next to the one that serves are better or worse, and what it takes to get to the first of
/// them.
pub fn findings(of: &WhatIf, selected: Split) -> Vec<Finding> {
    let Some(now) = of.of(of.now) else { return Vec::new() };
    let chosen = of.of(selected).filter(|other| other.split != of.now);
    let near = of
        .splits
        .iter()
        .filter(|other| moves(of.now, other.split) == 1 && Some(other.split) != chosen.map(|c| c.split));
    let mut shown: Vec<&SplitPrediction> = chosen.into_iter().chain(near).collect();
    shown.truncate(3);
    let mut findings: Vec<Finding> = shown.iter().map(|other| step(of, now, other)).collect();
    let costly = chosen.or_else(|| of.best().filter(|best| best.split != of.now));
    findings.extend(costly.into_iter().flat_map(costs));
    findings
}

fn step(of: &WhatIf, now: &SplitPrediction, other: &SplitPrediction) -> Finding {
    let bound = |bound: Option<crate::time::Micros>| bound.map(crate::time::Micros::as_millis_f64);
    let latency =
        |now: Option<f64>, then: Option<f64>, bound| now.zip(then).map(|(now, then)| Latency { now, then, bound });
    Finding::Step {
        from: now.split,
        to: other.split,
        gain: other.gain_rps,
        ttft: latency(now.ttft_p95_ms, other.ttft_p95_ms, bound(of.slo.ttft)),
        tpot: latency(now.tpot_p95_ms, other.tpot_p95_ms, bound(of.slo.tpot)),
        limit: other.limit,
    }
}

fn costs(other: &SplitPrediction) -> impl Iterator<Item = Finding> {
    other.costs.iter().map(|cost| Finding::Cost {
        to: other.split,
        cost: *cost,
        pays_back_s: (other.gain_rps.mid > EVEN).then(|| cost.late as f64 / other.gain_rps.mid),
    })
}

/// What limits, as the subject of a sentence.
fn subject(limit: Limit) -> &'static str {
    match limit {
        Limit::None => "nothing limits it",
        Limit::Prefill => "prompts wait for units that prefill",
        Limit::HandOff => "computed prompts wait for room on units that decode",
        Limit::Decode => "too many sequences share the units that decode",
        Limit::E2e => "answers take too long altogether",
    }
}

/// Three digits are all that anybody reads.
fn figure(value: f64) -> String {
    if value < 99.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Step { from, to, gain, ttft, tpot, limit } => {
                write!(f, "{from} → {to}  ")?;
                match (gain.verdict(), gain.mid) {
                    (Verdict::Gains, mid) => write!(f, "gains {} req/s", figure(mid))?,
                    (Verdict::Loses, mid) => write!(f, "loses {} req/s", figure(-mid))?,
                    (Verdict::Even, _) => f.write_str("gives the same")?,
                    (Verdict::Unsure, mid) if mid < 0.0 => write!(f, "may lose {} req/s", figure(-mid))?,
                    (Verdict::Unsure, mid) => write!(f, "may gain {} req/s", figure(mid))?,
                }
                let mut said = false;
                for (name, latency) in [("TTFT", ttft), ("TPOT", tpot)] {
                    let Some(Latency { now, then, bound: Some(bound) }) = latency else { continue };
                    let Some(latency) = latency.filter(|latency| latency.breaks() || latency.mends()) else { continue };
                    let side = if latency.breaks() { "over" } else { "within" };
                    let (now, then, bound) = (figure(*now), figure(*then), figure(*bound));
                    write!(f, ": {name} p95 {now} → {then} ms, {side} the {bound} of the SLO")?;
                    said = true;
                }
                if *limit != Limit::None {
                    return write!(f, "{} {}", if said { ";" } else { ":" }, subject(*limit));
                }
                let saved = tpot.filter(|tpot| tpot.then < tpot.now * (1.0 - WORTH));
                match saved {
                    Some(Latency { now, then, .. }) if !said => {
                        write!(f, ": it saves {} ms of TPOT that no bound needs", figure(now - then))
                    }
                    _ => Ok(()),
                }
            }
            Self::Cost { to, cost, pays_back_s } => {
                let (drain, rest) = (cost.drain.as_secs_f64(), cost.total.since(cost.drain).as_secs_f64());
                let change = if cost.how == How::Restart { "start anew" } else { "switch" };
                write!(f, "to {to} by {}: {drain:.1} s until empty, {rest:.1} s to {change} and warm up", cost.how)?;
                match cost.late {
                    0 => f.write_str("; no request is late by it")?,
                    1 => f.write_str("; about 1 request is late by it")?,
                    late => write!(f, "; about {late} requests are late by it")?,
                }
                match pays_back_s {
                    Some(seconds) if cost.late > 0 => write!(f, ", paid back in {seconds:.0} s"),
                    _ => Ok(()),
                }
            }
        }
    }
}
