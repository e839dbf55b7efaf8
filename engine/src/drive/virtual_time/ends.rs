//! Which unit's steps end next.

use crate::units::{Nanos, UnitId};

/// When the steps of every unit end: a tournament of which only the matches of a unit are played anew when its end moves. At
/// one instant the lower unit wins.
#[derive(Clone, Debug)]
pub(super) struct Ends {
    /// The winner of match `n` at `n`, the final at 1, the units themselves behind all matches; `2n` and `2n + 1` meet in `n`.
    winners: Vec<(Nanos, u16)>,
}

/// No end, and later than any.
const NEVER: Nanos = Nanos(u64::MAX);

impl Ends {
    /// Of so many units, none of which computes anything.
    pub(super) fn new(units: u16) -> Self {
        let leaves = usize::from(units).next_power_of_two();
        let mut winners: Vec<_> = (0..2 * leaves).map(|at| (NEVER, at.saturating_sub(leaves) as u16)).collect();
        for game in (1..leaves).rev() {
            winners[game] = winners[2 * game];
        }
        Self { winners }
    }

    /// The steps of `unit` end at `at`, and not when it was said before.
    pub(super) fn set(&mut self, unit: UnitId, at: Nanos) {
        let mut game = self.winners.len() / 2 + unit.index();
        let mut winner = (at, unit.0);
        while let Some(place) = self.winners.get_mut(game) {
            *place = winner;
            if game <= 1 {
                return;
            }
            winner = winner.min(self.winners[game ^ 1]);
            game /= 2;
        }
    }

    /// `unit` computes nothing any more.
    pub(super) fn clear(&mut self, unit: UnitId) {
        self.set(unit, NEVER);
    }

    /// The next end.
    pub(super) fn first(&self) -> Option<(Nanos, UnitId)> {
        let &(at, unit) = self.winners.get(1)?;
        (at < NEVER).then_some((at, UnitId(unit)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_end_is_the_earliest_and_of_the_lowest_unit(
            units in 1_u16..20,
            moves in prop::collection::vec((0_u16..20, prop::option::of(0_u64..8)), 1..60),
        ) {
            let mut ends = Ends::new(units);
            let mut plain = vec![None; usize::from(units)];
            for (unit, at) in moves {
                let unit = unit % units;
                match at {
                    Some(at) => ends.set(UnitId(unit), Nanos(at)),
                    None => ends.clear(UnitId(unit)),
                }
                plain[usize::from(unit)] = at;
                let all = (0..units).zip(&plain).filter_map(|(unit, at)| at.map(|at| (Nanos(at), UnitId(unit))));
                prop_assert_eq!(ends.first(), all.min());
            }
        }
    }
}
