//! In single precision the engine agrees with two other implementations of the same models: Hugging Face transformers
//! (golden logits in `data/`, made by `data/make_golden.py`) and candle-transformers.

use std::collections::HashMap;
use std::path::Path;

use crate::checkpoint;
use crate::steps::{BLOCK, Work, blocks, generate, prompt, step};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::qwen3;
use engine::executor::Sampled;
use engine::executor::cpu::{CpuExecutor, CpuModel, KvDtype, executors};
use engine::model::ModelSource;

/// Largest difference of a logit. Logits are up to 10 in size, and a thousand additions in another order, at a relative
/// error of 6e-8 each, leave about 1e-5.
const TOLERANCE: f32 = 1e-4;

fn unit(folder: &Path) -> CpuExecutor {
    let model = CpuModel::load(&ModelSource::Folder(folder.to_owned())).expect("a model");
    executors(&model, 1, 32, BLOCK, KvDtype::F32).expect("executors").remove(0)
}

/// The logits after each token of `prompt`, one step a token, and each from the whole prefix at once for every tenth.
fn assert_logits(unit: &mut CpuExecutor, prompt: &[u32], expected: &[Vec<f32>]) {
    let table = blocks(0, 16);
    for (index, expected) in expected.iter().enumerate() {
        step(unit, &[Work::new(&prompt[..=index], index, &table)]);
        assert_close(unit.logits(), expected, index);
        if index % 10 == 9 {
            step(unit, &[Work::new(&prompt[..=index], 0, &blocks(16, 16))]);
            assert_close(unit.logits(), expected, index);
        }
    }
}

fn assert_close(found: &[f32], expected: &[f32], index: usize) {
    assert_eq!(found.len(), expected.len());
    for (token, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() < TOLERANCE, "token {token} after {index}: {found} instead of {expected}");
    }
}

fn tokens(sampled: &[Sampled]) -> Vec<u32> {
    sampled.iter().map(|sampled| sampled.token).collect()
}

fn golden(name: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let golden =
        candle_core::safetensors::load(folder.join("golden.safetensors"), &Device::Cpu).expect("the golden file");
    let ids = |name: &str| golden[name].to_dtype(DType::U32).and_then(|ids| ids.to_vec1::<u32>()).expect("ids");
    let logits = golden["logits"].to_vec2::<f32>().expect("logits");
    let (prompt, answer) = (ids("prompt"), ids("answer"));
    let mut unit = unit(&folder);
    assert_logits(&mut unit, &prompt, &logits);
    let found = generate(&mut unit, &prompt, &[33], answer.len(), &blocks(0, 16));
    assert_eq!(tokens(&found), answer);
    assert_eq!(unit.model().eos(), [1]);
}

#[test]
fn qwen3_agrees_with_transformers() {
    golden("tiny-qwen3");
}

#[test]
fn llama_with_scaled_rope_and_a_tied_head_agrees_with_transformers() {
    golden("tiny-llama");
}

/// candle-transformers' dense Qwen3 on the tensors of a checkpoint.
fn candle(tensors: HashMap<String, Tensor>) -> qwen3::ModelForCausalLM {
    let config: qwen3::Config = {
        let mut json = checkpoint::config();
        json["use_sliding_window"] = false.into();
        json["max_window_layers"] = 0.into();
        serde_json::from_value(json).expect("candle's config")
    };
    let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
    qwen3::ModelForCausalLM::new(&config, weights).expect("candle's model")
}

#[test]
fn qwen3_agrees_with_candle_transformers() {
    const ANSWER: usize = 32;
    let folder = tempfile::tempdir().expect("a folder");
    checkpoint::write(folder.path(), 4);
    let mut reference = candle(checkpoint::tensors(4));
    let prompt = prompt(8, 60, checkpoint::VOCAB as u32);

    let mut forward = |tokens: &[u32], offset: usize| -> Vec<f32> {
        let input = Tensor::new(tokens, &Device::Cpu).and_then(|t| t.unsqueeze(0)).expect("input");
        let logits = reference.forward(&input, offset).expect("candle's logits");
        logits.flatten_all().and_then(|t| t.to_vec1()).expect("logits")
    };
    let mut unit = unit(folder.path());
    let table = blocks(0, 16);
    let mut text = prompt.clone();
    let mut start = 0;
    for index in 0..ANSWER {
        let expected = forward(&text[start..], start);
        let sampled = step(&mut unit, &[Work::new(&text, start, &table)]);
        assert_close(unit.logits(), &expected, index);
        let best = (0..expected.len()).max_by(|&a, &b| expected[a].total_cmp(&expected[b]).then(b.cmp(&a)));
        assert_eq!(sampled[0].token as usize, best.expect("a token"));
        start = text.len();
        text.push(sampled[0].token);
    }
}
