//! Attention over paged keys and values, read in place.
//!
//! One call serves a whole step: chunks of prompts and decoding sequences together. A query at position `p` sees positions
//! `0..=p` of its sequence. There is no mask, no copy of the cache and no matrix of all scores: keys are visited in groups
//! of [`GROUP`] positions and the softmax is kept up as they come (the online softmax of Milakov and Gimelshein, 2018, as
//! `FlashAttention` uses it).
//!
//! # Why a row's bits depend on its position alone
//! - Groups start at multiples of [`GROUP`], whatever the chunk.
//! - A score is one chain of fused multiply-adds over the head's numbers, in order.
//! - A group's values are added one position after the other, and exactly those the row may see: a position beyond it is
//!   never multiplied by a zero weight, so that what an unrelated request left in the block cannot matter, not even as NaN.
//! - The sum of weights is kept in sixteen lanes (position modulo 16) and folded once, at the end.
//!
//! Queries of a sequence are worked on some [`ITEM_ROWS`] rows at a time, where the query heads of one key-value head count
//! as rows of their own, and within that in register tiles of a few rows, which share every load of a key or value.

mod group;
mod item;

use std::ops::Range;

use half::f16;

use crate::KernelError;
use crate::arena::{KvArena, KvDtype, Run, blocks_of};
use crate::error::{expect_len, expect_multiple};
use crate::simd::{Isa, LANES};
use item::{Item, Keys, State};

/// Positions between two corrections of the running softmax.
const GROUP: usize = 64;

/// Rows (queries times query heads of a key-value head) that go through the keys together.
const ITEM_ROWS: usize = 64;

/// The queries of one sequence in a step.
#[derive(Clone, Debug)]
pub struct Sequence<'a> {
    /// Its rows of the query and output matrices, in the order of positions.
    pub rows: Range<usize>,
    /// The position of the first row.
    pub start: u32,
    /// The blocks that hold positions `0..start + rows`, all of them written.
    pub table: &'a [Run],
}

/// The queries of a step.
#[derive(Clone, Copy, Debug)]
pub struct Queries<'a> {
    /// Rows of `[head][head_dim]`.
    pub q: &'a [f32],
    /// Query heads, a multiple of the arena's key-value heads.
    pub heads: usize,
    /// What scores are multiplied by, usually `1 / sqrt(head_dim)`.
    pub scale: f32,
}

/// Buffers kept between calls.
#[derive(Debug, Default)]
pub struct AttentionScratch {
    state: State,
    blocks: Vec<u32>,
}

/// Writes the attention output of every row of every sequence to `out`, laid out as the queries are. Rows of no sequence
/// are left alone.
///
/// # Errors
/// When sizes do not agree, a block does not exist, or a table does not cover its sequence.
pub fn attend(
    arena: &KvArena,
    layer: usize,
    queries: Queries<'_>,
    sequences: &[Sequence<'_>],
    out: &mut [f32],
    scratch: &mut AttentionScratch,
) -> Result<(), KernelError> {
    attend_with(Isa::best(), arena, layer, queries, sequences, out, scratch)
}

fn attend_with(
    isa: Isa,
    arena: &KvArena,
    layer: usize,
    queries: Queries<'_>,
    sequences: &[Sequence<'_>],
    out: &mut [f32],
    scratch: &mut AttentionScratch,
) -> Result<(), KernelError> {
    let layout = arena.layout();
    let Queries { q, heads, scale } = queries;
    expect_multiple("query heads", heads, layout.kv_heads)?;
    if layer >= layout.layers {
        return Err(KernelError::Layout { what: "layer", found: layer, allowed: "below the arena's layers" });
    }
    let width = heads * layout.head_dim;
    expect_multiple("queries", q.len(), width)?;
    expect_len("attention output", out.len(), q.len())?;
    let shared = heads / layout.kv_heads;
    let positions = (ITEM_ROWS / shared).max(1);
    for sequence in sequences {
        let Range { start: first, end } = sequence.rows;
        if first > end || end * width > q.len() {
            return Err(KernelError::Shape { what: "rows of a sequence", found: end, expected: q.len() / width });
        }
        find_blocks(arena, sequence, &mut scratch.blocks)?;
        for from in (first..end).step_by(positions) {
            let to = (from + positions).min(end);
            let item = Item {
                layout,
                layer,
                shared,
                scale,
                start: sequence.start as usize + (from - first),
                positions: to - from,
                q: &q[from * width..to * width],
                out: &mut out[from * width..to * width],
                state: &mut scratch.state,
            };
            match layout.dtype {
                KvDtype::F32 => isa.run(item.over(Keys::<f32>::new(arena, &scratch.blocks))),
                KvDtype::F16 => isa.run(item.over(Keys::<f16>::new(arena, &scratch.blocks))),
            }
        }
    }
    Ok(())
}

/// Lists the blocks that a sequence reads, checked to exist.
fn find_blocks(arena: &KvArena, sequence: &Sequence<'_>, blocks: &mut Vec<u32>) -> Result<(), KernelError> {
    let layout = arena.layout();
    let needed = sequence.start as usize + sequence.rows.len();
    let count = needed.div_ceil(layout.block_tokens);
    blocks.clear();
    blocks.extend(blocks_of(sequence.table).take(count));
    if blocks.len() < count {
        return Err(KernelError::TableTooShort { covered: blocks.len() * layout.block_tokens, needed });
    }
    match blocks.iter().find(|&&block| block as usize >= layout.blocks) {
        Some(&block) => Err(KernelError::NoSuchBlock { block: u64::from(block), blocks: layout.blocks }),
        None => Ok(()),
    }
}

// A group is whole vectors, and a vector of positions lies within one block.
const _: () = assert!(GROUP.is_multiple_of(LANES));

#[cfg(test)]
mod tests;
