//! The gated activation and the residual sum.

use crate::KernelError;
use crate::error::expect_len;
use crate::simd::{Isa, Kernel, LANES, Simd, exp};

/// `x[i] += y[i]`.
///
/// # Errors
/// When the lengths differ.
pub fn add_in_place(x: &mut [f32], y: &[f32]) -> Result<(), KernelError> {
    expect_len("second summand", y.len(), x.len())?;
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
    Ok(())
}

/// `gate[i] = silu(gate[i]) * up[i]`, with `silu(x) = x / (1 + e^-x)`.
///
/// # Errors
/// When the lengths differ.
pub fn silu_mul(gate: &mut [f32], up: &[f32]) -> Result<(), KernelError> {
    silu_mul_with(Isa::best(), gate, up)
}

fn silu_mul_with(isa: Isa, gate: &mut [f32], up: &[f32]) -> Result<(), KernelError> {
    expect_len("up projection", up.len(), gate.len())?;
    isa.run(SiluMul { gate, up });
    Ok(())
}

struct SiluMul<'a> {
    gate: &'a mut [f32],
    up: &'a [f32],
}

impl Kernel for SiluMul<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (gates, gate_rest) = self.gate.as_chunks_mut::<LANES>();
        let (ups, up_rest) = self.up.as_chunks::<LANES>();
        for (gate, up) in gates.iter_mut().zip(ups) {
            sixteen(simd, gate, up);
        }
        let (mut gate, mut up) = ([0.0; LANES], [0.0; LANES]);
        gate[..gate_rest.len()].copy_from_slice(gate_rest);
        up[..up_rest.len()].copy_from_slice(up_rest);
        sixteen(simd, &mut gate, &up);
        gate_rest.copy_from_slice(&gate[..gate_rest.len()]);
    }
}

#[inline(always)]
fn sixteen<S: Simd>(simd: S, gate: &mut [f32; LANES], up: &[f32; LANES]) {
    // SAFETY: both have sixteen numbers.
    unsafe {
        let x = simd.load(gate.as_ptr());
        let grown = exp(simd, simd.sub(simd.splat(0.0), x));
        let silu = simd.div(x, simd.add(simd.splat(1.0), grown));
        simd.store(gate.as_mut_ptr(), simd.mul(silu, simd.load(up.as_ptr())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn silu_mul_is_close_to_its_definition_and_the_same_everywhere(
            pairs in prop::collection::vec((-30_f32..30.0, -3_f32..3.0), 1..70),
        ) {
            let (gate, up): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let mut reference = gate.clone();
            silu_mul_with(Isa::all()[0], &mut reference, &up).expect("equal lengths");
            for ((gate, up), y) in gate.iter().zip(&up).zip(&reference) {
                let (gate, up) = (f64::from(*gate), f64::from(*up));
                let exact = gate / (1.0 + (-gate).exp()) * up;
                prop_assert!((f64::from(*y) - exact).abs() <= 1e-6 * exact.abs().max(1e-6));
            }
            for isa in Isa::all() {
                let mut out = gate.clone();
                silu_mul_with(isa, &mut out, &up).expect("equal lengths");
                prop_assert_eq!(&out, &reference);
            }
        }
    }

    #[test]
    fn lengths_that_differ_are_refused() {
        assert!(silu_mul(&mut [1.0], &[1.0, 2.0]).is_err());
        assert!(add_in_place(&mut [1.0], &[]).is_err());
    }

    #[test]
    fn add_in_place_adds() {
        let mut x = [1.0, 2.0, 3.0];
        add_in_place(&mut x, &[10.0, 20.0, 30.0]).expect("equal lengths");
        assert_eq!(x.map(f32::to_bits), [11_f32, 22.0, 33.0].map(f32::to_bits));
    }
}
