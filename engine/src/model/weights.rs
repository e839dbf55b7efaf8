//! Every tensor of a model, checked against its shape while it is read.
//!
//! A file format is a `TensorSource`: it says which tensors it has and hands them over. `assemble` asks for exactly the
//! tensors that the shape calls for and refuses a file that lacks one, has one misshapen, or has one too many.

pub mod gguf;
mod matrix;
mod names;
pub mod safetensors;

pub use matrix::Matrix;
pub(crate) use matrix::{Q8_0_BLOCK, Q8_0_BYTES};
pub(crate) use names::{Names, Part};

use super::config::ModelConfig;
use super::error::ModelError;

/// The tensors of one transformer layer. Matrices are stored output row by output row.
#[derive(Debug)]
pub struct LayerWeights {
    /// RMS norm before attention.
    pub attention_norm: Vec<f32>,
    /// Query projection.
    pub query: Matrix,
    /// Key projection.
    pub key: Matrix,
    /// Value projection.
    pub value: Matrix,
    /// RMS norms of each query and key head, where the family has them.
    pub qk_norm: Option<(Vec<f32>, Vec<f32>)>,
    /// Attention output projection.
    pub output: Matrix,
    /// RMS norm before the feed-forward network.
    pub ffn_norm: Vec<f32>,
    /// Gate projection.
    pub gate: Matrix,
    /// Up projection.
    pub up: Matrix,
    /// Down projection.
    pub down: Matrix,
}

/// The tensors of a model.
#[derive(Debug)]
pub struct Weights {
    /// One row a token id.
    pub embedding: Matrix,
    /// The layers, first to last.
    pub layers: Vec<LayerWeights>,
    /// The last RMS norm.
    pub norm: Vec<f32>,
    /// The output head; `None` where the embedding serves as one.
    pub head: Option<Matrix>,
}

/// A file, or several, with named tensors.
pub(crate) trait TensorSource {
    /// How this format names tensors.
    const NAMES: Names;

    /// The names and shapes of all tensors, in a fixed order.
    fn shapes(&self) -> Vec<(String, Vec<usize>)>;

    /// Reads a matrix whose shape has been checked.
    fn matrix(&mut self, name: &str, rows: usize, columns: usize) -> Result<Matrix, ModelError>;

    /// Reads a vector whose shape has been checked.
    fn vector(&mut self, name: &str) -> Result<Vec<f32>, ModelError>;

    /// Whether a tensor that no model needs may be there all the same.
    fn may_ignore(name: &str) -> bool;
}

/// Reads all tensors of a model of shape `config`. Shapes are checked before anything large is read.
///
/// # Errors
/// When a tensor is missing, misshapen or unknown, or cannot be read.
pub(crate) fn assemble<S: TensorSource>(config: &ModelConfig, source: &mut S) -> Result<Weights, ModelError> {
    check(config, source)?;
    let mut layers = Vec::with_capacity(config.layers);
    for layer in 0..config.layers {
        layers.push(LayerWeights {
            attention_norm: source.vector(&S::NAMES.of(Part::AttentionNorm, layer))?,
            query: read(config, source, Part::Query, layer)?,
            key: read(config, source, Part::Key, layer)?,
            value: read(config, source, Part::Value, layer)?,
            qk_norm: if config.family.qk_norm() {
                Some((
                    source.vector(&S::NAMES.of(Part::QueryNorm, layer))?,
                    source.vector(&S::NAMES.of(Part::KeyNorm, layer))?,
                ))
            } else {
                None
            },
            output: read(config, source, Part::Output, layer)?,
            ffn_norm: source.vector(&S::NAMES.of(Part::FfnNorm, layer))?,
            gate: read(config, source, Part::Gate, layer)?,
            up: read(config, source, Part::Up, layer)?,
            down: read(config, source, Part::Down, layer)?,
        });
    }
    Ok(Weights {
        embedding: read(config, source, Part::Embedding, 0)?,
        layers,
        norm: source.vector(&S::NAMES.of(Part::Norm, 0))?,
        head: if config.tied_head { None } else { Some(read(config, source, Part::Head, 0)?) },
    })
}

fn read<S: TensorSource>(config: &ModelConfig, source: &mut S, part: Part, layer: usize) -> Result<Matrix, ModelError> {
    let shape = part.shape(config);
    let (rows, columns) = (shape.first().copied().unwrap_or(0), shape.get(1).copied().unwrap_or(0));
    source.matrix(&S::NAMES.of(part, layer), rows, columns)
}

fn check<S: TensorSource>(config: &ModelConfig, source: &S) -> Result<(), ModelError> {
    let mut present: std::collections::BTreeMap<String, Vec<usize>> = source.shapes().into_iter().collect();
    for (part, layer) in Part::all(config) {
        let name = S::NAMES.of(part, layer);
        let expected = part.shape(config);
        match present.remove(&name) {
            None => return Err(ModelError::TensorMissing { name, expected }),
            Some(found) if found != expected => return Err(ModelError::TensorShape { name, expected, found }),
            Some(_) => {}
        }
    }
    // Some exporters write the tied head a second time.
    if config.tied_head {
        present.remove(&S::NAMES.of(Part::Head, 0));
    }
    match present.into_iter().find(|(name, _)| !S::may_ignore(name)) {
        Some((name, found)) => Err(ModelError::TensorUnknown { name, found }),
        None => Ok(()),
    }
}
