//! Decoding sequences need a block more every `block_tokens` steps.

use super::Cluster;
use super::sequence::Slot;
use super::unit::Entry;
use crate::units::UnitId;

impl Cluster {
    /// Makes room for the next position of a decoding sequence.
    pub(super) fn grow(&mut self, slot: Slot) -> bool {
        let sequence = &mut self.sequences[slot];
        let blocks = self.config.blocks_for(sequence.computed + 1);
        if blocks <= sequence.holding.blocks() {
            return true;
        }
        let room = sequence.remaining() / self.config.block_tokens;
        self.units[sequence.unit.index()].pool.grow(blocks, room, &mut sequence.holding)
    }

    /// For how many steps the batch that is planned, all of it decoding, cannot change: until the first of it is finished or
    /// its blocks run out. Room only gets less meanwhile, so nothing that waits now could come in.
    pub(super) fn horizon(&self, unit: UnitId, max_repeat: u32) -> u32 {
        let here = &self.units[unit.index()];
        // A sequence that is to move may find a peer with room after any step.
        if self.is_migrating(unit) {
            return 1;
        }
        let shortest = here.running.iter().map(|&slot| self.sequences[slot].remaining()).min().unwrap_or(1);
        let most = max_repeat.min(shortest);
        let needed = |steps: u32| -> u64 {
            let more = |slot: &Slot| {
                let sequence = &self.sequences[*slot];
                u64::from(self.config.blocks_for(sequence.computed + steps).saturating_sub(sequence.holding.blocks()))
            };
            here.running.iter().map(more).sum()
        };
        let available = u64::from(here.pool.available());
        most_steps(most, |steps| needed(steps) <= available)
    }

    /// Takes the blocks for steps 2 to `steps` of decoding sequences in the order in which single steps would: step by step,
    /// within a step the oldest sequence first.
    pub(super) fn grow_ahead(&mut self, entries: &[Entry], steps: u32) {
        let size = self.config.block_tokens;
        let mut growth = std::mem::take(&mut self.growth);
        growth.clear();
        for (index, entry) in entries.iter().enumerate() {
            let Some(slot) = entry.slot else { continue };
            let first = size - self.sequences[slot].computed % size + 1;
            if first <= steps {
                growth.push((first, index));
            }
        }
        growth.sort_unstable();
        // All sequences grow with the same period, so each further round has the same order.
        let mut round = 0;
        let mut grown = !growth.is_empty();
        while grown {
            grown = false;
            for &(first, index) in &growth {
                let step = first + round * size;
                let Some(slot) = entries[index].slot.filter(|_| step <= steps) else { continue };
                let sequence = &mut self.sequences[slot];
                let blocks = self.config.blocks_for(sequence.computed + step);
                let room = (sequence.remaining() - (step - 1)) / size;
                let pool = &mut self.units[sequence.unit.index()].pool;
                let fits = pool.grow(blocks, room, &mut sequence.holding);
                debug_assert!(fits, "the horizon has counted the blocks of {:?}", sequence.request);
                grown = true;
            }
            round += 1;
        }
        self.growth = growth;
    }
}

/// The largest number of steps up to `most` that has enough blocks; the first step has them.
pub(super) fn most_steps(most: u32, has_enough: impl Fn(u32) -> bool) -> u32 {
    if has_enough(most) {
        return most;
    }
    let (mut enough, mut short) = (1, most);
    while short - enough > 1 {
        let middle = enough.midpoint(short);
        if has_enough(middle) {
            enough = middle;
        } else {
            short = middle;
        }
    }
    enough
}
