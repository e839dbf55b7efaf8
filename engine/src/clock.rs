//! The engine's only clock.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::units::Nanos;

/// Time since an origin: wall time, or so many times as fast. Copies share the origin.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    origin: Instant,
    /// Nanoseconds of this clock for each of wall time.
    scale: f64,
}

impl WallClock {
    /// A clock that reads zero now.
    pub fn start() -> Self {
        Self::scaled(1.0)
    }

    /// A clock that reads zero now and goes `scale` times as fast as others, above 0.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn scaled(scale: f64) -> Self {
        Self { origin: Instant::now(), scale }
    }

    /// Time since the origin.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(&self) -> Nanos {
        let elapsed = self.origin.elapsed().as_nanos() as u64;
        Nanos(if self.is_scaled() { (elapsed as f64 * self.scale) as u64 } else { elapsed })
    }

    /// How long to wait for `instant`, zero when it has passed.
    pub fn until(&self, instant: Nanos) -> Duration {
        let left = Duration::from_nanos(instant.since(self.now()).0);
        if self.is_scaled() { left.div_f64(self.scale) } else { left }
    }

    /// Sleeps until `instant`; returns at once when it has passed.
    pub fn sleep_until(&self, instant: Nanos) {
        let left = self.until(instant);
        if !left.is_zero() {
            std::thread::sleep(left);
        }
    }

    #[expect(clippy::float_cmp, reason = "exactly 1 is what an unscaled clock is made with")]
    fn is_scaled(&self) -> bool {
        self.scale != 1.0
    }
}

/// Seconds since 1970, for what is shown to people and other programs; 0 on a machine whose clock is before that.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
