//! Shifts wait for each other: one asked for while another runs starts when that one has ended.

use std::collections::VecDeque;

use super::event::EngineEvent;
use super::shared::State;
use crate::cluster::{How, ShiftId, ShiftRefused};
use crate::units::{Nanos, Split};

/// Shifts that may wait for the one under way; one more is refused.
pub(super) const WAITING_LIMIT: usize = 64;

/// Why a shift was not taken. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShiftError {
    /// The cluster refuses it.
    #[error(transparent)]
    Refused(#[from] ShiftRefused),
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
pub(super) struct ShiftQueue {
    waiting: VecDeque<PendingShift>,
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
        if let Some(expected) = expected.filter(|expected| *expected != self.generation) {
            return Err(ShiftError::Moved { expected, live: self.generation });
        }
        to.check().map_err(ShiftRefused::from)?;
        let id = match self.cluster.shift(now, to, how, &mut self.outbox) {
            Ok(id) => id,
            Err(ShiftRefused::Busy { .. }) => {
                let live = self.cluster.split();
                if to.units() != live.units() {
                    return Err(ShiftRefused::WrongUnits { asked: to, live: live.units() }.into());
                }
                if self.shifts.waiting.len() == WAITING_LIMIT {
                    return Err(ShiftError::QueueFull);
                }
                let id = self.cluster.number_shift();
                self.shifts.waiting.push_back(PendingShift { id, to, how });
                id
            }
            Err(refused) => return Err(refused.into()),
        };
        self.generation += 1;
        Ok(id)
    }

    /// Starts the next waiting shift; one that has become impossible is reported and the one after it tried.
    pub(super) fn next_shift(&mut self, now: Nanos) {
        while let Some(shift) = self.shifts.waiting.pop_front() {
            let PendingShift { id, to, how } = shift;
            match self.cluster.shift_numbered(now, id, to, how, &mut self.outbox) {
                Ok(()) => return,
                Err(ShiftRefused::Busy { .. }) => {
                    self.shifts.waiting.push_front(shift);
                    return;
                }
                Err(refused) => {
                    self.events.push(EngineEvent::ShiftDropped { at: now, id, to, how, why: refused.to_string() });
                }
            }
        }
    }

    /// The shifts that wait, first come first.
    pub(super) fn waiting_shifts(&self) -> Vec<PendingShift> {
        self.shifts.waiting.iter().copied().collect()
    }
}
