//! Paged attention of one layer in Qwen3-0.6B's shape (16 query heads, 8 key-value heads of 128), half precision:
//! `cargo bench -p pdtune-kernels --bench attention -- --quick`. Throughput is in multiply-adds that a causal mask leaves.

#[path = "support/cpu_time.rs"]
mod cpu_time;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kernels::KernelError;
use kernels::arena::{KvArena, KvDtype, KvLayout, Run};
use kernels::attention::{AttentionScratch, Queries, Sequence, attend};

const HEADS: usize = 16;
const LAYOUT: KvLayout =
    KvLayout { layers: 2, kv_heads: 8, head_dim: 128, block_tokens: 16, blocks: 0, dtype: KvDtype::F16 };

fn numbers(count: usize) -> Vec<f32> {
    (0..count).map(|i| (i * 7919 % 1009) as f32 / 504.5 - 1.0).collect()
}

/// `batch` sequences that bring `rows` rows each, the last of `context` positions.
fn step(
    criterion: &mut Criterion,
    name: &str,
    batch: usize,
    rows: usize,
    context: usize,
    dtype: KvDtype,
) -> Result<(), KernelError> {
    let each = context.div_ceil(LAYOUT.block_tokens);
    let mut arena = KvArena::new(KvLayout { blocks: batch * each, dtype, ..LAYOUT })?;
    // Blocks in descending order: no run of neighbours helps.
    let tables: Vec<Vec<Run>> = (0..batch)
        .map(|s| (0..each).rev().map(|block| Run { first: (s * each + block) as u32, blocks: 1 }).collect())
        .collect();
    let kv = numbers(context * LAYOUT.kv_heads * LAYOUT.head_dim);
    for table in &tables {
        arena.write(1, table, 0, &kv, &kv)?;
    }
    let start = (context - rows) as u32;
    let sequences: Vec<Sequence<'_>> =
        tables.iter().enumerate().map(|(s, table)| Sequence { rows: s * rows..(s + 1) * rows, start, table }).collect();
    let q = numbers(batch * rows * HEADS * LAYOUT.head_dim);
    let (mut out, mut scratch) = (vec![0.0; q.len()], AttentionScratch::default());
    let queries = Queries { q: &q, heads: HEADS, scale: 0.088 };
    let visible: usize = (context - rows + 1..=context).sum();
    let mut group = criterion.benchmark_group("attention");
    group.throughput(Throughput::Elements((batch * visible * HEADS * LAYOUT.head_dim * 2) as u64));
    group.bench_function(name, |bench| {
        cpu_time::iter(bench, || attend(&arena, 1, queries, &sequences, &mut out, &mut scratch));
    });
    group.finish();
    Ok(())
}

fn steps(criterion: &mut Criterion) -> Result<(), KernelError> {
    step(criterion, "prefill 512", 1, 512, 512, KvDtype::F16)?;
    step(criterion, "prefill 512 f32", 1, 512, 512, KvDtype::F32)?;
    step(criterion, "prefill 512 after 1536", 1, 512, 2048, KvDtype::F16)?;
    for batch in [1, 8, 32] {
        for context in [128, 512, 2048] {
            step(criterion, &format!("decode b{batch} at {context}"), batch, 1, context, KvDtype::F16)?;
        }
    }
    Ok(())
}

fn attention(criterion: &mut Criterion) {
    if let Err(error) = steps(criterion) {
        criterion.bench_function(&format!("failed: {error}"), |_| ());
    }
}

criterion_group!(benches, attention);
criterion_main!(benches);
