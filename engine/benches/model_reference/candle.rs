//! candle-transformers' side: its quantised and its dense Qwen3 on the weights of the built-in model.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Cursor;

use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::{GgmlDType, QStorage, QTensor, gguf_file};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::{quantized_qwen3, qwen3};
use engine::model::weights::Matrix;
use engine::model::{LoadedModel, ModelConfig, ModelSource};

/// The tensors of the built-in model, with their names in GGUF and in Hugging Face files.
fn tensors() -> (ModelConfig, Vec<(String, String, QTensor)>) {
    let LoadedModel { config, weights, .. } =
        LoadedModel::load(&ModelSource::Builtin { seed: 0 }).expect("the built-in model");
    let matrix = |matrix: &Matrix| {
        let Matrix::Q8_0 { rows, columns, blocks } = matrix else { unreachable!("the built-in model is Q8_0") };
        let storage = QStorage::from_data(Cow::Borrowed(blocks), &Device::Cpu, GgmlDType::Q8_0).expect("blocks");
        QTensor::new(storage, (*rows, *columns)).expect("a matrix")
    };
    let vector = |values: &[f32]| {
        let tensor = Tensor::new(values, &Device::Cpu).expect("a vector");
        QTensor::quantize(&tensor, GgmlDType::F32).expect("a vector")
    };
    let mut named = vec![
        ("token_embd".to_owned(), "model.embed_tokens".to_owned(), matrix(&weights.embedding)),
        ("output_norm".to_owned(), "model.norm".to_owned(), vector(&weights.norm)),
        ("output".to_owned(), "lm_head".to_owned(), matrix(weights.head.as_ref().expect("an untied head"))),
    ];
    for (index, layer) in weights.layers.iter().enumerate() {
        let (query_norm, key_norm) = layer.qk_norm.as_ref().expect("a Qwen3 layer");
        let parts = [
            ("attn_norm", "input_layernorm", vector(&layer.attention_norm)),
            ("attn_q", "self_attn.q_proj", matrix(&layer.query)),
            ("attn_k", "self_attn.k_proj", matrix(&layer.key)),
            ("attn_v", "self_attn.v_proj", matrix(&layer.value)),
            ("attn_q_norm", "self_attn.q_norm", vector(query_norm)),
            ("attn_k_norm", "self_attn.k_norm", vector(key_norm)),
            ("attn_output", "self_attn.o_proj", matrix(&layer.output)),
            ("ffn_norm", "post_attention_layernorm", vector(&layer.ffn_norm)),
            ("ffn_gate", "mlp.gate_proj", matrix(&layer.gate)),
            ("ffn_up", "mlp.up_proj", matrix(&layer.up)),
            ("ffn_down", "mlp.down_proj", matrix(&layer.down)),
        ];
        named.extend(
            parts.map(|(gguf, hf, tensor)| {
                (format!("blk.{index}.{gguf}"), format!("model.layers.{index}.{hf}"), tensor)
            }),
        );
    }
    (config, named)
}

/// Eight-bit weights, one sequence a model: clones share the weights and have caches of their own.
pub(crate) struct Quantized {
    empty: quantized_qwen3::ModelWeights,
    sequences: Vec<quantized_qwen3::ModelWeights>,
    tokens: Vec<u32>,
    position: usize,
}

impl Quantized {
    pub(crate) fn new() -> Self {
        let (config, named) = tensors();
        let number = |n: usize| Value::U32(n as u32);
        let metadata = [
            // Rotary angles in single precision, as the engine has them.
            ("general.dtype", Value::U32(0)),
            ("qwen3.attention.head_count", number(config.heads)),
            ("qwen3.attention.head_count_kv", number(config.kv_heads)),
            ("qwen3.attention.key_length", number(config.head_dim)),
            ("qwen3.block_count", number(config.layers)),
            ("qwen3.embedding_length", number(config.hidden)),
            ("qwen3.context_length", number(1024)),
            ("qwen3.attention.layer_norm_rms_epsilon", Value::F32(config.norm_epsilon)),
            ("qwen3.rope.freq_base", Value::F32(config.rope.theta as f32)),
        ];
        let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value)).collect();
        let names: Vec<String> = named.iter().map(|(name, _, _)| format!("{name}.weight")).collect();
        let written: Vec<_> = names.iter().map(String::as_str).zip(named.iter().map(|(_, _, tensor)| tensor)).collect();
        let mut file = Cursor::new(Vec::new());
        gguf_file::write(&mut file, &metadata, &written).expect("a GGUF file");
        file.set_position(0);
        let content = Content::read(&mut file).expect("a GGUF file");
        let empty = quantized_qwen3::ModelWeights::from_gguf(content, &mut file, &Device::Cpu).expect("candle's model");
        Self { empty, sequences: Vec::new(), tokens: Vec::new(), position: 0 }
    }

    pub(crate) fn logits(&mut self, prompt: &[u32]) -> Vec<f32> {
        self.empty.clear_kv_cache();
        let logits = self.empty.forward(&input(&[prompt.to_vec()]), 0).expect("candle's logits");
        logits.flatten_all().and_then(|t| t.to_vec1()).expect("logits")
    }
}

impl super::Side for Quantized {
    fn prefill(&mut self, prompt: &[u32]) {
        self.empty.clear_kv_cache();
        best(&self.empty.forward(&input(&[prompt.to_vec()]), 0).expect("candle's logits"));
    }

    fn start_decoding(&mut self, prompt: &[u32], batch: usize) {
        self.prefill(prompt);
        self.sequences = vec![self.empty.clone(); batch];
        self.tokens = vec![0; batch];
        self.position = prompt.len();
    }

    fn decode(&mut self) {
        for (sequence, token) in self.sequences.iter_mut().zip(&mut self.tokens) {
            let logits = sequence.forward(&input(&[vec![*token]]), self.position).expect("candle's logits");
            *token = best(&logits)[0];
        }
        self.position += 1;
    }
}

/// Single-precision weights, batches of equal length.
pub(crate) struct Dense {
    model: qwen3::ModelForCausalLM,
    tokens: Vec<u32>,
    position: usize,
}

impl Dense {
    pub(crate) fn new() -> Self {
        let (config, named) = tensors();
        let dense = |tensor: &QTensor| tensor.dequantize(&Device::Cpu).expect("single precision");
        let tensors: HashMap<String, Tensor> =
            named.iter().map(|(_, name, tensor)| (format!("{name}.weight"), dense(tensor))).collect();
        let config = qwen3::Config {
            vocab_size: config.vocab,
            hidden_size: config.hidden,
            intermediate_size: config.ffn,
            num_hidden_layers: config.layers,
            num_attention_heads: config.heads,
            head_dim: config.head_dim,
            attention_bias: false,
            num_key_value_heads: config.kv_heads,
            max_position_embeddings: 1024,
            sliding_window: None,
            max_window_layers: 0,
            tie_word_embeddings: false,
            rope_theta: config.rope.theta,
            rms_norm_eps: f64::from(config.norm_epsilon),
            use_sliding_window: false,
            hidden_act: candle_nn::Activation::Silu,
        };
        let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let model = qwen3::ModelForCausalLM::new(&config, weights).expect("candle's model");
        Self { model, tokens: Vec::new(), position: 0 }
    }
}

impl super::Side for Dense {
    fn prefill(&mut self, prompt: &[u32]) {
        self.start_decoding(prompt, 1);
    }

    fn start_decoding(&mut self, prompt: &[u32], batch: usize) {
        self.model.clear_kv_cache();
        let logits = self.model.forward(&input(&vec![prompt.to_vec(); batch]), 0).expect("candle's logits");
        self.tokens = best(&logits);
        self.position = prompt.len();
    }

    fn decode(&mut self) {
        let rows: Vec<Vec<u32>> = self.tokens.iter().map(|&token| vec![token]).collect();
        self.tokens = best(&self.model.forward(&input(&rows), self.position).expect("candle's logits"));
        self.position += 1;
    }
}

fn input(rows: &[Vec<u32>]) -> Tensor {
    Tensor::new(rows.to_vec(), &Device::Cpu).expect("input")
}

/// The greedy token of every row.
fn best(logits: &Tensor) -> Vec<u32> {
    let ids = logits.argmax(candle_core::D::Minus1).and_then(|ids| ids.flatten_all()?.to_vec1());
    ids.expect("greedy tokens")
}
