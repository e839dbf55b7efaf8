//! The shape of a model, as its configuration file states it.

use super::error::PerfError;

/// A decoder-only transformer.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Transformer layers.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Query heads.
    pub heads: u32,
    /// Token ids.
    pub vocab: u32,
    /// Whether the embedding is the output head too.
    pub tied_head: bool,
    /// Keys and values.
    pub attention: Attention,
    /// Feed-forward networks.
    pub ffn: Ffn,
    /// Layers that attend to the last few positions only.
    pub window: Option<Window>,
}

/// How keys and values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attention {
    /// Several query heads share a key and a value head (Ainslie et al. 2023); with as many of both, plain multi-head.
    Grouped {
        /// Key and value heads.
        kv_heads: u32,
        /// Width of a head.
        head_dim: u32,
    },
    /// All heads share one compressed latent (MLA; DeepSeek-AI 2024). Queries have `nope + rope` wide heads, values `value`.
    Latent {
        /// Width that queries are compressed to.
        query_rank: u32,
        /// Width of the latent that keys and values are made from.
        latent: u32,
        /// Width of the part of a key with position, shared by all heads.
        rope: u32,
        /// Width of the part of a head's key without position.
        nope: u32,
        /// Width of a head's value.
        value: u32,
    },
}

/// What follows attention in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ffn {
    /// One gated network in every layer.
    Dense {
        /// Its inner width.
        inner: u32,
    },
    /// Experts.
    Experts(Experts),
}

/// A mixture of experts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Experts {
    /// Routed experts in a layer.
    pub count: u32,
    /// How many of them compute a token.
    pub chosen: u32,
    /// Inner width of each.
    pub inner: u32,
    /// Inner width of all shared experts of a layer together; 0 where there are none.
    pub shared_inner: u32,
    /// Leading layers that have a dense network instead.
    pub dense_layers: u32,
    /// Its inner width.
    pub dense_inner: u32,
}

/// Sliding-window attention (Beltagy et al. 2020).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Layers that have it.
    pub layers: u32,
    /// Positions that they see.
    pub positions: u32,
}

impl Model {
    /// Layers whose KV grows with every token.
    pub fn full_layers(&self) -> u32 {
        self.layers - self.window_layers()
    }

    /// Layers whose KV stops growing.
    pub fn window_layers(&self) -> u32 {
        self.window.map_or(0, |window| window.layers).min(self.layers)
    }

    /// Layers with routed experts.
    pub fn expert_layers(&self) -> u32 {
        match self.ffn {
            Ffn::Dense { .. } => 0,
            Ffn::Experts(experts) => self.layers.saturating_sub(experts.dense_layers),
        }
    }

    /// Width of all query heads together.
    pub(super) fn query_width(&self) -> f64 {
        let head = match self.attention {
            Attention::Grouped { head_dim, .. } => head_dim,
            Attention::Latent { rope, nope, .. } => nope + rope,
        };
        f64::from(self.heads) * f64::from(head)
    }

    /// Checks that the shape is one that a transformer can have.
    ///
    /// # Errors
    /// The first key of the model profile that is not.
    pub fn check(&self) -> Result<(), PerfError> {
        let at_least_one = |key: &'static str, value: u32| PerfError::range(key, f64::from(value), 1.0, 1e7);
        at_least_one("layers", self.layers)?;
        at_least_one("hidden", self.hidden)?;
        at_least_one("heads", self.heads)?;
        at_least_one("vocab", self.vocab)?;
        match self.attention {
            Attention::Grouped { kv_heads, head_dim } => {
                at_least_one("attention.kv_heads", kv_heads)?;
                at_least_one("attention.head_dim", head_dim)?;
                if !self.heads.is_multiple_of(kv_heads) {
                    let what = "`heads`".to_owned();
                    return Err(PerfError::Indivisible {
                        key: "attention.kv_heads",
                        value: kv_heads,
                        what,
                        of: self.heads,
                    });
                }
            }
            Attention::Latent { query_rank, latent, rope, nope, value } => {
                at_least_one("latent_attention.query_rank", query_rank)?;
                at_least_one("latent_attention.latent", latent)?;
                at_least_one("latent_attention.rope", rope)?;
                at_least_one("latent_attention.nope", nope)?;
                at_least_one("latent_attention.value", value)?;
            }
        }
        match self.ffn {
            Ffn::Dense { inner } => at_least_one("ffn.inner", inner)?,
            Ffn::Experts(experts) => {
                let count = f64::from(experts.count);
                at_least_one("experts.count", experts.count)?;
                PerfError::range("experts.chosen", f64::from(experts.chosen), 1.0, count)?;
                at_least_one("experts.inner", experts.inner)?;
                PerfError::range("ffn.layers", f64::from(experts.dense_layers), 0.0, f64::from(self.layers) - 1.0)?;
            }
        }
        if let Some(window) = self.window {
            PerfError::range("window.layers", f64::from(window.layers), 1.0, f64::from(self.layers))?;
            at_least_one("window.positions", window.positions)?;
        }
        Ok(())
    }
}
