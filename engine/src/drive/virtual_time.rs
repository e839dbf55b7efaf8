//! A driver whose time jumps from event to event.
//!
//! What steps, transfers and role changes take is asked of a [`Timing`]; everything else is decided by the [`Cluster`], and what
//! comes of it goes into a [`Sink`]. Events at one instant are taken in a fixed order: steps by unit, transfers by number, roles
//! by unit, drain timeouts, then inputs as they were scheduled. Decode steps that cannot change are applied in bulk;
//! [`Pace::SingleSteps`] takes them one by one, with the same result.

mod ends;
mod event;
mod input;
mod ledger;
mod links;
mod log;
mod present;
#[cfg(test)]
mod random;
mod run;
mod samples;
mod settle;
mod sink;
mod transfers;

pub use crate::executor::sim::Costs;
pub use input::Input;
pub use ledger::{Charged, Ledger};
pub use links::Links;
pub use log::Log;
pub use run::StepRun;
pub use samples::{Sample, Samples};
pub use sink::{Emitted, Sink};

use crate::cluster::{BlockHash, Cluster, Detail, Notice, Numbered, Outbox, RoleCommand, StepPlan, StepReport};
use crate::executor::sim::{Moment, Ticks, Timing};
use crate::units::{Nanos, RequestId, Role, UnitId};
use ends::Ends;
use event::{Event, Events};
use input::Inputs;
use transfers::Moving;

/// Whether steps that cannot change are taken at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As many steps at once as the plan allows.
    #[default]
    Bulk,
    /// Every step by itself.
    SingleSteps,
}

/// What the driver knows of a unit.
#[derive(Clone, Debug)]
struct UnitTime {
    run: Option<StepRun>,
    /// When its last step ended.
    free: Moment,
    /// How long that was.
    last_step: Nanos,
    /// Time spent in steps.
    busy: u128,
    plan: StepPlan,
}

/// A cluster in virtual time. A copy goes on from the same instant by itself: what both have in common is computed once.
#[derive(Clone, Debug)]
pub struct VirtualDriver<T = Costs, S = Log> {
    cluster: Cluster,
    timing: T,
    sink: S,
    pace: Pace,
    now: Nanos,
    /// When the runs of the units end.
    ends: Ends,
    events: Events,
    inputs: Inputs,
    units: Vec<UnitTime>,
    moving: Numbered<Moving>,
    links: Links,
    ledger: Ledger,
    outbox: Outbox,
}

/// The hash of a block of generated tokens in virtual time: a function of the request and the index of the block in its
/// sequence, so that the prompt of a later turn can name it.
pub fn generated_hash(request: RequestId, block: u32) -> BlockHash {
    let mixed = (request.0 ^ 0x6765_6e65_7261_7465).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    BlockHash((mixed ^ u64::from(block)).wrapping_mul(0xd6e8_feb8_6659_fd93))
}

impl<T: Timing> VirtualDriver<T, Log> {
    /// Drives a cluster to which nothing has happened yet, and logs everything.
    pub fn new(cluster: Cluster, timing: T, pace: Pace) -> Self {
        Self::with_sink(cluster, timing, pace, Log::default())
    }

    /// What has come of it so far.
    pub fn log(&self) -> &Log {
        &self.sink
    }

    /// Hands out the log and starts a new one.
    pub fn take_log(&mut self) -> Log {
        std::mem::take(&mut self.sink)
    }
}

impl<T: Timing, S: Sink> VirtualDriver<T, S> {
    /// Drives a cluster to which nothing has happened yet; what comes of it goes into `sink`.
    pub fn with_sink(cluster: Cluster, timing: T, pace: Pace, sink: S) -> Self {
        let cluster = cluster.with_detail(if S::EVERY_TOKEN { Detail::Sequences } else { Detail::Shapes });
        let cluster = cluster.with_names(generated_hash);
        let unit =
            || UnitTime { run: None, free: Moment::default(), last_step: Nanos::ZERO, busy: 0, plan: StepPlan::new() };
        Self {
            links: Links::new(cluster.units(), timing.link_bytes_per_second()),
            ledger: Ledger::new(cluster.split()),
            ends: Ends::new(cluster.units()),
            units: (0..cluster.units()).map(|_| unit()).collect(),
            cluster,
            timing,
            sink,
            pace,
            now: Nanos::ZERO,
            events: Events::default(),
            inputs: Inputs::default(),
            moving: Numbered::default(),
            outbox: Outbox::default(),
        }
    }

    /// Schedules something; at one instant in the order of scheduling. The past is now.
    pub fn schedule(&mut self, at: Nanos, input: Input) {
        let number = self.inputs.add(input);
        self.events.push(at.max(self.now), Event::Input(number));
    }

    /// Takes inputs from `source` when their time comes, after what was scheduled for the same instant. They are in the order
    /// of time; what is earlier than the one before happens right after it. A source given before is forgotten.
    pub fn feed(&mut self, source: impl Iterator<Item = (Nanos, Input)> + Clone + Send + 'static) {
        self.inputs.feed(Box::new(source));
    }

    /// Takes the next event. Returns its instant, or `None` when nothing will ever happen again.
    pub fn step(&mut self) -> Option<Nanos> {
        self.step_by(Nanos(u64::MAX))
    }

    /// Takes the next event if it is at `latest` or before.
    pub fn step_by(&mut self, latest: Nanos) -> Option<Nanos> {
        let (at, word) = self.next_event().filter(|(at, _)| *at <= latest)?;
        self.events.take((at, word));
        let event = Event::from_word(word);
        self.settle(at, event);
        self.now = at;
        self.handle(event);
        Some(at)
    }

    /// Takes events until nothing will ever happen again.
    pub fn run(&mut self) {
        while self.step().is_some() {}
    }

    /// The present.
    pub fn now(&self) -> Nanos {
        self.now
    }

    /// The cluster, to look at.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The cluster and the sink, when their time is over.
    pub fn into_parts(self) -> (Cluster, S) {
        (self.cluster, self.sink)
    }

    /// Where the results go.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// What the units have cost.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Transfers that share links now, their setups not counted.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// Time that a unit has spent in steps that have ended, in [`Ticks`]. What a lost unit had begun does not count.
    pub fn busy(&self, unit: UnitId) -> u128 {
        self.units.get(unit.index()).map_or(0, |here| here.busy)
    }

    /// The instant and the word of the next event.
    fn next_event(&self) -> Option<(Nanos, u64)> {
        let mut next = self.ends.first().map(|(at, unit)| (at, Event::StepEnds(unit).word()));
        let mut offer = |entry: (Nanos, u64)| {
            if next.is_none_or(|next| entry < next) {
                next = Some(entry);
            }
        };
        if let Some(entry) = self.events.first() {
            offer(entry);
        }
        if let Some((at, id)) = self.links.next() {
            offer((at, Event::TransferEnds(id).word()));
        }
        if let Some(at) = self.inputs.next() {
            offer((at.max(self.now), Event::FED.word()));
        }
        if let Some(due) = self.cluster.next_deadline() {
            offer((due.max(self.now), Event::Deadline.word()));
        }
        next
    }

    fn handle(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::StepEnds(unit) => {
                let steps = self.units[unit.index()].run.map_or(1, |run| run.steps);
                self.advance(unit, steps);
                self.start(now, unit);
                // Everything that came of it is delivered.
                return;
            }
            Event::TransferReady(id) => self.transfer_is_ready(now, id),
            Event::TransferEnds(id) => self.end_transfer(now, id),
            Event::Switched(unit) => self.cluster.role_switched(now, unit, &mut self.outbox),
            Event::Warmed(unit) => self.cluster.role_warmed(now, unit, &mut self.outbox),
            Event::Deadline => self.cluster.deadline(now, &mut self.outbox),
            Event::Input(number) => {
                if let Some(input) = self.inputs.take(number) {
                    self.take(now, input);
                }
            }
        }
        self.deliver(now);
    }

    fn take(&mut self, now: Nanos, input: Input) {
        match input {
            Input::Arrive(arrival) => {
                let request = arrival.request;
                if let Err(refused) = self.cluster.arrive(now, arrival, &mut self.outbox) {
                    self.sink.refused(now, request, refused);
                }
            }
            Input::Cancel(request) => self.cluster.cancel(now, request, &mut self.outbox),
            Input::Shift(to, how) => {
                if let Err(refused) = self.cluster.shift(now, to, how, &mut self.outbox) {
                    self.sink.shift_refused(now, refused);
                }
            }
            Input::Fail(unit) => {
                self.cluster.unit_failed(now, unit, &mut self.outbox);
                if let Some(here) = self.units.get_mut(unit.index()) {
                    here.run = None;
                    self.ends.clear(unit);
                }
            }
        }
    }

    /// The first `steps` of the unit's run have ended. It is to be [started](Self::start) again.
    fn advance(&mut self, unit: UnitId, steps: u32) {
        let here = &mut self.units[unit.index()];
        let Some(run) = here.run.take().map(|run| run.first(steps)) else { return };
        let ticks = run.ticks();
        let end = run.started.after(ticks);
        here.free = end;
        here.last_step = end.nanos.since(run.end_of(steps - 1).nanos);
        here.busy += ticks;
        self.cluster.advance(end.nanos, unit, steps, StepReport::default(), &mut self.outbox);
        self.sink.stepped(&run);
        if !self.outbox.emissions.is_empty() {
            let mut planned = self.units[unit.index()].plan.sequences.iter();
            for emission in self.outbox.emissions.drain(..) {
                // The batch emits in the order of the plan, a token a step; what follows was held back until now.
                let stepwise = steps > 1 && planned.any(|sequence| sequence.request == emission.request);
                self.sink.emitted(Emitted { at: end.nanos, steps: stepwise.then_some(run), emission });
            }
        }
        self.deliver(end.nanos);
    }

    /// The first `steps` of the unit's run have ended, and it goes on. False where that takes an `advance`.
    fn pass(&mut self, unit: UnitId, steps: u32) -> bool {
        if S::EVERY_TOKEN {
            return false;
        }
        let passed = self.cluster.pass(unit, steps);
        let here = &mut self.units[unit.index()];
        if let Some(run) = here.run.as_mut().filter(|_| passed) {
            let first = run.split_off(steps);
            here.busy += first.ticks();
            self.sink.stepped(&first);
        }
        passed
    }

    fn start(&mut self, now: Nanos, unit: UnitId) {
        let most = if self.pace == Pace::Bulk { u32::MAX } else { 1 };
        let here = &mut self.units[unit.index()];
        if here.run.is_some() {
            return;
        }
        if !self.cluster.start_step(now, unit, most, &mut here.plan) {
            self.ends.clear(unit);
            return;
        }
        // Right behind the step before, or at the instant that woke it.
        let started = if here.free.nanos == now { here.free } else { Moment::at(now) };
        let role = self.cluster.role(unit);
        let mut line = self.timing.step(role, &here.plan.shape);
        // Whenever a role changes all runs are cut, so that the number of units is right for all of a run.
        let replicas = self.timing.replicas().filter(|_| role == Role::Aggregated);
        if let Some(replicas) = replicas.filter(|replicas| self.cluster.units_with(role) >= replicas.from) {
            line.base = Ticks(line.base.0.saturating_add(replicas.overhead.0));
        }
        let run = StepRun::new((unit, role), started, here.plan.repeat, here.plan.shape, line);
        self.set_run(unit, run);
    }

    /// The unit computes `run` from now on, or what is left of it.
    fn set_run(&mut self, unit: UnitId, run: StepRun) {
        self.ends.set(unit, run.end().nanos);
        self.units[unit.index()].run = Some(run);
    }

    /// Only the step in flight is left of a unit's run.
    fn cut(&mut self, unit: UnitId) {
        if let Some(run) = self.units[unit.index()].run.as_mut().filter(|run| run.steps > 1) {
            run.steps = 1;
            let end = run.end().nanos;
            self.ends.set(unit, end);
        }
    }

    /// Carries out what the cluster has asked for.
    fn deliver(&mut self, now: Nanos) {
        if !self.outbox.emissions.is_empty() {
            for emission in self.outbox.emissions.drain(..) {
                self.sink.emitted(Emitted { at: now, steps: None, emission });
            }
        }
        if !self.outbox.finished.is_empty() {
            for finished in self.outbox.finished.drain(..) {
                self.sink.finished(now, finished);
            }
        }
        if !self.outbox.notices.is_empty() {
            for notice in self.outbox.notices.drain(..) {
                if let Notice::Unit { unit, role, state, .. } = notice {
                    self.ledger.record(now, unit, role, state.into());
                }
                self.sink.noticed(now, notice);
            }
        }
        // What follows fills the outbox no more but for units that are woken, after which nothing is left to do.
        while let Some(transfer) = pop_first(&mut self.outbox.transfers) {
            self.start_transfer(now, &transfer);
        }
        while let Some(id) = pop_first(&mut self.outbox.aborted) {
            self.stop_transfer(now, id);
        }
        while let Some(role) = pop_first(&mut self.outbox.roles) {
            self.change_role(now, role);
        }
        while let Some(unit) = self.outbox.cut.pop() {
            self.cut(unit);
        }
        while let Some(unit) = pop_first(&mut self.outbox.wake) {
            self.start(now, unit);
        }
    }

    fn change_role(&mut self, now: Nanos, role: RoleCommand) {
        let (takes, event) = match role {
            RoleCommand::Switch { unit, to } => {
                (self.timing.switch(self.cluster.role(unit), to), Event::Switched(unit))
            }
            RoleCommand::Restart { unit, to } => (self.timing.restart(to), Event::Switched(unit)),
            RoleCommand::Warm { unit } => (self.timing.warm(self.cluster.target(unit)), Event::Warmed(unit)),
        };
        self.events.push(now + takes, event);
    }
}

/// Takes the first of a list that hardly ever has more than one.
fn pop_first<T>(list: &mut Vec<T>) -> Option<T> {
    match list.len() {
        0 => None,
        1 => list.pop(),
        _ => Some(list.remove(0)),
    }
}
