//! Matrix products.
//!
//! A product of an `m × k` by a `k × n` matrix needs `2mnk` FLOP and moves both operands and the bf16 result once. The two
//! times are joined by a p-norm, which lies between their maximum (perfect overlap, Williams et al. 2009) and their sum.
//! Fitted to measured tables of H100 and H200 (bf16: half of the shapes are within 5..6 %; fp8 with one scale a tensor: 9..11 %).
//! fp8 with block scales is a plateau of about 70 us and then compute, which `gemm_floor_us` can say but bandwidth cannot.

use super::Site;
use super::constants::Constant;
use super::dtype::Dtype;

impl Site<'_> {
    /// Seconds of a product with weights in `dtype`; none without rows.
    pub(super) fn gemm(self, dtype: Dtype, rows: f64, columns: f64, inner: f64) -> f64 {
        if rows <= 0.0 {
            return 0.0;
        }
        let compute = 2.0 * rows * columns * inner / (self.values.get(Constant::GemmMfu) * self.gpu.flops(dtype));
        // What is multiplied with 4-bit weights is in bf16.
        let activations = if dtype == Dtype::Fp4 { Dtype::Bf16.bytes() } else { dtype.bytes() };
        let bytes = columns * inner * dtype.bytes() + rows * inner * activations + 2.0 * rows * columns;
        let memory = bytes / (self.values.get(Constant::GemmMbu) * self.gpu.hbm_bytes_per_s);
        self.values.get(Constant::GemmFloor) + join(compute, memory, self.values.get(Constant::GemmPower))
    }

    /// Seconds in which `bytes` of activations are read or written by norms and the like.
    pub(super) fn elementwise(self, bytes: f64) -> f64 {
        bytes / (self.values.get(Constant::ElementwiseMbu) * self.gpu.hbm_bytes_per_s)
    }
}

/// The p-norm of two times, without overflow.
pub(super) fn join(one: f64, other: f64, power: f64) -> f64 {
    let (small, large) = if one < other { (one, other) } else { (other, one) };
    if large <= 0.0 {
        return 0.0;
    }
    large * (1.0 + (small / large).powf(power)).powf(1.0 / power)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::{Config, RngSeed};

    use super::*;

    proptest! {
        #![proptest_config(Config { rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..Config::default() })]

        #[test]
        fn a_join_lies_between_the_larger_and_the_sum(one in 0.0..1.0f64, other in 0.0..1.0f64, power in 1.0..16.0f64) {
            let joined = join(one, other, power);
            prop_assert!(joined >= one.max(other) * (1.0 - 1e-12) && joined <= (one + other) * (1.0 + 1e-12));
            prop_assert!((join(one, other, 1.0) - one - other).abs() < 1e-12);
        }
    }
}
