//! Equal gaps.

/// Arrivals at Λ = 0, 1, 2, …: a rate of 4/s for 60 s is exactly 240 requests, the first due at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Constant {
    next: u64,
}

impl Constant {
    /// A count, not a running sum: whole numbers are exact in an `f64`, so nothing drifts.
    pub(crate) fn draw(&mut self) -> f64 {
        let lambda = self.next as f64;
        self.next += 1;
        lambda
    }
}
