//! A model with its weights packed for the kernels.

use std::sync::Arc;

use kernels::KernelError;
use kernels::matmul::{F32Matrix, Matrix, Q8Matrix};
use kernels::ops::RopeTable;

use crate::model::weights::{LayerWeights, Matrix as Stored};
use crate::model::{ChatTemplate, LoadedModel, ModelConfig, ModelError, ModelSource, ModelText, Tokenizer};

/// A model could not be loaded for the CPU.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It could not be read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Its shape does not suit the kernels.
    #[error("packing the weights: {0}")]
    Kernel(#[from] KernelError),
}

/// A model ready to run, shared by all units.
#[derive(Debug)]
pub struct CpuModel {
    config: ModelConfig,
    text: Arc<ModelText>,
    pub(super) embedding: Stored,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Vec<f32>,
    pub(super) head: Matrix,
    pub(super) rope: RopeTable,
}

/// One transformer layer.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) attention_norm: Vec<f32>,
    pub(super) query: Matrix,
    pub(super) key: Matrix,
    pub(super) value: Matrix,
    pub(super) qk_norm: Option<(Vec<f32>, Vec<f32>)>,
    pub(super) output: Matrix,
    pub(super) ffn_norm: Vec<f32>,
    pub(super) gate: Matrix,
    pub(super) up: Matrix,
    pub(super) down: Matrix,
}

impl CpuModel {
    /// Loads a model and packs its weights.
    ///
    /// # Errors
    /// When the model cannot be read or is not supported.
    pub fn load(source: &ModelSource) -> Result<Arc<Self>, LoadError> {
        let LoadedModel { config, weights, tokenizer, chat_template, eos } = LoadedModel::load(source)?;
        let rope = RopeTable::with_frequencies(&config.rope.frequencies(config.head_dim), config.context);
        let head = pack(weights.head.as_ref().unwrap_or(&weights.embedding))?;
        // One layer after another, so that at most one is in memory twice.
        let layers = weights.layers.into_iter().map(pack_layer).collect::<Result<_, _>>()?;
        let (embedding, norm) = (weights.embedding, weights.norm);
        let text = Arc::new(ModelText { tokenizer, chat_template, eos });
        Ok(Arc::new(Self { config, text, embedding, layers, norm, head, rope }))
    }

    /// The shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The text side, for whoever talks to the model without computing it.
    pub fn text(&self) -> &Arc<ModelText> {
        &self.text
    }

    /// Text to ids and back.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.text.tokenizer
    }

    /// How messages become a prompt; `None` where the model does not say.
    pub fn chat_template(&self) -> Option<&ChatTemplate> {
        self.text.chat_template.as_ref()
    }

    /// The ids that end an answer. Empty for the built-in model.
    pub fn eos(&self) -> &[u32] {
        &self.text.eos
    }
}

fn pack(matrix: &Stored) -> Result<Matrix, KernelError> {
    Ok(match matrix {
        Stored::F32 { rows, columns, values } => Matrix::F32(F32Matrix::new(values, *rows, *columns)?),
        Stored::Q8_0 { rows, columns, blocks } => Matrix::Q8(Q8Matrix::from_blocks(blocks, *rows, *columns)?),
    })
}

fn pack_layer(weights: LayerWeights) -> Result<Layer, KernelError> {
    Ok(Layer {
        query: pack(&weights.query)?,
        key: pack(&weights.key)?,
        value: pack(&weights.value)?,
        output: pack(&weights.output)?,
        gate: pack(&weights.gate)?,
        up: pack(&weights.up)?,
        down: pack(&weights.down)?,
        attention_norm: weights.attention_norm,
        qk_norm: weights.qk_norm,
        ffn_norm: weights.ffn_norm,
    })
}
