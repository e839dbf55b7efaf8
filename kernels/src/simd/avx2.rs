//! The lanes in two AVX2 registers.

use std::arch::x86_64::{
    __m256, __m256i, _CMP_GT_OQ, _CMP_LT_OQ, _mm_loadu_si128, _mm256_abs_epi8, _mm256_add_epi32, _mm256_add_ps,
    _mm256_blendv_ps, _mm256_castps_si256, _mm256_castsi256_ps, _mm256_cmp_ps, _mm256_cmpgt_epi32, _mm256_cvtepi32_ps,
    _mm256_cvtph_ps, _mm256_div_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_madd_epi16,
    _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps,
    _mm256_setr_epi32, _mm256_setzero_si256, _mm256_sign_epi8, _mm256_slli_epi32, _mm256_storeu_ps, _mm256_sub_ps,
    _mm256_xor_si256,
};

use super::{Kernel, LANES, Simd};

/// Proof that the processor has AVX2, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx2(());

impl Avx2 {
    /// Asks the processor (the answer is cached by the standard library).
    pub(super) fn detect() -> Option<Self> {
        let found =
            is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }
}

/// Compiles `kernel` for AVX2 and runs it.
pub(super) fn run<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
    #[target_feature(enable = "avx2,fma,f16c")]
    fn inner<K: Kernel>(simd: Avx2, kernel: K) -> K::Output {
        kernel.run(simd)
    }
    // SAFETY: an `Avx2` exists only when `detect` found every feature that `inner` enables.
    unsafe { inner(simd, kernel) }
}

/// Wraps intrinsics whose only requirement is the processor's features.
macro_rules! with_features {
    ($($body:tt)*) => {
        // SAFETY: `self` exists only when `detect` found the features of these intrinsics.
        unsafe { $($body)* }
    };
}

/// The dot products of groups of four signed bytes. `_mm256_maddubs_epi16` wants one side unsigned: the weights' signs
/// move over to the activations, and no pair can reach the limit of `i16` (2 x 128 x 127).
#[inline]
#[target_feature(enable = "avx2")]
fn dot4_signed(stored: __m256i, activations: __m256i) -> __m256i {
    let weights = _mm256_xor_si256(stored, _mm256_set1_epi8(-128));
    let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(weights), _mm256_sign_epi8(activations, weights));
    _mm256_madd_epi16(pairs, _mm256_set1_epi16(1))
}

impl Simd for Avx2 {
    type F = [__m256; 2];
    type I = [__m256i; 2];
    const WIDE: bool = false;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        with_features!([_mm256_set1_ps(x); 2])
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::F {
        // SAFETY: the features as above; the caller promises sixteen readable `f32`.
        unsafe { [_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(8))] }
    }
    #[inline(always)]
    unsafe fn load_half(self, from: *const half::f16) -> Self::F {
        // SAFETY: the features as above; the caller promises sixteen readable halves.
        unsafe { [_mm256_cvtph_ps(_mm_loadu_si128(from.cast())), _mm256_cvtph_ps(_mm_loadu_si128(from.add(8).cast()))] }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::F) {
        // SAFETY: the features as above; the caller promises room for sixteen `f32`.
        unsafe {
            _mm256_storeu_ps(to, v[0]);
            _mm256_storeu_ps(to.add(8), v[1]);
        }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        with_features!([_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        with_features!([_mm256_sub_ps(a[0], b[0]), _mm256_sub_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        with_features!([_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        with_features!([_mm256_div_ps(a[0], b[0]), _mm256_div_ps(a[1], b[1])])
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        with_features!([_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])])
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        with_features!([
            _mm256_blendv_ps(b[0], a[0], _mm256_cmp_ps::<_CMP_GT_OQ>(a[0], b[0])),
            _mm256_blendv_ps(b[1], a[1], _mm256_cmp_ps::<_CMP_GT_OQ>(a[1], b[1])),
        ])
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        with_features!([
            _mm256_blendv_ps(b[0], a[0], _mm256_cmp_ps::<_CMP_LT_OQ>(a[0], b[0])),
            _mm256_blendv_ps(b[1], a[1], _mm256_cmp_ps::<_CMP_LT_OQ>(a[1], b[1])),
        ])
    }
    #[inline(always)]
    fn first(self, count: usize, v: Self::F, other: Self::F) -> Self::F {
        with_features!({
            let count = _mm256_set1_epi32(count.min(LANES) as i32);
            let low = _mm256_cmpgt_epi32(count, _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
            let high = _mm256_cmpgt_epi32(count, _mm256_setr_epi32(8, 9, 10, 11, 12, 13, 14, 15));
            [
                _mm256_blendv_ps(other[0], v[0], _mm256_castsi256_ps(low)),
                _mm256_blendv_ps(other[1], v[1], _mm256_castsi256_ps(high)),
            ]
        })
    }
    #[inline(always)]
    fn add_exponent(self, v: Self::F, n: Self::F) -> Self::F {
        with_features!({
            let low = _mm256_slli_epi32::<23>(_mm256_castps_si256(n[0]));
            let high = _mm256_slli_epi32::<23>(_mm256_castps_si256(n[1]));
            [
                _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(v[0]), low)),
                _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(v[1]), high)),
            ]
        })
    }
    #[inline(always)]
    fn dot_start(self, _activation_sum: i32) -> Self::I {
        with_features!([_mm256_setzero_si256(); 2])
    }
    #[inline(always)]
    unsafe fn dot4(self, sum: Self::I, weights: *const u8, activations: i32) -> Self::I {
        // SAFETY: the features as above; the caller promises 64 readable bytes.
        unsafe {
            let activations = _mm256_set1_epi32(activations);
            let low = dot4_signed(_mm256_loadu_si256(weights.cast()), activations);
            let high = dot4_signed(_mm256_loadu_si256(weights.add(32).cast()), activations);
            [_mm256_add_epi32(sum[0], low), _mm256_add_epi32(sum[1], high)]
        }
    }
    #[inline(always)]
    fn to_float(self, v: Self::I) -> Self::F {
        with_features!([_mm256_cvtepi32_ps(v[0]), _mm256_cvtepi32_ps(v[1])])
    }
}
