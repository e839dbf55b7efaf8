//! One unit's thread: apply what was computed, take what is next, compute it.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::config::Pace;
use super::event::EngineEvent;
use super::shared::{Shared, State};
use crate::cluster::{BlockHash, RoleCommand, StepPlan, StepReport, Transfer};
use crate::executor::{Executor, ExecutorError, Logprobs, Sampled, Sampling, StepInput};
use crate::units::{Nanos, RequestId, UnitId};

/// Blocks imported between two steps: a long hand-off must not hold up the running batch for long.
const IMPORT_PIECE_BLOCKS: u32 = 64;

/// A thread with its executor, before it runs.
pub(super) struct Seat {
    unit: UnitId,
    units: u16,
    pace: Pace,
    shared: Arc<Shared>,
    executor: Box<dyn Executor>,
    work: Work,
}

/// What the thread computes between two visits to the lock. The buffers are reused.
#[derive(Default)]
struct Work {
    piece: Option<(Arc<Transfer>, Range<u32>)>,
    step: bool,
    plan: StepPlan,
    tokens: Vec<u32>,
    sampling: Vec<Sampling>,
    /// The tickets of the planned requests.
    tickets: Vec<u64>,
    sampled: Vec<Sampled>,
    /// Which of the sampled tokens somebody wants to know more about, and how much.
    asked: Vec<(usize, u8)>,
    /// What there is to know, one for each of `asked`.
    logprobs: Vec<Option<Arc<Logprobs>>>,
    stopped: Vec<RequestId>,
    filled: Vec<(RequestId, u32, BlockHash)>,
}

impl Seat {
    pub(super) fn new(index: usize, units: u16, pace: Pace, shared: Arc<Shared>, executor: Box<dyn Executor>) -> Self {
        Self { unit: UnitId(index as u16), units, pace, shared, executor, work: Work::default() }
    }

    pub(super) fn run(mut self) {
        // Everything that would like to run in parallel inside a step stays on this thread: one unit is one core.
        let _inline = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build();
        // Both only make things better; a system that refuses is no reason not to serve.
        let _ = kernels::thread::run_in_background();
        let cores = kernels::thread::usable_cores();
        if usize::from(self.units) <= cores.len()
            && let Some(core) = cores.get(self.unit.index())
        {
            let _ = kernels::thread::pin_to_core(*core);
        }
        let served = catch_unwind(AssertUnwindSafe(|| self.serve()));
        let served = served
            .unwrap_or_else(|_| Err(ExecutorError { doing: "serving", why: "the unit's thread panicked".to_owned() }));
        if let Err(error) = served {
            self.give_up(&error);
        }
    }

    /// Until the engine closes, or the unit cannot go on.
    fn serve(&mut self) -> Result<(), ExecutorError> {
        while self.exchange() {
            self.compute()?;
        }
        Ok(())
    }

    /// Applies the work that was done and takes the next; waits for it. `false` when the engine closes.
    fn exchange(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut guard = shared.lock();
        let now = shared.clock.now();
        self.apply(&mut guard, now);
        shared.settle(&mut guard, now);
        loop {
            if guard.closing {
                return false;
            }
            let now = shared.clock.now();
            if self.acknowledge_role(&mut guard, now) {
                shared.settle(&mut guard, now);
                continue;
            }
            // Between steps, when what was computed is applied and the unit holds nothing: a unit that waits is not busy.
            if shared.events.is_full() {
                drop(guard);
                shared.events.wait_for_room();
                guard = shared.lock();
                continue;
            }
            if self.take(&mut guard, now) {
                return true;
            }
            guard = shared.wait(guard, self.unit);
        }
    }

    fn apply(&mut self, state: &mut State, now: Nanos) {
        let Some(unit) = state.units.get_mut(self.unit.index()) else { return };
        if let Some(since) = unit.meter.busy_since.take() {
            unit.meter.busy = unit.meter.busy + now.since(since);
        }
        if let Some((transfer, piece)) = self.work.piece.take() {
            self.apply_piece(state, &transfer, piece.end, now);
        }
        if self.work.step {
            self.work.step = false;
            self.apply_step(state, now);
        }
    }

    fn apply_piece(&mut self, state: &mut State, transfer: &Transfer, copied: u32, now: Nanos) {
        let Some(unit) = state.units.get_mut(self.unit.index()) else { return };
        let Some(at) = unit.imports.iter().position(|import| import.transfer.id == transfer.id) else { return };
        let import = &mut unit.imports[at];
        import.copying = false;
        import.copied = copied;
        if import.aborted || copied == blocks(transfer) {
            if !import.aborted {
                unit.meter.imports += 1;
                unit.meter.imported_blocks += u64::from(copied);
                unit.meter.import_time = unit.meter.import_time + now.since(import.since);
            }
            unit.imports.remove(at);
            state.cluster.transfer_done(now, transfer.id, &mut state.outbox);
        }
    }

    fn apply_step(&mut self, state: &mut State, now: Nanos) {
        let work = &mut self.work;
        work.stopped.clear();
        work.filled.clear();
        let mut sampled = work.sampled.iter().enumerate();
        let mut told = work.asked.iter().zip(work.logprobs.drain(..)).peekable();
        for (planned, &ticket) in work.plan.sequences.iter().zip(&work.tickets) {
            // A request that was cancelled during the step has no tokens to keep, nor has one that took its number since.
            let request = state.requests.get_mut(&planned.request).filter(|request| request.ticket == ticket);
            let token = if planned.sample { sampled.next() } else { None };
            let known = token.and_then(|(index, _)| told.next_if(|((asked, _), _)| *asked == index));
            let Some(request) = request else { continue };
            if let Some((_, token)) = token
                && request.push(*token, known.and_then(|(_, known)| known))
            {
                work.stopped.push(planned.request);
            }
            request.filled(planned, self.shared.block_tokens as usize, &mut work.filled);
        }
        if let Some(unit) = state.units.get_mut(self.unit.index()) {
            let decoded = work.plan.sequences.iter().filter(|s| s.output_index > 0 && s.tokens == 1).count();
            unit.meter.input_tokens += u64::from(work.plan.tokens()) - decoded as u64;
            unit.meter.output_tokens += work.sampled.len() as u64;
        }
        let report = StepReport { stopped: &work.stopped, filled: &work.filled };
        state.cluster.advance(now, self.unit, 1, report, &mut state.outbox);
    }

    /// The roles of a CPU unit are a matter of scheduling: both changes are done as soon as the thread sees them.
    fn acknowledge_role(&self, state: &mut State, now: Nanos) -> bool {
        let Some(unit) = state.units.get_mut(self.unit.index()) else { return false };
        match unit.roles.pop_front() {
            // No shift that restarts units is accepted; one would be in its new role without having restarted.
            Some(RoleCommand::Switch { unit, .. } | RoleCommand::Restart { unit, .. }) => {
                state.cluster.role_switched(now, unit, &mut state.outbox);
            }
            Some(RoleCommand::Warm { unit }) => state.cluster.role_warmed(now, unit, &mut state.outbox),
            None => return false,
        }
        true
    }

    /// Takes a piece of a hand-off and a step, whichever there is.
    fn take(&mut self, state: &mut State, now: Nanos) -> bool {
        let work = &mut self.work;
        let Some(unit) = state.units.get_mut(self.unit.index()) else { return false };
        if let Some(import) = unit.imports.front_mut() {
            let end = blocks(&import.transfer).min(import.copied + IMPORT_PIECE_BLOCKS);
            import.copying = true;
            work.piece = Some((Arc::clone(&import.transfer), import.copied..end));
        }
        work.step = state.cluster.start_step(now, self.unit, 1, &mut work.plan);
        if work.step {
            work.tokens.clear();
            work.sampling.clear();
            work.tickets.clear();
            work.asked.clear();
            let mut samples = 0;
            for planned in &work.plan.sequences {
                let request = state.requests.get(&planned.request);
                debug_assert!(request.is_some(), "a planned request is in flight");
                if let Some(request) = request {
                    request.read(planned, &mut work.tokens);
                    work.sampling.push(request.sampling());
                    work.tickets.push(request.ticket);
                    if planned.sample {
                        work.asked.extend(request.asked().map(|most| (samples, most)));
                    }
                }
                samples += usize::from(planned.sample);
            }
        }
        let busy = work.step || work.piece.is_some();
        if busy && let Some(unit) = state.units.get_mut(self.unit.index()) {
            unit.meter.busy_since = Some(now);
        }
        busy
    }

    /// Computes outside the lock, then holds the result until a unit of this speed would have it.
    fn compute(&mut self) -> Result<(), ExecutorError> {
        let started = self.shared.clock.now();
        let cpu_before = kernels::thread::cpu_time_ns();
        let (work, executor) = (&mut self.work, &mut self.executor);
        work.sampled.clear();
        if let Some((transfer, piece)) = &work.piece {
            executor.import(transfer, piece.clone())?;
        }
        if work.step {
            let input = StepInput { plan: &work.plan, tokens: &work.tokens, sampling: &work.sampling };
            executor.step(input, &mut work.sampled)?;
            let (asked, sampled) = (work.plan.sequences.iter().filter(|s| s.sample).count(), work.sampled.len());
            if sampled != asked {
                let why = format!("{asked} tokens were asked for, {sampled} were sampled");
                return Err(ExecutorError { doing: "computing a step", why });
            }
            work.logprobs.clear();
            for &(index, most) in &work.asked {
                let token = work.sampled.get(index).map(|sampled| sampled.token);
                let known = token.and_then(|token| executor.logprobs(index, token, most));
                work.logprobs.push(known.map(Arc::new));
            }
        }
        // Without a CPU clock the step took what it took.
        let cpu = cpu_before.zip(kernels::thread::cpu_time_ns()).map(|(before, after)| after.saturating_sub(before));
        if let Some((stretch, cpu)) = self.pace.stretch(self.units).zip(cpu) {
            self.shared.clock.sleep_until(started + Nanos((cpu as f64 * stretch) as u64));
        }
        Ok(())
    }

    /// The executor cannot go on: the unit is lost, its requests are computed elsewhere.
    fn give_up(&self, error: &ExecutorError) {
        let mut guard = self.shared.lock();
        let state = &mut *guard;
        let now = self.shared.clock.now();
        state.events.push(EngineEvent::UnitLost { at: now, unit: self.unit, why: error.to_string() });
        state.cluster.unit_failed(now, self.unit, &mut state.outbox);
        if let Some(unit) = state.units.get_mut(self.unit.index()) {
            unit.meter.busy_since = None;
            // Hand-offs that were given up while a piece was being copied wait for this thread's acknowledgement; the
            // others have just been given up by the cluster and are acknowledged when that is settled.
            unit.imports.retain_mut(|import| {
                import.copying = false;
                if import.aborted {
                    state.cluster.transfer_done(now, import.transfer.id, &mut state.outbox);
                }
                !import.aborted
            });
        }
        self.shared.settle(state, now);
    }
}

fn blocks(transfer: &Transfer) -> u32 {
    transfer.source.iter().map(|extent| extent.blocks).sum()
}
