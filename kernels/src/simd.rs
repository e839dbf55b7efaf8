//! Sixteen lanes of arithmetic, written once and compiled for each instruction set.
//!
//! A kernel implements [`Kernel`] over any [`Simd`]; [`Isa::run`] instantiates it inside a function that has the right
//! target features, so that everything marked `inline(always)` below it is compiled with them. The value of type
//! `S: Simd` is the proof that the processor has the instructions: only `Isa::run` makes one, after asking it.
//!
//! All instruction sets give the same bits: additions and products are single IEEE operations, [`Simd::fma`] rounds once
//! everywhere, and no operation reduces across lanes.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod element;
mod exp;
mod portable;
mod tile;

pub(crate) use element::Element;
pub(crate) use exp::exp;
pub(crate) use tile::{MAX_TILE_ROWS, accumulate, load_tile, store_tile, tile_rows};

/// Lanes of a vector.
pub(crate) const LANES: usize = 16;

/// The operations that kernels are written in.
pub(crate) trait Simd: Copy {
    /// Sixteen `f32`.
    type F: Copy;
    /// Sixteen `i32`.
    type I: Copy;
    /// Whether registers hold tiles of more than two rows by two vectors.
    const WIDE: bool;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::F;
    /// Reads sixteen lanes.
    ///
    /// # Safety
    /// `from` is valid for reading sixteen `f32`; it need not be aligned.
    unsafe fn load(self, from: *const f32) -> Self::F;
    /// Reads and widens sixteen halves.
    ///
    /// # Safety
    /// `from` is valid for reading sixteen halves; it need not be aligned.
    unsafe fn load_half(self, from: *const half::f16) -> Self::F;
    /// Writes sixteen lanes.
    ///
    /// # Safety
    /// `to` is valid for writing sixteen `f32`; it need not be aligned.
    unsafe fn store(self, to: *mut f32, v: Self::F);
    /// `a + b`.
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a - b`.
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b`.
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a / b`.
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `a` where it is greater than `b`, else `b`.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a` where it is less than `b`, else `b`.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// The first `count` lanes of `v`, the others of `other`.
    fn first(self, count: usize, v: Self::F, other: Self::F) -> Self::F;
    /// `bits(v) + (bits(n) << 23)` as a float: `v` times two to the power held in the low bits of `n`.
    fn add_exponent(self, v: Self::F, n: Self::F) -> Self::F;
    /// The empty sum of a dot product over activations that add up to `activation_sum`.
    ///
    /// VNNI multiplies unsigned with signed bytes, so weights are stored as `w + 128`; what that adds in total is known
    /// beforehand and taken off here, for free.
    fn dot_start(self, activation_sum: i32) -> Self::I;
    /// Lane `l` of `sum` gains the dot product of the four weights stored (as `w + 128`) at `weights[4 l..]` with the
    /// four signed bytes of `activations`, none of which is -128. The sum is right once every activation counted in
    /// [`Simd::dot_start`] has been used.
    ///
    /// # Safety
    /// `weights` is valid for reading 64 bytes; it need not be aligned.
    unsafe fn dot4(self, sum: Self::I, weights: *const u8, activations: i32) -> Self::I;
    /// Each lane as `f32`.
    fn to_float(self, v: Self::I) -> Self::F;
}

/// Work that is compiled once for each instruction set.
pub(crate) trait Kernel {
    /// What it returns.
    type Output;
    /// Does the work. Implementations are `#[inline(always)]`, or they miss the instructions they are compiled for.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// An instruction set that this processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Isa(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// The widest instruction set of this processor.
    pub(crate) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if avx512::Avx512::detect().is_some() {
                return Self(Level::Avx512);
            }
            if avx2::Avx2::detect().is_some() {
                return Self(Level::Avx2);
            }
        }
        Self(Level::Portable)
    }

    /// Every instruction set of this processor, the plainest first.
    #[cfg(test)]
    pub(crate) fn all() -> Vec<Self> {
        let mut found = vec![Self(Level::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            found.extend(avx2::Avx2::detect().map(|_| Self(Level::Avx2)));
            found.extend(avx512::Avx512::detect().map(|_| Self(Level::Avx512)));
        }
        found
    }

    /// Runs `kernel` with this instruction set.
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        #[cfg(target_arch = "x86_64")]
        match self.0 {
            Level::Avx512 => {
                if let Some(simd) = avx512::Avx512::detect() {
                    return avx512::run(simd, kernel);
                }
            }
            Level::Avx2 => {
                if let Some(simd) = avx2::Avx2::detect() {
                    return avx2::run(simd, kernel);
                }
            }
            Level::Portable => {}
        }
        kernel.run(portable::Portable)
    }
}
