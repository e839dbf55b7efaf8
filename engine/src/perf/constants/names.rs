//! The constants, with their keys, units and what they may be.

use serde::{Deserialize, Serialize};

/// A constant. The key that a profile uses ends in the unit, shares of a peak have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(usize)]
pub enum Constant {
    /// Share of the peak FLOP/s that large matrix products reach.
    GemmMfu,
    /// Share of the memory bandwidth that matrix products of few rows reach.
    GemmMbu,
    /// Time of the smallest matrix product.
    #[serde(rename = "gemm_floor_us")]
    GemmFloor,
    /// The exponent that joins compute and memory time: 1 adds them, many take the larger.
    GemmPower,
    /// Share of the peak bf16 FLOP/s that attention over prompts reaches.
    PromptAttentionMfu,
    /// Time of the smallest attention over prompts.
    #[serde(rename = "prompt_attention_floor_us")]
    PromptAttentionFloor,
    /// Share of the memory bandwidth that decode attention reaches.
    DecodeAttentionMbu,
    /// Time of the smallest decode attention.
    #[serde(rename = "decode_attention_floor_us")]
    DecodeAttentionFloor,
    /// Share of the peak bf16 FLOP/s that decode attention over latents reaches.
    LatentAttentionMfu,
    /// Share of the peak FLOP/s that routed experts reach.
    ExpertMfu,
    /// Share of the memory bandwidth that routed experts reach.
    ExpertMbu,
    /// Time of the smallest pass through routed experts: routing, permutation, launches.
    #[serde(rename = "expert_floor_us")]
    ExpertFloor,
    /// As [`Constant::GemmPower`], of routed experts.
    ExpertPower,
    /// Load of the busiest GPU over the mean, where experts are divided.
    ExpertImbalance,
    /// Time of a layer that does not depend on its size.
    #[serde(rename = "layer_floor_us")]
    LayerFloor,
    /// Share of the memory bandwidth that norms, activations and residuals reach.
    ElementwiseMbu,
    /// Time of the smallest all-reduce.
    #[serde(rename = "all_reduce_floor_us")]
    AllReduceFloor,
    /// Share of the link bandwidth that large all-reduces reach.
    AllReduceEfficiency,
    /// Time of the smallest dispatch and combine of tokens among experts, both together.
    #[serde(rename = "all_to_all_floor_us")]
    AllToAllFloor,
    /// Share of the link bandwidth that dispatch and combine reach.
    AllToAllEfficiency,
    /// Time of a step outside the GPU.
    #[serde(rename = "step_overhead_us")]
    StepOverhead,
    /// Time outside the GPU for each sequence that samples.
    #[serde(rename = "sequence_overhead_us")]
    SequenceOverhead,
    /// By how much a step with decode and prompt tokens takes longer than the formula says.
    MixedFactor,
    /// Time until the first byte of a hand-off moves.
    #[serde(rename = "handoff_setup_ms")]
    HandoffSetup,
    /// Share of the bandwidth of all network cards of a unit that a hand-off reaches.
    HandoffEfficiency,
    /// Time in `Switching` of a unit that shifts.
    #[serde(rename = "role_switch_ms")]
    RoleSwitch,
    /// Time in `Warming` of a unit that shifts.
    #[serde(rename = "role_warm_ms")]
    RoleWarm,
    /// Time that a step of an aggregated unit takes besides, where many units are aggregated; none unless a profile says so.
    #[serde(rename = "replica_overhead_us")]
    ReplicaOverhead,
}

/// What more of a constant does to the time of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::perf) enum Effect {
    /// A part of it is longer in proportion.
    Time,
    /// A part of it is shorter in inverse proportion.
    Rate,
    /// Something else.
    Shape,
}

impl Constant {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 28] = [
        Self::GemmMfu,
        Self::GemmMbu,
        Self::GemmFloor,
        Self::GemmPower,
        Self::PromptAttentionMfu,
        Self::PromptAttentionFloor,
        Self::DecodeAttentionMbu,
        Self::DecodeAttentionFloor,
        Self::LatentAttentionMfu,
        Self::ExpertMfu,
        Self::ExpertMbu,
        Self::ExpertFloor,
        Self::ExpertPower,
        Self::ExpertImbalance,
        Self::LayerFloor,
        Self::ElementwiseMbu,
        Self::AllReduceFloor,
        Self::AllReduceEfficiency,
        Self::AllToAllFloor,
        Self::AllToAllEfficiency,
        Self::StepOverhead,
        Self::SequenceOverhead,
        Self::MixedFactor,
        Self::HandoffSetup,
        Self::HandoffEfficiency,
        Self::RoleSwitch,
        Self::RoleWarm,
        Self::ReplicaOverhead,
    ];

    /// The key in a profile.
    pub fn key(self) -> &'static str {
        match self {
            Self::GemmMfu => "gemm_mfu",
            Self::GemmMbu => "gemm_mbu",
            Self::GemmFloor => "gemm_floor_us",
            Self::GemmPower => "gemm_power",
            Self::PromptAttentionMfu => "prompt_attention_mfu",
            Self::PromptAttentionFloor => "prompt_attention_floor_us",
            Self::DecodeAttentionMbu => "decode_attention_mbu",
            Self::DecodeAttentionFloor => "decode_attention_floor_us",
            Self::LatentAttentionMfu => "latent_attention_mfu",
            Self::ExpertMfu => "expert_mfu",
            Self::ExpertMbu => "expert_mbu",
            Self::ExpertFloor => "expert_floor_us",
            Self::ExpertPower => "expert_power",
            Self::ExpertImbalance => "expert_imbalance",
            Self::LayerFloor => "layer_floor_us",
            Self::ElementwiseMbu => "elementwise_mbu",
            Self::AllReduceFloor => "all_reduce_floor_us",
            Self::AllReduceEfficiency => "all_reduce_efficiency",
            Self::AllToAllFloor => "all_to_all_floor_us",
            Self::AllToAllEfficiency => "all_to_all_efficiency",
            Self::StepOverhead => "step_overhead_us",
            Self::SequenceOverhead => "sequence_overhead_us",
            Self::MixedFactor => "mixed_factor",
            Self::HandoffSetup => "handoff_setup_ms",
            Self::HandoffEfficiency => "handoff_efficiency",
            Self::RoleSwitch => "role_switch_ms",
            Self::RoleWarm => "role_warm_ms",
            Self::ReplicaOverhead => "replica_overhead_us",
        }
    }

    /// The SI value of one unit of the key.
    pub fn si(self) -> f64 {
        let key = self.key();
        if key.ends_with("_us") {
            1e-6
        } else if key.ends_with("_ms") {
            1e-3
        } else {
            1.0
        }
    }

    /// Whether every cluster has it: what was seen of few need not be said of others.
    pub fn is_required(self) -> bool {
        self != Self::ReplicaOverhead
    }

    /// What more of it does to the time of a step.
    pub(in crate::perf) fn effect(self) -> Effect {
        match self {
            Self::GemmPower | Self::ExpertPower => Effect::Shape,
            Self::ExpertImbalance | Self::MixedFactor => Effect::Time,
            _ if self.si() < 1.0 => Effect::Time,
            _ => Effect::Rate,
        }
    }

    /// The least and the most that it may be, in the unit of the key. A floor of more than 10 ms is one in another unit.
    pub fn range(self) -> (f64, f64) {
        match self {
            Self::GemmPower | Self::ExpertPower | Self::ExpertImbalance => (1.0, 16.0),
            Self::MixedFactor => (0.5, 4.0),
            Self::StepOverhead => (0.0, 1e6),
            Self::HandoffSetup => (0.0, 1e4),
            Self::RoleSwitch | Self::RoleWarm => (0.0, 3.6e6),
            Self::HandoffEfficiency => (1e-3, 1.0),
            _ if self.si() < 1.0 => (0.0, 1e4),
            _ => (0.01, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_serde_and_positions_those_of_the_list() {
        for (position, constant) in Constant::ALL.into_iter().enumerate() {
            assert_eq!(constant as usize, position);
            let key = format!("\"{}\"", constant.key());
            assert_eq!(serde_json::to_string(&constant).expect("a word"), key);
            assert_eq!(serde_json::from_str::<Constant>(&key).expect("a constant"), constant);
        }
    }
}
