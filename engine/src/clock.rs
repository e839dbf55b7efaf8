//! The engine's only clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::units::Nanos;

/// Wall time since an origin. Copies share the origin.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    origin: Instant,
}

impl WallClock {
    /// A clock that reads zero now.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Time since the origin.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Nanos {
        Nanos(self.origin.elapsed().as_nanos() as u64)
    }

    /// Sleeps until `instant`; returns at once when it has passed.
    pub fn sleep_until(&self, instant: Nanos) {
        let left = instant.since(self.now());
        if left > Nanos::ZERO {
            std::thread::sleep(Duration::from_nanos(left.0));
        }
    }
}

/// Seconds since 1970, for what is shown to people and other programs; 0 on a machine whose clock is before that.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
