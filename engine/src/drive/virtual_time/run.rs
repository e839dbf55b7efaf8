//! Steps that a unit computes one after another.

use crate::cluster::StepShape;
use crate::executor::sim::{Lengths, Moment, StepLine, Ticks};
use crate::units::{Nanos, Role, UnitId};

/// Steps of one unit that follow each other without a gap and with the same batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepRun {
    /// Which unit.
    pub unit: UnitId,
    /// Its role.
    pub role: Role,
    /// When the first of them started.
    pub started: Moment,
    /// How many there are.
    pub steps: u32,
    /// The first of them in numbers.
    pub shape: StepShape,
    lengths: Lengths,
}

impl StepRun {
    pub(super) fn new(
        (unit, role): (UnitId, Role),
        started: Moment,
        steps: u32,
        shape: StepShape,
        line: StepLine,
    ) -> Self {
        let lengths = Lengths::new(line, shape.decodes, shape.context);
        Self { unit, role, started, steps, shape, lengths }
    }

    /// When the last of them ends.
    pub fn end(&self) -> Moment {
        self.end_of(self.steps)
    }

    /// When `steps` of them have ended.
    pub fn end_of(&self, steps: u32) -> Moment {
        self.started.after(self.lengths.sum(steps))
    }

    /// What all of them take, in [`Ticks`].
    pub fn ticks(&self) -> u128 {
        self.lengths.sum(self.steps)
    }

    /// Tokens that all of them give to decoding sequences.
    pub fn decoded(&self) -> u64 {
        u64::from(self.steps) * u64::from(self.shape.decodes)
    }

    /// How many have ended at `at` or before.
    pub(super) fn ended_by(&self, at: Nanos) -> u32 {
        let Some(whole) = at.0.checked_sub(self.started.nanos.0) else { return 0 };
        // To the last tick of that nanosecond.
        let ticks = (u128::from(whole) + 1) * u128::from(Ticks::PER_NANO) - 1 - u128::from(self.started.ticks);
        self.lengths.within(ticks, self.steps)
    }

    /// Cuts off the first `steps` of them; what is left goes on after these.
    pub(super) fn split_off(&mut self, steps: u32) -> Self {
        let first = self.first(steps);
        self.started = first.end();
        self.steps -= first.steps;
        self.shape.context += u64::from(self.shape.decodes) * u64::from(first.steps);
        self.lengths = self.lengths.behind(first.steps);
        first
    }

    /// The first `steps` of them.
    pub(super) fn first(self, steps: u32) -> Self {
        Self { steps: steps.min(self.steps), ..self }
    }
}
