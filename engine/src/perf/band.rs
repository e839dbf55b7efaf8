//! How uncertain a prediction is.

use super::constants::{Constant, Phase};
use super::deployment::Deployment;
use super::step::StepShape;

impl Deployment {
    /// Standard deviation of the logarithm of [`Self::step_seconds`], from the spreads of all constants taken as independent and
    /// the step as linear in their logarithms: 0.1 means that two thirds of such deployments take within 10 % of what is said.
    pub fn step_log_spread(&self, shape: &StepShape) -> f64 {
        const STEP: f64 = 1e-4;
        let (constants, seconds) = (&self.parts().constants, self.step_seconds(shape));
        if seconds <= 0.0 {
            return 0.0;
        }
        let phase = if shape.prompt_tokens > 0 { Phase::Prompt } else { Phase::Decode };
        let mut variance = 0.0;
        for constant in Constant::ALL {
            let Some(prior) = constants.prior(constant, phase) else { continue };
            // A step forward in the value itself, so that a constant that is none now counts as well.
            let step = STEP * prior.spread.max(prior.value * STEP);
            let moved = self.clone().with_constants(constants.clone().with(constant, phase, prior.value + step));
            let slope = (moved.step_seconds(shape) - seconds) / (step * seconds);
            variance += (slope * prior.spread).powi(2);
        }
        variance.sqrt()
    }
}
