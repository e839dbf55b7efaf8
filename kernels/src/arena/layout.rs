//! The shape of a KV arena, with every size checked before memory is asked for.

use crate::KernelError;
use crate::simd::LANES;

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvDtype {
    /// Single precision: nothing is lost.
    F32,
    /// IEEE half precision: half the bytes.
    F16,
}

impl KvDtype {
    /// Bytes of one number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// The shape of a KV arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvLayout {
    /// Layers of the model.
    pub layers: usize,
    /// Key-value heads.
    pub kv_heads: usize,
    /// Numbers of a head, a multiple of 32.
    pub head_dim: usize,
    /// Positions of a block, a multiple of 16.
    pub block_tokens: usize,
    /// Blocks.
    pub blocks: usize,
    /// The number format.
    pub dtype: KvDtype,
}

impl KvLayout {
    /// Bytes of one block over all layers: the unit of copying. Saturates at `usize::MAX`, which no arena reaches.
    pub fn block_bytes(&self) -> usize {
        [self.layers, 2, self.kv_heads, self.block_tokens, self.head_dim]
            .into_iter()
            .fold(self.dtype.bytes(), usize::saturating_mul)
    }

    /// Numbers that one head has in one block of one layer, keys or values.
    pub(crate) fn head_elements(&self) -> usize {
        self.block_tokens * self.head_dim
    }

    /// Numbers that all heads have in one block of one layer, keys or values.
    pub(crate) fn plane_elements(&self) -> usize {
        self.kv_heads * self.head_elements()
    }

    /// Whether blocks of `self` may be copied into an arena of `other`.
    pub(crate) fn same_blocks(&self, other: &Self) -> bool {
        Self { blocks: 0, ..*self } == Self { blocks: 0, ..*other }
    }

    /// Checks the shape.
    ///
    /// # Errors
    /// When a number is zero, a vector would not fit, or the whole overflows. Returns the bytes of the arena.
    pub fn check(&self) -> Result<usize, KernelError> {
        for (what, found) in [("layers", self.layers), ("kv_heads", self.kv_heads), ("blocks", self.blocks)] {
            if found == 0 {
                return Err(KernelError::Layout { what, found, allowed: "at least 1" });
            }
        }
        if self.head_dim == 0 || !self.head_dim.is_multiple_of(2 * LANES) {
            let allowed = "a multiple of 32 above 0";
            return Err(KernelError::Layout { what: "head_dim", found: self.head_dim, allowed });
        }
        if self.block_tokens == 0 || !self.block_tokens.is_multiple_of(LANES) {
            let allowed = "a multiple of 16 above 0";
            return Err(KernelError::Layout { what: "block_tokens", found: self.block_tokens, allowed });
        }
        if u32::try_from(self.blocks).is_err() {
            return Err(KernelError::Layout { what: "blocks", found: self.blocks, allowed: "below 2^32" });
        }
        let block_bytes = self.block_bytes();
        block_bytes
            .checked_mul(self.blocks)
            .filter(|&bytes| block_bytes < usize::MAX && isize::try_from(bytes).is_ok())
            .ok_or(KernelError::TooLarge { blocks: self.blocks, block_bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QWEN3_06B: KvLayout =
        KvLayout { layers: 28, kv_heads: 8, head_dim: 128, block_tokens: 16, blocks: 100, dtype: KvDtype::F16 };

    #[test]
    fn a_block_holds_keys_and_values_of_all_layers() {
        assert_eq!(QWEN3_06B.block_bytes(), 16 * 114_688);
        assert_eq!(QWEN3_06B.check().expect("a sound layout"), 100 * 16 * 114_688);
    }

    #[test]
    fn impossible_layouts_are_refused_with_their_numbers() {
        let refused = |layout: KvLayout| layout.check().expect_err("must be refused").to_string();
        assert!(refused(KvLayout { layers: 0, ..QWEN3_06B }).contains("layers is 0"));
        assert!(refused(KvLayout { head_dim: 80, ..QWEN3_06B }).contains("head_dim is 80"));
        assert!(refused(KvLayout { block_tokens: 8, ..QWEN3_06B }).contains("block_tokens is 8"));
        assert!(refused(KvLayout { blocks: 1 << 32, ..QWEN3_06B }).contains("blocks is 4294967296"));
        assert!(refused(KvLayout { layers: usize::MAX, ..QWEN3_06B }).contains("overflow"));
        assert!(refused(KvLayout { layers: 1 << 42, ..QWEN3_06B }).contains("overflow"));
    }
}
