//! Two clocks: that of the target, from its opening on, and that of the run, once there is one.

use std::sync::{Arc, OnceLock};

use crate::clock::RunClock;
use crate::time::Micros;

/// Copies share what they know.
#[derive(Clone, Debug)]
pub(in crate::target) struct SharedClock {
    opened: RunClock,
    run: Arc<OnceLock<Run>>,
}

#[derive(Debug)]
struct Run {
    clock: RunClock,
    /// What the clock of the target read when the run's read zero.
    zero: Micros,
}

impl SharedClock {
    pub(super) fn new() -> Self {
        Self { opened: RunClock::start(), run: Arc::default() }
    }

    /// From now on there is a run. Told once; a second clock would be no better than the first.
    pub(super) fn align(&self, clock: RunClock) {
        let zero = self.opened.now().since(clock.now());
        let _ = self.run.set(Run { clock, zero });
    }

    /// Now, on the run's clock; before there is one, on the target's.
    pub(in crate::target) fn now(&self) -> Micros {
        self.run.get().map_or(self.opened, |run| run.clock).now()
    }

    /// Now, on the target's clock.
    pub(in crate::target) fn since_opened(&self) -> Micros {
        self.opened.now()
    }

    /// An instant of the target's clock, on the run's; what was before the run is at its start.
    pub(in crate::target) fn on_run(&self, opened: Micros) -> Micros {
        self.run.get().map_or(opened, |run| opened.since(run.zero))
    }
}
