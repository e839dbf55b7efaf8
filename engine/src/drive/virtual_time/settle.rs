//! Steps that have ended before an event are applied before it.

use super::{Event, Moving, Sink, VirtualDriver};
use crate::executor::sim::Timing;
use crate::units::{Nanos, UnitId};

/// Units that have to be settled before an event.
#[derive(Clone, Copy, Debug)]
enum Reads {
    Nobody,
    Prefill,
    Ends(UnitId, UnitId),
    All,
}

impl<T: Timing, S: Sink> VirtualDriver<T, S> {
    /// Which units an event reads, beside the one whose step ends, and whether it can change what they do next without saying
    /// so in [`Outbox::cut`](crate::cluster::Outbox::cut).
    fn reads(&self, event: Event) -> (Reads, bool) {
        match event {
            Event::Input(number) if self.inputs.is_arrival(number) => (Reads::Prefill, false),
            Event::TransferReady(_) => (Reads::Nobody, false),
            Event::StepEnds(unit) if self.cluster.is_quiet() => {
                let concerns = if self.cluster.can_decode(unit) { Reads::Nobody } else { Reads::All };
                (concerns, false)
            }
            Event::TransferEnds(id) if self.cluster.is_quiet() => {
                let ends = |moving: &Moving| Reads::Ends(moving.from, moving.to);
                (self.moving.get(id).map_or(Reads::All, ends), false)
            }
            _ => (Reads::All, true),
        }
    }

    /// Applies the steps that ended before `event` at `at` on all units that the event reads.
    pub(super) fn settle(&mut self, at: Nanos, event: Event) {
        let (reads, cut) = self.reads(event);
        match reads {
            Reads::Nobody => {}
            Reads::Ends(from, to) => {
                self.settle_unit(at, event, from, cut);
                self.settle_unit(at, event, to, cut);
            }
            Reads::Prefill | Reads::All => {
                for index in 0..self.units.len() {
                    let unit = UnitId(index as u16);
                    if matches!(reads, Reads::All) || self.cluster.role(unit).can_prefill() {
                        self.settle_unit(at, event, unit, cut);
                    }
                }
            }
        }
    }

    /// Applies all steps that ended by `at`. With `cut` no unit goes on further than the step in flight: somebody is about to
    /// change what comes after it.
    pub(super) fn settle_all(&mut self, at: Nanos, cut: bool) {
        for index in 0..self.units.len() {
            self.settle_unit(at, Event::FED, UnitId(index as u16), cut);
        }
    }

    fn settle_unit(&mut self, at: Nanos, event: Event, unit: UnitId, cut: bool) {
        let Some(run) = self.units[unit.index()].run.as_ref().filter(|run| run.steps > 1) else { return };
        if event == Event::StepEnds(unit) {
            return;
        }
        // Of steps that end at the same instant those of units with lower numbers come first.
        let ended = match at.0.checked_sub(1) {
            Some(before) if Event::StepEnds(unit) > event => run.ended_by(Nanos(before)),
            _ => run.ended_by(at),
        };
        if ended > 0 {
            let last = run.end_of(ended).nanos;
            if !self.pass(unit, ended) {
                self.advance(unit, ended);
                self.start(last, unit);
            }
        }
        if cut {
            self.cut(unit);
        }
    }
}
