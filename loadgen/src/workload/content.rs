//! The tokens of prompts.

use std::num::NonZeroU32;

use crate::schedule::Segment;

/// Makes prompts out of segments: token `i` of segment `id` is a pure function of the seed, `id` and `i`, so prompts that
/// start with equal segments start with equal tokens, in whatever order and on whatever machine they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    seed: u64,
    vocabulary: NonZeroU32,
}

/// The odd constant nearest to 2^64 divided by the golden ratio: steps of it visit every 64-bit number.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Content {
    /// For a target with `vocabulary` token ids.
    pub fn new(seed: u64, vocabulary: NonZeroU32) -> Self {
        Self { seed, vocabulary }
    }

    /// Replaces `tokens` by the prompt made of `segments`.
    pub fn fill(self, segments: &[Segment], tokens: &mut Vec<u32>) {
        tokens.clear();
        for segment in segments {
            self.append(*segment, tokens);
        }
    }

    /// Appends the tokens of one segment.
    pub fn append(self, Segment(id, count): Segment, tokens: &mut Vec<u32>) {
        // Mixed twice, so that neighbouring ids under one seed, and one id under neighbouring seeds, have nothing in common.
        let key = mix(mix(self.seed) ^ id.wrapping_mul(STEP));
        tokens.extend((0..u64::from(count)).map(|i| self.token(key.wrapping_add((i + 1).wrapping_mul(STEP)))));
    }

    /// The high half of the mixed counter scaled to the vocabulary: no division, and a bias below vocabulary / 2^32.
    fn token(self, counter: u64) -> u32 {
        (((mix(counter) >> 32) * u64::from(self.vocabulary.get())) >> 32) as u32
    }
}

/// The output function of `SplitMix64` (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014,
/// with Stafford's variant 13 of the constants), which passes `BigCrush` on a plain counter.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(seed: u64, segments: &[Segment]) -> Vec<u32> {
        let mut tokens = vec![1, 2, 3];
        Content::new(seed, NonZeroU32::new(32_000).expect("positive")).fill(segments, &mut tokens);
        tokens
    }

    #[test]
    fn equal_segments_are_equal_tokens_and_a_shorter_one_is_a_prefix() {
        let shared = prompt(7, &[Segment(1, 512), Segment(2, 512)]);
        let other = prompt(7, &[Segment(1, 512), Segment(3, 512)]);
        let short = prompt(7, &[Segment(1, 512), Segment(2, 100)]);
        assert_eq!(shared.len(), 1_024);
        assert_eq!(shared[..512], other[..512]);
        assert_ne!(shared[512..], other[512..]);
        assert_eq!(shared[..612], short[..]);
    }

    #[test]
    fn seeds_and_ids_share_nothing() {
        let base = prompt(7, &[Segment(0, 4_096)]);
        for other in [prompt(8, &[Segment(0, 4_096)]), prompt(7, &[Segment(1, 4_096)]), prompt(0, &[Segment(7, 4_096)])]
        {
            let equal = base.iter().zip(&other).filter(|(a, b)| a == b).count();
            assert!(equal < 5, "{equal} of 4096 tokens coincide, 0.13 expected");
        }
    }

    #[test]
    fn tokens_cover_the_vocabulary_evenly() {
        let mut counts = [0_u32; 16];
        for token in prompt(3, &[Segment(5, 160_000)]) {
            counts[token as usize / 2_000] += 1;
        }
        // Chi-square with 15 degrees of freedom: 44.3 is the 1e-4 quantile.
        let chi: f64 = counts.iter().map(|c| (f64::from(*c) - 10_000.0).powi(2) / 10_000.0).sum();
        assert!(chi < 44.3, "{chi}");
    }

    #[test]
    fn content_is_the_same_for_ever() {
        assert_eq!(prompt(7, &[Segment(42, 4)]), GOLDEN);
    }

    const GOLDEN: [u32; 4] = [28_371, 4_487, 5_190, 10_855];
}
