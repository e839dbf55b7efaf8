//! The shifts of a run, from being asked for to being over. Others may shift the same engine: theirs are seen, and are none of
//! the run's.

use std::collections::{BTreeMap, VecDeque};

use engine::cluster::{How, ShiftId, ShiftReport};
use engine::units::Split;

use crate::recording::ShiftRecord;
use crate::time::Micros;

/// The one that runs, whoever asked for it.
#[derive(Clone, Copy, Debug)]
struct Running {
    id: ShiftId,
    at: Micros,
    /// Requests that had failed before it began.
    failed_before: u64,
}

/// What is open and what went wrong.
#[derive(Debug, Default)]
pub(super) struct Shifting {
    /// Where those lead that were asked for and have had no answer, in the order of asking, which is that of the answers.
    asked: VecDeque<Split>,
    /// Where those lead that were accepted and are not over.
    open: BTreeMap<ShiftId, Split>,
    running: Option<Running>,
    failed: Vec<String>,
}

impl Shifting {
    /// The target was asked for a shift, and will answer.
    pub(super) fn asked(&mut self, to: Split) {
        self.asked.push_back(to);
    }

    /// The target has accepted the next that was asked for, to run now or later.
    pub(super) fn accepted(&mut self, id: ShiftId, to: Split) {
        self.asked.pop_front();
        self.open.insert(id, to);
    }

    /// The target has refused the next that was asked for.
    pub(super) fn refused(&mut self, why: String) {
        self.asked.pop_front();
        self.failed(why);
    }

    /// A shift of this run failed.
    pub(super) fn failed(&mut self, why: String) {
        self.failed.push(why);
    }

    /// A shift that waited will not run.
    pub(super) fn dropped(&mut self, id: ShiftId, why: String) {
        if self.open.remove(&id).is_some() {
            self.failed(why);
        }
    }

    /// A shift began; `failed` requests have failed since the start of the run.
    pub(super) fn started(
        &mut self,
        (at, id): (Micros, ShiftId),
        from: Split,
        (to, how): (Split, How),
        failed: u64,
    ) -> ShiftRecord {
        self.running = Some(Running { id, at, failed_before: failed });
        ShiftRecord { at, from, to, how, ended: None }
    }

    /// A shift ended; `failed` requests have failed since the start of the run.
    pub(super) fn ended(&mut self, at: Micros, report: &ShiftReport, failed: u64) -> ShiftRecord {
        let is_ours = self.open.remove(&report.id).is_some();
        if let Some(why) = report.abandoned.as_ref().filter(|_| is_ours) {
            self.failed(format!("shift to {} was abandoned: {why}", report.to));
        }
        if let Some(running) = self.running.take_if(|running| running.id == report.id) {
            let lost = failed.saturating_sub(running.failed_before);
            return ShiftRecord::ended(running.at, report, lost as u32);
        }
        // Its start was not seen; what lies before the run is not the run's.
        let mut record = ShiftRecord::ended(at, report, 0);
        if let Some(end) = &mut record.ended {
            end.total = end.total.min(at);
            end.drain = end.drain.min(end.total);
            record.at = at - end.total;
        }
        record
    }

    /// Whether nothing that was asked for is under way or waits.
    pub(super) fn settled(&self) -> bool {
        self.asked.is_empty() && self.open.is_empty()
    }

    /// Everything that went wrong, one line each; what is open still has not been seen to its end.
    pub(super) fn into_failed(self) -> Vec<String> {
        let open = self.asked.into_iter().chain(self.open.into_values());
        let unseen = open.map(|to| format!("shift to {to}: the target was gone before its end"));
        self.failed.into_iter().chain(unseen).collect()
    }
}

#[cfg(test)]
mod tests {
    use engine::units::Nanos;

    use super::*;

    const FROM: Split = Split { prefill: 2, decode: 2, aggregated: 0 };
    const TO: Split = Split { prefill: 1, decode: 3, aggregated: 0 };
    const SECOND: u64 = 1_000_000;

    fn report(id: u64, total: u64, abandoned: Option<&str>) -> ShiftReport {
        let nanos = |seconds| Nanos(seconds * 1_000_000_000);
        ShiftReport {
            id: ShiftId(id),
            from: FROM,
            to: TO,
            how: How::Drain,
            accepted: nanos(100),
            drain: nanos(total),
            total: nanos(total),
            in_flight: 2,
            abandoned: abandoned.map(str::to_owned),
        }
    }

    #[test]
    fn the_end_of_a_shift_that_others_asked_for_does_not_settle_ours() {
        let mut shifting = Shifting::default();
        shifting.started((Micros(1), ShiftId(4)), FROM, (TO, How::Drain), 0);
        shifting.asked(TO);
        assert!(!shifting.settled(), "there will be an answer");
        shifting.accepted(ShiftId(5), TO);
        shifting.ended(Micros(2), &report(4, 1, None), 0);
        shifting.dropped(ShiftId(3), "not ours".to_owned());
        assert!(!shifting.settled(), "ours has not run");
        shifting.started((Micros(3), ShiftId(5)), FROM, (TO, How::Drain), 0);
        shifting.ended(Micros(9), &report(5, 1, None), 0);
        assert!(shifting.settled());
        assert!(shifting.into_failed().is_empty());
    }

    #[test]
    fn only_shifts_of_the_run_fail_it() {
        let mut shifting = Shifting::default();
        for id in 1..3 {
            shifting.asked(TO);
            shifting.accepted(ShiftId(id), TO);
        }
        shifting.asked(FROM);
        shifting.refused("refused".to_owned());
        shifting.ended(Micros(2), &report(0, 1, Some("theirs")), 0);
        shifting.ended(Micros(2), &report(1, 1, Some("ours")), 0);
        shifting.dropped(ShiftId(2), "dropped".to_owned());
        assert!(shifting.settled());
        assert_eq!(shifting.into_failed(), ["refused", "shift to 1P3D was abandoned: ours", "dropped"]);
    }

    #[test]
    fn a_shift_whose_start_was_not_seen_has_begun_before_its_end() {
        let mut shifting = Shifting::default();
        let record = shifting.ended(Micros(9 * SECOND), &report(0, 2, None), 7);
        assert_eq!(record.at, Micros(7 * SECOND));
        let end = record.ended.expect("an end");
        assert_eq!((end.total, end.drain, end.lost), (Micros(2 * SECOND), Micros(2 * SECOND), 0));
        // It began before the run.
        let record = shifting.ended(Micros(9 * SECOND), &report(1, 20, None), 7);
        assert_eq!((record.at, record.ended.map(|end| end.total)), (Micros(0), Some(Micros(9 * SECOND))));
    }

    #[test]
    fn what_is_open_when_the_target_goes_has_failed() {
        let mut shifting = Shifting::default();
        shifting.asked(FROM);
        shifting.accepted(ShiftId(0), FROM);
        shifting.asked(TO);
        let gone = |to| format!("shift to {to}: the target was gone before its end");
        assert_eq!(shifting.into_failed(), [gone(TO), gone(FROM)]);
    }
}
