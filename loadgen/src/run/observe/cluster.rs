//! The cluster as the observing thread sees it: observed once a second, corrected by every event in between.

use engine::cluster::{How, UnitState};
use engine::units::{Role, Split, UnitId};

use super::Observer;
use crate::live::{MarkKind, UnitView};
use crate::recording::{Record, UnitRecord, WaitingRecord, WaitingShift};
use crate::target::TargetEvent;
use crate::time::Micros;

impl Observer {
    /// Looks at the cluster and records what is seen.
    pub(super) fn observe(&mut self, now: Micros) {
        let Some(control) = &self.parts.control else { return };
        let view = control.observe();
        for unit in view.units {
            let unit = self.corrected(unit);
            self.record(&Record::Unit(UnitRecord::new(now, &unit)));
        }
        if self.fold.waiting() != view.waiting_shifts {
            let shifts = view.waiting_shifts.into_iter().map(|(to, how)| WaitingShift { to, how }).collect();
            self.record(&Record::Waiting(WaitingRecord { at: now, shifts }));
        }
    }

    fn known(&self, unit: UnitId) -> Option<&UnitView> {
        self.fold.units().iter().find(|known| known.unit == unit)
    }

    /// Fresh figures with the role and the state that events told: an observation can run ahead of events that are still
    /// queued, and a unit would seem to go back in time.
    fn corrected(&self, mut unit: UnitView) -> UnitView {
        let Some(known) = self.known(unit.unit) else { return unit };
        let counts_down = matches!((known.state, unit.state), (UnitState::Draining { .. }, UnitState::Draining { .. }));
        unit.role = known.role;
        if !counts_down {
            unit.state = known.state;
        }
        unit
    }

    pub(super) fn ask_for_shift(&mut self, at: Micros, to: Split, how: How) {
        let Some(control) = &self.parts.control else {
            return self.say(at, None, "", "shift: not offered by this target".to_owned());
        };
        match control.shift(to, how) {
            Ok(()) => self.shifting.asked(to),
            Err(why) => {
                let text = self.refused(at, to, &why);
                self.shifting.failed(text);
            }
        }
    }

    fn refused(&mut self, at: Micros, to: Split, why: &str) -> String {
        let text = format!("shift to {to} refused: {why}");
        self.say(at, None, "", text.clone());
        text
    }

    pub(super) fn cluster_event(&mut self, event: TargetEvent) {
        match event {
            TargetEvent::Unit { at, unit, role, state, held: _ } => self.unit_changed(at, unit, role, state),
            TargetEvent::ShiftAccepted { at: _, id, to, how: _ } => self.shifting.accepted(id, to),
            TargetEvent::ShiftRefused { at, to, how: _, why } => {
                let text = self.refused(at, to, &why);
                self.shifting.refused(text);
            }
            TargetEvent::ShiftStarted { at, id, to, how } => {
                let (from, failed) = (self.fold.split(), self.fold.counts().failed);
                let record = self.shifting.started((at, id), from, (to, how), failed);
                self.record(&Record::Shift(record));
            }
            TargetEvent::ShiftEnded { at, report } => {
                let record = self.shifting.ended(at, &report, self.fold.counts().failed);
                self.record(&Record::Shift(record));
            }
            TargetEvent::ShiftDropped { at, id, to, how, why } => {
                let text = format!("shift to {to} by {how} did not start: {why}");
                self.say(at, None, "", text.clone());
                self.shifting.dropped(id, text);
            }
            TargetEvent::UnitLost { at, unit, why } => {
                let text = format!("{unit} was lost: {why}");
                self.say(at, Some(MarkKind::Failure), &format!("{unit} lost"), text.clone());
                self.lost_units.push(text);
            }
            TargetEvent::Remark { at, text } => self.say(at, None, "", text),
            // Requests are dealt with by the caller.
            TargetEvent::Sent { .. }
            | TargetEvent::Token { .. }
            | TargetEvent::Said { .. }
            | TargetEvent::Counted { .. }
            | TargetEvent::Ended { .. } => {}
        }
    }

    /// The figures of a unit stay as last observed.
    fn unit_changed(&mut self, at: Micros, unit: UnitId, role: Role, state: UnitState) {
        if let Some(known) = self.known(unit) {
            let changed = UnitView { role, state, ..*known };
            self.record(&Record::Unit(UnitRecord::new(at, &changed)));
        }
    }
}
