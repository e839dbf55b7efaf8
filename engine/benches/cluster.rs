//! Requests a second of CPU time that the cluster schedules in virtual time: `cargo bench --workspace --bench cluster`.
//!
//! A simulation has one thread; what is measured is the CPU time of that thread, so that a busy machine shows the same. Every
//! request has 256 answer tokens, so the output tokens a second are 256 times the elements a second.
#![expect(clippy::expect_used, reason = "a bench that cannot be set up has failed")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::cluster::{Arrival, BatchLimits, BlockHash, Cluster, ClusterConfig, FirstToken, StepShape};
use engine::drive::virtual_time::{Input, Pace, Samples, VirtualDriver};
use engine::executor::sim::{HandOff, StepModel, Tabulated, TabulatedLimits};
use engine::units::{Nanos, RequestId};

const REQUESTS: u64 = 50_000;

/// CPU time of the thread.
struct CpuTime;

impl Measurement for CpuTime {
    type Intermediate = Duration;
    type Value = Duration;

    fn start(&self) -> Duration {
        Duration::from_nanos(kernels::thread::cpu_time_ns().expect("a clock of the thread's CPU time"))
    }

    fn end(&self, started: Duration) -> Duration {
        self.start().saturating_sub(started)
    }

    fn add(&self, one: &Duration, other: &Duration) -> Duration {
        *one + *other
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        WallTime.to_f64(value)
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        (&WallTime as &'static WallTime).formatter()
    }
}

/// A model of 70 billion parameters on eight accelerators of today, roughly.
struct Model;

impl StepModel for Model {
    fn decode_line(&self, decodes: u32) -> (f64, f64) {
        (12e-3 + 30e-6 * f64::from(decodes), 43e-9)
    }

    fn step_seconds(&self, shape: &StepShape) -> f64 {
        let attention = 1e-9 * shape.doubled_pairs as f64 / 2.0 + 43e-9 * shape.context as f64;
        5e-3 + 55e-6 * f64::from(shape.tokens()) + attention + 30e-6 * f64::from(shape.sampled)
    }
}

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

fn tables(config: &ClusterConfig) -> Tabulated {
    let limits = TabulatedLimits {
        prefill: config.prefill,
        decode: config.decode,
        aggregated: config.aggregated,
        granularity: 16,
        hand_off: HandOff {
            bytes_per_token: 320 << 10,
            setup: Nanos(2_000_000),
            link_bytes_per_second: 35_000_000_000,
            layers: 80,
        },
        switch: Nanos(1_000_000_000),
        restart: Nanos(60_000_000_000),
        warm: Nanos(1_000_000_000),
    };
    Tabulated::new(limits, |_| Box::new(Model)).expect("tables")
}

fn mix(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Poisson arrivals of requests of 1024 prompt and 256 answer tokens; a quarter of each prompt is shared with every eighth request.
fn arrivals(rate: f64, prefix_cache: bool) -> impl Iterator<Item = (Nanos, Input)> + Clone + Send {
    let mut at = 0.0;
    (0..REQUESTS).map(move |number| {
        at -= 1e9 / rate * (((mix(number + 77) >> 11) + 1) as f64 / (1_u64 << 53) as f64).ln();
        let hash = |block: u64| {
            let owner = if block < 16 { number % 8 } else { number + 8 };
            BlockHash((owner << 32 | block).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        };
        let prompt_hashes: Arc<[BlockHash]> = if prefix_cache { (0..64).map(hash).collect() } else { Arc::default() };
        let arrival = Arrival { request: RequestId(number), prompt_tokens: 1024, output_tokens: 256, prompt_hashes };
        (Nanos(at as u64), Input::Arrive(arrival))
    })
}

fn play(split: &str, rate: f64, prefix_cache: bool, tables: &Tabulated) -> usize {
    let cluster = Cluster::new(config(prefix_cache), split.parse().expect("a split")).expect("a cluster");
    let samples = Samples::with_capacity(REQUESTS as usize);
    let mut driver = VirtualDriver::with_sink(cluster, tables.clone(), Pace::Bulk, samples);
    driver.feed(arrivals(rate, prefix_cache));
    driver.run();
    driver.sink().rows().iter().filter(|row| row.completed).count()
}

fn cluster(c: &mut Criterion<CpuTime>) {
    let mut group = c.benchmark_group("cluster");
    group.throughput(Throughput::Elements(REQUESTS));
    group.sample_size(10);
    let tables = tables(&config(false));
    // Prefill units are busy for 70 to 85 % of the time.
    for (name, split, rate, prefix_cache) in [
        ("3P5D", "3P5D", 36.0, false),
        ("3P5D, prefix cache", "3P5D", 36.0, true),
        ("4A", "4A", 24.0, false),
        ("8P8D", "8P8D", 96.0, false),
    ] {
        group.bench_function(name, |b| b.iter(|| black_box(play(split, rate, prefix_cache, &tables))));
    }
    group.finish();
}

criterion_group!(name = benches; config = Criterion::default().with_measurement(CpuTime); targets = cluster);
criterion_main!(benches);
