//! How late requests were sent: what says whether the client keeps to its schedule.

use super::{Distribution, SlotHistogram};
use crate::time::Micros;

/// The lag of the requests sent since the last such summary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LagSummary {
    /// Requests sent.
    pub sent: u64,
    /// 99th percentile of their lag.
    pub p99: Option<Micros>,
    /// The largest lag.
    pub max: Option<Micros>,
}

/// The lag of all requests, and of those since it was last summed up.
#[derive(Debug, Default)]
pub(super) struct Lag {
    all: Distribution,
    recent: SlotHistogram,
    recent_max: Micros,
}

impl Lag {
    /// One more was sent, so long after it was due.
    pub(super) fn record(&mut self, lag: Micros) {
        self.all.record(lag);
        self.recent.record(lag.0);
        self.recent_max = self.recent_max.max(lag);
    }

    /// 99th percentile of all so far.
    pub(super) fn p99(&self) -> Option<Micros> {
        self.all.quantile(0.99)
    }

    /// Those since this was last asked.
    pub(super) fn take(&mut self) -> LagSummary {
        let recent = std::mem::take(&mut self.recent);
        let max = std::mem::take(&mut self.recent_max);
        let p99 = recent.quantile(0.99).map(|p99| Micros(p99).min(max));
        LagSummary { sent: recent.count(), p99, max: p99.map(|_| max) }
    }
}
