//! A shift that is under way: which step, on the way forth or back, and since when.

use super::Waiting;
use crate::control::plane::{Action, Plan, Topology};
use crate::time::Micros;

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
    /// Why the call cannot be taken yet.
    pub(super) not_yet: Option<String>,
    /// The trouble that there was before, and has been ever since: the shift may be meant to end it.
    pub(super) standing: Option<String>,
}

#[derive(Debug)]
pub(super) enum Way {
    Forth,
    /// What was done is undone, for this reason.
    Back(String),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// The call is to be made.
    Call,
    /// The call was made at `since`; `taken` once it was seen to be.
    Await { since: Micros, taken: bool },
}

impl<C> Running<C> {
    /// The first step is next.
    pub(super) fn new(order: Waiting, plan: Plan<C>, now: Micros) -> Self {
        let (way, stage) = (Way::Forth, Stage::Call);
        let (drain, not_yet, standing) = (Micros::ZERO, None, None);
        Self { order, plan, begun: now, drain, step: 0, since: now, way, stage, not_yet, standing }
    }

    /// Why nothing more will come of it, as the control plane says; what stood before counts once that is `due`.
    pub(super) fn trouble(&self, topology: &Topology, due: bool) -> Option<String> {
        topology.trouble.clone().filter(|trouble| due || self.standing.as_ref() != Some(trouble))
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

    /// Whether every step has come true, or has been undone.
    pub(super) fn is_over(&self) -> bool {
        self.step >= self.plan.steps.len()
    }

    /// A step has come true.
    pub(super) fn advance(&mut self, now: Micros) {
        self.stage = Stage::Call;
        self.since = now;
        self.not_yet = None;
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
