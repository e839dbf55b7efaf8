//! A request in flight, and the table of all of them.

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::event::{Arrival, Stages, TransferId};
use super::plan::BlockHash;
use super::pool::Holding;
use crate::units::{Nanos, RequestId, UnitId};

/// Where a sequence is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Place {
    /// No unit can prefill at the moment, one will.
    #[default]
    Parked,
    /// In the queue of its unit, without KV.
    Waiting,
    /// In the batch of its unit: its prompt is being computed.
    Prompt,
    /// In the batch of its unit: its prompt is computed.
    Decoding,
    /// Computed, on a unit that does not decode; waits for a place elsewhere.
    HandingOff,
    /// Its KV is being copied.
    Moving(TransferId),
}

/// Whether a sequence is counted together with its batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Membership {
    /// It stands for itself.
    #[default]
    None,
    /// From the next step on.
    Recruit,
    /// Since this beat of its unit.
    Member(u64),
}

/// A request in flight. A step computes positions from `computed` on; when it reaches `known`, one more token is sampled.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sequence {
    pub(crate) request: RequestId,
    /// Position in the order of arrival: what is scarce goes to the oldest.
    pub(crate) age: u64,
    pub(crate) prompt: u32,
    /// Most tokens of the answer.
    pub(crate) limit: u32,
    prompt_hashes: Arc<[BlockHash]>,
    /// The prompt's hashes and those of generated blocks; empty until the first of the latter is reported.
    chain: Vec<BlockHash>,
    pub(crate) place: Place,
    /// The unit it waits, runs or ran at.
    pub(crate) unit: UnitId,
    pub(crate) holding: Holding,
    /// Whether the step that its unit computes now includes it.
    pub(crate) in_step: bool,
    /// For a member the figures below, its blocks included, are those at the beat given here.
    pub(crate) membership: Membership,
    /// Set while a report is applied: the answer ends with the token just sampled.
    pub(crate) stopped: bool,
    /// Tokens of prompt and answer that exist.
    pub(crate) known: u32,
    /// Positions whose KV is held.
    pub(crate) computed: u32,
    /// Tokens of the answer that were emitted.
    pub(crate) emitted: u32,
    /// Tokens counted for it in the outstanding work of its unit.
    pub(crate) owed: u32,
    /// Prompt tokens looked up at its first admission, and how many were cached.
    pub(crate) looked_up: Option<(u32, u32)>,
    pub(crate) preemptions: u32,
    pub(crate) prefill_unit: Option<UnitId>,
    pub(crate) decode_unit: Option<UnitId>,
    pub(crate) stages: Stages,
}

impl Sequence {
    /// Tokens of the answer that exist.
    pub(crate) fn generated(&self) -> u32 {
        self.known - self.prompt
    }

    /// Tokens of the answer that are still asked for.
    pub(crate) fn remaining(&self) -> u32 {
        self.limit - self.generated()
    }

    /// The hashes of its full blocks as far as they are known.
    pub(crate) fn hashes(&self) -> &[BlockHash] {
        if self.chain.is_empty() { &self.prompt_hashes } else { &self.chain }
    }

    /// The first `blocks` of its hashes, or as many as there are.
    pub(crate) fn hashes_up_to(&self, blocks: u32) -> &[BlockHash] {
        let hashes = self.hashes();
        &hashes[..hashes.len().min(blocks as usize)]
    }

    /// Notes the hash of a block with generated tokens, if it is the next one of the chain.
    pub(crate) fn learn_hash(&mut self, block: u32, hash: BlockHash) {
        if block as usize != self.hashes().len() {
            return;
        }
        if self.chain.is_empty() {
            self.chain.extend_from_slice(&self.prompt_hashes);
        }
        self.chain.push(hash);
    }

    fn begin(&mut self, now: Nanos, age: u64, arrival: Arrival) {
        // The buffers of the last owner of this entry are kept.
        let mut chain = std::mem::take(&mut self.chain);
        chain.clear();
        let holding = std::mem::take(&mut self.holding);
        *self = Self {
            request: arrival.request,
            age,
            prompt: arrival.prompt_tokens,
            limit: arrival.output_tokens,
            prompt_hashes: arrival.prompt_hashes,
            chain,
            holding,
            known: arrival.prompt_tokens,
            stages: Stages { arrived: now, ..Stages::default() },
            ..Self::default()
        };
    }
}

/// An entry of [`Sequences`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(u32);

/// All requests in flight, in entries that are reused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sequences {
    entries: Vec<Sequence>,
    spare: Vec<Slot>,
    by_request: FxHashMap<RequestId, Slot>,
    arrived: u64,
}

impl Sequences {
    /// How many are in flight.
    pub(crate) fn len(&self) -> usize {
        self.by_request.len()
    }

    /// The entry of a request.
    pub(crate) fn find(&self, request: RequestId) -> Option<Slot> {
        self.by_request.get(&request).copied()
    }

    /// Adds a request that is not there yet.
    pub(crate) fn insert(&mut self, now: Nanos, arrival: Arrival) -> Slot {
        let slot = self.spare.pop().unwrap_or_else(|| {
            self.entries.push(Sequence::default());
            Slot(self.entries.len() as u32 - 1)
        });
        self.by_request.insert(arrival.request, slot);
        self.arrived += 1;
        self.entries[slot.0 as usize].begin(now, self.arrived, arrival);
        slot
    }

    /// Forgets a request, which holds nothing any more.
    pub(crate) fn remove(&mut self, slot: Slot) {
        let sequence = &mut self[slot];
        debug_assert_eq!(sequence.holding.blocks(), 0, "{:?} still holds blocks", sequence.request);
        sequence.prompt_hashes = Arc::default();
        let request = sequence.request;
        self.by_request.remove(&request);
        self.spare.push(slot);
    }

    /// All in flight, the oldest first.
    pub(crate) fn by_age(&self) -> Vec<Slot> {
        let mut slots: Vec<Slot> = (0..self.entries.len() as u32)
            .map(Slot)
            .filter(|&slot| self.find(self[slot].request) == Some(slot))
            .collect();
        slots.sort_by_key(|&slot| self[slot].age);
        slots
    }

    /// Where in `slots`, sorted by age, `slot` is or belongs.
    pub(crate) fn position(&self, slots: &[Slot], slot: Slot) -> usize {
        let age = self[slot].age;
        match slots.last() {
            Some(&last) if self[last].age < age => slots.len(),
            _ => slots.partition_point(|&other| self[other].age < age),
        }
    }
}

impl Index<Slot> for Sequences {
    type Output = Sequence;
    fn index(&self, slot: Slot) -> &Sequence {
        &self.entries[slot.0 as usize]
    }
}

impl IndexMut<Slot> for Sequences {
    fn index_mut(&mut self, slot: Slot) -> &mut Sequence {
        &mut self.entries[slot.0 as usize]
    }
}
