//! Exponential gaps.

use rand::RngExt;
use rand_chacha::ChaCha12Rng;

/// A unit-rate Poisson process. The first arrival is a whole gap after the start, as memorylessness asks.
#[derive(Clone, Debug)]
pub(crate) struct Poisson {
    stream: ChaCha12Rng,
    lambda: f64,
}

impl Poisson {
    pub(crate) fn new(stream: ChaCha12Rng) -> Self {
        Self { stream, lambda: 0.0 }
    }

    /// Goes on after an arrival at Λ = `lambda`; what was drawn stays drawn.
    pub(crate) fn go_on_after(&mut self, lambda: f64) {
        self.lambda = lambda;
    }

    /// By inversion, one uniform an arrival: unlike a rejection sampler it consumes the stream evenly, so that arrival `n`
    /// never depends on how earlier ones were accepted. `1 - u` lies in (0, 1] and its logarithm is finite.
    pub(crate) fn draw(&mut self) -> f64 {
        let uniform: f64 = self.stream.random();
        self.lambda += -(-uniform).ln_1p();
        self.lambda
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        /// Six standard errors on each side: a false alarm is a matter of 1e-8 per seed.
        #[test]
        fn gaps_have_the_mean_variance_and_counts_of_an_exponential(seed: u64) {
            const N: usize = 20_000;
            let mut poisson = Poisson::new(ChaCha12Rng::seed_from_u64(seed));
            let instants: Vec<f64> = (0..N).map(|_| poisson.draw()).collect();
            let gaps: Vec<f64> =
                std::iter::once(instants[0]).chain(instants.windows(2).map(|w| w[1] - w[0])).collect();
            let n = N as f64;
            let mean = gaps.iter().sum::<f64>() / n;
            let variance = gaps.iter().map(|g| (g - mean).powi(2)).sum::<f64>() / (n - 1.0);
            // Var of the sample variance of Exp(1) is (μ4 − 1) / n = 8 / n.
            prop_assert!((mean - 1.0).abs() < 6.0 / n.sqrt(), "mean {mean}");
            prop_assert!((variance - 1.0).abs() < 6.0 * (8.0 / n).sqrt(), "variance {variance}");
            // Counts in windows of ten have mean and variance ten (index of dispersion 1).
            let windows = 1_000;
            let mut counts = vec![0.0_f64; windows];
            for instant in &instants {
                if let Some(count) = counts.get_mut((instant / 10.0) as usize) {
                    *count += 1.0;
                }
            }
            let mean = counts.iter().sum::<f64>() / windows as f64;
            let dispersion = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / (windows as f64 - 1.0) / mean;
            prop_assert!((dispersion - 1.0).abs() < 6.0 * (2.0 / windows as f64).sqrt(), "dispersion {dispersion}");
        }
    }
}
