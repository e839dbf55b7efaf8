//! The parts of a model, what each file format calls them, and their shapes.

use crate::model::config::ModelConfig;

/// One tensor of a model; those of a layer are told apart by the layer's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Embedding,
    AttentionNorm,
    Query,
    Key,
    Value,
    QueryNorm,
    KeyNorm,
    Output,
    FfnNorm,
    Gate,
    Up,
    Down,
    Norm,
    Head,
}

const LAYER_PARTS: [Part; 11] = [
    Part::AttentionNorm,
    Part::Query,
    Part::Key,
    Part::Value,
    Part::QueryNorm,
    Part::KeyNorm,
    Part::Output,
    Part::FfnNorm,
    Part::Gate,
    Part::Up,
    Part::Down,
];

impl Part {
    /// Every tensor that a model of shape `config` has, with its layer (0 outside the layers).
    pub(crate) fn all(config: &ModelConfig) -> Vec<(Self, usize)> {
        let mut parts = vec![(Self::Embedding, 0)];
        let qk_norm = config.family.qk_norm();
        for layer in 0..config.layers {
            let here = LAYER_PARTS.iter().filter(|part| qk_norm || !matches!(part, Self::QueryNorm | Self::KeyNorm));
            parts.extend(here.map(|&part| (part, layer)));
        }
        parts.push((Self::Norm, 0));
        if !config.tied_head {
            parts.push((Self::Head, 0));
        }
        parts
    }

    /// Rows (outputs) and columns (inputs) of a matrix, or the length of a vector.
    pub(crate) fn shape(self, config: &ModelConfig) -> Vec<usize> {
        match self {
            Self::Embedding | Self::Head => vec![config.vocab, config.hidden],
            Self::AttentionNorm | Self::FfnNorm | Self::Norm => vec![config.hidden],
            Self::QueryNorm | Self::KeyNorm => vec![config.head_dim],
            Self::Query => vec![config.query_width(), config.hidden],
            Self::Key | Self::Value => vec![config.kv_width(), config.hidden],
            Self::Output => vec![config.hidden, config.query_width()],
            Self::Gate | Self::Up => vec![config.ffn, config.hidden],
            Self::Down => vec![config.hidden, config.ffn],
        }
    }
}

/// The naming of a file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    HuggingFace,
    Gguf,
}

impl Names {
    /// The name of `part` in `layer`.
    pub(crate) fn of(self, part: Part, layer: usize) -> String {
        let (outside, inside) = match self {
            Self::HuggingFace => match part {
                Part::Embedding => (Some("model.embed_tokens.weight"), ""),
                Part::Norm => (Some("model.norm.weight"), ""),
                Part::Head => (Some("lm_head.weight"), ""),
                Part::AttentionNorm => (None, "input_layernorm"),
                Part::Query => (None, "self_attn.q_proj"),
                Part::Key => (None, "self_attn.k_proj"),
                Part::Value => (None, "self_attn.v_proj"),
                Part::QueryNorm => (None, "self_attn.q_norm"),
                Part::KeyNorm => (None, "self_attn.k_norm"),
                Part::Output => (None, "self_attn.o_proj"),
                Part::FfnNorm => (None, "post_attention_layernorm"),
                Part::Gate => (None, "mlp.gate_proj"),
                Part::Up => (None, "mlp.up_proj"),
                Part::Down => (None, "mlp.down_proj"),
            },
            Self::Gguf => match part {
                Part::Embedding => (Some("token_embd.weight"), ""),
                Part::Norm => (Some("output_norm.weight"), ""),
                Part::Head => (Some("output.weight"), ""),
                Part::AttentionNorm => (None, "attn_norm"),
                Part::Query => (None, "attn_q"),
                Part::Key => (None, "attn_k"),
                Part::Value => (None, "attn_v"),
                Part::QueryNorm => (None, "attn_q_norm"),
                Part::KeyNorm => (None, "attn_k_norm"),
                Part::Output => (None, "attn_output"),
                Part::FfnNorm => (None, "ffn_norm"),
                Part::Gate => (None, "ffn_gate"),
                Part::Up => (None, "ffn_up"),
                Part::Down => (None, "ffn_down"),
            },
        };
        match (outside, self) {
            (Some(name), _) => name.to_owned(),
            (None, Self::HuggingFace) => format!("model.layers.{layer}.{inside}.weight"),
            (None, Self::Gguf) => format!("blk.{layer}.{inside}.weight"),
        }
    }
}
