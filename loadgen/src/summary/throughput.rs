//! Tokens by the time of their arrival, for a window whose end is known only when the run is over.

use crate::time::Micros;

/// Buckets at the start.
const FINEST: Micros = Micros(100_000);
/// Most buckets that are kept; with more, all become twice as long.
const MAX_BUCKETS: usize = 1 << 14;

/// Tokens that arrived in each bucket of time: 100 ms each for the first 27 minutes of a run, coarser beyond.
#[derive(Clone, Debug)]
pub(super) struct Throughput {
    length: Micros,
    /// Prompt tokens and tokens of answers.
    buckets: Vec<(u64, u64)>,
}

impl Default for Throughput {
    fn default() -> Self {
        Self { length: FINEST, buckets: Vec::new() }
    }
}

impl Throughput {
    pub(super) fn add(&mut self, at: Micros, input: u64, output: u64) {
        let mut bucket = at.0 / self.length.0;
        while bucket >= MAX_BUCKETS as u64 {
            self.coarsen();
            bucket = at.0 / self.length.0;
        }
        let bucket = bucket as usize;
        if bucket >= self.buckets.len() {
            self.buckets.resize(bucket + 1, (0, 0));
        }
        if let Some((inputs, outputs)) = self.buckets.get_mut(bucket) {
            *inputs += input;
            *outputs += output;
        }
    }

    /// What arrived from `from` to `to`. Where one of them lies inside a bucket, the bucket counts in proportion.
    pub(super) fn between(&self, from: Micros, to: Micros) -> (f64, f64) {
        let mut sum = (0.0, 0.0);
        for (number, (input, output)) in self.buckets.iter().enumerate() {
            let start = Micros(number as u64 * self.length.0);
            let end = start + self.length;
            let inside = end.min(to).since(start.max(from)).0 as f64 / self.length.0 as f64;
            sum.0 += inside * *input as f64;
            sum.1 += inside * *output as f64;
        }
        sum
    }

    fn coarsen(&mut self) {
        let pairs = self.buckets.chunks(2);
        self.buckets = pairs.map(|pair| pair.iter().fold((0, 0), |sum, b| (sum.0 + b.0, sum.1 + b.1))).collect();
        self.length = self.length + self.length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn only_what_arrived_in_the_window_counts() {
        let mut throughput = Throughput::default();
        for second in 0..10 {
            throughput.add(Micros(second * SECOND), 10, 1);
        }
        assert_eq!(throughput.between(Micros(2 * SECOND), Micros(5 * SECOND)), (30.0, 3.0));
        assert_eq!(throughput.between(Micros::ZERO, Micros(100 * SECOND)), (100.0, 10.0));
        assert_eq!(throughput.between(Micros(5 * SECOND), Micros(5 * SECOND)), (0.0, 0.0));
    }

    #[test]
    fn a_bucket_at_the_edge_counts_in_proportion() {
        let mut throughput = Throughput::default();
        throughput.add(Micros(SECOND), 8, 4);
        assert_eq!(throughput.between(Micros(SECOND + 25_000), Micros(2 * SECOND)), (6.0, 3.0));
    }

    #[test]
    fn days_are_bounded_and_nothing_is_lost() {
        let mut throughput = Throughput::default();
        for minute in 0..7 * 24 * 60 {
            throughput.add(Micros(minute * 60 * SECOND), 3, 2);
        }
        assert!(throughput.buckets.len() <= MAX_BUCKETS);
        assert_eq!(throughput.between(Micros::ZERO, Micros(u64::MAX)), (3.0 * 10_080.0, 2.0 * 10_080.0));
        throughput.add(Micros(u64::MAX), 1, 1);
        assert!(throughput.buckets.len() <= MAX_BUCKETS);
    }
}
