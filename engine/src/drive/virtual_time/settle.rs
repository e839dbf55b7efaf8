//! Steps that have ended before an event are applied before it.

use std::cmp::Reverse;

use super::{Event, Sink, VirtualDriver};
use crate::executor::sim::Timing;
use crate::units::{Nanos, Role, UnitId};

/// Units that have to be settled before an event.
#[derive(Clone, Copy, Debug)]
enum Reads {
    Nobody,
    Prefill,
    Ends(UnitId, UnitId),
    All,
}

impl<T: Timing, S: Sink> VirtualDriver<T, S> {
    /// Which units an event reads, beside the one whose step ends.
    fn reads(&self, event: Event) -> Reads {
        match event {
            Event::Input(number) if self.inputs.is_arrival(number) => Reads::Prefill,
            Event::TransferReady(_) => Reads::Nobody,
            Event::StepEnds(unit) if self.cluster.role(unit) == Role::Decode && self.cluster.is_quiet() => {
                Reads::Nobody
            }
            Event::TransferEnds(id) if self.cluster.is_quiet() => {
                self.moving.get(&id).map_or(Reads::All, |moving| Reads::Ends(moving.from, moving.to))
            }
            _ => Reads::All,
        }
    }

    /// Applies the steps that ended before `event` at `at` on all units that the event reads, and leaves the one in flight.
    pub(super) fn settle(&mut self, at: Nanos, event: Event) {
        self.settle_units(at, event, self.reads(event));
    }

    /// Applies all steps that ended by `at`, and leaves those in flight.
    pub(super) fn settle_all(&mut self, at: Nanos) {
        self.settle_units(at, Event::Input(u64::MAX), Reads::All);
    }

    fn settle_units(&mut self, at: Nanos, event: Event, reads: Reads) {
        for index in 0..self.units.len() {
            let unit = UnitId(index as u16);
            let Some(run) = self.units[index].run.filter(|run| run.steps > 1) else { continue };
            let is_read = match reads {
                Reads::Nobody => false,
                Reads::Prefill => self.cluster.role(unit).can_prefill(),
                Reads::Ends(from, to) => unit == from || unit == to,
                Reads::All => true,
            };
            if !is_read || event == Event::StepEnds(unit) {
                continue;
            }
            // Of steps that end at the same instant those of units with lower numbers come first.
            let ended = match at.0.checked_sub(1) {
                Some(before) if Event::StepEnds(unit) > event => run.ended_by(Nanos(before)),
                _ => run.ended_by(at),
            };
            if ended > 0 {
                self.advance(unit, ended);
                self.start(run.end_of(ended).nanos, unit);
            }
            if let Some(run) = &mut self.units[index].run {
                run.steps = 1;
                self.events.push(Reverse((run.end().nanos, Event::StepEnds(unit))));
            }
        }
    }
}
