//! How many parameters a model has, and what they weigh on one GPU.

use super::dtype::{Dtype, Precision};
use super::model::{Attention, Ffn, Model};
use super::parallel::Parallel;

/// Parameters, by how they are stored and divided among GPUs.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    /// Divided among the ranks of tensor parallelism.
    divided: f64,
    /// Of keys and values: divided, but at least one head a rank.
    kv: f64,
    /// On every rank.
    replicated: f64,
    /// Of routed experts.
    experts: f64,
    /// Of embedding and output head, always in bf16.
    vocabulary: f64,
}

impl Model {
    /// All parameters.
    pub fn parameters(&self) -> f64 {
        let count = self.count();
        count.divided + count.kv + count.replicated + count.experts + count.vocabulary
    }

    /// The parameters that compute one token.
    pub fn active_parameters(&self) -> f64 {
        let idle = match self.ffn {
            Ffn::Dense { .. } => 0.0,
            Ffn::Experts(experts) => 1.0 - f64::from(experts.chosen) / f64::from(experts.count),
        };
        self.parameters() - self.count().experts * idle
    }

    /// Bytes of weights of the whole model, once.
    pub fn weight_bytes(&self, precision: Precision) -> f64 {
        self.weight_bytes_per_gpu(precision, Parallel::default())
    }

    /// Bytes of weights on one GPU. Key and value heads are replicated where there are fewer than ranks, and the
    /// compressing projections of latent attention everywhere.
    pub fn weight_bytes_per_gpu(&self, precision: Precision, parallel: Parallel) -> f64 {
        let count = self.count();
        let tp = f64::from(parallel.tp);
        let kv_share = match self.attention {
            Attention::Grouped { kv_heads, .. } => (1.0 / tp).max(1.0 / f64::from(kv_heads)),
            Attention::Latent { .. } => 1.0 / tp,
        };
        let dense = count.divided / tp + count.kv * kv_share + count.replicated;
        dense * precision.weights.bytes()
            + count.experts / f64::from(parallel.gpus()) * precision.experts.bytes()
            + count.vocabulary / tp * Dtype::Bf16.bytes()
    }

    fn count(&self) -> Count {
        let (layers, hidden, heads) = (f64::from(self.layers), f64::from(self.hidden), f64::from(self.heads));
        let queries = self.query_width();
        // Two norms in every layer and one at the end.
        let mut count = Count { replicated: (2.0 * layers + 1.0) * hidden, ..Count::default() };
        match self.attention {
            Attention::Grouped { kv_heads, head_dim } => {
                count.divided += layers * 2.0 * hidden * queries;
                count.kv += layers * 2.0 * hidden * f64::from(kv_heads) * f64::from(head_dim);
            }
            Attention::Latent { query_rank, latent, rope, nope, value } => {
                let (query_rank, latent) = (f64::from(query_rank), f64::from(latent));
                count.replicated += layers * hidden * (query_rank + latent + f64::from(rope));
                let up = query_rank * queries + latent * heads * f64::from(nope + value);
                count.divided += layers * (up + heads * f64::from(value) * hidden);
            }
        }
        match self.ffn {
            Ffn::Dense { inner } => count.divided += layers * 3.0 * hidden * f64::from(inner),
            Ffn::Experts(experts) => {
                let routed = f64::from(self.expert_layers());
                count.experts += routed * 3.0 * hidden * f64::from(experts.count) * f64::from(experts.inner);
                count.replicated += routed * hidden * f64::from(experts.count);
                count.divided += routed * 3.0 * hidden * f64::from(experts.shared_inner);
                count.divided += f64::from(experts.dense_layers) * 3.0 * hidden * f64::from(experts.dense_inner);
            }
        }
        let matrices = if self.tied_head { 1.0 } else { 2.0 };
        count.vocabulary = matrices * hidden * f64::from(self.vocab);
        count
    }
}
