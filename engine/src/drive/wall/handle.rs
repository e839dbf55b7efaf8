//! The engine from outside: submit, cancel, shift, observe.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};

use super::shared::Shared;
use crate::clock::WallClock;
use crate::cluster::{How, ShiftRefused, UnitFigures};
use crate::executor::Sampling;
use crate::units::{Nanos, RequestId, Split, UnitId};

/// A request with its token ids.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its number, unique among the requests in flight.
    pub request: RequestId,
    /// Token ids of the prompt, at least one.
    pub prompt: Arc<[u32]>,
    /// Tokens after which the answer ends at the latest.
    pub output_tokens: u32,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens that end the answer; empty to ignore end-of-sequence.
    pub stop: Arc<[u32]>,
}

/// Why a submission was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// As many submissions as allowed wait for the intake thread.
    #[error("the engine's inbox is full")]
    Full,
    /// The engine has stopped.
    #[error("the engine has stopped")]
    Closed,
}

/// What the intake thread is told.
#[derive(Debug)]
pub(super) enum Message {
    Submit(Submission),
    Cancel(RequestId),
    Look,
    Close,
}

/// One unit as it is now. Counters run from the start of the engine.
#[derive(Clone, Copy, Debug)]
pub struct UnitObservation {
    /// Which.
    pub unit: UnitId,
    /// What the cluster knows of it.
    pub figures: UnitFigures,
    /// Time spent in steps and imports, the present one included.
    pub busy: Nanos,
    /// Prompt tokens computed.
    pub input_tokens: u64,
    /// Tokens sampled.
    pub output_tokens: u64,
    /// Hand-offs that arrived here whole.
    pub imports: u64,
    /// KV blocks that they brought.
    pub imported_blocks: u64,
    /// How long they took together, from the order to the last block; hand-offs to one unit may overlap.
    pub import_time: Nanos,
}

/// The whole engine as it is now.
#[derive(Clone, Debug)]
pub struct Observation {
    /// When.
    pub at: Nanos,
    /// The roles as they are.
    pub split: Split,
    /// The units in order.
    pub units: Vec<UnitObservation>,
    /// Shifts that wait for the one under way.
    pub waiting_shifts: Vec<(Split, How)>,
    /// Requests in flight, those in the inbox not counted.
    pub in_flight: usize,
    /// Prompt tokens looked up in prefix caches at first admissions.
    pub prefix_queried: u64,
    /// How many of them were there.
    pub prefix_hit: u64,
}

/// A handle to a running engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    inbox: SyncSender<Message>,
    shared: Arc<Shared>,
}

impl EngineHandle {
    pub(super) fn new(inbox: SyncSender<Message>, shared: Arc<Shared>) -> Self {
        Self { inbox, shared }
    }

    /// The engine's clock: instants in events are read from it.
    pub fn clock(&self) -> WallClock {
        self.shared.clock
    }

    /// Hands a request over without waiting. What becomes of it is reported by events.
    ///
    /// # Errors
    /// When the inbox is full or the engine has stopped; the request is not taken.
    pub fn submit(&self, submission: Submission) -> Result<(), SubmitError> {
        self.inbox.try_send(Message::Submit(submission)).map_err(|error| match error {
            TrySendError::Full(_) => SubmitError::Full,
            TrySendError::Disconnected(_) => SubmitError::Closed,
        })
    }

    /// Cancels a request; unknown and finished ones are ignored. One still in the inbox is cancelled when it comes out of
    /// it, unless the inbox is full at this moment: then it runs, and whoever wants it gone cancels it again.
    pub fn cancel(&self, request: RequestId) {
        if !self.shared.cancel(request) {
            // Behind its submission, if that is still there.
            let _ = self.inbox.try_send(Message::Cancel(request));
        }
    }

    /// Moves the units to another split, after the shift under way if there is one. Progress is reported by events.
    ///
    /// # Errors
    /// When the split is not for this engine's units or could not serve; nothing has changed then.
    pub fn shift(&self, to: Split, how: How) -> Result<(), ShiftRefused> {
        {
            let mut state = self.shared.lock();
            let now = self.shared.clock.now();
            let state = &mut *state;
            state.shift(now, to, how)?;
            self.shared.settle(state, now);
        }
        // A full inbox wakes the intake thread as well.
        let _ = self.inbox.try_send(Message::Look);
        Ok(())
    }

    /// The state of the engine now.
    pub fn observe(&self) -> Observation {
        let state = self.shared.lock();
        let at = self.shared.clock.now();
        let units = state.units.iter().enumerate().map(|(index, work)| {
            let unit = UnitId(index as u16);
            let running = work.meter.busy_since.map_or(Nanos::ZERO, |since| at.since(since));
            UnitObservation {
                unit,
                figures: state.cluster.unit_figures(unit),
                busy: work.meter.busy + running,
                input_tokens: work.meter.input_tokens,
                output_tokens: work.meter.output_tokens,
                imports: work.meter.imports,
                imported_blocks: work.meter.imported_blocks,
                import_time: work.meter.import_time,
            }
        });
        let (prefix_queried, prefix_hit) = state.cluster.prefix_totals();
        Observation {
            at,
            split: state.cluster.split(),
            units: units.collect(),
            waiting_shifts: state.waiting_shifts(),
            in_flight: state.cluster.in_flight(),
            prefix_queried,
            prefix_hit,
        }
    }

    pub(super) fn close(&self) {
        self.shared.close();
        // A full inbox wakes the intake thread as well.
        let _ = self.inbox.try_send(Message::Close);
    }
}
