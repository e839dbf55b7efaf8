//! Parameters, bytes of weights and bytes of keys and values, against published figures.

use engine::perf::{Deployment, Dtype, Parallel, Precision};
use proptest::prelude::*;

use super::world::{dense, deployment, experts, latent, parts, windowed};

fn assert_near(found: f64, published: f64, tolerance: f64) {
    assert!((found / published - 1.0).abs() < tolerance, "{found:e} instead of {published:e}");
}

#[test]
fn parameters_are_those_that_the_models_are_named_after() {
    assert_near(dense().parameters(), 8.2e9, 0.01);
    assert_near(experts().parameters(), 235e9, 0.01);
    assert_near(experts().active_parameters(), 22e9, 0.02);
    assert_near(latent().parameters(), 671e9, 0.01);
    assert_near(latent().active_parameters(), 37e9, 0.02);
    assert_near(windowed().parameters(), 117e9, 0.01);
    assert_near(windowed().active_parameters(), 5.1e9, 0.13);
}

#[test]
fn keys_and_values_take_what_is_published() {
    let whole = |model: &engine::perf::Model, tp| model.kv_bytes_per_token_per_rank(Dtype::Bf16, tp);
    assert_near(whole(&dense(), 1), 147_456.0, 1e-12);
    assert_near(whole(&experts(), 1), 192_512.0, 1e-12);
    assert_near(whole(&latent(), 1), 70_272.0, 1e-12);
    assert_near(whole(&windowed(), 1), 73_728.0, 1e-12);
    // Four heads on eight ranks: each is there twice. The measured hand-off of this model at TP8 moves 385 kB a token.
    assert_near(8.0 * whole(&experts(), 8), 385_024.0, 1e-12);
    // The latent is on every rank.
    assert_near(whole(&latent(), 8), 70_272.0, 1e-12);
    // Half of the layers stop growing at 128 positions.
    let grown =
        windowed().kv_bytes_per_rank(Dtype::Bf16, 1, 1_128.0) - windowed().kv_bytes_per_rank(Dtype::Bf16, 1, 128.0);
    assert_near(grown, 36_864.0 * 1_000.0, 1e-12);
}

#[test]
fn four_bit_experts_weigh_a_quarter() {
    // Published: 60.8 GiB of MXFP4 experts with the rest in bf16.
    let precision = Precision { weights: Dtype::Bf16, experts: Dtype::Fp4, kv: Dtype::Bf16 };
    assert_near(windowed().weight_bytes(precision), 60.8 * (1u64 << 30) as f64, 0.02);
}

#[test]
fn what_is_replicated_is_handed_off_as_often_and_attention_by_data_parallelism_avoids_it() {
    let by_tensor = deployment(latent(), 8);
    assert_near(by_tensor.handoff_bytes(1_000), 8.0 * 35_136_000.0, 1e-12);
    let mut by_data = parts(latent(), 8);
    by_data.parallel = Parallel { tp: 1, ep: 8, attention_dp: 8 };
    by_data.memory.max_context = 16_384;
    let by_data = Deployment::new(by_data).expect("a deployment");
    assert_near(by_data.handoff_bytes(1_000), 35_136_000.0, 1e-12);
    // Attention's own weights are then on every GPU, but each GPU keeps other sequences.
    assert!(by_data.weight_bytes_per_gpu() > by_tensor.weight_bytes_per_gpu());
    assert!(by_data.kv_blocks(16) > 4 * by_tensor.kv_blocks(16));
    // A sequence that lives on one GPU has one network card.
    assert_near(by_tensor.handoff().bytes_per_s, 8.0 * by_data.handoff().bytes_per_s, 1e-12);
}

proptest! {
    #![proptest_config(super::world::random())]

    #[test]
    fn blocks_fill_what_is_left_and_no_more(tokens in 1u32..512, share in 0.5..0.95f64) {
        let mut parts = parts(experts(), 8);
        parts.memory.share = share;
        let deployment = Deployment::new(parts).expect("a deployment");
        let block = f64::from(tokens) * experts().kv_bytes_per_token_per_rank(Dtype::Fp8, 8);
        let blocks = f64::from(deployment.kv_blocks(tokens));
        prop_assert!(blocks * block <= deployment.kv_bytes_per_gpu());
        prop_assert!((blocks + 1.0) * block > deployment.kv_bytes_per_gpu());
    }

    #[test]
    fn more_ranks_never_hold_more_each(tp in prop::sample::select(vec![1u32, 2, 4])) {
        for model in [experts(), latent(), dense(), windowed()] {
            let bytes = |tp| model.weight_bytes_per_gpu(Precision::all(Dtype::Fp8), Parallel { tp, ep: 1, attention_dp: 1 });
            prop_assert!(bytes(2 * tp) < bytes(tp) && 2.0 * bytes(2 * tp) >= bytes(tp));
            let kv = |tp| model.kv_bytes_per_token_per_rank(Dtype::Fp8, tp);
            prop_assert!(kv(2 * tp) <= kv(tp));
        }
    }
}
