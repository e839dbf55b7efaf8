//! Steps written by hand: what a cluster would plan, one line each.

use engine::cluster::{Extent, PlannedSequence, StepPlan};
use engine::executor::cpu::CpuExecutor;
use engine::executor::{Executor, Sampled, Sampling, StepInput};
use engine::units::RequestId;

/// Positions in a block, in all tests.
pub(crate) const BLOCK: u32 = 16;

/// What one step computes for one sequence.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    /// All tokens of the sequence so far.
    pub(crate) tokens: &'a [u32],
    /// The first position computed; the step goes to the end of `tokens`.
    pub(crate) start: usize,
    pub(crate) sample: bool,
    pub(crate) table: &'a [Extent],
    pub(crate) output_index: u32,
    pub(crate) sampling: Sampling,
}

impl<'a> Work<'a> {
    pub(crate) fn new(tokens: &'a [u32], start: usize, table: &'a [Extent]) -> Self {
        Self { tokens, start, sample: true, table, output_index: 0, sampling: Sampling::Greedy }
    }

    pub(crate) fn unsampled(self) -> Self {
        Self { sample: false, ..self }
    }
}

/// Runs one step.
pub(crate) fn step(executor: &mut CpuExecutor, work: &[Work<'_>]) -> Vec<Sampled> {
    let mut plan = StepPlan::new();
    let (mut tokens, mut sampling) = (Vec::new(), Vec::new());
    for (index, work) in work.iter().enumerate() {
        let first = plan.extents.len();
        plan.extents.extend_from_slice(work.table);
        plan.sequences.push(PlannedSequence {
            request: RequestId(index as u64),
            start: work.start as u32,
            tokens: (work.tokens.len() - work.start) as u32,
            sample: work.sample,
            output_index: work.output_index,
            table: first..plan.extents.len(),
        });
        tokens.extend_from_slice(&work.tokens[work.start..]);
        sampling.push(work.sampling);
    }
    let mut sampled = Vec::new();
    let input = StepInput { plan: &plan, tokens: &tokens, sampling: &sampling };
    executor.step(input, &mut sampled).expect("a step");
    sampled
}

/// Computes a prompt in chunks that end at `ends` and at its end, then decodes until there are `answer` tokens.
pub(crate) fn generate(
    executor: &mut CpuExecutor,
    prompt: &[u32],
    ends: &[usize],
    answer: usize,
    table: &[Extent],
) -> Vec<Sampled> {
    let mut start = 0;
    for &end in ends {
        let nothing = step(executor, &[Work::new(&prompt[..end], start, table).unsampled()]);
        assert!(nothing.is_empty(), "a chunk that is not sampled reports nothing");
        start = end;
    }
    let first = step(executor, &[Work::new(prompt, start, table)]);
    extend(executor, prompt, first, answer, table)
}

/// Decodes on from `sampled`, one sequence alone, until there are `answer` tokens.
pub(crate) fn extend(
    executor: &mut CpuExecutor,
    prompt: &[u32],
    mut sampled: Vec<Sampled>,
    answer: usize,
    table: &[Extent],
) -> Vec<Sampled> {
    let mut tokens = prompt.to_vec();
    tokens.extend(sampled.iter().map(|s| s.token));
    while sampled.len() < answer {
        let next = step(executor, &[Work::new(&tokens, tokens.len() - 1, table)]);
        tokens.push(next[0].token);
        sampled.extend(next);
    }
    sampled
}

/// Blocks `first..first + blocks` as one extent.
pub(crate) fn blocks(first: u32, blocks: u32) -> Vec<Extent> {
    vec![Extent { first, blocks }]
}

/// A prompt that looks like no other: tokens below `vocab` from a fixed sequence.
pub(crate) fn prompt(seed: u64, length: usize, vocab: u32) -> Vec<u32> {
    (0..length).map(|i| (engine::model::counter::value(seed, i as u64) % u64::from(vocab)) as u32).collect()
}
