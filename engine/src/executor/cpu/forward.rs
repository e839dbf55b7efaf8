//! One forward pass over all rows of a step.
//!
//! The last layer computes keys and values for every row, and the rest of itself only for the rows that are sampled: nobody
//! reads the others. A prompt chunk that is not the last one ends there.

use kernels::KernelError;
use kernels::arena::KvArena;
use kernels::attention::{AttentionScratch, Queries, Sequence, attend};
use kernels::matmul::{QuantizedRows, Rows};
use kernels::ops::{add_in_place, rms_norm, silu_mul};

use super::batch::{Batch, Choice};
use super::model::{CpuModel, Layer};
use crate::model::ModelConfig;

/// Buffers kept between steps.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The residual stream, one row a position.
    stream: Vec<f32>,
    /// The stream normalised, then the output of attention or of the feed-forward network.
    normed: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    unnormed: Vec<f32>,
    attended: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    logits: Vec<f32>,
    positions: Vec<u32>,
    quantized: QuantizedRows,
    attention: AttentionScratch,
}

impl Scratch {
    /// The logits of the last step.
    pub(super) fn logits(&self) -> &[f32] {
        &self.logits
    }
}

/// Writes the keys and values of all rows to the arena and leaves the logits of the sampled rows in the scratch, in plan
/// order.
pub(super) fn run(
    model: &CpuModel,
    arena: &mut KvArena,
    batch: &Batch<'_>,
    scratch: &mut Scratch,
) -> Result<(), KernelError> {
    let config = model.config();
    scratch.logits.clear();
    if batch.tokens.is_empty() {
        return Ok(());
    }
    embed(model, batch.tokens, &mut scratch.stream);
    scratch.positions.clone_from(&batch.positions);
    let sequences = batch.sequences();
    let sampled = batch.sampled_sequences();
    for (index, layer) in model.layers.iter().enumerate() {
        let mut pass = Pass { config, model, layer, index, scratch };
        pass.store(arena, &sequences)?;
        if index + 1 < model.layers.len() {
            pass.finish(arena, &sequences)?;
        } else {
            pass.keep_sampled(batch.choices());
            pass.finish(arena, &sampled)?;
        }
    }
    let Scratch { stream, normed, logits, quantized, .. } = scratch;
    if batch.choices().is_empty() {
        return Ok(());
    }
    resize(normed, stream.len());
    rms_norm(stream, &model.norm, config.norm_epsilon, normed)?;
    resize(logits, batch.choices().len() * config.vocab);
    model.head.forward(&mut Rows::new(normed, quantized), logits)
}

fn embed(model: &CpuModel, tokens: &[u32], stream: &mut Vec<f32>) {
    let hidden = model.config().hidden;
    resize(stream, tokens.len() * hidden);
    for (&token, row) in tokens.iter().zip(stream.chunks_exact_mut(hidden)) {
        let known = model.embedding.read_row(token as usize, row);
        debug_assert!(known, "the batch was checked against the vocabulary");
    }
}

/// Sets the length without touching what stays.
fn resize(buffer: &mut Vec<f32>, len: usize) {
    buffer.resize(len, 0.0);
}

/// One layer over the rows of the step.
struct Pass<'a> {
    config: &'a ModelConfig,
    model: &'a CpuModel,
    layer: &'a Layer,
    index: usize,
    scratch: &'a mut Scratch,
}

impl Pass<'_> {
    /// Normalises the stream and writes every row's keys and values to the arena.
    fn store(&mut self, arena: &mut KvArena, sequences: &[Sequence<'_>]) -> Result<(), KernelError> {
        let Self { config, model, layer, .. } = *self;
        let Scratch { stream, normed, key, value, unnormed, positions, quantized, .. } = &mut *self.scratch;
        let (rows, width) = (positions.len(), config.kv_width());
        resize(normed, stream.len());
        rms_norm(stream, &layer.attention_norm, config.norm_epsilon, normed)?;
        resize(key, rows * width);
        resize(value, rows * width);
        let mut inputs = Rows::new(normed, quantized);
        layer.key.forward(&mut inputs, key)?;
        layer.value.forward(&mut inputs, value)?;
        if let Some((_, norm)) = &layer.qk_norm {
            std::mem::swap(key, unnormed);
            resize(key, unnormed.len());
            rms_norm(unnormed, norm, config.norm_epsilon, key)?;
        }
        model.rope.apply(key, config.kv_heads, positions)?;
        for sequence in sequences {
            let own = sequence.rows.start * width..sequence.rows.end * width;
            let (keys, values) = (key.get(own.clone()).unwrap_or(&[]), value.get(own).unwrap_or(&[]));
            arena.write(self.index, sequence.table, sequence.start, keys, values)?;
        }
        Ok(())
    }

    /// Attention and the feed-forward network, added to the stream.
    fn finish(&mut self, arena: &KvArena, sequences: &[Sequence<'_>]) -> Result<(), KernelError> {
        let Self { config, model, layer, .. } = *self;
        let Scratch { stream, normed, query, unnormed, attended, gate, up, positions, quantized, attention, .. } =
            &mut *self.scratch;
        let (rows, width) = (positions.len(), config.query_width());
        if rows == 0 {
            return Ok(());
        }
        resize(query, rows * width);
        layer.query.forward(&mut Rows::new(normed, quantized), query)?;
        if let Some((norm, _)) = &layer.qk_norm {
            std::mem::swap(query, unnormed);
            resize(query, unnormed.len());
            rms_norm(unnormed, norm, config.norm_epsilon, query)?;
        }
        model.rope.apply(query, config.heads, positions)?;
        resize(attended, query.len());
        let scale = 1.0 / (config.head_dim as f32).sqrt();
        let queries = Queries { q: query, heads: config.heads, scale };
        attend(arena, self.index, queries, sequences, attended, attention)?;
        layer.output.forward(&mut Rows::new(attended, quantized), normed)?;
        add_in_place(stream, normed)?;

        rms_norm(stream, &layer.ffn_norm, config.norm_epsilon, normed)?;
        resize(gate, rows * config.ffn);
        resize(up, rows * config.ffn);
        let mut inputs = Rows::new(normed, quantized);
        layer.gate.forward(&mut inputs, gate)?;
        layer.up.forward(&mut inputs, up)?;
        silu_mul(gate, up)?;
        layer.down.forward(&mut Rows::new(gate, quantized), normed)?;
        add_in_place(stream, normed)
    }

    /// Leaves only the sampled rows in the stream, its normalised copy and the positions.
    fn keep_sampled(&mut self, choices: &[Choice]) {
        let hidden = self.config.hidden;
        let Scratch { stream, normed, positions, .. } = &mut *self.scratch;
        // Rows move towards the front in ascending order, so none is overwritten before it has moved.
        for (to, choice) in choices.iter().enumerate() {
            let from = choice.row * hidden..(choice.row + 1) * hidden;
            stream.copy_within(from.clone(), to * hidden);
            normed.copy_within(from, to * hidden);
        }
        stream.truncate(choices.len() * hidden);
        normed.truncate(choices.len() * hidden);
        positions.clear();
        positions.extend(choices.iter().map(|choice| choice.position));
    }
}
