//! The snapshot of a run.

use std::sync::Arc;

use super::Fold;
use crate::diagnose::{Diagnosis, diagnose, fault};
use crate::live::Snapshot;
use crate::time::Micros;

/// The window of the recent figures.
const WINDOW: Micros = Micros(10_000_000);

impl Fold {
    /// The run as it is, with what led to it.
    pub fn snapshot(&mut self, now: Micros) -> Snapshot {
        Snapshot { history: self.aggregator.history(), events: self.log.shared(), ..self.moment(now) }
    }

    /// Requests per second that the load plans for an instant.
    pub(crate) fn planned_rps(&self, now: Micros) -> f64 {
        self.rate.as_ref().map_or(0.0, |rate| rate.planned_at(now))
    }

    /// The run as it is, without what led to it: what the history remembers of it.
    pub(super) fn moment(&mut self, now: Micros) -> Snapshot {
        let servers = self.servers.shared();
        let about = &self.about;
        let recent = self.aggregator.recent(WINDOW);
        let counts = self.aggregator.counts();
        let diagnosis = diagnose(self.cluster.units(), &recent, self.slo, counts.in_flight);
        let diagnosis = Diagnosis { fault: fault(&servers, now), ..diagnosis };
        let failed = self.aggregator.failed();
        Snapshot {
            now,
            phase: self.phase,
            aborted: self.aborted.clone(),
            workload: Arc::clone(&about.workload),
            target: Arc::clone(&about.target),
            seed: about.seed,
            duration: about.duration,
            requests: about.requests,
            rate_rps: self.planned_rps(now),
            shape: self.shape,
            slo: self.slo,
            split: self.cluster.split(),
            counts,
            recent,
            history: Arc::default(),
            units: self.cluster.shared(),
            servers,
            events: Arc::default(),
            shifts: self.shifts.views(),
            abilities: about.abilities,
            outage: failed.outage().cloned(),
            failures: failed.counts(),
            reasons: failed.reasons().clone(),
            diagnosis,
            health: self.client.health(now, self.aggregator.lag_p99(), &failed.counts()),
        }
    }
}
