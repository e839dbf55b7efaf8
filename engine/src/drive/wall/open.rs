//! How many requests are in flight, counted without a lock, so that whoever submits waits for nobody.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests from their submission to their last event, those in the inbox included. Bounded: one more is refused.
#[derive(Debug)]
pub(in crate::drive) struct Open {
    count: AtomicUsize,
    limit: usize,
}

impl Open {
    pub(in crate::drive) fn new(limit: usize) -> Self {
        Self { count: AtomicUsize::new(0), limit }
    }

    /// Takes a place; `false` when there is none.
    pub(in crate::drive) fn enter(&self) -> bool {
        let one_more = |count: usize| (count < self.limit).then_some(count + 1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    /// Gives a place back.
    pub(in crate::drive) fn leave(&self) {
        let before = self.count.fetch_sub(1, Ordering::Relaxed);
        debug_assert!(before > 0, "a place that nobody took");
    }
}
