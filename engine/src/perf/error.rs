//! Why a deployment is refused.

/// What does not go together. Keys are those of the cluster profile, with a dot between table and key.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PerfError {
    /// A count does not divide what it should divide.
    #[error("`{key}` = {value} does not divide {what} = {of}")]
    Indivisible {
        /// The key of the divisor.
        key: &'static str,
        /// The divisor.
        value: u32,
        /// What should be divided, in words.
        what: String,
        /// How much of it there is.
        of: u32,
    },
    /// A number is outside what makes sense.
    #[error("`{key}` = {value} is not between {low} and {high}")]
    OutOfRange {
        /// The key.
        key: String,
        /// What was found.
        value: f64,
        /// The least allowed.
        low: f64,
        /// The most allowed.
        high: f64,
    },
    /// A combination that the model of time does not cover.
    #[error("`{key}` {why}")]
    Unsupported {
        /// The key.
        key: &'static str,
        /// What it is and what is allowed.
        why: String,
    },
    /// The model does not fit the GPUs.
    #[error(
        "`{key}`: each GPU needs {needed:.2} GB ({weights:.2} of weights, {activations:.2} of activations, {kv:.2} of KV for one \
         sequence) and {available:.2} GB are available ({share} of {hbm:.0})"
    )]
    DoesNotFit {
        /// The key that names the model.
        key: &'static str,
        /// GB needed on each GPU.
        needed: f64,
        /// GB of them for weights.
        weights: f64,
        /// GB of them for activations.
        activations: f64,
        /// GB of them for the KV of one sequence of the longest context.
        kv: f64,
        /// GB that the engine may use on each GPU.
        available: f64,
        /// The share of the GPU's memory that this is.
        share: f64,
        /// GB of memory of the GPU.
        hbm: f64,
    },
}

impl PerfError {
    /// The key that is to be changed.
    pub fn key(&self) -> &str {
        match self {
            Self::Indivisible { key, .. } | Self::Unsupported { key, .. } | Self::DoesNotFit { key, .. } => key,
            Self::OutOfRange { key, .. } => key,
        }
    }

    /// Refuses a number outside `low..=high`, NaN included.
    pub(super) fn range(key: &str, value: f64, low: f64, high: f64) -> Result<(), Self> {
        if (low..=high).contains(&value) {
            return Ok(());
        }
        Err(Self::OutOfRange { key: key.to_owned(), value, low, high })
    }
}
