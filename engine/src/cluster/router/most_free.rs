use std::cmp::Reverse;

use super::{DecodeCandidate, DecodePolicy};
use crate::units::UnitId;

/// The unit with the most available KV, then the fewest sequences, then the lowest unit.
#[derive(Clone, Copy, Debug, Default)]
pub struct MostFree;

impl DecodePolicy for MostFree {
    fn choose(&mut self, candidates: &[DecodeCandidate]) -> Option<UnitId> {
        // The first of equals is the lowest unit.
        candidates.iter().min_by_key(|c| (Reverse(c.available_blocks), c.sequences)).map(|c| c.unit)
    }

    fn copy(&self) -> Box<dyn DecodePolicy> {
        Box::new(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(unit: u16, available_blocks: u32, sequences: u32) -> DecodeCandidate {
        DecodeCandidate { unit: UnitId(unit), available_blocks, sequences }
    }

    #[test]
    fn free_blocks_go_before_sequences_and_sequences_before_the_number() {
        assert_eq!(MostFree.choose(&[candidate(0, 5, 0), candidate(1, 6, 9)]), Some(UnitId(1)));
        assert_eq!(MostFree.choose(&[candidate(0, 5, 3), candidate(1, 5, 2)]), Some(UnitId(1)));
        assert_eq!(MostFree.choose(&[candidate(0, 5, 2), candidate(1, 5, 2)]), Some(UnitId(0)));
    }
}
