//! A driver whose time jumps from event to event.
//!
//! Steps, transfers and role changes take what [`Costs`] says; everything else is decided by the [`Cluster`]. Events at one
//! instant are taken in a fixed order: steps by unit, transfers by number, roles by unit, drain timeouts, then inputs as they
//! were scheduled. Decode steps that cannot change are applied in bulk; [`Pace::SingleSteps`] takes them one by one, with
//! the same result.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::cluster::{
    Arrival, BlockHash, Cluster, Emission, Finished, How, Notice, Outbox, Refused, RoleCommand, ShiftReport, StepPlan,
    StepReport, TransferId,
};
use crate::units::{Nanos, RequestId, Split, UnitId};

/// How long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// Every step, whatever it computes.
    pub step: Nanos,
    /// Each token of a step.
    pub token: Nanos,
    /// Every transfer.
    pub transfer: Nanos,
    /// Each block of a transfer.
    pub block: Nanos,
    /// Changing a role.
    pub switch: Nanos,
    /// Warming up in a new role.
    pub warm: Nanos,
}

/// Whether steps that cannot change are taken at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// As many steps at once as the plan allows.
    #[default]
    Bulk,
    /// Every step by itself.
    SingleSteps,
}

/// Something that happens to the cluster from outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// A request arrives.
    Arrive(Arrival),
    /// A client goes.
    Cancel(RequestId),
    /// A shift is asked for.
    Shift(Split, How),
    /// A unit is lost.
    Fail(UnitId),
}

/// Tokens that were emitted, `gap` apart; the last of them at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// When the last token was emitted.
    pub at: Nanos,
    /// The time between two of them.
    pub gap: Nanos,
    /// Whose and which.
    pub emission: Emission,
}

impl Emitted {
    /// Every token with its instant: request, index in the answer, unit.
    pub fn tokens(self) -> impl Iterator<Item = (Nanos, RequestId, u32, UnitId)> {
        let Emission { request, first, count, unit } = self.emission;
        (0..count).map(move |token| {
            let before = self.gap.0.saturating_mul(u64::from(count - 1 - token));
            (self.at - Nanos(before), request, first + token, unit)
        })
    }
}

/// What came of it, in the order in which the driver learnt it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// Tokens.
    pub emitted: Vec<Emitted>,
    /// Requests that are over.
    pub finished: Vec<(Nanos, Finished)>,
    /// Shifts that ended.
    pub shifts: Vec<ShiftReport>,
    /// All other notices.
    pub notices: Vec<(Nanos, Notice)>,
    /// Requests that were not accepted.
    pub refused: Vec<(Nanos, RequestId, Refused)>,
    /// Shifts that were not accepted.
    pub shifts_refused: u32,
}

/// What happens next. The order of the variants is the order at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    StepEnds(UnitId),
    TransferEnds(TransferId),
    Switched(UnitId),
    Warmed(UnitId),
    Deadline,
    Input(u64),
}

/// Steps that a unit computes one after another.
#[derive(Clone, Copy, Debug)]
struct Run {
    started: Nanos,
    cost: Nanos,
    steps: u32,
}

impl Run {
    fn end(self) -> Nanos {
        self.started + Nanos(self.cost.0.saturating_mul(u64::from(self.steps)))
    }
}

/// A cluster in virtual time.
#[derive(Debug)]
pub struct VirtualDriver {
    cluster: Cluster,
    costs: Costs,
    pace: Pace,
    now: Nanos,
    events: BinaryHeap<Reverse<(Nanos, Event)>>,
    inputs: BTreeMap<u64, Input>,
    scheduled: u64,
    runs: Vec<Option<Run>>,
    plans: Vec<StepPlan>,
    filled: Vec<(RequestId, u32, BlockHash)>,
    outbox: Outbox,
    log: Log,
}

/// The hash that this driver gives to a block of generated tokens: a function of the request and the index of the block in its
/// sequence, so that the prompt of a later turn can name it.
pub fn generated_hash(request: RequestId, block: u32) -> BlockHash {
    let mixed = (request.0 ^ 0x6765_6e65_7261_7465).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    BlockHash((mixed ^ u64::from(block)).wrapping_mul(0xd6e8_feb8_6659_fd93))
}

impl VirtualDriver {
    /// Drives a cluster to which nothing has happened yet.
    pub fn new(cluster: Cluster, costs: Costs, pace: Pace) -> Self {
        let units = usize::from(cluster.units());
        Self {
            cluster,
            // A step without length would end before it began to matter.
            costs: Costs { step: Nanos(costs.step.0.max(1)), ..costs },
            pace,
            now: Nanos::ZERO,
            events: BinaryHeap::new(),
            inputs: BTreeMap::new(),
            scheduled: 0,
            runs: vec![None; units],
            plans: (0..units).map(|_| StepPlan::new()).collect(),
            filled: Vec::new(),
            outbox: Outbox::default(),
            log: Log::default(),
        }
    }

    /// Schedules something; at one instant in the order of scheduling. The past is now.
    pub fn schedule(&mut self, at: Nanos, input: Input) {
        self.inputs.insert(self.scheduled, input);
        self.events.push(Reverse((at.max(self.now), Event::Input(self.scheduled))));
        self.scheduled += 1;
    }

    /// Takes the next event. Returns its instant, or `None` when nothing will ever happen again.
    pub fn step(&mut self) -> Option<Nanos> {
        loop {
            let next = self.events.peek().map(|Reverse(next)| *next);
            let deadline = self.cluster.next_deadline().map(|due| (due.max(self.now), Event::Deadline));
            let (at, event) = match (next, deadline) {
                (Some(next), Some(deadline)) => next.min(deadline),
                (next, deadline) => next.or(deadline)?,
            };
            if event != Event::Deadline {
                self.events.pop();
            }
            if let Event::StepEnds(unit) = event
                && self.runs[unit.index()].is_none_or(|run| run.end() != at)
            {
                // The run was cut short after this was scheduled.
                continue;
            }
            self.settle(at, event);
            self.now = at;
            self.handle(event);
            return Some(at);
        }
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

    /// The cluster, when its time is over.
    pub fn into_cluster(self) -> Cluster {
        self.cluster
    }

    /// What has come of it so far.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Hands out the log and starts a new one.
    pub fn take_log(&mut self) -> Log {
        std::mem::take(&mut self.log)
    }

    fn handle(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::StepEnds(unit) => {
                let steps = self.runs[unit.index()].map_or(1, |run| run.steps);
                self.advance(now, unit, steps);
                self.start(now, unit);
            }
            Event::TransferEnds(id) => self.cluster.transfer_done(now, id, &mut self.outbox),
            Event::Switched(unit) => self.cluster.role_switched(now, unit, &mut self.outbox),
            Event::Warmed(unit) => self.cluster.role_warmed(now, unit, &mut self.outbox),
            Event::Deadline => self.cluster.deadline(now, &mut self.outbox),
            Event::Input(number) => {
                if let Some(input) = self.inputs.remove(&number) {
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
                    self.log.refused.push((now, request, refused));
                }
            }
            Input::Cancel(request) => self.cluster.cancel(now, request, &mut self.outbox),
            Input::Shift(to, how) => {
                let refused = self.cluster.shift(now, to, how, &mut self.outbox).is_err();
                self.log.shifts_refused += u32::from(refused);
            }
            Input::Fail(unit) => {
                self.cluster.unit_failed(now, unit, &mut self.outbox);
                if let Some(run) = self.runs.get_mut(unit.index()) {
                    *run = None;
                }
            }
        }
    }

    /// Applies the steps that ended before `event` at `at` on all units that the event reads, and leaves the one in flight.
    fn settle(&mut self, at: Nanos, event: Event) {
        for index in 0..self.runs.len() {
            let unit = UnitId(index as u16);
            let Some(run) = self.runs[index].filter(|run| run.steps > 1) else { continue };
            let arrives =
                matches!(event, Event::Input(number) if matches!(self.inputs.get(&number), Some(Input::Arrive(_))));
            let own = event == Event::StepEnds(unit);
            if own || (arrives && !self.cluster.unit_figures(unit).role.can_prefill()) {
                continue;
            }
            let elapsed = at.since(run.started).0;
            let mut ended = elapsed / run.cost.0;
            if elapsed.is_multiple_of(run.cost.0) && ended > 0 && Event::StepEnds(unit) > event {
                ended -= 1;
            }
            let ended = u32::try_from(ended).unwrap_or(u32::MAX).min(run.steps);
            if ended > 0 {
                let boundary = run.started + Nanos(run.cost.0 * u64::from(ended));
                self.advance(boundary, unit, ended);
                self.start(boundary, unit);
            }
            if let Some(run) = &mut self.runs[index] {
                run.steps = 1;
                self.events.push(Reverse((run.end(), Event::StepEnds(unit))));
            }
        }
    }

    fn advance(&mut self, now: Nanos, unit: UnitId, steps: u32) {
        let Some(run) = self.runs[unit.index()].take() else { return };
        if self.cluster.config().prefix_cache {
            self.find_filled(unit, steps);
        }
        let report = StepReport { stopped: &[], filled: &self.filled };
        self.cluster.advance(now, unit, steps, report, &mut self.outbox);
        self.filled.clear();
        let mut planned = self.plans[unit.index()].sequences.iter();
        for emission in self.outbox.emissions.drain(..) {
            // The batch emits in the order of the plan, a token a step; what follows was held back until now.
            let stepwise = steps > 1 && planned.any(|sequence| sequence.request == emission.request);
            let gap = if stepwise { run.cost } else { Nanos::ZERO };
            self.log.emitted.push(Emitted { at: now, gap, emission });
        }
        self.deliver(now);
    }

    /// Lists the blocks that decoding sequences have filled, in the order of the steps.
    fn find_filled(&mut self, unit: UnitId, steps: u32) {
        let size = self.cluster.config().block_tokens;
        for step in 1..=steps {
            for sequence in &self.plans[unit.index()].sequences {
                let end = sequence.start + sequence.tokens * step;
                if sequence.tokens == 1 && sequence.output_index > 0 && end.is_multiple_of(size) {
                    let block = end / size - 1;
                    self.filled.push((sequence.request, block, generated_hash(sequence.request, block)));
                }
            }
        }
    }

    fn start(&mut self, now: Nanos, unit: UnitId) {
        let most = if self.pace == Pace::Bulk { u32::MAX } else { 1 };
        let plan = &mut self.plans[unit.index()];
        if self.runs[unit.index()].is_some() || !self.cluster.start_step(now, unit, most, plan) {
            return;
        }
        let cost = self.costs.step + Nanos(self.costs.token.0 * u64::from(plan.tokens()));
        let run = Run { started: now, cost, steps: plan.repeat };
        self.runs[unit.index()] = Some(run);
        self.events.push(Reverse((run.end(), Event::StepEnds(unit))));
    }

    /// Carries out what the cluster has asked for.
    fn deliver(&mut self, now: Nanos) {
        let mut out = std::mem::take(&mut self.outbox);
        for emission in out.emissions.drain(..) {
            self.log.emitted.push(Emitted { at: now, gap: Nanos::ZERO, emission });
        }
        self.log.finished.extend(out.finished.drain(..).map(|finished| (now, finished)));
        for notice in out.notices.drain(..) {
            match notice {
                Notice::ShiftEnded(report) => self.log.shifts.push(report),
                other => self.log.notices.push((now, other)),
            }
        }
        for transfer in out.transfers.drain(..) {
            let blocks: u64 = transfer.source.iter().map(|extent| u64::from(extent.blocks)).sum();
            let takes = self.costs.transfer + Nanos(self.costs.block.0 * blocks);
            self.events.push(Reverse((now + takes, Event::TransferEnds(transfer.id))));
        }
        for role in out.roles.drain(..) {
            let (takes, event) = match role {
                RoleCommand::Switch { unit, .. } => (self.costs.switch, Event::Switched(unit)),
                RoleCommand::Warm { unit } => (self.costs.warm, Event::Warmed(unit)),
            };
            self.events.push(Reverse((now + takes, event)));
        }
        let mut wake = std::mem::take(&mut out.wake);
        out.clear();
        self.outbox = out;
        for unit in wake.drain(..) {
            self.start(now, unit);
        }
        self.outbox.wake = wake;
    }
}
