//! The load generator's only clock.

use std::time::{Duration, Instant, SystemTime};

use crate::time::Micros;

/// Time since the start of a run. Copies share the start.
///
/// Of a simulated target it may go faster than wall time: then everything that is planned, measured and shown is in its time.
#[derive(Clone, Copy, Debug)]
pub struct RunClock {
    start: Instant,
    /// Microseconds of this clock for each of wall time.
    scale: f64,
}

impl RunClock {
    /// A clock that reads zero now.
    pub fn start() -> Self {
        Self::scaled(1.0)
    }

    /// A clock that reads zero now and goes `scale` times as fast as others, above 0.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn scaled(scale: f64) -> Self {
        Self { start: Instant::now(), scale }
    }

    /// Time since the start.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Micros {
        Micros((self.start.elapsed().as_nanos() as f64 * self.scale / 1e3) as u64)
    }

    /// How much wall time it is until `instant`, zero when it has passed.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn until(&self, instant: Micros) -> Duration {
        Duration::from_micros(instant.0).div_f64(self.scale).saturating_sub(self.start.elapsed())
    }
}

/// The wall-clock anchor of a run: microseconds since 1970, UTC. Read once at the start of a run.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn unix_micros() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
