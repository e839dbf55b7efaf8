//! Draws of what is not known for sure.

use std::convert::Infallible;
use std::sync::Arc;

use engine::executor::sim::{Tabulated, Unusable};
use engine::model::counter;
use engine::perf::{Constant, Constants, Deployment, Phase, Posterior};
use rand::TryRng;
use rand_distr::{Distribution, StandardNormal};

use crate::profile::Cluster;

/// Tells the draws of constants from all else that a seed decides.
const STREAM: u64 = 0x636f_6e73_7461_6e74;

/// The number before those of what is drawn together; each constant by itself has its place in the list for a number up to
/// this one.
const JOINT: u64 = 27;
/// Constants that stand behind it have numbers behind all those that are drawn together.
const BEHIND: u64 = 1 << 32;

/// The number of the draw of a constant, from its place in the list: the same for a seed when others are added.
fn place(constant: u64) -> u64 {
    if constant <= JOINT { constant } else { BEHIND + constant }
}

/// Tables for the constants as they stand, then for `draws` others.
pub(crate) fn tables(cluster: &Cluster, seed: u64, draws: u32) -> Result<Vec<Arc<Tabulated>>, Unusable> {
    (0..=draws).map(|draw| Ok(Arc::new(Tabulated::of(&deployment(cluster, seed, draw), &cluster.config)?))).collect()
}

/// The deployment as a draw has it; the first is the profile as it stands. Constants of which a calibration tells are moved
/// together, as it says, and steps by what the formula is off by; all others are moved each by itself within its spread.
pub(super) fn deployment(cluster: &Cluster, seed: u64, draw: u32) -> Deployment {
    let deployment = cluster.deployment.clone();
    if draw == 0 {
        return deployment;
    }
    let key = counter::stream(seed ^ STREAM, u64::from(draw));
    let posterior = cluster.posterior.as_ref();
    let constants = moved(deployment.parts().constants.clone(), posterior, key);
    let Some(posterior) = posterior else { return deployment.with_constants(constants) };
    let mut number = JOINT;
    let drawn = posterior.draw(constants, || {
        number += 1;
        normal(key, number)
    });
    deployment.drawn(drawn)
}

/// Log-normal around each value, so that shares and times stay above zero, and within what the constant may be.
fn moved(mut constants: Constants, posterior: Option<&Posterior>, key: u64) -> Constants {
    for (number, constant) in Constant::ALL.into_iter().enumerate() {
        // One number for both phases: what makes decode faster than thought makes prompts faster, too.
        let normal = normal(key, place(number as u64));
        for phase in [Phase::Decode, Phase::Prompt] {
            let own = phase == Phase::Decode || constants.differs(constant);
            if !own || posterior.is_some_and(|posterior| posterior.holds(constant, phase)) {
                continue;
            }
            let Some(prior) = constants.prior(constant, phase).filter(|prior| prior.value > 0.0) else { continue };
            let (low, high) = constant.range();
            let value = (prior.value * (prior.log_belief().1 * normal).exp()).clamp(low, high);
            constants = constants.with(constant, phase, value);
        }
    }
    constants
}

/// A standard normal number: the same for the same stream and number, whatever else was drawn.
pub(crate) fn normal(key: u64, number: u64) -> f64 {
    StandardNormal.sample(&mut Counted { key: counter::stream(key, number), next: 0 })
}

/// The values of a stream one after another.
struct Counted {
    key: u64,
    next: u64,
}

impl TryRng for Counted {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|value| (value >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.next += 1;
        Ok(counter::value(self.key, self.next))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for part in bytes.chunks_mut(8) {
            let value = self.try_next_u64()?.to_le_bytes();
            part.copy_from_slice(&value[..part.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use engine::perf::Free;

    use super::*;
    use crate::profile::Library;

    #[test]
    fn numbers_are_normal_and_the_same_for_ever() {
        let values: Vec<f64> = (0..20_000).map(|number| normal(7, number)).collect();
        let mean = values.iter().sum::<f64>() / 2e4;
        let variance = values.iter().map(|value| value * value).sum::<f64>() / 2e4;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        assert_eq!(normal(7, 3).to_bits(), normal(7, 3).to_bits());
    }

    #[test]
    fn draws_of_what_was_calibrated_together_move_together() {
        let mut cluster = Library::new(Vec::new()).cluster("h200-llama70b").expect("a cluster").profile;
        let free = ["all.gemm_mbu", "all.layer_floor_us"].map(|name| Free::named(name).expect(name)).to_vec();
        let covariance = vec![vec![4e-4, 3.96e-4], vec![3.96e-4, 4e-4]];
        cluster.posterior = Some(Posterior::new(free, covariance, 0.0).expect("a belief"));
        let start = cluster.deployment.parts().constants.clone();
        let log = |drawn: &Deployment, constant| {
            let value = |constants: &Constants| constants.prior(constant, Phase::Decode).expect("a constant").value;
            (value(&drawn.parts().constants) / value(&start)).ln()
        };
        let (mut ours, mut other, mut product) = (0.0, 0.0, 0.0);
        for draw in 1..=400 {
            let drawn = deployment(&cluster, 7, draw);
            let pair = (log(&drawn, Constant::GemmMbu), log(&drawn, Constant::LayerFloor));
            ours += pair.0 * pair.0;
            other += pair.1 * pair.1;
            product += pair.0 * pair.1;
        }
        assert!((ours / 400.0 - 4e-4).abs() < 8e-5, "{}", ours / 400.0);
        assert!(product / (ours * other).sqrt() > 0.98, "{}", product / (ours * other).sqrt());
    }
}
