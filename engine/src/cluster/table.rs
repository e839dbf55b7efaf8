//! A list of blocks as extents, in sequence order.

use std::ops::Range;

use super::plan::Extent;

/// Blocks in sequence order, adjacent ones joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    extents: Vec<Extent>,
    blocks: u32,
}

impl Table {
    /// How many blocks are listed.
    pub(crate) fn blocks(&self) -> u32 {
        self.blocks
    }

    /// The extents, none of them empty.
    pub(crate) fn extents(&self) -> &[Extent] {
        &self.extents
    }

    /// The block that would prolong the last extent.
    pub(crate) fn end(&self) -> Option<u32> {
        self.extents.last().map(|extent| extent.first + extent.blocks)
    }

    /// Appends an extent.
    pub(crate) fn push(&mut self, extent: Extent) {
        if extent.blocks == 0 {
            return;
        }
        self.blocks += extent.blocks;
        match self.extents.last_mut() {
            Some(last) if last.first + last.blocks == extent.first => last.blocks += extent.blocks,
            _ => self.extents.push(extent),
        }
    }

    /// Calls `visit` with the extents of the blocks at `range`, in order.
    pub(crate) fn visit(&self, range: Range<u32>, mut visit: impl FnMut(Extent)) {
        let mut passed = 0;
        for extent in &self.extents {
            let from = range.start.max(passed);
            let to = range.end.min(passed + extent.blocks);
            if from < to {
                visit(Extent { first: extent.first + (from - passed), blocks: to - from });
            }
            passed += extent.blocks;
            if passed >= range.end {
                break;
            }
        }
    }

    /// The blocks at `range` as a list of their own.
    pub(crate) fn slice(&self, range: Range<u32>) -> Self {
        let mut part = Self::default();
        self.visit(range, |extent| part.push(extent));
        part
    }

    /// Appends the blocks of `other`.
    pub(crate) fn append(&mut self, other: &Self) {
        for extent in &other.extents {
            self.push(*extent);
        }
    }

    /// Keeps the first `blocks` and calls `dropped` with the rest.
    pub(crate) fn truncate(&mut self, blocks: u32, mut dropped: impl FnMut(Extent)) {
        while self.blocks > blocks {
            let surplus = self.blocks - blocks;
            let Some(last) = self.extents.last_mut() else { return };
            let cut = surplus.min(last.blocks);
            last.blocks -= cut;
            self.blocks -= cut;
            dropped(Extent { first: last.first + last.blocks, blocks: cut });
            if last.blocks == 0 {
                self.extents.pop();
            }
        }
    }

    /// Puts `other` in the place of as many blocks from `at` on.
    pub(crate) fn replace(&mut self, at: u32, other: &Self) {
        let tail = self.slice(at + other.blocks..self.blocks);
        self.truncate(at, |_| ());
        self.append(other);
        self.append(&tail);
    }

    /// Empties the list, keeping its buffer.
    pub(crate) fn clear(&mut self) {
        self.extents.clear();
        self.blocks = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(extents: &[(u32, u32)]) -> Table {
        let mut table = Table::default();
        for &(first, blocks) in extents {
            table.push(Extent { first, blocks });
        }
        table
    }

    #[test]
    fn adjacent_extents_are_joined() {
        assert_eq!(table(&[(3, 2), (5, 1), (9, 1)]).extents(), table(&[(3, 3), (9, 1)]).extents());
    }

    #[test]
    fn a_slice_cuts_extents_at_both_ends() {
        let whole = table(&[(10, 4), (20, 4), (30, 4)]);
        assert_eq!(whole.slice(2..9), table(&[(12, 2), (20, 4), (30, 1)]));
        assert_eq!(whole.slice(4..4), Table::default());
    }

    #[test]
    fn a_replaced_middle_keeps_both_sides() {
        let mut whole = table(&[(10, 6)]);
        whole.replace(2, &table(&[(40, 1), (50, 1)]));
        assert_eq!(whole, table(&[(10, 2), (40, 1), (50, 1), (14, 2)]));
    }

    #[test]
    fn truncating_hands_out_what_is_dropped() {
        let mut whole = table(&[(10, 2), (20, 3)]);
        let mut dropped = Vec::new();
        whole.truncate(1, |extent| dropped.push((extent.first, extent.blocks)));
        assert_eq!((whole.blocks(), dropped), (1, vec![(20, 3), (11, 1)]));
    }
}
