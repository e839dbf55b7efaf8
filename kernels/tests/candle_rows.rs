//! Whether a row of candle's products keeps its bits when other rows join the call.
//!
//! The engine promises that a sequence's logits do not depend on what is batched with it. These tests record for which of
//! candle's products that holds, and so why this crate has its own.

use candle_core::quantized::{GgmlDType, QMatMul, QTensor};
use candle_core::{Device, Module, Result, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const ROWS: usize = 100;

fn uniform(rows: usize, columns: usize) -> Result<Tensor> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let numbers = (0..rows * columns).map(|_| (rng.next_u32() >> 8) as f32 / 8_388_608.0 - 1.0).collect();
    Tensor::from_vec(numbers, (rows, columns), &Device::Cpu)
}

fn bits(tensor: &Tensor) -> Result<Vec<Vec<u32>>> {
    let rows = tensor.to_vec2::<f32>()?;
    Ok(rows.into_iter().map(|row| row.into_iter().map(f32::to_bits).collect()).collect())
}

/// Whether the rows of calls with 2 to 100 rows have the bits of the same rows alone.
fn rows_stand_alone(product: impl Fn(&Tensor) -> Result<Tensor>, inputs: usize) -> Result<bool> {
    let x = uniform(ROWS, inputs)?;
    let mut alone = Vec::new();
    for row in 0..ROWS {
        alone.extend(bits(&product(&x.narrow(0, row, 1)?)?)?);
    }
    for rows in [2, 3, 7, 8, 32, ROWS] {
        if bits(&product(&x.narrow(0, 0, rows)?)?)? != alone[..rows] {
            return Ok(false);
        }
    }
    Ok(true)
}

#[test]
fn rows_of_candles_q8_0_product_stand_alone_on_both_of_its_paths() -> Result<()> {
    // 256 divides 512 and 1536 (the repacked path), not 576 and 64 (the plain one).
    for (columns, inputs) in [(64, 512), (64, 1536), (64, 576), (50, 64)] {
        let weights = QTensor::quantize(&uniform(columns, inputs)?, GgmlDType::Q8_0)?;
        let matrix = QMatMul::from_qtensor(weights)?;
        assert!(rows_stand_alone(|x| matrix.forward(x), inputs)?, "{columns} x {inputs}");
    }
    Ok(())
}

/// Should this ever fail, candle has gained the property and this crate's own `F32Matrix` is worth another look.
#[test]
#[cfg(target_arch = "x86_64")]
fn rows_of_candles_f32_product_do_not_stand_alone() -> Result<()> {
    let weights = uniform(576, 576)?.t()?;
    assert!(!rows_stand_alone(|x| x.matmul(&weights), 576)?);
    Ok(())
}
