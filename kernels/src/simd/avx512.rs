//! The lanes in one AVX-512 register, with VNNI for the byte products.

use std::arch::x86_64::{
    __m512, __m512i, _CMP_GT_OQ, _CMP_LT_OQ, _mm256_loadu_si256, _mm512_add_epi32, _mm512_add_ps, _mm512_castps_si512,
    _mm512_castsi512_ps, _mm512_cmp_ps_mask, _mm512_cvtepi32_ps, _mm512_cvtph_ps, _mm512_div_ps, _mm512_dpbusd_epi32,
    _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_blend_ps, _mm512_mul_ps, _mm512_set1_epi32,
    _mm512_set1_ps, _mm512_slli_epi32, _mm512_storeu_ps, _mm512_sub_ps,
};

use super::{Kernel, LANES, Simd};

/// Proof that the processor has AVX-512 F, BW, VL and VNNI, FMA and F16C.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avx512(());

impl Avx512 {
    /// Asks the processor (the answer is cached by the standard library).
    pub(super) fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        found.then_some(Self(()))
    }
}

/// Compiles `kernel` for AVX-512 and runs it.
pub(super) fn run<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,fma,f16c")]
    fn inner<K: Kernel>(simd: Avx512, kernel: K) -> K::Output {
        kernel.run(simd)
    }
    // SAFETY: an `Avx512` exists only when `detect` found every feature that `inner` enables.
    unsafe { inner(simd, kernel) }
}

/// Wraps intrinsics whose only requirement is the processor's features.
macro_rules! with_features {
    ($($body:tt)*) => {
        // SAFETY: `self` exists only when `detect` found the features of these intrinsics.
        unsafe { $($body)* }
    };
}

impl Simd for Avx512 {
    type F = __m512;
    type I = __m512i;
    const WIDE: bool = true;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        with_features!(_mm512_set1_ps(x))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::F {
        // SAFETY: the features as above; the caller promises sixteen readable `f32`.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn load_half(self, from: *const half::f16) -> Self::F {
        // SAFETY: the features as above; the caller promises sixteen readable halves.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::F) {
        // SAFETY: the features as above; the caller promises room for sixteen `f32`.
        unsafe { _mm512_storeu_ps(to, v) }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        with_features!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        with_features!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        with_features!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        with_features!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        with_features!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        with_features!(_mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, b), b, a))
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        with_features!(_mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), b, a))
    }
    #[inline(always)]
    fn first(self, count: usize, v: Self::F, other: Self::F) -> Self::F {
        let mask = ((1_u32 << count.min(LANES)) - 1) as u16;
        with_features!(_mm512_mask_blend_ps(mask, other, v))
    }
    #[inline(always)]
    fn add_exponent(self, v: Self::F, n: Self::F) -> Self::F {
        with_features!({
            let shifted = _mm512_slli_epi32::<23>(_mm512_castps_si512(n));
            _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(v), shifted))
        })
    }
    #[inline(always)]
    fn dot_start(self, activation_sum: i32) -> Self::I {
        with_features!(_mm512_set1_epi32(-128 * activation_sum))
    }
    #[inline(always)]
    unsafe fn dot4(self, sum: Self::I, weights: *const u8, activations: i32) -> Self::I {
        // SAFETY: the features as above; the caller promises 64 readable bytes.
        unsafe { _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(weights.cast()), _mm512_set1_epi32(activations)) }
    }
    #[inline(always)]
    fn to_float(self, v: Self::I) -> Self::F {
        with_features!(_mm512_cvtepi32_ps(v))
    }
}
