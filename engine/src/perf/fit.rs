//! Constants from measured steps.
//!
//! The most probable constants given what they were believed to be and what was measured: residuals are logarithms of
//! predicted over measured, so that short and long steps count alike; beyond a tenth they count linearly (Huber), so that one
//! wild step moves little; beliefs enter as Gaussian pseudo-measurements of the logarithms. Found by Levenberg-Marquardt over
//! the logarithms of the constants, which keeps them positive.

mod linear;

use super::constants::{Constant, Constants, Phase};
use super::deployment::Deployment;
use super::step::StepShape;

/// A step that was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// What it computed.
    pub shape: StepShape,
    /// How long it took, in seconds; more than none.
    pub seconds: f64,
}

/// A constant that may move: for steps with prompts alone where it differs there and `phase` says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Free {
    /// The constant.
    pub constant: Constant,
    /// The steps it is for.
    pub phase: Phase,
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
    /// Logarithms of predicted over measured, in the order of the observations.
    pub residuals: Vec<f64>,
}

/// Beyond this, residuals count linearly.
const HUBER: f64 = 0.1;
/// The error of the formula that is expected before anything is known, as a logarithm.
const FIRST_NOISE: f64 = 0.05;
/// No fit is believed to be better than this.
const LEAST_NOISE: f64 = 0.01;
const ITERATIONS: u32 = 60;

/// Moves the `free` constants of a deployment to where they explain `observations` best.
///
/// Observations that took no time are left out, and with none at all every constant keeps its value.
pub fn fit(deployment: &Deployment, observations: &[Observation], free: &[Free]) -> Fitted {
    let measured: Vec<_> = observations.iter().copied().filter(|one| one.seconds > 0.0).collect();
    let mut problem = Problem {
        start: deployment,
        observations: &measured,
        free,
        beliefs: beliefs(deployment, free),
        noise: FIRST_NOISE,
    };
    let mut point: Vec<f64> = problem.beliefs.iter().map(|belief| belief.0).collect();
    // How far beliefs count against measurements depends on how well the formula can do, which the first pass tells.
    for _ in 0..2 {
        point = problem.descend(point);
        problem.noise = spread_of(&problem.residuals(&point)).clamp(LEAST_NOISE, 1.0);
    }
    let residuals = problem.residuals(&point);
    let (normal, _) = problem.normal_equations(&point, &residuals);
    let variances = linear::inverse_diagonal(&normal);
    let estimates =
        free.iter().zip(&point).zip(&problem.beliefs).enumerate().map(|(index, ((&free, value), belief))| {
            let log_spread = variances.get(index).map_or(belief.1, |variance| variance.max(0.0).sqrt());
            Estimate { free, value: value.exp(), log_spread, prior_log_spread: belief.1 }
        });
    Fitted { estimates: estimates.collect(), constants: problem.constants(&point), residuals }
}

/// Mean and spread of the logarithm of each free constant.
fn beliefs(deployment: &Deployment, free: &[Free]) -> Vec<(f64, f64)> {
    let constants = &deployment.parts().constants;
    let belief = |free: &Free| {
        let (value, spread) =
            constants.prior(free.constant, free.phase).map_or((1.0, 1.0), |prior| (prior.value, prior.spread));
        // A floor that is believed to be none may still turn out to be something.
        let value = value.max(spread * 0.1).max(1e-3);
        (value.ln(), (1.0 + spread / value).ln().max(1e-3))
    };
    free.iter().map(belief).collect()
}

/// A spread that a few outliers do not move: 1.48 times the median of absolute residuals, that of a normal distribution.
fn spread_of(residuals: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = residuals.iter().map(|r| r.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.get(sizes.len() / 2).map_or(FIRST_NOISE, |median| 1.4826 * median)
}

struct Problem<'a> {
    start: &'a Deployment,
    observations: &'a [Observation],
    free: &'a [Free],
    beliefs: Vec<(f64, f64)>,
    noise: f64,
}

impl Problem<'_> {
    fn constants(&self, point: &[f64]) -> Constants {
        let start = self.start.parts().constants.clone();
        self.free.iter().zip(point).fold(start, |constants, (free, log)| {
            let (low, high) = free.constant.range();
            constants.with(free.constant, free.phase, log.exp().clamp(low, high))
        })
    }

    fn residuals(&self, point: &[f64]) -> Vec<f64> {
        let deployment = self.start.clone().with_constants(self.constants(point));
        self.observations.iter().map(|one| (deployment.step_seconds(&one.shape) / one.seconds).ln()).collect()
    }

    fn cost(&self, point: &[f64], residuals: &[f64]) -> f64 {
        let of_steps: f64 = residuals.iter().map(|r| huber(*r) / (self.noise * self.noise)).sum();
        let of_beliefs: f64 =
            point.iter().zip(&self.beliefs).map(|(x, (mean, spread))| ((x - mean) / spread).powi(2)).sum();
        of_steps + of_beliefs
    }

    /// The matrix of the second derivatives of half the cost, and its gradient, with numeric derivatives of the residuals.
    fn normal_equations(&self, point: &[f64], residuals: &[f64]) -> (Vec<Vec<f64>>, Vec<f64>) {
        const STEP: f64 = 1e-5;
        let slopes: Vec<Vec<f64>> = (0..point.len())
            .map(|index| {
                let mut moved = point.to_vec();
                moved[index] += STEP;
                self.residuals(&moved).iter().zip(residuals).map(|(after, before)| (after - before) / STEP).collect()
            })
            .collect();
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
        let mut damping = 1e-2;
        for _ in 0..ITERATIONS {
            let (normal, gradient) = self.normal_equations(&point, &residuals);
            let mut damped = normal;
            for (index, row) in damped.iter_mut().enumerate() {
                row[index] *= 1.0 + damping;
            }
            let Some(step) = linear::solve(damped, gradient) else { break };
            // A step of more than a factor of two is not one the linearisation knows anything of.
            let next: Vec<f64> = point.iter().zip(&step).map(|(x, d)| x - d.clamp(-0.7, 0.7)).collect();
            let after = self.residuals(&next);
            let next_cost = self.cost(&next, &after);
            if next_cost < cost {
                let gained = cost - next_cost;
                (point, residuals, cost) = (next, after, next_cost);
                damping = (damping / 5.0_f64).max(1e-9);
                if gained < 1e-9 * cost {
                    break;
                }
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
