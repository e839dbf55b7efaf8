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
mod keys;

use std::ops::Range;

use half::f16;

use crate::KernelError;
use crate::arena::{KvArena, KvDtype, Run};
use crate::error::{expect_len, expect_multiple};
use crate::simd::{Element, Isa, LANES};
use item::{Item, State};
use keys::Keys;

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
    expect_multiple("query heads", queries.heads, layout.kv_heads)?;
    let width = queries.heads * layout.head_dim;
    expect_multiple("queries", queries.q.len(), width)?;
    expect_len("attention output", out.len(), queries.q.len())?;
    for sequence in sequences {
        let Range { start: first, end } = sequence.rows;
        let rows = queries.q.len() / width;
        if first > end || end > rows {
            return Err(KernelError::Shape { what: "rows of a sequence", found: end, expected: rows });
        }
        let numbers = first * width..end * width;
        let queries = Queries { q: &queries.q[numbers.clone()], ..queries };
        let AttentionScratch { state, blocks } = scratch;
        match layout.dtype {
            KvDtype::F32 => {
                let keys = Keys::<f32>::new(arena, layer, sequence, blocks)?;
                attend_one(isa, keys, queries, sequence.start as usize, &mut out[numbers], state);
            }
            KvDtype::F16 => {
                let keys = Keys::<f16>::new(arena, layer, sequence, blocks)?;
                attend_one(isa, keys, queries, sequence.start as usize, &mut out[numbers], state);
            }
        }
    }
    Ok(())
}

/// Attends with all queries of one sequence, the first of which is at position `start`.
fn attend_one<E: Element>(
    isa: Isa,
    keys: Keys<'_, E>,
    queries: Queries<'_>,
    start: usize,
    out: &mut [f32],
    state: &mut State,
) {
    let layout = keys.layout();
    let shared = queries.heads / layout.kv_heads;
    let positions = (ITEM_ROWS / shared).max(1);
    let size = positions * queries.heads * layout.head_dim;
    for (i, (q, out)) in queries.q.chunks(size).zip(out.chunks_mut(size)).enumerate() {
        let positions_here = q.len() / (queries.heads * layout.head_dim);
        let start = start + i * positions;
        let item = Item { keys, shared, scale: queries.scale, start, positions: positions_here, q, out, state };
        isa.run(item);
    }
}

// A group is whole vectors, and a vector of positions lies within one block.
const _: () = assert!(GROUP.is_multiple_of(LANES));

#[cfg(test)]
mod tests;
