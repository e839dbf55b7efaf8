//! How many requests a schedule offers per second, over the whole run.

use super::Traffic;
use crate::arrival::RateCurve;
use crate::arrival::phases::MAX_RATE;
use crate::text::Malformed;
use crate::time::Micros;

/// The rate over time, as planned and as changed since.
#[derive(Clone, Debug, PartialEq)]
pub struct OfferedRate {
    pub(super) curve: RateCurve,
    /// Requests per second where the curve is at 1.
    unit_rate: f64,
}

impl OfferedRate {
    pub(super) fn new(curve: RateCurve, unit_rate: f64) -> Self {
        Self { curve, unit_rate }
    }

    /// What is planned for this traffic, before anything is changed; `None` for a trace, which has to be read first.
    pub(crate) fn planned(traffic: &Traffic) -> Option<Self> {
        match traffic {
            Traffic::Synthetic { rate, .. } => Some(Self::new(rate.curve(), 1.0)),
            Traffic::Trace { .. } => None,
        }
    }

    /// The same rate all the time, in requests per second; what is no rate counts as none.
    pub(crate) fn steady(rps: f64) -> Self {
        let rps = if rps.is_finite() { rps.clamp(0.0, MAX_RATE) } else { 0.0 };
        Self::new(RateCurve::constant(rps), 1.0)
    }

    /// Requests per second offered at `at`; of a trace the mean, which its speed and changes of the rate scale.
    pub fn at(&self, at: Micros) -> f64 {
        self.curve.rate_at(at) * self.unit_rate
    }

    /// The same, but of a paused load what it would be without the pause.
    pub fn planned_at(&self, at: Micros) -> f64 {
        self.curve.planned_rate_at(at) * self.unit_rate
    }

    /// From `at` on, `rate` requests per second are offered, whatever phases were to come.
    ///
    /// # Errors
    /// When the rate is negative, not a number or beyond [`MAX_RATE`].
    pub fn set(&mut self, at: Micros, rate: f64) -> Result<(), Malformed> {
        if !(0.0..=MAX_RATE).contains(&rate) {
            return Err(Malformed::new("a rate", &rate.to_string(), "0 to 1000000 requests per second"));
        }
        self.curve.set_rate(at, rate / self.unit_rate);
        Ok(())
    }
}
