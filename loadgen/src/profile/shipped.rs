//! The profiles that are compiled in.

use super::Kind;

/// Names and texts, in the order of their names.
pub(super) fn of(kind: Kind) -> &'static [(&'static str, &'static str)] {
    match kind {
        Kind::Workload => &[
            ("azure-like", include_str!("../../../profiles/workload/azure-like.toml")),
            ("chat", include_str!("../../../profiles/workload/chat.toml")),
            ("long-answer", include_str!("../../../profiles/workload/long-answer.toml")),
            ("long-prompt", include_str!("../../../profiles/workload/long-prompt.toml")),
            ("wave", include_str!("../../../profiles/workload/wave.toml")),
        ],
        Kind::Slo => &[
            ("interactive", include_str!("../../../profiles/slo/interactive.toml")),
            ("patient", include_str!("../../../profiles/slo/patient.toml")),
            ("smooth", include_str!("../../../profiles/slo/smooth.toml")),
        ],
        Kind::Gpu => &[
            ("b200", include_str!("../../../profiles/gpu/b200.toml")),
            ("cpu-unit", include_str!("../../../profiles/gpu/cpu-unit.toml")),
            ("h100", include_str!("../../../profiles/gpu/h100.toml")),
            ("h200", include_str!("../../../profiles/gpu/h200.toml")),
            ("mi300x", include_str!("../../../profiles/gpu/mi300x.toml")),
            ("mi325x", include_str!("../../../profiles/gpu/mi325x.toml")),
            ("mi355x", include_str!("../../../profiles/gpu/mi355x.toml")),
        ],
        Kind::Model => &[
            ("built-in", include_str!("../../../profiles/model/built-in.toml")),
            ("deepseek-v3", include_str!("../../../profiles/model/deepseek-v3.toml")),
            ("gpt-oss-120b", include_str!("../../../profiles/model/gpt-oss-120b.toml")),
            ("llama-3.1-70b", include_str!("../../../profiles/model/llama-3.1-70b.toml")),
            ("llama-3.1-8b", include_str!("../../../profiles/model/llama-3.1-8b.toml")),
            ("qwen3-0.6b", include_str!("../../../profiles/model/qwen3-0.6b.toml")),
            ("qwen3-235b-a22b", include_str!("../../../profiles/model/qwen3-235b-a22b.toml")),
            ("qwen3-32b", include_str!("../../../profiles/model/qwen3-32b.toml")),
            ("qwen3-8b", include_str!("../../../profiles/model/qwen3-8b.toml")),
        ],
        Kind::Cluster => &[
            ("cpu-built-in", include_str!("../../../profiles/cluster/cpu-built-in.toml")),
            ("h200-llama70b", include_str!("../../../profiles/cluster/h200-llama70b.toml")),
            ("mi325x-deepseek-v3", include_str!("../../../profiles/cluster/mi325x-deepseek-v3.toml")),
            ("mi325x-qwen3-235b", include_str!("../../../profiles/cluster/mi325x-qwen3-235b.toml")),
            ("mi325x-qwen3-235b-june2026", include_str!("../../../profiles/cluster/mi325x-qwen3-235b-june2026.toml")),
        ],
        Kind::Scenario => &[
            ("h200-llama70b-chat", include_str!("../../../profiles/scenario/h200-llama70b-chat.toml")),
            ("mi325x-deepseek-v3-5k140", include_str!("../../../profiles/scenario/mi325x-deepseek-v3-5k140.toml")),
            ("mi325x-qwen3-235b-16k1k", include_str!("../../../profiles/scenario/mi325x-qwen3-235b-16k1k.toml")),
        ],
    }
}
