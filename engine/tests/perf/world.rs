//! GPUs, models and constants for the tests.

use std::collections::BTreeMap;

use engine::perf::{
    Attention, Constant, Constants, Deployment, Dtype, Experts, Ffn, Gpu, HandoffStart, Memory, Model, Parallel, Parts,
    Precision, Price, Prior, PriorKind, ScaleUp, Window,
};
use proptest::test_runner::{Config, RngSeed};

/// The same cases every time.
pub(crate) fn random() -> Config {
    Config { rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..Config::default() }
}

pub(crate) fn gpu() -> Gpu {
    Gpu {
        name: "mesh".to_owned(),
        bf16_flops: 1307e12,
        fp8_flops: 2615e12,
        hbm_bytes: 256e9,
        hbm_bytes_per_s: 6.0e12,
        scale_up: ScaleUp { bytes_per_s: 448e9, pair_bytes_per_s: Some(64e9) },
        nic_bytes_per_s: 50e9,
        price: Price { low: 1.95, high: 2.25 },
    }
}

pub(crate) fn dense() -> Model {
    Model {
        name: "dense".to_owned(),
        layers: 36,
        hidden: 4096,
        heads: 32,
        vocab: 151_936,
        tied_head: false,
        attention: Attention::Grouped { kv_heads: 8, head_dim: 128 },
        ffn: Ffn::Dense { inner: 12_288 },
        window: None,
    }
}

/// The shape of Qwen3-235B-A22B.
pub(crate) fn experts() -> Model {
    Model {
        name: "experts".to_owned(),
        layers: 94,
        heads: 64,
        attention: Attention::Grouped { kv_heads: 4, head_dim: 128 },
        ffn: Ffn::Experts(Experts {
            count: 128,
            chosen: 8,
            inner: 1536,
            shared_inner: 0,
            dense_layers: 0,
            dense_inner: 0,
        }),
        ..dense()
    }
}

/// The shape of DeepSeek-V3.
pub(crate) fn latent() -> Model {
    Model {
        name: "latent".to_owned(),
        layers: 61,
        hidden: 7168,
        heads: 128,
        vocab: 129_280,
        tied_head: false,
        attention: Attention::Latent { query_rank: 1536, latent: 512, rope: 64, nope: 128, value: 128 },
        ffn: Ffn::Experts(Experts {
            count: 256,
            chosen: 8,
            inner: 2048,
            shared_inner: 2048,
            dense_layers: 3,
            dense_inner: 18_432,
        }),
        window: None,
    }
}

/// The shape of GPT-OSS-120B.
pub(crate) fn windowed() -> Model {
    Model {
        name: "windowed".to_owned(),
        layers: 36,
        hidden: 2880,
        heads: 64,
        vocab: 201_088,
        tied_head: false,
        attention: Attention::Grouped { kv_heads: 8, head_dim: 64 },
        ffn: Ffn::Experts(Experts {
            count: 128,
            chosen: 4,
            inner: 2880,
            shared_inner: 0,
            dense_layers: 0,
            dense_inner: 0,
        }),
        window: Some(Window { layers: 18, positions: 128 }),
    }
}

pub(crate) fn models() -> [Model; 4] {
    [dense(), experts(), latent(), windowed()]
}

/// A value with a spread of a fifth.
pub(crate) fn prior(value: f64) -> Prior {
    Prior { value, spread: (0.2 * value).max(0.01), kind: PriorKind::Prior, source: "a test".to_owned() }
}

pub(crate) fn constants() -> Constants {
    let base = Constant::ALL.into_iter().map(|constant| {
        let value = match constant {
            Constant::GemmPower => 4.0,
            Constant::ExpertPower | Constant::MixedFactor => 1.0,
            Constant::ExpertImbalance => 1.2,
            _ if constant.si() < 1.0 => 12.0,
            _ => 0.6,
        };
        (constant, prior(value))
    });
    Constants::new(base.collect(), BTreeMap::from([(Constant::LayerFloor, prior(40.0))])).expect("constants")
}

pub(crate) fn parts(model: Model, tp: u32) -> Parts {
    let ep = if matches!(model.ffn, Ffn::Experts(_)) { tp } else { 1 };
    Parts {
        gpu: gpu(),
        model,
        parallel: Parallel { tp, ep, attention_dp: 1 },
        precision: Precision::all(Dtype::Fp8),
        constants: constants(),
        memory: Memory { share: 0.9, activation_bytes: 8e9, max_context: 32_768, sequences: 256 },
        gpus_per_node: 8,
        handoff: HandoffStart::default(),
    }
}

pub(crate) fn deployment(model: Model, tp: u32) -> Deployment {
    Deployment::new(parts(model, tp)).expect("a deployment")
}
