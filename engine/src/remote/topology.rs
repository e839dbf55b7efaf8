//! What a remote engine is.

use crate::drive::wall::Observation;

/// What a request may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest sequence, prompt and answer together.
    pub context_tokens: u32,
    /// Longest sequence that one unit's KV can hold.
    pub kv_tokens: u32,
    /// Token ids run from 0 to this, exclusive.
    pub vocabulary: u32,
}

/// An engine as it is now. All instants are on its own clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// What clients call its model.
    pub model: String,
    /// What it can take.
    pub limits: Limits,
    /// Its units and shifts.
    pub observed: Observation,
}
