//! What a cluster is made of.

use crate::units::Nanos;

/// The limits of one step of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Most tokens computed in one step, decode tokens included. Prompts are chunked to fit.
    pub tokens: u32,
    /// Most sequences in one step.
    pub sequences: u32,
}

/// When the first token of a disaggregated request reaches the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstToken {
    /// After the KV hand-off, as in vLLM and SGLang: the transfer is part of TTFT.
    #[default]
    AfterHandOff,
    /// As soon as the prefill unit has sampled it.
    FromPrefill,
}

/// The fixed properties of a cluster. All units are alike but for their role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Tokens per KV block.
    pub block_tokens: u32,
    /// KV blocks of each unit.
    pub blocks_per_unit: u32,
    /// Longest sequence, prompt and answer together, that a request may reach.
    pub max_context: u32,
    /// Step limits of units that prefill only.
    pub prefill: BatchLimits,
    /// Step limits of units that decode only.
    pub decode: BatchLimits,
    /// Step limits of units that do both; `tokens` bounds the prompt chunk mixed into decode steps.
    pub aggregated: BatchLimits,
    /// Share of a unit's blocks, in thousandths, that admission of hand-offs leaves free so that running sequences can grow.
    pub watermark_permille: u32,
    /// Whether computed blocks are kept for later prompts with the same prefix.
    pub prefix_cache: bool,
    /// When the first token is emitted.
    pub first_token: FirstToken,
    /// After this long in `Draining`, a `drain` shift gives up and the unit serves its old role again. `None`: never.
    pub drain_timeout: Option<Nanos>,
}
