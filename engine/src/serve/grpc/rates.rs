//! How fast it goes: counters now against counters some seconds ago.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Served;
use crate::remote::{Load, Rates};

/// Looks that are kept, so how far back rates go.
const LOOKS: usize = 10;

/// The last looks at the counters.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<VecDeque<Load>>);

impl Meter {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Load>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn look(&self, load: Load) {
        let mut looks = self.lock();
        if looks.len() == LOOKS {
            looks.pop_front();
        }
        looks.push_back(load);
    }

    /// The rates up to `load`.
    pub(super) fn rates(&self, load: &Load) -> Option<Rates> {
        Rates::between(self.lock().front()?, load)
    }
}

impl Served {
    /// The counters as they are, without rates.
    pub(super) fn load(&self) -> Load {
        let (observed, counts, in_flight) = (self.hub.observe(), self.hub.counts(), self.hub.in_flight() as u64);
        let holding = observed.units.iter().map(|unit| unit.figures.running + unit.figures.handing_off);
        Load {
            at: observed.at,
            in_flight,
            waiting: in_flight.saturating_sub(holding.map(u64::from).sum()),
            in_flight_limit: self.hub.config().in_flight_limit as u64,
            admitted: counts.admitted,
            stopped: counts.stopped,
            full_length: counts.full_length,
            abandoned: counts.abandoned,
            overrun: counts.overrun,
            failed: counts.failed,
            turned_away: counts.turned_away,
            input_tokens: counts.prompt_tokens,
            output_tokens: counts.output_tokens,
            preemptions: counts.preemptions,
            shifts_started: counts.shifts_started,
            shifts_converged: counts.shifts_converged,
            shifts_failed: counts.shifts_failed,
            units_lost: counts.units_lost,
            rates: None,
        }
    }

    /// Whether it was asked to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
