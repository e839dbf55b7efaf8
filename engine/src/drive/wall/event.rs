//! What the engine reports, in the order in which it happened, through one bounded queue.
//!
//! Events are pushed under the cluster's lock, so their order is the cluster's. A push never waits there. Instead a unit
//! thread waits *between* steps, and the intake thread between submissions, while `limit` events or more are unread: a
//! reader that stalls stops the engine rather than filling memory, and nothing is ever dropped.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cluster::{Finished, How, Notice, Refused, ShiftId};
use crate::executor::Logprobs;
use crate::units::{Nanos, RequestId, Split, UnitId};

/// Something that happened in the engine.
#[derive(Clone, Debug, PartialEq)]
pub enum EngineEvent {
    /// A token of an answer reached the client.
    Token {
        /// When.
        at: Nanos,
        /// Whose.
        request: RequestId,
        /// Its index in the answer.
        index: u32,
        /// Its id.
        token: u32,
        /// Digest of the logits it was chosen from.
        logits_digest: u64,
        /// How likely it was, if asked for.
        logprobs: Option<Arc<Logprobs>>,
    },
    /// A request is over; all its tokens came before.
    Finished {
        /// When.
        at: Nanos,
        /// How it went.
        finished: Finished,
    },
    /// A submission was not accepted.
    Refused {
        /// When.
        at: Nanos,
        /// Which.
        request: RequestId,
        /// Why, with the numbers.
        why: SubmissionRefused,
    },
    /// A unit, a shift or a preemption.
    Notice {
        /// When.
        at: Nanos,
        /// What.
        notice: Notice,
    },
    /// A queued shift could not be started when its turn came.
    ShiftDropped {
        /// When.
        at: Nanos,
        /// Which.
        id: ShiftId,
        /// Where it would have led.
        to: Split,
        /// How.
        how: How,
        /// Why.
        why: String,
    },
    /// A unit was lost.
    UnitLost {
        /// When.
        at: Nanos,
        /// Which.
        unit: UnitId,
        /// Why.
        why: String,
    },
}

impl EngineEvent {
    /// When it happened.
    pub fn at(&self) -> Nanos {
        match *self {
            Self::Token { at, .. }
            | Self::Finished { at, .. }
            | Self::Refused { at, .. }
            | Self::Notice { at, .. }
            | Self::ShiftDropped { at, .. }
            | Self::UnitLost { at, .. } => at,
        }
    }
}

/// Why a submission that was taken from the inbox is not computed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmissionRefused {
    /// An executor cannot compute such a token: it would take one unit after the other with it.
    #[error("token {token} of the prompt is outside the vocabulary of {vocabulary}")]
    UnknownToken {
        /// Its id.
        token: u32,
        /// Ids run from 0 to this, exclusive.
        vocabulary: u32,
    },
    /// The cluster does not accept it.
    #[error(transparent)]
    Cluster(#[from] Refused),
}

#[derive(Debug, Default)]
struct Inner {
    events: VecDeque<EngineEvent>,
    /// Threads that wait for room.
    stalled: usize,
    closed: bool,
}

#[derive(Debug)]
struct Queue {
    inner: Mutex<Inner>,
    unread: Condvar,
    room: Condvar,
    limit: usize,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The engine's end of the queue.
#[derive(Clone, Debug)]
pub(in crate::drive) struct EventQueue(Arc<Queue>);

/// The reader's end of the queue. Dropping it lets the engine go on unread.
#[derive(Debug)]
pub struct EventReader(Arc<Queue>);

pub(in crate::drive) fn queue(limit: usize) -> (EventQueue, EventReader) {
    let queue = Arc::new(Queue { inner: Mutex::default(), unread: Condvar::new(), room: Condvar::new(), limit });
    (EventQueue(Arc::clone(&queue)), EventReader(queue))
}

impl EventQueue {
    /// Appends, in order; wakes the reader.
    pub(in crate::drive) fn push_all(&self, events: &mut Vec<EngineEvent>) {
        if events.is_empty() {
            return;
        }
        let mut inner = self.0.lock();
        if inner.closed {
            events.clear();
        } else {
            inner.events.extend(events.drain(..));
            drop(inner);
            self.0.unread.notify_one();
        }
    }

    /// Waits while the reader is `limit` events behind. Never called under the cluster's lock.
    pub(in crate::drive) fn wait_for_room(&self) {
        let mut inner = self.0.lock();
        inner.stalled += 1;
        while inner.events.len() >= self.0.limit && !inner.closed {
            inner = self.0.room.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        inner.stalled -= 1;
    }

    /// Whether whoever goes on has to wait for room first.
    pub(in crate::drive) fn is_full(&self) -> bool {
        let inner = self.0.lock();
        inner.events.len() >= self.0.limit && !inner.closed
    }

    /// How many threads wait for room.
    pub(in crate::drive) fn stalled(&self) -> usize {
        self.0.lock().stalled
    }

    /// Lets everyone who waits go.
    pub(in crate::drive) fn close(&self) {
        self.0.lock().closed = true;
        self.0.room.notify_all();
        self.0.unread.notify_all();
    }
}

impl EventReader {
    /// Moves everything unread to the end of `into`, waiting up to `wait` for a first event. Returns `false` once the
    /// engine has stopped and everything was read.
    pub fn drain(&self, into: &mut Vec<EngineEvent>, wait: Duration) -> bool {
        let mut inner = self.0.lock();
        if inner.events.is_empty() && !inner.closed && !wait.is_zero() {
            inner = self.0.unread.wait_timeout(inner, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        let open = !inner.closed || !inner.events.is_empty();
        into.extend(inner.events.drain(..));
        drop(inner);
        self.0.room.notify_all();
        open
    }
}

impl Drop for EventReader {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.closed = true;
        inner.events.clear();
        drop(inner);
        self.0.room.notify_all();
    }
}
