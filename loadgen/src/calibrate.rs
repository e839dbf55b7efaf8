//! A cluster profile from a target that can be asked: probes, what they take, and the constants that explain it best.
//!
//! ```text
//!   room ─► probes ─► target, one at a time ─► instants of tokens ─► steps and their times ─► fit ─► profile, report
//!            pure       (any Connection)                   pure                         with the priors
//! ```
//!
//! Probes use nothing but what every target has: a request goes out, tokens come back. The median gap of sequences that decode together
//! is a step of a known shape; a lone prompt is its chunks and its hand-off. Where a target tells the times of stages, these
//! are taken apart. Some probes are kept from the fit and predicted by it: their error is what a prediction is worth.
//!
//! A simulated cluster is probed in virtual time ([`crate::target::sim::open_jumping`]): it has no speed but that of its
//! profile, so nothing is learnt by waiting, and the result is the same on every machine.

mod probe;
mod reduce;
mod report;
mod runner;
mod session;

use engine::perf::fit::{Free, fit_to};
use engine::perf::{Attention, Constant, Deployment, Ffn, Phase};
use engine::units::Split;

pub use probe::{Probe, TooSmall};
pub use reduce::Measure;
pub use report::{Calibration, ConstantRow, Errors, ProbeRow, Skipped};

use crate::profile::{Cluster, ClusterProfile, Loaded};
use crate::target::Connection;
use crate::time::Micros;
use session::{Findings, Terms};

/// What a calibration starts from.
#[derive(Clone, Debug)]
pub struct Start {
    /// The profile, as it is written.
    pub profile: ClusterProfile,
    /// What it means.
    pub cluster: Loaded<Cluster>,
}

/// Why there is no calibration.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// Nothing fits.
    #[error(transparent)]
    TooSmall(#[from] TooSmall),
    /// The target does not answer as it should any more.
    #[error("{0}; nothing was written")]
    Lost(String),
    /// It says that it serves another model than the profile is of.
    #[error(
        "{target} has a vocabulary of {found} tokens, the model {model} of cluster {cluster} has {expected}\nhint: --cluster names a \
         profile with the model that is served"
    )]
    OtherModel {
        /// The target.
        target: String,
        /// Token ids of the target.
        found: u32,
        /// The model of the profile.
        model: String,
        /// The profile.
        cluster: String,
        /// Token ids of its model.
        expected: u32,
    },
    /// Too little was learnt to fit anything.
    #[error(
        "only {times} times could be measured, too few to fit anything; nothing was written{why}\nhint: a longer --budget"
    )]
    TooFew {
        /// How many were.
        times: usize,
        /// Why the first probe of those left out was, on a line of its own; empty where none was.
        why: String,
    },
}

/// A calibration under way: one target after another, then its outcome.
#[derive(Debug)]
pub struct Calibrator {
    start: Start,
    budget: Micros,
    seed: u64,
    findings: Findings,
    splits: Vec<Split>,
    target: String,
}

/// Fewer times than this say nothing.
const LEAST: usize = 4;

impl Calibrator {
    /// Starts from a profile. `budget` is the target's time for all probes; `seed` decides the texts of prompts, which a target should
    /// not have seen before.
    pub fn new(start: Start, budget: Micros, seed: u64) -> Self {
        Self { start, budget, seed, findings: Findings::default(), splits: Vec::new(), target: String::new() }
    }

    /// Asks a target that serves in `split`; after the first one, only what mixes prompts and decodes. `exact` says that the same
    /// probe takes the same time always. `told` hears the number of the probe, of how many, and which.
    ///
    /// # Errors
    /// When the target is too small, serves another model, or is lost.
    pub fn probe(
        &mut self,
        connection: Connection,
        split: Split,
        exact: bool,
        told: &mut impl FnMut(usize, usize, Probe),
    ) -> Result<(), CalibrateError> {
        self.check_model(&connection)?;
        self.target.clone_from(&connection.info.name);
        let terms = Terms {
            split,
            mixed_only: !self.splits.is_empty(),
            budget: self.budget.since(self.findings.took),
            exact,
            seed: self.seed.wrapping_add(self.splits.len() as u64),
        };
        let found = session::ask(connection, &self.start, terms, told)?;
        self.findings.observed.extend(found.observed);
        self.findings.skipped.extend(found.skipped);
        self.findings.took = self.findings.took + found.took;
        self.splits.push(split);
        Ok(())
    }

    /// A server that does not tell its vocabulary cannot be checked; one in the process always tells.
    fn check_model(&self, connection: &Connection) -> Result<(), CalibrateError> {
        let model = &self.start.cluster.profile.deployment.parts().model;
        let found = connection.info.limits.vocabulary;
        if connection.client.is_some() || found == model.vocab {
            return Ok(());
        }
        Err(CalibrateError::OtherModel {
            target: connection.info.name.clone(),
            found,
            model: model.name.clone(),
            cluster: self.start.cluster.name.clone(),
            expected: model.vocab,
        })
    }

    /// Fits the constants to what was measured.
    ///
    /// # Errors
    /// When too little was.
    pub fn finish(self) -> Result<(Calibration, ClusterProfile), CalibrateError> {
        let used: Vec<_> = self.findings.observed.iter().filter(|one| !one.held_out).collect();
        if used.len() < LEAST {
            let why = self
                .findings
                .skipped
                .first()
                .map_or_else(String::new, |(_, why)| format!("\nthe first one left out: {why}"));
            return Err(CalibrateError::TooFew { times: used.len(), why });
        }
        let before = &self.start.cluster.profile.deployment;
        let hands_off = self.splits.iter().any(|split| split.prefill > 0);
        let free = free(before, hands_off);
        let measured: Vec<f64> = used.iter().map(|one| one.timed.seconds).collect();
        let fitted = fit_to(before, &free, &measured, |deployment| {
            used.iter().map(|one| one.timed.shape.seconds(deployment)).collect()
        });
        let after = before.clone().with_constants(fitted.constants.clone());
        let source = format!("pdtune calibrate, {} times measured of {}", used.len(), self.target);
        let mut profile = self.start.profile.clone().calibrated(&fitted, &source);
        let description = profile.description.split("; calibrated on ").next().unwrap_or_default();
        profile.description = format!("{description}; calibrated on {}", self.target);
        let calibration = report::report(&self, &fitted, &after);
        Ok((calibration, profile))
    }
}

/// The constants that probes can tell something of: all that the times of this model on these units depend on much.
fn free(deployment: &Deployment, hands_off: bool) -> Vec<Free> {
    let parts = deployment.parts();
    let mut constants = vec![
        Constant::GemmMfu,
        Constant::GemmMbu,
        Constant::PromptAttentionMfu,
        Constant::DecodeAttentionMbu,
        Constant::LayerFloor,
        Constant::StepOverhead,
        Constant::SequenceOverhead,
    ];
    if matches!(parts.model.attention, Attention::Latent { .. }) {
        constants.push(Constant::LatentAttentionMfu);
    }
    if matches!(parts.model.ffn, Ffn::Experts(_)) {
        constants.extend([Constant::ExpertMfu, Constant::ExpertMbu, Constant::ExpertFloor]);
    }
    if hands_off {
        constants.extend([Constant::HandoffSetup, Constant::HandoffEfficiency]);
    }
    let of = |constant| {
        let prompt = parts.constants.differs(constant).then_some(Free { constant, phase: Phase::Prompt });
        [Some(Free { constant, phase: Phase::Decode }), prompt].into_iter().flatten()
    };
    constants.into_iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests;
