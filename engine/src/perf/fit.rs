//! Constants from what was measured: steps, first tokens, or figures of whole runs.
//!
//! The most probable constants given what they were believed to be and what was measured: residuals are logarithms of
//! predicted over measured, so that short and long steps count alike; beyond a tenth they count linearly (Huber), so that one
//! wild step moves little; beliefs enter as Gaussian pseudo-measurements of the logarithms. Found by Levenberg-Marquardt over
//! the logarithms of the constants, which keeps them positive. The curvature there is the inverse of the covariance.

use super::constants::{Constant, Constants, Phase, Prior};
use super::deployment::Deployment;
use super::linear::Cholesky;
use super::posterior::Posterior;
use super::step::StepShape;

pub use super::posterior::Free;

/// A step that was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// What it computed.
    pub shape: StepShape,
    /// How long it took, in seconds; more than none.
    pub seconds: f64,
}

/// What a fit says of one constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The constant.
    pub free: Free,
    /// Its value, in the unit of its key.
    pub value: f64,
    /// Standard deviation of its logarithm.
    pub log_spread: f64,
    /// What that was believed to be before.
    pub prior_log_spread: f64,
}

impl Estimate {
    /// Whether the measurements told much of it; where not, the value is still the belief.
    pub fn is_identified(&self) -> bool {
        self.log_spread <= 0.8 * self.prior_log_spread
    }
}

/// The outcome of a fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Fitted {
    /// All constants, the free ones moved.
    pub constants: Constants,
    /// The free ones, in the order in which they were given.
    pub estimates: Vec<Estimate>,
    /// Logarithms of predicted over measured, in the order of what was measured; 0 for what was left out.
    pub residuals: Vec<f64>,
    /// What is believed of the free constants together, and of the error of the formula.
    pub posterior: Posterior,
}

/// Beyond this, residuals count linearly.
const HUBER: f64 = 0.1;
/// The error of the formula that is expected before anything is known, as a logarithm,
const FIRST_NOISE: f64 = 0.05;
/// which counts as much as so many measurements.
const FIRST_COUNT: f64 = 1.0;
/// No fit is believed to be better than this.
const LEAST_NOISE: f64 = 0.01;
const ITERATIONS: u32 = 60;
/// Derivatives are over twice this: wide enough that the order of events in a simulated run does not matter.
const STEP: f64 = 5e-3;
/// Constants on which no prediction depends more than this are independent of all that was measured.
const INSENSITIVE: f64 = 1e-5;

/// Moves the `free` constants of a deployment to where they explain the observed steps best.
///
/// Observations that took no time are left out, and with none at all every constant keeps its value.
pub fn fit(deployment: &Deployment, observations: &[Observation], free: &[Free]) -> Fitted {
    let measured: Vec<f64> = observations.iter().map(|one| one.seconds).collect();
    fit_to(deployment, free, &measured, |deployment| {
        observations.iter().map(|one| deployment.step_seconds(&one.shape)).collect()
    })
}

/// Moves the `free` constants of a deployment to where `predict` comes closest to what was `measured`, in whatever units and
/// order both have. What is measured is above zero; the rest is left out.
pub fn fit_to(
    deployment: &Deployment,
    free: &[Free],
    measured: &[f64],
    predict: impl Fn(&Deployment) -> Vec<f64>,
) -> Fitted {
    let beliefs = beliefs(deployment, free);
    let mut problem = Problem { start: deployment, measured, predict: &predict, free, beliefs, noise: FIRST_NOISE };
    let mut point: Vec<f64> = problem.beliefs.iter().map(|belief| belief.0).collect();
    // How far beliefs count against measurements depends on how well the formula can do, which the first pass tells.
    for _ in 0..2 {
        point = problem.descend(point);
        problem.noise = problem.noise_at(&point);
    }
    let residuals = problem.residuals(&point);
    let posterior = problem.posterior(&point);
    let estimate = |(index, &free): (usize, &Free)| Estimate {
        free,
        value: point[index].exp(),
        log_spread: posterior.covariance()[index][index].sqrt(),
        prior_log_spread: problem.beliefs[index].1,
    };
    let estimates = free.iter().enumerate().map(estimate).collect();
    Fitted { estimates, constants: problem.constants(&point), residuals, posterior }
}

/// Mean and spread of the logarithm of each.
fn beliefs(deployment: &Deployment, free: &[Free]) -> Vec<(f64, f64)> {
    let belief = |free: &Free| {
        let prior = deployment.parts().constants.prior(free.constant, free.phase);
        prior.map_or((0.0, 1.0), Prior::log_belief)
    };
    free.iter().map(belief).collect()
}

/// All that has a value of its own, except what is in `free`.
fn others(constants: &Constants, free: &[Free]) -> Vec<Free> {
    let both = |constant| [Phase::Decode, Phase::Prompt].map(|phase| Free { constant, phase });
    let all = Constant::ALL.into_iter().flat_map(both);
    let own = all.filter(|one| one.phase == Phase::Decode || constants.differs(one.constant));
    let known = own.filter(|one| constants.prior(one.constant, one.phase).is_some_and(|prior| prior.value > 0.0));
    known.filter(|one| !free.contains(one)).collect()
}

fn inverse(matrix: &[Vec<f64>]) -> Option<Vec<Vec<f64>>> {
    Cholesky::of(matrix).map(|factor| factor.inverse())
}

struct Problem<'a, P> {
    start: &'a Deployment,
    measured: &'a [f64],
    predict: &'a P,
    free: &'a [Free],
    beliefs: Vec<(f64, f64)>,
    noise: f64,
}

impl<P: Fn(&Deployment) -> Vec<f64>> Problem<'_, P> {
    fn constants(&self, point: &[f64]) -> Constants {
        let start = self.start.parts().constants.clone();
        self.free.iter().zip(point).fold(start, |constants, (free, log)| {
            let (low, high) = free.constant.range();
            constants.with(free.constant, free.phase, log.exp().clamp(low, high))
        })
    }

    fn residuals(&self, point: &[f64]) -> Vec<f64> {
        let deployment = self.start.clone().with_constants(self.constants(point));
        let predicted = (self.predict)(&deployment);
        let of = |(index, &measured): (usize, &f64)| {
            // What is not predicted at all is as wrong as can be, and yet a number.
            let predicted = predicted.get(index).copied().filter(|value| *value > 0.0).unwrap_or(1e-12);
            if measured > 0.0 { (predicted / measured).ln() } else { 0.0 }
        };
        self.measured.iter().enumerate().map(of).collect()
    }

    fn cost(&self, point: &[f64], residuals: &[f64]) -> f64 {
        let of_steps: f64 = residuals.iter().map(|r| huber(*r) / (self.noise * self.noise)).sum();
        let of_beliefs: f64 =
            point.iter().zip(&self.beliefs).map(|(x, (mean, spread))| ((x - mean) / spread).powi(2)).sum();
        of_steps + of_beliefs
    }

    /// What the formula is off by: 1.48 times the median of absolute residuals, which a few outliers do not move, made up for
    /// what moving constants has taken from them, and with what was expected as long as there are few.
    fn noise_at(&self, point: &[f64]) -> f64 {
        let residuals = self.residuals(point);
        let pairs = residuals.iter().zip(self.measured).filter(|(_, measured)| **measured > 0.0);
        let mut sizes: Vec<f64> = pairs.map(|(residual, _)| residual.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let count = sizes.len() as f64;
        let Some(median) = sizes.get(sizes.len() / 2) else { return FIRST_NOISE };
        let (normal, _) = self.normal_equations(point, &residuals, &self.slopes(point));
        // What beliefs do not hold is taken from the residuals.
        let held: f64 = inverse(&normal).map_or(0.0, |inverse| {
            self.beliefs.iter().enumerate().map(|(index, (_, spread))| inverse[index][index] / (spread * spread)).sum()
        });
        let taken = self.free.len() as f64 - held;
        let variance = (FIRST_COUNT * FIRST_NOISE * FIRST_NOISE + count * (1.4826 * median).powi(2))
            / (FIRST_COUNT + (count - taken).max(0.0));
        variance.sqrt().clamp(LEAST_NOISE, 1.0)
    }

    /// What is believed at a point: of the free constants and, as far as predictions depend on them, of all others. Those were
    /// not moved, but what a free one makes up for is known of both only together.
    fn posterior(&self, point: &[f64]) -> Posterior {
        let others = others(&self.start.parts().constants, self.free);
        let wide = [self.free, &others].concat();
        let beliefs = beliefs(self.start, &wide);
        let at: Vec<f64> =
            point.iter().copied().chain(beliefs.iter().skip(point.len()).map(|belief| belief.0)).collect();
        let problem = Problem { free: &wide, beliefs, ..*self };
        let (residuals, mut slopes) = (problem.residuals(&at), problem.slopes(&at));
        let matters =
            |index: &usize| *index < point.len() || slopes[*index].iter().any(|slope| slope.abs() > INSENSITIVE);
        let kept: Vec<usize> = (0..wide.len()).filter(matters).collect();
        slopes = kept.iter().map(|index| std::mem::take(&mut slopes[*index])).collect();
        let free: Vec<Free> = kept.iter().map(|index| wide[*index]).collect();
        let beliefs: Vec<(f64, f64)> = kept.iter().map(|index| problem.beliefs[*index]).collect();
        let at: Vec<f64> = kept.iter().map(|index| at[*index]).collect();
        let problem = Problem { free: &free, beliefs, ..*self };
        let (normal, _) = problem.normal_equations(&at, &residuals, &slopes);
        let believed = inverse(&normal).and_then(|inverse| Posterior::new(free.clone(), inverse, self.noise).ok());
        believed.unwrap_or_else(|| {
            let spreads: Vec<f64> = problem.beliefs.iter().map(|belief| belief.1).collect();
            Posterior::independent(free.clone(), &spreads, self.noise)
        })
    }

    /// Derivatives of the residuals, a list for each constant.
    fn slopes(&self, point: &[f64]) -> Vec<Vec<f64>> {
        let slope = |index: usize| {
            let [before, after] = [-STEP, STEP].map(|step| {
                let mut moved = point.to_vec();
                moved[index] += step;
                self.residuals(&moved)
            });
            after.iter().zip(&before).map(|(after, before)| (after - before) / (2.0 * STEP)).collect()
        };
        (0..point.len()).map(slope).collect()
    }

    /// The matrix of the second derivatives of half the cost, and its gradient.
    fn normal_equations(&self, point: &[f64], residuals: &[f64], slopes: &[Vec<f64>]) -> (Vec<Vec<f64>>, Vec<f64>) {
        let weights: Vec<f64> =
            residuals.iter().map(|r| (HUBER / r.abs().max(HUBER)) / (self.noise * self.noise)).collect();
        let product = |one: &[f64], other: &[f64]| -> f64 {
            one.iter().zip(other).zip(&weights).map(|((a, b), weight)| a * b * weight).sum()
        };
        let mut normal: Vec<Vec<f64>> =
            slopes.iter().map(|one| slopes.iter().map(|other| product(one, other)).collect()).collect();
        let mut gradient: Vec<f64> = slopes.iter().map(|one| product(one, residuals)).collect();
        for (index, (mean, spread)) in self.beliefs.iter().enumerate() {
            normal[index][index] += 1.0 / (spread * spread);
            gradient[index] += (point[index] - mean) / (spread * spread);
        }
        (normal, gradient)
    }

    fn descend(&self, mut point: Vec<f64>) -> Vec<f64> {
        let mut residuals = self.residuals(&point);
        let mut cost = self.cost(&point, &residuals);
        let (mut normal, mut gradient) = self.normal_equations(&point, &residuals, &self.slopes(&point));
        let mut damping = 1e-2;
        for _ in 0..ITERATIONS {
            let mut damped = normal.clone();
            for (index, row) in damped.iter_mut().enumerate() {
                row[index] *= 1.0 + damping;
            }
            let Some(step) = Cholesky::of(&damped).map(|factor| factor.solve(&gradient)) else { break };
            // A step of more than a factor of two is not one the linearisation knows anything of.
            let next: Vec<f64> = point.iter().zip(&step).map(|(x, d)| x - d.clamp(-0.7, 0.7)).collect();
            let after = self.residuals(&next);
            let next_cost = self.cost(&next, &after);
            if next_cost < cost {
                let gained = cost - next_cost;
                (point, residuals, cost) = (next, after, next_cost);
                damping = (damping / 5.0_f64).max(1e-9);
                if gained < 1e-7 * cost {
                    break;
                }
                (normal, gradient) = self.normal_equations(&point, &residuals, &self.slopes(&point));
            } else {
                damping *= 5.0;
                if damping > 1e9 {
                    break;
                }
            }
        }
        point
    }
}

fn huber(residual: f64) -> f64 {
    let size = residual.abs();
    if size <= HUBER { size * size } else { HUBER * (2.0 * size - HUBER) }
}
