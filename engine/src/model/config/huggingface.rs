//! The shape from a Hugging Face `config.json`.

use serde_json::Value;

use super::{Family, ModelConfig, Rope, RopeScaling, value_error};
use crate::model::error::ModelError;

/// Reads the shape from the parsed `config.json`.
///
/// # Errors
/// When the architecture is not supported, or an entry is missing or cannot be computed.
pub fn read(json: &Value) -> Result<ModelConfig, ModelError> {
    let family = family(json)?;
    refuse_variants(json)?;
    let hidden = size(json, "hidden_size")?;
    let heads = size(json, "num_attention_heads")?;
    let config = ModelConfig {
        family,
        layers: size(json, "num_hidden_layers")?,
        hidden,
        ffn: size(json, "intermediate_size")?,
        heads,
        kv_heads: if given(json, "num_key_value_heads").is_some() { size(json, "num_key_value_heads")? } else { heads },
        head_dim: match given(json, "head_dim") {
            Some(_) => size(json, "head_dim")?,
            // What transformers assumes for Llama; Qwen3 files always say it.
            None => hidden.checked_div(heads).unwrap_or(0),
        },
        vocab: size(json, "vocab_size")?,
        context: size(json, "max_position_embeddings")?,
        norm_epsilon: number(json, "rms_norm_eps")? as f32,
        rope: rope(json)?,
        tied_head: given(json, "tie_word_embeddings").and_then(Value::as_bool).unwrap_or(false),
    };
    config.check()
}

fn family(json: &Value) -> Result<Family, ModelError> {
    let name = given(json, "architectures").and_then(|names| names.get(0)).and_then(Value::as_str);
    match name {
        Some("Qwen3ForCausalLM") => Ok(Family::Qwen3),
        Some("LlamaForCausalLM") => Ok(Family::Llama),
        Some(other) => Err(ModelError::Architecture { found: other.to_owned() }),
        None => Err(ModelError::ConfigMissing { key: "architectures".to_owned() }),
    }
}

/// Options of the supported families that would change the computation.
fn refuse_variants(json: &Value) -> Result<(), ModelError> {
    for key in ["attention_bias", "mlp_bias", "use_sliding_window"] {
        if given(json, key).and_then(Value::as_bool) == Some(true) {
            return Err(value_error(key, &true, "only false is supported"));
        }
    }
    if let Some(activation) = given(json, "hidden_act").and_then(Value::as_str)
        && activation != "silu"
    {
        return Err(value_error("hidden_act", &activation, "only silu is supported"));
    }
    if given(json, "quantization_config").is_some() {
        return Err(value_error("quantization_config", &"present", "use an unquantised folder or a GGUF file"));
    }
    Ok(())
}

/// Transformers up to 4 write `rope_theta` and `rope_scaling`, from 5 on one object `rope_parameters`.
fn rope(json: &Value) -> Result<Rope, ModelError> {
    let parameters = given(json, "rope_parameters");
    let theta = match parameters.and_then(|p| given(p, "rope_theta")) {
        Some(theta) => theta.as_f64(),
        None => given(json, "rope_theta").map_or(Some(10_000.0), Value::as_f64),
    };
    let theta = theta.ok_or_else(|| value_error("rope_theta", &"not a number", "a number of at least 1"))?;
    let Some(scaling) = parameters.or_else(|| given(json, "rope_scaling")) else {
        return Ok(Rope { theta, scaling: RopeScaling::None });
    };
    let kind = given(scaling, "rope_type").or_else(|| given(scaling, "type")).and_then(Value::as_str);
    let scaling = match kind {
        None | Some("default") => RopeScaling::None,
        Some("linear") => RopeScaling::Linear { factor: number(scaling, "factor")? },
        Some("llama3") => RopeScaling::Llama3 {
            factor: number(scaling, "factor")?,
            low_freq_factor: number(scaling, "low_freq_factor")?,
            high_freq_factor: number(scaling, "high_freq_factor")?,
            original_context: number(scaling, "original_max_position_embeddings")?,
        },
        Some(other) => return Err(value_error("rope_type", &other, "default, linear or llama3")),
    };
    Ok(Rope { theta, scaling })
}

/// The ids that end an answer, from `config.json` or `generation_config.json`: one number or a list.
pub fn eos(json: &Value) -> Vec<u32> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    match given(json, "eos_token_id") {
        Some(Value::Array(ids)) => ids.iter().filter_map(id).collect(),
        Some(one) => id(one).into_iter().collect(),
        None => Vec::new(),
    }
}

/// An entry that is there and not null.
fn given<'a>(json: &'a Value, key: &str) -> Option<&'a Value> {
    json.get(key).filter(|value| !value.is_null())
}

fn size(json: &Value, key: &str) -> Result<usize, ModelError> {
    let value = given(json, key).ok_or_else(|| ModelError::ConfigMissing { key: key.to_owned() })?;
    let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
    number.ok_or_else(|| value_error(key, &value, "a whole number"))
}

fn number(json: &Value, key: &str) -> Result<f64, ModelError> {
    let value = given(json, key).ok_or_else(|| ModelError::ConfigMissing { key: key.to_owned() })?;
    value.as_f64().ok_or_else(|| value_error(key, &value, "a number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn llama() -> Value {
        json!({
            "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 2,
            "intermediate_size": 128, "vocab_size": 100, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
        })
    }

    fn with(key: &str, value: Value) -> Value {
        let mut json = llama();
        json[key] = value;
        json
    }

    #[test]
    fn defaults_are_those_of_transformers() {
        let config = read(&llama()).expect("a config");
        assert_eq!((config.kv_heads, config.head_dim, config.tied_head), (4, 16, false));
        assert_eq!(config.rope, Rope { theta: 10_000.0, scaling: RopeScaling::None });
    }

    #[test]
    fn both_spellings_of_rope_scaling_are_read() {
        let scaling = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64});
        let mut old = with("rope_scaling", scaling.clone());
        old["rope_theta"] = json!(500_000.0);
        let mut new = with("rope_parameters", scaling);
        new["rope_parameters"]["rope_theta"] = json!(500_000.0);
        let old = read(&old).expect("the old spelling");
        assert_eq!(old, read(&new).expect("the new spelling"));
        assert!(matches!(old.rope.scaling, RopeScaling::Llama3 { .. }));
    }

    #[test]
    fn what_cannot_be_computed_is_refused_by_name() {
        let cases = [
            (with("architectures", json!(["GPT2LMHeadModel"])), "architecture `GPT2LMHeadModel` is not supported"),
            (with("attention_bias", json!(true)), "`attention_bias` is true"),
            (with("hidden_act", json!("gelu")), "`hidden_act` is gelu"),
            (with("rope_scaling", json!({"type": "yarn", "factor": 2.0})), "`rope_type` is yarn"),
            (with("vocab_size", Value::Null), "no `vocab_size`"),
            (with("hidden_size", json!("big")), "`hidden_size` is \"big\""),
            (with("num_key_value_heads", json!(3)), "`key-value heads` is 3"),
            (with("num_attention_heads", json!(0)), "`attention heads` is 0"),
        ];
        for (json, expected) in cases {
            let message = read(&json).expect_err(expected).to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn eos_is_a_number_or_a_list() {
        assert_eq!(eos(&json!({"eos_token_id": 2})), [2]);
        assert_eq!(eos(&json!({"eos_token_id": [1, 2]})), [1, 2]);
        assert!(eos(&json!({})).is_empty());
    }
}
