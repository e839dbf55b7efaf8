//! Small random checkpoints, written as Hugging Face folders.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use engine::model::counter;
use serde_json::{Value, json};

/// The shape of the checkpoints.
pub(crate) const VOCAB: usize = 160;
const HIDDEN: usize = 64;
const FFN: usize = 96;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const HEAD: usize = 32;
const LAYERS: usize = 3;

/// The `config.json` of a small Qwen3.
pub(crate) fn config() -> Value {
    json!({
        "architectures": ["Qwen3ForCausalLM"], "hidden_size": HIDDEN, "intermediate_size": FFN,
        "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HEAD,
        "vocab_size": VOCAB, "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
        "tie_word_embeddings": false, "attention_bias": false, "hidden_act": "silu", "eos_token_id": 1,
    })
}

/// The tensors of a small Qwen3.
pub(crate) fn tensors(seed: u64) -> HashMap<String, Tensor> {
    let mut tensors = HashMap::new();
    let mut add = |name: String, shape: &[usize], mean: f32, deviation: f32| {
        let key = counter::stream(seed, tensors.len() as u64);
        let count: usize = shape.iter().product();
        let values: Vec<f32> = (0..count as u64)
            .map(|n| mean + deviation * (12f64.sqrt() * (counter::unit_interval(key, n) - 0.5)) as f32)
            .collect();
        tensors.insert(name, Tensor::from_vec(values, shape, &Device::Cpu).expect("a tensor"));
    };
    let scale = |inputs: usize| 1.0 / (inputs as f32).sqrt();
    add("model.embed_tokens.weight".into(), &[VOCAB, HIDDEN], 0.0, 1.0);
    for layer in 0..LAYERS {
        let mut part = |name: &str, shape: &[usize], mean: f32, deviation: f32| {
            add(format!("model.layers.{layer}.{name}.weight"), shape, mean, deviation);
        };
        part("input_layernorm", &[HIDDEN], 1.0, 0.2);
        part("self_attn.q_proj", &[HEADS * HEAD, HIDDEN], 0.0, scale(HIDDEN));
        part("self_attn.k_proj", &[KV_HEADS * HEAD, HIDDEN], 0.0, scale(HIDDEN));
        part("self_attn.v_proj", &[KV_HEADS * HEAD, HIDDEN], 0.0, scale(HIDDEN));
        part("self_attn.q_norm", &[HEAD], 1.5, 0.2);
        part("self_attn.k_norm", &[HEAD], 1.5, 0.2);
        part("self_attn.o_proj", &[HIDDEN, HEADS * HEAD], 0.0, scale(HEADS * HEAD));
        part("post_attention_layernorm", &[HIDDEN], 1.0, 0.2);
        part("mlp.gate_proj", &[FFN, HIDDEN], 0.0, scale(HIDDEN));
        part("mlp.up_proj", &[FFN, HIDDEN], 0.0, scale(HIDDEN));
        part("mlp.down_proj", &[HIDDEN, FFN], 0.0, scale(FFN));
    }
    add("model.norm.weight".into(), &[HIDDEN], 1.0, 0.2);
    add("lm_head.weight".into(), &[VOCAB, HIDDEN], 0.0, 3.0 * scale(HIDDEN));
    tensors
}

/// Writes everything but the weights.
pub(crate) fn write_texts(folder: &Path, config: &Value) {
    std::fs::write(folder.join("config.json"), config.to_string()).expect("config.json");
    let vocab: HashMap<String, usize> = (0..VOCAB).map(|i| (format!("w{i}"), i)).collect();
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w0"},
    });
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).expect("tokenizer.json");
}

/// Writes a whole folder with the weights in one file.
pub(crate) fn write(folder: &Path, seed: u64) {
    write_texts(folder, &config());
    candle_core::safetensors::save(&tensors(seed), folder.join("model.safetensors")).expect("model.safetensors");
}
