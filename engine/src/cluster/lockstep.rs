//! Sequences that decode step by step together are counted together.
//!
//! A caller that does not want to hear of every token ([`Detail::Shapes`](super::Detail::Shapes)) spares the cluster from
//! touching every sequence at every step: while the whole batch decodes, the unit counts its steps ("beats"), and what a
//! sequence has computed follows from the beat at which it joined. Blocks that it has grown into are promised by the pool, and
//! taken when somebody wants to know which.
//!
//! Nothing is decided here that is not decided for sequences one by one: whenever the next step is not simply the next token of
//! everybody (somebody waits, blocks run short, somebody is cancelled, moved or lost) the count is dissolved, every sequence
//! gets what is its own, and the batcher does what it always does.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

use super::Cluster;
use super::event::{Emission, Outbox};
use super::plan::{BlockHash, Detail, StepPlan, StepShape};
use super::sequence::{Membership, Place, Slot};
use super::unit::Entry;
use crate::units::{Nanos, UnitId};

/// The common count of a unit's batch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lockstep {
    /// Steps that were counted, ever.
    pub(crate) beat: u64,
    pub(crate) members: u32,
    /// Positions that the next step attends to.
    pub(crate) context: u64,
    /// Members by the beat, modulo the tokens of a block, at which they need another block; each the oldest first.
    pub(crate) due: Vec<Vec<Slot>>,
    /// By the beat at which the last token is there, then by age.
    pub(crate) ends: BinaryHeap<Reverse<(u64, u64, Slot)>>,
    /// Sequences of the batch that take part from the next step on.
    pub(crate) recruits: Vec<Slot>,
    /// Members by the name of their first block that is not published, if it will be when it is full.
    pub(crate) awaited: FxHashMap<BlockHash, Slot>,
}

impl Lockstep {
    /// Whether the batch is counted.
    pub(crate) fn is_on(&self) -> bool {
        self.members > 0
    }

    /// Blocks that the `steps` steps behind the one at `beat` need.
    fn growth_behind(&self, steps: u32) -> u32 {
        if steps == 0 {
            return 0;
        }
        let size = self.due.len();
        let (rounds, rest) = (steps / size as u32, steps as usize % size);
        let first = ((self.beat + 1) % size as u64) as usize;
        let (before, after) = self.due.split_at(first);
        let part: usize = after.iter().chain(before).take(rest).map(Vec::len).sum();
        rounds.saturating_mul(self.members).saturating_add(part as u32)
    }

    /// No fewer than [`Self::growth_behind`], and known at once.
    fn growth_bound(&self, steps: u32) -> u32 {
        (steps / self.due.len() as u32 + 1).saturating_mul(self.members)
    }
}

impl Cluster {
    /// Counts the batch that was just planned together, if it can be.
    pub(super) fn fall_in(&mut self, unit: UnitId) {
        let here = &self.units[unit.index()];
        // Blocks that a report has to name are filled one by one.
        let unnamed = self.config.prefix_cache && self.names.is_none();
        if self.detail != Detail::Shapes || unnamed || here.waiting.front().is_some() || self.is_migrating(unit) {
            return;
        }
        // A unit that is leaving the role owes nothing to those that it still decodes.
        let is_owed = |entry: &Entry| {
            entry.slot.is_some_and(|slot| {
                self.sequences[slot].owed == self.sequences[slot].remaining() && !self.is_contested(slot)
            })
        };
        if !here.step.entries.iter().all(is_owed) {
            return;
        }
        let mut entries = std::mem::take(&mut self.units[unit.index()].step.entries);
        for entry in entries.drain(..) {
            let Some(slot) = entry.slot else { continue };
            self.sequences[slot].in_step = false;
            self.enrol(unit, slot);
        }
        self.units[unit.index()].step.entries = entries;
    }

    /// Adds a sequence that has the block of its next position.
    fn enrol(&mut self, unit: UnitId, slot: Slot) {
        let size = self.config.block_tokens;
        let lockstep = &mut self.units[unit.index()].lockstep;
        let sequence = &mut self.sequences[slot];
        sequence.membership = Membership::Member(lockstep.beat);
        lockstep.members += 1;
        lockstep.context += u64::from(sequence.computed) + 1;
        lockstep.ends.push(Reverse((lockstep.beat + u64::from(sequence.remaining()), sequence.age, slot)));
        lockstep.due.resize_with(size as usize, Vec::new);
        let due = due_at(lockstep.beat, sequence.computed, size);
        let at = self.sequences.position(&lockstep.due[due], slot);
        self.units[unit.index()].lockstep.due[due].insert(at, slot);
        self.await_next(slot);
    }

    /// Plans the next step of a batch that is counted. False when that takes more than counting.
    pub(super) fn next_beat(&mut self, now: Nanos, unit: UnitId, max_repeat: u32, plan: &mut StepPlan) -> bool {
        let here = &self.units[unit.index()];
        let limits = self.config.limits(here.role);
        let batch = here.running.len() as u32;
        if here.waiting.front().is_some() || batch > limits.sequences.min(limits.tokens) {
            return false;
        }
        let due = (here.lockstep.beat % here.lockstep.due.len() as u64) as usize;
        let mut growth = here.lockstep.due[due].len() as u32;
        let own = growth;
        for &slot in &here.lockstep.recruits {
            if self.is_contested(slot) {
                return false;
            }
            let sequence = &self.sequences[slot];
            growth += self.config.blocks_for(sequence.computed + 1).saturating_sub(sequence.holding.blocks());
        }
        if growth > here.pool.available() {
            return false;
        }
        let here = &mut self.units[unit.index()];
        here.pool.promise(own);
        let mut recruits = std::mem::take(&mut here.lockstep.recruits);
        for slot in recruits.drain(..) {
            let grown = self.grow(slot);
            debug_assert!(grown, "blocks were counted");
            self.sequences[slot].stages.decode_start.get_or_insert(now);
            self.enrol(unit, slot);
        }
        let here = &mut self.units[unit.index()];
        here.lockstep.recruits = recruits;
        plan.shape = here.lockstep.shape();
        plan.repeat = here.beats_ahead(max_repeat);
        true
    }

    /// As `advance` by `steps` and `start_step` for the step in flight, where that is a matter of counting: fewer steps have
    /// ended than the plan allows, and the plan goes on with as many less. False, and nothing has changed, where it is not.
    pub fn pass(&mut self, unit: UnitId, steps: u32) -> bool {
        let Some(here) = self.units.get_mut(unit.index()) else { return false };
        if steps == 0 || !here.lockstep.is_on() || !here.step.running || steps >= here.step.repeat {
            return false;
        }
        debug_assert!(here.lockstep.recruits.is_empty(), "whoever joins cuts the plan to one step");
        here.step.repeat -= steps;
        here.count(steps, here.lockstep.growth_behind(steps));
        true
    }

    /// `steps` steps of a batch that is counted have ended.
    pub(super) fn beat(&mut self, unit: UnitId, steps: u32, out: &mut Outbox) {
        let here = &mut self.units[unit.index()];
        here.count(steps, here.lockstep.growth_behind(steps - 1));
        loop {
            let lockstep = &mut self.units[unit.index()].lockstep;
            let Some(&Reverse((end, _, slot))) = lockstep.ends.peek() else { return };
            if end > lockstep.beat {
                return;
            }
            lockstep.ends.pop();
            self.fall_out(slot);
            self.after_sampling(slot, out);
        }
    }

    /// A member leaves the count, which goes on without it.
    fn fall_out(&mut self, slot: Slot) {
        self.catch_up_with(slot, true);
        let size = self.config.block_tokens;
        let sequence = &mut self.sequences[slot];
        sequence.membership = Membership::None;
        let lockstep = &mut self.units[sequence.unit.index()].lockstep;
        lockstep.members -= 1;
        lockstep.context -= u64::from(sequence.computed) + 1;
        lockstep.due[due_at(lockstep.beat, sequence.computed, size)].retain(|&other| other != slot);
        if lockstep.members == 0 {
            // Recruits, if any, are planned like any other sequence.
            self.dissolve(self.sequences[slot].unit);
        }
    }

    /// Gives a member all that the count has for it.
    pub(super) fn catch_up(&mut self, slot: Slot) {
        self.catch_up_with(slot, false);
    }

    /// As [`Self::catch_up`]. One that `leaves` because its answer is complete takes no blocks that it would only give back:
    /// those promised to it are free again.
    fn catch_up_with(&mut self, slot: Slot, leaves: bool) {
        let Membership::Member(since) = self.sequences[slot].membership else { return };
        self.await_no_more(slot);
        let sequence = &mut self.sequences[slot];
        let here = &mut self.units[sequence.unit.index()];
        let steps = (here.lockstep.beat - since) as u32;
        sequence.membership = Membership::Member(here.lockstep.beat);
        let size = self.config.block_tokens;
        let filled = sequence.computed / size..(sequence.computed + steps) / size;
        sequence.computed += steps;
        sequence.known += steps;
        sequence.owed -= steps;
        if steps > 0 {
            sequence.decode_unit = Some(here.id);
        }
        // The step in flight has the block that it writes.
        let positions = sequence.computed + u32::from(here.step.running);
        let promised = self.config.blocks_for(positions).saturating_sub(sequence.holding.blocks());
        let wanted = !leaves || self.config.prefix_cache;
        let room = if wanted { sequence.remaining() / size } else { 0 };
        here.pool.keep_promise(promised, room, wanted.then_some(&mut sequence.holding));
        self.publish_counted(slot, filled, leaves);
        if !leaves {
            self.await_next(slot);
        }
    }

    /// Ends the count of a unit, if there is one: every sequence gets what is its own, and the step in flight its entries.
    pub(super) fn dissolve(&mut self, unit: UnitId) {
        let here = &mut self.units[unit.index()];
        if !here.lockstep.is_on() && here.lockstep.recruits.is_empty() {
            return;
        }
        let running = std::mem::take(&mut here.running);
        for &slot in &running {
            self.catch_up(slot);
            let here = &mut self.units[unit.index()];
            let sequence = &mut self.sequences[slot];
            if matches!(std::mem::take(&mut sequence.membership), Membership::Member(_)) && here.step.running {
                sequence.in_step = true;
                here.step.entries.push(Entry { slot: Some(slot), tokens: 1, sample: true });
            }
            let (first, count) = (sequence.emitted, sequence.generated() - sequence.emitted);
            if count > 0 && sequence.place == Place::Decoding {
                sequence.emitted += count;
                self.late.push(Emission { request: sequence.request, first, count, unit });
            }
        }
        let here = &mut self.units[unit.index()];
        here.running = running;
        let lockstep = &mut here.lockstep;
        (lockstep.members, lockstep.context) = (0, 0);
        lockstep.due.iter_mut().for_each(Vec::clear);
        lockstep.ends.clear();
        lockstep.recruits.clear();
        lockstep.awaited.clear();
    }
}

impl super::Unit {
    /// Counts steps that have ended, and the blocks for them.
    fn count(&mut self, steps: u32, growth: u32) {
        self.pool.promise(growth);
        let tokens = u64::from(self.lockstep.members) * u64::from(steps);
        self.lockstep.beat += u64::from(steps);
        self.lockstep.context += tokens;
        self.outstanding -= tokens;
    }

    /// For how many steps the batch that is counted cannot change: see [`Cluster::horizon`].
    fn beats_ahead(&self, max_repeat: u32) -> u32 {
        let lockstep = &self.lockstep;
        let first_end = lockstep.ends.peek().map_or(1, |Reverse((end, ..))| end - lockstep.beat);
        let most = max_repeat.min(u32::try_from(first_end).unwrap_or(u32::MAX)).max(1);
        let available = self.pool.available();
        if lockstep.growth_bound(most) <= available {
            return most;
        }
        super::growth::most_steps(most, |steps| lockstep.growth_behind(steps - 1) <= available)
    }
}

impl Lockstep {
    fn shape(&self) -> StepShape {
        StepShape { decodes: self.members, context: self.context, sampled: self.members, ..StepShape::default() }
    }
}

/// The beat, modulo the tokens of a block, at which a sequence needs another block that has computed so much at `beat`.
pub(super) fn due_at(beat: u64, computed: u32, size: u32) -> usize {
    let size = u64::from(size);
    ((beat % size + size - u64::from(computed) % size) % size) as usize
}
