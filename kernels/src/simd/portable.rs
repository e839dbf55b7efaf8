//! The lanes in plain Rust: the reference, and what aarch64 vectorises to NEON by itself.

use super::{LANES, Simd};

/// Needs nothing of the processor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Portable;

#[inline(always)]
fn zip(a: [f32; LANES], b: [f32; LANES], f: impl Fn(f32, f32) -> f32) -> [f32; LANES] {
    std::array::from_fn(|lane| f(a[lane], b[lane]))
}

/// Where the baseline has no such instruction (x86-64), a fused multiply-add is a library call, and sixteen of them are not
/// worth a copy in every kernel.
#[cfg_attr(target_arch = "x86_64", inline(never))]
#[cfg_attr(not(target_arch = "x86_64"), inline(always))]
fn fused(a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
    std::array::from_fn(|lane| a[lane].mul_add(b[lane], c[lane]))
}

impl Simd for Portable {
    type F = [f32; LANES];
    type I = [i32; LANES];
    const WIDE: bool = false;

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::F {
        // SAFETY: the caller promises sixteen readable `f32`.
        unsafe { from.cast::<Self::F>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_half(self, from: *const half::f16) -> Self::F {
        // SAFETY: the caller promises sixteen readable halves.
        let halves = unsafe { from.cast::<[half::f16; LANES]>().read_unaligned() };
        halves.map(half::f16::to_f32)
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::F) {
        // SAFETY: the caller promises room for sixteen `f32`.
        unsafe { to.cast::<Self::F>().write_unaligned(v) }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        fused(a, b, c)
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn first(self, count: usize, v: Self::F, other: Self::F) -> Self::F {
        std::array::from_fn(|lane| if lane < count { v[lane] } else { other[lane] })
    }
    #[inline(always)]
    fn add_exponent(self, v: Self::F, n: Self::F) -> Self::F {
        zip(v, n, |v, n| f32::from_bits(v.to_bits().wrapping_add(n.to_bits() << 23)))
    }
    #[inline(always)]
    fn dot_start(self, _activation_sum: i32) -> Self::I {
        [0; LANES]
    }
    #[inline(always)]
    unsafe fn dot4(self, sum: Self::I, weights: *const u8, activations: i32) -> Self::I {
        // SAFETY: the caller promises 64 readable bytes.
        let weights = unsafe { weights.cast::<[[u8; 4]; LANES]>().read_unaligned() };
        let activations = activations.to_le_bytes();
        std::array::from_fn(|lane| {
            let mut total = sum[lane];
            for (w, a) in weights[lane].iter().zip(activations) {
                total += i32::from((*w ^ 0x80) as i8) * i32::from(a as i8);
            }
            total
        })
    }
    #[inline(always)]
    fn to_float(self, v: Self::I) -> Self::F {
        v.map(|x| x as f32)
    }
}
