//! The engine's side: whole steps through the executor.

use engine::cluster::{Extent, PlannedSequence, StepPlan};
use engine::executor::cpu::{CpuExecutor, CpuModel, KvDtype, executors};
use engine::executor::{Executor as _, Sampling, StepInput};
use engine::model::{ModelSource, counter};
use engine::units::RequestId;

const BLOCK_TOKENS: u32 = 16;
/// Enough for a prompt of 512, and for each decoding sequence.
const BLOCKS_EACH: u32 = 32;

pub(crate) struct Ours {
    unit: CpuExecutor,
    plan: StepPlan,
    tokens: Vec<u32>,
}

impl Ours {
    pub(crate) fn new() -> Self {
        let model = CpuModel::load(&ModelSource::Builtin { seed: 0 }).expect("the built-in model");
        let units = executors(&model, 1, 32 * BLOCKS_EACH, BLOCK_TOKENS, KvDtype::F16);
        let unit = units.expect("an executor").remove(0);
        Self { unit, plan: StepPlan::new(), tokens: Vec::new() }
    }

    /// `length` arbitrary tokens.
    pub(crate) fn prompt(&self, length: usize) -> Vec<u32> {
        let vocab = self.unit.model().config().vocab as u64;
        (0..length as u64).map(|n| (counter::value(3, n) % vocab) as u32).collect()
    }

    pub(crate) fn logits(&self) -> &[f32] {
        self.unit.logits()
    }

    /// Plans positions `start..start + tokens` of `batch` sequences.
    fn plan(&mut self, batch: u32, start: u32, tokens: u32) {
        self.plan.extents = (0..batch).map(|i| Extent { first: i * BLOCKS_EACH, blocks: BLOCKS_EACH }).collect();
        let sequence = |i: u32| PlannedSequence {
            request: RequestId(u64::from(i)),
            start,
            tokens,
            sample: true,
            output_index: 0,
            table: i as usize..i as usize + 1,
        };
        self.plan.sequences = (0..batch).map(sequence).collect();
    }

    fn step(&mut self) {
        let sampling = vec![Sampling::Greedy; self.plan.sequences.len()];
        let input = StepInput { plan: &self.plan, tokens: &self.tokens, sampling: &sampling };
        let mut sampled = Vec::new();
        self.unit.step(input, &mut sampled).expect("a step");
        self.tokens = sampled.into_iter().map(|sampled| sampled.token).collect();
    }
}

impl super::Side for Ours {
    fn prefill(&mut self, prompt: &[u32]) {
        self.plan(1, 0, prompt.len() as u32);
        self.tokens = prompt.to_vec();
        self.step();
    }

    fn start_decoding(&mut self, prompt: &[u32], batch: usize) {
        self.plan(batch as u32, 0, prompt.len() as u32);
        self.tokens = prompt.repeat(batch);
        self.step();
        self.plan(batch as u32, prompt.len() as u32, 1);
    }

    fn decode(&mut self) {
        self.step();
        for sequence in &mut self.plan.sequences {
            sequence.start += 1;
        }
    }
}
