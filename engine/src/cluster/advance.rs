//! Results of steps are applied.

use super::event::{Emission, FinishReason, Outbox, StepReport};
use super::sequence::{Place, Slot};
use super::unit::Entry;
use super::{Cluster, FirstToken};
use crate::units::{Nanos, UnitId};

impl Cluster {
    /// `k` steps like the one planned have ended, the last of them at `now`; the unit is between steps then and the caller asks
    /// `start_step` for the next. `1 <= k <= repeat` of the plan.
    ///
    /// In `report` all blocks are listed in the order in which they were filled. A sequence that stopped did so in the last of
    /// the k steps. Ignored for a unit that computes nothing, a failed one in particular.
    pub fn advance(&mut self, now: Nanos, unit: UnitId, k: u32, report: StepReport<'_>, out: &mut Outbox) {
        let Some(here) = self.units.get_mut(unit.index()).filter(|here| here.step.running) else { return };
        debug_assert!(1 <= k && k <= here.step.repeat, "{k} steps of {}", here.step.repeat);
        let steps = k.clamp(1, here.step.repeat);
        if here.lockstep.is_on() {
            if report.stopped.is_empty() {
                here.step.running = false;
                self.beat(unit, steps, out);
                self.settle(now, out);
                return;
            }
            self.dissolve(unit);
        }
        self.list_filling(unit, steps);
        let here = &mut self.units[unit.index()];
        here.step.running = false;
        let mut entries = std::mem::take(&mut here.step.entries);
        if steps > 1 {
            self.grow_ahead(&entries, steps);
        }
        for &Entry { slot, tokens, sample } in &entries {
            let Some(slot) = slot else { continue };
            self.apply(now, slot, tokens, sample, steps);
        }
        self.publish_listed(unit);
        for &(request, block, hash) in report.filled {
            let Some(slot) = self.sequences.find(request) else { continue };
            self.publish_filled(unit, slot, block, hash);
        }
        for &request in report.stopped {
            let Some(slot) = self.sequences.find(request) else { continue };
            self.sequences[slot].stopped = true;
        }
        for &Entry { slot, sample, .. } in &entries {
            let Some(slot) = slot.filter(|_| sample) else { continue };
            self.after_sampling(slot, out);
        }
        entries.clear();
        let here = &mut self.units[unit.index()];
        here.step.entries = entries;
        while let Some(mut holding) = here.condemned.pop() {
            here.pool.release(&mut holding);
        }
        self.settle(now, out);
    }

    /// Counts what was computed and sampled for one sequence.
    fn apply(&mut self, now: Nanos, slot: Slot, tokens: u32, sample: bool, steps: u32) {
        let sequence = &mut self.sequences[slot];
        let here = &mut self.units[sequence.unit.index()];
        sequence.in_step = false;
        sequence.computed += tokens * steps;
        let sampled = if sample { steps } else { 0 };
        if sample {
            if sequence.known == sequence.prompt {
                sequence.prefill_unit = Some(here.id);
                sequence.stages.prefill_end = Some(now);
            }
            sequence.known += sampled;
            sequence.decode_unit = Some(here.id);
        }
        let done = if sequence.place == Place::Decoding { sampled } else { tokens + sampled };
        let done = done.min(sequence.owed);
        sequence.owed -= done;
        here.outstanding -= u64::from(done);
        if sequence.place == Place::Prompt {
            self.publish_all(slot);
        }
    }

    /// Where a sequence goes that has a new token.
    pub(super) fn after_sampling(&mut self, slot: Slot, out: &mut Outbox) {
        let sequence = &mut self.sequences[slot];
        let stopped = std::mem::take(&mut sequence.stopped);
        if stopped || sequence.remaining() == 0 {
            self.emit(slot, out);
            self.detach(slot, out);
            self.finish(slot, if stopped { FinishReason::Stop } else { FinishReason::Length }, out);
            return;
        }
        let unit = sequence.unit;
        if sequence.place == Place::Prompt && !self.units[unit.index()].can_decode() {
            self.queue_handoff(slot);
            if self.config.first_token == FirstToken::AfterHandOff {
                return;
            }
        } else {
            sequence.place = Place::Decoding;
        }
        self.emit(slot, out);
    }

    /// Emits the tokens of the answer that exist and were not emitted yet.
    pub(super) fn emit(&mut self, slot: Slot, out: &mut Outbox) {
        out.emissions.append(&mut self.late);
        let sequence = &mut self.sequences[slot];
        let (first, count) = (sequence.emitted, sequence.generated() - sequence.emitted);
        if let Some(unit) = sequence.decode_unit.filter(|_| count > 0) {
            sequence.emitted += count;
            out.emissions.push(Emission { request: sequence.request, first, count, unit });
        }
    }
}
