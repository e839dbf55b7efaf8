//! Products against double precision, and bit for bit against themselves.

use half::f16;
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::*;
use crate::simd::Isa;

fn uniform(seed: u64, count: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..count).map(|_| (rng.next_u32() >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

/// `x W^T` in double precision.
fn exact(x: &[f64], weights: &[f64], inputs: usize) -> Vec<f64> {
    let dot = |x: &[f64], w: &[f64]| x.iter().zip(w).map(|(x, w)| x * w).sum::<f64>();
    x.chunks(inputs).flat_map(|x| weights.chunks(inputs).map(move |w| dot(x, w))).collect()
}

fn doubles(x: &[f32]) -> Vec<f64> {
    x.iter().copied().map(f64::from).collect()
}

/// The numbers that a row's bytes and scales stand for.
fn dequantized(rows: &QuantizedRows) -> Vec<f64> {
    let scale = |i: usize| f64::from(rows.scales[i / Q8_BLOCK]);
    rows.bytes.iter().enumerate().map(|(i, byte)| f64::from(*byte) * scale(i)).collect()
}

/// Weights as a file's blocks, and the numbers they stand for.
fn file_blocks(weights: &[f32]) -> (Vec<u8>, Vec<f64>) {
    let (mut file, mut numbers) = (Vec::new(), Vec::new());
    for (i, block) in weights.chunks(Q8_BLOCK).enumerate() {
        // Scales of either sign, and every byte, -128 included: what a file may hold.
        let scale = f16::from_f32(if i % 5 == 4 { -0.01 } else { 0.003 * (1 + i % 7) as f32 });
        file.extend(scale.to_le_bytes());
        for weight in block {
            let byte = (weight * 128.0).floor() as i8;
            file.push(byte.cast_unsigned());
            numbers.push(f64::from(byte) * scale.to_f64());
        }
    }
    (file, numbers)
}

fn quantized(x: &[f32], inputs: usize) -> QuantizedRows {
    let mut rows = QuantizedRows::new();
    rows.quantize(x, inputs).expect("whole blocks");
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_f32_product_is_close_to_exact_and_its_rows_stand_alone(
        columns in 1_usize..100, inputs in 1_usize..200, rows in 1_usize..20, seed in any::<u64>(),
    ) {
        let (x, weights) = (uniform(seed, rows * inputs), uniform(!seed, columns * inputs));
        let matrix = F32Matrix::new(&weights, columns, inputs).expect("a sound shape");
        let mut out = vec![f32::NAN; rows * columns];
        matrix.forward(&x, &mut out).expect("sound lengths");
        for (out, exact) in out.iter().zip(exact(&doubles(&x), &doubles(&weights), inputs)) {
            prop_assert!((f64::from(*out) - exact).abs() < 1e-6 * inputs as f64);
        }
        for (x, out) in x.chunks(inputs).zip(out.chunks(columns)) {
            let mut alone = vec![f32::NAN; columns];
            matrix.forward(x, &mut alone).expect("sound lengths");
            prop_assert_eq!(bits(out), bits(&alone));
        }
        for isa in Isa::all() {
            let mut other = vec![f32::NAN; rows * columns];
            matrix.forward_with(isa, &x, &mut other).expect("sound lengths");
            prop_assert_eq!(bits(&out), bits(&other), "{:?}", isa);
        }
    }

    #[test]
    fn a_q8_product_is_close_to_exact_and_its_rows_stand_alone(
        columns in 1_usize..100, blocks in 1_usize..20, rows in 1_usize..20, seed in any::<u64>(),
    ) {
        let inputs = blocks * Q8_BLOCK;
        let x = uniform(seed, rows * inputs);
        let (file, weights) = file_blocks(&uniform(!seed, columns * inputs));
        let matrix = Q8Matrix::from_blocks(&file, columns, inputs).expect("a sound shape");
        let packed = quantized(&x, inputs);
        let mut out = vec![f32::NAN; rows * columns];
        matrix.forward(&packed, &mut out).expect("sound lengths");
        for (out, exact) in out.iter().zip(exact(&dequantized(&packed), &weights, inputs)) {
            prop_assert!((f64::from(*out) - exact).abs() < 4e-6 * inputs as f64, "{out} {exact}");
        }
        for (x, out) in x.chunks(inputs).zip(out.chunks(columns)) {
            let mut alone = vec![f32::NAN; columns];
            matrix.forward(&quantized(x, inputs), &mut alone).expect("sound lengths");
            prop_assert_eq!(bits(out), bits(&alone));
        }
        for isa in Isa::all() {
            let mut other = vec![f32::NAN; rows * columns];
            matrix.forward_with(isa, &packed, &mut other).expect("sound lengths");
            prop_assert_eq!(bits(&out), bits(&other), "{:?}", isa);
        }
    }

    #[test]
    fn quantised_numbers_are_within_half_a_step(x in prop::collection::vec(-50_f32..50.0, Q8_BLOCK)) {
        let rows = quantized(&x, Q8_BLOCK);
        let step = f64::from(rows.scales[0]);
        for (x, near) in x.iter().zip(dequantized(&rows)) {
            prop_assert!((f64::from(*x) - near).abs() <= step * 0.5001);
        }
        prop_assert_eq!(rows.sums[0], rows.bytes.iter().map(|b| i32::from(*b)).sum::<i32>());
        prop_assert!(rows.bytes.iter().all(|b| *b > -128) && rows.bytes.iter().any(|b| b.abs() == 127));
    }
}

#[test]
fn quantised_weights_give_nearly_the_product_of_the_weights_themselves() {
    let (columns, inputs, rows) = (48, 576, 5);
    let (x, weights) = (uniform(1, rows * inputs), uniform(2, columns * inputs));
    let matrix = Matrix::Q8(Q8Matrix::quantize(&weights, columns, inputs).expect("a sound shape"));
    let mut out = vec![0.0; rows * columns];
    matrix.forward(&mut Rows::new(&x, &mut QuantizedRows::new()), &mut out).expect("sound lengths");
    let exact = exact(&doubles(&x), &doubles(&weights), inputs);
    let error: f64 = out.iter().zip(&exact).map(|(out, exact)| (f64::from(*out) - exact).powi(2)).sum();
    let power: f64 = exact.iter().map(|exact| exact.powi(2)).sum();
    assert!((error / power).sqrt() < 0.01, "relative error {}", (error / power).sqrt());
}

#[test]
fn matrices_share_one_quantisation_of_their_rows() {
    let (x, mut scratch) = (uniform(1, 3 * 64), QuantizedRows::new());
    let weights = uniform(2, 32 * 64);
    let q8 = Matrix::Q8(Q8Matrix::quantize(&weights, 32, 64).expect("a sound shape"));
    let f32 = Matrix::F32(F32Matrix::new(&weights, 32, 64).expect("a sound shape"));
    let (mut first, mut second, mut third) = (vec![0.0; 96], vec![0.0; 96], vec![0.0; 96]);
    let mut rows = Rows::new(&x, &mut scratch);
    f32.forward(&mut rows, &mut third).expect("sound lengths");
    q8.forward(&mut rows, &mut first).expect("sound lengths");
    q8.forward(&mut rows, &mut second).expect("sound lengths");
    assert_eq!(bits(&first), bits(&second));
    assert!(first.iter().zip(&third).all(|(a, b)| (a - b).abs() < 0.2) && bits(&first) != bits(&third));
    // Other rows in the same buffers are quantised anew.
    let others = uniform(9, 3 * 64);
    q8.forward(&mut Rows::new(&others, &mut scratch), &mut second).expect("sound lengths");
    assert_ne!(bits(&first), bits(&second));
}

#[test]
fn a_block_of_zeros_or_of_numbers_too_small_becomes_zeros() {
    let rows = quantized(&[[0.0; Q8_BLOCK], [1e-35; Q8_BLOCK]].concat(), 2 * Q8_BLOCK);
    assert!(rows.bytes.iter().all(|&byte| byte == 0));
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    assert!(F32Matrix::new(&[0.0; 6], 2, 4).is_err());
    assert!(F32Matrix::new(&[], 0, 4).is_err());
    assert!(Q8Matrix::quantize(&[0.0; 33], 1, 33).is_err());
    assert!(Q8Matrix::from_blocks(&[0; 33], 1, 32).is_err());
    assert!(QuantizedRows::new().quantize(&[0.0; 40], 32).is_err());
    let matrix = Q8Matrix::quantize(&[0.5; 64], 2, 32).expect("a sound shape");
    assert!(matrix.forward(&quantized(&[0.5; 64], 64), &mut [0.0; 2]).is_err());
    assert!(matrix.forward(&quantized(&[0.5; 64], 32), &mut [0.0; 3]).is_err());
    let matrix = F32Matrix::new(&[0.5; 64], 2, 32).expect("a sound shape");
    assert!(matrix.forward(&[0.5; 40], &mut [0.0; 2]).is_err());
    assert!(matrix.forward(&[0.5; 64], &mut [0.0; 2]).is_err());
}
