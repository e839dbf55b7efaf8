//! The run's clock, once there is one.

use std::sync::{Arc, OnceLock};

use crate::clock::RunClock;
use crate::time::Micros;

/// Copies share what they know.
#[derive(Clone, Debug)]
pub(in crate::target) struct SharedClock {
    /// Stands in before the run: nothing is sent then.
    opened: RunClock,
    run: Arc<OnceLock<RunClock>>,
}

impl SharedClock {
    pub(super) fn new() -> Self {
        Self { opened: RunClock::start(), run: Arc::default() }
    }

    /// From now on there is a run. Told once; a second clock would be no better than the first.
    pub(super) fn align(&self, clock: RunClock) {
        let _ = self.run.set(clock);
    }

    /// Now.
    pub(in crate::target) fn now(&self) -> Micros {
        self.run.get().unwrap_or(&self.opened).now()
    }
}
