//! Requests leave: finished, cancelled, or because nobody can serve them.

use super::Cluster;
use super::event::{FinishReason, Finished, Outbox};
use super::sequence::{Membership, Place, Slot};
use crate::units::{Nanos, RequestId};

impl Cluster {
    /// The client has gone. Blocks that a step or a transfer still uses stay held until that is acknowledged. Unknown requests
    /// are ignored: they may have finished in the meantime.
    pub fn cancel(&mut self, now: Nanos, request: RequestId, out: &mut Outbox) {
        let Some(slot) = self.sequences.find(request) else { return };
        self.tell_deferred(out);
        self.detach(slot, out);
        self.finish(slot, FinishReason::Cancelled, out);
        self.settle(now, out);
    }

    /// Takes a sequence out of wherever it is and gives back what it holds, as soon as nobody uses that any more.
    pub(super) fn detach(&mut self, slot: Slot, out: &mut Outbox) {
        if self.sequences[slot].membership != Membership::None {
            self.dissolve(self.sequences[slot].unit);
        }
        let sequence = &mut self.sequences[slot];
        let here = &mut self.units[sequence.unit.index()];
        here.outstanding -= u64::from(std::mem::take(&mut sequence.owed));
        match sequence.place {
            Place::Parked => self.parked.remove(slot),
            Place::Waiting => here.waiting.remove(slot),
            Place::Prompt | Place::Decoding => self.leave_batch(slot),
            Place::HandingOff => {
                here.handing_off -= 1;
                self.handoffs.remove(slot);
            }
            Place::Moving(id) => {
                if let Some(flight) = self.flights.get_mut(id) {
                    if flight.is_wanted() {
                        out.aborted.push(id);
                    }
                    flight.slot = None;
                }
                return;
            }
        }
        let sequence = &mut self.sequences[slot];
        let unit = sequence.unit;
        let here = &mut self.units[unit.index()];
        if sequence.in_step {
            sequence.in_step = false;
            here.condemned.push(std::mem::take(&mut sequence.holding));
            for entry in here.step.entries.iter_mut().filter(|entry| entry.slot == Some(slot)) {
                entry.slot = None;
            }
        } else {
            here.pool.release(&mut sequence.holding);
        }
        self.stir(unit, out);
    }

    /// Takes a sequence out of its unit's batch.
    pub(super) fn leave_batch(&mut self, slot: Slot) {
        let running = &mut self.units[self.sequences[slot].unit.index()].running;
        let at = running.iter().position(|&other| other == slot);
        debug_assert!(at.is_some(), "{slot:?} is not in the batch");
        if let Some(at) = at {
            running.remove(at);
        }
    }

    /// Reports a sequence that was taken out of everything, and forgets it.
    pub(super) fn finish(&mut self, slot: Slot, reason: FinishReason, out: &mut Outbox) {
        out.emissions.append(&mut self.late);
        let sequence = &self.sequences[slot];
        let (prefix_queried, prefix_hit) = sequence.looked_up.unwrap_or_default();
        out.finished.push(Finished {
            request: sequence.request,
            reason,
            output_tokens: sequence.emitted,
            prefix_queried,
            prefix_hit,
            preemptions: sequence.preemptions,
            prefill_unit: sequence.prefill_unit,
            decode_unit: sequence.decode_unit,
            stages: sequence.stages,
        });
        self.sequences.remove(slot);
    }
}
