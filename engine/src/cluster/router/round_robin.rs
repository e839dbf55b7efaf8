use super::{DecodeCandidate, DecodePolicy, PrefillCandidate, PrefillPolicy};
use crate::units::UnitId;

/// Every candidate in turn, whatever it holds: the baseline that other policies are measured against.
#[derive(Clone, Copy, Debug, Default)]
pub struct RoundRobin {
    last: Option<UnitId>,
}

impl RoundRobin {
    fn next(&mut self, mut units: impl Iterator<Item = UnitId> + Clone) -> Option<UnitId> {
        let after = units.clone().find(|&unit| self.last.is_none_or(|last| unit > last));
        let chosen = after.or_else(|| units.next())?;
        self.last = Some(chosen);
        Some(chosen)
    }
}

impl PrefillPolicy for RoundRobin {
    fn choose(&mut self, candidates: &[PrefillCandidate]) -> Option<UnitId> {
        self.next(candidates.iter().map(|c| c.unit))
    }

    fn copy(&self) -> Box<dyn PrefillPolicy> {
        Box::new(*self)
    }
}

impl DecodePolicy for RoundRobin {
    fn choose(&mut self, candidates: &[DecodeCandidate]) -> Option<UnitId> {
        self.next(candidates.iter().map(|c| c.unit))
    }

    fn copy(&self) -> Box<dyn DecodePolicy> {
        Box::new(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_in_turn_and_a_missing_one_is_skipped() {
        let mut policy = RoundRobin::default();
        let mut turn = |units: &[u16]| {
            let candidates: Vec<_> = units
                .iter()
                .map(|&unit| DecodeCandidate { unit: UnitId(unit), available_blocks: 1, sequences: 0 })
                .collect();
            DecodePolicy::choose(&mut policy, &candidates).map(|unit| unit.0)
        };
        assert_eq!(
            (turn(&[0, 1, 2]), turn(&[0, 1, 2]), turn(&[0, 2]), turn(&[0, 1])),
            (Some(0), Some(1), Some(2), Some(0))
        );
    }
}
