//! The load generator's only clock.

use std::time::{Duration, Instant, SystemTime};

use crate::time::Micros;

/// Time since the start of a run. Copies share the start.
#[derive(Clone, Copy, Debug)]
pub struct RunClock {
    start: Instant,
}

impl RunClock {
    /// A clock that reads zero now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// Time since the start.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Micros {
        Micros(self.start.elapsed().as_micros() as u64)
    }

    /// How long it is until `instant`, zero when it has passed.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn until(&self, instant: Micros) -> Duration {
        Duration::from_micros(instant.0).saturating_sub(self.start.elapsed())
    }
}

/// The wall-clock anchor of a run: microseconds since 1970, UTC. Read once at the start of a run.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn unix_micros() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
