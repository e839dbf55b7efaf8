//! Where a run in virtual time leaves what comes of it.

use super::StepRun;
use crate::cluster::{Emission, Finished, Notice, Refused, ShiftRefused};
use crate::units::{Nanos, RequestId, UnitId};

/// Tokens that were emitted, the last of them at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// When the last token was emitted.
    pub at: Nanos,
    /// The steps that gave them, one each; `None` where all came at once.
    pub steps: Option<StepRun>,
    /// Whose and which.
    pub emission: Emission,
}

impl Emitted {
    /// Every token with its instant: request, index in the answer, unit.
    pub fn tokens(self) -> impl Iterator<Item = (Nanos, RequestId, u32, UnitId)> {
        let Emission { request, first, count, unit } = self.emission;
        (0..count).map(move |token| {
            let later = count - 1 - token;
            let at = self.steps.map_or(self.at, |run| run.end_of(run.steps.saturating_sub(later)).nanos);
            (at, request, first + token, unit)
        })
    }
}

/// Takes what comes of a run, in the order in which the driver learns it. What it does not want it lets fall.
pub trait Sink {
    /// Whether it wants to hear of every token. If not, [`Sink::emitted`] tells the first token of an answer when it is
    /// emitted, and the others when they happen to be counted, at the end of the answer at the latest.
    const EVERY_TOKEN: bool;

    /// Tokens reach a client.
    fn emitted(&mut self, emitted: Emitted) {
        let _ = emitted;
    }

    /// A request is over.
    fn finished(&mut self, at: Nanos, finished: Finished) {
        let _ = (at, finished);
    }

    /// A unit has computed steps.
    fn stepped(&mut self, run: &StepRun) {
        let _ = run;
    }

    /// KV of so many blocks has arrived at `unit`; the cluster had asked for it at `since`.
    fn transferred(&mut self, at: Nanos, unit: UnitId, blocks: u32, since: Nanos) {
        let _ = (at, unit, blocks, since);
    }

    /// The cluster has news.
    fn noticed(&mut self, at: Nanos, notice: Notice) {
        let _ = (at, notice);
    }

    /// A request was not accepted.
    fn refused(&mut self, at: Nanos, request: RequestId, why: Refused) {
        let _ = (at, request, why);
    }

    /// A shift was not accepted.
    fn shift_refused(&mut self, at: Nanos, why: ShiftRefused) {
        let _ = (at, why);
    }
}
