//! What observers may read.

use super::Cluster;
use super::event::UnitState;
use super::sequence::Place;
use super::unit::{Phase, Unit};
use crate::units::{Nanos, Role, Split, UnitId};

/// A unit at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnitFigures {
    /// Its role; while it changes, the old one until it serves the new one.
    pub role: Role,
    /// Its state.
    pub state: UnitState,
    /// When it came into that state.
    pub since: Nanos,
    /// Requests and preempted sequences in its queue.
    pub queue: u32,
    /// Sequences in its batch.
    pub running: u32,
    /// Sequences whose KV waits here for a hand-off or is being copied from here.
    pub handing_off: u32,
    /// Sequences whose KV is being copied to here.
    pub incoming: u32,
    /// All its KV blocks.
    pub blocks: u32,
    /// Blocks that sequences hold.
    pub held: u32,
    /// Blocks that only the prefix cache keeps.
    pub cached: u32,
}

impl UnitFigures {
    const NOTHING: Self = Self {
        role: Role::Aggregated,
        state: UnitState::Failed,
        since: Nanos::ZERO,
        queue: 0,
        running: 0,
        handing_off: 0,
        incoming: 0,
        blocks: 0,
        held: 0,
        cached: 0,
    };
}

impl Cluster {
    /// The figures of a unit. One that there never was is shown as failed, without any block.
    pub fn unit_figures(&self, unit: UnitId) -> UnitFigures {
        let Some(unit) = self.units.get(unit.index()) else { return UnitFigures::NOTHING };
        UnitFigures {
            role: unit.role,
            state: unit.state(self.left(unit)),
            since: unit.since,
            queue: unit.waiting.len() as u32,
            running: unit.running.len() as u32,
            handing_off: unit.handing_off,
            incoming: unit.incoming,
            blocks: unit.pool.total(),
            held: unit.pool.held(),
            cached: unit.pool.cached(),
        }
    }

    /// The role of a unit; while it changes, the old one until it serves the new one.
    pub fn role(&self, unit: UnitId) -> Role {
        self.units.get(unit.index()).map_or(UnitFigures::NOTHING.role, |unit| unit.role)
    }

    /// Whether what a unit prefills goes on there: one on its way to a role that does not decode hands it off.
    pub fn can_decode(&self, unit: UnitId) -> bool {
        self.units.get(unit.index()).is_some_and(Unit::can_decode)
    }

    /// The role that a unit is changing to, or has.
    pub fn target(&self, unit: UnitId) -> Role {
        self.units.get(unit.index()).map_or(UnitFigures::NOTHING.role, Unit::role_to_be)
    }

    /// The roles of the units that have not failed.
    pub fn split(&self) -> Split {
        Split::of(self.units.iter().filter(|unit| unit.phase != Phase::Failed).map(|unit| unit.role))
    }

    /// How many units that have not failed have a role.
    pub fn units_with(&self, role: Role) -> u16 {
        self.units.iter().filter(|unit| unit.phase != Phase::Failed && unit.role == role).count() as u16
    }

    /// How many units there are, failed ones included.
    pub fn units(&self) -> u16 {
        self.units.len() as u16
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.sequences.len()
    }

    /// Prompt tokens looked up in prefix caches at first admissions, and how many of them were there.
    pub fn prefix_totals(&self) -> (u64, u64) {
        (self.prefix_queried, self.prefix_hit)
    }

    /// Sequences that have to leave `unit` before it can serve its target role: all, unless the two roles have something in
    /// common that they need, and it goes from one to the other in place.
    pub(super) fn left(&self, unit: &Unit) -> u32 {
        let in_batch = |place| unit.running.iter().filter(|&&slot| self.sequences[slot].place == place).count() as u32;
        match (unit.can_prefill(), unit.can_decode()) {
            _ if !unit.restarts() && unit.role_to_be() == Role::Aggregated && unit.target.is_some() => 0,
            (true, _) => in_batch(Place::Decoding) + unit.incoming,
            (_, true) => unit.waiting.len() as u32 + in_batch(Place::Prompt),
            _ => unit.held(),
        }
    }
}
