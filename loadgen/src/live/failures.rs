//! Requests that did not come to their end: how many, of which sort, where they went, and why.
//!
//! Counts merge, so that every window of a run has its own. Reasons do not: of each sort the last one is known.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::sample::{CutBy, FailureKind, Outcome, Sample};
use crate::text::cut;

/// Sorts of errors, and streams that were cut.
const SORTS: usize = FailureKind::ALL.len() + 1;
/// Where streams that were cut are counted: behind the sorts of errors.
const CUT: usize = SORTS - 1;
/// Letters of a reason that are kept. Every second of the history remembers one of each sort.
const REASON: usize = 160;
/// Letters of a reason that are told where there are other sorts beside it.
const SHORT: usize = 40;
/// Fewer failures than this may be chance.
const FEW: u64 = 3;
/// One failure in so many requests is worth a word.
const WORTH: u64 = 100;

/// Requests that failed, by sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FailureCounts {
    by_sort: [u32; SORTS],
    went: Went,
}

/// Which of several addresses the requests that failed had gone to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Went {
    /// None has failed.
    #[default]
    Nowhere,
    /// All to this one.
    To(u16),
    /// To more than one, or there is only one.
    Anywhere,
}

impl Went {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nowhere, went) | (went, Self::Nowhere) => went,
            (Self::To(one), Self::To(other)) if one == other => self,
            _ => Self::Anywhere,
        }
    }
}

impl FailureCounts {
    /// Counts a request that is over, if it failed. What we cancelled or never sent has not.
    pub fn count(&mut self, sample: &Sample) {
        if let Some(sort) = sort(&sample.outcome) {
            self.by_sort[sort] = self.by_sort[sort].saturating_add(1);
            if sample.outcome.is_targets_failure() {
                self.went = self.went.and(sample.account.address.map_or(Went::Anywhere, Went::To));
            }
        }
    }

    /// Adds those of another window.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.by_sort.iter_mut().zip(other.by_sort) {
            *count = count.saturating_add(more);
        }
        self.went = self.went.and(other.went);
    }

    /// Those of one sort.
    pub fn of(&self, kind: FailureKind) -> u64 {
        let sort = FailureKind::ALL.iter().position(|known| *known == kind);
        sort.map_or(0, |sort| u64::from(self.by_sort[sort]))
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_sort.iter().map(|count| u64::from(*count)).sum()
    }

    /// Which of several addresses all of them had gone to, counted from 0; `None` where it was not one alone.
    pub fn address(&self) -> Option<u16> {
        match self.went {
            Went::To(address) => Some(address),
            Went::Nowhere | Went::Anywhere => None,
        }
    }

    /// Whether so many are worth a word beside those that completed: three, and one in a hundred.
    pub fn matter(&self, completed: u64) -> bool {
        let failed = self.total();
        failed >= FEW && failed.saturating_mul(WORTH) >= completed.saturating_add(failed)
    }

    /// `12 status, 8 cut`, the most frequent sort first.
    pub fn by_sort(&self) -> String {
        self.told(|_| None)
    }

    /// `12 status (500: out of memory), 8 cut`, the most frequent sort first.
    pub fn with(&self, reasons: &Reasons) -> String {
        let alone = self.by_sort.iter().filter(|count| **count > 0).count() == 1;
        self.told(|sort| {
            let mut reason = reasons.of(sort)?.to_owned();
            cut(&mut reason, if alone { REASON } else { SHORT });
            Some(reason)
        })
    }

    fn told(&self, reason: impl Fn(usize) -> Option<String>) -> String {
        let mut sorts: Vec<usize> = (0..SORTS).filter(|sort| self.by_sort[*sort] > 0).collect();
        sorts.sort_by_key(|sort| std::cmp::Reverse(self.by_sort[*sort]));
        let mut text = String::new();
        for sort in sorts {
            let comma = if text.is_empty() { "" } else { ", " };
            let name = FailureKind::ALL.get(sort).map_or("cut", |kind| kind.name());
            let _ = write!(text, "{comma}{} {name}", self.by_sort[sort]);
            if let Some(reason) = reason(sort) {
                let _ = write!(text, " ({reason})");
            }
        }
        text
    }
}

/// The last reason of each sort, shared by every second that remembers the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasons(Option<Arc<[Option<Arc<str>>; SORTS]>>);

impl Reasons {
    /// Keeps the reason of a request that failed, where it has one.
    pub fn note(&mut self, sample: &Sample) {
        let Some(sort) = sort(&sample.outcome) else { return };
        let mut reason = match &sample.outcome {
            Outcome::Failed(failure) => failure.message.clone(),
            _ => sample.account.cut.map_or("", CutBy::why).to_owned(),
        };
        cut(&mut reason, REASON);
        if self.of(sort).unwrap_or_default() != reason {
            let reasons = Arc::make_mut(self.0.get_or_insert_default());
            reasons[sort] = (!reason.is_empty()).then(|| reason.into());
        }
    }

    fn of(&self, sort: usize) -> Option<&str> {
        self.0.as_ref()?[sort].as_deref()
    }
}

fn sort(outcome: &Outcome) -> Option<usize> {
    match outcome {
        Outcome::Failed(failure) => FailureKind::ALL.iter().position(|kind| *kind == failure.kind),
        Outcome::Cut => Some(CUT),
        Outcome::Completed | Outcome::Cancelled | Outcome::Shed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Failure;
    use crate::sample::testing::{completed, unanswered};

    fn error(kind: FailureKind, message: &str) -> Outcome {
        Outcome::Failed(Failure { kind, message: message.to_owned() })
    }

    fn counted(outcomes: &[(Outcome, Option<u16>)]) -> (FailureCounts, Reasons) {
        let (mut counts, mut reasons) = (FailureCounts::default(), Reasons::default());
        for (outcome, address) in outcomes {
            let mut sample = unanswered(0, 0, 10, outcome.clone());
            sample.account.address = *address;
            counts.count(&sample);
            reasons.note(&sample);
        }
        (counts, reasons)
    }

    #[test]
    fn the_most_frequent_sort_is_told_first_and_the_last_reason_of_each() {
        let full = |message| error(FailureKind::Status, message);
        let outcomes = [full("500: a"), Outcome::Cut, full("500: b"), Outcome::Cancelled, Outcome::Shed];
        let (counts, reasons) = counted(&outcomes.map(|outcome| (outcome, None)));
        assert_eq!((counts.total(), counts.by_sort()), (3, "2 status, 1 cut".to_owned()));
        assert_eq!(counts.with(&reasons), "2 status (500: b), 1 cut");
    }

    #[test]
    fn how_a_stream_was_cut_is_its_reason() {
        let mut sample = unanswered(0, 0, 10, Outcome::Cut);
        sample.account.cut = Some(CutBy::Connection);
        let (mut counts, mut reasons) = (FailureCounts::default(), Reasons::default());
        counts.count(&sample);
        reasons.note(&sample);
        assert_eq!(counts.with(&reasons), "1 cut (the connection was lost)");
    }

    #[test]
    fn a_reason_that_somebody_wrote_at_length_is_cut_and_more_so_beside_others() {
        let long = error(FailureKind::Engine, &"x".repeat(100_000));
        let (counts, reasons) = counted(&[(long.clone(), None)]);
        assert!(counts.with(&reasons).ends_with("x…)") && counts.with(&reasons).chars().count() < 180);
        let (counts, reasons) = counted(&[(long, None), (Outcome::Cut, None)]);
        assert!(counts.with(&reasons).chars().count() < 70, "{}", counts.with(&reasons));
    }

    #[test]
    fn an_address_is_told_where_all_that_failed_went_to_it() {
        let at = |address| (Outcome::Cut, address);
        assert_eq!(counted(&[]).0.address(), None);
        assert_eq!(counted(&[at(Some(1)), at(Some(1))]).0.address(), Some(1));
        assert_eq!(counted(&[at(Some(1)), at(Some(0))]).0.address(), None);
        assert_eq!(counted(&[at(None)]).0.address(), None);
        let mut merged = FailureCounts::default();
        merged.merge(&counted(&[at(Some(1))]).0);
        merged.merge(&FailureCounts::default());
        assert_eq!((merged.address(), merged.total()), (Some(1), 1));
        merged.merge(&counted(&[at(Some(0))]).0);
        assert_eq!((merged.address(), merged.total()), (None, 2));
    }

    #[test]
    fn three_failures_and_one_in_a_hundred_are_worth_a_word() {
        let cut = |count| counted(&vec![(Outcome::Cut, None); count]).0;
        assert!(!cut(2).matter(0) && cut(3).matter(0) && cut(3).matter(297) && !cut(3).matter(298));
        let mut none = FailureCounts::default();
        none.count(&completed(0, 0, 10, &[]));
        assert_eq!((none.total(), none.matter(0)), (0, false));
    }
}
