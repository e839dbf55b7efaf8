//! Shifts wait for each other: one asked for while another runs starts when that one has ended.

use std::collections::VecDeque;

use super::event::EngineEvent;
use super::shared::State;
use crate::cluster::{Cluster, How, Outbox, ShiftId, ShiftRefused};
use crate::units::{Nanos, Split};

/// Shifts that may wait for the one under way; one more is refused.
pub(super) const WAITING_LIMIT: usize = 64;

/// Why a shift was not taken. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShiftError {
    /// The cluster refuses it.
    #[error(transparent)]
    Refused(#[from] ShiftRefused),
    /// The units of this engine are threads of one process.
    #[error("the units of this engine are threads of one process: they drain or migrate, and cannot restart")]
    NoProcess,
    /// As many shifts as allowed wait for the one under way.
    #[error("{WAITING_LIMIT} shifts wait already")]
    QueueFull,
    /// Something has moved since the caller looked.
    #[error("the topology has changed: generation {expected} was expected, it is {live} now")]
    Moved {
        /// The generation that the caller knows.
        expected: u64,
        /// The generation as it is.
        live: u64,
    },
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Closed,
}

/// A shift that was accepted and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingShift {
    /// Its number, given when it was accepted; events about it carry it.
    pub id: ShiftId,
    /// Where it leads.
    pub to: Split,
    /// How.
    pub how: How,
}

/// The shifts that wait.
#[derive(Debug, Default)]
pub(in crate::drive) struct ShiftQueue {
    waiting: VecDeque<PendingShift>,
}

impl ShiftQueue {
    /// Starts a shift, or lets it wait for the one under way.
    pub(in crate::drive) fn ask(
        &mut self,
        cluster: &mut Cluster,
        now: Nanos,
        (to, how): (Split, How),
        out: &mut Outbox,
    ) -> Result<ShiftId, ShiftError> {
        to.check().map_err(ShiftRefused::from)?;
        match cluster.shift(now, to, how, out) {
            Ok(id) => Ok(id),
            Err(ShiftRefused::Busy { .. }) => {
                let live = cluster.split();
                if to.units() != live.units() {
                    return Err(ShiftRefused::WrongUnits { asked: to, live: live.units() }.into());
                }
                if self.waiting.len() == WAITING_LIMIT {
                    return Err(ShiftError::QueueFull);
                }
                let id = cluster.number_shift();
                self.waiting.push_back(PendingShift { id, to, how });
                Ok(id)
            }
            Err(refused) => Err(refused.into()),
        }
    }

    /// Starts the next waiting shift; one that has become impossible is reported and the one after it tried.
    pub(in crate::drive) fn start_next(
        &mut self,
        cluster: &mut Cluster,
        now: Nanos,
        out: &mut Outbox,
        events: &mut Vec<EngineEvent>,
    ) {
        while let Some(shift) = self.waiting.pop_front() {
            let PendingShift { id, to, how } = shift;
            match cluster.shift_numbered(now, id, to, how, out) {
                Ok(()) => return,
                Err(ShiftRefused::Busy { .. }) => {
                    self.waiting.push_front(shift);
                    return;
                }
                Err(refused) => {
                    events.push(EngineEvent::ShiftDropped { at: now, id, to, how, why: refused.to_string() });
                }
            }
        }
    }

    /// The shifts that wait, first come first.
    pub(in crate::drive) fn waiting(&self) -> Vec<PendingShift> {
        self.waiting.iter().copied().collect()
    }
}

/// Checks that nothing has moved since the caller looked, if that matters to it.
pub(in crate::drive) fn check_generation(live: u64, expected: Option<u64>) -> Result<(), ShiftError> {
    match expected {
        Some(expected) if expected != live => Err(ShiftError::Moved { expected, live }),
        _ => Ok(()),
    }
}

impl State {
    /// Starts a shift, or lets it wait for the one under way.
    pub(super) fn shift(
        &mut self,
        now: Nanos,
        to: Split,
        how: How,
        expected: Option<u64>,
    ) -> Result<ShiftId, ShiftError> {
        if self.closing {
            return Err(ShiftError::Closed);
        }
        if how == How::Restart {
            return Err(ShiftError::NoProcess);
        }
        check_generation(self.generation, expected)?;
        let id = self.shifts.ask(&mut self.cluster, now, (to, how), &mut self.outbox)?;
        self.generation += 1;
        Ok(id)
    }

    /// Starts the next waiting shift.
    pub(super) fn next_shift(&mut self, now: Nanos) {
        self.shifts.start_next(&mut self.cluster, now, &mut self.outbox, &mut self.events);
    }
}
