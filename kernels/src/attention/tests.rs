//! Against a double-precision reference, and bit for bit against itself cut in other ways.

use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::arena::KvLayout;

/// A model's attention shape and one sequence with its keys and values.
#[derive(Clone, Debug)]
struct Case {
    layout: KvLayout,
    heads: usize,
    tokens: usize,
    q: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

const LAYER: usize = 1;

impl Case {
    fn new(seed: u64, layout: KvLayout, shared: usize, tokens: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut numbers = |count: usize, size: f32| -> Vec<f32> {
            (0..count).map(|_| (rng.next_u32() >> 8) as f32 / 8_388_608.0 * size - size).collect()
        };
        let heads = layout.kv_heads * shared;
        let row = layout.kv_heads * layout.head_dim;
        let q = numbers(tokens * heads * layout.head_dim, 2.0);
        Self { layout, heads, tokens, q, keys: numbers(tokens * row, 2.0), values: numbers(tokens * row, 1.0) }
    }

    fn width(&self) -> usize {
        self.heads * self.layout.head_dim
    }

    /// An arena full of `poison` in which the sequence is written to the blocks of `table`.
    fn arena(&self, table: &[Run], poison: f32) -> KvArena {
        let mut arena = KvArena::new(self.layout).expect("a sound layout");
        let all = [Run { first: 0, blocks: self.layout.blocks as u32 }];
        let numbers = self.layout.blocks * self.layout.block_tokens * self.layout.kv_heads * self.layout.head_dim;
        for layer in 0..self.layout.layers {
            arena.write(layer, &all, 0, &vec![poison; numbers], &vec![poison; numbers]).expect("all blocks");
        }
        arena.write(LAYER, table, 0, &self.keys, &self.values).expect("the table covers the sequence");
        arena
    }

    fn queries<'a>(&self, q: &'a [f32]) -> Queries<'a> {
        Queries { q, heads: self.heads, scale: 1.0 / (self.layout.head_dim as f32).sqrt() }
    }

    /// All rows, cut into calls of at most `chunk` rows.
    fn chunked(&self, isa: Isa, arena: &KvArena, table: &[Run], chunk: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.q.len()];
        let mut scratch = AttentionScratch::default();
        let size = chunk * self.width();
        for (i, (q, out)) in self.q.chunks(size).zip(out.chunks_mut(size)).enumerate() {
            let rows = 0..q.len() / self.width();
            let sequence = Sequence { rows, start: (i * chunk) as u32, table };
            attend_with(isa, arena, LAYER, self.queries(q), &[sequence], out, &mut scratch).expect("a sound call");
        }
        out
    }

    /// The definition, in double precision.
    fn reference(&self) -> Vec<f64> {
        let (head_dim, kv_heads) = (self.layout.head_dim, self.layout.kv_heads);
        let stored = |x: f32| match self.layout.dtype {
            KvDtype::F32 => f64::from(x),
            KvDtype::F16 => f16::from_f32(x).to_f64(),
        };
        let mut out = Vec::new();
        for position in 0..self.tokens {
            for head in 0..self.heads {
                let q = &self.q[position * self.width() + head * head_dim..][..head_dim];
                let kv = head / (self.heads / kv_heads) * head_dim;
                let row = |rows: &[f32], p: usize| rows[p * kv_heads * head_dim + kv..][..head_dim].to_vec();
                let scores: Vec<f64> = (0..=position)
                    .map(|p| {
                        let k = row(&self.keys, p);
                        let dot: f64 = q.iter().zip(&k).map(|(q, k)| f64::from(*q) * stored(*k)).sum();
                        dot / (head_dim as f64).sqrt()
                    })
                    .collect();
                let peak = scores.iter().copied().fold(f64::MIN, f64::max);
                let total: f64 = scores.iter().map(|s| (s - peak).exp()).sum();
                let mut sum = vec![0.0; head_dim];
                for (p, score) in scores.iter().enumerate() {
                    for (sum, v) in sum.iter_mut().zip(row(&self.values, p)) {
                        *sum += (score - peak).exp() / total * stored(v);
                    }
                }
                out.extend(sum);
            }
        }
        out
    }
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// A table for `blocks` blocks in several runs, not in order, that leaves block 0 free.
fn scattered(blocks: u32) -> Vec<Run> {
    let split = blocks / 2;
    let mut runs = vec![Run { first: 2 + split, blocks: blocks - split }];
    if split > 0 {
        runs.push(Run { first: 1, blocks: split });
    }
    runs
}

fn cases() -> impl Strategy<Value = (Case, Vec<Run>, usize)> {
    let head = prop::sample::select(vec![32_usize, 64, 96, 128]);
    let block = prop::sample::select(vec![16_usize, 32, 48]);
    let dtype = prop::sample::select(vec![KvDtype::F32, KvDtype::F16]);
    (head, block, dtype, 1_usize..3, 1_usize..5, 1_usize..210, 1_usize..80, any::<u64>()).prop_map(
        |(head_dim, block_tokens, dtype, kv_heads, shared, tokens, chunk, seed)| {
            let needed = tokens.div_ceil(block_tokens);
            let layout = KvLayout { layers: 2, kv_heads, head_dim, block_tokens, blocks: needed + 3, dtype };
            (Case::new(seed, layout, shared, tokens), scattered(needed as u32), chunk)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn attention_is_close_to_its_definition((case, table, chunk) in cases()) {
        let arena = case.arena(&table, 0.0);
        let reference = case.reference();
        let out = case.chunked(Isa::best(), &arena, &table, chunk);
        for (out, exact) in out.iter().zip(&reference) {
            prop_assert!((f64::from(*out) - exact).abs() < 3e-6, "{out} {exact}");
        }
    }

    #[test]
    fn a_row_has_the_same_bits_in_every_chunking_and_on_every_instruction_set((case, table, chunk) in cases()) {
        let arena = case.arena(&table, f32::NAN);
        let one_by_one = bits(&case.chunked(Isa::best(), &arena, &table, 1));
        prop_assert!(one_by_one.iter().all(|&x| f32::from_bits(x).is_finite()), "nothing unwritten is read");
        for isa in Isa::all() {
            prop_assert_eq!(&bits(&case.chunked(isa, &arena, &table, chunk)), &one_by_one, "{:?}", isa);
        }
        prop_assert_eq!(bits(&case.chunked(Isa::best(), &arena, &table, case.tokens)), one_by_one);
    }
}

#[test]
fn a_row_has_the_same_bits_alone_and_in_a_batch_of_others() {
    let layout = KvLayout { layers: 2, kv_heads: 2, head_dim: 64, block_tokens: 16, blocks: 64, dtype: KvDtype::F16 };
    let lengths = [1_usize, 17, 150, 64, 65];
    let mut arena = KvArena::new(layout).expect("a sound layout");
    let mut first = 0;
    let mut cases = Vec::new();
    for (seed, tokens) in lengths.into_iter().enumerate() {
        let case = Case::new(seed as u64, layout, 3, tokens);
        let table = [Run { first, blocks: tokens.div_ceil(16) as u32 }];
        first += table[0].blocks;
        arena.write(LAYER, &table, 0, &case.keys, &case.values).expect("room");
        cases.push((case, table));
    }
    // The first two sequences bring their last 1 and 9 rows, the others one each: a prompt chunk among decodes.
    let counts = [1_usize, 9, 1, 1, 1];
    let (mut q, mut sequences, mut alone) = (Vec::new(), Vec::new(), Vec::new());
    for ((case, table), count) in cases.iter().zip(counts) {
        let start = case.tokens - count;
        let first_row = q.len() / case.width();
        q.extend_from_slice(&case.q[start * case.width()..]);
        sequences.push(Sequence { rows: first_row..first_row + count, start: start as u32, table });
        alone.extend_from_slice(&case.chunked(Isa::best(), &arena, table, case.tokens)[start * case.width()..]);
    }
    let mut out = vec![0.0; q.len()];
    let queries = cases[0].0.queries(&q);
    attend(&arena, LAYER, queries, &sequences, &mut out, &mut AttentionScratch::default()).expect("a sound call");
    assert_eq!(bits(&out), bits(&alone));
}

#[test]
fn one_changed_number_in_a_block_changes_the_rows_that_see_it_and_no_others() {
    let layout = KvLayout { layers: 2, kv_heads: 1, head_dim: 64, block_tokens: 16, blocks: 9, dtype: KvDtype::F16 };
    let case = Case::new(5, layout, 2, 100);
    let table = scattered(7);
    let arena = case.arena(&table, 0.0);
    let before = case.chunked(Isa::best(), &arena, &table, 100);
    for (changed, numbers) in [(40_usize, "key"), (70, "value")] {
        let mut broken = case.clone();
        let list = if numbers == "key" { &mut broken.keys } else { &mut broken.values };
        list[changed * 64 + 3] += 0.25;
        let after = broken.chunked(Isa::best(), &broken.arena(&table, 0.0), &table, 100);
        for (position, (before, after)) in before.chunks(128).zip(after.chunks(128)).enumerate() {
            assert_eq!(bits(before) == bits(after), position < changed, "{numbers} {changed} at {position}");
        }
    }
}

#[test]
fn tables_that_do_not_fit_are_refused() {
    let layout = KvLayout { layers: 2, kv_heads: 1, head_dim: 32, block_tokens: 16, blocks: 4, dtype: KvDtype::F32 };
    let case = Case::new(1, layout, 1, 20);
    let arena = case.arena(&[Run { first: 1, blocks: 2 }], 0.0);
    let mut scratch = AttentionScratch::default();
    let mut call = |rows: Range<usize>, start: u32, first: u32, blocks: u32, layer: usize| {
        let mut out = vec![0.0; case.q.len()];
        let table = [Run { first, blocks }];
        let sequence = Sequence { rows, start, table: &table };
        attend(&arena, layer, case.queries(&case.q), &[sequence], &mut out, &mut scratch)
    };
    assert!(call(0..20, 0, 1, 2, 1).is_ok());
    assert!(matches!(call(0..20, 13, 1, 2, 1), Err(KernelError::TableTooShort { covered: 32, needed: 33 })));
    assert!(matches!(call(0..20, 0, 3, 2, 1), Err(KernelError::NoSuchBlock { block: 4, blocks: 4 })));
    assert!(matches!(call(0..20, 0, u32::MAX, 2, 1), Err(KernelError::NoSuchBlock { .. })));
    assert!(matches!(call(0..21, 0, 1, 2, 1), Err(KernelError::Shape { .. })));
    assert!(matches!(call(0..20, 0, 1, 2, 2), Err(KernelError::Layout { .. })));
}
