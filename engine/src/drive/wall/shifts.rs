//! Shifts wait for each other: one asked for while another runs starts when that one has ended.

use std::collections::VecDeque;

use super::event::EngineEvent;
use super::shared::State;
use crate::cluster::{How, ShiftRefused};
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
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Closed,
}

/// The shifts that wait.
#[derive(Debug, Default)]
pub(super) struct ShiftQueue {
    waiting: VecDeque<(Split, How)>,
}

impl State {
    /// Starts a shift, or lets it wait for the one under way.
    pub(super) fn shift(&mut self, now: Nanos, to: Split, how: How) -> Result<(), ShiftError> {
        if self.closing {
            return Err(ShiftError::Closed);
        }
        to.check().map_err(ShiftRefused::from)?;
        match self.cluster.shift(now, to, how, &mut self.outbox) {
            Ok(_) => Ok(()),
            Err(ShiftRefused::Busy { .. }) => {
                let live = self.cluster.split();
                if to.units() != live.units() {
                    return Err(ShiftRefused::WrongUnits { asked: to, live: live.units() }.into());
                }
                if self.shifts.waiting.len() == WAITING_LIMIT {
                    return Err(ShiftError::QueueFull);
                }
                self.shifts.waiting.push_back((to, how));
                Ok(())
            }
            Err(refused) => Err(refused.into()),
        }
    }

    /// Starts the next waiting shift; one that has become impossible is reported and the one after it tried.
    pub(super) fn next_shift(&mut self, now: Nanos) {
        while let Some((to, how)) = self.shifts.waiting.pop_front() {
            match self.cluster.shift(now, to, how, &mut self.outbox) {
                Ok(_) => return,
                Err(ShiftRefused::Busy { .. }) => {
                    self.shifts.waiting.push_front((to, how));
                    return;
                }
                Err(refused) => {
                    self.events.push(EngineEvent::ShiftDropped { at: now, to, how, why: refused.to_string() });
                }
            }
        }
    }

    /// The shifts that wait, first come first.
    pub(super) fn waiting_shifts(&self) -> Vec<(Split, How)> {
        self.shifts.waiting.iter().copied().collect()
    }
}
