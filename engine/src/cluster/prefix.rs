//! The prefix cache of a unit: a radix tree of runs of full blocks.
//!
//! Hashes are chained, so a hash names its block and everything before it. Two things follow: a single map from the first
//! hash of a run to its node serves the whole tree, and a binary search finds how far a run agrees with a prompt.
//! A sequence references every node on its path; nodes that nobody references stay until their blocks are needed,
//! least recently used leaves first, block by block from the end of the run.

use std::collections::BTreeSet;
use std::ops::Range;

use rustc_hash::FxHashMap;

use super::blocks::Blocks;
use super::plan::BlockHash;
use super::table::Table;

/// A node of the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

impl NodeId {
    /// Above every run.
    pub(crate) const ROOT: Self = Self(u32::MAX);

    fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Clone, Debug)]
struct Node {
    hashes: Vec<BlockHash>,
    blocks: Table,
    parent: NodeId,
    children: u32,
    references: u32,
    /// The tick at which the last reference went.
    used: u64,
}

/// How much of a prompt is in the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Blocks of the prompt that are there.
    pub(crate) blocks: u32,
    /// How many of them nobody references: taking them makes as many fewer evictable.
    pub(crate) unreferenced: u32,
}

/// The tree.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    spare: Vec<NodeId>,
    by_first: FxHashMap<BlockHash, NodeId>,
    /// Unreferenced leaves, the least recently used first.
    idle: BTreeSet<(u64, NodeId)>,
    /// Blocks of unreferenced nodes. Their descendants are unreferenced too, so all of them can be evicted.
    cached: u32,
    tick: u64,
}

impl Tree {
    /// Blocks that could be evicted.
    pub(crate) fn cached(&self) -> u32 {
        self.cached
    }

    /// Whether a run starts with `hash`.
    pub(crate) fn starts(&self, hash: BlockHash) -> bool {
        self.by_first.contains_key(&hash)
    }

    /// How many blocks of `hashes` are there.
    pub(crate) fn find(&self, hashes: &[BlockHash]) -> Found {
        let mut found = Found::default();
        let mut rest = hashes;
        let mut above = NodeId::ROOT;
        while let Some((node, agreed)) = self.below(above, rest) {
            found.blocks += agreed;
            let run = &self.nodes[node.index()];
            if run.references == 0 {
                found.unreferenced += agreed;
            }
            if agreed < run.blocks.blocks() {
                break;
            }
            rest = &rest[agreed as usize..];
            above = node;
        }
        found
    }

    /// References what is there of `hashes` below `from`, which the caller references already, appends the blocks to `blocks`
    /// and returns the deepest node.
    pub(crate) fn acquire(&mut self, from: NodeId, hashes: &[BlockHash], blocks: &mut Table) -> NodeId {
        let mut rest = hashes;
        let mut deepest = from;
        while let Some((node, agreed)) = self.below(deepest, rest) {
            let node = if agreed < self.nodes[node.index()].blocks.blocks() { self.split(node, agreed) } else { node };
            let run = &mut self.nodes[node.index()];
            if run.references == 0 {
                self.cached -= run.blocks.blocks();
                if run.children == 0 {
                    self.idle.remove(&(run.used, node));
                }
            }
            run.references += 1;
            blocks.append(&run.blocks);
            rest = &rest[agreed as usize..];
            deepest = node;
        }
        deepest
    }

    /// Adds the blocks at `range` of `blocks` below `node`, which the caller references, and references them for the caller,
    /// whose deepest node is returned. Nothing below `node` starts with the first of `hashes`.
    pub(crate) fn insert(&mut self, node: NodeId, hashes: &[BlockHash], blocks: &Table, range: Range<u32>) -> NodeId {
        let Some(&first) = hashes.first() else { return node };
        if let Some(run) = self.nodes.get_mut(node.index())
            && run.references == 1
            && run.children == 0
        {
            run.hashes.extend_from_slice(hashes);
            blocks.visit(range, |extent| run.blocks.push(extent));
            return node;
        }
        if let Some(parent) = self.nodes.get_mut(node.index()) {
            parent.children += 1;
        }
        let child = self.add();
        let run = &mut self.nodes[child.index()];
        run.hashes.extend_from_slice(hashes);
        blocks.visit(range, |extent| run.blocks.push(extent));
        (run.parent, run.children, run.references, run.used) = (node, 0, 1, 0);
        self.by_first.insert(first, child);
        child
    }

    /// Drops the caller's references on `node` and everything above it.
    pub(crate) fn release(&mut self, node: NodeId) {
        self.tick += 1;
        let mut at = node;
        while let Some(run) = self.nodes.get_mut(at.index()) {
            run.references -= 1;
            if run.references == 0 {
                run.used = self.tick;
                self.cached += run.blocks.blocks();
                if run.children == 0 {
                    self.idle.insert((self.tick, at));
                }
            }
            at = run.parent;
        }
    }

    /// Gives up to `wanted` blocks back to `free`.
    pub(crate) fn evict(&mut self, wanted: u32, free: &mut Blocks) {
        let mut left = wanted;
        while left > 0 {
            let Some(&(used, node)) = self.idle.first() else { return };
            let run = &mut self.nodes[node.index()];
            let kept = run.blocks.blocks().saturating_sub(left);
            let gone = run.blocks.blocks() - kept;
            run.blocks.truncate(kept, |extent| free.give(extent));
            self.cached -= gone;
            left -= gone;
            if kept > 0 {
                run.hashes.truncate(kept as usize);
            } else {
                self.idle.remove(&(used, node));
                self.remove(node);
            }
        }
    }

    /// The node below `above` that `hashes` leads into, and how many of its blocks agree (at least 1).
    fn below(&self, above: NodeId, hashes: &[BlockHash]) -> Option<(NodeId, u32)> {
        let node = *self.by_first.get(hashes.first()?)?;
        let run = self.nodes.get(node.index())?;
        if run.parent != above {
            return None;
        }
        let common = run.hashes.len().min(hashes.len());
        if run.hashes[common - 1] == hashes[common - 1] {
            return Some((node, common as u32));
        }
        let (mut agreed, mut differ) = (1, common - 1);
        while agreed < differ {
            let middle = agreed.midpoint(differ);
            if run.hashes[middle] == hashes[middle] {
                agreed = middle + 1;
            } else {
                differ = middle;
            }
        }
        Some((node, agreed as u32))
    }

    /// Cuts a run after `at` blocks and returns the new upper node. The lower one keeps its id: whoever references it
    /// references all of it.
    fn split(&mut self, node: NodeId, at: u32) -> NodeId {
        let run = &mut self.nodes[node.index()];
        let lower_hashes = run.hashes.split_off(at as usize);
        let above = Node {
            hashes: std::mem::replace(&mut run.hashes, lower_hashes),
            blocks: run.blocks.slice(0..at),
            parent: run.parent,
            children: 1,
            references: run.references,
            used: run.used,
        };
        run.blocks = run.blocks.slice(at..run.blocks.blocks());
        let (first_upper, first_lower) = (above.hashes[0], run.hashes[0]);
        let upper = self.add();
        self.nodes[upper.index()] = above;
        self.nodes[node.index()].parent = upper;
        self.by_first.insert(first_upper, upper);
        self.by_first.insert(first_lower, node);
        upper
    }

    /// An empty node; one that was removed, with its buffers, if there is any.
    fn add(&mut self) -> NodeId {
        self.spare.pop().unwrap_or_else(|| {
            self.nodes.push(Node {
                hashes: Vec::new(),
                blocks: Table::default(),
                parent: NodeId::ROOT,
                children: 0,
                references: 0,
                used: 0,
            });
            NodeId(self.nodes.len() as u32 - 1)
        })
    }

    /// Forgets an unreferenced leaf whose blocks are gone.
    fn remove(&mut self, node: NodeId) {
        let run = &mut self.nodes[node.index()];
        let parent = run.parent;
        if let Some(first) = run.hashes.first() {
            self.by_first.remove(first);
        }
        run.hashes.clear();
        self.spare.push(node);
        if let Some(run) = self.nodes.get_mut(parent.index()) {
            run.children -= 1;
            if run.children == 0 && run.references == 0 {
                self.idle.insert((run.used, parent));
            }
        }
    }

    /// Compares the counters with what they count. `holders` are the deepest nodes of all sequences, `own` is called with
    /// the blocks of every node.
    pub(crate) fn check(&self, holders: &[NodeId], mut own: impl FnMut(&Table)) -> Result<(), String> {
        let mut references = vec![0_u32; self.nodes.len()];
        for &holder in holders {
            let mut at = holder;
            while let Some(run) = self.nodes.get(at.index()) {
                references[at.index()] += 1;
                at = run.parent;
            }
        }
        let mut cached = 0;
        let mut live = 0;
        for (index, run) in self.nodes.iter().enumerate() {
            let id = NodeId(index as u32);
            if self.spare.contains(&id) {
                continue;
            }
            live += 1;
            own(&run.blocks);
            if run.references != references[index] {
                return Err(format!("{id:?} counts {} references, has {}", run.references, references[index]));
            }
            if run.hashes.len() != run.blocks.blocks() as usize || run.hashes.is_empty() {
                return Err(format!("{id:?} has {} hashes for {} blocks", run.hashes.len(), run.blocks.blocks()));
            }
            if self.by_first.get(&run.hashes[0]) != Some(&id) {
                return Err(format!("{id:?} is not found by its first hash"));
            }
            if run.references == 0 {
                cached += run.blocks.blocks();
            }
            let idle = run.references == 0 && run.children == 0;
            if idle != self.idle.contains(&(run.used, id)) {
                return Err(format!("{id:?} is wrongly listed as an unreferenced leaf, or wrongly not"));
            }
        }
        if cached != self.cached || live != self.by_first.len() {
            return Err(format!("{cached} cached blocks in {live} runs, counted {}", self.cached));
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "prefix_tests.rs"]
mod tests;
