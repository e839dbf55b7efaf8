//! The exponential function, the same bits on every instruction set.

use super::Simd;

/// `e^x` in each lane, to about one unit in the last place; exactly 1 for 0. Below -86 the result stays near 4e-38 and
/// above 88 near 1.7e38, so that no lane ever becomes infinite or denormal; a NaN stays one.
///
/// `x = n ln 2 + r` with integral `n` and `|r| <= ln 2 / 2`; then `e^x = 2^n e^r`, and `e^r` is its Taylor polynomial of
/// degree 7, whose remainder is below `r^8 / 8!`, 5e-9.
#[inline(always)]
pub(crate) fn exp<S: Simd>(simd: S, x: S::F) -> S::F {
    /// Adding 1.5 x 2^23 leaves the nearest integer in the low bits of the sum.
    const ROUND: f32 = 12_582_912.0;
    /// ln 2 in two parts: the first has trailing zeros, so that its product with `n` is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    const INVERSE_FACTORIALS: [f32; 7] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0, 1.0];

    // In this order of operands a NaN passes through both.
    let x = simd.min(simd.splat(88.0), simd.max(simd.splat(-86.0), x));
    let shifted = simd.fma(x, simd.splat(std::f32::consts::LOG2_E), simd.splat(ROUND));
    let n = simd.sub(shifted, simd.splat(ROUND));
    let r = simd.fma(n, simd.splat(-LN2_HIGH), x);
    let r = simd.fma(n, simd.splat(-LN2_LOW), r);
    let mut e = simd.splat(1.0 / 5040.0);
    for factor in INVERSE_FACTORIALS {
        e = simd.fma(e, r, simd.splat(factor));
    }
    simd.add_exponent(e, shifted)
}

#[cfg(test)]
mod tests {
    use super::super::{Isa, Kernel, LANES};
    use super::*;

    struct Exp([f32; LANES]);
    impl Kernel for Exp {
        type Output = [f32; LANES];
        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> Self::Output {
            let mut out = [0.0; LANES];
            // SAFETY: both arrays have sixteen elements.
            unsafe { simd.store(out.as_mut_ptr(), exp(simd, simd.load(self.0.as_ptr()))) };
            out
        }
    }

    #[test]
    fn exp_is_close_to_the_exact_function_and_has_the_same_bits_everywhere() {
        for step in -8600..=8800 {
            let x: [f32; LANES] = std::array::from_fn(|lane| (step as f32 + lane as f32 / 16.0).min(8800.0) / 100.0);
            let reference = Isa::all()[0].run(Exp(x));
            for (x, y) in x.iter().zip(reference) {
                let exact = f64::from(*x).exp();
                assert!((f64::from(y) / exact - 1.0).abs() < 2e-7, "exp({x}) = {y}, exactly {exact}");
            }
            for isa in Isa::all() {
                assert_eq!(isa.run(Exp(x)).map(f32::to_bits), reference.map(f32::to_bits), "{isa:?}");
            }
        }
    }

    #[test]
    fn exp_of_zero_is_one_of_minus_infinity_tiny_and_of_nan_nan() {
        for isa in Isa::all() {
            assert_eq!(isa.run(Exp([0.0; LANES])).map(f32::to_bits), [1_f32.to_bits(); LANES]);
            assert!(isa.run(Exp([f32::NEG_INFINITY; LANES]))[0] < 5e-38);
            assert!(isa.run(Exp([f32::INFINITY; LANES]))[0].is_finite());
            assert!(isa.run(Exp([f32::NAN; LANES]))[0].is_nan());
        }
    }
}
