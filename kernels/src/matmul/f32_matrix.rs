//! Single-precision weights.

use super::panel::{PANEL, Product, Tile};
use crate::KernelError;
use crate::error::{expect_len, expect_multiple};
use crate::simd::{Isa, LANES, Simd, accumulate};

/// A weight matrix in single precision.
#[derive(Clone, Debug)]
pub struct F32Matrix {
    columns: usize,
    inputs: usize,
    /// `[panel][k][32 columns]`, the last panel filled up with zeros.
    packed: Vec<f32>,
}

impl F32Matrix {
    /// Packs `weights`, `[columns][inputs]`.
    ///
    /// # Errors
    /// When the length is not `columns * inputs`, or that is 0.
    pub fn new(weights: &[f32], columns: usize, inputs: usize) -> Result<Self, KernelError> {
        expect_multiple("inputs of a matrix", inputs, 1)?;
        expect_multiple("columns of a matrix", columns, 1)?;
        expect_len("weights", weights.len(), columns.saturating_mul(inputs))?;
        let mut packed = vec![0.0; columns.div_ceil(PANEL) * PANEL * inputs];
        for (panel, weights) in packed.chunks_exact_mut(PANEL * inputs).zip(weights.chunks(PANEL * inputs)) {
            for (column, weights) in weights.chunks_exact(inputs).enumerate() {
                for (row, weight) in panel.chunks_exact_mut(PANEL).zip(weights) {
                    row[column] = *weight;
                }
            }
        }
        Ok(Self { columns, inputs, packed })
    }

    /// Output columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Numbers of an input row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// `out[row] = W x[row]` for every row of `x`.
    ///
    /// # Errors
    /// When `x` is not whole rows or `out` has another number of them.
    pub fn forward(&self, x: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
        self.forward_with(Isa::best(), x, out)
    }

    pub(super) fn forward_with(&self, isa: Isa, x: &[f32], out: &mut [f32]) -> Result<(), KernelError> {
        let rows = x.len() / self.inputs;
        expect_len("rows of a product", x.len(), rows * self.inputs)?;
        expect_len("output of a product", out.len(), rows * self.columns)?;
        isa.run(Product { tiles: Tiles { matrix: self, x }, columns: self.columns, out });
        Ok(())
    }
}

struct Tiles<'a> {
    matrix: &'a F32Matrix,
    x: &'a [f32],
}

impl Tile for Tiles<'_> {
    const ROWS: usize = 8;

    #[inline(always)]
    fn tile<S: Simd, const R: usize>(&self, simd: S, panel: usize, row: usize) -> [[S::F; 2]; R] {
        let inputs = self.matrix.inputs;
        let x = self.x[row * inputs..(row + R) * inputs].as_ptr();
        let weights = &self.matrix.packed[panel * PANEL * inputs..(panel + 1) * PANEL * inputs];
        let columns = [weights.as_ptr(), weights[LANES..].as_ptr()];
        let mut tile = [[simd.splat(0.0); 2]; R];
        // SAFETY: `x` has `R` rows of `inputs` numbers and the panel `inputs` rows of two vectors.
        unsafe { accumulate(simd, &mut tile, (x, inputs), (columns, PANEL), inputs) };
        tile
    }
}
