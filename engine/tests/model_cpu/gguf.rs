//! A GGUF file holds the same model as the folder that it was made from, whatever order and format its tensors are in.

use std::collections::HashMap;
use std::path::Path;

use crate::checkpoint;
use crate::steps::{BLOCK, Work, blocks, prompt, step};
use candle_core::quantized::gguf_file::Value;
use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use candle_core::{DType, Device, Tensor};
use engine::executor::cpu::{CpuExecutor, CpuModel, KvDtype, executors};
use engine::model::config::{Rope, RopeScaling};
use engine::model::{ChatMessage, ModelConfig, ModelSource};

fn load(source: &ModelSource) -> CpuExecutor {
    let model = CpuModel::load(source).expect("a model");
    executors(&model, 1, 16, BLOCK, KvDtype::F32).expect("executors").remove(0)
}

/// The GGUF name of a tensor of a Hugging Face checkpoint.
fn gguf_name(name: &str) -> String {
    let renamed = [
        ("model.embed_tokens", "token_embd"),
        ("model.norm", "output_norm"),
        ("lm_head", "output"),
        ("model.layers.", "blk."),
        ("input_layernorm", "attn_norm"),
        ("post_attention_layernorm", "ffn_norm"),
        ("self_attn.q_norm", "attn_q_norm"),
        ("self_attn.k_norm", "attn_k_norm"),
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
    ];
    renamed.iter().fold(name.to_owned(), |name, (from, to)| name.replace(from, to))
}

/// Rows of one head reordered from two halves to interleaved pairs, as converters to GGUF do for the Llama family.
fn interleaved(weights: &Tensor, head_dim: usize) -> Tensor {
    let (rows, inputs) = weights.dims2().expect("a matrix");
    let heads = weights.reshape((rows / head_dim, 2, head_dim / 2, inputs)).expect("heads");
    heads.transpose(1, 2).and_then(|t| t.contiguous()?.reshape((rows, inputs))).expect("rows")
}

/// Writes `tensors` as GGUF: matrices in `format`, vectors in single precision.
fn write(path: &Path, config: &ModelConfig, tensors: &HashMap<String, Tensor>, format: GgmlDType, llama: bool) {
    let architecture = if llama { "llama" } else { "qwen3" };
    let number = |n: usize| Value::U32(n as u32);
    let texts = |words: &[&str]| Value::Array(words.iter().map(|w| Value::String((*w).into())).collect());
    let sized = [
        ("block_count", number(config.layers)),
        ("embedding_length", number(config.hidden)),
        ("feed_forward_length", number(config.ffn)),
        ("attention.head_count", number(config.heads)),
        ("attention.head_count_kv", number(config.kv_heads)),
        ("attention.key_length", number(config.head_dim)),
        ("context_length", number(config.context)),
        ("attention.layer_norm_rms_epsilon", Value::F32(config.norm_epsilon)),
        ("rope.freq_base", Value::F32(config.rope.theta as f32)),
    ];
    let mut metadata: Vec<(String, Value)> =
        sized.into_iter().map(|(key, value)| (format!("{architecture}.{key}"), value)).collect();
    metadata.extend([
        ("general.architecture".into(), Value::String(architecture.into())),
        ("tokenizer.ggml.model".into(), Value::String("gpt2".into())),
        ("tokenizer.ggml.tokens".into(), texts(&["h", "i", "hi", "<end>"])),
        ("tokenizer.ggml.merges".into(), texts(&["h i"])),
        ("tokenizer.ggml.eos_token_id".into(), Value::U32(3)),
        ("tokenizer.chat_template".into(), Value::String("{{ messages[0].content }}{{ eos_token }}".into())),
    ]);
    let mut written = Vec::new();
    for (name, tensor) in tensors {
        let mut tensor = tensor.to_dtype(DType::F32).expect("single precision");
        if llama && (name.contains("q_proj") || name.contains("k_proj")) {
            tensor = interleaved(&tensor, config.head_dim);
        }
        let format = if tensor.rank() == 1 { GgmlDType::F32 } else { format };
        written.push((gguf_name(name), QTensor::quantize(&tensor, format).expect("a tensor")));
    }
    if config.rope.scaling != RopeScaling::None {
        let plain = Rope { theta: config.rope.theta, scaling: RopeScaling::None }.frequencies(config.head_dim);
        let scaled = config.rope.frequencies(config.head_dim);
        let divisors: Vec<f32> = plain.iter().zip(&scaled).map(|(plain, scaled)| plain / scaled).collect();
        let tensor = Tensor::new(divisors, &Device::Cpu).expect("divisors");
        written.push(("rope_freqs.weight".into(), QTensor::quantize(&tensor, GgmlDType::F32).expect("a tensor")));
    }
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    let written: Vec<(&str, &QTensor)> = written.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    gguf_file::write(&mut std::fs::File::create(path).expect("a file"), &metadata, &written).expect("written");
}

fn logits(unit: &mut CpuExecutor, prompt: &[u32]) -> Vec<f32> {
    step(unit, &[Work::new(prompt, 0, &blocks(0, 8))]);
    unit.logits().to_vec()
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_qwen3_file_in_single_precision_gives_the_bits_of_the_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    checkpoint::write(folder.path(), 2);
    let mut dense = load(&ModelSource::Folder(folder.path().to_owned()));
    let path = folder.path().join("model.gguf");
    write(&path, dense.model().config(), &checkpoint::tensors(2), GgmlDType::F32, false);
    let mut unit = load(&ModelSource::Gguf(path));
    assert_eq!(unit.model().config(), dense.model().config());
    let prompt = prompt(1, 50, checkpoint::VOCAB as u32);
    assert_eq!(logits(&mut unit, &prompt), logits(&mut dense, &prompt));

    let model = unit.model();
    assert_eq!(model.eos(), [3]);
    assert_eq!(model.tokenizer().encode("hi", false).expect("ids"), [2]);
    let rendered = model.chat_template().expect("a template").render(&[ChatMessage::user("hi")]).expect("a prompt");
    assert_eq!(rendered, "hi<end>");
}

#[test]
fn a_llama_file_with_interleaved_rows_and_frequency_divisors_is_the_same_model() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-llama");
    let tensors = candle_core::safetensors::load(data.join("model.safetensors"), &Device::Cpu).expect("weights");
    let mut dense = load(&ModelSource::Folder(data));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    write(&path, dense.model().config(), &tensors, GgmlDType::F32, true);
    let mut unit = load(&ModelSource::Gguf(path));
    let prompt = prompt(1, 50, 96);
    let difference = largest_difference(&logits(&mut unit, &prompt), &logits(&mut dense, &prompt));
    // The divisors are rounded to single precision, nothing else differs.
    assert!(difference < 1e-4, "{difference}");
}

#[test]
fn quantised_formats_stay_near_the_model_they_were_made_from() {
    let folder = tempfile::tempdir().expect("a folder");
    checkpoint::write(folder.path(), 2);
    let mut dense = load(&ModelSource::Folder(folder.path().to_owned()));
    let prompt = prompt(1, 50, checkpoint::VOCAB as u32);
    let exact = logits(&mut dense, &prompt);
    let size = (exact.iter().map(|x| x * x).sum::<f32>() / exact.len() as f32).sqrt();
    // Errors of one matrix product relative to its output: eight bits about 0.5 %, four bits about 5 %; a few layers add up.
    for (format, bound) in [(GgmlDType::F16, 0.02), (GgmlDType::Q8_0, 0.12), (GgmlDType::Q4_1, 0.8)] {
        let path = folder.path().join("model.gguf");
        write(&path, dense.model().config(), &checkpoint::tensors(2), format, false);
        let found = logits(&mut load(&ModelSource::Gguf(path)), &prompt);
        let difference = largest_difference(&found, &exact) / size;
        assert!(difference < bound, "{format:?}: {difference} of the logits' size {size}");
        assert!(difference > 0.0, "{format:?} must have been rounded");
    }
}
