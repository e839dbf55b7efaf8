//! Products of rows with weight matrices, `y = x W^T`, one thread, every row for itself.
//!
//! Weights are `[n][k]`, as checkpoints store them, and packed once at load into panels of columns, so that a product is a
//! stream of contiguous loads. An output is one chain in the order of `k`; which rows share a register tile never shows in
//! the bits. (candle's `f32` product does not have this property: its reduction changes with the number of rows;
//! `tests/candle_rows.rs` keeps watch.)

mod f32_matrix;
mod panel;
mod q8_matrix;
mod quantize;

pub use f32_matrix::F32Matrix;
pub use q8_matrix::Q8Matrix;
pub use quantize::QuantizedRows;

use crate::KernelError;

/// Numbers that share a scale in the `Q8_0` format.
pub const Q8_BLOCK: usize = 32;

/// A weight matrix in one of the formats.
#[derive(Clone, Debug)]
pub enum Matrix {
    /// Single precision.
    F32(F32Matrix),
    /// Eight bits, one scale for each 32 numbers.
    Q8(Q8Matrix),
}

/// Input rows for one or several matrices (query, key and value projections; gate and up): quantised at most once, and
/// only if one of the matrices wants it.
#[derive(Debug)]
pub struct Rows<'a> {
    x: &'a [f32],
    scratch: &'a mut QuantizedRows,
    quantized: bool,
}

impl<'a> Rows<'a> {
    /// The rows of `x`, with buffers for their quantised form.
    pub fn new(x: &'a [f32], scratch: &'a mut QuantizedRows) -> Self {
        Self { x, scratch, quantized: false }
    }
}

impl Matrix {
    /// Output columns.
    pub fn columns(&self) -> usize {
        match self {
            Self::F32(matrix) => matrix.columns(),
            Self::Q8(matrix) => matrix.columns(),
        }
    }

    /// Numbers of an input row.
    pub fn inputs(&self) -> usize {
        match self {
            Self::F32(matrix) => matrix.inputs(),
            Self::Q8(matrix) => matrix.inputs(),
        }
    }

    /// `out[row] = W x[row]` for every row.
    ///
    /// # Errors
    /// When lengths do not agree.
    pub fn forward(&self, rows: &mut Rows<'_>, out: &mut [f32]) -> Result<(), KernelError> {
        match self {
            Self::F32(matrix) => matrix.forward(rows.x, out),
            Self::Q8(matrix) => {
                if !rows.quantized || rows.scratch.inputs() != matrix.inputs() {
                    rows.scratch.quantize(rows.x, matrix.inputs())?;
                    rows.quantized = true;
                }
                matrix.forward(rows.scratch, out)
            }
        }
    }
}

#[cfg(test)]
mod tests;
