//! What predictions rest on: what the cluster may do in a step, and how long that takes.

use std::sync::Arc;

use engine::cluster::ClusterConfig;
use engine::executor::sim::{Timing, Unusable};
use engine::units::Role;

use super::fitted::{Eras, Fit, Law, Sights, UnitTerms};
use crate::plan::constants;
use crate::profile::{Cluster, Loaded};
use crate::target::Connection;
use crate::time::Micros;

/// Draws of the constants beside the profile's own.
const DRAWS: u32 = 8;
/// The draws are the same in every run, so that a prediction depends on the traffic alone.
const SEED: u64 = 1;

/// Where a basis comes from.
#[derive(Clone, Debug)]
pub enum Ground {
    /// A simulated cluster: its own profile.
    Profile(Box<Loaded<Cluster>>),
    /// Units that are seen at work: what is fitted to their requests.
    Fitted(Box<UnitTerms>),
    /// Units of which only their roles are told: what is fitted to what clients see of requests.
    Requests(Box<UnitTerms>),
    /// Nothing is known that a prediction could rest on, and why.
    Nothing(String),
}

impl Ground {
    /// Of a target of which there is no profile.
    pub fn of(connection: &Connection) -> Self {
        let units_are_told = connection.control.is_some() || connection.info.split.is_some();
        match &connection.terms {
            Some(terms) if connection.control.is_some() => Self::Fitted(Box::new(terms.clone())),
            None if units_are_told => {
                Self::Requests(Box::new(UnitTerms::untold(connection.info.limits.context_tokens)))
            }
            _ => Self::Nothing("nobody tells the units of the target: --control or --split does".to_owned()),
        }
    }
}

/// The same in words for a screen.
#[derive(Clone, Debug, PartialEq)]
pub enum Grounds {
    /// The profile of this name.
    Profile(String),
    /// What was fitted to requests.
    Fitted(Fit),
}

/// What the simulations of all splits have in common.
#[derive(Clone, Debug)]
pub struct Basis {
    /// What the cluster may do.
    pub config: ClusterConfig,
    /// What its steps take: as is believed, then as it might be.
    pub timings: Vec<Arc<dyn Timing + Send + Sync>>,
    /// What a request takes beside the cluster until its first token is there.
    pub outside: Micros,
    /// How that is known.
    pub grounds: Grounds,
}

impl Basis {
    /// Seconds that a unit is away when it restarts, draining not counted. `None` where nobody knows.
    pub(super) fn restart_seconds(&self) -> Option<f64> {
        let Grounds::Profile(_) = self.grounds else { return None };
        let timing = self.timings.first()?;
        let away = |role| timing.restart(role) + timing.warm(role);
        [Role::Prefill, Role::Decode, Role::Aggregated].map(away).into_iter().max().map(|most| most.0 as f64 / 1e9)
    }

    /// Of a simulated cluster: the constants of its profile, and draws of them within their spreads.
    ///
    /// # Errors
    /// When the constants lead to times that are none.
    pub fn of_profile(cluster: &Loaded<Cluster>) -> Result<Self, Unusable> {
        let tables = constants::tables(&cluster.profile, SEED, DRAWS)?;
        Ok(Self {
            config: cluster.profile.config.clone(),
            timings: tables.into_iter().map(|table| table as Arc<dyn Timing + Send + Sync>).collect(),
            outside: Micros::ZERO,
            grounds: Grounds::Profile(cluster.name.clone()),
        })
    }

    /// Of units that are seen by their requests alone, while these splits served.
    ///
    /// # Errors
    /// One line: what is missing.
    pub fn of_requests(sights: &Sights, eras: &Eras, terms: &UnitTerms) -> Result<Self, String> {
        Ok(Self::of_law(Law::of_requests(sights, eras, terms)?))
    }

    /// Of units that are seen at work: what their requests took.
    ///
    /// # Errors
    /// One line: what is missing.
    pub fn fitted(sights: &Sights, terms: &UnitTerms) -> Result<Self, String> {
        Ok(Self::of_law(Law::of(sights, terms)?))
    }

    fn of_law(law: Law) -> Self {
        let timings = law.timings();
        Self { config: law.config, timings, outside: law.outside, grounds: Grounds::Fitted(law.fit) }
    }
}
