//! Where the keys and values of one sequence are: the proof that every block a kernel will read exists.

use std::marker::PhantomData;

use super::Sequence;
use crate::KernelError;
use crate::arena::{KvArena, KvLayout, OwnerView, blocks_of};
use crate::simd::{Element, LANES};

/// The keys and values of one sequence in one layer of an arena of elements `E`.
#[derive(Debug)]
pub(super) struct Keys<'a, E> {
    view: OwnerView<'a>,
    layout: &'a KvLayout,
    /// Below the arena's layers.
    layer: usize,
    /// Each below the arena's blocks.
    blocks: &'a [u32],
    _elements: PhantomData<E>,
}

impl<E> Clone for Keys<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Keys<'_, E> {}

impl<'a, E: Element> Keys<'a, E> {
    /// Finds the blocks of `sequence` and keeps them in `blocks`.
    pub(super) fn new(
        arena: &'a KvArena,
        layer: usize,
        sequence: &Sequence<'_>,
        blocks: &'a mut Vec<u32>,
    ) -> Result<Self, KernelError> {
        let layout = arena.layout();
        if layout.dtype.bytes() != size_of::<E>() {
            let found = layout.dtype.bytes();
            return Err(KernelError::Layout { what: "bytes of a number", found, allowed: "those of the kernel's" });
        }
        if layer >= layout.layers {
            return Err(KernelError::Layout { what: "layer", found: layer, allowed: "below the arena's layers" });
        }
        let needed = sequence.start as usize + sequence.rows.len();
        let count = needed.div_ceil(layout.block_tokens);
        blocks.clear();
        blocks.extend(blocks_of(sequence.table).take(count));
        if blocks.len() < count {
            return Err(KernelError::TableTooShort { covered: blocks.len() * layout.block_tokens, needed });
        }
        if let Some(&block) = blocks.iter().find(|&&block| block as usize >= layout.blocks) {
            return Err(KernelError::NoSuchBlock { block: u64::from(block), blocks: layout.blocks });
        }
        Ok(Self { view: arena.view(), layout, layer, blocks, _elements: PhantomData })
    }

    pub(super) fn layout(&self) -> &'a KvLayout {
        self.layout
    }

    /// The keys `[head_dim][16]` and the values `[16][head_dim]` of a head at the sixteen positions from `position` on,
    /// which is a multiple of 16 that the sequence covers. Both are readable while the arena is borrowed.
    #[inline(always)]
    pub(super) fn sixteen(&self, head: usize, position: usize) -> (*const E, *const E) {
        debug_assert!(head < self.layout.kv_heads && position.is_multiple_of(LANES));
        let block = self.blocks[position / self.layout.block_tokens] as usize;
        let plane = self.layout.plane_elements();
        let at = (block * self.layout.layers + self.layer) * 2 * plane
            + head * self.layout.head_elements()
            + position % self.layout.block_tokens * self.layout.head_dim;
        let keys = self.view.as_ptr().cast::<E>().wrapping_add(at);
        (keys, keys.wrapping_add(plane))
    }
}
