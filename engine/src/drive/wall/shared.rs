//! Everything the threads of an engine share: one short lock around the cluster and what changes with it.

use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::event::{EngineEvent, EventQueue};
use super::handle::Message;
use super::open::Open;
use super::request::RequestTokens;
use super::shifts::ShiftQueue;
use crate::clock::WallClock;
use crate::cluster::{Cluster, Emission, Notice, Outbox, RoleCommand, Transfer, TransferId};
use crate::units::{Nanos, RequestId, UnitId};

/// A hand-off that its destination's thread copies piece by piece.
#[derive(Debug)]
pub(super) struct Import {
    pub(super) transfer: Arc<Transfer>,
    /// Blocks copied so far.
    pub(super) copied: u32,
    /// When the cluster asked for it.
    pub(super) since: Nanos,
    /// The thread is copying a piece right now, outside the lock.
    pub(super) copying: bool,
    /// Nobody wants the result any more.
    pub(super) aborted: bool,
}

/// What a unit has done since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    pub(super) busy: Nanos,
    pub(super) busy_since: Option<Nanos>,
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) imports: u64,
    pub(super) imported_blocks: u64,
    pub(super) import_time: Nanos,
}

/// The threads' side of one unit.
#[derive(Debug, Default)]
pub(super) struct UnitWork {
    pub(super) imports: VecDeque<Import>,
    pub(super) roles: VecDeque<RoleCommand>,
    pub(super) meter: Meter,
}

/// What the lock protects.
#[derive(Debug)]
pub(super) struct State {
    pub(super) cluster: Cluster,
    pub(super) outbox: Outbox,
    pub(super) requests: FxHashMap<RequestId, RequestTokens>,
    pub(super) units: Vec<UnitWork>,
    pub(super) shifts: ShiftQueue,
    pub(super) events: Vec<EngineEvent>,
    pub(super) closing: bool,
    /// Rises with everything that changes what the units do, see [`super::Observation::generation`].
    pub(super) generation: u64,
    /// The deadline that the intake thread was told to look at.
    announced: Option<Nanos>,
    next_ticket: u64,
    spare: Outbox,
}

/// The state, and what wakes those who wait for it.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) clock: WallClock,
    pub(super) block_tokens: u32,
    /// Token ids from this one on are refused.
    pub(super) vocabulary: u32,
    /// The requests in flight.
    pub(super) open: Open,
    pub(super) events: EventQueue,
    /// To the intake thread. Bounded: who finds it full does not wait, and the thread is awake then.
    pub(super) inbox: SyncSender<Message>,
    state: Mutex<State>,
    bells: Vec<Condvar>,
}

impl Shared {
    pub(super) fn new(
        cluster: Cluster,
        vocabulary: u32,
        request_limit: usize,
        events: EventQueue,
        inbox: SyncSender<Message>,
    ) -> Self {
        let block_tokens = cluster.config().block_tokens;
        let units = usize::from(cluster.units());
        let state = State {
            cluster,
            outbox: Outbox::default(),
            requests: FxHashMap::default(),
            units: (0..units).map(|_| UnitWork::default()).collect(),
            shifts: ShiftQueue::default(),
            events: Vec::new(),
            closing: false,
            generation: 0,
            announced: None,
            next_ticket: 0,
            spare: Outbox::default(),
        };
        Self {
            clock: WallClock::start(),
            block_tokens,
            vocabulary,
            open: Open::new(request_limit),
            events,
            inbox,
            state: Mutex::new(state),
            bells: (0..units).map(|_| Condvar::new()).collect(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the unit's bell is rung.
    pub(super) fn wait<'a>(&self, state: MutexGuard<'a, State>, unit: UnitId) -> MutexGuard<'a, State> {
        match self.bells.get(unit.index()) {
            Some(bell) => bell.wait(state).unwrap_or_else(PoisonError::into_inner),
            None => state,
        }
    }

    /// Carries out what the cluster has said in the outbox, and everything that follows from it.
    pub(super) fn settle(&self, state: &mut State, now: Nanos) {
        loop {
            let mut out = std::mem::replace(&mut state.outbox, std::mem::take(&mut state.spare));
            let said = self.carry_out(state, &mut out, now);
            out.clear();
            state.spare = out;
            if !said {
                break;
            }
        }
        let mut events = std::mem::take(&mut state.events);
        self.events.push_all(&mut events);
        state.events = events;
        let due = state.cluster.next_deadline();
        if state.announced != due {
            state.announced = due;
            self.wake_intake();
        }
    }

    fn wake_intake(&self) {
        // Where the inbox is full the thread is awake anyway.
        let _ = self.inbox.try_send(Message::Look);
    }

    /// Cancels a request that has come out of the inbox; `false` when there is none.
    pub(super) fn cancel(&self, request: RequestId) -> bool {
        let mut guard = self.lock();
        let now = self.clock.now();
        let state = &mut *guard;
        let known = state.requests.contains_key(&request);
        state.cluster.cancel(now, request, &mut state.outbox);
        self.settle(state, now);
        known
    }

    /// Ends every thread at its next look at the state.
    pub(super) fn close(&self) {
        self.lock().closing = true;
        self.events.close();
        for bell in &self.bells {
            bell.notify_all();
        }
        self.wake_intake();
    }

    fn ring(&self, unit: UnitId) {
        if let Some(bell) = self.bells.get(unit.index()) {
            bell.notify_one();
        }
    }

    /// One round of an outbox; `false` when it was empty.
    fn carry_out(&self, state: &mut State, out: &mut Outbox, now: Nanos) -> bool {
        if *out == Outbox::default() {
            return false;
        }
        for emission in &out.emissions {
            state.emit(*emission, now);
        }
        for finished in out.finished.drain(..) {
            state.requests.remove(&finished.request);
            self.open.leave();
            state.events.push(EngineEvent::Finished { at: now, finished });
        }
        for transfer in out.transfers.drain(..) {
            let to = transfer.to;
            if let Some(unit) = state.units.get_mut(to.index()) {
                let transfer = Arc::new(transfer);
                unit.imports.push_back(Import { transfer, copied: 0, since: now, copying: false, aborted: false });
            }
            self.ring(to);
        }
        for id in &out.aborted {
            state.abort(*id, now);
        }
        for command in out.roles.drain(..) {
            let (RoleCommand::Switch { unit, .. } | RoleCommand::Restart { unit, .. } | RoleCommand::Warm { unit }) =
                command;
            if let Some(work) = state.units.get_mut(unit.index()) {
                work.roles.push_back(command);
            }
            self.ring(unit);
        }
        for unit in out.wake.drain(..) {
            self.ring(unit);
        }
        let mut converged = false;
        for notice in out.notices.drain(..) {
            converged |= matches!(notice, Notice::ShiftEnded(_));
            state.generation += u64::from(matches!(notice, Notice::Unit { .. }));
            state.events.push(EngineEvent::Notice { at: now, notice });
        }
        if converged {
            state.next_shift(now);
        }
        true
    }
}

impl State {
    /// Keeps the tokens of a request that the cluster has accepted.
    pub(super) fn admit(&mut self, request: RequestId, mut tokens: RequestTokens) {
        tokens.ticket = self.next_ticket;
        self.next_ticket += 1;
        self.requests.insert(request, tokens);
    }

    /// Every invariant of the cluster, and that what the threads keep beside it agrees with it.
    pub(super) fn check(&self) -> Result<(), String> {
        self.cluster.check()?;
        let (kept, in_flight) = (self.requests.len(), self.cluster.in_flight());
        if kept == in_flight { Ok(()) } else { Err(format!("tokens of {kept} requests, {in_flight} are in flight")) }
    }

    fn emit(&mut self, emission: Emission, now: Nanos) {
        let Some(request) = self.requests.get(&emission.request) else {
            debug_assert!(false, "tokens of a request that is not in flight");
            return;
        };
        for index in emission.first..emission.first + emission.count {
            let Some(sampled) = request.output(index) else {
                debug_assert!(false, "an emission runs ahead of the tokens");
                return;
            };
            self.events.push(EngineEvent::Token {
                at: now,
                request: emission.request,
                index,
                token: sampled.token,
                logits_digest: sampled.logits_digest,
                logprobs: request.logprobs(index),
            });
        }
    }

    /// Stops a transfer; acknowledged here unless a thread is copying a piece of it.
    fn abort(&mut self, id: TransferId, now: Nanos) {
        for unit in &mut self.units {
            let Some(at) = unit.imports.iter().position(|import| import.transfer.id == id) else { continue };
            if unit.imports[at].copying {
                unit.imports[at].aborted = true;
            } else {
                unit.imports.remove(at);
                self.cluster.transfer_done(now, id, &mut self.outbox);
            }
            return;
        }
    }
}
