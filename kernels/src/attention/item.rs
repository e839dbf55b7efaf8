//! Some consecutive queries of one sequence, all heads: what one kernel call works on.

use super::GROUP;
use super::group::{Group, Rows};
use super::keys::Keys;
use crate::simd::{Element, Kernel, LANES, MAX_TILE_ROWS, Simd, tile_rows};

/// The running softmax of an item's rows, `[kv_head][row]` each.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Queries times scale, `[head_dim]` a row.
    pub(super) q: Vec<f32>,
    /// Weighted sums of values, `[head_dim]` a row.
    pub(super) sums: Vec<f32>,
    /// The largest score so far.
    pub(super) peaks: Vec<f32>,
    /// Sums of weights, sixteen lanes a row.
    pub(super) weights: Vec<f32>,
    /// Scores, then weights, of a register tile in one group.
    pub(super) scores: Vec<f32>,
}

/// Consecutive queries of one sequence: a kernel.
#[derive(Debug)]
pub(super) struct Item<'a, E> {
    pub(super) keys: Keys<'a, E>,
    /// Query heads of one key-value head.
    pub(super) shared: usize,
    pub(super) scale: f32,
    /// The position of the first query.
    pub(super) start: usize,
    /// How many queries; the keys reach to the last one at least.
    pub(super) positions: usize,
    /// `[position][head][head_dim]`.
    pub(super) q: &'a [f32],
    /// As `q`.
    pub(super) out: &'a mut [f32],
    pub(super) state: &'a mut State,
}

impl<E: Element> Item<'_, E> {
    fn rows(&self) -> usize {
        self.positions * self.shared
    }

    /// Calls `f(state row, query row)` with the offset of each head's numbers in the state and in the queries.
    #[inline(always)]
    fn each_head(&self, mut f: impl FnMut(usize, usize)) {
        let (rows, head_dim, kv_heads) = (self.rows(), self.keys.layout().head_dim, self.keys.layout().kv_heads);
        for position in 0..self.positions {
            for head in 0..kv_heads {
                for shared in 0..self.shared {
                    let row = head * rows + position * self.shared + shared;
                    f(row, ((position * kv_heads + head) * self.shared + shared) * head_dim);
                }
            }
        }
    }

    #[inline(always)]
    fn begin(&mut self) {
        let head_dim = self.keys.layout().head_dim;
        let rows = self.rows() * self.keys.layout().kv_heads;
        let mut state = std::mem::take(self.state);
        state.sums.clear();
        state.sums.resize(rows * head_dim, 0.0);
        state.peaks.clear();
        state.peaks.resize(rows, f32::NEG_INFINITY);
        state.weights.clear();
        state.weights.resize(rows * LANES, 0.0);
        state.scores.resize(MAX_TILE_ROWS * GROUP, 0.0);
        state.q.resize(rows * head_dim, 0.0);
        self.each_head(|row, at| {
            let scaled = &mut state.q[row * head_dim..(row + 1) * head_dim];
            for (scaled, q) in scaled.iter_mut().zip(&self.q[at..at + head_dim]) {
                *scaled = q * self.scale;
            }
        });
        *self.state = state;
    }

    #[inline(always)]
    fn finish(&mut self) {
        let head_dim = self.keys.layout().head_dim;
        let out = std::mem::take(&mut self.out);
        self.each_head(|row, at| {
            let mut lanes = [0.0; LANES];
            lanes.copy_from_slice(&self.state.weights[row * LANES..(row + 1) * LANES]);
            let inverse = 1.0 / fold(lanes);
            let sums = &self.state.sums[row * head_dim..(row + 1) * head_dim];
            for (out, sum) in out[at..at + head_dim].iter_mut().zip(sums) {
                *out = sum * inverse;
            }
        });
    }
}

/// Adds sixteen lanes in pairs, halves first: always in the same order.
#[inline(always)]
fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
    }
    lanes[0]
}

impl<E: Element> Kernel for Item<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) {
        self.begin();
        let groups = (self.start + self.positions).div_ceil(GROUP);
        let kv_heads = self.keys.layout().kv_heads;
        // A prompt chunk goes through the keys of one head while they are in the nearest cache; a decoding sequence
        // visits each block once, since its blocks are far apart. The order does not change a row's bits.
        for step in 0..groups * kv_heads {
            let (head, group) =
                if self.positions > 1 { (step / groups, step % groups) } else { (step % kv_heads, step / kv_heads) };
            self.group(simd, head, group * GROUP);
        }
        self.finish();
    }
}

impl<E: Element> Item<'_, E> {
    /// Takes the rows of one key-value head through the group of positions that starts at `base`.
    #[inline(always)]
    fn group<S: Simd>(&mut self, simd: S, head: usize, base: usize) {
        let Self { shared, start, positions, .. } = *self;
        let rows = positions * shared;
        // The first row that sees anything of this group.
        let mut row = base.saturating_sub(start) * shared;
        let group = Group::new(&self.keys, head, base, start + positions);
        while row < rows {
            let count = tile_rows::<S>(rows - row);
            let tile = Rows { first: head * rows + row, start, shared, row, base };
            match count {
                8 if S::WIDE => group.step::<S, 8>(simd, self.state, &tile),
                4 if S::WIDE => group.step::<S, 4>(simd, self.state, &tile),
                2 => group.step::<S, 2>(simd, self.state, &tile),
                _ => group.step::<S, 1>(simd, self.state, &tile),
            }
            row += count;
        }
    }
}
