//! What the units cost: GPU time in every role and state, whatever they do in it.

use crate::cluster::UnitState;
use crate::units::{Nanos, Role, Split, UnitId};

const ROLES: [Role; 3] = [Role::Prefill, Role::Decode, Role::Aggregated];

/// A unit's state without its counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Charged {
    /// Serving its role.
    Serving,
    /// Getting rid of what it holds.
    Draining,
    /// Changing its role.
    Switching,
    /// Warming up.
    Warming,
    /// Lost; it is paid for all the same.
    Failed,
}

impl Charged {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Serving, Self::Draining, Self::Switching, Self::Warming, Self::Failed];
}

impl From<UnitState> for Charged {
    fn from(state: UnitState) -> Self {
        match state {
            UnitState::Serving => Self::Serving,
            UnitState::Draining { .. } => Self::Draining,
            UnitState::Switching => Self::Switching,
            UnitState::Warming => Self::Warming,
            UnitState::Failed => Self::Failed,
        }
    }
}

/// Time of units by role and state. A unit on its way has its old role until it serves the new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    stays: Vec<(Nanos, Role, Charged)>,
    /// Nanoseconds of all units, by role and state, up to the beginning of the present stay.
    spent: [[u64; Charged::ALL.len()]; ROLES.len()],
}

impl Ledger {
    /// Units that have been serving their roles since time began.
    pub fn new(split: Split) -> Self {
        let stays = split.roles().map(|role| (Nanos::ZERO, role, Charged::Serving)).collect();
        Self { stays, spent: Default::default() }
    }

    /// A unit has another role or state from now on.
    pub fn record(&mut self, now: Nanos, unit: UnitId, role: Role, state: Charged) {
        let Some(stay) = self.stays.get_mut(unit.index()) else { return };
        let (since, old_role, old_state) = std::mem::replace(stay, (now, role, state));
        self.spent[row(old_role)][old_state as usize] += now.since(since).0;
    }

    /// Unit-nanoseconds in `role` and `state` up to `now`. For GPU-seconds multiply by the GPUs of a unit.
    pub fn unit_nanos(&self, now: Nanos, role: Role, state: Charged) -> u64 {
        let here = self.stays.iter().filter(|(_, its, state_now)| (*its, *state_now) == (role, state));
        self.spent[row(role)][state as usize] + here.map(|(since, ..)| now.since(*since).0).sum::<u64>()
    }

    /// Unit-nanoseconds in any role and state up to `now`: the number of units times `now`.
    pub fn total(&self, now: Nanos) -> u64 {
        ROLES.iter().flat_map(|&role| Charged::ALL.map(|state| self.unit_nanos(now, role, state))).sum()
    }
}

fn row(role: Role) -> usize {
    match role {
        Role::Prefill => 0,
        Role::Decode => 1,
        Role::Aggregated => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_nanosecond_of_every_unit_stands_somewhere() {
        let mut ledger = Ledger::new("2P1D".parse().expect("a split"));
        let unit = UnitId(1);
        ledger.record(Nanos(10), unit, Role::Prefill, Charged::Draining);
        ledger.record(Nanos(25), unit, Role::Prefill, Charged::Switching);
        ledger.record(Nanos(45), unit, Role::Decode, Charged::Serving);
        let now = Nanos(100);
        assert_eq!(ledger.unit_nanos(now, Role::Prefill, Charged::Serving), 110);
        assert_eq!(ledger.unit_nanos(now, Role::Prefill, Charged::Draining), 15);
        assert_eq!(ledger.unit_nanos(now, Role::Prefill, Charged::Switching), 20);
        assert_eq!(ledger.unit_nanos(now, Role::Decode, Charged::Serving), 155);
        assert_eq!(ledger.total(now), 300);
    }
}
