//! The number formats that kernels read: `f32` and IEEE half precision.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::Simd;

/// A stored number that widens to `f32` without loss.
///
/// # Safety
/// Every bit pattern is a value of the type, zero bits included: memory from the operating system is read as elements.
pub(crate) unsafe trait Element: Copy + Send + Sync + 'static {
    /// Zero.
    const ZERO: Self;

    /// Reads and widens sixteen elements.
    ///
    /// # Safety
    /// `from` is valid for reading sixteen elements.
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::F;

    /// Rounds `from` to elements, to the nearest and to even on a tie.
    fn narrow(from: &[f32], to: &mut [Self]);
}

// SAFETY: every bit pattern is an `f32`.
unsafe impl Element for f32 {
    const ZERO: Self = 0.0;

    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::F {
        // SAFETY: the caller promises sixteen elements.
        unsafe { simd.load(from) }
    }

    fn narrow(from: &[f32], to: &mut [Self]) {
        to.copy_from_slice(from);
    }
}

// SAFETY: `f16` is a transparent `u16`, so every bit pattern is a value.
unsafe impl Element for f16 {
    const ZERO: Self = f16::ZERO;

    #[inline(always)]
    unsafe fn load<S: Simd>(simd: S, from: *const Self) -> S::F {
        // SAFETY: the caller promises sixteen elements.
        unsafe { simd.load_half(from) }
    }

    fn narrow(from: &[f32], to: &mut [Self]) {
        to.convert_from_f32_slice(from);
    }
}
