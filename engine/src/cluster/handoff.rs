//! KV moves between units: hand-offs after the first token, and migration.
//!
//! A sequence keeps its blocks where they are until a unit that decodes can hold them, which is the back-pressure on units
//! that prefill. What the destination has in its prefix cache is not copied.

use super::event::{Outbox, Transfer, TransferId};
use super::plan::Detail;
use super::pool::Holding;
use super::router::DecodeCandidate;
use super::sequence::{Membership, Place, Slot};
use super::{Cluster, Unit};
use crate::units::{Nanos, UnitId};

/// A transfer that is not acknowledged yet.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    /// Whose; `None` when nobody wants it any more.
    pub(crate) slot: Option<Slot>,
    pub(crate) from: UnitId,
    pub(crate) to: UnitId,
    /// `None` when the unit was lost.
    pub(crate) source: Option<Holding>,
    /// `None` when the unit was lost.
    pub(crate) destination: Option<Holding>,
    /// Whether the sequence was decoding at the source already.
    pub(crate) migration: bool,
}

impl Flight {
    /// Whether it was not aborted.
    pub(crate) fn is_wanted(&self) -> bool {
        self.slot.is_some() && self.source.is_some() && self.destination.is_some()
    }
}

impl Cluster {
    /// A transfer was carried out, or, if it had been aborted, nobody touches its blocks any more. (One that cannot be
    /// carried out is the loss of a unit, see [`Self::unit_failed`]: tried again between the same two, it would fail again.)
    pub fn transfer_done(&mut self, now: Nanos, id: TransferId, out: &mut Outbox) {
        let Some(Flight { slot, from, to, source, destination, migration }) = self.flights.remove(id) else { return };
        if source.is_some() {
            self.units[from.index()].handing_off -= 1;
        }
        if destination.is_some() {
            self.units[to.index()].incoming -= 1;
        }
        match (slot, source, destination) {
            (Some(slot), source, Some(destination)) => {
                self.give_back(from, source, out);
                self.join_batch(now, slot, to, destination, out);
            }
            (Some(slot), Some(source), None) => {
                self.return_to_source(slot, source, migration, out);
            }
            (_, source, destination) => {
                self.give_back(from, source, out);
                self.give_back(to, destination, out);
            }
        }
        self.settle(now, out);
    }

    fn give_back(&mut self, unit: UnitId, holding: Option<Holding>, out: &mut Outbox) {
        if let Some(mut holding) = holding {
            self.units[unit.index()].pool.release(&mut holding);
            self.stir(unit, out);
        }
    }

    fn join_batch(&mut self, now: Nanos, slot: Slot, to: UnitId, holding: Holding, out: &mut Outbox) {
        let sequence = &mut self.sequences[slot];
        sequence.holding = holding;
        sequence.unit = to;
        sequence.stages.handoff_end.get_or_insert(now);
        self.publish_all(slot);
        self.decode_here(slot, out);
        self.emit(slot, out);
    }

    fn return_to_source(&mut self, slot: Slot, source: Holding, migration: bool, out: &mut Outbox) {
        let sequence = &mut self.sequences[slot];
        sequence.holding = source;
        if migration || self.units[sequence.unit.index()].can_decode() {
            self.decode_here(slot, out);
            self.emit(slot, out);
        } else {
            self.units[self.sequences[slot].unit.index()].handing_off += 1;
            self.sequences[slot].place = Place::HandingOff;
            self.handoffs.insert(&self.sequences, slot);
        }
    }

    /// Adds a sequence, whose KV is at its unit, to the batch there.
    fn decode_here(&mut self, slot: Slot, out: &mut Outbox) {
        let sequence = &mut self.sequences[slot];
        let unit = sequence.unit;
        sequence.place = Place::Decoding;
        sequence.owed = sequence.remaining();
        let here = &mut self.units[unit.index()];
        here.outstanding += u64::from(sequence.owed);
        let at = self.sequences.position(&here.running, slot);
        here.running.insert(at, slot);
        if here.lockstep.is_on() {
            here.lockstep.recruits.push(slot);
            self.sequences[slot].membership = Membership::Recruit;
        }
        self.stir(unit, out);
    }

    /// Moves a sequence from the batch of its unit to the queue of those that wait for a unit that decodes.
    pub(super) fn queue_handoff(&mut self, slot: Slot) {
        self.prepare_to_move(slot);
        self.handoffs.insert(&self.sequences, slot);
    }

    fn prepare_to_move(&mut self, slot: Slot) {
        self.leave_batch(slot);
        let sequence = &mut self.sequences[slot];
        sequence.place = Place::HandingOff;
        let here = &mut self.units[sequence.unit.index()];
        here.outstanding -= u64::from(std::mem::take(&mut sequence.owed));
        here.handing_off += 1;
    }

    /// Continues the sequences that wait at `unit` for a hand-off there, now that it decodes itself. They hold their blocks already:
    /// if they kept their turn, an older request that needs these blocks and a hand-off that must not overtake it would wait
    /// for each other.
    pub(super) fn adopt_handoffs(&mut self, unit: UnitId, out: &mut Outbox) {
        let here: Vec<Slot> = self.handoffs.iter().filter(|&slot| self.sequences[slot].unit == unit).collect();
        for slot in here {
            self.handoffs.remove(slot);
            self.units[unit.index()].handing_off -= 1;
            self.decode_here(slot, out);
            self.emit(slot, out);
        }
    }

    /// Starts hand-offs while there is room for the oldest.
    pub(super) fn dispatch(&mut self, now: Nanos, out: &mut Outbox) {
        while let Some(slot) = self.handoffs.front() {
            let Some(to) = self.destination(slot) else { return };
            self.handoffs.pop();
            self.start_transfer(now, slot, to, false, out);
        }
    }

    /// Starts to move the decoding sequences of units that are to be emptied, as far as peers have room.
    pub(super) fn migrate(&mut self, now: Nanos, out: &mut Outbox) {
        if self.shift.is_none() {
            return;
        }
        for index in 0..self.units.len() {
            if !self.is_migrating(self.units[index].id) {
                continue;
            }
            self.dissolve(self.units[index].id);
            let mut at = 0;
            while let Some(&slot) = self.units[index].running.get(at) {
                let sequence = &self.sequences[slot];
                let free = sequence.place == Place::Decoding && !sequence.in_step;
                if let Some(to) = if free { self.destination(slot) } else { None } {
                    self.prepare_to_move(slot);
                    self.start_transfer(now, slot, to, true, out);
                } else {
                    at += 1;
                }
            }
        }
    }

    /// The unit that a sequence should be continued at, if one has room.
    fn destination(&mut self, slot: Slot) -> Option<UnitId> {
        let sequence = &self.sequences[slot];
        let blocks = sequence.holding.blocks();
        self.decode_candidates.clear();
        let from = sequence.unit;
        for index in 0..self.units.len() {
            let unit = &self.units[index];
            let id = unit.id;
            if id == from
                || !unit.can_decode()
                || !self.has_place(unit, slot)
                || !self.fits(id, slot, blocks, blocks - 1)
            {
                continue;
            }
            let unit = &self.units[index];
            self.decode_candidates.push(DecodeCandidate {
                unit: id,
                available_blocks: unit.pool.available(),
                sequences: unit.held(),
            });
        }
        self.router.decode.choose(&self.decode_candidates)
    }

    /// Whether the batch of `unit` has a place for one more, and nobody older waits for it.
    fn has_place(&self, unit: &Unit, slot: Slot) -> bool {
        let age = self.sequences[slot].age;
        (unit.running.len() as u32 + unit.incoming) < self.config.limits(unit.role).sequences
            && unit.waiting.front().is_none_or(|older| self.sequences[older].age > age)
    }

    /// Reserves the blocks at the destination and starts to copy. At least one block is copied, so that every hand-off has an end.
    fn start_transfer(&mut self, now: Nanos, slot: Slot, to: UnitId, migration: bool, out: &mut Outbox) {
        let id = TransferId(self.next_transfer);
        self.next_transfer += 1;
        let sequence = &mut self.sequences[slot];
        let source = std::mem::take(&mut sequence.holding);
        let blocks = source.blocks();
        let there = &mut self.units[to.index()];
        let mut destination = Holding::default();
        let room = sequence.remaining().div_ceil(self.config.block_tokens);
        let taken = there.pool.take(sequence.hashes_up_to(blocks - 1), blocks, room, &mut destination);
        debug_assert!(taken, "the destination was chosen for its room");
        there.incoming += 1;
        // Others may take blocks only between steps: a promise made for several steps is void.
        if there.step.running && there.step.repeat > 1 {
            there.step.repeat = 1;
            out.cut.push(to);
        }
        let cached = destination.shared();
        let extents = |holding: &Holding| match self.detail {
            Detail::Tables => holding.table.slice(cached..blocks).extents().to_vec(),
            Detail::Sequences | Detail::Shapes => Vec::new(),
        };
        out.transfers.push(Transfer {
            id,
            request: sequence.request,
            from: sequence.unit,
            to,
            source: extents(&source),
            destination: extents(&destination),
            blocks: blocks - cached,
            tokens: sequence.computed - cached * self.config.block_tokens,
        });
        sequence.place = Place::Moving(id);
        sequence.stages.handoff_start.get_or_insert(now);
        let (source, destination) = (Some(source), Some(destination));
        let flight = Flight { slot: Some(slot), from: sequence.unit, to, source, destination, migration };
        self.flights.insert(id, flight);
    }
}
