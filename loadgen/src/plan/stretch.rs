//! A load that can be made longer, where a simulation of it ends before it is in a steady state.

use std::sync::{Arc, OnceLock};

use engine::cluster::ClusterConfig;
use engine::model::counter;

use super::rows::Rows;
use super::{PlanError, Procedure, Question};
use crate::schedule::{LoadSpec, Traffic};
use crate::workload::Limits;

/// How often it can be made twice as long, and up to how many requests.
const DOUBLINGS: usize = 12;
const REQUESTS: u64 = 65_536;

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
        let of_seed = |seed| {
            let load = LoadSpec { seed, ..question.load.clone() };
            Ok::<_, PlanError>(Arc::new(Self::new(load, question.requests, question.procedure, limits, config)?))
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

    /// `requests` of `load` at first. A burst has as many as it says, and is no longer.
    ///
    /// # Errors
    /// As those of [`Rows::new`].
    pub(super) fn new(
        load: LoadSpec,
        requests: u64,
        procedure: Procedure,
        limits: Limits,
        config: &ClusterConfig,
    ) -> Result<Self, PlanError> {
        let first = Rows::new(LoadSpec { requests: Some(requests), ..load.clone() }, procedure, limits, config)?;
        let source =
            (procedure == Procedure::Sustained).then(|| Source { load, requests, limits, config: config.clone() });
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
            let Source { load, requests, limits, config } = self.source.as_ref()?;
            let wanted = requests.checked_mul(1 << times).filter(|wanted| *wanted <= REQUESTS)?;
            let load = LoadSpec { requests: Some(wanted), ..load.clone() };
            let rows = Rows::new(load, Procedure::Sustained, *limits, config).ok()?;
            // A trace ends somewhere.
            (rows.len() as u64 > wanted / 2).then(|| Arc::new(rows))
        };
        self.longer.get(level)?.get_or_init(make).as_ref()
    }

    /// Whether there are always more requests of it.
    pub(super) fn is_endless(&self) -> bool {
        self.source.as_ref().is_some_and(|source| matches!(source.load.traffic, Traffic::Synthetic { .. }))
    }
}
