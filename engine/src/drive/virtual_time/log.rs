//! What a run in virtual time leaves behind.

use crate::cluster::{Emission, Finished, Notice, Refused, ShiftReport};
use crate::units::{Nanos, RequestId, UnitId};

/// Tokens that were emitted, `gap` apart; the last of them at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// When the last token was emitted.
    pub at: Nanos,
    /// The time between two of them.
    pub gap: Nanos,
    /// Whose and which.
    pub emission: Emission,
}

impl Emitted {
    /// Every token with its instant: request, index in the answer, unit.
    pub fn tokens(self) -> impl Iterator<Item = (Nanos, RequestId, u32, UnitId)> {
        let Emission { request, first, count, unit } = self.emission;
        (0..count).map(move |token| {
            let before = self.gap.0.saturating_mul(u64::from(count - 1 - token));
            (self.at - Nanos(before), request, first + token, unit)
        })
    }
}

/// What came of it, in the order in which the driver learnt it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Log {
    /// Tokens.
    pub emitted: Vec<Emitted>,
    /// Requests that are over.
    pub finished: Vec<(Nanos, Finished)>,
    /// Shifts that ended.
    pub shifts: Vec<ShiftReport>,
    /// All other notices.
    pub notices: Vec<(Nanos, Notice)>,
    /// Requests that were not accepted.
    pub refused: Vec<(Nanos, RequestId, Refused)>,
    /// Shifts that were not accepted.
    pub shifts_refused: u32,
}
