//! What units do and cost in a stretch of simulated time.

use engine::drive::virtual_time::{Samples, VirtualDriver};
use engine::executor::sim::{Ticks, Timing};
use engine::units::{Nanos, Role, UnitId};
use serde::Serialize;

/// A simulation in its time.
pub(super) type Driver<T> = VirtualDriver<T, Samples>;

/// The share of their time that units compute, by role; `None` without such units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Busy {
    /// Of those that prefill.
    pub prefill: Option<f64>,
    /// Of those that decode.
    pub decode: Option<f64>,
    /// Of those that do both.
    pub aggregated: Option<f64>,
}

/// The share of their time from which on units have no more to give.
const FULL: f64 = 0.9;

impl Busy {
    /// Whether units that prefill could do more. Where ever more prompts wait all the same, it is units that decode that keep them
    /// from it: what was computed stays where it was until there is room.
    pub(super) fn is_blocked(self) -> bool {
        self.prefill.is_some_and(|prefill| prefill < FULL)
    }
}

/// A reading of what units have done and cost so far.
#[derive(Debug)]
pub(super) struct Reading {
    at: Nanos,
    /// By unit.
    busy: Vec<(Role, u128)>,
    /// Time of units that is paid for, whatever they do in it.
    paid: u64,
}

/// What happened between two readings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) busy: Busy,
    /// Seconds of units.
    pub(super) unit_seconds: f64,
}

impl Reading {
    /// Goes on up to `at`, if the simulation is not there yet, and reads.
    pub(super) fn at(driver: &mut Driver<impl Timing>, at: Nanos) -> Self {
        while driver.step_by(at).is_some() {}
        Self::now(driver, at)
    }

    /// Goes on to the end and reads.
    pub(super) fn at_end(driver: &mut Driver<impl Timing>) -> Self {
        driver.run();
        let now = driver.now();
        Self::now(driver, now)
    }

    fn now(driver: &Driver<impl Timing>, at: Nanos) -> Self {
        let units = (0..driver.cluster().units()).map(UnitId);
        let busy = units.map(|unit| (driver.cluster().role(unit), driver.busy(unit))).collect();
        Self { at, busy, paid: driver.ledger().total(at) }
    }

    /// What happened since `before`.
    pub(super) fn since(&self, before: &Self) -> Usage {
        let length = self.at.since(before.at).0 as f64;
        let share = |role: Role| {
            let (mut units, mut ticks) = (0.0, 0);
            for ((now, busy), (_, then)) in self.busy.iter().zip(&before.busy) {
                if *now == role {
                    (units, ticks) = (units + 1.0, ticks + (busy - then));
                }
            }
            // A step that is under way counts when it ends.
            (units > 0.0 && length > 0.0).then(|| (ticks as f64 / Ticks::PER_NANO as f64 / (units * length)).min(1.0))
        };
        let [prefill, decode, aggregated] = [Role::Prefill, Role::Decode, Role::Aggregated].map(share);
        Usage { busy: Busy { prefill, decode, aggregated }, unit_seconds: Nanos(self.paid - before.paid).as_secs_f64() }
    }
}
