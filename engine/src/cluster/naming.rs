//! Blocks of generated tokens get their hashes, and others may use them.
//!
//! An executor that computes tokens reports the hash of every block that a step has filled. Where nobody computes tokens a block
//! is called by its request and its index ([`Cluster::with_names`]), and nobody has to be told. What the members of a batch that
//! is counted as a whole have filled goes into the prefix cache in one run: when a member leaves the count, or when somebody
//! looks for the first of its blocks that is not there yet. So it is found whenever it would be if it went there block by block.
//! (One case is left out: a prompt that has blocks of an answer *before* that is written, and is evicted before the answer gets
//! there. Block by block the answer would stay private then; here it may be published.)

use std::ops::Range;

use super::Cluster;
use super::lockstep::Lockstep;
use super::plan::BlockHash;
use super::prefix::Found;
use super::sequence::{Membership, Place, Slot};
use crate::units::{RequestId, UnitId};

/// The hash of a block with generated tokens: a function of the request and the index of the block in its sequence.
pub type Names = fn(RequestId, u32) -> BlockHash;

impl Cluster {
    /// Blocks of generated tokens have these hashes; no report has to give them. For a cluster to which nothing has happened yet.
    #[must_use]
    pub fn with_names(mut self, names: Names) -> Self {
        debug_assert_eq!(self.in_flight(), 0, "blocks have one name from the start");
        self.names = Some(names);
        self
    }

    /// What names blocks, if they have to be named at all.
    pub(super) fn names(&self) -> Option<Names> {
        self.names.filter(|_| self.config.prefix_cache)
    }

    /// Lists the blocks that the first `steps` steps of the one in flight at `unit` fill with generated tokens, in the order
    /// in which they are filled.
    pub(super) fn list_filling(&mut self, unit: UnitId, steps: u32) {
        self.filling.clear();
        if self.names().is_none() {
            return;
        }
        let size = self.config.block_tokens;
        for entry in self.units[unit.index()].step.entries.iter().filter(|entry| entry.sample) {
            let Some(slot) = entry.slot.filter(|&slot| self.sequences[slot].place == Place::Decoding) else { continue };
            let computed = self.sequences[slot].computed;
            let mut step = size - computed % size;
            while step <= steps {
                self.filling.push((step, slot, (computed + step) / size - 1));
                step += size;
            }
        }
        self.filling.sort_by_key(|&(step, ..)| step);
    }

    /// Names and publishes the blocks that were listed, now that they are filled.
    pub(super) fn publish_listed(&mut self, unit: UnitId) {
        let Some(names) = self.names() else { return };
        let mut filling = std::mem::take(&mut self.filling);
        for (_, slot, block) in filling.drain(..) {
            let hash = names(self.sequences[slot].request, block);
            self.publish_filled(unit, slot, block, hash);
        }
        self.filling = filling;
    }

    /// Notes the hash of a block, and lets others use it if it is the next one.
    pub(super) fn publish_filled(&mut self, unit: UnitId, slot: Slot, block: u32, hash: BlockHash) {
        let sequence = &mut self.sequences[slot];
        sequence.learn_hash(block, hash);
        let full = block < sequence.computed / self.config.block_tokens;
        if full && sequence.unit == unit && sequence.holding.shared() == block {
            self.units[unit.index()].pool.publish_next(&[hash], &mut sequence.holding);
        }
    }

    /// Names and publishes the blocks of a member that were filled since that was last done. One that `leaves` because its
    /// answer is complete needs no names of its own any more.
    pub(super) fn publish_counted(&mut self, slot: Slot, blocks: Range<u32>, leaves: bool) {
        let Some(names) = self.names().filter(|_| !blocks.is_empty()) else { return };
        let sequence = &mut self.sequences[slot];
        let request = sequence.request;
        if !leaves {
            for block in blocks.clone() {
                sequence.learn_hash(block, names(request, block));
            }
        }
        if sequence.holding.shared() == blocks.start {
            self.named.clear();
            self.named.extend(blocks.map(|block| names(request, block)));
            self.units[sequence.unit.index()].pool.publish_next(&self.named, &mut sequence.holding);
        }
    }

    /// Notes which block of a member others might look for before it is published.
    pub(super) fn await_next(&mut self, slot: Slot) {
        if let Some(hash) = self.next_name(slot) {
            self.units[self.sequences[slot].unit.index()].lockstep.awaited.insert(hash, slot);
        }
    }

    /// That block is published now, or never will be.
    pub(super) fn await_no_more(&mut self, slot: Slot) {
        if let Some(hash) = self.next_name(slot) {
            self.units[self.sequences[slot].unit.index()].lockstep.stop_awaiting(hash, slot);
        }
    }

    /// The name of the first block of a member that is not full, if it is to be published when it is.
    pub(super) fn next_name(&self, slot: Slot) -> Option<BlockHash> {
        let sequence = &self.sequences[slot];
        let next = sequence.computed / self.config.block_tokens;
        self.names().filter(|_| sequence.holding.shared() == next).map(|names| names(sequence.request, next))
    }

    /// How much of the first `blocks` blocks of a sequence is in the prefix cache of `unit`.
    pub(super) fn look_up(&mut self, unit: UnitId, slot: Slot, blocks: u32) -> Found {
        if !self.config.prefix_cache {
            return Found::default();
        }
        loop {
            let here = &self.units[unit.index()];
            let hashes = self.sequences[slot].hashes_up_to(blocks);
            let found = here.pool.find(hashes);
            let next = hashes.get(found.blocks as usize);
            let Some(owner) = next.and_then(|next| here.lockstep.owner(*next)) else { return found };
            if !self.publish_awaited(owner) {
                return found;
            }
        }
    }

    /// Puts the full blocks of a sequence into the prefix cache of its unit. What others have put there takes the place of its
    /// own copies.
    pub(super) fn publish_all(&mut self, slot: Slot) {
        if !self.config.prefix_cache {
            return;
        }
        loop {
            let sequence = &mut self.sequences[slot];
            let here = &mut self.units[sequence.unit.index()];
            let full = sequence.computed / self.config.block_tokens;
            let mut holding = std::mem::take(&mut sequence.holding);
            let hashes = sequence.hashes_up_to(full);
            here.pool.adopt(hashes, &mut holding);
            let rest = hashes.get(holding.shared() as usize..).unwrap_or_default();
            let owner = rest.first().and_then(|next| here.lockstep.owner(*next));
            if owner.is_none() {
                here.pool.publish_next(rest, &mut holding);
            }
            sequence.holding = holding;
            let unit = sequence.unit;
            let Some(owner) = owner else { return };
            if !self.publish_awaited(owner) {
                // It is about to be there before its owner has filled it: from now on that takes a look at every block.
                self.dissolve(unit);
            }
        }
    }

    /// Whether what a sequence is about to fill stands in the cache of its unit already, so that it may never be published.
    pub(super) fn is_contested(&self, slot: Slot) -> bool {
        let unit = self.sequences[slot].unit;
        self.next_name(slot).is_some_and(|name| self.units[unit.index()].pool.starts(name))
    }

    /// Publishes what a member has filled. False when that is nothing.
    fn publish_awaited(&mut self, owner: Slot) -> bool {
        let before = self.sequences[owner].holding.shared();
        debug_assert!(matches!(self.sequences[owner].membership, Membership::Member(_)), "only members are awaited");
        self.catch_up(owner);
        self.sequences[owner].holding.shared() > before
    }
}

impl Lockstep {
    /// Whose next block has this name.
    fn owner(&self, name: BlockHash) -> Option<Slot> {
        if self.awaited.is_empty() { None } else { self.awaited.get(&name).copied() }
    }

    fn stop_awaiting(&mut self, name: BlockHash, slot: Slot) {
        if self.owner(name) == Some(slot) {
            self.awaited.remove(&name);
        }
    }
}
