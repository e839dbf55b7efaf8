//! Requests come in and are given to a unit's queue.

use super::Cluster;
use super::event::{Arrival, FinishReason, Outbox};
use super::router::PrefillCandidate;
use super::sequence::{Place, Slot};
use super::unit::Unit;
use crate::units::{Nanos, RequestId, UnitId};

/// Why a request was not accepted. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The prompt has no token, or none is asked for.
    #[error("a request needs at least one prompt token and one answer token, not {prompt} and {output}")]
    Empty {
        /// Prompt tokens.
        prompt: u32,
        /// Answer tokens.
        output: u32,
    },
    /// Prompt and answer together exceed the context.
    #[error("{prompt} prompt tokens and {output} answer tokens exceed the context of {max_context}")]
    TooLong {
        /// Prompt tokens.
        prompt: u32,
        /// Answer tokens.
        output: u32,
        /// Most tokens of both together.
        max_context: u32,
    },
    /// Not even an empty unit could hold its KV.
    #[error("{prompt} prompt tokens and {output} answer tokens need {needed} KV blocks, a unit has {blocks}")]
    TooLarge {
        /// Prompt tokens.
        prompt: u32,
        /// Answer tokens.
        output: u32,
        /// Blocks needed before its last token.
        needed: u32,
        /// Blocks of a unit.
        blocks: u32,
    },
    /// More hashes than the prompt has full blocks.
    #[error("{hashes} block hashes for a prompt of {blocks} full blocks")]
    Hashes {
        /// Hashes given.
        hashes: usize,
        /// Full blocks of the prompt.
        blocks: u32,
    },
    /// A request with this number is in flight.
    #[error("request {} is in flight already", .0.0)]
    Duplicate(RequestId),
    /// No unit can prefill, or none can decode, and none is about to.
    #[error("no unit is left that could serve requests")]
    NoCapacity,
}

impl Cluster {
    /// A request arrives.
    ///
    /// # Errors
    /// When it could never be served as it is; nothing has changed then.
    pub fn arrive(&mut self, now: Nanos, arrival: Arrival, out: &mut Outbox) -> Result<(), Refused> {
        self.admissible(&arrival)?;
        let slot = self.sequences.insert(now, arrival);
        self.route(slot, out);
        self.tell_deferred(out);
        Ok(())
    }

    fn admissible(&self, arrival: &Arrival) -> Result<(), Refused> {
        let (prompt, output) = (arrival.prompt_tokens, arrival.output_tokens);
        if prompt == 0 || output == 0 {
            return Err(Refused::Empty { prompt, output });
        }
        let max_context = self.config.max_context;
        if u64::from(prompt) + u64::from(output) > u64::from(max_context) {
            return Err(Refused::TooLong { prompt, output, max_context });
        }
        // The last token is never computed: its KV would serve nobody.
        let needed = self.config.blocks_for(prompt + output - 1);
        let blocks = self.config.blocks_per_unit;
        if needed > blocks {
            return Err(Refused::TooLarge { prompt, output, needed, blocks });
        }
        let (hashes, blocks) = (arrival.prompt_hashes.len(), prompt / self.config.block_tokens);
        if hashes > blocks as usize {
            return Err(Refused::Hashes { hashes, blocks });
        }
        if self.sequences.find(arrival.request).is_some() {
            return Err(Refused::Duplicate(arrival.request));
        }
        if !self.units.iter().any(Unit::will_prefill) || !self.units.iter().any(Unit::will_decode) {
            return Err(Refused::NoCapacity);
        }
        Ok(())
    }

    /// Gives a sequence without KV to a unit that computes prompts; parks it when none can now, ends it when none ever will.
    pub(super) fn route(&mut self, slot: Slot, out: &mut Outbox) {
        self.prefill_candidates.clear();
        for index in 0..self.units.len() {
            if !self.units[index].can_prefill() {
                continue;
            }
            let uncached_tokens = self.uncached(self.units[index].id, slot);
            let unit = &self.units[index];
            self.prefill_candidates.push(PrefillCandidate {
                unit: unit.id,
                outstanding_tokens: unit.outstanding,
                uncached_tokens,
                sequences: unit.held(),
            });
        }
        if let Some(unit) = self.router.prefill.choose(&self.prefill_candidates) {
            self.enqueue(slot, unit, out);
        } else if self.units.iter().any(Unit::will_prefill) {
            debug_assert_eq!(self.sequences[slot].holding.blocks(), 0);
            self.sequences[slot].place = Place::Parked;
            self.parked.insert(&self.sequences, slot);
        } else {
            self.finish(slot, FinishReason::NoCapacity, out);
        }
    }

    /// Puts a sequence without KV into the queue of `unit`, one of those that were to choose from.
    fn enqueue(&mut self, slot: Slot, unit: UnitId, out: &mut Outbox) {
        let seen = self.prefill_candidates.iter().find(|candidate| candidate.unit == unit);
        let uncached = seen.map_or(self.sequences[slot].known, |candidate| candidate.uncached_tokens);
        let here = &mut self.units[unit.index()];
        let sequence = &mut self.sequences[slot];
        let owed = uncached + if here.can_decode() { sequence.remaining() } else { 0 };
        (sequence.place, sequence.unit, sequence.owed) = (Place::Waiting, unit, owed);
        here.outstanding += u64::from(owed);
        here.waiting.insert(&self.sequences, slot);
        self.stir(unit, out);
    }

    /// Tokens of a sequence that `unit` would have to compute before it could sample.
    fn uncached(&mut self, unit: UnitId, slot: Slot) -> u32 {
        let known = self.sequences[slot].known;
        let cached = self.look_up(unit, slot, self.most_cached(known));
        known - cached.blocks * self.config.block_tokens
    }

    /// Most blocks of `known` tokens that may come from the cache: the last token is computed in any case, to be sampled from.
    pub(super) fn most_cached(&self, known: u32) -> u32 {
        (known - 1) / self.config.block_tokens
    }
}
