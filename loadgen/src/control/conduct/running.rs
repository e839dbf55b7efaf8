//! A shift that is under way: which step, on the way forth or back, and since when; and what has become of it.

use super::{STANDING, TAKEN_IN, Waiting, seconds};
use crate::control::plane::{Action, Goal, Plan, Topology, Trouble, Whose};
use crate::time::Micros;

/// How long a call that has come to nothing is left alone before it is made again, on the way back.
const AGAIN: Micros = Micros(5_000_000);

#[derive(Debug)]
pub(super) struct Running<C> {
    pub(super) order: Waiting,
    pub(super) plan: Plan<C>,
    pub(super) begun: Micros,
    /// From the beginning to the last time that a unit was seen to drain.
    pub(super) drain: Micros,
    /// Which step is under way, and since when.
    pub(super) step: usize,
    pub(super) since: Micros,
    pub(super) way: Way,
    pub(super) stage: Stage,
    /// Why the call has to be made again.
    not_yet: Option<String>,
    /// Before then it is not.
    resume: Micros,
    /// The trouble that there was before, and has been ever since: the shift may be meant to end it.
    pub(super) standing: Vec<Trouble>,
}

#[derive(Debug)]
pub(super) enum Way {
    Forth,
    /// What was done is undone, for this reason.
    Back(String),
}

#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// The call is to be made.
    Call,
    /// The call was made at `since`; `taken` once it was seen to be.
    Await { since: Micros, taken: bool },
    /// The call has met what somebody else has done.
    Overtaken(String),
}

/// What has become of a step.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Its call is to be made.
    Call,
    /// It may still come true; what there is to say of that.
    Waits(Option<String>),
    /// It has come true.
    Done,
    /// Somebody else wants something else.
    Undone,
    /// Somebody else was there before it, as is said.
    Overtaken(String),
    /// It will not come true; `done` when there may be something of it to undo.
    Failed { why: String, done: bool },
}

/// What has become of a shift that has no step left to make.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Not all is as it should be, which may still come.
    Waits,
    /// It has come true.
    Done,
    /// Somebody else wants something else.
    Undone,
    /// It will not come true.
    Failed(String),
}

impl<C> Running<C> {
    /// The first step is next; `standing` is the trouble that there is already, and that the shift may be meant to end.
    pub(super) fn new(order: Waiting, plan: Plan<C>, standing: Vec<Trouble>, now: Micros) -> Self {
        let (way, stage, drain, not_yet) = (Way::Forth, Stage::Call, Micros::ZERO, None);
        Self { order, plan, begun: now, drain, step: 0, since: now, way, stage, not_yet, resume: now, standing }
    }

    /// Whether the member of that name may come and go.
    pub(super) fn moves(&self, name: &str) -> bool {
        self.plan.moves.as_ref().is_none_or(|moves| moves.iter().any(|moved| moved == name))
    }

    /// What is under way; `None` when there is nothing left to do.
    pub(super) fn action(&self) -> Option<&Action<C>> {
        let step = self.plan.steps.get(self.step)?;
        match self.way {
            Way::Forth => Some(&step.forth),
            Way::Back(_) => step.back.as_ref(),
        }
    }

    /// What has become of the step whose call is `action`.
    pub(super) fn judge(&mut self, action: &Action<C>, topology: &Topology, patience: Micros, now: Micros) -> Step {
        let late = now.since(self.since) >= patience;
        let (since, taken) = match &self.stage {
            Stage::Await { since, taken } => (*since, *taken),
            Stage::Overtaken(why) => return Step::Overtaken(why.clone()),
            Stage::Call => {
                return match &self.not_yet {
                    Some(why) if late => {
                        let why = format!("`{}` could not be done within {}: {why}", action.says, seconds(patience));
                        Step::Failed { why, done: false }
                    }
                    _ if now < self.resume => Step::Waits(None),
                    _ => Step::Call,
                };
            }
        };
        let waited = now.since(since);
        let goal = &action.goal;
        let is_wanted = goal.is_taken_in(topology).unwrap_or_else(|| {
            let wants = action.wants.filter(|_| topology.wanted.is_some());
            wants.is_none_or(|wants| topology.wanted == Some(wants))
        });
        if taken && !is_wanted {
            return goal.lost(topology).map_or(Step::Undone, |why| self.fail(why, late, now));
        }
        self.stage = Stage::Await { since, taken: is_wanted };
        if is_wanted && goal.is_met(topology) {
            return Step::Done;
        }
        let is_back = matches!(self.way, Way::Back(_));
        let is_due = is_wanted || waited >= TAKEN_IN;
        // Who is on the way back goes on: to stop there would be worse than whatever is wrong.
        let trouble = (is_due && !is_back).then(|| self.trouble(topology, waited >= STANDING)).flatten();
        if let Some(why) = goal.refuted(topology).or(trouble) {
            Step::Failed { why, done: true }
        } else if !is_wanted && waited >= TAKEN_IN {
            let why = format!("`{}` was answered, and has changed nothing within {}", action.says, seconds(TAKEN_IN));
            self.fail(why, late, now)
        } else if waited >= patience {
            let why = format!("`{}` has not come true within {}", action.says, seconds(patience));
            Step::Failed { why, done: true }
        } else {
            Step::Waits(None)
        }
    }

    /// What was called has come to nothing. On the way back it is called again, until that is too late.
    fn fail(&mut self, why: String, late: bool, now: Micros) -> Step {
        if late || matches!(self.way, Way::Forth) {
            return Step::Failed { why, done: true };
        }
        self.stage = Stage::Call;
        Step::Waits(self.try_again(why, now))
    }

    /// What has become of the shift once every step has come true, or there was none to be made; units may have come and gone
    /// since.
    pub(super) fn outcome(&self, topology: &Topology, patience: Micros, now: Micros) -> End {
        let to = self.order.to;
        if topology.is(to) || self.has_moved(topology) {
            return End::Done;
        }
        if topology.wanted.is_some_and(|wanted| wanted != to) {
            return End::Undone;
        }
        let waited = now.since(self.since);
        let is_due = waited >= STANDING;
        // Where the steps were for counts, and were met, what has gone wrong since is given its time: nothing that is undone ends it.
        let waits = !is_due && self.plan.moves.is_none() && !self.plan.steps.is_empty();
        let trouble = (!waits).then(|| self.trouble(topology, is_due)).flatten();
        let late = || format!("the units have not become {to} in time");
        trouble.or_else(|| (waited >= patience).then(late)).map_or(End::Waits, End::Failed)
    }

    /// Whether whoever was to move serves where he was to, and nothing else is wanted.
    fn has_moved(&self, topology: &Topology) -> bool {
        let joined = self.plan.steps.iter().map(|step| &step.forth.goal).all(|goal| match goal {
            Goal::Joined { .. } => goal.is_met(topology),
            _ => true,
        });
        let is_wanted = topology.wanted.is_none_or(|wanted| wanted == self.order.to);
        self.moves_some() && is_wanted && joined
    }

    /// Whether certain members move, and no others are any business of the shift.
    fn moves_some(&self) -> bool {
        self.plan.moves.is_some() && !self.plan.steps.is_empty()
    }

    /// Why nothing more will come of it, as the control plane says; what stood before counts once that is `due`.
    fn trouble(&self, topology: &Topology, due: bool) -> Option<String> {
        let mut ours = topology.troubles.iter().filter(|trouble| self.concerns(trouble, topology));
        ours.find(|trouble| due || !self.standing.contains(trouble)).map(|trouble| trouble.why.clone())
    }

    /// Whether a trouble is of those that the shift moves, or of the role that the present step is about.
    fn concerns(&self, trouble: &Trouble, topology: &Topology) -> bool {
        let about = |role| match self.action().map(|action| &action.goal) {
            Some(Goal::Count { role: counted, .. }) => *counted == role,
            _ => true,
        };
        match &trouble.of {
            Whose::All => true,
            Whose::Role(role) => about(*role),
            Whose::Member(name) if self.moves_some() => self.moves(name),
            Whose::Member(name) => topology.member(name).is_none_or(|member| about(member.role)),
        }
    }

    /// The call cannot be taken yet; what there is to say of that.
    pub(super) fn hold(&mut self, why: String, now: Micros) -> Option<String> {
        self.resume = now;
        let is_new = self.not_yet.as_ref() != Some(&why);
        let said = is_new.then(|| format!("waiting: {why}"));
        self.not_yet = Some(why);
        said
    }

    /// The call has come to nothing on the way back, and is made again a little later; what there is to say of that.
    pub(super) fn try_again(&mut self, why: String, now: Micros) -> Option<String> {
        let said = self.hold(why, now);
        self.resume = Micros(now.0.saturating_add(AGAIN.0));
        said
    }

    /// From here on, what was done is undone.
    pub(super) fn turn_back(&mut self, why: String, now: Micros) {
        self.way = Way::Back(why);
        self.begin_step(now);
    }

    /// Whether every step has come true, or has been undone.
    pub(super) fn is_over(&self) -> bool {
        self.step >= self.plan.steps.len()
    }

    /// A step has come true.
    pub(super) fn advance(&mut self, now: Micros) {
        self.begin_step(now);
        match self.way {
            Way::Forth => self.step += 1,
            Way::Back(_) => {
                if !self.back_one() {
                    self.step = usize::MAX;
                }
            }
        }
    }

    fn begin_step(&mut self, now: Micros) {
        (self.stage, self.since, self.not_yet, self.resume) = (Stage::Call, now, None, now);
    }

    /// To the step before; `false` where there is none.
    pub(super) fn back_one(&mut self) -> bool {
        match self.step.checked_sub(1) {
            Some(before) => {
                self.step = before;
                true
            }
            None => false,
        }
    }
}
