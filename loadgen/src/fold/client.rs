//! The client's own condition, as its records tell it.

use crate::live::{FailureCounts, Health};
use crate::measure::Client;
use crate::recording::{EndRecord, LagRecord};
use crate::sample::FailureKind;
use crate::time::Micros;

/// What is known of the client.
#[derive(Debug, Default)]
pub(super) struct ClientState {
    /// When it was last told.
    at: Micros,
    cpu: Micros,
    /// Share of a core used between the last two tellings.
    share: f64,
    rss_bytes: u64,
    dropped: u64,
    cores: u32,
    held_up: u64,
    recorded_bytes: Option<u64>,
    recording_lost: Option<String>,
}

impl ClientState {
    pub(super) fn apply(&mut self, record: &LagRecord) {
        let elapsed = record.at.since(self.at).as_secs_f64();
        if elapsed > 0.0 {
            self.share = record.cpu.since(self.cpu).as_secs_f64() / elapsed;
        }
        (self.at, self.cpu) = (record.at, record.cpu);
        (self.rss_bytes, self.dropped) = (record.rss_bytes, record.dropped);
        self.cores = record.cores.unwrap_or(self.cores);
        self.held_up = record.held_up;
    }

    pub(super) fn end(&mut self, end: &EndRecord) {
        let client = end.client;
        (self.cpu, self.rss_bytes, self.dropped, self.cores) =
            (client.cpu, client.rss_bytes, client.dropped, client.cores);
        self.held_up = client.held_up;
    }

    pub(super) fn recorded(&mut self, bytes: Option<u64>, lost: Option<String>) {
        (self.recorded_bytes, self.recording_lost) = (bytes, lost);
    }

    pub(super) fn health(&self, now: Micros, lag_p99: Option<Micros>, failures: &FailureCounts) -> Health {
        let client = Client {
            lag_p99,
            dropped: self.dropped,
            cpu: self.cpu,
            elapsed: now,
            cores: self.cores,
            held_up: self.held_up,
            unsent: failures.of(FailureKind::Client),
        };
        Health {
            lag_p99: lag_p99.unwrap_or_default(),
            client_cpu_s: self.cpu.as_secs_f64(),
            client_cpu: self.share,
            rss_bytes: self.rss_bytes,
            dropped: self.dropped,
            recorded_bytes: self.recorded_bytes,
            recording_lost: self.recording_lost.clone(),
            verdict: client.verdict(),
        }
    }
}
