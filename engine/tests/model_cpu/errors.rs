//! Weights that are not what they should be are refused in one line that names the file, the tensor, or the key.

use std::path::Path;

use candle_core::quantized::{GgmlDType, QTensor, gguf_file};
use candle_core::{Device, Tensor};
use engine::executor::cpu::CpuModel;
use engine::model::ModelSource;
use serde_json::json;

use crate::checkpoint;

fn zeros(shape: &[usize]) -> Tensor {
    Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).expect("zeros")
}

/// Loads what must not load; the message.
fn refused(source: &ModelSource) -> String {
    let message = CpuModel::load(source).map(|_| ()).expect_err("it must be refused").to_string();
    assert!(!message.contains('\n'), "one line: {message}");
    message
}

/// The message for a folder that `spoil` has changed.
fn spoilt(spoil: impl FnOnce(&Path)) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    checkpoint::write(folder.path(), 1);
    spoil(folder.path());
    refused(&ModelSource::Folder(folder.path().to_owned()))
}

/// The message for a folder whose tensors `change` has changed.
fn with_tensors(change: impl FnOnce(&mut std::collections::HashMap<String, Tensor>)) -> String {
    spoilt(|folder| {
        let mut tensors = checkpoint::tensors(1);
        change(&mut tensors);
        candle_core::safetensors::save(&tensors, folder.join("model.safetensors")).expect("weights");
    })
}

#[test]
fn a_missing_tensor_is_named_with_its_shape() {
    let message = with_tensors(|tensors| {
        tensors.remove("model.layers.1.mlp.up_proj.weight");
    });
    assert_eq!(message, "tensor `model.layers.1.mlp.up_proj.weight` of shape [96, 64] is missing");
}

#[test]
fn a_misshapen_tensor_is_named_with_both_shapes() {
    let message = with_tensors(|tensors| {
        tensors.insert("model.layers.2.self_attn.k_proj.weight".into(), zeros(&[128, 64]));
    });
    let expected = "tensor `model.layers.2.self_attn.k_proj.weight` has shape [128, 64], expected [64, 64]";
    assert_eq!(message, expected);
}

#[test]
fn an_unknown_tensor_is_named() {
    let message = with_tensors(|tensors| {
        tensors.insert("model.layers.0.self_attn.q_proj.bias".into(), zeros(&[128]));
    });
    let expected = "tensor `model.layers.0.self_attn.q_proj.bias` of shape [128] is not part of this architecture";
    assert_eq!(message, expected);
}

#[test]
fn a_tensor_of_integers_is_refused() {
    let message = with_tensors(|tensors| {
        let integers = zeros(&[64]).to_dtype(candle_core::DType::U8).expect("integers");
        tensors.insert("model.norm.weight".into(), integers);
    });
    let expected = "tensor `model.norm.weight` has number format U8: only F32, F16 and BF16 can be read";
    assert_eq!(message, expected);
}

#[test]
fn missing_and_damaged_files_are_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let message = spoilt(|folder| std::fs::remove_file(folder.join(file)).expect("removed"));
        assert!(message.contains(&format!("no {file}")), "{message}");
        let message = spoilt(|folder| std::fs::write(folder.join(file), b"{\"half\":").expect("written"));
        assert!(message.contains(file) && message.contains("not a readable"), "{message}");
    }
    let message = spoilt(|folder| {
        let path = folder.join("model.safetensors");
        let bytes = std::fs::read(&path).expect("weights");
        std::fs::write(path, &bytes[..bytes.len() / 2]).expect("half the weights");
    });
    assert!(message.contains("model.safetensors: not a readable safetensors file"), "{message}");
}

#[test]
fn an_unsupported_architecture_is_named_with_the_supported_ones() {
    let message = spoilt(|folder| {
        let mut config = checkpoint::config();
        config["architectures"] = json!(["MixtralForCausalLM"]);
        checkpoint::write_texts(folder, &config);
    });
    for expected in ["`MixtralForCausalLM` is not supported", "Qwen3ForCausalLM", "LlamaForCausalLM"] {
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn shards_are_read_through_their_index_and_a_missing_one_is_named() {
    let write = |folder: &Path| {
        let (first, second): (Vec<_>, Vec<_>) =
            checkpoint::tensors(1).into_iter().partition(|(name, _)| name.contains("layers.1."));
        let mut map = serde_json::Map::new();
        for (file, tensors) in
            [("model-00001-of-00002.safetensors", first), ("model-00002-of-00002.safetensors", second)]
        {
            map.extend(tensors.iter().map(|(name, _)| (name.clone(), json!(file))));
            candle_core::safetensors::save(&tensors.into_iter().collect(), folder.join(file)).expect("a shard");
        }
        let index = json!({"metadata": {}, "weight_map": map}).to_string();
        std::fs::write(folder.join("model.safetensors.index.json"), index).expect("the index");
        std::fs::remove_file(folder.join("model.safetensors")).expect("removed");
    };
    let folder = tempfile::tempdir().expect("a folder");
    checkpoint::write(folder.path(), 1);
    write(folder.path());
    assert!(CpuModel::load(&ModelSource::Folder(folder.path().to_owned())).is_ok(), "both shards are read");
    std::fs::remove_file(folder.path().join("model-00002-of-00002.safetensors")).expect("removed");
    let message = refused(&ModelSource::Folder(folder.path().to_owned()));
    assert!(message.contains("model-00002-of-00002.safetensors"), "{message}");
}

/// Writes a GGUF file with these metadata and an embedding.
fn gguf(path: &Path, metadata: &[(&str, gguf_file::Value)]) {
    let embedding = QTensor::quantize(&zeros(&[8, 32]), GgmlDType::F32).expect("a tensor");
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    let mut file = std::fs::File::create(path).expect("a file");
    gguf_file::write(&mut file, &metadata, &[("token_embd.weight", &embedding)]).expect("written");
}

#[test]
fn gguf_files_that_are_damaged_or_of_other_models_are_refused() {
    use gguf_file::Value::String;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.gguf");
    let source = ModelSource::Gguf(path.clone());
    assert!(refused(&source).contains("model.gguf: No such file"));

    gguf(&path, &[("general.architecture", String("mamba".into()))]);
    assert!(refused(&source).contains("architecture `mamba` is not supported"), "{}", refused(&source));
    gguf(&path, &[("general.architecture", String("qwen3".into()))]);
    assert_eq!(refused(&source), "model configuration has no `qwen3.embedding_length`");

    let whole = std::fs::read(&path).expect("the file");
    for length in [3, 10, 40, whole.len() - 1100] {
        std::fs::write(&path, &whole[..length]).expect("cut");
        let message = refused(&source);
        assert!(message.contains("model.gguf: not a readable GGUF file"), "{length} bytes: {message}");
    }
}
