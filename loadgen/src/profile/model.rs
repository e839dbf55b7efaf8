//! A model's shape in TOML.

use engine::perf::{Attention, Experts, Ffn, Model, PerfError, Window};
use serde::{Deserialize, Serialize};

/// What a model's configuration file says of its shape. One of `attention` and `latent_attention`; `ffn`, `experts`, or both
/// where the first layers have no experts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelProfile {
    /// One line for lists.
    pub description: String,
    /// Who says so.
    pub source: String,
    /// Transformer layers.
    pub layers: u32,
    /// Width of the residual stream.
    pub hidden: u32,
    /// Query heads.
    pub heads: u32,
    /// Token ids.
    pub vocab: u32,
    /// Whether the embedding is the output head too.
    #[serde(default)]
    pub tied_head: bool,
    /// Key and value heads.
    pub attention: Option<GroupedAttention>,
    /// Compressed keys and values (MLA).
    pub latent_attention: Option<LatentAttention>,
    /// Dense feed-forward networks.
    pub ffn: Option<DenseFfn>,
    /// A mixture of experts.
    pub experts: Option<RoutedExperts>,
    /// Layers with sliding-window attention.
    pub window: Option<WindowLayers>,
}

/// Key and value heads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupedAttention {
    /// How many of each.
    pub kv_heads: u32,
    /// Width of a head.
    pub head_dim: u32,
}

/// Widths of compressed keys and values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LatentAttention {
    /// Of compressed queries.
    pub query_rank: u32,
    /// Of the latent.
    pub latent: u32,
    /// Of the part of a key with position.
    pub rope: u32,
    /// Of the part of a head's key without.
    pub nope: u32,
    /// Of a head's value.
    pub value: u32,
}

/// Dense networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DenseFfn {
    /// Inner width.
    pub inner: u32,
    /// Leading layers that have one; all where there are no experts.
    pub layers: Option<u32>,
}

/// Experts of a layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoutedExperts {
    /// Routed experts.
    pub count: u32,
    /// How many of them compute a token.
    pub chosen: u32,
    /// Inner width of each.
    pub inner: u32,
    /// Inner width of all shared ones together.
    #[serde(default)]
    pub shared_inner: u32,
}

/// Layers that see the last positions only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowLayers {
    /// How many layers.
    pub layers: u32,
    /// How many positions.
    pub positions: u32,
}

impl ModelProfile {
    /// The model.
    ///
    /// # Errors
    /// When tables are missing or contradict each other, or a number makes no sense.
    pub fn model(&self, name: &str) -> Result<Model, PerfError> {
        let model = Model {
            name: name.to_owned(),
            layers: self.layers,
            hidden: self.hidden,
            heads: self.heads,
            vocab: self.vocab,
            tied_head: self.tied_head,
            attention: self.attention()?,
            ffn: self.ffn()?,
            window: self.window.as_ref().map(|w| Window { layers: w.layers, positions: w.positions }),
        };
        model.check()?;
        Ok(model)
    }

    fn attention(&self) -> Result<Attention, PerfError> {
        match (&self.attention, &self.latent_attention) {
            (Some(grouped), None) => Ok(Attention::Grouped { kv_heads: grouped.kv_heads, head_dim: grouped.head_dim }),
            (None, Some(latent)) => Ok(Attention::Latent {
                query_rank: latent.query_rank,
                latent: latent.latent,
                rope: latent.rope,
                nope: latent.nope,
                value: latent.value,
            }),
            (Some(_), Some(_)) => {
                Err(refuse("latent_attention", "stands beside `attention`: a model has one of the two"))
            }
            (None, None) => Err(refuse("attention", "is missing: a model has it or `latent_attention`")),
        }
    }

    fn ffn(&self) -> Result<Ffn, PerfError> {
        match (&self.ffn, &self.experts) {
            (Some(DenseFfn { inner, layers }), None) => match layers {
                None => Ok(Ffn::Dense { inner: *inner }),
                Some(_) => Err(refuse("ffn.layers", "says which layers have no experts, but there is no `experts`")),
            },
            (dense, Some(experts)) => {
                let (dense_layers, dense_inner) = match dense {
                    None => (0, 0),
                    Some(DenseFfn { inner, layers: Some(layers) }) => (*layers, *inner),
                    Some(DenseFfn { layers: None, .. }) => {
                        return Err(refuse(
                            "ffn",
                            "lacks `layers`: with `experts`, the number of leading layers without any",
                        ));
                    }
                };
                Ok(Ffn::Experts(Experts {
                    count: experts.count,
                    chosen: experts.chosen,
                    inner: experts.inner,
                    shared_inner: experts.shared_inner,
                    dense_layers,
                    dense_inner,
                }))
            }
            (None, None) => Err(refuse("ffn", "is missing: a model has it, `experts` or both")),
        }
    }
}

fn refuse(key: &'static str, why: &str) -> PerfError {
    PerfError::Unsupported { key, why: why.to_owned() }
}
