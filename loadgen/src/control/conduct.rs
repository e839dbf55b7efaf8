//! How a shift by way of a control plane goes, step by step: the pure part, which is told what was seen and says what to do.
//!
//! ```text
//!   step: call ──► taken? ──► seen to be wanted ──► goal seen ──► next step … ──► all is as asked: converged
//!            │         │ nobody knows: as if taken       │
//!            ▼ refused  ▼ not wanted within 30 s          ▼ trouble of its own, or not there in time
//!          back: what was done is undone, in reverse order
//! ```
//!
//! On the way back nothing is given up before its time: a call that is refused, or has changed nothing, is made again, and no
//! trouble counts, since to stop half-way would leave a unit out.
//!
//! Who changes what is wanted while a shift goes on, or afterwards, is somebody else: then the shift is given up as it stands,
//! since to undo it would be to fight. So it is when a call meets what somebody else has done, on the way forth and back alike: it
//! ends with the next look, which shows how all units stand by then.

mod roster;
mod running;

use std::collections::VecDeque;
use std::time::Duration;

use engine::cluster::{How, ShiftId, ShiftReport};
use engine::units::{Nanos, Split, UnitId};

use super::plane::{Action, CallError, MemberState, Plan, Topology};
use crate::target::{ClusterView, TargetEvent};
use crate::time::Micros;
use roster::Roster;
pub(super) use roster::UnitNames;
use running::{End, Running, Stage, Step, Way};

/// How long it may take until a call that was answered is seen to be taken in.
const TAKEN_IN: Micros = Micros(30_000_000);
/// How long trouble from before a shift may last after a call, which may be what ends it.
const STANDING: Micros = Micros(60_000_000);
/// How long nobody may answer before a shift that is under way, or waits, is given up.
const UNSEEN: Micros = Micros(60_000_000);
/// How long nobody may answer before that is said: a look or two that fail are soon made again.
const SILENCE: Micros = Micros(5_000_000);
/// Shifts that may wait for their turn; one more is refused.
pub(super) const ORDERS: usize = 16;

/// What is known, what is under way, and what waits.
#[derive(Debug)]
pub(super) struct Conduct<C> {
    roster: Roster,
    /// As last seen.
    topology: Topology,
    /// What was last known to be wanted: as we asked for, or as somebody else did and was told of.
    wanted: Option<Split>,
    /// What had been told to the control plane when nothing of ours was under way any more.
    generation: Option<u64>,
    /// From where to where the last shift led, if it came true.
    shifted: Option<(Split, Split)>,
    running: Option<Running<C>>,
    waiting: VecDeque<Waiting>,
    next: u64,
    /// How long a step may take to come true.
    patience: Micros,
    /// When all was last seen.
    seen: Micros,
    /// Since when nobody answers.
    unseen: Option<Micros>,
    /// It was said that nobody does.
    said_unseen: bool,
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
        roster.see(&first, |_| false, now);
        Self {
            roster,
            wanted: first.wanted,
            generation: first.generation,
            shifted: None,
            topology: first,
            running: None,
            waiting: VecDeque::new(),
            next: 0,
            patience: Micros(u64::try_from(patience.as_micros()).unwrap_or(u64::MAX)),
            seen: now,
            unseen: None,
            said_unseen: false,
        }
    }

    /// The cluster as the run sees it.
    pub(super) fn view(&self, now: Micros) -> ClusterView {
        self.roster.view(self.waiting.iter().map(|waiting| (waiting.to, waiting.how)).collect(), now)
    }

    /// As last seen.
    pub(super) fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Places that nobody has taken, once all that is wanted serves without them.
    pub(super) fn vacated(&self) -> Vec<UnitId> {
        let complete = self.topology.is(self.topology.wanted.unwrap_or_else(|| self.topology.serving()));
        if complete && self.running.is_none() { self.roster.vacated() } else { Vec::new() }
    }

    /// Which units are meant by which names.
    pub(super) fn names(&self) -> UnitNames {
        self.roster.names()
    }

    /// What there is to say of the shift that is under way, if it is left as it is now.
    pub(super) fn half_way(&self) -> Option<String> {
        let Running { order, plan, .. } = self.running.as_ref()?;
        let account = self.topology.account();
        Some(format!("the shift from {} to {} is left half-way: {account}", plan.from, order.to))
    }

    /// Whether a shift is under way.
    pub(super) fn is_shifting(&self) -> bool {
        self.running.is_some()
    }

    /// A shift is asked for: it waits for its turn, where there is room.
    pub(super) fn accept(&mut self, to: Split, how: How, now: Micros) -> TargetEvent {
        if self.waiting.len() >= ORDERS {
            return TargetEvent::ShiftRefused { at: now, to, how, why: format!("{ORDERS} shifts wait already") };
        }
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
        // Where nothing is called, nothing ends it.
        let standing = if plan.steps.is_empty() { Vec::new() } else { self.topology.troubles.clone() };
        self.running = Some(Running::new(order, plan, standing, now));
        self.go_on(events, now)
    }

    /// Everything that is known was seen just now.
    pub(super) fn saw(&mut self, topology: Topology, now: Micros) -> Turn<C> {
        self.topology = topology;
        let back = self.back(now);
        if let Some(running) = &mut self.running {
            running.standing.retain(|trouble| self.topology.troubles.contains(trouble));
        }
        let running = self.running.as_ref();
        let moves = |name: &str| running.is_some_and(|running| running.moves(name));
        let mut events = Vec::from_iter(back);
        events.extend(self.roster.see(&self.topology, moves, now));
        if self.running.is_none() {
            events.extend(self.others(now));
        }
        self.go_on(events, now)
    }

    /// What others have done while nothing of ours was under way.
    fn others(&mut self, now: Micros) -> Option<TargetEvent> {
        let (before, wanted) = (self.wanted, self.topology.wanted);
        let (old, new) = (self.generation, self.topology.generation);
        (self.wanted, self.generation) = (wanted.or(before), new.or(old));
        let text = if let (Some(before), Some(wanted)) = (before, wanted)
            && before != wanted
        {
            let undone = if self.shifted == Some((wanted, before)) { ", which undoes the shift" } else { "" };
            let who = self.topology.others();
            format!("somebody else changed the split that is wanted from {before} to {wanted}{undone}: {who}")
        } else if let (Some(old), Some(new)) = (old, new)
            && old != new
        {
            format!(
                "somebody else told the control plane something (generation {old}, now {new}); the split is wanted as before"
            )
        } else {
            return None;
        };
        Some(TargetEvent::Remark { at: now, text })
    }

    /// Nobody answered.
    pub(super) fn unseen(&mut self, why: &str, now: Micros) -> Turn<C> {
        self.unseen.get_or_insert(now);
        let mut turn = Turn { events: Vec::new(), call: None };
        let silent = now.since(self.seen);
        if silent >= SILENCE && !self.said_unseen {
            self.said_unseen = true;
            let ago = seconds(silent);
            let text = format!("the control plane does not answer: {why}; the units are as they were seen {ago} ago");
            turn.events.push(TargetEvent::Remark { at: now, text });
        }
        if self.is_lost(now) {
            let (time, account) = (seconds(UNSEEN), self.topology.account());
            let why = format!("nobody has answered for {time} ({why}); when last seen: {account}");
            self.end(Some(why), now, &mut turn.events);
        }
        turn
    }

    /// Somebody answers, and that is news where it was said that nobody did.
    fn back(&mut self, now: Micros) -> Option<TargetEvent> {
        let silent = now.since(self.seen);
        (self.seen, self.unseen) = (now, None);
        std::mem::take(&mut self.said_unseen).then(|| {
            let text = format!("the control plane answers again, after {}", seconds(silent));
            TargetEvent::Remark { at: now, text }
        })
    }

    /// Whether nobody has answered for so long that no shift is waited for any more.
    pub(super) fn is_lost(&self, now: Micros) -> bool {
        self.unseen.is_some_and(|since| now.since(since) >= UNSEEN)
    }

    /// The call was answered.
    pub(super) fn answered(&mut self, answer: Result<(), CallError>, now: Micros) -> Turn<C> {
        let mut events = Vec::new();
        if !matches!(answer, Err(CallError::Unclear(_) | CallError::NotYet(_))) {
            self.seen = now;
        }
        let Some(running) = &mut self.running else { return Turn { events, call: None } };
        let said = match answer {
            Ok(()) => {
                running.stage = Stage::Await { since: now, taken: false };
                None
            }
            Err(error @ CallError::Unclear(_)) => {
                running.stage = Stage::Await { since: now, taken: false };
                Some(error.to_string())
            }
            Err(CallError::NotYet(why)) => running.hold(why, now),
            Err(CallError::Overtaken(why)) => {
                running.stage = Stage::Overtaken(why);
                None
            }
            Err(CallError::Refused(why) | CallError::Partly(why)) if matches!(running.way, Way::Back(_)) => {
                running.try_again(why, now)
            }
            Err(CallError::Partly(why)) => return self.fail(why, true, events, now),
            // Nothing of this step is there to be undone.
            Err(CallError::Refused(why)) => return self.fail(why, false, events, now),
            Err(CallError::Broken(why)) => {
                let account = self.topology.account();
                let why = format!("{why}; it cannot be undone, and is left as it is: {account}");
                self.end(Some(why), now, &mut events);
                None
            }
        };
        events.extend(said.map(|text| TargetEvent::Remark { at: now, text }));
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
                return self.come_to_an_end(events, now);
            };
            match running.judge(&action, &self.topology, self.patience, now) {
                Step::Call => return Turn { events, call: Some(action) },
                Step::Waits(said) => {
                    events.extend(said.map(|text| TargetEvent::Remark { at: now, text }));
                    return Turn { events, call: None };
                }
                Step::Done => running.advance(now),
                Step::Undone => {
                    let why = self.interfered();
                    self.end(Some(why), now, &mut events);
                }
                Step::Overtaken(why) => {
                    let first = match &running.way {
                        Way::Forth => String::new(),
                        Way::Back(first) => format!("{first}; it is not rolled back any further: "),
                    };
                    let why = format!("{first}{why}; left as it is: {}", self.topology.account());
                    self.end(Some(why), now, &mut events);
                }
                Step::Failed { why, done } => return self.fail(why, done, events, now),
            }
        }
    }

    /// No step is left to be made.
    fn come_to_an_end(&mut self, mut events: Vec<TargetEvent>, now: Micros) -> Turn<C> {
        let Some(running) = &self.running else { return Turn { events, call: None } };
        let (from, to) = (running.plan.from, running.order.to);
        let abandoned = match &running.way {
            Way::Forth => match running.outcome(&self.topology, self.patience, now) {
                End::Waits => return Turn { events, call: None },
                End::Failed(why) => return self.fail(why, true, events, now),
                End::Undone => Some(self.interfered()),
                End::Done => {
                    if !self.topology.is(to) {
                        let account = self.topology.account();
                        let text = format!("whoever was to move has, and not everybody else serves: {account}");
                        events.push(TargetEvent::Remark { at: now, text });
                    }
                    None
                }
            },
            Way::Back(why) if running.is_over() && self.topology.serving() == from => {
                Some(format!("{why}; rolled back to {from}"))
            }
            Way::Back(why) if running.is_over() => {
                let account = self.topology.account();
                Some(format!("{why}; rolled back, and what serves is not {from} as before: {account}"))
            }
            Way::Back(why) => {
                Some(format!("{why}; it cannot be undone, and is left as it is: {}", self.topology.account()))
            }
        };
        self.end(abandoned, now, &mut events);
        Turn { events, call: None }
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
        running.turn_back(why, now);
        let undone = !done || running.is_over();
        if undone && !running.back_one() {
            // Nothing has been done at all.
            let Some(Running { way: Way::Back(why), .. }) = &self.running else { return Turn { events, call: None } };
            let why = why.clone();
            self.end(Some(why), now, &mut events);
        }
        self.go_on(events, now)
    }

    /// What there is to say when somebody else has a hand in it.
    fn interfered(&self) -> String {
        let wanted = self.topology.wanted.map(|wanted| format!(" to {wanted}")).unwrap_or_default();
        let (who, account) = (self.topology.others(), self.topology.account());
        format!("somebody else changed what is wanted{wanted} meanwhile: {who}; left as it is: {account}")
    }

    /// The shift that is under way is over.
    fn end(&mut self, abandoned: Option<String>, now: Micros, events: &mut Vec<TargetEvent>) {
        let Some(Running { order: Waiting { id, to, how }, plan, begun, drain, .. }) = self.running.take() else {
            return;
        };
        events.extend(self.roster.close(now));
        (self.wanted, self.generation) = (self.topology.wanted, self.topology.generation);
        self.shifted = abandoned.is_none().then_some((plan.from, to));
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

fn seconds(time: Micros) -> String {
    format!("{} s", time.0 / 1_000_000)
}

#[cfg(test)]
mod moves;
#[cfg(test)]
mod tests;
