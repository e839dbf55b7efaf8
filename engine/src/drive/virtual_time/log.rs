use super::{Emitted, Sink};
use crate::cluster::{Finished, Notice, Refused, ShiftRefused, ShiftReport};
use crate::units::{Nanos, RequestId};

/// Everything that came of a run. It grows with every event; for tests and short runs.
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

impl Sink for Log {
    const EVERY_TOKEN: bool = true;

    fn emitted(&mut self, emitted: Emitted) {
        self.emitted.push(emitted);
    }

    fn finished(&mut self, at: Nanos, finished: Finished) {
        self.finished.push((at, finished));
    }

    fn noticed(&mut self, at: Nanos, notice: Notice) {
        match notice {
            Notice::ShiftEnded(report) => self.shifts.push(report),
            other => self.notices.push((at, other)),
        }
    }

    fn refused(&mut self, at: Nanos, request: RequestId, why: Refused) {
        self.refused.push((at, request, why));
    }

    fn shift_refused(&mut self, _: Nanos, _: ShiftRefused) {
        self.shifts_refused += 1;
    }
}
