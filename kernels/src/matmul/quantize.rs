//! Rows of activations as signed bytes with a scale for each 32.

use super::Q8_BLOCK;
use crate::KernelError;
use crate::error::{expect_len, expect_multiple};
use crate::simd::{Isa, Kernel, Simd};

/// Quantised rows; the buffers are kept between uses.
#[derive(Clone, Debug, Default)]
pub struct QuantizedRows {
    inputs: usize,
    /// `[row][k]`, within -127..=127.
    pub(super) bytes: Vec<i8>,
    /// `[row][block]`: what a byte of the block is multiplied by.
    pub(super) scales: Vec<f32>,
    /// `[row][block]`: the sum of the block's bytes.
    pub(super) sums: Vec<i32>,
}

impl QuantizedRows {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.bytes.len().checked_div(self.inputs).unwrap_or(0)
    }

    /// Numbers of a row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Replaces the rows by those of `x`, of `inputs` numbers each, a multiple of 32. A block's scale maps its largest
    /// number to 127; the others round to the nearest byte, to even on a tie.
    ///
    /// # Errors
    /// When `x` is not whole rows of whole blocks.
    pub fn quantize(&mut self, x: &[f32], inputs: usize) -> Result<(), KernelError> {
        expect_multiple("inputs of a quantised row", inputs, Q8_BLOCK)?;
        expect_len("quantised rows", x.len() % inputs, 0)?;
        let blocks = x.len() / Q8_BLOCK;
        self.inputs = inputs;
        self.bytes.resize(x.len(), 0);
        self.scales.resize(blocks, 0.0);
        self.sums.resize(blocks, 0);
        Isa::best().run(Quantize { x, rows: self });
        Ok(())
    }
}

struct Quantize<'a> {
    x: &'a [f32],
    rows: &'a mut QuantizedRows,
}

impl Kernel for Quantize<'_> {
    type Output = ();

    /// Plain code: in here the compiler vectorises it for whichever instructions it may use.
    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) {
        let (x, _) = self.x.as_chunks::<Q8_BLOCK>();
        let (bytes, _) = self.rows.bytes.as_chunks_mut::<Q8_BLOCK>();
        let places = bytes.iter_mut().zip(&mut self.rows.scales).zip(&mut self.rows.sums);
        for (x, ((bytes, scale), sum)) in x.iter().zip(places) {
            (*scale, *sum) = block(x, bytes);
        }
    }
}

/// Quantises one block; returns its scale and the sum of its bytes.
#[inline(always)]
pub(super) fn block(x: &[f32; Q8_BLOCK], bytes: &mut [i8; Q8_BLOCK]) -> (f32, i32) {
    /// Adding 1.5 x 2^23 rounds to an integer, which the low bits of the sum then hold.
    const ROUND: f32 = 12_582_912.0;
    let mut largest = 0.0_f32;
    for x in x {
        let size = x.abs();
        largest = if size > largest { size } else { largest };
    }
    // Blocks of zeros, and those too small for their inverse to be finite, become zeros.
    let inverse = if largest > 1e-30 { 127.0 / largest } else { 0.0 };
    let mut sum = 0;
    for (byte, x) in bytes.iter_mut().zip(x) {
        *byte = (x * inverse + ROUND).to_bits() as i8;
        sum += i32::from(*byte);
    }
    (largest / 127.0, sum)
}
