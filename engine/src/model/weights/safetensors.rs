//! A Hugging Face folder: configuration, tokenizer, chat template and safetensors, in one file or in shards.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use candle_core::safetensors::BufferedSafetensors;
use candle_core::{DType, Device};
use serde_json::Value;

use super::{Matrix, Names, TensorSource, assemble};
use crate::model::chat::ChatTemplate;
use crate::model::config::huggingface;
use crate::model::error::{ModelError, one_line};
use crate::model::tokenizer::Tokenizer;
use crate::model::{LoadedModel, ModelConfig};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Loads the model in `folder`. Weights are computed with in single precision, whatever they are stored in.
///
/// # Errors
/// When a file is missing or damaged, or the model is not supported.
pub fn load(folder: &Path) -> Result<LoadedModel, ModelError> {
    let config_json = required_json(folder, "config.json")?;
    let config = huggingface::read(&config_json)?;
    let tokenizer_file = folder.join("tokenizer.json");
    if !tokenizer_file.is_file() {
        return Err(ModelError::MissingFile { folder: folder.to_owned(), missing: "tokenizer.json" });
    }
    let tokenizer = Tokenizer::from_file(&tokenizer_file)?;
    let chat_template = chat_template(folder)?;
    let eos = match optional_json(&folder.join("generation_config.json"))?.map(|json| huggingface::eos(&json)) {
        Some(ids) if !ids.is_empty() => ids,
        _ => huggingface::eos(&config_json),
    };
    let weights = load_weights(folder, &config)?;
    Ok(LoadedModel { config, weights, tokenizer, chat_template, eos })
}

fn load_weights(folder: &Path, config: &ModelConfig) -> Result<super::Weights, ModelError> {
    let mut shards = Shards::open(folder)?;
    assemble(config, &mut shards)
}

/// Older folders keep the template in `tokenizer_config.json`, newer ones in a file of its own.
fn chat_template(folder: &Path) -> Result<Option<ChatTemplate>, ModelError> {
    let config = optional_json(&folder.join("tokenizer_config.json"))?.unwrap_or_default();
    let file = folder.join("chat_template.jinja");
    let template = match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => match config.get("chat_template") {
            Some(Value::String(text)) => Some(text.clone()),
            // A list of named templates: the one for plain chat is called `default`.
            Some(Value::Array(named)) => named
                .iter()
                .find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"))
                .and_then(|entry| entry.get("template")?.as_str())
                .map(str::to_owned),
            _ => None,
        },
        Err(source) => return Err(ModelError::Read { path: file, source }),
    };
    // A special token is a text, or an object that says more about it.
    let special = |key: &str| {
        let entry = config.get(key)?;
        entry.as_str().or_else(|| entry.get("content")?.as_str()).map(str::to_owned)
    };
    template.map(|text| ChatTemplate::new(text, special("bos_token"), special("eos_token"))).transpose()
}

fn required_json(folder: &Path, name: &'static str) -> Result<Value, ModelError> {
    optional_json(&folder.join(name))?
        .ok_or_else(|| ModelError::MissingFile { folder: folder.to_owned(), missing: name })
}

fn optional_json(path: &Path) -> Result<Option<Value>, ModelError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ModelError::Read { path: path.to_owned(), source }),
    };
    serde_json::from_str(&text).map(Some).map_err(|error| ModelError::Malformed {
        path: path.to_owned(),
        format: "JSON file",
        why: error.to_string(),
    })
}

/// The open files of one folder and where each tensor lies.
struct Shards {
    files: Vec<(PathBuf, BufferedSafetensors)>,
    tensors: BTreeMap<String, (usize, Vec<usize>)>,
}

impl Shards {
    fn open(folder: &Path) -> Result<Self, ModelError> {
        let mut shards = Self { files: Vec::new(), tensors: BTreeMap::new() };
        for path in Self::paths(folder)? {
            let bytes = std::fs::read(&path).map_err(|source| ModelError::Read { path: path.clone(), source })?;
            let file = BufferedSafetensors::new(bytes).map_err(|error| malformed(&path, &error))?;
            for (name, view) in file.tensors() {
                shards.tensors.insert(name, (shards.files.len(), view.shape().to_vec()));
            }
            shards.files.push((path, file));
        }
        Ok(shards)
    }

    fn paths(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
        let single = folder.join(SINGLE);
        if single.is_file() {
            return Ok(vec![single]);
        }
        let index_path = folder.join(INDEX);
        let index = optional_json(&index_path)?.ok_or_else(|| ModelError::MissingFile {
            folder: folder.to_owned(),
            missing: "model.safetensors or model.safetensors.index.json",
        })?;
        let map = index.get("weight_map").and_then(Value::as_object).ok_or_else(|| ModelError::Malformed {
            path: index_path,
            format: "safetensors index",
            why: "no `weight_map`".to_owned(),
        })?;
        let names: BTreeSet<&str> = map.values().filter_map(Value::as_str).collect();
        Ok(names.into_iter().map(|name| folder.join(name)).collect())
    }

    fn values(&self, name: &str) -> Result<Vec<f32>, ModelError> {
        let missing = || ModelError::TensorMissing { name: name.to_owned(), expected: Vec::new() };
        let (file, _) = self.tensors.get(name).ok_or_else(missing)?;
        let (path, file) = self.files.get(*file).ok_or_else(missing)?;
        let tensor = file.load(name, &Device::Cpu).map_err(|error| malformed(path, &error))?;
        if !matches!(tensor.dtype(), DType::F32 | DType::F16 | DType::BF16) {
            return Err(ModelError::TensorFormat {
                name: name.to_owned(),
                found: format!("{:?}", tensor.dtype()),
                allowed: "F32, F16 and BF16",
            });
        }
        tensor
            .to_dtype(DType::F32)
            .and_then(|tensor| tensor.flatten_all()?.to_vec1())
            .map_err(|error| malformed(path, &error))
    }
}

fn malformed(path: &Path, error: &candle_core::Error) -> ModelError {
    ModelError::Malformed { path: path.to_owned(), format: "safetensors file", why: one_line(error) }
}

impl TensorSource for Shards {
    const NAMES: Names = Names::HuggingFace;

    fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        self.tensors.iter().map(|(name, (_, shape))| (name.clone(), shape.clone())).collect()
    }

    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<Matrix, ModelError> {
        Ok(Matrix::F32 { rows, columns, values: self.values(name)? })
    }

    fn vector(&mut self, name: &str) -> Result<Vec<f32>, ModelError> {
        self.values(name)
    }

    fn may_ignore(name: &str) -> bool {
        // A buffer that old exports saved; it follows from the configuration.
        name.ends_with("rotary_emb.inv_freq")
    }
}
