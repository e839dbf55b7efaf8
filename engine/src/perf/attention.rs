//! Attention with its projections, on one rank.
//!
//! *Prompts* are bound by compute: every pair of a query and a key or value costs 2 FLOP for each number of its heads, and a
//! chunk of `S` tokens after `C` cached ones has `S·(C + S/2)` pairs under the causal mask. *Decode* is bound by memory:
//! every position of every context is read once, and with it a step is affine in the sum of contexts.
//!
//! *Latent attention* (MLA, DeepSeek-AI 2024) decodes with the projections absorbed: every head reads the same latent, so
//! bytes are few and FLOP many. Both grow in proportion to the sum of contexts, so the larger of the two is one of them for
//! every context, and decode stays affine. Making keys and values again for the cached part of a chunked prompt is left out.
//!
//! *Windows* (Beltagy et al. 2020) are counted as full windows in decode, also for the few contexts that are shorter: with
//! windows of some hundred positions the difference is microseconds, and decode stays affine here, too.

use super::Site;
use super::constants::Constant;
use super::dtype::{Dtype, Precision};
use super::model::{Attention, Model};

/// One rank's part of the attention of one layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct RankAttention<'a> {
    pub site: Site<'a>,
    pub model: &'a Model,
    pub precision: Precision,
    pub tp: u32,
}

impl RankAttention<'_> {
    fn heads(self) -> f64 {
        f64::from(self.model.heads) / f64::from(self.tp)
    }

    /// Seconds of the projections before and after attention for `decodes` and `prompts` tokens.
    pub(super) fn projections(self, decodes: f64, prompts: f64) -> f64 {
        let (tokens, hidden, weights) = (decodes + prompts, f64::from(self.model.hidden), self.precision.weights);
        let gemm = |rows, columns, inner| self.site.gemm(weights, rows, columns, inner);
        match self.model.attention {
            Attention::Grouped { head_dim, .. } => {
                let queries = self.heads() * f64::from(head_dim);
                let kv = self.model.kv_width_per_rank(self.tp);
                gemm(tokens, queries + kv, hidden) + gemm(tokens, hidden, queries)
            }
            Attention::Latent { query_rank, latent, rope, nope, value } => {
                let heads = self.heads();
                let down = f64::from(query_rank + latent + rope);
                let up = gemm(tokens, heads * f64::from(nope + rope), f64::from(query_rank));
                // Prompts make keys and values from latents; decode turns queries into latents and latents into values.
                let latents = |rows| gemm(rows, heads * f64::from(nope + value), f64::from(latent));
                gemm(tokens, down, hidden)
                    + up
                    + latents(prompts)
                    + latents(decodes)
                    + gemm(tokens, hidden, heads * f64::from(value))
            }
        }
    }

    /// Seconds of attention over prompts with `pairs` of query and key positions.
    pub(super) fn prompts(self, pairs: f64) -> f64 {
        let width = match self.model.attention {
            Attention::Grouped { head_dim, .. } => 2 * head_dim,
            Attention::Latent { rope, nope, value, .. } => nope + rope + value,
        };
        let flop = 2.0 * pairs * self.heads() * f64::from(width);
        let rate = self.site.values.get(Constant::PromptAttentionMfu) * self.site.gpu.flops(Dtype::Bf16);
        self.site.values.get(Constant::PromptAttentionFloor) + flop / rate
    }

    /// Seconds for each position of context that a decode step reads, beyond the floor.
    pub(super) fn per_position(self) -> f64 {
        let bytes = self.model.kv_width_per_rank(self.tp) * self.precision.kv.bytes();
        let values = self.site.values;
        let memory = bytes / (values.get(Constant::DecodeAttentionMbu) * self.site.gpu.hbm_bytes_per_s);
        match self.model.attention {
            Attention::Grouped { .. } => memory,
            Attention::Latent { latent, rope, .. } => {
                let flop = 2.0 * self.heads() * f64::from(2 * latent + rope);
                memory.max(flop / (values.get(Constant::LatentAttentionMfu) * self.site.gpu.flops(Dtype::Bf16)))
            }
        }
    }

    /// Seconds of decode attention that do not depend on the context.
    pub(super) fn decode_floor(self) -> f64 {
        self.site.values.get(Constant::DecodeAttentionFloor)
    }
}
