//! What happened while nobody watched, told from the state that is found. Pure.

use std::collections::BTreeMap;
use std::mem::discriminant;

use engine::cluster::{How, Notice, ShiftId, ShiftReport, UnitState};
use engine::drive::wall::{EngineEvent, Observation};
use engine::remote::Standing;
use engine::units::{Nanos, Role, Split, UnitId};

/// What was told so far.
#[derive(Debug)]
pub(super) struct Known {
    split: Split,
    units: BTreeMap<UnitId, (Role, UnitState)>,
    /// Shifts that were asked for here or have begun, and have not ended.
    shifts: BTreeMap<ShiftId, Shift>,
}

#[derive(Clone, Copy, Debug)]
struct Shift {
    to: Split,
    how: How,
    /// When it began, and from where.
    begun: Option<(Nanos, Split)>,
}

impl Known {
    pub(super) fn new(first: &Observation) -> Self {
        let units = first.units.iter().map(|unit| (unit.unit, (unit.figures.role, unit.figures.state)));
        Self { split: first.split, units: units.collect(), shifts: BTreeMap::new() }
    }

    /// A shift was accepted. Its first event may have come before this answer.
    pub(super) fn asked(&mut self, id: ShiftId, to: Split, how: How) {
        self.shifts.entry(id).or_insert(Shift { to, how, begun: None });
    }

    /// An event was told.
    pub(super) fn told(&mut self, event: &EngineEvent) {
        match event {
            EngineEvent::Notice { notice: Notice::Unit { unit, role, state, .. }, .. } => {
                self.units.insert(*unit, (*role, *state));
                let alive = self.units.values().filter(|(_, state)| *state != UnitState::Failed);
                self.split = Split::of(alive.map(|(role, _)| *role));
            }
            EngineEvent::Notice { at, notice: Notice::ShiftStarted { id, to, how } } => {
                self.shifts.insert(*id, Shift { to: *to, how: *how, begun: Some((*at, self.split)) });
            }
            EngineEvent::Notice { notice: Notice::ShiftEnded(report), .. } => _ = self.shifts.remove(&report.id),
            EngineEvent::ShiftDropped { id, .. } => _ = self.shifts.remove(id),
            _ => {}
        }
    }

    /// The end of everything that is open, in an engine that will not tell it any more.
    pub(super) fn lost(&mut self, at: Nanos, why: &str) -> Vec<EngineEvent> {
        let why = format!("its end was not seen; {why}");
        let events = self.shifts.iter().map(|(&id, &shift)| self.over(at, id, shift, Some(why.clone()))).collect();
        self.shifts.clear();
        events
    }

    /// The end of a shift that nobody has seen: it drained for as long as it took altogether, at most.
    fn over(&self, at: Nanos, id: ShiftId, shift: Shift, abandoned: Option<String>) -> EngineEvent {
        let Shift { to, how, begun } = shift;
        let (accepted, from) = match (begun, &abandoned) {
            (None, Some(why)) => return EngineEvent::ShiftDropped { at, id, to, how, why: why.clone() },
            (None, None) => (at, self.split),
            (Some(begun), _) => begun,
        };
        let total = at.since(accepted);
        let report = ShiftReport { id, from, to, how, accepted, drain: total, total, in_flight: 0, abandoned };
        EngineEvent::Notice { at, notice: Notice::ShiftEnded(report) }
    }

    /// The events that lead from what was told to `now`; they count as told.
    pub(super) fn missed(&mut self, now: &Observation) -> Vec<EngineEvent> {
        let mut events = Vec::new();
        let at = now.at;
        for unit in &now.units {
            let (id, role, state) = (unit.unit, unit.figures.role, unit.figures.state);
            let same = |known: &(Role, UnitState)| known.0 == role && discriminant(&known.1) == discriminant(&state);
            if !self.units.get(&id).is_some_and(same) {
                let held = unit.figures.queue + unit.figures.running + unit.figures.handing_off;
                events.push(EngineEvent::Notice { at, notice: Notice::Unit { unit: id, role, state, held } });
            }
        }
        for (&id, shift) in &self.shifts {
            events.extend(match Standing::of(id, shift.to, now) {
                Standing::Pending => None,
                Standing::Converged => Some(self.over(at, id, *shift, None)),
                Standing::Superseded { why } => {
                    Some(self.over(at, id, *shift, Some(format!("its end was not seen; {why}"))))
                }
            });
        }
        if let Some(shift) =
            now.shift.filter(|shift| self.shifts.get(&shift.id).is_none_or(|known| known.begun.is_none()))
        {
            let notice = Notice::ShiftStarted { id: shift.id, to: shift.to, how: shift.how };
            events.push(EngineEvent::Notice { at, notice });
        }
        for event in &events {
            self.told(event);
        }
        self.split = now.split;
        events
    }
}

#[cfg(test)]
mod tests {
    use engine::cluster::UnitFigures;
    use engine::drive::wall::{PendingShift, UnitObservation};

    use super::*;

    fn state(at: u64, units: &[(Role, UnitState)], pending: &[(u64, &str)]) -> Observation {
        let figures = |role, state| UnitFigures {
            role,
            state,
            since: Nanos::ZERO,
            queue: 1,
            running: 2,
            handing_off: 3,
            incoming: 0,
            blocks: 1,
            held: 0,
            cached: 0,
        };
        let unit = |(index, &(role, state)): (usize, &(Role, UnitState))| UnitObservation {
            unit: UnitId(index as u16),
            figures: figures(role, state),
            busy: Nanos::ZERO,
            input_tokens: 0,
            output_tokens: 0,
            imports: 0,
            imported_blocks: 0,
            import_time: Nanos::ZERO,
        };
        let pending = pending.iter().map(|&(id, to)| PendingShift { id: ShiftId(id), to: split(to), how: How::Drain });
        let mut pending = pending.collect::<Vec<_>>().into_iter();
        Observation {
            at: Nanos(at),
            split: Split::of(units.iter().map(|(role, _)| *role)),
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

    fn split(text: &str) -> Split {
        text.parse().expect("a split")
    }

    const SERVING: [(Role, UnitState); 2] = [(Role::Prefill, UnitState::Serving), (Role::Decode, UnitState::Serving)];

    #[test]
    fn where_nothing_was_missed_nothing_is_told() {
        let mut known = Known::new(&state(1, &SERVING, &[]));
        assert_eq!(known.missed(&state(5, &SERVING, &[])), []);
        known.asked(ShiftId(4), split("2A"), How::Drain);
        let started = Notice::ShiftStarted { id: ShiftId(4), to: split("2A"), how: How::Drain };
        known.told(&EngineEvent::Notice { at: Nanos(6), notice: started });
        assert_eq!(known.missed(&state(7, &SERVING, &[(4, "2A")])), [], "it is under way");
    }

    #[test]
    fn units_that_moved_and_shifts_that_began_are_told() {
        let mut known = Known::new(&state(1, &SERVING, &[]));
        let moved = [(Role::Prefill, UnitState::Draining { left: 3 }), SERVING[1]];
        let events = known.missed(&state(9, &moved, &[(2, "2A"), (3, "1P1D")]));
        let (unit, role, state_now) = (UnitId(0), moved[0].0, moved[0].1);
        let expected = [
            Notice::Unit { unit, role, state: state_now, held: 6 },
            Notice::ShiftStarted { id: ShiftId(2), to: split("2A"), how: How::Drain },
        ];
        assert_eq!(events, expected.map(|notice| EngineEvent::Notice { at: Nanos(9), notice }));
        assert_eq!(known.missed(&state(10, &moved, &[(2, "2A"), (3, "1P1D")])), [], "told once");
    }

    #[test]
    fn a_shift_that_is_over_and_not_there_is_told_as_failed_with_what_is_so() {
        let mut known = Known::new(&state(1, &SERVING, &[]));
        for id in [4, 5] {
            known.asked(ShiftId(id), split("2A"), How::Migrate);
        }
        let started = Notice::ShiftStarted { id: ShiftId(4), to: split("2A"), how: How::Migrate };
        known.told(&EngineEvent::Notice { at: Nanos(6), notice: started });
        let events = known.missed(&state(16, &SERVING, &[]));
        let [EngineEvent::Notice { notice: Notice::ShiftEnded(report), .. }, EngineEvent::ShiftDropped { id, why, .. }] =
            &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!(
            (report.id, report.from, report.to, report.total),
            (ShiftId(4), split("1P1D"), split("2A"), Nanos(10))
        );
        assert!(report.abandoned.as_ref().is_some_and(|why| why.contains("1P1D now")), "{report:?}");
        assert!(*id == ShiftId(5) && why.contains("not seen"));
        assert_eq!(known.missed(&state(17, &SERVING, &[])), []);
    }

    /// As `pdtune shift` has it.
    #[test]
    fn a_shift_that_has_converged_out_of_sight_is_no_failure() {
        let mut known = Known::new(&state(1, &[SERVING[0], SERVING[0]], &[]));
        for id in [4, 5] {
            known.asked(ShiftId(id), split("1P1D"), How::Drain);
        }
        let started = Notice::ShiftStarted { id: ShiftId(4), to: split("1P1D"), how: How::Drain };
        known.told(&EngineEvent::Notice { at: Nanos(6), notice: started });
        let mut ended = Vec::new();
        for event in known.missed(&state(16, &SERVING, &[])) {
            if let EngineEvent::Notice { notice: Notice::ShiftEnded(report), .. } = event {
                ended.push((report.id.0, report.total.0, report.abandoned));
            }
        }
        assert_eq!(ended, [(4, 10, None), (5, 0, None)]);
    }

    #[test]
    fn what_an_engine_that_has_gone_will_not_tell_is_told_as_failed() {
        let mut known = Known::new(&state(1, &SERVING, &[]));
        known.asked(ShiftId(0), split("2A"), How::Drain);
        let started = Notice::ShiftStarted { id: ShiftId(0), to: split("2A"), how: How::Drain };
        known.told(&EngineEvent::Notice { at: Nanos(6), notice: started });
        known.asked(ShiftId(1), split("2A"), How::Drain);
        let events = known.lost(Nanos(8), "it has gone");
        let [EngineEvent::Notice { notice: Notice::ShiftEnded(report), .. }, EngineEvent::ShiftDropped { why, .. }] =
            &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!((report.total, report.abandoned.as_deref()), (Nanos(2), Some("its end was not seen; it has gone")));
        assert_eq!(why, "its end was not seen; it has gone");
        assert_eq!(known.lost(Nanos(9), ""), []);
    }
}
