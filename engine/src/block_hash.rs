//! The chained hash of full KV blocks: what the prefix cache compares instead of token ids.
//!
//! A block's hash covers its own tokens and, through the hash before it, everything in front of it. The function is fixed,
//! independent of word size and byte order, so that hashes in a recording mean the same on every machine.

use crate::cluster::BlockHash;
use crate::model::counter::mix;

/// Stands for "nothing before": an arbitrary odd constant, so that the first block differs from a continuation.
const START: u64 = 0x6A09_E667_F3BC_C909;

/// The hash of a block that holds `tokens` and follows the block hashed as `previous`.
pub fn chain(previous: Option<BlockHash>, tokens: &[u32]) -> BlockHash {
    let start = previous.map_or(START, |hash| mix(hash.0 ^ START.rotate_left(32)));
    let hash = tokens.iter().fold(start, |hash, &token| {
        mix(hash.rotate_left(7) ^ u64::from(token).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    });
    BlockHash(hash)
}

/// The hashes of all full blocks of `tokens`; a tail shorter than `block_tokens` has none.
///
/// ```
/// use engine::block_hash::hashes;
/// assert_eq!(hashes(&[1, 2, 3, 4, 5], 2).len(), 2);
/// assert_eq!(hashes(&[1, 2, 3, 4, 5], 2)[0], hashes(&[1, 2, 9, 9], 2)[0]);
/// ```
pub fn hashes(tokens: &[u32], block_tokens: u32) -> Vec<BlockHash> {
    let mut previous = None;
    tokens
        .chunks_exact((block_tokens as usize).max(1))
        .map(|block| {
            let hash = chain(previous, block);
            previous = Some(hash);
            hash
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_values_are_fixed_for_ever() {
        let found: Vec<u64> = hashes(&[0, 1, 2, 3, 4, 5, 6, 7], 4).iter().map(|hash| hash.0).collect();
        assert_eq!(found, [13_154_447_464_540_535_261, 9_553_831_937_944_027_392]);
    }

    #[test]
    fn a_block_depends_on_everything_before_it_and_on_order() {
        let base = hashes(&[1, 2, 3, 4, 5, 6], 2);
        assert_ne!(base[2], hashes(&[9, 2, 3, 4, 5, 6], 2)[2], "an early token");
        assert_ne!(base[0], hashes(&[2, 1], 2)[0], "order");
        assert_ne!(chain(None, &[5, 6]), chain(Some(base[1]), &[5, 6]), "position");
        assert_ne!(chain(None, &[0]), chain(None, &[0, 0]), "length");
    }

    #[test]
    fn small_differences_never_collide_in_a_hundred_thousand_blocks() {
        let distinct: HashSet<_> = (0..100_000u32).map(|i| chain(None, &[i % 317, i / 317])).collect();
        assert_eq!(distinct.len(), 100_000);
    }
}
