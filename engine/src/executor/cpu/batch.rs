//! A step plan turned into rows: which token sits in which row, at which position, and which rows are sampled.

use std::ops::Range;

use kernels::arena::Run;
use kernels::attention::Sequence;

use crate::cluster::Extent;
use crate::executor::{ExecutorError, Sampling, StepInput};
use crate::model::ModelConfig;

/// The rows of one step.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    /// The token of each row.
    pub(super) tokens: &'a [u32],
    /// The position of each row in its sequence.
    pub(super) positions: Vec<u32>,
    runs: Vec<Run>,
    spans: Vec<Span>,
    choices: Vec<Choice>,
}

/// The rows of one planned sequence.
#[derive(Debug)]
struct Span {
    rows: Range<usize>,
    start: u32,
    table: Range<usize>,
}

/// A row whose logits are sampled.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    /// Its row in the batch.
    pub(super) row: usize,
    /// Its position.
    pub(super) position: u32,
    /// The span it ends.
    span: usize,
    pub(super) sampling: Sampling,
    pub(super) output_index: u32,
}

/// Block lists as the kernels take them.
pub(super) fn runs(extents: &[Extent]) -> Vec<Run> {
    extents.iter().map(|extent| Run { first: extent.first, blocks: extent.blocks }).collect()
}

impl<'a> Batch<'a> {
    /// Checks that `input` is a step that this model can compute, and lays out its rows.
    pub(super) fn new(config: &ModelConfig, input: StepInput<'a>) -> Result<Self, ExecutorError> {
        let StepInput { plan, tokens, sampling } = input;
        if plan.tokens() as usize != tokens.len() || plan.sequences.len() != sampling.len() {
            return Err(refused(format!(
                "{} tokens and {} samplings were given for {} positions of {} sequences",
                tokens.len(),
                sampling.len(),
                plan.tokens(),
                plan.sequences.len()
            )));
        }
        if let Some(token) = tokens.iter().find(|&&token| token as usize >= config.vocab) {
            return Err(refused(format!("token {token} is outside the vocabulary of {}", config.vocab)));
        }
        let mut batch = Self {
            tokens,
            positions: Vec::with_capacity(tokens.len()),
            runs: runs(&plan.extents),
            spans: Vec::with_capacity(plan.sequences.len()),
            choices: Vec::new(),
        };
        for (index, (sequence, &sampling)) in plan.sequences.iter().zip(sampling).enumerate() {
            let end = sequence.start.saturating_add(sequence.tokens);
            if end as usize > config.context {
                let context = config.context;
                return Err(refused(format!("a sequence of {end} tokens is beyond the model's context of {context}")));
            }
            let first = batch.positions.len();
            batch.positions.extend(sequence.start..end);
            let rows = first..batch.positions.len();
            if sequence.sample && !rows.is_empty() {
                let (row, position) = (rows.end - 1, end - 1);
                batch.choices.push(Choice {
                    row,
                    position,
                    span: index,
                    sampling,
                    output_index: sequence.output_index,
                });
            }
            batch.spans.push(Span { rows, start: sequence.start, table: sequence.table.clone() });
        }
        Ok(batch)
    }

    /// The sampled rows, in plan order, which is row order.
    pub(super) fn choices(&self) -> &[Choice] {
        &self.choices
    }

    /// Each planned sequence: its rows, first position and blocks.
    pub(super) fn sequences(&self) -> Vec<Sequence<'_>> {
        let sequence = |span: &Span| Sequence {
            rows: span.rows.clone(),
            start: span.start,
            table: self.runs.get(span.table.clone()).unwrap_or(&[]),
        };
        self.spans.iter().map(sequence).collect()
    }

    /// The sampled rows alone, as sequences of one row each, numbered in their own order.
    pub(super) fn sampled_sequences(&self) -> Vec<Sequence<'_>> {
        let sequence = |(row, choice): (usize, &Choice)| Sequence {
            rows: row..row + 1,
            start: choice.position,
            table: self.spans.get(choice.span).and_then(|span| self.runs.get(span.table.clone())).unwrap_or(&[]),
        };
        self.choices.iter().enumerate().map(sequence).collect()
    }
}

fn refused(why: String) -> ExecutorError {
    ExecutorError { doing: "reading a step plan", why }
}
