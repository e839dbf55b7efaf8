use super::{StepLine, Ticks, Timing, TransferShape, TransferWork};
use crate::cluster::StepShape;
use crate::units::{Nanos, Role};

/// Constants: the same for every unit, whatever its role and however long the contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// Every step, whatever it computes.
    pub step: Nanos,
    /// Each token of a step.
    pub token: Nanos,
    /// Every transfer.
    pub transfer: Nanos,
    /// Each block of a transfer. Transfers do not share anything.
    pub block: Nanos,
    /// Changing a role.
    pub switch: Nanos,
    /// Starting the process of a unit anew, weights included.
    pub restart: Nanos,
    /// Warming up in a new role.
    pub warm: Nanos,
}

impl Timing for Costs {
    fn step(&self, _: Role, shape: &StepShape) -> StepLine {
        let tokens = u64::from(shape.decodes) + u64::from(shape.prompt_tokens);
        let base = self.step + Nanos(self.token.0.saturating_mul(tokens));
        StepLine { base: Ticks::from(base), per_position: Ticks(0) }
    }

    fn transfer(&self, transfer: &TransferShape) -> TransferWork {
        let blocks = Nanos(self.block.0.saturating_mul(u64::from(transfer.blocks)));
        TransferWork { setup: self.transfer + blocks, bytes: 0 }
    }

    fn link_bytes_per_second(&self) -> u64 {
        1
    }

    fn switch(&self, _: Role, _: Role) -> Nanos {
        self.switch
    }

    fn restart(&self, _: Role) -> Nanos {
        self.restart
    }

    fn warm(&self, _: Role) -> Nanos {
        self.warm
    }
}
