//! The histogram of one slot of history.

use super::rank;

/// Values below this each have a bucket of their own; above it, every power of two is cut into half as many.
const LINEAR: u64 = 256;

/// Counts of values to two significant digits, stored sparsely.
///
/// The buckets are those of an `HdrHistogram` with two digits and unit resolution (256 single values, then 128 buckets to
/// every power of two, at most 0.8 % wide), but only those that hold something take memory: 8 bytes each, where the dense
/// form takes 10 KB a histogram whatever it holds. A day of slots is therefore cheap, and merging stays exact: merging two
/// histograms equals recording all their values into one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SlotHistogram {
    /// Bucket and count, ordered by bucket, no count 0.
    buckets: Vec<(u16, u32)>,
}

impl SlotHistogram {
    /// Counts one value.
    pub fn record(&mut self, value: u64) {
        let bucket = bucket(value);
        match self.buckets.binary_search_by_key(&bucket, |b| b.0) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(1),
            Err(at) => self.buckets.insert(at, (bucket, 1)),
        }
    }

    /// Adds everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        if self.buckets.is_empty() {
            self.buckets.clone_from(&other.buckets);
            return;
        }
        let mut merged = Vec::with_capacity(self.buckets.len() + other.buckets.len());
        let (mut left, mut right) = (self.buckets.iter().copied().peekable(), other.buckets.iter().copied().peekable());
        while let (Some(a), Some(b)) = (left.peek().copied(), right.peek().copied()) {
            if a.0 <= b.0 {
                left.next();
            }
            if b.0 <= a.0 {
                right.next();
            }
            merged.push(match a.0.cmp(&b.0) {
                std::cmp::Ordering::Less => a,
                std::cmp::Ordering::Equal => (a.0, a.1.saturating_add(b.1)),
                std::cmp::Ordering::Greater => b,
            });
        }
        merged.extend(left.chain(right));
        merged.shrink_to_fit();
        self.buckets = merged;
    }

    /// What was counted, in ascending order: the largest value that falls into a bucket, and how many did.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.buckets.iter().map(|(bucket, count)| (upper_bound(*bucket), *count))
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|b| u64::from(b.1)).sum()
    }

    /// The smallest bucket bound that at least the share `quantile` of the values do not exceed: an upper estimate, at most
    /// 0.8 % too large. `None` without values.
    pub fn quantile(&self, quantile: f64) -> Option<u64> {
        let rank = rank(quantile, self.count());
        let mut seen = 0;
        for (bucket, count) in &self.buckets {
            seen += u64::from(*count);
            if seen >= rank {
                return Some(upper_bound(*bucket));
            }
        }
        self.buckets.last().map(|b| upper_bound(b.0))
    }

    /// Heap bytes.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<(u16, u32)>()
    }
}

/// The bucket of a value. The octave `2^(8 + k)..2^(9 + k)` has the buckets `256 + 128 k..256 + 128 (k + 1)`.
fn bucket(value: u64) -> u16 {
    if value < LINEAR {
        return value as u16;
    }
    let shift = u64::from(value.ilog2() - 7);
    // `value >> shift` lies in 128..256.
    (shift * LINEAR / 2 + (value >> shift)) as u16
}

/// The largest value in a bucket.
fn upper_bound(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < LINEAR {
        return bucket;
    }
    let shift = bucket / (LINEAR / 2) - 1;
    let first = (bucket - shift * LINEAR / 2) << shift;
    first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> SlotHistogram {
        let mut histogram = SlotHistogram::default();
        for value in values {
            histogram.record(*value);
        }
        histogram
    }

    #[test]
    fn buckets_cover_all_values_without_gap_or_overlap() {
        let mut first = 0_u64;
        for number in 0..=bucket(u64::MAX) {
            assert_eq!(bucket(first), number);
            assert_eq!(bucket(upper_bound(number)), number);
            first = upper_bound(number).wrapping_add(1);
        }
        assert_eq!(first, 0, "the last bucket ends with the last value");
    }

    #[test]
    fn an_empty_histogram_has_no_quantile() {
        assert_eq!(SlotHistogram::default().quantile(0.99), None);
    }

    proptest! {
        #[test]
        fn merging_equals_recording_all(a: Vec<u32>, b: Vec<u32>) {
            let (a, b): (Vec<u64>, Vec<u64>) = (a.into_iter().map(u64::from).collect(), b.into_iter().map(u64::from).collect());
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(merged, of(&[a, b].concat()));
        }

        #[test]
        fn quantiles_equal_those_of_an_hdr_histogram_with_two_digits(
            values in proptest::collection::vec(0_u64..100_000_000, 1..300),
            quantile in 0.0_f64..=1.0,
        ) {
            let mut dense = Histogram::<u64>::new(2).expect("two digits");
            for value in &values {
                dense.record(*value).expect("it grows");
            }
            prop_assert_eq!(of(&values).quantile(quantile), Some(dense.value_at_quantile(quantile)));
        }
    }
}
