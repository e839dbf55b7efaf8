//! The engine from outside: submit, cancel, shift, observe.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::mpsc::TrySendError;

use super::shared::Shared;
use super::shifts::{PendingShift, ShiftError, ShiftQueue};
use crate::clock::WallClock;
use crate::cluster::{Cluster, How, ShiftId, UnitFigures};
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
    /// Whether to tell how likely each token was, and how many of the likeliest beside it.
    pub logprobs: Option<u8>,
}

/// Why a submission was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// As many requests as allowed are in flight.
    #[error("too many requests are in flight")]
    TooMany,
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
    /// The client of a request has gone that may still be in the inbox.
    Cancel(RequestId),
    /// The state has changed in a way that concerns the thread.
    Look,
}

/// One unit as it is now. Counters run from the start of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// When.
    pub at: Nanos,
    /// The roles as they are.
    pub split: Split,
    /// The units in order.
    pub units: Vec<UnitObservation>,
    /// Requests that were accepted and are not over.
    pub in_flight: usize,
    /// The shift under way.
    pub shift: Option<PendingShift>,
    /// Shifts that wait for it, first come first.
    pub waiting_shifts: Vec<PendingShift>,
    /// Rises with every change of a unit's role or state, and with every shift that is accepted; never falls.
    pub generation: u64,
    /// Positions that a KV block holds.
    pub block_tokens: u32,
    /// Prompt tokens looked up in prefix caches at first admissions.
    pub prefix_queried: u64,
    /// How many of them were there.
    pub prefix_hit: u64,
    /// Threads that stand still until the reader of events has caught up: units between steps, and the one that takes
    /// submissions.
    pub stalled: usize,
}

/// What an engine does for those who hold a handle to it.
pub(in crate::drive) trait Core: Debug + Send + Sync {
    /// The engine's clock.
    fn clock(&self) -> WallClock;
    /// See [`EngineHandle::submit`].
    fn submit(&self, submission: Submission) -> Result<(), SubmitError>;
    /// See [`EngineHandle::cancel`].
    fn cancel(&self, request: RequestId);
    /// See [`EngineHandle::cancel_accepted`].
    fn cancel_accepted(&self, request: RequestId) {
        self.cancel(request);
    }
    /// See [`EngineHandle::shift_at`].
    fn shift_at(&self, to: Split, how: How, expected: Option<u64>) -> Result<ShiftId, ShiftError>;
    /// See [`EngineHandle::observe`].
    fn observe(&self) -> Observation;
    /// See [`EngineHandle::check`].
    fn check(&self) -> Result<(), String>;
    /// Ends every thread at its next look at the state.
    fn close(&self);
}

/// A handle to a running engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct EngineHandle {
    core: Arc<dyn Core>,
}

impl EngineHandle {
    pub(in crate::drive) fn new(core: Arc<dyn Core>) -> Self {
        Self { core }
    }

    /// The engine's clock: instants in events are read from it.
    pub fn clock(&self) -> WallClock {
        self.core.clock()
    }

    /// Hands a request over without waiting. What becomes of it is reported by events.
    ///
    /// # Errors
    /// When too many requests are in flight, the inbox is full or the engine has stopped; the request is not taken.
    pub fn submit(&self, submission: Submission) -> Result<(), SubmitError> {
        self.core.submit(submission)
    }

    /// Cancels a request; unknown and finished ones are ignored. One that is still in the inbox is cancelled when its turn
    /// has come, unless the inbox is full: then it goes on.
    pub fn cancel(&self, request: RequestId) {
        self.core.cancel(request);
    }

    /// As [`EngineHandle::cancel`] for a request of which there was an event: it has come out of the inbox.
    pub(crate) fn cancel_accepted(&self, request: RequestId) {
        self.core.cancel_accepted(request);
    }

    /// Moves the units to another split, after the shift under way if there is one. Progress is reported by events, which
    /// carry the number returned here.
    ///
    /// # Errors
    /// When the split is not for this engine's units or could not serve, when too many shifts wait, or when the engine has
    /// stopped; nothing has changed then.
    pub fn shift(&self, to: Split, how: How) -> Result<ShiftId, ShiftError> {
        self.core.shift_at(to, how, None)
    }

    /// As [`EngineHandle::shift`], unless the state is no longer of the `expected` [generation](Observation::generation).
    ///
    /// # Errors
    /// As [`EngineHandle::shift`], and when something has moved.
    pub fn shift_at(&self, to: Split, how: How, expected: Option<u64>) -> Result<ShiftId, ShiftError> {
        self.core.shift_at(to, how, expected)
    }

    /// The state of the engine now.
    pub fn observe(&self) -> Observation {
        self.core.observe()
    }

    /// Checks every invariant of the engine's state. Takes time in proportion to all KV blocks, and every unit waits
    /// meanwhile; meant for tests.
    ///
    /// # Errors
    /// Says which invariant is broken, and where.
    pub fn check(&self) -> Result<(), String> {
        self.core.check()
    }

    pub(in crate::drive) fn close(&self) {
        self.core.close();
    }
}

impl Core for Shared {
    fn clock(&self) -> WallClock {
        self.clock
    }

    fn submit(&self, submission: Submission) -> Result<(), SubmitError> {
        if !self.open.enter() {
            return Err(SubmitError::TooMany);
        }
        self.inbox.try_send(Message::Submit(submission)).map_err(|error| {
            self.open.leave();
            SubmitError::from(&error)
        })
    }

    fn cancel(&self, request: RequestId) {
        if !Self::cancel(self, request) {
            // Behind its submission, if that is still there.
            let _ = self.inbox.try_send(Message::Cancel(request));
        }
    }

    fn cancel_accepted(&self, request: RequestId) {
        Self::cancel(self, request);
    }

    fn shift_at(&self, to: Split, how: How, expected: Option<u64>) -> Result<ShiftId, ShiftError> {
        let mut guard = self.lock();
        let now = self.clock.now();
        let state = &mut *guard;
        let id = state.shift(now, to, how, expected)?;
        self.settle(state, now);
        Ok(id)
    }

    fn observe(&self) -> Observation {
        let state = self.lock();
        let at = self.clock.now();
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
        let units = units.collect();
        Observation {
            stalled: self.events.stalled(),
            ..Observation::of(&state.cluster, at, units, &state.shifts, state.generation)
        }
    }

    fn check(&self) -> Result<(), String> {
        self.lock().check()
    }

    fn close(&self) {
        Self::close(self);
    }
}

impl<T> From<&TrySendError<T>> for SubmitError {
    fn from(error: &TrySendError<T>) -> Self {
        match error {
            TrySendError::Full(_) => Self::Full,
            TrySendError::Disconnected(_) => Self::Closed,
        }
    }
}

impl Observation {
    /// What is seen of a cluster and of what stands beside it.
    pub(in crate::drive) fn of(
        cluster: &Cluster,
        at: Nanos,
        units: Vec<UnitObservation>,
        shifts: &ShiftQueue,
        generation: u64,
    ) -> Self {
        let (prefix_queried, prefix_hit) = cluster.prefix_totals();
        Self {
            at,
            split: cluster.split(),
            units,
            in_flight: cluster.in_flight(),
            prefix_queried,
            prefix_hit,
            shift: cluster.shift_under_way().map(|(id, to, how)| PendingShift { id, to, how }),
            waiting_shifts: shifts.waiting(),
            generation,
            block_tokens: cluster.config().block_tokens,
            stalled: 0,
        }
    }
}
