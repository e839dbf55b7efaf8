//! The shape from the metadata of a GGUF file.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::Value;

use super::{Family, ModelConfig, Rope, RopeScaling, value_error};
use crate::model::error::ModelError;

/// The metadata of a GGUF file.
pub(crate) type Metadata = HashMap<String, Value>;

/// Reads the shape. `vocab` and `tied_head` come from the tensors: metadata need not say them.
///
/// # Errors
/// When the architecture is not supported, or an entry is missing or cannot be computed.
pub(crate) fn read(metadata: &Metadata, vocab: usize, tied_head: bool) -> Result<ModelConfig, ModelError> {
    let architecture = text(metadata, "general.architecture").ok_or_else(|| missing("general.architecture"))?;
    let family = match architecture {
        "qwen3" => Family::Qwen3,
        "llama" => Family::Llama,
        other => return Err(ModelError::Architecture { found: other.to_owned() }),
    };
    let key = |name: &str| format!("{architecture}.{name}");
    let size = |name: &str| required(metadata, &key(name));
    if let Some(experts) = whole(metadata, &key("expert_count"))
        && experts > 0
    {
        return Err(ModelError::Architecture { found: format!("{architecture} with {experts} experts") });
    }
    let hidden = size("embedding_length")?;
    let heads = size("attention.head_count")?;
    let config = ModelConfig {
        family,
        layers: size("block_count")?,
        hidden,
        ffn: size("feed_forward_length")?,
        heads,
        kv_heads: whole(metadata, &key("attention.head_count_kv")).unwrap_or(heads),
        head_dim: whole(metadata, &key("attention.key_length"))
            .unwrap_or_else(|| hidden.checked_div(heads).unwrap_or(0)),
        vocab,
        context: size("context_length")?,
        norm_epsilon: real(metadata, &key("attention.layer_norm_rms_epsilon"))
            .ok_or_else(|| missing(&key("attention.layer_norm_rms_epsilon")))? as f32,
        rope: Rope {
            theta: real(metadata, &key("rope.freq_base")).unwrap_or(10_000.0),
            scaling: match text(metadata, &key("rope.scaling.type")) {
                None | Some("none") => RopeScaling::None,
                Some("linear") => RopeScaling::Linear {
                    factor: real(metadata, &key("rope.scaling.factor"))
                        .ok_or_else(|| missing(&key("rope.scaling.factor")))?,
                },
                Some(other) => return Err(value_error(&key("rope.scaling.type"), &other, "none or linear")),
            },
        },
        tied_head,
    };
    if let Some(values) = whole(metadata, &key("attention.value_length"))
        && values != config.head_dim
    {
        return Err(value_error(&key("attention.value_length"), &values, "it must equal attention.key_length"));
    }
    if let Some(rotated) = whole(metadata, &key("rope.dimension_count"))
        && rotated != config.head_dim
    {
        return Err(value_error(&key("rope.dimension_count"), &rotated, "it must equal the head size"));
    }
    config.check()
}

/// The ids that end an answer: the end of the text and, where there is one, of a turn.
pub(crate) fn eos(metadata: &Metadata) -> Vec<u32> {
    let mut ids: Vec<u32> = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"]
        .into_iter()
        .filter_map(|key| whole(metadata, key))
        .filter_map(|id| u32::try_from(id).ok())
        .collect();
    ids.dedup();
    ids
}

/// A text entry.
pub(crate) fn text<'a>(metadata: &'a Metadata, key: &str) -> Option<&'a str> {
    match metadata.get(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// A whole number in any of the integer formats.
pub(crate) fn whole(metadata: &Metadata, key: &str) -> Option<usize> {
    match *metadata.get(key)? {
        Value::U8(n) => Some(n.into()),
        Value::U16(n) => Some(n.into()),
        Value::U32(n) => usize::try_from(n).ok(),
        Value::U64(n) => usize::try_from(n).ok(),
        Value::I8(n) => usize::try_from(n).ok(),
        Value::I16(n) => usize::try_from(n).ok(),
        Value::I32(n) => usize::try_from(n).ok(),
        Value::I64(n) => usize::try_from(n).ok(),
        _ => None,
    }
}

fn real(metadata: &Metadata, key: &str) -> Option<f64> {
    match *metadata.get(key)? {
        Value::F32(x) => Some(x.into()),
        Value::F64(x) => Some(x),
        _ => whole(metadata, key).map(|n| n as f64),
    }
}

fn required(metadata: &Metadata, key: &str) -> Result<usize, ModelError> {
    match (whole(metadata, key), metadata.get(key)) {
        (Some(n), _) => Ok(n),
        (None, Some(value)) => Err(value_error(key, &format_args!("{value:?}"), "a whole number")),
        (None, None) => Err(missing(key)),
    }
}

fn missing(key: &str) -> ModelError {
    ModelError::ConfigMissing { key: key.to_owned() }
}
