//! Virtual time that somebody follows: up to an instant, and what they do then.

use super::{Sink, VirtualDriver};
use crate::cluster::{Cluster, Outbox};
use crate::executor::sim::{Moment, Timing};
use crate::units::{Nanos, UnitId};

impl<T: Timing, S: Sink> VirtualDriver<T, S> {
    /// When the next event is; `None` when nothing will ever happen again.
    pub fn next_at(&self) -> Option<Nanos> {
        self.next_event().map(|(at, _)| at)
    }

    /// Takes all events up to `at`, applies the steps that have ended by then, and makes it the present. In between somebody may
    /// look: the result is that of taking the events alone.
    pub fn run_until(&mut self, at: Nanos) {
        while self.step_by(at).is_some() {}
        if at > self.now {
            self.settle_all(at, false);
            self.now = at;
        }
    }

    /// At `at`, or now if that is past, does to the cluster what no [`Input`](super::Input) says, and carries out what follows.
    pub fn intervene<R>(&mut self, at: Nanos, act: impl FnOnce(&mut Cluster, Nanos, &mut Outbox) -> R) -> R {
        self.run_until(at);
        self.settle_all(self.now, true);
        let result = act(&mut self.cluster, self.now, &mut self.outbox);
        self.deliver(self.now);
        result
    }

    /// Where the results go, to take them away.
    pub fn sink_mut(&mut self) -> &mut S {
        &mut self.sink
    }

    /// Time that a unit has spent in steps until now, the one in flight included.
    pub fn busy_until_now(&self, unit: UnitId) -> Nanos {
        let Some(here) = self.units.get(unit.index()) else { return Nanos::ZERO };
        let ended = Moment::default().after(here.busy).nanos;
        let in_flight = here.run.map_or(Nanos::ZERO, |run| self.now.since(run.started.nanos));
        ended + in_flight
    }
}
