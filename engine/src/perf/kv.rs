//! Bytes of keys and values.
//!
//! A rank of tensor parallelism holds at least one key and value head, and the whole latent: where there are more ranks than
//! heads, heads are replicated, and with MLA everything is. So memory, reads and hand-off all grow with the ranks; only
//! attention by data parallelism avoids it (measured: 385 kB a token handed off by Qwen3-235B at TP8, twice its 193 kB).

use super::dtype::Dtype;
use super::model::{Attention, Model};
use super::parallel::Parallel;

impl Model {
    /// Numbers kept for one position in one layer on one of `tp` ranks.
    pub(super) fn kv_width_per_rank(&self, tp: u32) -> f64 {
        match self.attention {
            Attention::Grouped { kv_heads, head_dim } => {
                2.0 * (f64::from(kv_heads) / f64::from(tp)).max(1.0) * f64::from(head_dim)
            }
            Attention::Latent { latent, rope, .. } => f64::from(latent + rope),
        }
    }

    /// Bytes of one token in all layers on one rank; layers with a window count as if it were never full.
    pub fn kv_bytes_per_token_per_rank(&self, kv: Dtype, tp: u32) -> f64 {
        f64::from(self.layers) * self.kv_width_per_rank(tp) * kv.bytes()
    }

    /// Bytes of a sequence of `tokens` on one rank: layers with a window keep no more than that.
    pub fn kv_bytes_per_rank(&self, kv: Dtype, tp: u32, tokens: f64) -> f64 {
        let width = self.kv_width_per_rank(tp) * kv.bytes();
        let window = self.window.map_or(0.0, |window| tokens.min(f64::from(window.positions)));
        width * (f64::from(self.full_layers()) * tokens + f64::from(self.window_layers()) * window)
    }

    /// Bytes that cross the network when a sequence of `tokens` is handed off: all that its ranks hold.
    pub fn kv_bytes_handed_off(&self, kv: Dtype, parallel: Parallel, tokens: f64) -> f64 {
        self.kv_bytes_per_rank(kv, parallel.tp, tokens) * f64::from(parallel.tp)
    }
}
