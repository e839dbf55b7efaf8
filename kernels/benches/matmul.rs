//! Matrix products beside candle's, in one run: `CANDLE_NUM_THREADS=1 RAYON_NUM_THREADS=1 cargo bench -p pdtune-kernels
//! --bench matmul -- --quick`. Throughput is in multiply-adds.
//!
//! `1024x3072` is a projection of Qwen3-0.6B, `576x1536` one of SmolLM2-135M, whose width candle's packed path refuses.

#[path = "support/cpu_time.rs"]
mod cpu_time;

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{Device, Error, Module, Result, Tensor};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use kernels::matmul::{F32Matrix, Q8Matrix, QuantizedRows};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

fn uniform(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| (rng.next_u32() >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

fn products(criterion: &mut Criterion, inputs: usize, columns: usize) -> Result<()> {
    let weights = uniform(1, inputs * columns);
    let q8 = Q8Matrix::quantize(&weights, columns, inputs).map_err(Error::wrap)?;
    let f32 = F32Matrix::new(&weights, columns, inputs).map_err(Error::wrap)?;
    let tensor = Tensor::from_vec(weights, (columns, inputs), &Device::Cpu)?;
    let candle_q8 = QMatMul::from_qtensor(QTensor::quantize(&tensor, GgmlDType::Q8_0)?)?;
    let candle_f32 = tensor.t()?;
    let mut group = criterion.benchmark_group(format!("{inputs}x{columns}"));
    for rows in [1, 8, 32, 512] {
        let x = uniform(2, rows * inputs);
        let tensor = Tensor::from_slice(&x, (rows, inputs), &Device::Cpu)?;
        let (mut packed, mut out) = (QuantizedRows::new(), vec![0.0; rows * columns]);
        group.throughput(Throughput::Elements((rows * inputs * columns) as u64));
        group.bench_function(BenchmarkId::new("q8", rows), |bench| {
            cpu_time::iter(bench, || packed.quantize(&x, inputs).and_then(|()| q8.forward(&packed, &mut out)));
        });
        group.bench_function(BenchmarkId::new("q8-candle", rows), |bench| {
            cpu_time::iter(bench, || candle_q8.forward(&tensor));
        });
        group
            .bench_function(BenchmarkId::new("f32", rows), |bench| cpu_time::iter(bench, || f32.forward(&x, &mut out)));
        group.bench_function(BenchmarkId::new("f32-candle", rows), |bench| {
            cpu_time::iter(bench, || tensor.matmul(&candle_f32));
        });
    }
    group.finish();
    Ok(())
}

fn matmul(criterion: &mut Criterion) {
    for (inputs, columns) in [(1024, 3072), (576, 1536)] {
        if let Err(error) = products(criterion, inputs, columns) {
            criterion.bench_function(&format!("failed: {error}"), |_| ());
        }
    }
}

criterion_group!(benches, matmul);
criterion_main!(benches);
