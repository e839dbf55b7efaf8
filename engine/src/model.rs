//! What a model is, apart from how it is computed: its shape, weights, tokenizer, chat template and sampling.
//!
//! ```text
//!   ModelSource ──► config   what shape (HF config.json or GGUF metadata)
//!               ──► weights  every tensor, checked against the shape (safetensors, GGUF, or the built-in model)
//!               ──► tokenizer, chat template
//! ```
//!
//! `executor::cpu` turns weights into something that runs; nothing here computes a forward pass.

pub mod builtin;
pub mod chat;
pub mod config;
pub mod counter;
pub mod error;
pub mod sample;
pub mod tokenizer;
pub mod weights;

use std::path::PathBuf;

pub use chat::{ChatMessage, ChatTemplate};
pub use config::ModelConfig;
pub use error::ModelError;
pub use tokenizer::Tokenizer;

/// Where a model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// The model made at start from a seed: no file, no text, a real transformer.
    Builtin {
        /// Decides every weight.
        seed: u64,
    },
    /// A Hugging Face folder: `config.json`, `tokenizer.json`, and safetensors in one file or in shards.
    Folder(PathBuf),
    /// One GGUF file.
    Gguf(PathBuf),
}

/// The text side of a model: what stands between text and token ids.
#[derive(Debug)]
pub struct ModelText {
    /// Text to ids and back.
    pub tokenizer: Tokenizer,
    /// How messages become a prompt, where the model says so.
    pub chat_template: Option<ChatTemplate>,
    /// The ids that end an answer.
    pub eos: Vec<u32>,
}

/// Everything that loading a model yields.
#[derive(Debug)]
pub struct LoadedModel {
    /// The shape.
    pub config: ModelConfig,
    /// The tensors.
    pub weights: weights::Weights,
    /// Text to ids and back.
    pub tokenizer: Tokenizer,
    /// How messages become a prompt, where the model says so.
    pub chat_template: Option<ChatTemplate>,
    /// The ids that end an answer.
    pub eos: Vec<u32>,
}

impl LoadedModel {
    /// Loads a model whole.
    ///
    /// # Errors
    /// When a file is missing, damaged, or does not hold a model of a supported architecture.
    pub fn load(source: &ModelSource) -> Result<Self, ModelError> {
        match source {
            ModelSource::Builtin { seed } => Ok(builtin::load(*seed)),
            ModelSource::Folder(folder) => weights::safetensors::load(folder),
            ModelSource::Gguf(file) => weights::gguf::load(file),
        }
    }
}
