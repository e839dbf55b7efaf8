//! What a unit computes next: one batcher for all roles.
//!
//! Decoding sequences come first with a token each, then prompts that were begun, then waiting ones, under the role's limits of
//! tokens and sequences. The role decides only where a sequence goes after its first token.
//! Blocks for a whole prompt are taken on admission, so a prompt half computed never stops for want of blocks.

use super::Cluster;
use super::event::Notice;
use super::plan::{Detail, PlannedSequence, StepPlan, StepShape};
use super::sequence::{Place, Slot};
use super::unit::Entry;
use crate::units::{Nanos, UnitId};

/// What is left of a step's limits.
#[derive(Clone, Copy)]
struct Budget {
    tokens: u32,
    sequences: u32,
}

impl Budget {
    fn is_spent(self) -> bool {
        self.tokens == 0 || self.sequences == 0
    }
}

impl Cluster {
    /// Plans the next step of a unit that computes none. Returns false, and the plan is empty, when there is nothing to
    /// compute, or when the unit computes a step already. `max_repeat` bounds the plan's `repeat`.
    pub fn start_step(&mut self, now: Nanos, unit: UnitId, max_repeat: u32, plan: &mut StepPlan) -> bool {
        plan.unit = unit;
        plan.repeat = 1;
        plan.shape = StepShape::default();
        plan.sequences.clear();
        plan.extents.clear();
        let Some(here) = self.units.get(unit.index()).filter(|here| !here.step.running) else { return false };
        let limits = self.config.limits(here.role);
        if here.lockstep.is_on() {
            if self.next_beat(now, unit, max_repeat.max(1), plan) {
                let step = &mut self.units[unit.index()].step;
                (step.running, step.repeat) = (true, plan.repeat);
                return true;
            }
            self.dissolve(unit);
        }
        let mut budget = Budget { tokens: limits.tokens, sequences: limits.sequences };
        let preempted = self.plan_decodes(now, unit, &mut budget, plan);
        let decodes = self.units[unit.index()].step.entries.len();
        self.plan_prompts(now, unit, &mut budget, plan);
        // Whoever was just preempted would only come back to be preempted again; the next step may admit.
        if !preempted {
            self.admit(now, unit, limits.sequences, &mut budget, plan);
        }
        let here = &mut self.units[unit.index()];
        let planned = here.step.entries.len();
        if planned == 0 {
            return false;
        }
        here.step.running = true;
        if !preempted && decodes == planned && decodes == here.running.len() {
            plan.repeat = self.horizon(unit, max_repeat.max(1));
            self.fall_in(unit);
        }
        self.units[unit.index()].step.repeat = plan.repeat;
        true
    }

    /// Plans one token for each decoding sequence, the oldest first. Where blocks run out the youngest of the unit goes.
    fn plan_decodes(&mut self, now: Nanos, unit: UnitId, budget: &mut Budget, plan: &mut StepPlan) -> bool {
        let mut preempted = false;
        let mut at = 0;
        while !budget.is_spent() {
            let Some(&slot) = self.units[unit.index()].running.get(at) else { break };
            if self.sequences[slot].place != Place::Decoding {
                at += 1;
                continue;
            }
            if self.grow(slot) {
                self.plan_sequence(now, slot, budget, plan);
                at += 1;
            } else {
                preempted = true;
                self.preempt_youngest(unit);
            }
        }
        preempted
    }

    fn plan_prompts(&mut self, now: Nanos, unit: UnitId, budget: &mut Budget, plan: &mut StepPlan) {
        let mut at = 0;
        while !budget.is_spent() {
            let Some(&slot) = self.units[unit.index()].running.get(at) else { break };
            if self.sequences[slot].place == Place::Prompt {
                self.plan_sequence(now, slot, budget, plan);
            }
            at += 1;
        }
    }

    fn admit(&mut self, now: Nanos, unit: UnitId, cap: u32, budget: &mut Budget, plan: &mut StepPlan) {
        while !budget.is_spent() {
            let here = &self.units[unit.index()];
            let Some(slot) = here.waiting.front().filter(|_| here.running.len() < cap as usize) else { return };
            let sequence = &self.sequences[slot];
            // A hand-off that waits for room here would wait for ever if younger prompts took it.
            if here.can_decode() && self.handoffs.front().is_some_and(|older| self.sequences[older].age < sequence.age)
            {
                return;
            }
            let blocks = self.config.blocks_for(sequence.known);
            let most_cached = self.most_cached(sequence.known);
            if !self.fits(unit, slot, blocks, most_cached) {
                return;
            }
            self.begin_prompt(now, slot, blocks, most_cached);
            self.plan_sequence(now, slot, budget, plan);
        }
    }

    /// Moves a waiting sequence into the batch with all blocks for what is known of it.
    fn begin_prompt(&mut self, now: Nanos, slot: Slot, blocks: u32, most_cached: u32) {
        let sequence = &mut self.sequences[slot];
        let here = &mut self.units[sequence.unit.index()];
        let growth = if here.can_decode() { sequence.remaining().div_ceil(self.config.block_tokens) } else { 0 };
        let mut holding = std::mem::take(&mut sequence.holding);
        let taken = here.pool.take(sequence.hashes_up_to(most_cached), blocks, growth, &mut holding);
        debug_assert!(taken, "admission has checked that {blocks} blocks fit");
        let hit = holding.shared() * self.config.block_tokens;
        sequence.holding = holding;
        sequence.computed = hit;
        sequence.place = Place::Prompt;
        sequence.stages.prefill_start.get_or_insert(now);
        if sequence.looked_up.is_none() {
            let queried = if self.config.prefix_cache { sequence.prompt } else { 0 };
            sequence.looked_up = Some((queried, hit));
            self.prefix_queried += u64::from(queried);
            self.prefix_hit += u64::from(hit);
        }
        // What was cached when it was queued may have gone since, or more may have come.
        let answer = if here.can_decode() { sequence.remaining() } else { 0 };
        let owed = sequence.known - hit + answer;
        here.outstanding = here.outstanding - u64::from(sequence.owed) + u64::from(owed);
        sequence.owed = owed;
        here.waiting.remove(slot);
        let at = self.sequences.position(&here.running, slot);
        here.running.insert(at, slot);
    }

    /// Puts a sequence of the batch into the plan, with as many tokens as the budget has left.
    fn plan_sequence(&mut self, now: Nanos, slot: Slot, budget: &mut Budget, plan: &mut StepPlan) {
        let sequence = &mut self.sequences[slot];
        let tokens = (sequence.known - sequence.computed).min(budget.tokens);
        let end = sequence.computed + tokens;
        let sample = end == sequence.known;
        let table = plan.extents.len();
        if self.detail == Detail::Tables {
            sequence.holding.table.visit(0..self.config.blocks_for(end), |extent| plan.extents.push(extent));
        }
        if self.detail != Detail::Shapes {
            plan.sequences.push(PlannedSequence {
                request: sequence.request,
                start: sequence.computed,
                tokens,
                sample,
                output_index: sequence.generated(),
                table: table..plan.extents.len(),
            });
        }
        sequence.in_step = true;
        if sequence.place == Place::Decoding {
            sequence.stages.decode_start.get_or_insert(now);
            plan.shape.add_decode(sequence.computed);
        } else {
            plan.shape.add_chunk(sequence.computed, tokens, sample);
        }
        self.units[sequence.unit.index()].step.entries.push(Entry { slot: Some(slot), tokens, sample });
        budget.tokens -= tokens;
        budget.sequences -= 1;
    }

    /// Sends the youngest sequence of the batch back to the queue; what was computed of it is lost but for the prefix cache.
    fn preempt_youngest(&mut self, unit: UnitId) {
        let here = &mut self.units[unit.index()];
        let Some(slot) = here.running.pop() else { return };
        let sequence = &mut self.sequences[slot];
        here.pool.release(&mut sequence.holding);
        sequence.computed = 0;
        sequence.preemptions += 1;
        sequence.place = Place::Waiting;
        here.outstanding -= u64::from(sequence.owed);
        sequence.owed = sequence.known + if here.can_decode() { sequence.remaining() } else { 0 };
        here.outstanding += u64::from(sequence.owed);
        self.deferred.push(Notice::Preempted { request: sequence.request, unit });
        here.waiting.insert(&self.sequences, slot);
    }

    /// Whether `unit` has blocks for a sequence of `blocks`, of which up to `most_cached` may come from its cache, and leaves
    /// the watermark free. A unit that holds nothing takes what fits: nobody's growth is at stake.
    pub(super) fn fits(&mut self, unit: UnitId, slot: Slot, blocks: u32, most_cached: u32) -> bool {
        let found = self.look_up(unit, slot, most_cached);
        let here = &self.units[unit.index()];
        here.pool
            .left_after(blocks, found)
            .is_some_and(|left| left >= self.config.watermark(here.role) || here.pool.held() == 0)
    }
}
