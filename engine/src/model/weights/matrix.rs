//! A weight matrix as stored: single precision, or blocks of eight-bit integers.

use half::f16;

/// Values in one `Q8_0` block.
pub(crate) const Q8_0_BLOCK: usize = 32;
/// Bytes of one `Q8_0` block: a half-precision scale and 32 signed bytes (the GGUF format).
pub(crate) const Q8_0_BYTES: usize = 34;

/// A matrix of `rows` outputs by `columns` inputs, row after row.
#[derive(Debug)]
pub enum Matrix {
    /// Single precision.
    F32 {
        /// Outputs.
        rows: usize,
        /// Inputs.
        columns: usize,
        /// `rows * columns` values.
        values: Vec<f32>,
    },
    /// Blocks of 32 values along a row, as in GGUF: a little-endian half-precision scale, then 32 signed bytes.
    Q8_0 {
        /// Outputs.
        rows: usize,
        /// Inputs, a multiple of 32.
        columns: usize,
        /// `rows * columns / 32` blocks of 34 bytes.
        blocks: Vec<u8>,
    },
}

impl Matrix {
    /// Outputs.
    pub fn rows(&self) -> usize {
        match self {
            Self::F32 { rows, .. } | Self::Q8_0 { rows, .. } => *rows,
        }
    }

    /// Inputs.
    pub fn columns(&self) -> usize {
        match self {
            Self::F32 { columns, .. } | Self::Q8_0 { columns, .. } => *columns,
        }
    }

    /// Bytes of the stored values.
    pub fn bytes(&self) -> usize {
        match self {
            Self::F32 { values, .. } => size_of_val(values.as_slice()),
            Self::Q8_0 { blocks, .. } => blocks.len(),
        }
    }

    /// Writes row `row` to `into` in single precision; `false` when there is no such row.
    #[must_use]
    pub fn read_row(&self, row: usize, into: &mut [f32]) -> bool {
        let columns = self.columns();
        if row >= self.rows() || into.len() != columns {
            return false;
        }
        match self {
            Self::F32 { values, .. } => {
                let Some(source) = values.get(row * columns..(row + 1) * columns) else { return false };
                into.copy_from_slice(source);
            }
            Self::Q8_0 { blocks, .. } => {
                let bytes = columns / Q8_0_BLOCK * Q8_0_BYTES;
                let Some(source) = blocks.get(row * bytes..(row + 1) * bytes) else { return false };
                for (block, into) in source.chunks_exact(Q8_0_BYTES).zip(into.chunks_exact_mut(Q8_0_BLOCK)) {
                    let (scale, quants) = block.split_at(2);
                    let scale = f16::from_le_bytes([scale[0], scale[1]]).to_f32();
                    for (into, &quant) in into.iter_mut().zip(quants) {
                        *into = scale * f32::from(quant.cast_signed());
                    }
                }
            }
        }
        true
    }

    /// The same matrix with row `i` taken from row `source(i)`. Rows are whole in both formats, so nothing is rounded.
    pub(crate) fn with_rows_from(&self, source: impl Fn(usize) -> usize) -> Self {
        fn gather<T: Copy>(from: &[T], rows: usize, source: impl Fn(usize) -> usize) -> Vec<T> {
            let width = from.len() / rows.max(1);
            (0..rows).flat_map(|row| from[source(row) * width..][..width].iter().copied()).collect()
        }
        match self {
            Self::F32 { rows, columns, values } => {
                Self::F32 { rows: *rows, columns: *columns, values: gather(values, *rows, source) }
            }
            Self::Q8_0 { rows, columns, blocks } => {
                Self::Q8_0 { rows: *rows, columns: *columns, blocks: gather(blocks, *rows, source) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_q8_0_row_is_scale_times_quant() {
        let mut blocks = vec![0u8; 2 * Q8_0_BYTES];
        blocks[Q8_0_BYTES..][..2].copy_from_slice(&f16::from_f32(0.5).to_le_bytes());
        blocks[Q8_0_BYTES + 2] = (-3i8).cast_unsigned();
        let matrix = Matrix::Q8_0 { rows: 2, columns: 32, blocks };
        let mut row = [1.0; 32];
        assert!(matrix.read_row(1, &mut row));
        assert_eq!(row[..2], [-1.5, 0.0]);
        assert!(!matrix.read_row(2, &mut row), "out of range");
    }

    #[test]
    fn rows_are_gathered_whole() {
        let matrix = Matrix::F32 { rows: 3, columns: 2, values: vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0] };
        let Matrix::F32 { values, .. } = matrix.with_rows_from(|row| 2 - row) else { panic!("format changed") };
        assert_eq!(values, [4.0, 5.0, 2.0, 3.0, 0.0, 1.0]);
    }
}
