//! One step of the online softmax: a register tile of rows against one group of positions.

use super::GROUP;
use super::item::State;
use super::keys::Keys;
use crate::simd::{Element, LANES, Simd, accumulate, exp, load_tile, store_tile};

/// Vectors of positions in a group.
const VECTORS: usize = GROUP / LANES;

/// Columns of a register tile of values.
const COLUMNS: usize = 2 * LANES;

/// The keys and values of one head at the positions of one group.
#[derive(Debug)]
pub(super) struct Group<E> {
    head_dim: usize,
    /// Keys `[head_dim][16]` and values `[16][head_dim]` of each sixteen positions; of the group's first sixteen again where
    /// the sequence has ended.
    sixteens: [(*const E, *const E); VECTORS],
}

/// A register tile: consecutive rows of one head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rows {
    /// The first row in the state.
    pub(super) first: usize,
    /// The position of row 0 of the head.
    pub(super) start: usize,
    /// Query heads of one key-value head.
    pub(super) shared: usize,
    /// The first row, counted in the head.
    pub(super) row: usize,
    /// The group's first position.
    pub(super) base: usize,
}

impl Rows {
    /// Positions of the group that row `r` of the tile sees: more for later rows.
    #[inline(always)]
    fn visible(&self, r: usize) -> usize {
        (self.start + (self.row + r) / self.shared + 1 - self.base).min(GROUP)
    }
}

impl<E: Element> Group<E> {
    /// The group from `base` on, of a sequence whose positions reach up to `end`, which is above `base`.
    #[inline(always)]
    pub(super) fn new(keys: &Keys<'_, E>, head: usize, base: usize, end: usize) -> Self {
        let mut sixteens = [keys.sixteen(head, base); VECTORS];
        for (vector, place) in sixteens.iter_mut().enumerate().skip(1) {
            let position = base + vector * LANES;
            if position < end {
                *place = keys.sixteen(head, position);
            }
        }
        Self { head_dim: keys.layout().head_dim, sixteens }
    }

    /// Brings `R` rows past this group.
    #[inline(always)]
    pub(super) fn step<S: Simd, const R: usize>(&self, simd: S, state: &mut State, rows: &Rows) {
        self.scores::<S, R>(simd, state, rows);
        for r in 0..R {
            self.weigh(simd, state, rows, r);
        }
        let least = rows.visible(0);
        self.add_values::<S, R>(simd, state, rows.first, 0, 0..least);
        for r in 0..R {
            let visible = rows.visible(r);
            if visible > least {
                self.add_values::<S, 1>(simd, state, rows.first + r, r, least..visible);
            }
        }
    }

    /// Scores of `R` rows at every position that the last of them sees, in whole vectors.
    #[inline(always)]
    fn scores<S: Simd, const R: usize>(&self, simd: S, state: &mut State, rows: &Rows) {
        let vectors = rows.visible(R - 1).div_ceil(LANES);
        let q = state.q[rows.first * self.head_dim..][..R * self.head_dim].as_ptr();
        let scores = state.scores[..R * GROUP].as_mut_ptr();
        // Where the number of vectors is odd the last pair's second one is computed in vain: its keys exist, see `new`.
        for vector in (0..vectors).step_by(2) {
            let keys = [self.sixteens[vector].0, self.sixteens[vector + 1].0];
            let mut tile = [[simd.splat(0.0); 2]; R];
            // SAFETY: `q` has `R` rows of `head_dim` numbers; both key pointers are those of sixteen positions, with
            // `head_dim` times sixteen elements; scores have `GROUP` numbers a row, an even number of vectors.
            unsafe {
                accumulate(simd, &mut tile, (q, self.head_dim), (keys, LANES), self.head_dim);
                store_tile(simd, &tile, scores.add(vector * LANES), GROUP);
            }
        }
    }

    /// Turns the scores of row `r` into weights relative to the largest score so far, correcting what was summed before.
    #[inline(always)]
    fn weigh<S: Simd>(&self, simd: S, state: &mut State, rows: &Rows, r: usize) {
        let visible = rows.visible(r);
        let vectors = visible.div_ceil(LANES);
        let row = rows.first + r;
        let scores = state.scores[r * GROUP..][..GROUP].as_mut_ptr();
        let sums = state.sums[row * self.head_dim..][..self.head_dim].as_mut_ptr();
        let weights = state.weights[row * LANES..][..LANES].as_mut_ptr();
        let lowest = simd.splat(f32::NEG_INFINITY);
        let mut highest = lowest;
        for vector in 0..vectors {
            // SAFETY: scores have `GROUP` numbers a row, of which `vectors` vectors are some.
            let scores = unsafe { simd.load(scores.add(vector * LANES)) };
            highest = simd.max(highest, simd.first(visible - vector * LANES, scores, lowest));
        }
        let mut lanes = [f32::NEG_INFINITY; LANES];
        // SAFETY: `lanes` has sixteen numbers.
        unsafe { simd.store(lanes.as_mut_ptr(), highest) };
        let before = state.peaks[row];
        let peak = lanes.iter().fold(before, |peak, &score| if score > peak { score } else { peak });
        // SAFETY: sums have `head_dim` numbers, whole vectors, and weights sixteen.
        unsafe {
            if peak > before {
                let factor = exp(simd, simd.sub(simd.splat(before), simd.splat(peak)));
                for at in (0..self.head_dim).step_by(LANES) {
                    simd.store(sums.add(at), simd.mul(simd.load(sums.add(at)), factor));
                }
                simd.store(weights, simd.mul(simd.load(weights), factor));
                state.peaks[row] = peak;
            }
            let mut total = simd.load(weights);
            for vector in 0..vectors {
                let at = scores.add(vector * LANES);
                let weight = exp(simd, simd.sub(simd.load(at), simd.splat(peak)));
                let weight = simd.first(visible - vector * LANES, weight, simd.splat(0.0));
                total = simd.add(total, weight);
                simd.store(at, weight);
            }
            simd.store(weights, total);
        }
    }

    /// Adds the weighted values of the group's positions `range` to `R` rows, of which `scores` is the first in the tile.
    #[inline(always)]
    fn add_values<S: Simd, const R: usize>(
        &self,
        simd: S,
        state: &mut State,
        row: usize,
        scores: usize,
        range: std::ops::Range<usize>,
    ) {
        let sums = state.sums[row * self.head_dim..][..R * self.head_dim].as_mut_ptr();
        let weights = state.scores[scores * GROUP..][..R * GROUP].as_ptr();
        for column in (0..self.head_dim).step_by(COLUMNS) {
            // SAFETY: sums have `R` rows of `head_dim` numbers and weights `R` rows of `GROUP`; `head_dim` is a multiple of
            // `COLUMNS`, so the columns are in range.
            unsafe { self.add_columns::<S, R>(simd, sums.add(column), weights, range.clone(), column) };
        }
    }

    /// [`Group::add_values`] for [`COLUMNS`] columns.
    ///
    /// # Safety
    /// `sums` is valid for `R` rows of `COLUMNS` numbers, a head apart, and `weights` for `R` rows of `GROUP`; `range` ends
    /// within the group, at positions that exist; columns `column .. column + COLUMNS` are within the head.
    #[inline(always)]
    unsafe fn add_columns<S: Simd, const R: usize>(
        &self,
        simd: S,
        sums: *mut f32,
        weights: *const f32,
        range: std::ops::Range<usize>,
        column: usize,
    ) {
        // SAFETY: the caller promises the sums.
        let mut tile = unsafe { load_tile::<S, R, 2>(simd, sums, self.head_dim) };
        let mut from = range.start;
        while from < range.end {
            let to = (from / LANES * LANES + LANES).min(range.end);
            let values = self.sixteens[from / LANES].1;
            let values = values.wrapping_add(from % LANES * self.head_dim + column);
            let columns = [values, values.wrapping_add(LANES)];
            // SAFETY: the value pointer is that of sixteen positions with `head_dim` elements each.
            unsafe {
                accumulate(simd, &mut tile, (weights.add(from), GROUP), (columns, self.head_dim), to - from);
            }
            from = to;
        }
        // SAFETY: the caller promises the sums.
        unsafe { store_tile(simd, &tile, sums, self.head_dim) };
    }
}
