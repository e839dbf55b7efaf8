use super::{PrefillCandidate, PrefillPolicy};
use crate::units::UnitId;

/// The unit that would be through with the prompt first: the least outstanding work plus the prompt's own uncached tokens
/// there. A cached prefix counts for what it saves and no more, or a prefix that everybody shares would send everybody to
/// one unit. Then the fewest sequences, then the lowest unit.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeastWork;

impl PrefillPolicy for LeastWork {
    fn choose(&mut self, candidates: &[PrefillCandidate]) -> Option<UnitId> {
        // The first of equals is the lowest unit.
        let cost = |c: &&PrefillCandidate| (c.outstanding_tokens + u64::from(c.uncached_tokens), c.sequences);
        candidates.iter().min_by_key(cost).map(|c| c.unit)
    }

    fn copy(&self) -> Box<dyn PrefillPolicy> {
        Box::new(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(unit: u16, outstanding_tokens: u64, uncached_tokens: u32, sequences: u32) -> PrefillCandidate {
        PrefillCandidate { unit: UnitId(unit), outstanding_tokens, uncached_tokens, sequences }
    }

    #[test]
    fn a_cached_prefix_wins_only_while_it_saves_more_than_the_queue_costs() {
        let choose = |busy| LeastWork.choose(&[candidate(0, busy, 100, 1), candidate(1, 0, 1000, 0)]);
        assert_eq!(choose(800), Some(UnitId(0)));
        assert_eq!(choose(1000), Some(UnitId(1)));
    }

    #[test]
    fn ties_go_to_fewer_sequences_and_then_to_the_lower_unit() {
        assert_eq!(LeastWork.choose(&[candidate(0, 5, 5, 2), candidate(1, 5, 5, 1)]), Some(UnitId(1)));
        assert_eq!(LeastWork.choose(&[candidate(3, 5, 5, 1), candidate(4, 5, 5, 1)]), Some(UnitId(3)));
        assert_eq!(LeastWork.choose(&[]), None);
    }
}
