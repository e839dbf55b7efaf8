//! What a calibration found, for people and scripts.

use engine::perf::Deployment;
use engine::perf::fit::{Estimate, Fitted};
use serde::Serialize;

use super::probe::Probe;
use super::reduce::{Measure, median};
use super::{Calibrator, Free};

/// The outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// Version of this object.
    pub schema: u32,
    /// What was probed.
    pub target: String,
    /// In which splits.
    pub splits: Vec<String>,
    /// The profile that it started from.
    pub cluster: String,
    /// Its model.
    pub model: String,
    /// Its GPU.
    pub gpu: String,
    /// The constants that were fitted.
    pub constants: Vec<ConstantRow>,
    /// What was measured, in the order of probing.
    pub probes: Vec<ProbeRow>,
    /// Probes that tell nothing.
    pub skipped: Vec<Skipped>,
    /// Errors of what was fitted.
    pub fitted: Errors,
    /// Errors of what was predicted: probes that the fit has not seen.
    pub held_out: Errors,
    /// What the formula itself is off by, as far as the fit tells: the standard deviation of a logarithm.
    pub step_log_spread: f64,
    /// Seconds of the target's time; 0 for one without a clock.
    pub probed_s: f64,
}

/// A fitted constant, in the unit of its key.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConstantRow {
    /// Table and key in the profile.
    pub constant: String,
    /// Its value.
    pub value: f64,
    /// Its standard deviation.
    pub spread: f64,
    /// What was believed before.
    pub prior_value: f64,
    /// And how firmly: a standard deviation.
    pub prior_spread: f64,
    /// Whether the probes told much of it.
    pub identified: bool,
}

/// A time that was measured, and what the fitted constants say of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProbeRow {
    /// The probe, in words.
    pub probe: String,
    /// What of it was measured.
    pub measure: Measure,
    /// Milliseconds that it took.
    pub measured_ms: f64,
    /// Milliseconds that it is predicted to take.
    pub predicted_ms: f64,
    /// Predicted over measured, less one.
    pub error: f64,
    /// Whether it was kept from the fit.
    pub held_out: bool,
}

/// A probe that was not asked, or told nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// The probe, in words.
    pub probe: String,
    /// Why.
    pub why: String,
}

/// Sizes of errors, as shares; null without any.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Errors {
    /// How many there are.
    pub n: usize,
    /// The middle one.
    pub median: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
}

impl Errors {
    fn of(rows: &[ProbeRow], held_out: bool) -> Self {
        let sizes: Vec<f64> = rows.iter().filter(|row| row.held_out == held_out).map(|row| row.error.abs()).collect();
        Self { n: sizes.len(), max: sizes.iter().copied().reduce(f64::max), median: median(sizes) }
    }
}

pub(super) fn report(asked: &Calibrator, fitted: &Fitted, after: &Deployment) -> Calibration {
    let before = &asked.start.cluster.profile.deployment;
    let parts = before.parts();
    let constant = |estimate: &Estimate| {
        let Free { constant, phase } = estimate.free;
        let (prior_value, prior_spread) =
            parts.constants.prior(constant, phase).map_or((0.0, 0.0), |prior| (prior.value, prior.spread));
        ConstantRow {
            constant: estimate.free.name(),
            value: estimate.value,
            spread: estimate.value * (estimate.log_spread * estimate.log_spread).exp_m1().sqrt(),
            prior_value,
            prior_spread,
            identified: estimate.is_identified(),
        }
    };
    let row = |one: &super::session::Observed| {
        let predicted = one.timed.shape.seconds(after);
        ProbeRow {
            probe: one.probe.to_string(),
            measure: one.timed.shape.measure(),
            measured_ms: one.timed.seconds * 1e3,
            predicted_ms: predicted * 1e3,
            error: predicted / one.timed.seconds - 1.0,
            held_out: one.held_out,
        }
    };
    let probes: Vec<ProbeRow> = asked.findings.observed.iter().map(row).collect();
    let skipped = |(probe, why): &(Probe, String)| Skipped { probe: probe.to_string(), why: why.clone() };
    Calibration {
        schema: 1,
        target: asked.target.clone(),
        splits: asked.splits.iter().map(ToString::to_string).collect(),
        cluster: asked.start.cluster.name.clone(),
        model: parts.model.name.clone(),
        gpu: parts.gpu.name.clone(),
        constants: fitted.estimates.iter().map(constant).collect(),
        fitted: Errors::of(&probes, false),
        held_out: Errors::of(&probes, true),
        probes,
        skipped: asked.findings.skipped.iter().map(skipped).collect(),
        step_log_spread: fitted.posterior.step_log_spread(),
        probed_s: asked.findings.took.as_secs_f64(),
    }
}
