//! Eight-bit weights in the `Q8_0` format of GGML: blocks of 32 signed bytes along `k` with a half-precision scale each,
//! multiplied with activations quantised the same way. Products of bytes are summed exactly in integers, so all
//! instruction sets agree; block sums are then scaled and added in the order of `k`.

use half::f16;

use super::Q8_BLOCK;
use super::panel::{PANEL, Product, Tile};
use super::quantize::{QuantizedRows, block};
use crate::KernelError;
use crate::error::{expect_len, expect_multiple};
use crate::simd::{Element, Isa, LANES, Simd};

/// Bytes of a block in a file: the scale, then 32 weights.
const FILE_BLOCK: usize = 2 + Q8_BLOCK;

/// Weights of four consecutive `k` for the columns of a panel: what two vector dot products take.
type Quad = [[u8; 4]; PANEL];

/// One block of 32 `k` of a panel.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct PanelBlock {
    scales: [f16; PANEL],
    /// `[k / 4][column][k % 4]`, each weight as `w + 128`.
    quads: [Quad; Q8_BLOCK / 4],
}

impl PanelBlock {
    /// Weights and scales of zero.
    const ZERO: Self = Self { scales: [f16::ZERO; PANEL], quads: [[[128; 4]; PANEL]; Q8_BLOCK / 4] };

    fn set(&mut self, column: usize, scale: f16, weights: impl Iterator<Item = i8>) {
        self.scales[column] = scale;
        for (k, weight) in weights.enumerate() {
            self.quads[k / 4][column][k % 4] = weight.cast_unsigned() ^ 0x80;
        }
    }
}

/// A weight matrix of eight-bit numbers.
#[derive(Clone, Debug)]
pub struct Q8Matrix {
    columns: usize,
    inputs: usize,
    /// `[panel][k / 32]`.
    packed: Vec<PanelBlock>,
}

impl Q8Matrix {
    /// Packs blocks as a GGUF file holds them, `[columns][inputs / 32]`.
    ///
    /// # Errors
    /// When `inputs` is not a multiple of 32 or the bytes are not those of `columns` rows.
    pub fn from_blocks(bytes: &[u8], columns: usize, inputs: usize) -> Result<Self, KernelError> {
        let mut matrix = Self::zeros(columns, inputs)?;
        let blocks = inputs / Q8_BLOCK;
        expect_len("bytes of Q8_0 blocks", bytes.len(), columns.saturating_mul(blocks).saturating_mul(FILE_BLOCK))?;
        let (file, _) = bytes.as_chunks::<FILE_BLOCK>();
        for (i, [low, high, weights @ ..]) in file.iter().enumerate() {
            let scale = f16::from_le_bytes([*low, *high]);
            matrix.block(i / blocks, i % blocks).set(
                i / blocks % PANEL,
                scale,
                weights.iter().map(|weight| weight.cast_signed()),
            );
        }
        Ok(matrix)
    }

    /// Quantises and packs `weights`, `[columns][inputs]`.
    ///
    /// # Errors
    /// When `inputs` is not a multiple of 32 or the length is not `columns * inputs`.
    pub fn quantize(weights: &[f32], columns: usize, inputs: usize) -> Result<Self, KernelError> {
        let mut matrix = Self::zeros(columns, inputs)?;
        expect_len("weights", weights.len(), columns.saturating_mul(inputs))?;
        let blocks = inputs / Q8_BLOCK;
        let (numbers, _) = weights.as_chunks::<Q8_BLOCK>();
        for (i, numbers) in numbers.iter().enumerate() {
            let mut bytes = [0; Q8_BLOCK];
            let (scale, _) = block(numbers, &mut bytes);
            matrix.block(i / blocks, i % blocks).set(i / blocks % PANEL, f16::from_f32(scale), bytes.into_iter());
        }
        Ok(matrix)
    }

    fn zeros(columns: usize, inputs: usize) -> Result<Self, KernelError> {
        expect_multiple("inputs of a Q8_0 matrix", inputs, Q8_BLOCK)?;
        expect_multiple("columns of a matrix", columns, 1)?;
        let packed = vec![PanelBlock::ZERO; columns.div_ceil(PANEL) * (inputs / Q8_BLOCK)];
        Ok(Self { columns, inputs, packed })
    }

    fn block(&mut self, column: usize, block: usize) -> &mut PanelBlock {
        &mut self.packed[column / PANEL * (self.inputs / Q8_BLOCK) + block]
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
    /// When the rows have another width or `out` has another number of them.
    pub fn forward(&self, x: &QuantizedRows, out: &mut [f32]) -> Result<(), KernelError> {
        self.forward_with(Isa::best(), x, out)
    }

    pub(super) fn forward_with(&self, isa: Isa, x: &QuantizedRows, out: &mut [f32]) -> Result<(), KernelError> {
        expect_len("inputs of a product", x.inputs(), self.inputs)?;
        expect_len("output of a product", out.len(), x.rows() * self.columns)?;
        isa.run(Product { tiles: Tiles { matrix: self, x }, columns: self.columns, out });
        Ok(())
    }
}

struct Tiles<'a> {
    matrix: &'a Q8Matrix,
    x: &'a QuantizedRows,
}

impl Tile for Tiles<'_> {
    /// Sums of bytes and sums of blocks take two registers a row each: four rows fill the registers without spilling.
    const ROWS: usize = 4;

    #[inline(always)]
    fn tile<S: Simd, const R: usize>(&self, simd: S, panel: usize, row: usize) -> [[S::F; 2]; R] {
        let inputs = self.matrix.inputs;
        let blocks = inputs / Q8_BLOCK;
        let bytes = self.x.bytes[row * inputs..(row + R) * inputs].as_ptr();
        let scales = self.x.scales[row * blocks..(row + R) * blocks].as_ptr();
        let sums = self.x.sums[row * blocks..(row + R) * blocks].as_ptr();
        let mut tile = [[simd.splat(0.0); 2]; R];
        for (b, weights) in self.matrix.packed[panel * blocks..(panel + 1) * blocks].iter().enumerate() {
            // SAFETY: the slices above have `R` rows of `inputs` bytes and of `blocks` scales and sums, and `b` is below
            // `blocks`; a quad has two vectors of 64 bytes, and a block two vectors of scales.
            unsafe {
                let mut dots = [[simd.dot_start(0); 2]; R];
                for (r, row) in dots.iter_mut().enumerate() {
                    *row = [simd.dot_start(*sums.add(r * blocks + b)); 2];
                }
                // Both vectors take their activations at once: kept for later, those of a whole block would spill.
                for (q, quad) in weights.quads.iter().enumerate() {
                    for (r, row) in dots.iter_mut().enumerate() {
                        let four = bytes.add(r * inputs + b * Q8_BLOCK + q * 4).cast::<[u8; 4]>();
                        let four = i32::from_le_bytes(four.read());
                        for (v, dot) in row.iter_mut().enumerate() {
                            *dot = simd.dot4(*dot, quad.as_ptr().add(v * LANES).cast(), four);
                        }
                    }
                }
                for v in 0..2 {
                    let scale = f16::load(simd, weights.scales.as_ptr().add(v * LANES));
                    for (r, (row, dots)) in tile.iter_mut().zip(&dots).enumerate() {
                        let scale = simd.mul(scale, simd.splat(*scales.add(r * blocks + b)));
                        row[v] = simd.fma(simd.to_float(dots[v]), scale, row[v]);
                    }
                }
            }
        }
        tile
    }
}
