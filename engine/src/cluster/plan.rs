//! One step of one unit as plain data: what an executor is given.

use std::ops::Range;

use crate::units::{RequestId, UnitId};

/// The chained hash of a full KV block: equal hashes mean equal tokens in the block and in everything before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockHash(pub u64);

/// A run of consecutive KV blocks of one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The first block.
    pub first: u32,
    /// How many blocks.
    pub blocks: u32,
}

/// What a step computes for one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedSequence {
    /// The request.
    pub request: RequestId,
    /// The first position computed; everything before it is in the KV cache already.
    pub start: u32,
    /// How many positions are computed. 1 for a decoding sequence.
    pub tokens: u32,
    /// Whether the last position's logits are sampled.
    pub sample: bool,
    /// The index, in the answer, of the token that would be sampled.
    pub output_index: u32,
    /// Where in [`StepPlan::extents`] the block table lies. It covers positions `0..start + tokens`.
    pub table: Range<usize>,
}

/// How much of its plans and transfers a cluster writes down. What is decided is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Everything, block tables included.
    #[default]
    Tables,
    /// Everything but block tables.
    Sequences,
    /// [`StepPlan::shape`] alone. Tokens of a sequence that goes on decoding are told with its last one, or when it is
    /// stopped from going on; the first one is told at once.
    Shapes,
}

/// A step in numbers: what the time it takes depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepShape {
    /// Sequences that get their next token.
    pub decodes: u32,
    /// Positions that they attend to, the new ones included.
    pub context: u64,
    /// Positions computed for prompts, and for sequences that are computed anew.
    pub prompt_tokens: u32,
    /// Twice the number of pairs of such a position and one that it attends to: the sum of S × (2C + S) over chunks of S
    /// positions behind C that were there before.
    pub doubled_pairs: u64,
    /// Sequences that are sampled.
    pub sampled: u32,
}

impl StepShape {
    /// Tokens computed by the step.
    pub fn tokens(&self) -> u32 {
        self.decodes + self.prompt_tokens
    }

    /// Adds a sequence that gets its next token, at `position`.
    pub(crate) fn add_decode(&mut self, position: u32) {
        self.decodes += 1;
        self.sampled += 1;
        self.context += u64::from(position) + 1;
    }

    /// Adds a chunk of a prompt.
    pub(crate) fn add_chunk(&mut self, start: u32, tokens: u32, sample: bool) {
        self.prompt_tokens += tokens;
        self.doubled_pairs += u64::from(tokens) * (2 * u64::from(start) + u64::from(tokens));
        self.sampled += u32::from(sample);
    }
}

/// One step of one unit. The buffers belong to the caller and are reused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepPlan {
    /// Which unit computes it.
    pub unit: UnitId,
    /// How many steps like this one may follow each other before the batch can change: the caller may apply any
    /// `advance(k)` with `1 <= k <= repeat`. Above 1 only when every sequence decodes.
    pub repeat: u32,
    /// The first of these steps in numbers. In each further one the contexts are longer by one for every decoding sequence.
    pub shape: StepShape,
    /// The sequences, in the order in which results are reported.
    pub sequences: Vec<PlannedSequence>,
    /// The block tables of all sequences, one after another; empty below [`Detail::Tables`].
    pub extents: Vec<Extent>,
}

impl StepPlan {
    /// An empty plan to be filled by `Cluster::start_step`.
    pub fn new() -> Self {
        Self { unit: UnitId(0), repeat: 1, shape: StepShape::default(), sequences: Vec::new(), extents: Vec::new() }
    }

    /// Tokens computed by the step.
    pub fn tokens(&self) -> u32 {
        self.sequences.iter().map(|s| s.tokens).sum()
    }

    /// The block table of `sequence`.
    pub fn table(&self, sequence: &PlannedSequence) -> &[Extent] {
        self.extents.get(sequence.table.clone()).unwrap_or(&[])
    }
}

impl Default for StepPlan {
    fn default() -> Self {
        Self::new()
    }
}
