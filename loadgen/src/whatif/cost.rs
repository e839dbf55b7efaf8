//! What it takes to get from one split to another: the shift itself, simulated under the traffic.
//!
//! Until units begin to move every move is the same, and so is what happens without one: that is simulated once, and each goes
//! on from a copy.

use std::sync::Arc;

use engine::cluster::{Cluster as Scheduler, Finished, How, Notice, Refused, ShiftReport};
use engine::drive::virtual_time::{Emitted, Input, Pace, Sample, Samples, Sink, StepRun, VirtualDriver};
use engine::executor::sim::Timing;
use engine::units::{Nanos, RequestId, Split};

use super::Basis;
use crate::plan::figures::is_good;
use crate::plan::rows::Rows;
use crate::slo::Slo;
use crate::time::Micros;

/// What a shift is predicted to take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MoveCost {
    /// How the units get to their new role.
    pub how: How,
    /// Until the slowest of them is empty.
    pub drain: Micros,
    /// Until all of them serve.
    pub total: Micros,
    /// Good requests fewer than without it; of those that were under way when it began, too, and of those behind it.
    pub late: u64,
}

/// Samples, and what became of a shift.
#[derive(Clone, Debug, Default)]
struct Shifted {
    samples: Samples,
    report: Option<ShiftReport>,
}

impl Sink for Shifted {
    const EVERY_TOKEN: bool = Samples::EVERY_TOKEN;

    fn emitted(&mut self, emitted: Emitted) {
        self.samples.emitted(emitted);
    }

    fn finished(&mut self, at: Nanos, finished: Finished) {
        self.samples.finished(at, finished);
    }

    fn stepped(&mut self, run: &StepRun) {
        self.samples.stepped(run);
    }

    fn refused(&mut self, at: Nanos, request: RequestId, why: Refused) {
        self.samples.refused(at, request, why);
    }

    fn noticed(&mut self, _: Nanos, notice: Notice) {
        if let Notice::ShiftEnded(report) = notice {
            self.report = Some(report);
        }
    }
}

/// Moves between splits under one load.
#[derive(Debug)]
pub(super) struct Moving {
    rows: Arc<Rows>,
    rate: f64,
    slo: Slo,
    /// When units begin to move.
    at: Nanos,
    /// The cluster right before that.
    start: VirtualDriver<Arc<dyn Timing + Send + Sync>, Shifted>,
    /// Which requests are good without a move.
    still: Vec<bool>,
}

impl Moving {
    /// From a split that has served so many of `rows` before. `None` where it cannot serve.
    pub(super) fn new(
        basis: &Basis,
        (rows, before): (Arc<Rows>, usize),
        rate: f64,
        slo: Slo,
        from: Split,
    ) -> Option<Self> {
        let at = rows.due(before, rate);
        let scheduler = Scheduler::new(basis.config.clone(), from).ok()?;
        let timing = Arc::clone(basis.timings.first()?);
        let sink = Shifted { samples: Samples::with_capacity(rows.len()), report: None };
        let mut start = VirtualDriver::with_sink(scheduler, timing, Pace::Bulk, sink);
        start.feed(Arc::clone(&rows).arrivals(rate));
        if let Some(before) = at.0.checked_sub(1) {
            while start.step_by(Nanos(before)).is_some() {}
        }
        let mut still = start.clone();
        still.run();
        let still = still.sink().samples.rows().iter().map(|sample| is_good(slo, sample)).collect();
        Some(Self { rows, rate, slo, at, start, still })
    }

    /// What moving to `to` takes. `None` where it does not end.
    pub(super) fn cost(&self, to: Split, how: How) -> Option<MoveCost> {
        let mut driver = self.start.clone();
        driver.schedule(self.at, Input::Shift(to, how));
        driver.run();
        let Shifted { samples, report } = driver.into_parts().1;
        let report = report.filter(|report| report.abandoned.is_none())?;
        // Once nothing arrives any more, draining is easier than it will be.
        if self.rows.due(self.rows.len().saturating_sub(1), self.rate) < self.at + report.total {
            return None;
        }
        // A request that is good all the same is no loss, and one that is good only thanks to the other split no gain of the move.
        let lost = |(still, moved): (&bool, &Sample)| *still && !is_good(self.slo, moved);
        let late = self.still.iter().zip(samples.rows()).filter(|pair| lost(*pair)).count() as u64;
        let micros = |of: Nanos| Micros(of.0 / 1000);
        Some(MoveCost { how, drain: micros(report.drain), total: micros(report.total), late })
    }
}
