//! The joint belief about several constants in a cluster profile.

use engine::perf::{Constants, Free, PerfError, Posterior};
use serde::{Deserialize, Serialize};

/// What a calibration says of several constants together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PosteriorTable {
    /// The constants, by table and key: `all.gemm_mbu`, `prompt.gemm_mfu`. All others are as uncertain as their spread.
    pub constants: Vec<String>,
    /// Covariance of their natural logarithms, in that order.
    pub covariance: Vec<Vec<f64>>,
    /// Standard deviation of the logarithm of what the formula itself is off by.
    #[serde(default)]
    pub step_log_spread: f64,
}

impl PosteriorTable {
    /// The table of a belief.
    pub fn of(posterior: &Posterior) -> Self {
        Self {
            constants: posterior.free().iter().map(|free| free.name()).collect(),
            covariance: posterior.covariance().to_vec(),
            step_log_spread: posterior.step_log_spread(),
        }
    }

    pub(super) fn posterior(&self, constants: &Constants) -> Result<Posterior, PerfError> {
        let free = |name: &String| {
            Free::named(name).ok_or_else(|| {
                let why = format!("names `{name}`, which is no constant: `all.KEY` or `prompt.KEY`");
                PerfError::Unsupported { key: "posterior.constants", why }
            })
        };
        let free = self.constants.iter().map(free).collect::<Result<Vec<_>, _>>()?;
        let posterior = Posterior::new(free, self.covariance.clone(), self.step_log_spread)?;
        posterior.check(constants)?;
        Ok(posterior)
    }
}
