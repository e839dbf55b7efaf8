//! The executor that computes a real transformer on one core.
//!
//! ```text
//!   Arc<CpuModel> ───► CpuExecutor (unit 0) ── owns ── KvArena 0 ◄─┐ import copies real blocks
//!      (weights,  ───► CpuExecutor (unit 1) ── owns ── KvArena 1 ──┘
//!       shared)
//! ```
//!
//! A step is one forward pass over all planned rows, prompt chunks and decoding sequences together. What comes out for a
//! row does not depend on the rows beside it, to the bit: every kernel reduces in an order that the row alone decides.
//! Nothing here starts a thread or takes a lock; a step runs on the thread that calls it.

mod batch;
mod digest;
mod forward;
mod model;

use std::ops::Range;
use std::sync::Arc;

pub use kernels::arena::KvDtype;
use kernels::arena::{KvArena, KvLayout, KvSource};

pub use self::model::{CpuModel, LoadError};
use super::{Executor, ExecutorError, Logprobs, Sampled, StepInput};
use crate::cluster::Transfer;
use crate::model::sample::{logprobs, sample};
use batch::{Batch, runs};
use forward::Scratch;

/// One unit: shared weights, its own KV.
#[derive(Debug)]
pub struct CpuExecutor {
    model: Arc<CpuModel>,
    arena: KvArena,
    /// The arenas of all units, by unit; this one's own included.
    peers: Arc<[KvSource]>,
    scratch: Scratch,
}

/// Makes the executors of a cluster: `units` of them, each with `kv_blocks` blocks of `block_tokens` positions
/// (a multiple of 16). Memory of the KV is taken only as blocks are written.
///
/// # Errors
/// When such an arena is not possible: the model's heads or the block size do not suit the kernels, or there is no memory.
pub fn executors(
    model: &Arc<CpuModel>,
    units: u16,
    kv_blocks: u32,
    block_tokens: u32,
    kv_dtype: KvDtype,
) -> Result<Vec<CpuExecutor>, ExecutorError> {
    let config = model.config();
    let layout = KvLayout {
        layers: config.layers,
        kv_heads: config.kv_heads,
        head_dim: config.head_dim,
        block_tokens: block_tokens as usize,
        blocks: kv_blocks as usize,
        dtype: kv_dtype,
    };
    let mut arenas = Vec::with_capacity(usize::from(units));
    for _ in 0..units {
        arenas.push(KvArena::new(layout).map_err(|error| failed("making a unit's KV", &error))?);
    }
    let peers: Arc<[KvSource]> = arenas.iter().map(KvArena::source).collect();
    let executor =
        |arena| CpuExecutor { model: Arc::clone(model), arena, peers: Arc::clone(&peers), scratch: Scratch::default() };
    Ok(arenas.into_iter().map(executor).collect())
}

impl CpuExecutor {
    /// The model that all executors of the cluster share.
    pub fn model(&self) -> &Arc<CpuModel> {
        &self.model
    }

    /// The logits that the last step sampled from, one row of the vocabulary's size for each sampled sequence.
    pub fn logits(&self) -> &[f32] {
        self.scratch.logits()
    }
}

impl Executor for CpuExecutor {
    fn step(&mut self, input: StepInput<'_>, sampled: &mut Vec<Sampled>) -> Result<(), ExecutorError> {
        let batch = Batch::new(self.model.config(), input)?;
        let vocab = self.model.config().vocab;
        forward::run(&self.model, &mut self.arena, &batch, &mut self.scratch)
            .map_err(|error| failed("computing a step", &error))?;
        for (row, choice) in self.logits().chunks_exact(vocab).zip(batch.choices()) {
            let token = sample(row, choice.sampling, choice.output_index);
            sampled.push(Sampled { token, logits_digest: digest::of(row) });
        }
        Ok(())
    }

    fn import(&mut self, transfer: &Transfer, piece: Range<u32>) -> Result<(), ExecutorError> {
        const DOING: &str = "importing KV blocks";
        let source = self.peers.get(transfer.from.index()).ok_or_else(|| ExecutorError {
            doing: DOING,
            why: format!("{} is not one of the {} units", transfer.from, self.peers.len()),
        })?;
        let (from, to) = (runs(&transfer.source), runs(&transfer.destination));
        self.arena.import(source, &from, &to, piece).map_err(|error| failed(DOING, &error))
    }

    fn logprobs(&self, index: usize, token: u32, most: u8) -> Option<Logprobs> {
        let row = self.logits().chunks_exact(self.model.config().vocab).nth(index)?;
        logprobs(row, token, usize::from(most))
    }

    fn vocabulary(&self) -> u32 {
        self.model.config().vocab as u32
    }
}

fn failed(doing: &'static str, error: &dyn std::fmt::Display) -> ExecutorError {
    ExecutorError { doing, why: error.to_string() }
}
