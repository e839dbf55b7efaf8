//! A performance model as tables, so that nothing but integers is computed while time passes.

use super::{HandOff, Replicas, StepLine, Ticks, Timing, TransferShape, TransferWork};
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
    /// Prompt steps are tabulated at multiples of so many tokens, and interpolated between them.
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
    /// Steps that only decode, by the number of sequences.
    decode: Vec<StepLine>,
    /// Steps with prompts alone.
    prompts: PassTable,
    /// Steps that mix prompts with decoding sequences,
    mixed: PassTable,
    /// and what these sequences and their contexts add to it, by their number.
    beside: Vec<StepLine>,
}

/// What a pass over the tokens of a step takes besides attention to the contexts of decoding sequences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct PassTable {
    /// By the number of tokens in units of the granularity.
    tokens: Vec<Ticks>,
    /// For a pair of a prompt's position and one that it attends to, in ticks shifted by [`PAIR_BITS`].
    per_pair: u64,
    /// For each sequence that is sampled.
    per_sample: Ticks,
}

/// A pair takes some hundred femtoseconds: far less than a tick would hold precisely.
const PAIR_BITS: u32 = 24;

/// A performance model, tabulated once for every role.
///
/// Steps that only decode are exact to the tick. In a step with prompts the tokens are interpolated between entries, attention
/// to prompts and the number of samples are taken as linear, and what decoding sequences add to a pass over prompts as the same
/// however long those are; see [`Tabulated::deviation`] for what that comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tabulated {
    limits: TabulatedLimits,
    prefill: RoleTable,
    decode: RoleTable,
    aggregated: RoleTable,
    replicas: Option<Replicas>,
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
            replicas: None,
        })
    }

    /// The same where many aggregated units cost each of them something.
    #[must_use]
    pub fn with_replicas(self, replicas: Option<Replicas>) -> Self {
        Self { replicas, ..self }
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

/// Asks a model, and refuses what is no duration.
struct Ask<'a>(&'a dyn StepModel);

impl Ask<'_> {
    fn usable(tokens: u32, seconds: f64) -> Result<f64, Unusable> {
        // A day: beyond it sums over a run of steps would leave the range of integers.
        if (0.0..86_400.0).contains(&seconds) { Ok(seconds) } else { Err(Unusable { tokens, seconds }) }
    }

    fn seconds(&self, shape: StepShape) -> Result<f64, Unusable> {
        Self::usable(shape.tokens(), self.0.step_seconds(&shape))
    }

    fn decode_line(&self, decodes: u32) -> Result<StepLine, Unusable> {
        let (base, per_position) = self.0.decode_line(decodes);
        let ticks = |seconds| Ok(Ticks::from_seconds(Self::usable(decodes, seconds)?));
        Ok(StepLine { base: ticks(base)?, per_position: ticks(per_position)? })
    }
}

/// Positions at which the slope over contexts is read off: as many as a full unit may hold.
const MANY_POSITIONS: u64 = 1 << 20;

impl RoleTable {
    fn new(model: &dyn StepModel, limits: BatchLimits, granularity: u32) -> Result<Self, Unusable> {
        let ask = Ask(model);
        let decode = (0..=limits.sequences.min(limits.tokens)).map(|decodes| ask.decode_line(decodes));
        let most = limits.tokens;
        // A prompt needs a token of its own.
        let sequences = if most > 1 { limits.sequences.min(most - 1) } else { 0 };
        let mixed = |decodes, context| {
            ask.seconds(StepShape { decodes, context, prompt_tokens: most - decodes, ..StepShape::default() })
        };
        let beside = (0..=sequences).map(|decodes| {
            let here = mixed(decodes, 0)?;
            let base = if decodes > 0 { here - mixed(1, 0)? } else { 0.0 };
            let per_position = (mixed(decodes, MANY_POSITIONS)? - here) / MANY_POSITIONS as f64;
            Ok(StepLine { base: Ticks::from_seconds(base), per_position: Ticks::from_seconds(per_position) })
        });
        Ok(Self {
            decode: decode.collect::<Result<_, _>>()?,
            prompts: PassTable::new(&ask, 0, limits, granularity)?,
            mixed: if sequences > 0 { PassTable::new(&ask, 1, limits, granularity)? } else { PassTable::default() },
            beside: beside.collect::<Result<_, _>>()?,
        })
    }

    fn step(&self, shape: &StepShape, granularity: u32) -> StepLine {
        let of = |lines: &[StepLine]| lines.get(shape.decodes as usize).or(lines.last()).copied().unwrap_or_default();
        if shape.prompt_tokens == 0 {
            return of(&self.decode);
        }
        if shape.decodes == 0 {
            return StepLine { base: self.prompts.take(shape, granularity), per_position: Ticks(0) };
        }
        let StepLine { base, per_position } = of(&self.beside);
        let pass = self.mixed.take(shape, granularity);
        StepLine { base: Ticks(pass.0.saturating_add(base.0)), per_position }
    }
}

impl PassTable {
    /// Passes with so many decoding sequences, 0 or 1.
    fn new(ask: &Ask<'_>, decodes: u32, limits: BatchLimits, granularity: u32) -> Result<Self, Unusable> {
        let pass = |tokens: u32| StepShape {
            decodes,
            prompt_tokens: tokens.max(decodes + 1) - decodes,
            ..StepShape::default()
        };
        let steps = 0..=limits.tokens.div_ceil(granularity);
        let tokens = steps.map(|at| Ok(Ticks::from_seconds(ask.seconds(pass(at * granularity))?)));
        // One prompt as long as a step may be: where attention matters most. The rest is what it adds at one such point.
        let most = limits.tokens;
        let plain = ask.seconds(pass(most))?;
        let pairs = u64::from(most) * u64::from(most);
        let attending = ask.seconds(StepShape { doubled_pairs: pairs, ..pass(most) })? - plain;
        let pair_seconds = attending.max(0.0) / (pairs as f64 / 2.0);
        let sampling = ask.seconds(StepShape { sampled: limits.sequences, ..pass(most) })? - plain;
        Ok(Self {
            tokens: tokens.collect::<Result<_, _>>()?,
            per_pair: Ticks::from_seconds(pair_seconds * f64::from(1 << PAIR_BITS)).0,
            per_sample: Ticks::from_seconds(sampling.max(0.0) / f64::from(limits.sequences.max(1))),
        })
    }

    fn take(&self, shape: &StepShape, granularity: u32) -> Ticks {
        let tokens = self.of_tokens(shape.tokens(), granularity);
        let pairs = (u128::from(shape.doubled_pairs) * u128::from(self.per_pair)) >> (PAIR_BITS + 1);
        let samples = self.per_sample.0.saturating_mul(u64::from(shape.sampled));
        let pairs = u64::try_from(pairs).unwrap_or(u64::MAX);
        Ticks(tokens.0.saturating_add(pairs).saturating_add(samples))
    }

    /// Between two entries, as far from one to the other as the tokens are.
    fn of_tokens(&self, tokens: u32, granularity: u32) -> Ticks {
        let (at, beyond) = ((tokens / granularity) as usize, tokens % granularity);
        let entry = |at: usize| self.tokens.get(at).or(self.tokens.last()).copied().unwrap_or_default();
        let below = entry(at);
        if beyond == 0 {
            return below;
        }
        let rise = i128::from(entry(at + 1).0) - i128::from(below.0);
        let part = rise * i128::from(beyond) / i128::from(granularity);
        Ticks(u64::try_from(i128::from(below.0) + part).unwrap_or(below.0))
    }
}

impl Timing for Tabulated {
    fn step(&self, role: Role, shape: &StepShape) -> StepLine {
        self.role(role).step(shape, self.limits.granularity.max(1))
    }

    fn replicas(&self) -> Option<Replicas> {
        self.replicas
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
