//! Where keys and values live: one arena a unit, cut into blocks that hold a few positions of all layers.
//!
//! ```text
//! block 0: layer 0: K: head 0: 16 positions transposed [head_dim][16], 16 more, ...   head 1 ...
//!                   V: head 0: [block_tokens][head_dim]                               head 1 ...
//!          layer 1: ...
//! block 1: ...
//! ```
//!
//! A block of all layers is contiguous, so a hand-off copies it in one go. Keys are stored transposed in groups of sixteen
//! positions, so that a score needs no sum across lanes; values are stored as they come, for the same reason.
//!
//! # Who may touch what
//! A unit's thread owns its [`KvArena`] and alone writes it: writes take `&mut self`, attention reads through `&self`, and
//! the borrow checker keeps them apart at no cost. Other units hold a [`KvSource`], with which they can do one thing: copy
//! blocks into their own arena, at any time, while the owner computes. Only these two meet across threads, so only they
//! pay: each block has a lock word, which a copy takes for reading and the owner's write takes exclusively (one atomic
//! operation for each block written and layer, against tens of kilobytes moved).
//!
//! The cluster never schedules a write to a block that is being copied, since both sides of a transfer stay held until it
//! is acknowledged. The lock words therefore never wait: a conflict is a scheduling bug and becomes
//! [`KernelError::Busy`], not a data race, and not a deadlock. They also order the copied bytes after the write that made
//! them, so that callers need no fence of their own.

mod layout;
mod memory;

use std::ops::Range;
use std::sync::Arc;

use half::f16;

pub use layout::{KvDtype, KvLayout};
pub(crate) use memory::OwnerView;

use crate::KernelError;
use crate::error::expect_len;
use crate::simd::{Element, LANES};
use memory::Memory;

/// Consecutive blocks of an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first block.
    pub first: u32,
    /// How many.
    pub blocks: u32,
}

/// The blocks of `table` one by one.
pub(crate) fn blocks_of(table: &[Run]) -> impl Iterator<Item = u32> {
    table.iter().flat_map(|run| (0..run.blocks).map(|i| run.first.saturating_add(i)))
}

/// The keys and values of one unit, owned by the thread that computes for it.
#[derive(Debug)]
pub struct KvArena {
    memory: Arc<Memory>,
    /// One token's keys or values in the arena's number format, kept between writes.
    singles: Vec<f32>,
    halves: Vec<f16>,
}

/// Another unit's view of an arena: blocks can be copied out of it and nothing else.
#[derive(Clone, Debug)]
pub struct KvSource {
    memory: Arc<Memory>,
}

impl KvSource {
    /// The arena's shape.
    pub fn layout(&self) -> &KvLayout {
        self.memory.layout()
    }
}

impl KvArena {
    /// Reserves an arena of zeros. Memory is used only as blocks are written.
    ///
    /// # Errors
    /// When the layout is not possible or the system has no such address space.
    pub fn new(layout: KvLayout) -> Result<Self, KernelError> {
        Ok(Self { memory: Memory::new(layout)?, singles: Vec::new(), halves: Vec::new() })
    }

    /// The arena's shape.
    pub fn layout(&self) -> &KvLayout {
        self.memory.layout()
    }

    /// A handle with which other units copy blocks out of this arena.
    pub fn source(&self) -> KvSource {
        KvSource { memory: Arc::clone(&self.memory) }
    }

    /// Writes the keys and values of consecutive positions from `start` on, rows of `[kv_head][head_dim]`.
    ///
    /// # Errors
    /// When the rows do not fit the layout, the table does not cover the positions, or a block is being copied. Positions
    /// before the failing one may have been written.
    pub fn write(
        &mut self,
        layer: usize,
        table: &[Run],
        start: u32,
        keys: &[f32],
        values: &[f32],
    ) -> Result<(), KernelError> {
        let layout = *self.memory.layout();
        let row = layout.kv_heads * layout.head_dim;
        let tokens = keys.len() / row;
        expect_len("keys", keys.len(), tokens * row)?;
        expect_len("values", values.len(), keys.len())?;
        if layer >= layout.layers {
            return Err(KernelError::Layout { what: "layer", found: layer, allowed: "below the arena's layers" });
        }
        let rows = Rows { layer, keys, values };
        match layout.dtype {
            KvDtype::F32 => write_rows::<f32>(&self.memory, table, start as usize, tokens, &rows, &mut self.singles),
            KvDtype::F16 => write_rows::<f16>(&self.memory, table, start as usize, tokens, &rows, &mut self.halves),
        }
    }

    /// Copies blocks `piece` of the list `from` (blocks of `source`) onto the same places of the list `to` (blocks here).
    ///
    /// # Errors
    /// When the arenas' blocks differ in shape, a list is too short or names a block that does not exist, or a block is
    /// being written (at the source) or used otherwise (here). Earlier blocks of the piece have been copied then.
    pub fn import(
        &mut self,
        source: &KvSource,
        from: &[Run],
        to: &[Run],
        piece: Range<u32>,
    ) -> Result<(), KernelError> {
        let (theirs, ours) = (source.layout(), self.layout());
        if !theirs.same_blocks(ours) {
            let (source_bytes, own_bytes) = (theirs.block_bytes(), ours.block_bytes());
            return Err(KernelError::OtherLayout { source_bytes, own_bytes });
        }
        let needed = piece.end as usize;
        for list in [from, to] {
            let covered = list.iter().map(|run| run.blocks as usize).sum::<usize>();
            if covered < needed {
                let block_tokens = ours.block_tokens;
                let (covered, needed) = (covered * block_tokens, needed * block_tokens);
                return Err(KernelError::TableTooShort { covered, needed });
            }
        }
        let (skip, count) = (piece.start as usize, piece.len());
        for (from, to) in blocks_of(from).zip(blocks_of(to)).skip(skip).take(count) {
            let from = source.memory.read(from)?;
            self.memory.write(to)?.bytes().copy_from_slice(from.bytes());
        }
        Ok(())
    }

    /// The whole arena, for reading. Nobody else writes it, and the owner cannot while the view borrows the arena.
    pub(crate) fn view(&self) -> OwnerView<'_> {
        // SAFETY: `Memory::write` is called from `&mut self` methods of the one `KvArena` of this memory (it is not
        // `Clone`, and `KvSource` only reads); the view borrows `self`, so none of them can run while it lives.
        unsafe { self.memory.owner_view() }
    }
}

/// What [`KvArena::write`] writes.
struct Rows<'a> {
    layer: usize,
    keys: &'a [f32],
    values: &'a [f32],
}

fn write_rows<E: Element>(
    memory: &Memory,
    table: &[Run],
    start: usize,
    tokens: usize,
    rows: &Rows<'_>,
    narrow: &mut Vec<E>,
) -> Result<(), KernelError> {
    let layout = *memory.layout();
    let (row, head_dim, block_tokens) = (layout.kv_heads * layout.head_dim, layout.head_dim, layout.block_tokens);
    narrow.resize(row, E::ZERO);
    let mut blocks = blocks_of(table).skip(start / block_tokens);
    let mut done = 0;
    while done < tokens {
        let Some(block) = blocks.next() else {
            let covered = table.iter().map(|run| run.blocks as usize).sum::<usize>() * block_tokens;
            return Err(KernelError::TableTooShort { covered, needed: start + tokens });
        };
        let first = (start + done) % block_tokens;
        let count = (block_tokens - first).min(tokens - done);
        let mut guard = memory.write(block)?;
        let (keys, values) = planes_mut::<E>(guard.bytes(), &layout, rows.layer);
        for token in 0..count {
            let source = (done + token) * row..(done + token + 1) * row;
            let (group, lane) = ((first + token) / LANES, (first + token) % LANES);
            E::narrow(&rows.keys[source.clone()], narrow);
            for (head, numbers) in narrow.chunks_exact(head_dim).enumerate() {
                let at = head * layout.head_elements() + group * LANES * head_dim;
                let columns = keys[at..at + LANES * head_dim].chunks_exact_mut(LANES);
                for (column, number) in columns.zip(numbers) {
                    column[lane] = *number;
                }
            }
            E::narrow(&rows.values[source], narrow);
            for (head, numbers) in narrow.chunks_exact(head_dim).enumerate() {
                let at = head * layout.head_elements() + (first + token) * head_dim;
                values[at..at + head_dim].copy_from_slice(numbers);
            }
        }
        done += count;
    }
    Ok(())
}

/// The keys and the values of one layer in a block's bytes.
fn planes_mut<'a, E: Element>(block: &'a mut [u8], layout: &KvLayout, layer: usize) -> (&'a mut [E], &'a mut [E]) {
    let elements = layout.plane_elements();
    let layer_bytes = 2 * elements * size_of::<E>();
    let bytes = &mut block[layer * layer_bytes..(layer + 1) * layer_bytes];
    // SAFETY: every bit pattern is an `E` (the trait's promise).
    let (before, numbers, after) = unsafe { bytes.align_to_mut::<E>() };
    // Pages are aligned and every size above is a multiple of an element's, so nothing is left over.
    debug_assert!(before.is_empty() && after.is_empty());
    numbers.split_at_mut(elements)
}

#[cfg(test)]
mod tests;
