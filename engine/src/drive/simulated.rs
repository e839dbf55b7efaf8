//! A simulated cluster in wall time: virtual time that is kept in step with a clock.
//!
//! ```text
//!   handle ──bounded inbox──► the one thread: take messages ─ run virtual time up to the clock ─ report ─ sleep until something
//!                                             happens ─┐                                                                      │
//!                                                      └──────────────────────────────────────────────────────────────────────┘
//!   every change, at its virtual instant ──► event queue ──► the one reader
//! ```
//!
//! The thread may be late; instants are those of virtual time all the same, so that what is measured is what the model says and
//! not how fast this machine is. Between two looks at the clock steps are applied in bulk.

mod collect;
mod state;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::block_hash;
use crate::clock::WallClock;
use crate::cluster::{Arrival, Cluster, ClusterConfig, How, ShiftId};
use crate::drive::virtual_time::Input;
use crate::drive::wall::{
    Core, EngineError, EventQueue, EventReader, Observation, Open, ShiftError, Submission, SubmitError, WallEngine,
    queue,
};
use crate::executor::sim::Timing;
use crate::units::{Nanos, RequestId, Split};
use state::State;

/// Wall time between two looks at the clock while anything is computed: tokens are reported this late at the most.
const LOOK: Duration = Duration::from_millis(20);
/// Wall time that the thread sleeps when nothing will ever happen.
const IDLE: Duration = Duration::from_hours(1);

/// The set-up of a simulated engine.
#[derive(Clone, Debug)]
pub struct SimulatedConfig {
    /// The cluster.
    pub cluster: ClusterConfig,
    /// The roles at the start.
    pub split: Split,
    /// Virtual time for each second of wall time, above 0.
    pub time_scale: f64,
    /// Tokens of answers mean nothing; their ids are below this.
    pub vocabulary: u32,
    /// Requests that may be in flight, at least 1; one more is refused.
    pub request_limit: usize,
    /// Messages that may wait for the thread, at least 1; one more is refused.
    pub inbox_limit: usize,
    /// Events that may wait for the reader, at least 1; while there are more, time stands still, and is caught up with then.
    pub event_limit: usize,
}

impl SimulatedConfig {
    /// Starts the engine: everything takes what `timing` says.
    ///
    /// # Errors
    /// When a limit is 0, the cluster cannot be made or the thread cannot be started.
    pub fn start<T>(self, timing: T) -> Result<(WallEngine, EventReader), EngineError>
    where
        T: Timing + Send + 'static,
    {
        let limits = [
            ("request_limit", self.request_limit),
            ("inbox_limit", self.inbox_limit),
            ("event_limit", self.event_limit),
        ];
        for (name, limit) in limits {
            if limit == 0 {
                return Err(EngineError::Zero(name));
            }
        }
        let cluster = Cluster::new(self.cluster, self.split)?;
        let (events, reader) = queue(self.event_limit);
        let (inbox, messages) = sync_channel(self.inbox_limit);
        let shared = Arc::new(Shared {
            clock: WallClock::scaled(self.time_scale),
            open: Open::new(self.request_limit),
            events,
            event_limit: self.event_limit,
            inbox,
            state: Mutex::new(State::new(cluster, timing, self.vocabulary)),
        });
        let core = Arc::clone(&shared);
        let mut engine = WallEngine::with_core(core);
        engine.spawn("simulation".to_owned(), move || shared.run(&messages))?;
        Ok((engine, reader))
    }
}

#[derive(Debug)]
enum Message {
    /// A request that was handed over at this instant.
    Submit(Nanos, Submission),
    /// A client that was gone at this instant.
    Cancel(Nanos, RequestId),
    /// The state has changed.
    Look,
}

#[derive(Debug)]
struct Shared<T> {
    clock: WallClock,
    /// The requests in flight.
    open: Open,
    events: EventQueue,
    /// Events that are made before the reader's queue is looked at again.
    event_limit: usize,
    inbox: SyncSender<Message>,
    state: Mutex<State<T>>,
}

impl<T: Timing + Send> Shared<T> {
    fn run(&self, messages: &Receiver<Message>) {
        let mut wait = Duration::ZERO;
        loop {
            let first = match messages.recv_timeout(wait) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // Read before the inbox is: what was handed over by then is in it.
            let now = self.clock.now();
            let mut state = self.lock();
            for message in first.into_iter().chain(messages.try_iter()) {
                take(&mut state, message);
            }
            while !state.closing && !self.catch_up(&mut state, now) {
                drop(state);
                self.events.wait_for_room();
                state = self.lock();
            }
            if state.closing {
                return;
            }
            wait = match state.next_at() {
                None => IDLE,
                Some(at) => self.clock.until(at).min(LOOK),
            };
        }
    }

    /// Runs virtual time up to `now` and reports what has come of it; `false` when there was too much of it for the reader.
    fn catch_up(&self, state: &mut State<T>, now: Nanos) -> bool {
        let done = state.run_until(now, self.event_limit);
        for _ in 0..state.take_ended() {
            self.open.leave();
        }
        self.events.push_all(state.events());
        done
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take<T: Timing>(state: &mut State<T>, message: Message) {
    match message {
        Message::Submit(at, Submission { request, prompt, output_tokens, .. }) => {
            let prompt_hashes = block_hash::hashes(&prompt, state.block_tokens()).into();
            let arrival = Arrival { request, prompt_tokens: prompt.len() as u32, output_tokens, prompt_hashes };
            state.schedule(at, Input::Arrive(arrival));
        }
        Message::Cancel(at, request) => state.schedule(at, Input::Cancel(request)),
        Message::Look => {}
    }
}

impl<T: Timing + Send> Core for Shared<T> {
    fn clock(&self) -> WallClock {
        self.clock
    }

    fn submit(&self, submission: Submission) -> Result<(), SubmitError> {
        if !self.open.enter() {
            return Err(SubmitError::TooMany);
        }
        self.inbox.try_send(Message::Submit(self.clock.now(), submission)).map_err(|error| {
            self.open.leave();
            SubmitError::from(&error)
        })
    }

    /// Behind its submission, if that is still in the inbox; where the inbox is full the request goes on.
    fn cancel(&self, request: RequestId) {
        let _ = self.inbox.try_send(Message::Cancel(self.clock.now(), request));
    }

    fn shift_at(&self, to: Split, how: How, expected: Option<u64>) -> Result<ShiftId, ShiftError> {
        let mut state = self.lock();
        let id = state.shift(self.clock.now(), (to, how), expected);
        drop(state);
        // What is next may come sooner now. Where the inbox is full the thread is awake anyway.
        let _ = self.inbox.try_send(Message::Look);
        id
    }

    /// As of the last look at the clock; of a cluster that does nothing, as of now.
    fn observe(&self) -> Observation {
        let state = self.lock();
        let seen = state.observe();
        let at = if state.next_at().is_none() { self.clock.now() } else { seen.at };
        Observation { at, stalled: self.events.stalled(), ..seen }
    }

    fn check(&self) -> Result<(), String> {
        self.lock().check()
    }

    fn close(&self) {
        self.lock().closing = true;
        self.events.close();
        let _ = self.inbox.try_send(Message::Look);
    }
}
