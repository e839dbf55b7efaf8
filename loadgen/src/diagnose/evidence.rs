//! The figures that a finding is told from.

use engine::cluster::UnitState;
use engine::units::Role;

use super::{COPYING, KV_FULL, NEAR, SATURATED};
use crate::live::{FailureCounts, Recent, UnitView};
use crate::measure::{Stage, StageTimes};
use crate::sample::FailureKind;
use crate::slo::Slo;
use crate::time::Micros;

/// A 95th percentile and its bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The percentile.
    pub p95: Option<Micros>,
    /// The bound of the SLO.
    pub bound: Option<Micros>,
}

impl Latency {
    /// The percentile as a share of the bound, 1 when it is just met; `None` unless both are known.
    pub fn ratio(self) -> Option<f64> {
        let (p95, bound) = self.p95.zip(self.bound)?;
        Some(p95.as_secs_f64() / bound.as_secs_f64().max(f64::MIN_POSITIVE))
    }
}

/// What the serving units of one side hold. Units that do both belong to both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Units.
    pub units: u32,
    /// Of those, the ones that do nothing else.
    pub own: u32,
    /// Mean share of the last second spent in steps, 0..=1.
    pub busy: f64,
    /// Requests waiting for their first prompt chunk.
    pub queue: u32,
    /// Sequences in batches.
    pub running: u32,
    /// Sequences that wait for their hand-off or are being copied.
    pub handing_off: u32,
    /// Mean share of KV blocks held by sequences, 0..=1.
    pub kv: f64,
}

impl Load {
    fn of(units: &[UnitView], serves: impl Fn(Role) -> bool) -> Self {
        let serving =
            units.iter().filter(|unit| unit.measured && unit.state == UnitState::Serving && serves(unit.role));
        let mut load = serving.fold(Self::default(), |load, unit| Self {
            units: load.units + 1,
            own: load.own + u32::from(unit.role != Role::Aggregated),
            busy: load.busy + unit.busy,
            queue: load.queue.saturating_add(unit.queue),
            running: load.running.saturating_add(unit.running),
            handing_off: load.handing_off.saturating_add(unit.handing_off),
            kv: load.kv + unit.kv_used,
        });
        let units = f64::from(load.units.max(1));
        load.busy /= units;
        load.kv /= units;
        load
    }

    /// By what factor the load of each unit grows when one goes; `None` when none can go.
    fn without_one(self) -> Option<f64> {
        (self.own > 0 && self.units > 1).then(|| f64::from(self.units) / f64::from(self.units - 1))
    }
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Requests completed in the window.
    pub completed: u64,
    /// Requests that failed in the window.
    pub failures: FailureCounts,
    /// The window.
    pub window: Micros,
    /// TTFT.
    pub ttft: Latency,
    /// TPOT.
    pub tpot: Latency,
    /// The mean stages of the requests at and above p95 TTFT.
    pub stages: Option<StageTimes>,
    /// The mean stages of all requests.
    pub all: Option<StageTimes>,
    /// Units that prefill.
    pub prefill: Load,
    /// Units that decode.
    pub decode: Load,
    /// Sequences that decoded at once, on average over the window: tokens per second times the median time per token.
    pub decoding: Option<f64>,
    /// Requests in flight.
    pub in_flight: u64,
    /// By how many they have grown in the window.
    pub growth: i64,
    /// Tokens received per second.
    pub output_tps: f64,
    /// The same over the window before.
    pub output_before_tps: Option<f64>,
}

impl Evidence {
    /// Whether most of what failed has never left this machine.
    pub(super) fn unsent(&self) -> bool {
        let failed = self.failures.total();
        failed > 0 && self.failures.of(FailureKind::Client) * 2 > failed
    }

    pub(super) fn of(units: &[UnitView], recent: &Recent, slo: Option<Slo>, in_flight: u64) -> Self {
        Self {
            completed: recent.completed,
            failures: recent.failures,
            window: recent.window,
            ttft: Latency { p95: recent.ttft.p95, bound: slo.and_then(|slo| slo.ttft) },
            tpot: Latency { p95: recent.tpot.p95, bound: slo.and_then(|slo| slo.tpot) },
            stages: recent.stages.p95.map(|mean| mean.times),
            all: recent.stages.all.map(|mean| mean.times),
            prefill: Load::of(units, Role::can_prefill),
            decode: Load::of(units, Role::can_decode),
            decoding: recent.tpot.p50.map(|tpot| recent.output_tps * tpot.as_secs_f64()),
            in_flight,
            growth: recent.growth,
            output_tps: recent.output_tps,
            output_before_tps: recent.output_before_tps,
        }
    }

    /// The share of a stage in p95 TTFT, 0 when it is not known.
    pub fn share(&self, stage: Stage) -> f64 {
        self.stages.map_or(0.0, |stages| stages.share(stage))
    }

    /// What a stage takes in p95 TTFT.
    pub fn time(&self, stage: Stage) -> Micros {
        self.stages.map_or(Micros::ZERO, |stages| stages.get(stage))
    }

    /// What a stage takes on average.
    pub(super) fn mean(&self, stage: Stage) -> Micros {
        self.all.map_or(Micros::ZERO, |stages| stages.get(stage))
    }

    /// Whether every unit does both.
    pub fn is_aggregated(&self) -> bool {
        self.prefill.units > 0 && self.prefill.own == 0 && self.decode.own == 0
    }

    /// Whether computed prompts wait for a full decode side: one without KV, or, with a batch that takes no more, one with a
    /// quarter as many waiting for it as it has.
    pub(super) fn is_blocked(&self) -> bool {
        let waiting = self.prefill.handing_off;
        let many = waiting > self.prefill.units.saturating_add(COPYING) && waiting >= self.decode.running / 4;
        waiting > self.prefill.units && (self.decode.kv > KV_FULL || many)
    }

    /// Whether units that only decode have no more than one sequence each: more of them would not make TPOT shorter.
    pub(super) fn decode_is_idle(&self) -> bool {
        self.has_at_most(f64::from(self.decode.units))
    }

    fn has_at_most(&self, sequences: f64) -> bool {
        !self.is_aggregated() && self.decode.units > 0 && self.decoding.is_some_and(|decoding| decoding <= sequences)
    }

    /// Whether the decode side would stay well with a unit less: KV and TPOT are taken to grow as its units get fewer, the
    /// latter unless each that is left still has a sequence at most.
    pub(super) fn decode_can_spare_one(&self) -> bool {
        self.decode.without_one().is_some_and(|more| {
            let quick = self.tpot.ratio().is_none_or(|ratio| ratio * more < NEAR);
            self.decode.kv * more < KV_FULL && (quick || self.has_at_most(f64::from(self.decode.units) - 1.0))
        })
    }

    /// Whether the prefill side would stay well with a unit less.
    pub(super) fn prefill_can_spare_one(&self) -> bool {
        let well = self.prefill.queue < self.prefill.units;
        self.prefill.without_one().is_some_and(|more| well && self.prefill.busy * more < SATURATED)
    }
}
