//! Units are lost.

use super::Cluster;
use super::event::{FinishReason, Outbox};
use super::pool::Pool;
use super::queue::Queue;
use super::sequence::{Place, Slot};
use super::unit::{Phase, Unit};
use crate::units::{Nanos, UnitId};

impl Cluster {
    /// A unit is lost for good, with all KV it had. Its sequences are computed anew elsewhere; they end with
    /// [`FinishReason::NoCapacity`] when nobody is left who could.
    pub fn unit_failed(&mut self, now: Nanos, unit: UnitId, out: &mut Outbox) {
        if self.units.get(unit.index()).is_none_or(|here| here.phase == Phase::Failed) {
            return;
        }
        self.is_maimed = true;
        self.tell_deferred(out);
        let lost = self.lose(unit, out);
        self.enter(now, unit, Phase::Failed, out);
        // Whoever is still emptying itself to leave a role that nobody else has stays in it.
        if !self.units.iter().any(Unit::will_prefill) || !self.units.iter().any(Unit::will_decode) {
            self.abandon_drains(now, |_, _| format!("{unit} failed, and its role would have had nobody left"), out);
        }
        for slot in lost {
            self.route(slot, out);
        }
        self.end_the_hopeless(out);
        self.drop_from_shift(now, unit, out);
        self.settle(now, out);
    }

    /// Ends the requests that nobody can serve any more: all where nobody will decode, those without a unit where nobody will
    /// prefill.
    pub(super) fn end_the_hopeless(&mut self, out: &mut Outbox) {
        if !self.units.iter().any(Unit::will_decode) {
            for slot in self.sequences.by_age() {
                self.detach(slot, out);
                self.finish(slot, FinishReason::NoCapacity, out);
            }
        }
        if !self.units.iter().any(Unit::will_prefill) {
            while let Some(slot) = self.parked.pop() {
                self.finish(slot, FinishReason::NoCapacity, out);
            }
        }
    }

    /// Takes everything away from a unit and returns the sequences that lost their place, the oldest first.
    fn lose(&mut self, unit: UnitId, out: &mut Outbox) -> Vec<Slot> {
        self.dissolve(unit);
        let here = &mut self.units[unit.index()];
        here.pool = Pool::new(self.config.blocks_per_unit, self.config.prefix_cache, self.detail);
        here.waiting = Queue::default();
        here.running.clear();
        here.step.running = false;
        here.step.entries.clear();
        here.condemned.clear();
        here.target = None;
        (here.handing_off, here.incoming, here.outstanding) = (0, 0, 0);
        self.land_flights_of(unit, out);
        let mut lost = self.sequences.by_age();
        lost.retain(|&slot| {
            let sequence = &self.sequences[slot];
            sequence.unit == unit && !matches!(sequence.place, Place::Parked | Place::Moving(_))
        });
        for &slot in &lost {
            let sequence = &mut self.sequences[slot];
            if sequence.place == Place::HandingOff {
                self.handoffs.remove(slot);
            }
            let sequence = &mut self.sequences[slot];
            if sequence.place != Place::Waiting {
                sequence.preemptions += 1;
            }
            sequence.holding.forget();
            sequence.place = Place::Parked;
            (sequence.in_step, sequence.computed, sequence.owed) = (false, 0, 0);
        }
        lost
    }

    /// Aborts transfers from and to a lost unit. Their other side stays held until they are acknowledged: a sequence whose
    /// destination is lost then goes back to its source, one whose source is lost is on its own from now on.
    fn land_flights_of(&mut self, unit: UnitId, out: &mut Outbox) {
        for (id, flight) in self.flights.iter_mut() {
            if flight.from != unit && flight.to != unit {
                continue;
            }
            if flight.is_wanted() {
                out.aborted.push(id);
            }
            if flight.to == unit {
                flight.destination = None;
            }
            if flight.from == unit {
                flight.source = None;
                if let Some(slot) = flight.slot.take() {
                    self.sequences[slot].place = Place::Waiting;
                    self.sequences[slot].preemptions += 1;
                }
            }
        }
    }
}
