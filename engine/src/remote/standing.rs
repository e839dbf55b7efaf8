//! What a state says of a shift. Pure.

use crate::cluster::{ShiftId, UnitState};
use crate::drive::wall::Observation;
use crate::units::Split;

/// What has become of a shift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It waits or is under way.
    Pending,
    /// Every unit serves in its split.
    Converged,
    /// It is over, and the units are not in its split.
    Superseded {
        /// What is so instead.
        why: String,
    },
}

/// Whether every unit that is left serves, and the split is `to`.
pub fn is_serving(now: &Observation, to: Split) -> bool {
    let settled = |state| matches!(state, UnitState::Serving | UnitState::Failed);
    now.split == to && now.units.iter().all(|unit| settled(unit.figures.state))
}

impl Standing {
    /// Of the shift `id` to `to`, by a state that was looked at after it had been accepted.
    pub fn of(id: ShiftId, to: Split, now: &Observation) -> Self {
        let mut pending = now.shift.iter().chain(&now.waiting_shifts);
        if pending.clone().any(|shift| shift.id == id) {
            return Self::Pending;
        }
        if is_serving(now, to) {
            return Self::Converged;
        }
        let why = match pending.next() {
            Some(other) => format!("another shift to {} is under way", other.to),
            None => format!("the split is {} now", now.split),
        };
        Self::Superseded { why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{How, UnitFigures};
    use crate::drive::wall::{PendingShift, UnitObservation};
    use crate::units::{Nanos, Role, UnitId};

    const TO: Split = Split { prefill: 1, decode: 1, aggregated: 0 };

    fn state(units: &[(Role, UnitState)], pending: &[u64]) -> Observation {
        let unit = |(index, &(role, state)): (usize, &(Role, UnitState))| UnitObservation {
            unit: UnitId(index as u16),
            figures: UnitFigures {
                role,
                state,
                since: Nanos::ZERO,
                queue: 0,
                running: 0,
                handing_off: 0,
                incoming: 0,
                blocks: 1,
                held: 0,
                cached: 0,
            },
            busy: Nanos::ZERO,
            input_tokens: 0,
            output_tokens: 0,
            imports: 0,
            imported_blocks: 0,
            import_time: Nanos::ZERO,
        };
        let mut pending = pending.iter().map(|&id| PendingShift { id: ShiftId(id), to: TO, how: How::Drain });
        Observation {
            at: Nanos(1),
            split: Split::of(units.iter().filter(|(_, state)| *state != UnitState::Failed).map(|(role, _)| *role)),
            units: units.iter().enumerate().map(unit).collect(),
            in_flight: 0,
            shift: pending.next(),
            waiting_shifts: pending.collect(),
            generation: 1,
            block_tokens: 16,
            prefix_queried: 0,
            prefix_hit: 0,
            stalled: 0,
        }
    }

    #[test]
    fn only_a_state_in_which_all_units_serve_the_split_is_success() {
        use Role::{Decode, Prefill};
        use UnitState::{Failed, Serving, Warming};
        let of = |units: &[_], pending: &[_]| Standing::of(ShiftId(7), TO, &state(units, pending));
        let there = [(Prefill, Serving), (Decode, Serving)];
        assert_eq!(of(&there, &[]), Standing::Converged);
        // One that is lost has no role any more.
        assert_eq!(of(&[there[0], there[1], (Decode, Failed)], &[]), Standing::Converged);
        // While it waits or is under way, nothing is over, whatever the split is.
        assert_eq!(of(&there, &[7]), Standing::Pending);
        assert_eq!(of(&there, &[3, 7]), Standing::Pending);
        for (units, pending, told) in [
            ([(Prefill, Serving), (Decode, Warming)], &[8][..], "another shift to 1P1D is under way"),
            ([(Prefill, Serving), (Prefill, Serving)], &[], "the split is 2P0D now"),
        ] {
            assert_eq!(of(&units, pending), Standing::Superseded { why: told.to_owned() });
        }
    }
}
