//! The few slowest requests of a stretch of time.

use std::cmp::Reverse;
use std::sync::Arc;

use super::{Order, RequestLine};
use crate::sample::{Outcome, Sample};
use crate::time::Micros;

/// Requests that are kept for each order: at most nine lines of about 350 bytes, whatever the rate is.
const KEPT: usize = 3;

/// The slowest requests by each [`Order`], a few of each.
///
/// Merging is exact: the slowest of two stretches are the slowest of the slowest of each. What we cancelled or never sent
/// is not slow and is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slowest {
    /// In no order; no line without a place among the slowest of some order.
    lines: Vec<Arc<RequestLine>>,
}

impl Slowest {
    /// Keeps a request if it is among the slowest.
    pub fn offer(&mut self, sample: &Sample) {
        if matches!(sample.outcome, Outcome::Cancelled | Outcome::Shed) || !self.is_wanted(sample) {
            return;
        }
        self.lines.push(Arc::new(RequestLine::of(sample)));
        self.prune();
    }

    /// Adds those of another stretch.
    pub fn merge(&mut self, other: &Self) {
        self.lines.extend(other.lines.iter().cloned());
        self.prune();
    }

    /// All that are kept, in no order.
    pub fn lines(&self) -> &[Arc<RequestLine>] {
        &self.lines
    }

    /// Looked at before a line is made, because most requests are not among the slowest.
    fn is_wanted(&self, sample: &Sample) -> bool {
        let e2e = if sample.outcome.is_completed() { sample.e2e() } else { Some(sample.ended.since(sample.due)) };
        let keys = [(Order::Ttft, sample.ttft()), (Order::E2e, e2e), (Order::Tpot, sample.tpot())];
        let beats = |(order, key): (Order, Option<Micros>)| {
            key.is_some() && self.lines.iter().filter(|line| line.key(order) > key).count() < KEPT
        };
        keys.into_iter().any(beats)
    }

    fn prune(&mut self) {
        if self.lines.len() <= KEPT {
            return;
        }
        let mut wanted = vec![false; self.lines.len()];
        for order in Order::ALL {
            let mut places: Vec<usize> =
                (0..self.lines.len()).filter(|place| self.lines[*place].key(order).is_some()).collect();
            places.sort_by_key(|place| {
                let line = &self.lines[*place];
                (Reverse(line.key(order)), line.index)
            });
            for place in places.into_iter().take(KEPT) {
                wanted[place] = true;
            }
        }
        let mut wanted = wanted.into_iter();
        self.lines.retain(|_| wanted.next().unwrap_or(false));
        self.lines.shrink_to_fit();
    }

    /// Heap bytes, as if no line were shared.
    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.lines.capacity() * size_of::<Arc<RequestLine>>() + self.lines.len() * (size_of::<RequestLine>() + 16)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sample::testing::{completed, failed, unanswered};

    fn of(samples: &[Sample]) -> Slowest {
        let mut slowest = Slowest::default();
        for sample in samples {
            slowest.offer(sample);
        }
        slowest
    }

    fn indices(slowest: &Slowest) -> Vec<u64> {
        let mut indices: Vec<u64> = slowest.lines().iter().map(|line| line.index).collect();
        indices.sort_unstable();
        indices
    }

    #[test]
    fn the_slowest_of_each_order_are_kept_and_no_others() {
        let mut samples: Vec<Sample> = (0..50).map(|i| completed(i, 0, 100 + i, &[10])).collect();
        samples.extend((50..53).map(|i| completed(i, 0, 10, &[900 + i])));
        samples.push(unanswered(60, 0, 30_000_000, failed()));
        samples.push(unanswered(61, 0, 90_000_000, Outcome::Cancelled));
        assert_eq!(indices(&of(&samples)), [47, 48, 49, 50, 51, 52, 60]);
        assert!(of(&samples).heap_bytes() < 3_600);
    }

    fn samples() -> impl Strategy<Value = Vec<(u64, u64)>> {
        prop::collection::vec((0..2_000u64, 0..300u64), 0..30)
    }

    proptest! {
        #[test]
        fn merging_equals_offering_all(a in samples(), b in samples()) {
            let numbered = |from: usize, of: &[(u64, u64)]| -> Vec<Sample> {
                of.iter().zip(from as u64..).map(|((ttft, gap), index)| completed(index, 0, *ttft, &[*gap])).collect()
            };
            let (a, b) = (numbered(0, &a), numbered(a.len(), &b));
            let mut merged = of(&a);
            merged.merge(&of(&b));
            let all = of(&[a, b].concat());
            prop_assert!(all.lines().len() <= 3 * KEPT);
            prop_assert_eq!(indices(&merged), indices(&all));
        }
    }
}
