//! One split at any rate, for whoever looks for a rate of its own.

use engine::units::Split;

use super::figures::Figures;
use super::search::highest_rate;
use super::simulate::{Setting, World};
use super::{PlanError, Question, splits, work};

/// A split that is tried at one rate after another.
#[derive(Debug)]
pub struct Trials<'a> {
    world: World<'a>,
    setting: Setting,
}

impl<'a> Trials<'a> {
    /// Tries `split` with the load, the SLO and the draws of `question`. The profile's own chunk is that of its units.
    ///
    /// # Errors
    /// When the SLO has bounds that are not predicted, the split does not fit, or the load cannot be offered.
    pub fn new(question: &'a Question, split: Split) -> Result<Self, PlanError> {
        question.cluster.check_units(split)?;
        Ok(Self { world: super::world(question)?, setting: Setting { split, chunk: None } })
    }

    /// What the profile as it stands gives at `rate` requests per second, and whether that meets the SLO.
    pub fn at(&self, rate: f64) -> (Figures, bool) {
        let figures = self.world.trial(self.setting, 0, rate);
        (figures, self.world.is_met(&figures))
    }

    /// The rate beyond which is not looked.
    pub fn most_rate(&self) -> f64 {
        splits::most_rate(&self.world)
    }

    /// The highest rate of every draw beside the profile's own, looked for from `start`; 0 where none meets the SLO. `told`
    /// hears how many of how many are done. Once it `is_over` nothing is looked for any more, and nothing given back means anything.
    pub fn highest_of_draws(
        &self,
        start: f64,
        is_over: impl Fn() -> bool + Sync,
        told: impl Fn(usize, usize) + Sync,
    ) -> Vec<f64> {
        let draws: Vec<usize> = (1..self.world.tables.len()).collect();
        let highest = |draw: &usize| {
            let is_met = |rate| !is_over() && self.world.is_met(&self.world.trial(self.setting, *draw, rate));
            highest_rate(start, self.most_rate(), is_met).unwrap_or(0.0)
        };
        work::map(&draws, highest, told)
    }
}
