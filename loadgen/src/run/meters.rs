//! The CPU time of the client's own threads, apart from the engine's that run in the same process.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::metrics::Cpu;
use crate::target::ClientSide;
use crate::time::Micros;

/// One counter for each thread; every thread writes its own.
#[derive(Debug, Default)]
pub struct CpuMeters {
    /// The thread that talks to a remote target.
    remote: Option<Arc<ClientSide>>,
    /// The thread that reads what servers tell of themselves.
    metrics: Option<Cpu>,
    pacing: AtomicU64,
    observing: AtomicU64,
    recording: AtomicU64,
    screen: AtomicU64,
    predicting: AtomicU64,
}

impl CpuMeters {
    /// For a run against a target that costs the client so much.
    pub(super) fn new(remote: Option<Arc<ClientSide>>, metrics: Option<Cpu>) -> Self {
        Self { remote, metrics, ..Self::default() }
    }

    /// How often the client's own queue held up the reading from a remote target.
    pub(super) fn held_up(&self) -> u64 {
        self.remote.as_ref().map_or(0, |remote| remote.held_up())
    }

    /// Called by the pacing thread.
    pub(super) fn pacing(&self) {
        store(&self.pacing);
    }

    /// Called by the observing thread.
    pub(super) fn observing(&self) {
        store(&self.observing);
    }

    /// Called by the recorder's thread.
    pub(super) fn recording(&self) {
        store(&self.recording);
    }

    /// Called by the thread that draws.
    pub fn screen(&self) {
        store(&self.screen);
    }

    /// Called by the thread that predicts.
    pub(crate) fn predicting(&self) {
        store(&self.predicting);
    }

    /// The CPU time of all of them.
    pub fn total(&self) -> Micros {
        let meters = [&self.pacing, &self.observing, &self.recording, &self.screen, &self.predicting];
        let remote = self.remote.as_ref().map_or(Micros::ZERO, |remote| remote.cpu());
        let metrics = self.metrics.as_ref().map_or(Micros::ZERO, Cpu::time);
        remote + metrics + Micros(meters.iter().map(|meter| meter.load(Ordering::Relaxed)).sum())
    }
}

fn store(meter: &AtomicU64) {
    // Where the system does not tell, nothing is counted.
    meter.store(kernels::thread::cpu_time_ns().unwrap_or(0) / 1000, Ordering::Relaxed);
}
