//! The register tile that attention and matrix products share: a few rows by a few vectors of columns.

use super::{Element, LANES, Simd};

/// Rows of the largest register tile.
pub(crate) const MAX_TILE_ROWS: usize = 8;

/// How many of `left` rows the next register tile takes: 8, 4, 2 or 1.
#[inline(always)]
pub(crate) fn tile_rows<S: Simd>(left: usize) -> usize {
    match left {
        8.. if S::WIDE => MAX_TILE_ROWS,
        4.. if S::WIDE => 4,
        2.. => 2,
        _ => 1,
    }
}

/// `tile[r][v] += sum over i of a[r a_stride + i] * b[v][i b_stride ..]`, one fused multiply-add after the other in the
/// order of `i`, so that an element's bits do not depend on how many rows or vectors the tile has.
///
/// # Safety
/// For every `r < R`, `i < len` and `v < V`, `a.add(r * a_stride + i)` is readable and `b[v].add(i * b_stride)` is valid
/// for reading sixteen elements.
#[inline(always)]
pub(crate) unsafe fn accumulate<S: Simd, E: Element, const R: usize, const V: usize>(
    simd: S,
    tile: &mut [[S::F; V]; R],
    (a, a_stride): (*const f32, usize),
    (b, b_stride): ([*const E; V], usize),
    len: usize,
) {
    for i in 0..len {
        // SAFETY: `i < len`, and `r` and `v` are in range: the caller promises these reads.
        unsafe {
            let mut columns = [simd.splat(0.0); V];
            for (column, b) in columns.iter_mut().zip(b) {
                *column = E::load(simd, b.add(i * b_stride));
            }
            for (r, row) in tile.iter_mut().enumerate() {
                let x = simd.splat(*a.add(r * a_stride + i));
                for (sum, column) in row.iter_mut().zip(columns) {
                    *sum = simd.fma(x, column, *sum);
                }
            }
        }
    }
}

/// Reads a tile: row `r` starts at `from.add(r * stride)`.
///
/// # Safety
/// Every row is valid for reading `16 V` elements.
#[inline(always)]
pub(crate) unsafe fn load_tile<S: Simd, const R: usize, const V: usize>(
    simd: S,
    from: *const f32,
    stride: usize,
) -> [[S::F; V]; R] {
    let mut tile = [[simd.splat(0.0); V]; R];
    for (r, row) in tile.iter_mut().enumerate() {
        for (v, vector) in row.iter_mut().enumerate() {
            // SAFETY: the caller promises `16 V` readable elements a row.
            *vector = unsafe { simd.load(from.add(r * stride + v * LANES)) };
        }
    }
    tile
}

/// Writes a tile: row `r` starts at `to.add(r * stride)`.
///
/// # Safety
/// Every row is valid for writing `16 V` elements.
#[inline(always)]
pub(crate) unsafe fn store_tile<S: Simd, const R: usize, const V: usize>(
    simd: S,
    tile: &[[S::F; V]; R],
    to: *mut f32,
    stride: usize,
) {
    for (r, row) in tile.iter().enumerate() {
        for (v, vector) in row.iter().enumerate() {
            // SAFETY: the caller promises room for `16 V` elements a row.
            unsafe { simd.store(to.add(r * stride + v * LANES), *vector) };
        }
    }
}
