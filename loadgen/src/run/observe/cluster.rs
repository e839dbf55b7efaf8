//! The cluster as the observing thread sees it: observed once a second, corrected by every event in between.

use std::sync::Arc;

use engine::cluster::{How, ShiftReport, UnitState};
use engine::units::{Role, Split, UnitId};

use super::Observer;
use crate::live::{MarkKind, UnitView};
use crate::recording::{Record, UnitRecord};
use crate::target::TargetEvent;
use crate::time::Micros;

/// What is known of the cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) split: Split,
    pub(super) units: Arc<Vec<UnitView>>,
}

impl Cluster {
    pub(super) fn new(split: Split) -> Self {
        Self { split, units: Arc::default() }
    }

    /// Takes fresh figures. Roles and states come from events once they are known: an observation can run ahead of events
    /// that are still queued, and a unit would seem to go back in time.
    fn observed(&mut self, split: Split, mut units: Vec<UnitView>) {
        if self.units.is_empty() {
            self.split = split;
        }
        for known in self.units.iter() {
            let Some(unit) = units.iter_mut().find(|unit| unit.unit == known.unit) else { continue };
            let counts_down =
                matches!((known.state, unit.state), (UnitState::Draining { .. }, UnitState::Draining { .. }));
            unit.role = known.role;
            if !counts_down {
                unit.state = known.state;
            }
        }
        self.units = Arc::new(units);
    }

    /// A unit told of a change; its figures stay as last observed.
    fn correct(&mut self, id: UnitId, role: Role, state: UnitState) -> Option<UnitView> {
        let units = Arc::make_mut(&mut self.units);
        let unit = units.iter_mut().find(|unit| unit.unit == id)?;
        if std::mem::discriminant(&unit.state) != std::mem::discriminant(&state) {
            unit.in_state = Micros::ZERO;
        }
        unit.role = role;
        unit.state = state;
        let view = *unit;
        self.split = Split::of(units.iter().filter(|unit| unit.state != UnitState::Failed).map(|unit| unit.role));
        Some(view)
    }
}

impl Observer {
    /// Looks at the cluster and records what is seen.
    pub(super) fn observe(&mut self, now: Micros) {
        let Some(control) = &self.parts.control else { return };
        let view = control.observe();
        self.cluster.observed(view.split, view.units);
        self.shifting.observed(view.waiting_shifts);
        for unit in self.cluster.units.clone().iter() {
            self.record(&Record::Unit(UnitRecord::new(now, unit)));
        }
    }

    pub(super) fn ask_for_shift(&mut self, at: Micros, to: Split, how: How) {
        let Some(control) = &self.parts.control else {
            self.log.push(at, None, "", "shift: not offered by this target".to_owned());
            return;
        };
        match control.shift(to, how) {
            Ok(()) => self.shifting.asked(),
            Err(why) => {
                let text = format!("shift to {to} refused: {why}");
                self.log.push(at, None, "", text.clone());
                self.shifting.failed(text);
            }
        }
    }

    pub(super) fn cluster_event(&mut self, event: TargetEvent) {
        match event {
            TargetEvent::Unit { at, unit, role, state, held } => self.unit_changed(at, unit, role, state, held),
            TargetEvent::ShiftStarted { at, to, how } => {
                let failed = self.aggregator.counts().failed;
                let record = self.shifting.started(at, self.cluster.split, to, how, failed);
                let text = format!("{} → {to} by {how} began", record.from);
                self.log.push(at, Some(MarkKind::Shift), &format!("→{to}"), text);
                self.record(&Record::Shift(record));
            }
            TargetEvent::ShiftEnded { at, report } => self.shift_ended(at, &report),
            TargetEvent::ShiftDropped { at, to, how, why } => {
                let text = format!("shift to {to} by {how} did not start: {why}");
                self.log.push(at, None, "", text.clone());
                self.shifting.dropped(text);
            }
            TargetEvent::UnitLost { at, unit, why } => {
                let text = format!("{unit} was lost: {why}");
                self.log.push(at, Some(MarkKind::Failure), &format!("{unit} lost"), text.clone());
                self.lost_units.push(text);
            }
            // Requests are dealt with by the caller.
            TargetEvent::Sent { .. }
            | TargetEvent::Token { .. }
            | TargetEvent::Counted { .. }
            | TargetEvent::Ended { .. } => {}
        }
    }

    fn unit_changed(&mut self, at: Micros, unit: UnitId, role: Role, state: UnitState, held: u32) {
        let text = match state {
            UnitState::Draining { .. } => format!("{unit} ({role}) drains, {held} in flight"),
            UnitState::Serving => format!("{unit} serves as {role}"),
            UnitState::Switching | UnitState::Warming | UnitState::Failed => String::new(),
        };
        let known = self.cluster.units.iter().find(|known| known.unit == unit).map(|known| known.state);
        let counts_down = matches!((known, state), (Some(UnitState::Draining { .. }), UnitState::Draining { .. }));
        if !text.is_empty() && !counts_down {
            self.log.push(at, None, "", text);
        }
        if let Some(view) = self.cluster.correct(unit, role, state) {
            self.record(&Record::Unit(UnitRecord::new(at, &view)));
        }
    }

    fn shift_ended(&mut self, at: Micros, report: &ShiftReport) {
        let record = self.shifting.ended(at, report, self.aggregator.counts().failed);
        let lost = match record.ended.as_ref().map_or(0, |ended| ended.lost) {
            0 => "nothing lost".to_owned(),
            lost => format!("{lost} lost"),
        };
        let ShiftReport { from, to, how, in_flight, .. } = report;
        let (label, text) = match &report.abandoned {
            None => (
                format!("{to} ok"),
                format!("{from} → {to} by {how}: drained {in_flight} in {:.1} s, {lost}", report.drain.as_secs_f64()),
            ),
            Some(why) => (format!("{to} failed"), format!("{from} → {to} by {how} was abandoned: {why}")),
        };
        self.log.push(at, Some(MarkKind::Shift), &label, text);
        self.record(&Record::Shift(record));
    }
}
