//! What both matrices share: columns in panels of two vectors, rows in register tiles.

use crate::simd::{Kernel, LANES, Simd, store_tile, tile_rows};

/// Columns of a panel.
pub(super) const PANEL: usize = 2 * LANES;

/// A kernel that computes one register tile.
pub(super) trait Tile {
    /// Rows of the largest register tile that pays: 8, 4 or 2.
    const ROWS: usize;
    /// The products of rows `row .. row + R` with the columns of `panel`.
    fn tile<S: Simd, const R: usize>(&self, simd: S, panel: usize, row: usize) -> [[S::F; 2]; R];
}

/// All rows of `out`, of `columns` numbers each.
pub(super) struct Product<'a, T> {
    pub(super) tiles: T,
    pub(super) columns: usize,
    pub(super) out: &'a mut [f32],
}

impl<T: Tile> Kernel for Product<'_, T> {
    type Output = ();

    /// Panel after panel: a panel stays in the cache while the rows, which are fewer bytes, pass it.
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { tiles, columns, out } = self;
        let rows = out.len() / columns;
        for panel in 0..columns.div_ceil(PANEL) {
            let mut row = 0;
            while row < rows {
                let mut place = Place { out: &mut out[row * columns..], columns, first: panel * PANEL };
                let count = tile_rows::<S>((rows - row).min(T::ROWS));
                match count {
                    8 if S::WIDE && T::ROWS >= 8 => place.put(simd, &tiles.tile::<S, 8>(simd, panel, row)),
                    4 if S::WIDE && T::ROWS >= 4 => place.put(simd, &tiles.tile::<S, 4>(simd, panel, row)),
                    2 => place.put(simd, &tiles.tile::<S, 2>(simd, panel, row)),
                    _ => place.put(simd, &tiles.tile::<S, 1>(simd, panel, row)),
                }
                row += count;
            }
        }
    }
}

/// Where a register tile goes.
struct Place<'a> {
    /// From the tile's first row on.
    out: &'a mut [f32],
    columns: usize,
    first: usize,
}

impl Place<'_> {
    #[inline(always)]
    fn put<S: Simd, const R: usize>(&mut self, simd: S, tile: &[[S::F; 2]; R]) {
        let width = (self.columns - self.first).min(PANEL);
        if width == PANEL {
            let to = self.out[self.first..(R - 1) * self.columns + self.first + PANEL].as_mut_ptr();
            // SAFETY: the slice above reaches from the first row's first column to the last row's last one.
            unsafe { store_tile(simd, tile, to, self.columns) };
            return;
        }
        let mut whole = [[0.0; PANEL]; R];
        // SAFETY: `whole` has `R` rows of `PANEL` numbers.
        unsafe { store_tile(simd, tile, whole.as_mut_ptr().cast(), PANEL) };
        for (r, row) in whole.iter().enumerate() {
            let at = r * self.columns + self.first;
            self.out[at..at + width].copy_from_slice(&row[..width]);
        }
    }
}
