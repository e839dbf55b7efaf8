//! What limits a cluster, as a finding with the figures that it was told from.
//!
//! Two questions are asked of the last seconds. Is a latency near or over its bound, or, where it has none, do requests
//! pile up? And if so, in which stage does the time go? The second one is answered by the stages of the slow requests
//! (p95 TTFT), because what a unit holds now says little about why a request that ended was slow. A unit that decodes
//! steps as long as it has one sequence, so its busy share says nothing; TPOT against its bound does, and without a bound
//! whether more sequences in flight still give more tokens.
//!
//! Latencies are those of requests that completed. Where they are well, or too few to tell, and requests fail, that is the finding.
//!
//! Nothing is guessed: where figures are missing the finding says which, and advice is given only when the side that would
//! give a unit away can be seen to spare it.

mod evidence;
mod fault;
mod words;

pub use evidence::{Evidence, Latency, Load};
pub use fault::{Fault, fault};
pub use words::Words;

use crate::live::{Recent, UnitView};
use crate::measure::{LAG_LIMIT, Stage};
use crate::slo::Slo;

/// Share of its bound from which on a latency counts as limiting.
const NEAR: f64 = 0.9;
/// Busy share above which units that prefill count as saturated.
const SATURATED: f64 = 0.9;
/// Share of KV blocks above which hand-offs are likely to wait.
const KV_FULL: f64 = 0.85;
/// Share of a TTFT from which on a stage is where the time goes.
const MOST: f64 = 0.5;
/// Share of a TTFT from which on waiting for a full decode side explains the prefill queue behind it.
const MUCH: f64 = 0.25;
/// Prompts that wait so many times as long as they compute, on average, are a queue and not a coincidence.
const LONG_QUEUE: f64 = 2.0;
/// Completed requests below which a window says nothing about latencies.
const FEW: u64 = 5;
/// More sequences than this beyond one a unit are not being copied: they wait.
const COPYING: u32 = 5;
/// Output that grew by less than this factor has not grown.
const NO_MORE: f64 = 1.1;

/// What limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Limit {
    /// Too few requests have completed to tell.
    #[default]
    TooFew,
    /// A latency is over its bound, but the target does not tell where the time goes.
    NotTold,
    /// Nothing does: latencies are within their bounds, nothing piles up.
    Nothing,
    /// Latencies say nothing against it, but requests fail.
    Failing,
    /// The client sends late, or not at all.
    Client,
    /// The way to the target and back.
    Network,
    /// Prompts wait for units that prefill.
    Prefill,
    /// Computing a prompt takes that long; it does not wait.
    Prompt,
    /// Computed prompts wait for room on units that decode.
    HandOff,
    /// Copying KV takes that long.
    Link,
    /// Answers come too slowly: too many sequences share the units that decode.
    Decode,
    /// Answers come too slowly although no sequence shares a unit.
    Step,
    /// Both sides are overloaded.
    Both,
}

/// A side of a cluster that a unit could be moved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Units that prefill.
    Prefill,
    /// Units that decode.
    Decode,
}

impl Limit {
    /// The side that one more unit would help.
    pub fn side(self) -> Option<Side> {
        match self {
            Self::Prefill => Some(Side::Prefill),
            Self::HandOff | Self::Decode => Some(Side::Decode),
            _ => None,
        }
    }
}

/// What to do about it, where that is sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// The other side can spare a unit.
    Move(Side),
    /// No unit can be spared: less load, or more units of this side.
    Add(Side),
    /// Every unit has too much to do.
    LessLoad,
    /// More units that prefill do not make a prompt faster.
    ShorterPrompts,
    /// More units that decode do not make a step faster.
    FasterSteps,
    /// The link between units is what takes the time.
    FasterLink,
    /// The figures are the client's own.
    OtherClient,
    /// The client's machine has no more connections to give.
    MoreSockets,
}

/// A finding.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Diagnosis {
    /// What limits.
    pub limit: Limit,
    /// What to do about it; `None` where nothing is sure or nothing needs to be done.
    pub advice: Option<Advice>,
    /// The figures that say so.
    pub evidence: Evidence,
    /// What servers say went wrong beside that, whatever limits.
    pub fault: Option<Fault>,
}

/// Finds what limits, from the units as last observed, the figures of the last seconds, the SLO, and how many requests are
/// in flight.
pub fn diagnose(units: &[UnitView], recent: &Recent, slo: Option<Slo>, in_flight: u64) -> Diagnosis {
    let evidence = Evidence::of(units, recent, slo, in_flight);
    let limit = match limit(&evidence) {
        Limit::Nothing | Limit::TooFew if evidence.failures.matter(evidence.completed) => {
            if evidence.unsent() {
                Limit::Client
            } else {
                Limit::Failing
            }
        }
        limit => limit,
    };
    Diagnosis { limit, advice: advice(limit, &evidence), evidence, fault: None }
}

fn limit(e: &Evidence) -> Limit {
    let backlog = e.prefill.units > 0 && e.prefill.queue >= e.prefill.units && e.prefill.busy > SATURATED;
    let slow_answers = e.tpot.ratio().map_or_else(|| saturated(e), |ratio| ratio >= NEAR);
    let over_bound = slow_answers && e.completed >= FEW && e.tpot.ratio().is_some() && !e.decode_is_idle();
    if e.is_blocked() && !over_bound {
        return Limit::HandOff;
    }
    if e.completed < FEW {
        return match (backlog, slow_answers && e.tpot.ratio().is_none()) {
            (true, true) => Limit::Both,
            (true, false) => Limit::Prefill,
            (false, true) => Limit::Decode,
            (false, false) => Limit::TooFew,
        };
    }
    if e.share(Stage::Lag) >= MOST && e.time(Stage::Lag) > LAG_LIMIT {
        return Limit::Client;
    }
    let shared = slow_answers && !e.decode_is_idle();
    match (slow_start(e, backlog), shared) {
        (Some(Limit::Prefill), true) => Limit::Both,
        // Where sequences decode too slowly they also hold their room for too long.
        (Some(Limit::NotTold | Limit::HandOff) | None, true) => Limit::Decode,
        (Some(start), _) => start,
        (None, false) if slow_answers => Limit::Step,
        (None, false) => Limit::Nothing,
    }
}

/// What makes TTFT long, if it is.
fn slow_start(e: &Evidence, backlog: bool) -> Option<Limit> {
    let waits = |stage| e.mean(stage).0 as f64 >= LONG_QUEUE * e.mean(Stage::Prefill).0.max(1) as f64;
    let piles_up = || {
        let queue = waits(Stage::Queue) && (e.prefill.units == 0 || e.prefill.busy > SATURATED);
        backlog || queue || waits(Stage::HandOffWait)
    };
    if !e.ttft.ratio().map_or_else(piles_up, |ratio| ratio >= NEAR) {
        return None;
    }
    if e.share(Stage::HandOffWait) >= MUCH && e.decode.kv > KV_FULL {
        return Some(Limit::HandOff);
    }
    let way = e.share(Stage::WayIn) + e.share(Stage::WayBack);
    Some(match e.stages.and_then(|stages| stages.longest()) {
        _ if way >= MOST => Limit::Network,
        Some(Stage::Queue) => Limit::Prefill,
        Some(Stage::Prefill) if e.prefill.busy > SATURATED => Limit::Prefill,
        Some(Stage::Prefill) => Limit::Prompt,
        Some(Stage::HandOffWait | Stage::DecodeQueue) => Limit::HandOff,
        Some(Stage::HandOff) => Limit::Link,
        Some(Stage::Lag) if e.time(Stage::Lag) > LAG_LIMIT => Limit::Client,
        // The target tells of its units, if not of its requests.
        _ if backlog => Limit::Prefill,
        _ => Limit::NotTold,
    })
}

/// More and more answers are being written, and together they do not get more tokens than before: three standard deviations
/// of a Poisson count beyond chance.
fn saturated(e: &Evidence) -> bool {
    let (Some(growth), Some(before)) = (u64::try_from(e.growth).ok(), e.output_before_tps) else { return false };
    let chance = 3.0 * (e.in_flight.saturating_sub(growth).max(1) as f64).sqrt();
    let decoding = u64::from(e.decode.running) + u64::from(e.prefill.handing_off);
    e.decode.busy > SATURATED
        && growth as f64 > chance
        && decoding > e.in_flight / 2
        && before > 0.0
        && e.output_tps < before * NO_MORE
}

fn advice(limit: Limit, e: &Evidence) -> Option<Advice> {
    let known = e.prefill.units > 0 || e.decode.units > 0;
    match limit {
        Limit::Prefill if known => Some(if e.decode_can_spare_one() {
            Advice::Move(Side::Prefill)
        } else if e.is_aggregated() {
            Advice::LessLoad
        } else {
            Advice::Add(Side::Prefill)
        }),
        Limit::Decode | Limit::HandOff if known => Some(if e.prefill_can_spare_one() {
            Advice::Move(Side::Decode)
        } else if e.is_aggregated() {
            Advice::LessLoad
        } else {
            Advice::Add(Side::Decode)
        }),
        Limit::Both => Some(Advice::LessLoad),
        Limit::Prompt => Some(Advice::ShorterPrompts),
        Limit::Step => Some(Advice::FasterSteps),
        Limit::Link => Some(Advice::FasterLink),
        Limit::Client if e.unsent() => Some(Advice::MoreSockets),
        Limit::Client => Some(Advice::OtherClient),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
