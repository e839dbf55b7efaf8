//! The snapshot of a run.

use std::sync::Arc;

use super::super::limiting::limiting;
use super::Observer;
use crate::live::{Health, Snapshot};
use crate::time::Micros;

/// The window of the recent figures.
const WINDOW: Micros = Micros(10_000_000);

/// The client's share of a core between two readings.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CpuShare {
    at: Micros,
    cpu: Micros,
    share: f64,
}

impl CpuShare {
    pub(super) fn update(&mut self, now: Micros, cpu: Micros) {
        let elapsed = now.since(self.at).as_secs_f64();
        if elapsed > 0.0 {
            self.share = cpu.since(self.cpu).as_secs_f64() / elapsed;
        }
        (self.at, self.cpu) = (now, cpu);
    }
}

impl Observer {
    pub(super) fn snapshot(&mut self, now: Micros) -> Snapshot {
        Snapshot { history: self.aggregator.history(), events: self.log.shared(), ..self.moment(now) }
    }

    /// The run as it is, without what led to it: what the history remembers of it.
    pub(super) fn moment(&self, now: Micros) -> Snapshot {
        let parts = &self.parts;
        let load = &parts.load;
        let recent = self.aggregator.recent(WINDOW);
        Snapshot {
            now,
            phase: self.phase,
            workload: load.name.clone(),
            target: parts.info.name.clone(),
            seed: load.seed,
            duration: load.duration,
            requests: load.requests,
            rate_rps: parts.rate.planned_at(now),
            shape: self.shape,
            slo: load.slo,
            split: self.cluster.split,
            counts: self.aggregator.counts(),
            recent,
            history: Arc::default(),
            units: Arc::clone(&self.cluster.units),
            events: Arc::default(),
            shifts: self.shifting.views(),
            outage: self.aggregator.outage().cloned(),
            limiting: limiting(&self.cluster.units, &recent, load.slo),
            health: Health {
                lag_p99: self.aggregator.lag_p99().unwrap_or_default(),
                client_cpu_s: parts.meters.total().as_secs_f64(),
                client_cpu: self.client_cpu.share,
                rss_bytes: self.rss_bytes,
                dropped: parts.dropped.load(std::sync::atomic::Ordering::Relaxed),
                recorded_bytes: parts.recorder.as_ref().map(crate::recording::Recorder::bytes),
                recording_lost: self.recording_lost.as_ref().map(ToString::to_string),
                verdict: self.verdict(now),
            },
        }
    }
}
