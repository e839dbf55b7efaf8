//! How a shift by way of a control plane goes, step by step: the pure part, which is told what was seen and says what to do.
//!
//! ```text
//!   step: call ──► taken? ──► seen to be wanted ──► goal seen ──► next step … ──► all is as asked: converged
//!            │         │ nobody knows: as if taken       │
//!            ▼ refused  ▼ not wanted within 30 s          ▼ trouble, or not there in time
//!          back: what was done is undone, in reverse order, by the same rules
//! ```
//!
//! Who changes what is wanted while a shift goes on, or afterwards, is somebody else: then the shift is given up as it stands,
//! since to undo it would be to fight.

mod roster;

use std::collections::VecDeque;
use std::time::Duration;

use engine::cluster::{How, ShiftId, ShiftReport};
use engine::units::{Nanos, Split};

use super::plane::{Action, CallError, MemberState, Plan, Topology};
use crate::target::{ClusterView, TargetEvent};
use crate::time::Micros;
use roster::Roster;

/// How long it may take until a call that was answered is seen to be taken in.
const TAKEN_IN: Micros = Micros(30_000_000);
/// How long nobody may answer, in the middle of a shift, before the shift is given up.
const UNSEEN: Micros = Micros(60_000_000);

/// What is known, what is under way, and what waits.
#[derive(Debug)]
pub(super) struct Conduct<C> {
    roster: Roster,
    /// As last seen.
    topology: Topology,
    /// What was last known to be wanted: as we asked for, or as somebody else did and was told of.
    wanted: Option<Split>,
    running: Option<Running<C>>,
    waiting: VecDeque<Waiting>,
    next: u64,
    /// How long a step may take to come true.
    patience: Micros,
    /// Since when nobody answers.
    unseen: Option<Micros>,
}

/// A shift that was accepted and waits for its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) id: ShiftId,
    pub(super) to: Split,
    pub(super) how: How,
}

impl Waiting {
    /// It will not run.
    pub(super) fn dropped(self, why: String, now: Micros) -> TargetEvent {
        let Self { id, to, how } = self;
        TargetEvent::ShiftDropped { at: now, id, to, how, why }
    }
}

#[derive(Debug)]
struct Running<C> {
    order: Waiting,
    plan: Plan<C>,
    begun: Micros,
    /// From the beginning to the last time that a unit was seen to drain.
    drain: Micros,
    /// Which step is under way.
    step: usize,
    way: Way,
    stage: Stage,
}

#[derive(Debug)]
enum Way {
    Forth,
    /// What was done is undone, for this reason.
    Back(String),
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// The call is to be made.
    Call,
    /// The call was made at `since`; `taken` once it was seen to be.
    Await { since: Micros, taken: bool },
}

/// What comes of something that was seen.
#[derive(Debug)]
pub(super) struct Turn<C> {
    /// To be told.
    pub(super) events: Vec<TargetEvent>,
    /// To be called next; its answer goes to [`Conduct::answered`].
    pub(super) call: Option<Action<C>>,
}

impl<C: Clone> Conduct<C> {
    /// Begins with what was seen first.
    pub(super) fn new(first: Topology, patience: Duration, now: Micros) -> Self {
        let mut roster = Roster::default();
        roster.see(&first, false, now);
        Self {
            roster,
            wanted: first.wanted,
            topology: first,
            running: None,
            waiting: VecDeque::new(),
            next: 0,
            patience: Micros(u64::try_from(patience.as_micros()).unwrap_or(u64::MAX)),
            unseen: None,
        }
    }

    /// The cluster as the run sees it.
    pub(super) fn view(&self, now: Micros) -> ClusterView {
        self.roster.view(self.waiting.iter().map(|waiting| (waiting.to, waiting.how)).collect(), now)
    }

    /// Whether a shift is under way.
    pub(super) fn is_shifting(&self) -> bool {
        self.running.is_some()
    }

    /// A shift is asked for: it waits for its turn.
    pub(super) fn accept(&mut self, to: Split, how: How, now: Micros) -> TargetEvent {
        let id = ShiftId(self.next);
        self.next += 1;
        self.waiting.push_back(Waiting { id, to, how });
        TargetEvent::ShiftAccepted { at: now, id, to, how }
    }

    /// Takes the next that waits, when its turn has come. It is begun or dropped by the caller.
    pub(super) fn take_next(&mut self) -> Option<Waiting> {
        if self.running.is_some() { None } else { self.waiting.pop_front() }
    }

    /// A shift begins as planned.
    pub(super) fn begin(&mut self, order: Waiting, plan: Plan<C>, now: Micros) -> Turn<C> {
        let Waiting { id, to, how } = order;
        let mut events = vec![TargetEvent::ShiftStarted { at: now, id, to, how }];
        events.extend(plan.remarks.iter().map(|text| TargetEvent::Remark { at: now, text: text.clone() }));
        self.running = Some(Running {
            order,
            plan,
            begun: now,
            drain: Micros::ZERO,
            step: 0,
            way: Way::Forth,
            stage: Stage::Call,
        });
        self.go_on(events, now)
    }

    /// Everything that is known was seen just now.
    pub(super) fn saw(&mut self, topology: Topology, now: Micros) -> Turn<C> {
        self.topology = topology;
        self.unseen = None;
        let mut events = self.roster.see(&self.topology, self.running.is_some(), now);
        if self.running.is_none() {
            events.extend(self.others(now));
        }
        self.go_on(events, now)
    }

    /// What others have done while nothing of ours was under way.
    fn others(&mut self, now: Micros) -> Option<TargetEvent> {
        let (before, wanted) = (self.wanted?, self.topology.wanted?);
        self.wanted = Some(wanted);
        (before != wanted).then(|| TargetEvent::Remark {
            at: now,
            text: format!("somebody else changed the split that is wanted from {before} to {wanted}: an autoscaler, or another operator"),
        })
    }

    /// Nobody answered.
    pub(super) fn unseen(&mut self, why: &str, now: Micros) -> Turn<C> {
        let since = *self.unseen.get_or_insert(now);
        let mut turn = Turn { events: Vec::new(), call: None };
        if now.since(since) >= UNSEEN && self.running.is_some() {
            let seconds = UNSEEN.0 / 1_000_000;
            let account = self.topology.account();
            self.end(
                Some(format!("nobody has answered for {seconds} s ({why}); when last seen: {account}")),
                now,
                &mut turn.events,
            );
        }
        turn
    }

    /// The call was answered.
    pub(super) fn answered(&mut self, answer: Result<(), CallError>, now: Micros) -> Turn<C> {
        let mut events = Vec::new();
        if let Some(running) = &mut self.running {
            match answer {
                Ok(()) => running.stage = Stage::Await { since: now, taken: false },
                Err(error @ CallError::Unclear(_)) => {
                    running.stage = Stage::Await { since: now, taken: false };
                    events.push(TargetEvent::Remark { at: now, text: error.to_string() });
                }
                // Nothing of this step is there to be undone.
                Err(CallError::Refused(why)) => return self.fail(why, false, events, now),
            }
        }
        Turn { events, call: None }
    }

    /// What comes next by what is seen.
    fn go_on(&mut self, mut events: Vec<TargetEvent>, now: Micros) -> Turn<C> {
        loop {
            let Some(running) = &mut self.running else { return Turn { events, call: None } };
            if self.topology.members.iter().any(|member| member.state == MemberState::Stopping) {
                running.drain = now.since(running.begun);
            }
            let Some(action) = running.action().cloned() else {
                let failed = match &running.way {
                    Way::Forth => None,
                    Way::Back(why) if running.is_over() => {
                        Some(format!("{why}; rolled back to {}", self.topology.serving()))
                    }
                    Way::Back(why) => {
                        Some(format!("{why}; it cannot be undone, and is left as it is: {}", self.topology.account()))
                    }
                };
                self.end(failed, now, &mut events);
                continue;
            };
            let (since, taken) = match running.stage {
                Stage::Call => return Turn { events, call: Some(action) },
                Stage::Await { since, taken } => (since, taken),
            };
            let waited = now.since(since);
            let wants = action.wants.filter(|_| self.topology.wanted.is_some());
            let is_wanted = wants.is_none_or(|wants| self.topology.wanted == Some(wants));
            if taken && !is_wanted {
                let wanted = self.topology.wanted.map(|wanted| wanted.to_string()).unwrap_or_default();
                let account = self.topology.account();
                self.wanted = self.topology.wanted;
                let why = format!(
                    "somebody else changed what is wanted to {wanted} meanwhile, an autoscaler or another operator; left as it is: {account}"
                );
                self.end(Some(why), now, &mut events);
                continue;
            }
            running.stage = Stage::Await { since, taken: is_wanted };
            if is_wanted && action.goal.is_met(&self.topology) {
                running.advance();
                continue;
            }
            let trouble = self.topology.trouble.clone().filter(|_| is_wanted || waited >= TAKEN_IN);
            let why = if let Some(trouble) = trouble {
                trouble
            } else if !is_wanted && waited >= TAKEN_IN {
                format!("`{}` was answered, and has changed nothing within {} s", action.says, TAKEN_IN.0 / 1_000_000)
            } else if waited >= self.patience {
                format!("`{}` has not come true within {} s", action.says, self.patience.0 / 1_000_000)
            } else {
                return Turn { events, call: None };
            };
            return self.fail(why, true, events, now);
        }
    }

    /// A step has failed; `done` when there may be something of it to undo.
    fn fail(&mut self, why: String, done: bool, mut events: Vec<TargetEvent>, now: Micros) -> Turn<C> {
        let Some(running) = &mut self.running else { return Turn { events, call: None } };
        if let Way::Back(first) = &running.way {
            let account = self.topology.account();
            let why = format!("{first}; rolling back has failed, too: {why}; left as it is: {account}");
            self.end(Some(why), now, &mut events);
            return Turn { events, call: None };
        }
        running.way = Way::Back(why);
        running.stage = Stage::Call;
        if !done && !running.back_one() {
            // The first call was refused: nothing has been done at all.
            let Some(Running { way: Way::Back(why), .. }) = &self.running else { return Turn { events, call: None } };
            let why = why.clone();
            self.end(Some(why), now, &mut events);
        }
        self.go_on(events, now)
    }

    /// The shift that is under way is over.
    fn end(&mut self, abandoned: Option<String>, now: Micros, events: &mut Vec<TargetEvent>) {
        let Some(Running { order: Waiting { id, to, how }, plan, begun, drain, .. }) = self.running.take() else {
            return;
        };
        events.extend(self.roster.close(now));
        self.wanted = self.topology.wanted;
        let nanos = |micros: Micros| Nanos(micros.0.saturating_mul(1000));
        let report = ShiftReport {
            id,
            from: plan.from,
            to,
            how,
            accepted: nanos(begun),
            drain: nanos(drain),
            total: nanos(now.since(begun)),
            in_flight: 0,
            abandoned,
        };
        events.push(TargetEvent::ShiftEnded { at: now, report });
    }
}

impl<C> Running<C> {
    /// What is under way; `None` when there is nothing left to do.
    fn action(&self) -> Option<&Action<C>> {
        let step = self.plan.steps.get(self.step)?;
        match self.way {
            Way::Forth => Some(&step.forth),
            Way::Back(_) => step.back.as_ref(),
        }
    }

    /// Whether every step has come true, or has been undone.
    fn is_over(&self) -> bool {
        self.step >= self.plan.steps.len()
    }

    /// A step has come true.
    fn advance(&mut self) {
        self.stage = Stage::Call;
        match self.way {
            Way::Forth => self.step += 1,
            Way::Back(_) => {
                if !self.back_one() {
                    self.step = usize::MAX;
                }
            }
        }
    }

    /// To the step before; `false` where there is none.
    fn back_one(&mut self) -> bool {
        match self.step.checked_sub(1) {
            Some(before) => {
                self.step = before;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests;
