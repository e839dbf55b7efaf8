//! What a step has seen of its requests.

use crate::sample::{Outcome, Sample};
use crate::slo::Slo;
use crate::time::Micros;

use super::Limit;

/// What became of a request, the worse the greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    #[default]
    Completed,
    /// It was not offered: too many were in flight.
    Shed,
    /// It has never left this machine.
    Unsent,
    /// The server has failed it, or cut its answer.
    Failed,
}

impl Fate {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Completed => Self::Completed,
            outcome if outcome.is_targets_failure() => Self::Failed,
            outcome if outcome.is_unsent() => Self::Unsent,
            _ => Self::Shed,
        }
    }
}

/// A request that is over, as far as a verdict needs it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) index: u64,
    pub(super) due: Micros,
    pub(super) first: Option<Micros>,
    pub(super) ended: Micros,
    pub(super) fate: Fate,
    pub(super) ttft: Option<Micros>,
    pub(super) tpot: Option<Micros>,
    pub(super) itl_mean: Option<Micros>,
    pub(super) itl_p99: Option<Micros>,
    pub(super) e2e: Option<Micros>,
    pub(super) good: bool,
}

impl Seen {
    /// Of `sample`; `None` of one that was cancelled, which says nothing of the server.
    pub(super) fn of(sample: &Sample, slo: &Slo) -> Option<Self> {
        (sample.outcome != Outcome::Cancelled).then(|| Self {
            index: sample.index,
            due: sample.due,
            first: sample.first,
            ended: sample.ended,
            fate: Fate::of(&sample.outcome),
            ttft: sample.ttft(),
            tpot: sample.tpot(),
            itl_mean: sample.itl_mean(),
            itl_p99: slo.itl_p99.and_then(|_| sample.itl_quantile(990)),
            e2e: sample.e2e(),
            good: slo.judge(sample),
        })
    }

    /// The bounds it is over, each with its value.
    fn over(&self, slo: &Slo) -> impl Iterator<Item = Limit> + use<> {
        let over = |bound: Option<Micros>, value: Option<Micros>| bound.zip(value).is_some_and(|(most, is)| is > most);
        [
            (over(slo.ttft, self.ttft), Limit::Ttft),
            (over(slo.tpot, self.tpot), Limit::Tpot),
            (over(slo.itl_p99, self.itl_p99) || over(slo.itl_mean, self.itl_mean), Limit::Itl),
            (over(slo.e2e, self.e2e), Limit::E2e),
            (self.fate == Fate::Unsent, Limit::Client),
            (matches!(self.fate, Fate::Failed | Fate::Shed), Limit::Errors),
        ]
        .into_iter()
        .filter_map(|(over, limit)| over.then_some(limit))
    }
}

/// What the server did instead of answering; `None` where it did, or was not asked.
pub(super) fn trouble(sample: &Sample) -> Option<String> {
    match &sample.outcome {
        outcome if outcome.is_unsent() => None,
        Outcome::Failed(failure) => Some(format!("{}: {}", failure.kind, failure.message)),
        Outcome::Cut => Some("cut".to_owned()),
        Outcome::Completed | Outcome::Cancelled | Outcome::Shed => None,
    }
}

/// What most of them missed.
pub(super) fn limit(seen: &[Seen], slo: &Slo) -> Limit {
    let mut counts = [
        (Limit::E2e, 0_u32),
        (Limit::Itl, 0),
        (Limit::Ttft, 0),
        (Limit::Tpot, 0),
        (Limit::Client, 0),
        // A request that failed has missed nothing else.
        (Limit::Errors, 0),
    ];
    for over in seen.iter().flat_map(|seen| seen.over(slo)) {
        if let Some((_, count)) = counts.iter_mut().find(|(limit, _)| *limit == over) {
            *count += 1;
        }
    }
    // Of equals the later one: a long E2E follows from the others.
    let most = counts.into_iter().filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count);
    most.map_or(Limit::None, |(limit, _)| limit)
}

/// One request as long as all of them on average, judged as a burst is.
pub(super) fn mean(seen: &[Seen], slo: &Slo) -> Option<Seen> {
    let first = *seen.first()?;
    let mean = |of: fn(&Seen) -> Option<Micros>| {
        let (sum, count) =
            seen.iter().filter_map(of).fold((0_u64, 0_u64), |(sum, count), value| (sum + value.0, count + 1));
        sum.checked_div(count).map(Micros)
    };
    let mut all = Seen {
        ttft: mean(|seen| seen.ttft),
        tpot: mean(|seen| seen.tpot),
        itl_mean: mean(|seen| seen.itl_mean),
        itl_p99: mean(|seen| seen.itl_p99),
        e2e: mean(|seen| seen.e2e),
        fate: seen.iter().map(|seen| seen.fate).max().unwrap_or_default(),
        ..first
    };
    all.good = all.over(slo).next().is_none();
    Some(all)
}
