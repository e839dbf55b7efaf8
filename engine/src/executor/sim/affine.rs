use super::{StepLine, Ticks, Timing, TransferShape, TransferWork};
use crate::cluster::StepShape;
use crate::units::{Nanos, Role};

/// A pair of positions takes far less than a tick would hold precisely.
const PAIR_BITS: u32 = 24;

/// Seconds that everything takes, each at least 0: what can be told of units that are seen from outside alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AffineSeconds {
    /// Every step in which no sequence gets its next token.
    pub prompt_step: f64,
    /// Each token of a prompt in such a step.
    pub prompt_token: f64,
    /// Each token of a prompt in a step in which sequences get their next tokens, too.
    pub beside_token: f64,
    /// Each pair of a prompt's position and one that it attends to.
    pub pair: f64,
    /// Every step in which sequences get their next tokens.
    pub step: f64,
    /// Each of these sequences.
    pub sequence: f64,
    /// Each position that they attend to.
    pub position: f64,
    /// Every hand-off.
    pub hand_off: f64,
    /// Each position of a hand-off. Hand-offs do not hinder each other.
    pub hand_off_token: f64,
    /// Changing a role.
    pub switch: f64,
    /// Warming up in a new role.
    pub warm: f64,
}

/// Steps that grow evenly with what is in them, whatever the role of the unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affine {
    prompt_step: Ticks,
    prompt_token: Ticks,
    beside_token: Ticks,
    /// In ticks shifted by [`PAIR_BITS`].
    pair: u64,
    step: Ticks,
    sequence: Ticks,
    position: Ticks,
    hand_off: Ticks,
    hand_off_token: Ticks,
    switch: Nanos,
    warm: Nanos,
}

impl From<AffineSeconds> for Affine {
    /// What is negative or no number is nothing.
    fn from(seconds: AffineSeconds) -> Self {
        let nanos = |seconds| Nanos(Ticks::from_seconds(seconds).0 / Ticks::PER_NANO);
        Self {
            prompt_step: Ticks::from_seconds(seconds.prompt_step),
            prompt_token: Ticks::from_seconds(seconds.prompt_token),
            beside_token: Ticks::from_seconds(seconds.beside_token),
            pair: Ticks::from_seconds(seconds.pair * f64::from(1 << PAIR_BITS)).0,
            step: Ticks::from_seconds(seconds.step),
            sequence: Ticks::from_seconds(seconds.sequence),
            position: Ticks::from_seconds(seconds.position),
            hand_off: Ticks::from_seconds(seconds.hand_off),
            hand_off_token: Ticks::from_seconds(seconds.hand_off_token),
            switch: nanos(seconds.switch),
            warm: nanos(seconds.warm),
        }
    }
}

impl Timing for Affine {
    fn step(&self, _: Role, shape: &StepShape) -> StepLine {
        let of = |each: Ticks, count: u32| each.0.saturating_mul(u64::from(count));
        let (step, token) =
            if shape.decodes > 0 { (self.step, self.beside_token) } else { (self.prompt_step, self.prompt_token) };
        let pairs = (u128::from(shape.doubled_pairs) * u128::from(self.pair)) >> (PAIR_BITS + 1);
        let parts = of(self.sequence, shape.decodes)
            .saturating_add(of(token, shape.prompt_tokens))
            .saturating_add(u64::try_from(pairs).unwrap_or(u64::MAX));
        StepLine { base: Ticks(step.0.saturating_add(parts)), per_position: self.position }
    }

    fn transfer(&self, transfer: &TransferShape) -> TransferWork {
        let tokens = self.hand_off_token.0.saturating_mul(u64::from(transfer.tokens));
        TransferWork { setup: Nanos(self.hand_off.0.saturating_add(tokens) / Ticks::PER_NANO), bytes: 0 }
    }

    fn link_bytes_per_second(&self) -> u64 {
        1
    }

    fn switch(&self, _: Role, _: Role) -> Nanos {
        self.switch
    }

    /// What a change of role takes: of processes a fitted law knows nothing, and whoever predicts restarts does not ask it.
    fn restart(&self, _: Role) -> Nanos {
        self.switch
    }

    fn warm(&self, _: Role) -> Nanos {
        self.warm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_the_sum_of_what_is_in_it() {
        let timing = Affine::from(AffineSeconds {
            prompt_step: 2e-3,
            prompt_token: 1e-4,
            beside_token: 2e-4,
            pair: 1e-9,
            step: 5e-3,
            sequence: 1e-3,
            position: 1e-7,
            hand_off: 1e-3,
            hand_off_token: 1e-6,
            switch: 0.5,
            warm: -1.0,
        });
        let seconds = |shape: &StepShape| {
            let line = timing.step(Role::Aggregated, shape);
            line.base.as_seconds() + line.per_position.as_seconds() * shape.context as f64
        };
        let prompts = StepShape { prompt_tokens: 100, doubled_pairs: 20_000, ..StepShape::default() };
        assert!((seconds(&prompts) - (2e-3 + 1e-2 + 1e-5)).abs() < 1e-9);
        let mixed = StepShape { decodes: 4, context: 1000, ..prompts };
        assert!((seconds(&mixed) - (5e-3 + 4e-3 + 2e-2 + 1e-5 + 1e-4)).abs() < 1e-8);
        let moved = TransferShape { tokens: 500, blocks: 32, computing: Nanos::ZERO };
        assert!((timing.transfer(&moved).setup.0 as f64 - 1.5e6).abs() < 10.0);
        assert_eq!(
            (timing.switch(Role::Prefill, Role::Decode), timing.warm(Role::Decode)),
            (Nanos(500_000_000), Nanos::ZERO)
        );
    }
}
