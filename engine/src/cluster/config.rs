//! What a cluster is made of.

use crate::units::{Nanos, Role, SplitError};

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
    /// After the KV hand-off, as in vLLM and `SGLang`: the transfer is part of TTFT.
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

/// Why a cluster could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// A size or a limit is zero.
    #[error("`{0}` is 0, at least 1 is needed")]
    Zero(&'static str),
    /// The watermark is not a share.
    #[error("a watermark of {0} thousandths leaves no block to use, at most 999 are allowed")]
    Watermark(u32),
    /// The split cannot serve requests.
    #[error(transparent)]
    Split(#[from] SplitError),
}

impl ClusterConfig {
    /// Checks that a request could be served.
    ///
    /// # Errors
    /// When a size or a limit is zero, or the watermark is no share.
    pub fn check(&self) -> Result<(), ClusterError> {
        for (name, value) in [
            ("block_tokens", self.block_tokens),
            ("blocks_per_unit", self.blocks_per_unit),
            ("max_context", self.max_context),
            ("prefill.tokens", self.prefill.tokens),
            ("prefill.sequences", self.prefill.sequences),
            ("decode.tokens", self.decode.tokens),
            ("decode.sequences", self.decode.sequences),
            ("aggregated.tokens", self.aggregated.tokens),
            ("aggregated.sequences", self.aggregated.sequences),
        ] {
            if value == 0 {
                return Err(ClusterError::Zero(name));
            }
        }
        if self.watermark_permille > 999 {
            return Err(ClusterError::Watermark(self.watermark_permille));
        }
        Ok(())
    }

    /// The step limits of a unit with `role`.
    pub fn limits(&self, role: Role) -> BatchLimits {
        match role {
            Role::Prefill => self.prefill,
            Role::Decode => self.decode,
            Role::Aggregated => self.aggregated,
        }
    }

    /// Blocks that `tokens` positions need.
    pub fn blocks_for(&self, tokens: u32) -> u32 {
        tokens.div_ceil(self.block_tokens)
    }

    /// Blocks that admission leaves free on units with `role`. Prompts alone never grow, so units that only prefill need none.
    pub(crate) fn watermark(&self, role: Role) -> u32 {
        if role.can_decode() {
            (u64::from(self.blocks_per_unit) * u64::from(self.watermark_permille) / 1000) as u32
        } else {
            0
        }
    }
}
