//! What does not go together is refused, with the key and the numbers.

use engine::perf::{Deployment, Dtype, Parallel, Parts, PerfError, Precision};

use super::world::{dense, experts, latent, parts};

fn refusal(change: impl FnOnce(&mut Parts)) -> (String, String) {
    let mut parts = parts(experts(), 8);
    change(&mut parts);
    let error: PerfError = Deployment::new(parts).expect_err("refused");
    (error.key().to_owned(), error.to_string())
}

#[test]
fn what_does_not_divide_is_named_with_its_numbers() {
    let by = |tp, ep, attention_dp| refusal(|parts| parts.parallel = Parallel { tp, ep, attention_dp }).1;
    assert_eq!(by(6, 6, 1), "`unit.tp` = 6 does not divide `heads` of experts = 64");
    assert_eq!(by(8, 3, 1), "`unit.ep` = 3 does not divide the GPUs of a unit, `tp` times `attention_dp`, = 8");
    assert_eq!(by(0, 1, 1), "`unit.tp` = 0 is not between 1 and 1024");
    let (_, error) = refusal(|parts| {
        parts.model.heads = 96;
        parts.model.attention = engine::perf::Attention::Grouped { kv_heads: 12, head_dim: 128 };
    });
    assert_eq!(error, "`unit.tp` = 8 does not divide `attention.kv_heads` of experts = 12");
    let (_, error) = refusal(|parts| {
        *parts = super::world::parts(dense(), 8);
        parts.parallel.ep = 8;
    });
    assert_eq!(error, "`unit.ep` = 8, but dense has no experts to divide");
    let (_, error) = refusal(|parts| parts.gpus_per_node = 4);
    assert!(error.contains("is 8 GPUs, but a node has 4"), "{error}");
}

#[test]
fn a_model_that_does_not_fit_is_told_how_much_it_needs_and_has() {
    let (key, error) = refusal(|parts| {
        *parts = super::world::parts(latent(), 8);
        parts.precision = Precision::all(Dtype::Bf16);
        parts.gpu.hbm_bytes = 141e9;
    });
    assert_eq!(key, "model");
    assert_eq!(
        error,
        "`model`: each GPU needs 179.86 GB (169.56 of weights, 8.00 of activations, 2.30 of KV for one sequence) and 126.90 GB \
         are available (0.9 of 141)"
    );
}

#[test]
fn a_number_in_the_wrong_unit_is_refused_with_what_is_possible() {
    let (key, error) = refusal(|parts| parts.gpu.hbm_bytes_per_s = 6_000e12);
    assert_eq!((key.as_str(), error.as_str()), ("hbm_tb_per_s", "`hbm_tb_per_s` = 6000 is not between 0.1 and 100"));
    let (key, _) = refusal(|parts| parts.gpu.scale_up.pair_bytes_per_s = Some(500e9));
    assert_eq!(key, "scale_up_pair_gb_per_s");
    let (key, _) = refusal(|parts| parts.memory.share = 90.0);
    assert_eq!(key, "limits.gpu_memory_share");
    let (key, _) = refusal(|parts| parts.gpu.bf16_flops = f64::NAN);
    assert_eq!(key, "bf16_tflops");
}
