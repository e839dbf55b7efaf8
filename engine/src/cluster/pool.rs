//! The KV pool of a unit: free blocks, the prefix cache, and what one sequence holds of both.

use super::blocks::Blocks;
use super::plan::{BlockHash, Detail};
use super::prefix::{Found, NodeId, Tree};
use super::table::Table;

/// The blocks that a sequence holds in one pool: first those it shares through the prefix cache, then its own.
#[derive(Clone, Debug)]
pub(crate) struct Holding {
    pub(crate) table: Table,
    /// How many blocks, from the first, belong to the prefix cache.
    shared: u32,
    /// The deepest referenced node of the prefix cache.
    node: NodeId,
}

impl Default for Holding {
    fn default() -> Self {
        Self { table: Table::default(), shared: 0, node: NodeId::ROOT }
    }
}

impl Holding {
    /// How many blocks are held.
    pub(crate) fn blocks(&self) -> u32 {
        self.table.blocks()
    }

    /// How many of them belong to the prefix cache.
    pub(crate) fn shared(&self) -> u32 {
        self.shared
    }

    /// Forgets the blocks without giving them back: their pool is lost.
    pub(crate) fn forget(&mut self) {
        self.table.clear();
        self.shared = 0;
        self.node = NodeId::ROOT;
    }
}

/// The blocks of one unit.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    blocks: Blocks,
    /// Free blocks that are somebody's all the same, though nobody has asked yet which.
    promised: u32,
    tree: Option<Tree>,
}

impl Pool {
    /// A pool of free blocks, which are only counted where nobody reads block tables.
    pub(crate) fn new(blocks: u32, prefix_cache: bool, detail: Detail) -> Self {
        let blocks = if detail == Detail::Shapes { Blocks::counted(blocks) } else { Blocks::new(blocks) };
        Self { blocks, promised: 0, tree: prefix_cache.then(Tree::default) }
    }

    /// All blocks.
    pub(crate) fn total(&self) -> u32 {
        self.blocks.total()
    }

    /// Blocks that only the prefix cache keeps.
    pub(crate) fn cached(&self) -> u32 {
        self.tree.as_ref().map_or(0, Tree::cached)
    }

    /// Blocks that can be had: free ones and those that only the prefix cache keeps.
    pub(crate) fn available(&self) -> u32 {
        self.blocks.free() - self.promised + self.cached()
    }

    /// Blocks that somebody holds.
    pub(crate) fn held(&self) -> u32 {
        self.total() - self.available()
    }

    /// How much of `hashes` is in the prefix cache.
    pub(crate) fn find(&self, hashes: &[BlockHash]) -> Found {
        self.tree.as_ref().map_or_else(Found::default, |tree| tree.find(hashes))
    }

    /// How many blocks would still be available if a sequence of `blocks` blocks came, of which `found` are cached;
    /// `None` when it does not fit.
    pub(crate) fn left_after(&self, blocks: u32, found: Found) -> Option<u32> {
        self.available().checked_sub(found.unreferenced)?.checked_sub(blocks - found.blocks)
    }

    /// Makes `holding`, which is empty, hold `blocks` blocks, the first of them from the prefix cache as far as `hashes`
    /// are there. `room` is how many more it is expected to need.
    pub(crate) fn take(&mut self, hashes: &[BlockHash], blocks: u32, room: u32, holding: &mut Holding) -> bool {
        if let Some(tree) = &mut self.tree {
            holding.node = tree.acquire(NodeId::ROOT, hashes, &mut holding.table);
            holding.shared = holding.table.blocks();
        }
        let fits = self.grow(blocks, room, holding);
        if !fits {
            self.release(holding);
        }
        fits
    }

    /// Makes `holding` hold `blocks` blocks. False, and nothing changed, when there are not as many.
    pub(crate) fn grow(&mut self, blocks: u32, room: u32, holding: &mut Holding) -> bool {
        let wanted = blocks.saturating_sub(holding.blocks());
        if wanted == 0 {
            return true;
        }
        if wanted > self.available() {
            return false;
        }
        self.make_free(wanted);
        self.blocks.take(wanted, room, &mut holding.table)
    }

    /// Sees to it that so many blocks are free that are not promised; they are available.
    fn make_free(&mut self, wanted: u32) {
        if let Some(tree) = &mut self.tree {
            tree.evict((wanted + self.promised).saturating_sub(self.blocks.free()), &mut self.blocks);
        }
    }

    /// Reserves blocks, as many as are available, without saying which.
    pub(crate) fn promise(&mut self, blocks: u32) {
        if blocks == 0 {
            return;
        }
        debug_assert!(blocks <= self.available(), "{blocks} blocks are promised of {}", self.available());
        self.make_free(blocks);
        self.promised += blocks;
    }

    /// Takes promised blocks, or gives them up where there is no holding.
    pub(crate) fn keep_promise(&mut self, blocks: u32, room: u32, holding: Option<&mut Holding>) {
        debug_assert!(blocks <= self.promised, "{blocks} blocks were not promised");
        self.promised -= blocks;
        if let Some(holding) = holding.filter(|_| blocks > 0) {
            self.blocks.take(blocks, room, &mut holding.table);
        }
    }

    /// Blocks that are promised.
    pub(crate) fn promised(&self) -> u32 {
        self.promised
    }

    /// Whatever of `hashes`, those of the first blocks of `holding`, another sequence has put into the prefix cache meanwhile takes
    /// the place of the own copy.
    pub(crate) fn adopt(&mut self, hashes: &[BlockHash], holding: &mut Holding) {
        let Some(tree) = &mut self.tree else { return };
        let Some(new) = hashes.get(holding.shared as usize..).filter(|new| !new.is_empty()) else { return };
        let mut there = Table::default();
        holding.node = tree.acquire(holding.node, new, &mut there);
        let found = there.blocks();
        if found > 0 {
            let range = holding.shared..holding.shared + found;
            holding.table.visit(range, |extent| self.blocks.give(extent));
            holding.table.replace(holding.shared, &there);
            holding.shared += found;
        }
    }

    /// Puts the next blocks of `holding`, which are full and have these hashes, into the prefix cache, unless one that is equal
    /// to the first is there: then this sequence publishes nothing more. It never frees a block, so that the blocks at hand do
    /// not depend on when it is called.
    pub(crate) fn publish_next(&mut self, hashes: &[BlockHash], holding: &mut Holding) {
        let Some(tree) = &mut self.tree else { return };
        // A run that starts with this hash elsewhere in the tree is a collision; the blocks then stay private.
        if hashes.first().is_none_or(|first| tree.starts(*first)) {
            return;
        }
        let range = holding.shared..holding.shared + hashes.len() as u32;
        holding.shared = range.end;
        holding.node = tree.insert(holding.node, hashes, &holding.table, range);
    }

    /// Whether a run of blocks in the prefix cache starts with `hash`.
    pub(crate) fn starts(&self, hash: BlockHash) -> bool {
        self.tree.as_ref().is_some_and(|tree| tree.starts(hash))
    }

    /// Gives everything back; the prefix cache keeps what was put there.
    pub(crate) fn release(&mut self, holding: &mut Holding) {
        holding.table.visit(holding.shared..holding.table.blocks(), |extent| self.blocks.give(extent));
        if let Some(tree) = &mut self.tree
            && holding.node != NodeId::ROOT
        {
            tree.release(holding.node);
        }
        holding.forget();
    }

    /// Checks that every block is free, cached, or held by one of `holdings`, and that all counters are right.
    pub(crate) fn check<'a>(&self, holdings: impl Iterator<Item = &'a Holding>) -> Result<(), String> {
        let mut owners = vec![0_u8; self.total() as usize];
        let mut owned = 0;
        let mut own = |table: &Table| {
            owned += table.blocks();
            if !self.blocks.is_named() {
                return;
            }
            for extent in table.extents() {
                for block in extent.first..extent.first + extent.blocks {
                    owners[block as usize] = owners[block as usize].saturating_add(1);
                }
            }
        };
        let mut nodes = Vec::new();
        for holding in holdings {
            nodes.push(holding.node);
            own(&holding.table.slice(holding.shared..holding.table.blocks()));
        }
        if let Some(tree) = &self.tree {
            tree.check(&nodes, own)?;
        }
        if owned + self.blocks.free() != self.total() {
            return Err(format!("{owned} blocks are owned, {} are free", self.blocks.free()));
        }
        for (block, owners) in owners.iter().enumerate().filter(|_| self.blocks.is_named()) {
            if *owners != u8::from(!self.blocks.is_free(block as u32)) {
                return Err(format!("block {block} has {owners} owners and free is {}", *owners == 0));
            }
        }
        Ok(())
    }
}
