//! Requests a second of CPU time that the cluster schedules in virtual time: `cargo bench -p pdtune-engine --bench cluster`.
#![expect(clippy::expect_used, reason = "a bench that cannot be set up has failed")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::cluster::{Arrival, BatchLimits, BlockHash, Cluster, ClusterConfig, FirstToken};
use engine::drive::virtual_time::{Costs, Input, Pace, VirtualDriver};
use engine::units::{Nanos, RequestId};

const REQUESTS: u64 = 5_000;

/// An accelerator of today with a model of 8 billion parameters, roughly: 8 ms a decode step, 10,000 prompt tokens a second.
const COSTS: Costs = Costs {
    step: Nanos(8_000_000),
    token: Nanos(100_000),
    transfer: Nanos(1_000_000),
    block: Nanos(20_000),
    switch: Nanos(1_000_000_000),
    warm: Nanos(1_000_000_000),
};

fn config(prefix_cache: bool) -> ClusterConfig {
    ClusterConfig {
        block_tokens: 16,
        blocks_per_unit: 20_000,
        max_context: 32_768,
        prefill: BatchLimits { tokens: 8192, sequences: 64 },
        decode: BatchLimits { tokens: 256, sequences: 256 },
        aggregated: BatchLimits { tokens: 2048, sequences: 256 },
        watermark_permille: 10,
        prefix_cache,
        first_token: FirstToken::AfterHandOff,
        drain_timeout: None,
    }
}

/// Requests of 1024 prompt and 256 answer tokens, evenly spaced; a quarter of each prompt is shared with every eighth request.
fn arrival(number: u64, prefix_cache: bool) -> Arrival {
    let blocks = if prefix_cache { 64 } else { 0 };
    let hash = |block: u64| {
        let owner = if block < 16 { number % 8 } else { number + 8 };
        BlockHash((owner << 32 | block).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    };
    Arrival {
        request: RequestId(number),
        prompt_tokens: 1024,
        output_tokens: 256,
        prompt_hashes: (0..blocks).map(hash).collect(),
    }
}

fn play(split: &str, gap: u64, prefix_cache: bool) -> usize {
    let split = split.parse().expect("a split");
    let cluster = Cluster::new(config(prefix_cache), split).expect("a cluster");
    let mut driver = VirtualDriver::new(cluster, COSTS, Pace::Bulk);
    for number in 0..REQUESTS {
        driver.schedule(Nanos(number * gap), Input::Arrive(arrival(number, prefix_cache)));
    }
    driver.run();
    driver.log().finished.len()
}

fn cluster(c: &mut Criterion) {
    let mut group = c.benchmark_group("cluster");
    group.throughput(Throughput::Elements(REQUESTS));
    group.sample_size(10);
    for (name, split, prefix_cache) in
        [("2P2D", "2P2D", false), ("2P2D, prefix cache", "2P2D", true), ("4A", "4A", false), ("8P8D", "8P8D", false)]
    {
        // About four fifths of what the prefill units can do.
        let gap = if split == "8P8D" { 16_000_000 } else { 64_000_000 };
        group.bench_function(name, |b| b.iter(|| black_box(play(split, gap, prefix_cache))));
    }
    group.finish();
}

criterion_group!(benches, cluster);
criterion_main!(benches);
