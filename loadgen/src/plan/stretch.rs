//! A load that can be made longer, where a simulation of it ends before it is in a steady state.

use std::sync::{Arc, OnceLock};

use engine::cluster::ClusterConfig;
use engine::model::counter;

use super::rows::Rows;
use super::{PlanError, Procedure, Question};
use crate::schedule::{LoadSpec, Traffic};
use crate::workload::Limits;

/// How often it can be made twice as long.
const DOUBLINGS: usize = 16;
/// Up to how many requests, and up to how many for each that can be under way at once: then those that are left out at the start, a
/// fifth, fill all units.
const REQUESTS: u64 = 65_536;
const FOR_EACH: u64 = 5;

/// The load of one draw.
#[derive(Debug)]
pub(super) struct Stretch {
    first: Arc<Rows>,
    /// What longer ones are made of; `None` where this is all there is.
    source: Option<Source>,
    /// Each has twice the requests of the one before; `None` of a load that has no more.
    longer: [OnceLock<Option<Arc<Rows>>>; DOUBLINGS],
}

#[derive(Debug)]
struct Source {
    load: LoadSpec,
    requests: u64,
    limits: Limits,
    config: ClusterConfig,
    /// The most that it can have.
    most: u64,
}

impl Stretch {
    /// The load of every draw: the same distributions under other seeds. A trace is what it is, in every draw.
    ///
    /// # Errors
    /// As those of [`Rows::new`].
    pub(super) fn of_draws(
        question: &Question,
        limits: Limits,
        config: &ClusterConfig,
    ) -> Result<Vec<Arc<Self>>, PlanError> {
        let units = question.cluster.profile.units;
        let of_seed = |seed| {
            let load = LoadSpec { seed, ..question.load.clone() };
            let Question { requests, procedure, .. } = *question;
            Ok::<_, PlanError>(Arc::new(Self::new(load, requests, procedure, limits, config, units)?))
        };
        if matches!(question.load.traffic, Traffic::Trace { .. }) {
            return Ok(vec![of_seed(question.load.seed)?; question.draws as usize + 1]);
        }
        let seed = |draw| match draw {
            0 => question.load.seed,
            _ => counter::stream(question.load.seed, u64::from(draw)),
        };
        (0..=question.draws).map(seed).map(of_seed).collect()
    }

    /// As it is, and no longer.
    pub(super) fn fixed(rows: Arc<Rows>) -> Self {
        Self { first: rows, source: None, longer: Default::default() }
    }

    /// `requests` of `load` at first, for up to so many `units`. A burst and a trace have as many as they say, and no more.
    ///
    /// # Errors
    /// As those of [`Rows::new`].
    pub(super) fn new(
        load: LoadSpec,
        requests: u64,
        procedure: Procedure,
        limits: Limits,
        config: &ClusterConfig,
        units: u16,
    ) -> Result<Self, PlanError> {
        let first = Rows::new(LoadSpec { requests: Some(requests), ..load.clone() }, procedure, limits, config)?;
        // A trace is what it is, and its load another one further on.
        let is_endless = procedure == Procedure::Sustained && matches!(load.traffic, Traffic::Synthetic { .. });
        let source =
            is_endless.then(|| Source { load, requests, limits, config: config.clone(), most: most(config, units) });
        Ok(Self { source, ..Self::fixed(Arc::new(first)) })
    }

    /// What it begins with.
    pub(super) fn first(&self) -> &Arc<Rows> {
        &self.first
    }

    /// It after so many doublings, or after the most of them that there can be beyond `before`.
    pub(super) fn doubled(&self, before: usize, times: usize) -> Option<(usize, &Arc<Rows>)> {
        let most = times.min(DOUBLINGS);
        (before + 1..=most).rev().find_map(|times| Some((times, self.exactly(times)?)))
    }

    fn exactly(&self, times: usize) -> Option<&Arc<Rows>> {
        let level = times.checked_sub(1)?;
        let make = || {
            let Source { load, requests, limits, config, most } = self.source.as_ref()?;
            // The last one is less than twice as long.
            let before = requests.checked_mul(1 << level).filter(|before| before < most)?;
            let wanted = before.saturating_mul(2).min(*most);
            let load = LoadSpec { requests: Some(wanted), ..load.clone() };
            Rows::new(load, Procedure::Sustained, *limits, config).ok().map(Arc::new)
        };
        self.longer.get(level)?.get_or_init(make).as_ref()
    }
}

/// The requests that a load of so many units can have.
fn most(config: &ClusterConfig, units: u16) -> u64 {
    let sequences = config.decode.sequences.max(config.aggregated.sequences);
    REQUESTS.max(FOR_EACH * u64::from(units) * u64::from(sequences))
}
