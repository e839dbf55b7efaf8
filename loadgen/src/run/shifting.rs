//! The shifts of a run, from being asked for to being over.

use engine::cluster::{How, ShiftReport};
use engine::units::Split;

use crate::recording::ShiftRecord;
use crate::time::Micros;

/// The one that runs.
#[derive(Clone, Copy, Debug)]
struct Running {
    at: Micros,
    /// Requests that had failed before it began.
    failed_before: u64,
}

/// What is open and what went wrong.
#[derive(Debug, Default)]
pub(super) struct Shifting {
    /// Asked for and not over.
    open: usize,
    running: Option<Running>,
    failed: Vec<String>,
}

impl Shifting {
    /// A shift was accepted by the target, to run now or later.
    pub(super) fn asked(&mut self) {
        self.open += 1;
    }

    /// A shift was refused, dropped or abandoned.
    pub(super) fn failed(&mut self, why: String) {
        self.failed.push(why);
    }

    /// A shift that waited will not run.
    pub(super) fn dropped(&mut self, why: String) {
        self.open = self.open.saturating_sub(1);
        self.failed(why);
    }

    /// A shift began.
    pub(super) fn started(&mut self, at: Micros, from: Split, to: Split, how: How, failed: u64) -> ShiftRecord {
        self.running = Some(Running { at, failed_before: failed });
        ShiftRecord { at, from, to, how, ended: None }
    }

    /// A shift ended; `failed` requests have failed since the start of the run.
    pub(super) fn ended(&mut self, at: Micros, report: &ShiftReport, failed: u64) -> ShiftRecord {
        self.open = self.open.saturating_sub(1);
        let running = self.running.take();
        let lost = running.map_or(0, |running| failed.saturating_sub(running.failed_before));
        if let Some(why) = &report.abandoned {
            self.failed(format!("shift to {} was abandoned: {why}", report.to));
        }
        ShiftRecord::ended(running.map_or(at, |running| running.at), report, lost as u32)
    }

    /// Whether nothing is under way and nothing waits.
    pub(super) fn settled(&self) -> bool {
        self.open == 0
    }

    /// Everything that went wrong, one line each.
    pub(super) fn into_failed(self) -> Vec<String> {
        self.failed
    }
}
