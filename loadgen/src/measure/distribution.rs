//! The distribution of one quantity over a whole run.

use hdrhistogram::Histogram;

use super::rank;
use crate::time::Micros;

/// Durations to three significant digits, with an exact mean and maximum.
#[derive(Clone, Debug)]
pub struct Distribution {
    histogram: Histogram<u64>,
    sum: u128,
    max: Micros,
}

impl Default for Distribution {
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "a histogram can be made with any number of digits from 0 to 5")]
        let histogram = Histogram::new(3).expect("three digits are allowed");
        Self { histogram, sum: 0, max: Micros::ZERO }
    }
}

impl Distribution {
    /// Counts one value.
    pub fn record(&mut self, value: Micros) {
        // The histogram grows as needed; that fails only where `usize` is too small for its length.
        let recorded = self.histogram.record(value.0);
        debug_assert!(recorded.is_ok(), "{recorded:?}");
        self.sum += u128::from(value.0);
        self.max = self.max.max(value);
    }

    /// Adds everything that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        // A histogram that grows accepts every other one of its kind.
        let added = self.histogram.add(&other.histogram);
        debug_assert!(added.is_ok(), "{added:?}");
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The exact mean in microseconds.
    pub fn mean(&self) -> Option<f64> {
        (self.count() > 0).then(|| self.sum as f64 / self.count() as f64)
    }

    /// The exact maximum.
    pub fn max(&self) -> Option<Micros> {
        (self.count() > 0).then_some(self.max)
    }

    /// The smallest value, to three digits, that at least the share `quantile` of all values do not exceed.
    pub fn quantile(&self, quantile: f64) -> Option<Micros> {
        let count = self.count();
        // The histogram rounds up to a rank by itself: from the middle between two it cannot miss.
        let value = self.histogram.value_at_quantile((rank(quantile, count) as f64 - 0.5) / count.max(1) as f64);
        // A bucket's upper bound may lie above the largest value in it.
        (count > 0).then(|| Micros(value).min(self.max))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Distribution {
        let mut distribution = Distribution::default();
        for value in values {
            distribution.record(Micros(*value));
        }
        distribution
    }

    #[test]
    fn without_values_nothing_is_claimed() {
        let empty = Distribution::default();
        assert_eq!((empty.count(), empty.mean(), empty.max(), empty.quantile(0.5)), (0, None, None, None));
    }

    #[test]
    fn the_rank_of_a_quantile_is_exact_where_it_is_whole() {
        let values: Vec<u64> = (1..=25).collect();
        assert_eq!(of(&values).quantile(0.28), Some(Micros(7)));
        assert_eq!([0.0, 1.0].map(|quantile| of(&values).quantile(quantile)), [Some(Micros(1)), Some(Micros(25))]);
    }

    proptest! {
        #[test]
        fn merging_equals_recording_all(a: Vec<u32>, b: Vec<u32>) {
            let (a, b): (Vec<u64>, Vec<u64>) = (a.into_iter().map(u64::from).collect(), b.into_iter().map(u64::from).collect());
            let mut merged = of(&a);
            merged.merge(&of(&b));
            let all = of(&[a, b].concat());
            prop_assert_eq!(merged.histogram, all.histogram);
            prop_assert_eq!((merged.sum, merged.max), (all.sum, all.max));
        }

        #[test]
        fn quantiles_are_within_a_thousandth_of_the_exact_ones(
            mut values in proptest::collection::vec(0_u64..1_000_000_000, 1..400),
            per_mille in 1_usize..=1000,
        ) {
            let quantile = of(&values).quantile(per_mille as f64 / 1000.0).expect("there are values").0;
            values.sort_unstable();
            let exact = values[(values.len() * per_mille).div_ceil(1000) - 1];
            prop_assert!(quantile >= exact && quantile <= exact + exact / 1000 + 1, "{} is not {}", quantile, exact);
        }
    }
}
