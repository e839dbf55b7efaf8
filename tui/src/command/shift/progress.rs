//! What is said while a shift is waited for: a line for every change, and none twice.

use std::collections::BTreeMap;

use engine::cluster::{Notice, UnitState};
use engine::drive::wall::{EngineEvent, Observation};
use engine::units::{Role, UnitId};

use crate::command::tell;

/// What was last said of every unit.
#[derive(Debug, Default)]
pub(super) struct Progress {
    units: BTreeMap<UnitId, (Role, UnitState)>,
}

impl Progress {
    /// Whether some unit drains, whose rest changes without a word.
    pub(super) fn is_draining(&self) -> bool {
        self.units.values().any(|(_, state)| matches!(state, UnitState::Draining { .. }))
    }

    pub(super) fn event(&mut self, event: &EngineEvent) {
        match event {
            EngineEvent::Notice { notice: Notice::Unit { unit, role, state, .. }, .. } => {
                self.unit(*unit, *role, *state);
            }
            EngineEvent::Notice { notice: Notice::ShiftStarted { id, to, .. }, .. } => {
                tell(&format!("shift {} to {to}: under way", id.0));
            }
            EngineEvent::Notice { notice: Notice::ShiftEnded(report), .. } => {
                let how = report.abandoned.as_ref().map_or("ended".to_owned(), |why| format!("given up: {why}"));
                tell(&format!("shift {} to {}: {how}", report.id.0, report.to));
            }
            EngineEvent::ShiftDropped { id, to, why, .. } => tell(&format!("shift {} to {to}: dropped: {why}", id.0)),
            EngineEvent::UnitLost { unit, why, .. } => tell(&format!("{unit}: lost: {why}")),
            _ => {}
        }
    }

    /// A whole state: units that serve are no news, unless they were on their way.
    pub(super) fn state(&mut self, now: &Observation) {
        for unit in &now.units {
            let (role, state) = (unit.figures.role, unit.figures.state);
            if state != UnitState::Serving || self.units.contains_key(&unit.unit) {
                self.unit(unit.unit, role, state);
            }
        }
    }

    fn unit(&mut self, unit: UnitId, role: Role, state: UnitState) {
        if self.units.insert(unit, (role, state)) == Some((role, state)) {
            return;
        }
        tell(&match state {
            UnitState::Serving => format!("{unit}: serving as {role}"),
            UnitState::Draining { left: 1 } => format!("{unit}: draining {role}, 1 sequence left"),
            UnitState::Draining { left } => format!("{unit}: draining {role}, {left} sequences left"),
            UnitState::Switching => format!("{unit}: switching"),
            UnitState::Warming => format!("{unit}: warming up"),
            UnitState::Failed => format!("{unit}: lost"),
        });
    }
}
