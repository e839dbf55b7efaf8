//! Time in parts of a nanosecond, and what a run of steps takes whose contexts grow.

use crate::units::Nanos;

/// A duration in 2^-16 nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticks(pub u64);

impl Ticks {
    /// Ticks of a nanosecond.
    pub const PER_NANO: u64 = 1 << 16;

    /// The nearest number of ticks; nothing for what is negative or no number.
    pub fn from_seconds(seconds: f64) -> Self {
        Self((seconds * 1e9 * Self::PER_NANO as f64).round() as u64)
    }

    /// The duration in seconds, for reports only.
    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / (1e9 * Self::PER_NANO as f64)
    }
}

impl From<Nanos> for Ticks {
    fn from(nanos: Nanos) -> Self {
        Self(nanos.0.saturating_mul(Self::PER_NANO))
    }
}

/// An instant to the tick. What happens outside of a unit happens at whole nanoseconds; steps that follow each other carry
/// the rest along.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The last whole nanosecond.
    pub nanos: Nanos,
    /// Ticks since then.
    pub ticks: u16,
}

impl Moment {
    /// The beginning of a nanosecond.
    pub fn at(nanos: Nanos) -> Self {
        Self { nanos, ticks: 0 }
    }

    /// `ticks` later; the end of time when that is beyond it.
    #[must_use]
    pub fn after(self, ticks: u128) -> Self {
        let ticks = ticks.saturating_add(u128::from(self.ticks));
        let nanos = u64::try_from(ticks / u128::from(Ticks::PER_NANO)).unwrap_or(u64::MAX);
        Self { nanos: self.nanos + Nanos(nanos), ticks: (ticks % u128::from(Ticks::PER_NANO)) as u16 }
    }
}

/// What a step takes: a constant, and so much for every position that its decoding sequences attend to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepLine {
    /// Whatever the contexts.
    pub base: Ticks,
    /// For each position of the sum of all contexts.
    pub per_position: Ticks,
}

/// Lengths of steps that follow each other: each is longer than the one before by the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lengths {
    first: u64,
    growth: u64,
}

impl Lengths {
    /// The steps of `decodes` sequences whose contexts add up to `context` in the first of them. A step takes at least a
    /// nanosecond: one without length would be over before it began to matter.
    pub(crate) fn new(line: StepLine, decodes: u32, context: u64) -> Self {
        let first = line.base.0.saturating_add(line.per_position.0.saturating_mul(context));
        let growth = line.per_position.0.saturating_mul(u64::from(decodes));
        Self { first: first.max(Ticks::PER_NANO), growth }
    }

    /// The lengths of what follows the first `steps`.
    pub(crate) fn behind(self, steps: u32) -> Self {
        Self { first: self.first.saturating_add(self.growth.saturating_mul(u64::from(steps))), ..self }
    }

    /// What the first `steps` take together, in ticks.
    pub(crate) fn sum(self, steps: u32) -> u128 {
        let pairs = u64::from(steps) * u64::from(steps.saturating_sub(1)) / 2;
        u128::from(steps) * u128::from(self.first) + u128::from(pairs) * u128::from(self.growth)
    }

    /// How many steps, `most` at the most, are over after `ticks`.
    pub(crate) fn within(self, ticks: u128, most: u32) -> u32 {
        // As if no step were longer than the first: never too few.
        let mut steps = match u64::try_from(ticks) {
            Ok(ticks) => (ticks / self.first).min(u64::from(most)) as u32,
            Err(_) => most,
        };
        // Newton's iteration in integers. The last step is the longest: leaving out as many as would make up for the surplus
        // if all were as long leaves out none too many.
        loop {
            let surplus = self.sum(steps).saturating_sub(ticks);
            if surplus == 0 {
                return steps;
            }
            let last = u128::from(self.first) + u128::from(steps - 1) * u128::from(self.growth);
            let too_many = match (u64::try_from(surplus), u64::try_from(last)) {
                (Ok(surplus), Ok(last)) => surplus.div_ceil(last),
                _ => surplus.div_ceil(last) as u64,
            };
            steps -= (too_many as u32).min(steps);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seconds_become_ticks_and_come_back() {
        assert_eq!(Ticks::from_seconds(1e-9), Ticks(1 << 16));
        assert_eq!(Ticks::from_seconds(-1.0), Ticks(0));
        assert_eq!(Ticks::from_seconds(f64::NAN), Ticks(0));
        assert!((Ticks::from_seconds(0.0123).as_seconds() - 0.0123).abs() < 1e-13);
    }

    proptest! {
        #[test]
        fn a_run_takes_what_its_steps_take_one_after_another(
            base in 0_u64..1 << 50,
            per_position in 0_u64..1 << 30,
            decodes in 0_u32..1000,
            context in 0_u64..1 << 24,
            steps in 1_u32..300,
            ticks in any::<u16>(),
        ) {
            let line = StepLine { base: Ticks(base), per_position: Ticks(per_position) };
            let started = Moment { nanos: Nanos(5), ticks };
            let mut moment = started;
            for step in 0..steps {
                let context = context + u64::from(decodes) * u64::from(step);
                moment = moment.after(Lengths::new(line, decodes, context).sum(1));
            }
            prop_assume!(base >= Ticks::PER_NANO);
            prop_assert_eq!(started.after(Lengths::new(line, decodes, context).sum(steps)), moment);
        }

        #[test]
        fn the_inverse_is_exact(
            first in 1_u64 << 16..1 << 52,
            growth in prop_oneof![Just(0_u64), 0_u64..1 << 20, 0_u64..1 << 50],
            most in 1_u32..u32::MAX,
            ticks in prop_oneof![0_u128..1 << 60, 0_u128..1 << 100],
        ) {
            let lengths = Lengths { first, growth };
            let steps = lengths.within(ticks, most);
            prop_assert!(steps <= most);
            prop_assert!(lengths.sum(steps) <= ticks);
            prop_assert!(steps == most || lengths.sum(steps + 1) > ticks);
        }
    }
}
