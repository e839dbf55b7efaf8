//! What will be sent, and when it is due.

use serde::{Deserialize, Serialize};

use crate::time::Micros;

/// A run of prompt tokens with one identity: two prompts that start with equal segments really share that prefix.
/// Token `i` of a segment is a pure function of the run's content seed, `id` and `i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment(
    /// Identity.
    pub u64,
    /// Tokens.
    pub u32,
);

/// One request of the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its number, from 0 in the order of being due.
    pub index: u64,
    /// When it is due.
    pub due: Micros,
    /// Tokens of its prompt, the sum of its segments, at least 1.
    pub input_tokens: u32,
    /// Tokens asked of its answer, at least 1.
    pub output_tokens: u32,
    /// What the prompt is made of.
    pub segments: Vec<Segment>,
    /// Whether a length was cut to what the target can serve.
    pub clamped: bool,
}
