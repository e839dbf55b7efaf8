//! Which unit a request goes to. Policies see plain figures and decide; the cluster finds the candidates.

mod least_work;
mod most_free;
mod round_robin;

use std::fmt;

pub use least_work::LeastWork;
pub use most_free::MostFree;
pub use round_robin::RoundRobin;

use crate::units::UnitId;

/// A unit that could compute a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefillCandidate {
    /// The unit.
    pub unit: UnitId,
    /// Tokens that it has still to compute for what it holds: prompts, and on units that decode the answers too.
    pub outstanding_tokens: u64,
    /// Tokens of the request's own prompt that are not in the unit's prefix cache.
    pub uncached_tokens: u32,
    /// Sequences and requests it holds.
    pub sequences: u32,
}

/// A unit that has room to continue a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeCandidate {
    /// The unit.
    pub unit: UnitId,
    /// Blocks that are free or could be evicted.
    pub available_blocks: u32,
    /// Sequences and requests it holds.
    pub sequences: u32,
}

/// Chooses where a prompt is computed.
pub trait PrefillPolicy: fmt::Debug + Send {
    /// One of `candidates`, which are sorted by unit; `None` only when there are none.
    fn choose(&mut self, candidates: &[PrefillCandidate]) -> Option<UnitId>;

    /// The same with all that it remembers, for a copy of the cluster.
    fn copy(&self) -> Box<dyn PrefillPolicy>;
}

/// Chooses where a sequence is continued.
pub trait DecodePolicy: fmt::Debug + Send {
    /// One of `candidates`, which are sorted by unit; `None` only when there are none.
    fn choose(&mut self, candidates: &[DecodeCandidate]) -> Option<UnitId>;

    /// The same with all that it remembers, for a copy of the cluster.
    fn copy(&self) -> Box<dyn DecodePolicy>;
}

/// The two decisions of a router.
#[derive(Debug)]
pub struct Router {
    /// Where prompts are computed.
    pub prefill: Box<dyn PrefillPolicy>,
    /// Where sequences are continued.
    pub decode: Box<dyn DecodePolicy>,
}

impl Clone for Router {
    fn clone(&self) -> Self {
        Self { prefill: self.prefill.copy(), decode: self.decode.copy() }
    }
}

impl Default for Router {
    fn default() -> Self {
        Self { prefill: Box::new(LeastWork), decode: Box::new(MostFree) }
    }
}
