//! Shifts that are half-way, for whoever leaves the program at once: what is under way, and who is out meanwhile.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What each control has under way, by a number of its own.
static UNDER_WAY: Mutex<BTreeMap<u64, String>> = Mutex::new(BTreeMap::new());

fn under_way() -> MutexGuard<'static, BTreeMap<u64, String>> {
    UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A line for every shift that is under way by a control plane: it would be left as the line says.
pub fn lines() -> Vec<String> {
    under_way().values().cloned().collect()
}

/// The line of one control.
#[derive(Debug)]
pub(super) struct HalfWay(u64);

impl HalfWay {
    pub(super) fn new() -> Self {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// This is under way, or nothing.
    pub(super) fn set(&self, line: Option<String>) {
        match line {
            Some(line) => drop(under_way().insert(self.0, line)),
            None => drop(under_way().remove(&self.0)),
        }
    }
}

impl Drop for HalfWay {
    fn drop(&mut self) {
        self.set(None);
    }
}
