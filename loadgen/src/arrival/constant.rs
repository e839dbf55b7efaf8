//! Equal gaps.

/// Arrivals at Λ = 0, 1, 2, …: a rate of 4/s for 60 s is exactly 240 requests, the first due at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Constant {
    base: f64,
    next: u64,
}

impl Constant {
    /// Arrivals after one at Λ = `base`.
    pub(crate) fn after(base: f64) -> Self {
        Self { base, next: 1 }
    }

    /// A count, not a running sum: whole numbers are exact in an `f64`, so nothing drifts.
    pub(crate) fn draw(&mut self) -> f64 {
        let lambda = self.base + self.next as f64;
        self.next += 1;
        lambda
    }
}
