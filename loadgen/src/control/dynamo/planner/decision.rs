//! What the keys of Dynamo's planner say: how many workers there shall be, by which decision, and which decision has been done.
//!
//! | key below `v1/NAMESPACE/planner/` | written by | meaning |
//! |---|---|---|
//! | `num_prefill_workers`, `num_decode_workers` | the planner | how many there shall be |
//! | `decision_id` | the planner | the number of that decision, from 0 on; the greatest number of 64 bits means none |
//! | `scaled_decision_id` | whoever starts and ends workers | the last decision that was done; absent before the first |

use engine::units::Split;

use super::gateway::Pair;

/// In the place of a decision's number: there is none.
const NONE: u64 = u64::MAX;

/// The keys as last read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// What was decided, if anything.
    pub(super) wanted: Option<Split>,
    /// The number of the last decision.
    pub(super) id: Option<u64>,
    /// The last one that was done.
    done: Option<u64>,
    /// When the number was last written, in etcd's count; 0 before the first time.
    pub(super) revision: i64,
    /// The lease that the number hangs on; 0 without one.
    pub(super) lease: i64,
}

impl Decision {
    /// Out of the keys below `prefix`; what is no number counts as absent.
    pub(super) fn of(pairs: &[Pair], prefix: &str) -> Self {
        let find = |name: &str| pairs.iter().find(|pair| pair.key.strip_prefix(prefix) == Some(name));
        let number = |name: &str| find(name)?.value.parse::<u64>().ok();
        let some = |id: &u64| *id != NONE;
        let id = number("decision_id").filter(some);
        let count = |name: &str| u16::try_from(number(name)?).ok();
        let wanted = id.and_then(|_| {
            let (prefill, decode) = (count("num_prefill_workers")?, count("num_decode_workers")?);
            Some(Split { prefill, decode, aggregated: 0 })
        });
        let written = find("decision_id");
        Self {
            wanted,
            id,
            done: number("scaled_decision_id").filter(some),
            revision: written.map_or(0, |pair| pair.revision),
            lease: written.map_or(0, |pair| pair.lease),
        }
    }

    /// The decision that was made and not done yet.
    pub(super) fn pending(&self) -> Option<u64> {
        self.id.filter(|id| self.done.is_none_or(|done| done < *id))
    }

    /// The number of the next one: greater than that of any that was done, though the decision itself may have gone with its lease.
    pub(super) fn next(&self) -> u64 {
        self.id.max(self.done).map_or(0, |id| id.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(values: &[(&str, &str)]) -> Decision {
        let pair = |(name, value): &(&str, &str)| Pair {
            key: format!("v1/dynamo/planner/{name}"),
            value: (*value).to_owned(),
            revision: 7,
            lease: 3,
        };
        Decision::of(&values.iter().map(pair).collect::<Vec<_>>(), "v1/dynamo/planner/")
    }

    #[test]
    fn before_the_first_decision_there_is_none_and_nothing_is_pending() {
        for values in [&[][..], &[("decision_id", "18446744073709551615"), ("num_prefill_workers", "1")]] {
            let found = decision(values);
            assert_eq!((found.wanted, found.id, found.pending(), found.next()), (None, None, None, 0));
        }
    }

    #[test]
    fn a_decision_is_pending_until_its_number_was_written_back() {
        let made = [("num_prefill_workers", "2"), ("num_decode_workers", "1"), ("decision_id", "0")];
        let found = decision(&made);
        assert_eq!((found.pending(), found.next(), found.revision, found.lease), (Some(0), 1, 7, 3));
        assert_eq!(found.wanted.map(|split| split.to_string()).as_deref(), Some("2P1D"));
        let done = decision(&[&made[..], &[("scaled_decision_id", "0")]].concat());
        assert_eq!((done.pending(), done.next()), (None, 1));
        let gone = decision(&[("scaled_decision_id", "4")]);
        assert_eq!((gone.wanted, gone.pending(), gone.next()), (None, None, 5), "whoever scales has seen four");
    }
}
