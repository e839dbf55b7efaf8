//! What no data sheet tells: how much of a peak is reached, and what is paid whatever the size.
//!
//! Every constant is a [`Prior`]: a value with a spread and the word on where it comes from. Values are kept in the unit of
//! their key (`layer_floor_us`); [`Values`] holds them in SI units for the formulas.

mod names;

use std::collections::BTreeMap;
use std::fmt;

pub use names::Constant;
pub(super) use names::Effect;

use super::error::PerfError;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PriorKind {
    /// Read off a measurement of just this.
    Measured,
    /// The best fit of this model to measurements of something larger.
    Fitted,
    /// A guess.
    Prior,
}

impl fmt::Display for PriorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Measured => "measured",
            Self::Fitted => "fitted",
            Self::Prior => "prior",
        })
    }
}

/// One constant.
#[derive(Clone, Debug, PartialEq)]
pub struct Prior {
    /// The value, in the unit of the key.
    pub value: f64,
    /// Its standard deviation as far as known, in the same unit.
    pub spread: f64,
    /// What kind of knowledge it is.
    pub kind: PriorKind,
    /// Who says so, or what the guess rests on.
    pub source: String,
}

impl Prior {
    /// Mean and standard deviation of the logarithm, of the log-normal distribution with this value as its median and of this
    /// spread. One that is believed to be none may still turn out to be something.
    pub fn log_belief(&self) -> (f64, f64) {
        let value = self.value.max(self.spread * 0.1).max(1e-3);
        (value.ln(), (1.0 + (self.spread / value).powi(2)).ln().sqrt().max(1e-3))
    }
}

/// Whether a step has prompt tokens. Such steps often run eagerly, pure decode steps as a captured graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Decode tokens only.
    Decode,
    /// With prompt tokens.
    Prompt,
}

/// A value for every constant, and others for steps with prompts where those differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Constants {
    base: BTreeMap<Constant, Prior>,
    prompt: BTreeMap<Constant, Prior>,
}

impl Constants {
    /// Constants from the values of all steps and of what differs in steps with prompts.
    ///
    /// # Errors
    /// When one is missing, or a value or a spread makes no sense.
    pub fn new(base: BTreeMap<Constant, Prior>, prompt: BTreeMap<Constant, Prior>) -> Result<Self, PerfError> {
        for constant in Constant::ALL {
            if constant.is_required() && !base.contains_key(&constant) {
                let why = format!("lacks `{}`", constant.key());
                return Err(PerfError::Unsupported { key: "constants.all", why });
            }
        }
        for (table, priors) in [("constants.all", &base), ("constants.prompt", &prompt)] {
            for (constant, prior) in priors {
                let key = format!("{table}.{}", constant.key());
                let (low, high) = constant.range();
                PerfError::range(&key, prior.value, low, high)?;
                // A value that is known exactly is none of these.
                let least = if prior.value > 0.0 { prior.value * 1e-3 } else { 0.0 };
                PerfError::range(&format!("{key}.spread"), prior.spread, least, high - low)?;
            }
        }
        Ok(Self { base, prompt })
    }

    /// A constant as it stands for steps of a phase.
    pub fn prior(&self, constant: Constant, phase: Phase) -> Option<&Prior> {
        let own = self.prompt.get(&constant).filter(|_| phase == Phase::Prompt);
        own.or_else(|| self.base.get(&constant))
    }

    /// Whether a constant has a value of its own for steps with prompts.
    pub fn differs(&self, constant: Constant) -> bool {
        self.prompt.contains_key(&constant)
    }

    /// The same with another value of a constant: that of prompts alone where it differs and `phase` says so.
    #[must_use]
    pub fn with(mut self, constant: Constant, phase: Phase, value: f64) -> Self {
        let own = if phase == Phase::Prompt { self.prompt.get_mut(&constant) } else { None };
        if let Some(prior) = own.or_else(|| self.base.get_mut(&constant)) {
            prior.value = value;
        }
        self
    }

    /// The same with another belief about a constant, for all steps.
    #[must_use]
    pub fn with_prior(mut self, constant: Constant, prior: Prior) -> Self {
        self.prompt.remove(&constant);
        self.base.insert(constant, prior);
        self
    }

    /// All values for steps of a phase, in SI units.
    pub fn values(&self, phase: Phase) -> Values {
        let mut values = Values([0.0; Constant::ALL.len()]);
        for constant in Constant::ALL {
            let value = self.prior(constant, phase).map_or(0.0, |prior| prior.value);
            values.0[constant as usize] = value * constant.si();
        }
        values
    }
}

/// The values of all constants in SI units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Values([f64; Constant::ALL.len()]);

impl Values {
    /// One of them.
    pub fn get(&self, constant: Constant) -> f64 {
        self.0[constant as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(value: f64) -> Prior {
        Prior { value, spread: value.max(0.1), kind: PriorKind::Prior, source: "a test".to_owned() }
    }

    fn middle() -> BTreeMap<Constant, Prior> {
        Constant::ALL.into_iter().map(|constant| (constant, guess(constant.range().0.max(0.5)))).collect()
    }

    #[test]
    fn prompts_have_their_own_value_where_one_is_given() {
        let prompt = BTreeMap::from([(Constant::LayerFloor, guess(40.0))]);
        let constants = Constants::new(middle(), prompt).expect("fine");
        assert!((constants.values(Phase::Prompt).get(Constant::LayerFloor) - 40e-6).abs() < 1e-18);
        assert!((constants.values(Phase::Decode).get(Constant::LayerFloor) - 0.5e-6).abs() < 1e-18);
        let moved = constants.with(Constant::LayerFloor, Phase::Decode, 7.0);
        assert!((moved.values(Phase::Decode).get(Constant::LayerFloor) - 7e-6).abs() < 1e-18);
        assert!((moved.values(Phase::Prompt).get(Constant::LayerFloor) - 40e-6).abs() < 1e-18);
    }

    #[test]
    fn a_missing_constant_and_one_without_sense_are_refused_by_name() {
        let mut base = middle();
        base.remove(&Constant::GemmMfu);
        let missing = Constants::new(base, BTreeMap::new()).expect_err("missing").to_string();
        assert_eq!(missing, "`constants.all` lacks `gemm_mfu`");
        let mut base = middle();
        base.insert(Constant::GemmMfu, guess(82.0));
        let wrong = Constants::new(base, BTreeMap::new()).expect_err("a percentage").to_string();
        assert_eq!(wrong, "`constants.all.gemm_mfu` = 82 is not between 0.01 and 1");
        let certain = BTreeMap::from([(Constant::GemmMfu, Prior { spread: 0.0, ..guess(0.5) })]);
        let wrong = Constants::new(middle(), certain).expect_err("certain").to_string();
        assert_eq!(wrong, "`constants.prompt.gemm_mfu.spread` = 0 is not between 0.0005 and 0.99");
    }
}
