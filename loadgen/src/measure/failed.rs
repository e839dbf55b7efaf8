//! What went wrong with requests since the start of a run.

use crate::live::{FailureCounts, Outage, Reasons};
use crate::sample::{FailureKind, Outcome, Sample};

/// Requests that failed or were cut.
#[derive(Debug, Default)]
pub struct Failed {
    outage: Option<Outage>,
    counts: FailureCounts,
    reasons: Reasons,
}

impl Failed {
    /// Takes in a request that is over.
    pub(super) fn note(&mut self, sample: &Sample) {
        self.note_outage(sample);
        self.counts.count(sample);
        self.reasons.note(sample);
    }

    /// Those since the last one that completed, while there are any.
    pub fn outage(&self) -> Option<&Outage> {
        self.outage.as_ref()
    }

    /// How many there were of each sort.
    pub fn counts(&self) -> FailureCounts {
        self.counts
    }

    /// Why, as last told of each sort.
    pub fn reasons(&self) -> &Reasons {
        &self.reasons
    }

    fn note_outage(&mut self, sample: &Sample) {
        let (error, limited) = match &sample.outcome {
            Outcome::Completed => {
                self.outage = None;
                return;
            }
            // That says nothing of the target.
            outcome if outcome.is_unsent() => return,
            Outcome::Failed(failure) => {
                (format!("{}: {}", failure.kind, failure.message), failure.kind == FailureKind::Limited)
            }
            // Not every target can tell.
            Outcome::Cut => {
                (sample.account.cut.map_or_else(|| "cut".to_owned(), |by| format!("cut: {}", by.why())), false)
            }
            Outcome::Cancelled | Outcome::Shed => return,
        };
        let outage = self.outage.get_or_insert_with(|| Outage { since: sample.ended, ..Outage::default() });
        outage.failed += 1;
        outage.limited += u64::from(limited);
        if *outage.error != *error {
            outage.error = error.into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Failure;
    use crate::sample::testing::{completed, failed, unanswered};
    use crate::time::Micros;

    #[test]
    fn an_outage_lasts_from_the_first_error_to_the_next_completed_request() {
        let mut all = Failed::default();
        all.note(&completed(0, 0, 10, &[]));
        assert_eq!(all.outage(), None);
        all.note(&unanswered(1, 20, 30, failed()));
        all.note(&unanswered(2, 20, 40, failed()));
        all.note(&unanswered(3, 20, 50, Outcome::Cancelled));
        let outage = all.outage().expect("two errors in a row");
        assert_eq!((outage.since, outage.failed), (Micros(30), 2));
        assert_eq!(&*outage.error, "status: 503 service unavailable");
        all.note(&unanswered(3, 20, 55, Outcome::Cut));
        let outage = all.outage().expect("a stream that was cut is no answer");
        assert_eq!((outage.since, outage.failed, outage.limited), (Micros(30), 3, 0));
        assert_eq!(&*outage.error, "cut");
        all.note(&completed(4, 60, 10, &[]));
        assert_eq!(all.outage(), None);
    }

    #[test]
    fn what_never_left_this_machine_is_a_failure_and_no_outage_of_the_target() {
        let unsent = Failure { kind: FailureKind::Client, message: "Too many open files".to_owned() };
        let mut all = Failed::default();
        all.note(&unanswered(0, 0, 10, Outcome::Failed(unsent)));
        assert_eq!((all.outage(), all.counts().of(FailureKind::Client)), (None, 1));
    }
}
