//! A performance model as tables, so that nothing but integers is computed while time passes.

use super::{HandOff, StepLine, Ticks, Timing, TransferShape, TransferWork};
use crate::cluster::{BatchLimits, StepShape};
use crate::units::{Nanos, Role};

/// What a performance model has to answer for the units of one role.
pub trait StepModel {
    /// Seconds that a step takes in which `decodes` sequences get a token each: those that pass whatever their contexts, and
    /// those for every position of the sum of their contexts.
    fn decode_line(&self, decodes: u32) -> (f64, f64);

    /// Seconds that a whole step takes.
    fn step_seconds(&self, shape: &StepShape) -> f64;
}

/// What is common to all units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TabulatedLimits {
    /// Steps of units that prefill only.
    pub prefill: BatchLimits,
    /// Steps of units that decode only.
    pub decode: BatchLimits,
    /// Steps of units that do both.
    pub aggregated: BatchLimits,
    /// Prompt steps are tabulated at multiples of so many tokens, and a step takes what the next multiple takes.
    pub granularity: u32,
    /// How KV gets from one unit to another.
    pub hand_off: HandOff,
    /// Changing a role.
    pub switch: Nanos,
    /// Warming up in a new role.
    pub warm: Nanos,
}

/// A model gave an answer that is no duration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("a step of {tokens} tokens that takes {seconds} s cannot be simulated")]
pub struct Unusable {
    /// Tokens of the step.
    pub tokens: u32,
    /// The answer.
    pub seconds: f64,
}

/// The tables of one role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct RoleTable {
    /// By the number of decoding sequences.
    decode: Vec<StepLine>,
    /// By the number of tokens in units of the granularity: what a step takes besides attention to prompts and contexts.
    tokens: Vec<Ticks>,
    /// For a pair of a prompt's position and one that it attends to, in ticks shifted by [`PAIR_BITS`].
    per_pair: u64,
    /// For each sequence that is sampled, beside a prompt.
    per_sample: Ticks,
    /// For having both prompts and decoding sequences in a step.
    both: Ticks,
}

/// A pair takes some hundred femtoseconds: far less than a tick would hold precisely.
const PAIR_BITS: u32 = 24;

/// A performance model, tabulated once for every role.
///
/// Steps that only decode are exact to the tick. In a step with prompts the tokens are rounded up to the granularity, and
/// attention to prompts, the number of samples and the mixture with decoding sequences are taken as linear; see
/// [`Tabulated::deviation`] for what that comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tabulated {
    limits: TabulatedLimits,
    prefill: RoleTable,
    decode: RoleTable,
    aggregated: RoleTable,
}

impl Tabulated {
    /// Asks the models of the three roles for everything that steps within the limits can take.
    ///
    /// # Errors
    /// When an answer is negative, endless or no number.
    pub fn new(limits: TabulatedLimits, model: impl Fn(Role) -> Box<dyn StepModel>) -> Result<Self, Unusable> {
        let table = |role, batch| RoleTable::new(&*model(role), batch, limits.granularity.max(1));
        Ok(Self {
            limits,
            prefill: table(Role::Prefill, limits.prefill)?,
            decode: table(Role::Decode, limits.decode)?,
            aggregated: table(Role::Aggregated, limits.aggregated)?,
        })
    }

    /// By how much, relative to the model's own answer, the tables are off for a step.
    pub fn deviation(&self, role: Role, shape: &StepShape, model: &dyn StepModel) -> f64 {
        let line = self.step(role, shape);
        let ours = line.base.as_seconds() + line.per_position.as_seconds() * shape.context as f64;
        ours / model.step_seconds(shape) - 1.0
    }

    fn role(&self, role: Role) -> &RoleTable {
        match role {
            Role::Prefill => &self.prefill,
            Role::Decode => &self.decode,
            Role::Aggregated => &self.aggregated,
        }
    }
}

impl RoleTable {
    fn new(model: &dyn StepModel, limits: BatchLimits, granularity: u32) -> Result<Self, Unusable> {
        let usable = |tokens, seconds: f64| {
            // A day: beyond it sums over a run of steps would leave the range of integers.
            if (0.0..86_400.0).contains(&seconds) { Ok(seconds) } else { Err(Unusable { tokens, seconds }) }
        };
        let ask = |shape: StepShape| usable(shape.tokens(), model.step_seconds(&shape));
        let decode = (0..=limits.sequences.min(limits.tokens)).map(|decodes| {
            let (base, per_position) = model.decode_line(decodes);
            let base = Ticks::from_seconds(usable(decodes, base)?);
            Ok(StepLine { base, per_position: Ticks::from_seconds(usable(decodes, per_position)?) })
        });
        let prompt = |tokens| StepShape { prompt_tokens: tokens, ..StepShape::default() };
        let steps = 0..=limits.tokens.div_ceil(granularity);
        let tokens = steps.map(|at| Ok(Ticks::from_seconds(ask(prompt((at * granularity).max(1)))?)));
        let mut table = Self {
            decode: decode.collect::<Result<_, _>>()?,
            tokens: tokens.collect::<Result<_, _>>()?,
            ..Self::default()
        };
        // One prompt as long as a step may be: where attention matters most. The rest is what it adds at one such point.
        let most = limits.tokens;
        let long = StepShape { doubled_pairs: u64::from(most) * u64::from(most), ..prompt(most) };
        let plain = ask(prompt(most))?;
        let pair_seconds = (ask(long)? - plain).max(0.0) / (long.doubled_pairs as f64 / 2.0);
        table.per_pair = Ticks::from_seconds(pair_seconds * f64::from(1 << PAIR_BITS)).0;
        let sampled = StepShape { sampled: limits.sequences, ..prompt(most) };
        table.per_sample = Ticks::from_seconds((ask(sampled)? - plain).max(0.0) / f64::from(limits.sequences.max(1)));
        let decodes = limits.sequences.min(most / 2);
        if decodes > 0 {
            let mixed = StepShape { decodes, sampled: decodes, ..prompt(most - decodes) };
            let apart = table.step(&mixed, granularity).base;
            table.both = Ticks(Ticks::from_seconds(ask(mixed)?).0.saturating_sub(apart.0));
        }
        Ok(table)
    }

    fn step(&self, shape: &StepShape, granularity: u32) -> StepLine {
        let decodes = self.decode.get(shape.decodes as usize).or(self.decode.last()).copied().unwrap_or_default();
        if shape.prompt_tokens == 0 {
            return decodes;
        }
        let at = shape.tokens().div_ceil(granularity) as usize;
        let tokens = self.tokens.get(at).or(self.tokens.last()).copied().unwrap_or_default();
        let pairs = (u128::from(shape.doubled_pairs) * u128::from(self.per_pair)) >> (PAIR_BITS + 1);
        let samples = self.per_sample.0.saturating_mul(u64::from(shape.sampled));
        let both = if shape.decodes > 0 { self.both.0 } else { 0 };
        let base = tokens.0.saturating_add(u64::try_from(pairs).unwrap_or(u64::MAX)).saturating_add(samples + both);
        StepLine { base: Ticks(base), per_position: decodes.per_position }
    }
}

impl Timing for Tabulated {
    fn step(&self, role: Role, shape: &StepShape) -> StepLine {
        self.role(role).step(shape, self.limits.granularity.max(1))
    }

    fn transfer(&self, transfer: &TransferShape) -> TransferWork {
        self.limits.hand_off.work(transfer)
    }

    fn link_bytes_per_second(&self) -> u64 {
        self.limits.hand_off.link_bytes_per_second
    }

    fn switch(&self, _: Role, _: Role) -> Nanos {
        self.limits.switch
    }

    fn warm(&self, _: Role) -> Nanos {
        self.limits.warm
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
