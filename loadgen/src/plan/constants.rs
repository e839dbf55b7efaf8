//! Draws of what is not known for sure.

use std::sync::Arc;

use engine::executor::sim::{Tabulated, Unusable};
use engine::model::counter;
use engine::perf::{Constant, Constants, Phase};

use crate::profile::Cluster;

/// Tells the draws of constants from all else that a seed decides.
const STREAM: u64 = 0x636f_6e73_7461_6e74;

/// Tables for the constants as they stand, then for `draws` others, each constant moved by itself within its spread.
pub(crate) fn tables(cluster: &Cluster, seed: u64, draws: u32) -> Result<Vec<Arc<Tabulated>>, Unusable> {
    (0..=draws)
        .map(|draw| {
            let deployment = cluster.deployment.clone();
            let constants = deployment.parts().constants.clone();
            let deployment =
                if draw == 0 { deployment } else { deployment.with_constants(moved(constants, seed, draw)) };
            Ok(Arc::new(Tabulated::of(&deployment, &cluster.config)?))
        })
        .collect()
}

/// Log-normal around each value, so that shares and times stay above zero, and within what the constant may be.
fn moved(mut constants: Constants, seed: u64, draw: u32) -> Constants {
    let key = counter::stream(seed ^ STREAM, u64::from(draw));
    for (number, constant) in Constant::ALL.into_iter().enumerate() {
        // One number for both phases: what makes decode faster than thought makes prompts faster, too.
        let normal = normal(key, number as u64);
        for phase in [Phase::Decode, Phase::Prompt] {
            if phase == Phase::Prompt && !constants.differs(constant) {
                continue;
            }
            let Some(prior) = constants.prior(constant, phase).filter(|prior| prior.value > 0.0) else { continue };
            let deviation = (1.0 + (prior.spread / prior.value).powi(2)).ln().sqrt();
            let (low, high) = constant.range();
            let value = (prior.value * (deviation * normal).exp()).clamp(low, high);
            constants = constants.with(constant, phase, value);
        }
    }
    constants
}

/// A standard normal number (Box and Muller 1958).
fn normal(key: u64, number: u64) -> f64 {
    let radius = (-2.0 * (1.0 - counter::unit_interval(key, 2 * number)).ln()).sqrt();
    radius * (std::f64::consts::TAU * counter::unit_interval(key, 2 * number + 1)).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_normal_and_the_same_for_ever() {
        let values: Vec<f64> = (0..20_000).map(|number| normal(7, number)).collect();
        let mean = values.iter().sum::<f64>() / 2e4;
        let variance = values.iter().map(|value| value * value).sum::<f64>() / 2e4;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        assert_eq!(normal(7, 3).to_bits(), normal(7, 3).to_bits());
    }
}
