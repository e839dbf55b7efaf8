//! Root-mean-square normalisation.

use crate::KernelError;
use crate::error::{expect_len, expect_multiple};
use crate::simd::LANES;

/// `out = x / sqrt(mean(x^2) + eps) * weight` for each row of `weight.len()` numbers. A row may be a token's whole state,
/// or one head of it (the query and key norms of Qwen3).
///
/// # Errors
/// When `x` is not whole rows or `out` has another length.
pub fn rms_norm(x: &[f32], weight: &[f32], eps: f32, out: &mut [f32]) -> Result<(), KernelError> {
    expect_multiple("norm weight", weight.len(), 1)?;
    expect_len("norm input", x.len() % weight.len(), 0)?;
    expect_len("norm output", out.len(), x.len())?;
    for (x, out) in x.chunks_exact(weight.len()).zip(out.chunks_exact_mut(weight.len())) {
        let scale = 1.0 / (square_sum(x) / x.len() as f32 + eps).sqrt();
        for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
            *out = x * scale * weight;
        }
    }
    Ok(())
}

/// Sums squares in sixteen lanes (which the compiler keeps in vectors), then the lanes in order.
fn square_sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0; LANES];
    let (whole, rest) = x.as_chunks::<LANES>();
    for chunk in whole {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x * x;
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += x * x;
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn rms_norm_is_close_to_its_definition_and_rows_stand_for_themselves(
            (x, width) in (1_usize..70).prop_flat_map(|w| (prop::collection::vec(-9_f32..9.0, w * 5), Just(w))),
        ) {
            let weight: Vec<f32> = (0..width).map(|i| 0.5 + i as f32 / 64.0).collect();
            let mut out = vec![0.0; x.len()];
            rms_norm(&x, &weight, 1e-6, &mut out).expect("whole rows");
            for (x, out) in x.chunks(width).zip(out.chunks(width)) {
                let mean = x.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / width as f64;
                for ((x, weight), out) in x.iter().zip(&weight).zip(out) {
                    let exact = f64::from(*x) / (mean + 1e-6).sqrt() * f64::from(*weight);
                    prop_assert!((f64::from(*out) - exact).abs() <= 1e-5 * exact.abs().max(1e-3));
                }
                let mut alone = vec![0.0; width];
                rms_norm(x, &weight, 1e-6, &mut alone).expect("one row");
                prop_assert_eq!(out, &alone[..]);
            }
        }
    }

    #[test]
    fn parts_of_rows_are_refused() {
        assert!(rms_norm(&[1.0; 5], &[1.0; 2], 1e-6, &mut [0.0; 5]).is_err());
        assert!(rms_norm(&[1.0; 4], &[1.0; 2], 1e-6, &mut [0.0; 2]).is_err());
        assert!(rms_norm(&[], &[], 1e-6, &mut []).is_err());
    }
}
