//! Why a model could not be loaded or used: one line each, naming the file and the entry.

use std::path::PathBuf;

use super::config::SUPPORTED;

/// A model could not be loaded, or its text side could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file that the model cannot do without is not there.
    #[error("{}: no {missing} in this folder", folder.display())]
    MissingFile {
        /// The model's folder.
        folder: PathBuf,
        /// The names looked for.
        missing: &'static str,
    },
    /// A file is not what its name says: truncated, or of another format.
    #[error("{}: not a readable {format}: {why}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it should have been.
        format: &'static str,
        /// What the parser met.
        why: String,
    },
    /// The architecture is not one that the engine computes.
    #[error("architecture `{found}` is not supported: {SUPPORTED}")]
    Architecture {
        /// The name in the file.
        found: String,
    },
    /// A configuration entry is absent.
    #[error("model configuration has no `{key}`")]
    ConfigMissing {
        /// The key.
        key: String,
    },
    /// A configuration entry has a value that cannot be computed.
    #[error("model configuration `{key}` is {found}: {allowed}")]
    ConfigValue {
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// What would be accepted.
        allowed: &'static str,
    },
    /// The weights lack a tensor.
    #[error("tensor `{name}` of shape {expected:?} is missing")]
    TensorMissing {
        /// Its name.
        name: String,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
    },
    /// A tensor has another shape than the configuration asks for.
    #[error("tensor `{name}` has shape {found:?}, expected {expected:?}")]
    TensorShape {
        /// Its name.
        name: String,
        /// The shape that the configuration asks for.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// The weights have a tensor that this architecture does not use: computing without it would be another model.
    #[error("tensor `{name}` of shape {found:?} is not part of this architecture")]
    TensorUnknown {
        /// Its name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
    },
    /// A tensor's number format is not supported.
    #[error("tensor `{name}` has number format {found}: only {allowed} can be read")]
    TensorFormat {
        /// Its name.
        name: String,
        /// Its format.
        found: String,
        /// The formats that can be read.
        allowed: &'static str,
    },
    /// The tokenizer could not be made, or could not encode or decode.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// The chat template could not be parsed or rendered.
    #[error("chat template: {0}")]
    Chat(String),
}

/// The first line of an error: what follows in candle's messages is a backtrace.
pub(super) fn one_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
