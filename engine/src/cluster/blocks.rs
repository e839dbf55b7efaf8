//! Which blocks of a unit are free.
//!
//! A bit for every block: coalescing costs nothing, and taking or giving back an extent touches one word for 64 blocks.
//! New extents are placed so that their owner can grow: the search starts behind the last one and leaves the room that the
//! owner is expected to need, so that a sequence usually stays a single extent.

use super::plan::Extent;
use super::table::Table;

/// Holes looked at before the largest of them is taken: bounds the search in a badly fragmented pool.
const HOLES: u32 = 32;

/// The free blocks of one unit.
#[derive(Clone, Debug)]
pub(crate) struct Blocks {
    /// A set bit is a free block. `None` where nobody wants to know which blocks are whose: then they are only counted, and
    /// the extents that are handed out have the right lengths and no meaning besides.
    words: Option<Vec<u64>>,
    total: u32,
    free: u32,
    cursor: u32,
}

impl Blocks {
    /// All `total` blocks are free.
    pub(crate) fn new(total: u32) -> Self {
        let words = Some(vec![0; total.div_ceil(64) as usize]);
        let mut blocks = Self { words, total, free: 0, cursor: 0 };
        blocks.give(Extent { first: 0, blocks: total });
        blocks
    }

    /// All `total` blocks are free, and are counted only.
    pub(crate) fn counted(total: u32) -> Self {
        Self { words: None, total, free: total, cursor: 0 }
    }

    /// Whether it is known which blocks are free.
    pub(crate) fn is_named(&self) -> bool {
        self.words.is_some()
    }

    /// How many blocks there are.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// How many of them are free.
    pub(crate) fn free(&self) -> u32 {
        self.free
    }

    /// Appends `count` blocks to `table`, in place as far as the blocks behind it are free. `room` is how many more its owner
    /// is expected to need later. Takes nothing and returns false when fewer than `count` are free.
    pub(crate) fn take(&mut self, count: u32, room: u32, table: &mut Table) -> bool {
        if count > self.free {
            return false;
        }
        if !self.is_named() {
            table.push(Extent { first: table.end().unwrap_or(0), blocks: count });
            self.free -= count;
            return true;
        }
        let mut left = count;
        if let Some(end) = table.end() {
            let blocks = self.run(end, left);
            self.mark_taken(Extent { first: end, blocks });
            table.push(Extent { first: end, blocks });
            left -= blocks;
        }
        while left > 0 {
            let hole = self.hole(left.saturating_add(room));
            let extent = Extent { first: hole.first, blocks: hole.blocks.min(left) };
            if extent.blocks == 0 {
                debug_assert!(false, "{left} blocks are missing of {} free ones", self.free);
                return false;
            }
            self.mark_taken(extent);
            table.push(extent);
            self.cursor = hole.first + hole.blocks;
            left -= extent.blocks;
        }
        true
    }

    /// Takes the blocks of an extent back.
    pub(crate) fn give(&mut self, extent: Extent) {
        self.each_word(extent, |word, mask| {
            debug_assert_eq!(*word & mask, 0, "blocks given back twice");
            *word |= mask;
        });
        self.free += extent.blocks;
    }

    /// Whether a block is free.
    pub(crate) fn is_free(&self, block: u32) -> bool {
        self.run(block, 1) == 1
    }

    fn mark_taken(&mut self, extent: Extent) {
        self.each_word(extent, |word, mask| {
            debug_assert_eq!(*word & mask, mask, "blocks taken twice");
            *word &= !mask;
        });
        self.free -= extent.blocks;
    }

    fn each_word(&mut self, extent: Extent, mut change: impl FnMut(&mut u64, u64)) {
        if !self.is_named() {
            return;
        }
        let (mut at, end) = (extent.first, extent.first + extent.blocks);
        while at < end {
            let bits = (64 - at % 64).min(end - at);
            let mask = (u64::MAX >> (64 - bits)) << (at % 64);
            if let Some(word) = self.words.as_mut().and_then(|words| words.get_mut((at / 64) as usize)) {
                change(word, mask);
            }
            at += bits;
        }
    }

    fn word(&self, index: usize) -> Option<u64> {
        self.words.as_ref()?.get(index).copied()
    }

    /// How many blocks from `first` on are free, counted up to `most`.
    fn run(&self, first: u32, most: u32) -> u32 {
        let mut length = 0;
        while length < most {
            let at = first + length;
            let Some(word) = self.word((at / 64) as usize) else { break };
            let ones = (word >> (at % 64)).trailing_ones();
            length += ones;
            if ones < 64 - at % 64 {
                break;
            }
        }
        length.min(most)
    }

    /// The first free block at or after `from`.
    fn next_free(&self, from: u32) -> Option<u32> {
        let mut index = (from / 64) as usize;
        let mut word = self.word(index)? & (u64::MAX << (from % 64));
        while word == 0 {
            index += 1;
            word = self.word(index)?;
        }
        Some(index as u32 * 64 + word.trailing_zeros())
    }

    /// The first hole behind the cursor with `wanted` blocks, cut to that; else the largest hole seen.
    fn hole(&self, wanted: u32) -> Extent {
        let mut best = Extent { first: 0, blocks: 0 };
        let mut from = self.cursor;
        let mut wrapped = false;
        for _ in 0..=HOLES {
            let first = match self.next_free(from) {
                Some(first) if wrapped && first >= self.cursor => break,
                Some(first) => first,
                None if wrapped => break,
                None => {
                    (from, wrapped) = (0, true);
                    continue;
                }
            };
            let blocks = self.run(first, wanted);
            if blocks > best.blocks {
                best = Extent { first, blocks };
                if blocks == wanted {
                    break;
                }
            }
            from = first + blocks;
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sequence_grows_in_place_when_room_was_left_behind_it() {
        let mut blocks = Blocks::new(200);
        let (mut one, mut two) = (Table::default(), Table::default());
        assert!(blocks.take(64, 16, &mut one) && blocks.take(64, 16, &mut two));
        for _ in 0..16 {
            assert!(blocks.take(1, 0, &mut one) && blocks.take(1, 0, &mut two));
        }
        assert_eq!((one.extents().len(), two.extents().len()), (1, 1));
    }

    #[test]
    fn a_short_pool_takes_nothing() {
        let mut blocks = Blocks::new(10);
        let mut table = Table::default();
        assert!(!blocks.take(11, 0, &mut table));
        assert_eq!((blocks.free(), table.blocks()), (10, 0));
        assert!(blocks.take(10, 5, &mut table));
        assert_eq!((blocks.free(), table.blocks()), (0, 10));
    }

    proptest! {
        #[test]
        fn taken_and_free_blocks_always_make_up_the_pool(
            total in 1_u32..300,
            moves in prop::collection::vec((any::<bool>(), 0_u32..90, 0_u32..40, 0_usize..8), 1..60),
        ) {
            let mut blocks = Blocks::new(total);
            let mut tables: Vec<Table> = vec![Table::default(); 8];
            for (take, count, room, owner) in moves {
                if take {
                    let (free, held) = (blocks.free(), tables[owner].blocks());
                    let taken = blocks.take(count, room, &mut tables[owner]);
                    prop_assert_eq!(taken, count <= free);
                    prop_assert_eq!(tables[owner].blocks(), held + if taken { count } else { 0 });
                } else {
                    let kept = tables[owner].blocks().saturating_sub(count);
                    tables[owner].truncate(kept, |extent| blocks.give(extent));
                }
                let mut owned = vec![false; total as usize];
                for extent in tables.iter().flat_map(Table::extents) {
                    for block in extent.first..extent.first + extent.blocks {
                        prop_assert!(!owned[block as usize], "block {} has two owners", block);
                        prop_assert!(!blocks.is_free(block));
                        owned[block as usize] = true;
                    }
                }
                prop_assert_eq!(owned.iter().filter(|owned| !**owned).count() as u32, blocks.free());
            }
        }
    }
}
