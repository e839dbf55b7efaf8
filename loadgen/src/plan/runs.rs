//! What runs that were measured elsewhere would have measured on a simulated cluster: to fit constants to them, and to see how
//! far predictions are off.

use std::sync::Arc;

use engine::executor::sim::Tabulated;
use engine::perf::Deployment;
use engine::units::Split;

use super::rows::Rows;
use super::simulate::{Setting, World};
use super::stretch::Stretch;
use super::{Figures, PlanError, Procedure, constants};
use crate::profile::{Cluster, Loaded};
use crate::schedule::LoadSpec;
use crate::slo::Slo;

/// A run as it was measured.
#[derive(Clone, Debug)]
pub struct Run {
    /// The units.
    pub split: Split,
    /// The lengths and the arrivals, and how many requests are simulated.
    pub load: LoadSpec,
    /// Requests per second.
    pub rate: f64,
    /// How it was measured.
    pub procedure: Procedure,
}

/// Runs on one cluster, their loads drawn once.
#[derive(Debug)]
pub struct Runs<'a> {
    cluster: &'a Loaded<Cluster>,
    runs: Vec<(Run, Arc<Stretch>)>,
}

impl<'a> Runs<'a> {
    /// `runs` on `cluster`.
    ///
    /// # Errors
    /// When a split needs more units than there are, or a load cannot be offered.
    pub fn new(cluster: &'a Loaded<Cluster>, runs: Vec<Run>) -> Result<Self, PlanError> {
        let config = &cluster.profile.config;
        let limits = cluster.profile.limits();
        let drawn = runs.into_iter().map(|run| {
            cluster.check_units(run.split)?;
            let rows = Rows::new(run.load.clone(), run.procedure, limits, config)?;
            Ok((run, Arc::new(Stretch::fixed(Arc::new(rows)))))
        });
        Ok(Self { cluster, runs: drawn.collect::<Result<_, PlanError>>()? })
    }

    /// What they give where units are as `deployment` says, in their order.
    ///
    /// # Errors
    /// When its constants lead to times that are none.
    pub fn figures(&self, deployment: &Deployment) -> Result<Vec<Figures>, PlanError> {
        let cluster = &self.cluster.profile;
        let unusable = |why| PlanError::Unusable { cluster: self.cluster.name.clone(), why };
        let tables = Arc::new(Tabulated::of(deployment, &cluster.config).map_err(unusable)?);
        let figures = self.runs.iter().map(|(run, rows)| {
            let world = World {
                cluster,
                // As long as they were measured.
                loads: vec![Arc::clone(rows)],
                tables: vec![Arc::clone(&tables)],
                slo: Slo::default(),
                attainment: 1.0,
                procedure: run.procedure,
            };
            world.figures(Setting { split: run.split, chunk: None }, 0, run.rate)
        });
        Ok(figures.collect())
    }

    /// What they give in a draw of what is not known for sure of the cluster: the same draws as those of a plan with this seed.
    ///
    /// # Errors
    /// When its constants lead to times that are none.
    pub fn figures_of_draw(&self, seed: u64, draw: u32) -> Result<Vec<Figures>, PlanError> {
        self.figures(&constants::deployment(&self.cluster.profile, seed, draw))
    }
}
