//! Rules over the requests of a run: who sees what becomes of them asks ten times a second whether one is broken. Pure, in bounded
//! memory: counts of tenths of seconds, and the requests in flight.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use super::{AbortOn, Bound, FEWEST, Latency, Rule, Wrong};
use crate::sample::{FailureKind, Outcome, Sample};
use crate::text::DurationText;
use crate::time::Micros;

/// How finely requests are counted in time.
const SLOT: Micros = Micros(100_000);

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq)]
pub struct Tripped {
    /// Which.
    pub rule: Rule,
    /// Requests that broke it.
    pub hits: u64,
    /// Requests that it was of.
    pub all: u64,
    /// How far back the earliest of these lies.
    pub span: Micros,
}

/// All rules of a run.
#[derive(Debug, Default)]
pub struct Tripwire {
    wires: Vec<Wire>,
}

#[derive(Debug)]
struct Wire {
    rule: Rule,
    /// Starts of slots, with the requests of each and those that went beyond the bound.
    slots: VecDeque<(Micros, u64, u64)>,
    all: u64,
    hits: u64,
    /// Requests in flight. Of a latency that grows while it is waited for: those whose latency is not known yet, with when they
    /// were due; numbers rise with time, so that the first is due the longest. Of what is shed: with when they were counted.
    open: BTreeMap<u64, Micros>,
}

impl Tripwire {
    /// At the start of a run.
    pub fn new(rules: &AbortOn) -> Self {
        let wire = |rule: &Rule| Wire { rule: *rule, slots: VecDeque::new(), all: 0, hits: 0, open: BTreeMap::new() };
        Self { wires: rules.0.iter().map(wire).collect() }
    }

    /// A request was handed over.
    pub fn offered(&mut self, index: u64, due: Micros, now: Micros) {
        for wire in &mut self.wires {
            match wire.rule.bound {
                Bound::Number(Wrong::Shed, _) | Bound::Percent(Wrong::Shed, _) => {
                    wire.count(now, false);
                    wire.open.insert(index, now);
                }
                Bound::Latency(Latency::Ttft | Latency::E2e, ..) => {
                    wire.open.insert(index, due);
                }
                _ => {}
            }
        }
    }

    /// A request could not be handed over.
    pub fn shed(&mut self, now: Micros) {
        for wire in &mut self.wires {
            if let Bound::Number(Wrong::Shed, _) | Bound::Percent(Wrong::Shed, _) = wire.rule.bound {
                wire.count(now, true);
            }
        }
    }

    /// The first token of a request came.
    pub fn first_token(&mut self, index: u64, at: Micros) {
        for wire in &mut self.wires {
            if let Bound::Latency(Latency::Ttft, _, most) = wire.rule.bound
                && let Some(due) = wire.open.remove(&index)
            {
                wire.count(at, at.since(due) > most);
            }
        }
    }

    /// A request is over.
    pub fn ended(&mut self, sample: &Sample) {
        let (at, outcome) = (sample.ended, &sample.outcome);
        let cut = matches!(outcome, Outcome::Cut);
        let failed = outcome.is_targets_failure();
        let limited = matches!(outcome, Outcome::Failed(failure) if failure.kind == FailureKind::Limited);
        let completed = outcome.is_completed();
        for wire in &mut self.wires {
            let open = wire.open.remove(&sample.index);
            match wire.rule.bound {
                Bound::Number(Wrong::Shed, _) | Bound::Percent(Wrong::Shed, _) => {
                    if let Some(counted) = open.filter(|_| limited) {
                        wire.shed_after(counted, at);
                    }
                }
                Bound::Number(wrong, _) | Bound::Percent(wrong, _) if failed || completed => match wrong {
                    Wrong::Errors => wire.count(at, failed),
                    Wrong::Cut => wire.count(at, cut),
                    Wrong::Shed => {}
                },
                Bound::Latency(Latency::E2e, _, most) if completed && open.is_some() => {
                    wire.count(at, sample.e2e().is_some_and(|e2e| e2e > most));
                }
                Bound::Latency(Latency::Tpot, _, most) if completed => {
                    if let Some(tpot) = sample.tpot() {
                        wire.count(at, tpot > most);
                    }
                }
                _ => {}
            }
        }
    }

    /// The first rule that is broken by now.
    pub fn look(&mut self, now: Micros) -> Option<Tripped> {
        self.wires.iter_mut().find_map(|wire| wire.look(now))
    }
}

impl Wire {
    fn count(&mut self, at: Micros, hit: bool) {
        let start = Micros(at.0 / SLOT.0 * SLOT.0);
        // One that is told late counts as of the newest slot there is.
        if self.slots.back().is_none_or(|(last, ..)| start > *last) {
            self.slots.push_back((start, 0, 0));
        }
        if let Some((_, all, hits)) = self.slots.back_mut() {
            *all += 1;
            *hits += u64::from(hit);
        }
        self.all += 1;
        self.hits += u64::from(hit);
    }

    /// A request that was counted as of `counted` was shed by the server after all. What has been forgotten is counted anew.
    fn shed_after(&mut self, counted: Micros, at: Micros) {
        let slot = self.slots.iter_mut().rev().find(|(start, ..)| *start <= counted);
        match slot.filter(|(_, all, hits)| hits < all) {
            Some((_, _, hits)) => {
                *hits += 1;
                self.hits += 1;
            }
            None => self.count(at, true),
        }
    }

    fn look(&mut self, now: Micros) -> Option<Tripped> {
        if let Bound::Latency(_, _, most) = self.rule.bound {
            while let Some(first) = self.open.first_entry().filter(|first| now.since(*first.get()) > most) {
                first.remove();
                self.count(now, true);
            }
        }
        // A share of too few says nothing: then it reaches further back than the window.
        let least = if matches!(self.rule.bound, Bound::Number(..)) { 0 } else { FEWEST };
        let from = now.since(self.rule.window);
        while let Some(&(start, all, hits)) = self.slots.front()
            && start + SLOT <= from
            && self.all - all >= least
        {
            self.slots.pop_front();
            self.all -= all;
            self.hits -= hits;
        }
        let (all, hits) = (self.all, self.hits);
        let broken = match self.rule.bound {
            Bound::Number(_, most) => hits > most,
            Bound::Percent(_, most) => all >= FEWEST && hits as f64 * 100.0 > most * all as f64,
            Bound::Latency(_, rank, _) => all >= FEWEST && rank.is_above(hits, all),
        };
        let span = now.since(self.slots.front().map_or(now, |(start, ..)| *start));
        broken.then_some(Tripped { rule: self.rule, hits, all, span })
    }
}

impl fmt::Display for Tripped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, hits, all, span } = self;
        let share = *hits as f64 / *all as f64 * 100.0;
        write!(f, "{rule}: {hits} of {all} requests ")?;
        match rule.bound {
            Bound::Number(wrong, _) | Bound::Percent(wrong, _) => {
                let what = match wrong {
                    Wrong::Errors => "that ended failed or were cut",
                    Wrong::Cut => "that ended were cut",
                    Wrong::Shed => "were shed",
                };
                write!(f, "{what} ({share:.1} %)")?;
            }
            Bound::Latency(latency, _, most) => {
                let most = DurationText(most);
                match latency {
                    Latency::Ttft => write!(f, "waited longer than {most} for their first token")?,
                    Latency::Tpot => write!(f, "took longer than {most} for a token")?,
                    Latency::E2e => write!(f, "took longer than {most}")?,
                }
            }
        }
        write!(f, ", within {:.1} s", span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Failure;
    use crate::sample::testing::completed;

    const SECOND: u64 = 1_000_000;

    fn tripwire(rules: &str) -> Tripwire {
        Tripwire::new(&rules.parse().expect("rules"))
    }

    fn ended(index: u64, at: u64, outcome: Outcome) -> Sample {
        Sample { ended: Micros(at), outcome, ..completed(index, at - 1_000, 500, &[10]) }
    }

    fn failed() -> Outcome {
        Outcome::Failed(Failure { kind: FailureKind::Connect, message: String::new() })
    }

    #[test]
    fn a_share_is_of_the_window_and_of_enough_requests() {
        let mut wire = tripwire("errors>5%");
        for index in 0..19 {
            wire.ended(&ended(index, SECOND + index, failed()));
        }
        assert_eq!(wire.look(Micros(2 * SECOND)), None, "19 say nothing");
        wire.ended(&ended(19, SECOND + 19, Outcome::Completed));
        let tripped = wire.look(Micros(2 * SECOND)).expect("19 of 20");
        assert_eq!((tripped.hits, tripped.all), (19, 20));
        let said = tripped.to_string();
        assert_eq!(said, "errors>5%: 19 of 20 requests that ended failed or were cut (95.0 %), within 1.0 s");
        // Eleven seconds later twenty others have ended well.
        for index in 20..40 {
            wire.ended(&ended(index, 12 * SECOND, Outcome::Completed));
        }
        assert_eq!(wire.look(Micros(13 * SECOND)), None);
    }

    #[test]
    fn a_slow_load_is_guarded_by_its_last_requests() {
        let mut wire = tripwire("errors>40%");
        let mut tripped_at = None;
        for index in 1..60 {
            let outcome = if index > 30 { failed() } else { Outcome::Completed };
            wire.ended(&ended(index, index * SECOND, outcome));
            if let (None, Some(tripped)) = (tripped_at, wire.look(Micros(index * SECOND))) {
                tripped_at = Some((index, tripped.all));
            }
        }
        assert_eq!(tripped_at, Some((39, 20)), "9 of the last 20, one a second");
    }

    #[test]
    fn a_number_is_of_the_window_alone() {
        let mut wire = tripwire("cut>1@5s");
        wire.ended(&ended(0, SECOND, Outcome::Cut));
        assert_eq!(wire.look(Micros(SECOND)), None);
        wire.ended(&ended(1, 7 * SECOND, Outcome::Cut));
        assert_eq!(wire.look(Micros(7 * SECOND)), None, "the first is forgotten");
        wire.ended(&ended(2, 8 * SECOND, Outcome::Cut));
        assert!(wire.look(Micros(8 * SECOND)).is_some());
    }

    #[test]
    fn a_server_that_goes_silent_breaks_a_bound_on_ttft() {
        let mut wire = tripwire("ttft.p99>10s");
        for index in 0..30 {
            wire.offered(index, Micros(index * 100_000), Micros(index * 100_000));
            if index < 25 {
                wire.first_token(index, Micros(index * 100_000 + 50_000));
            }
        }
        assert_eq!(wire.look(Micros(12 * SECOND)), None, "the oldest of those that wait was due at 2.5 s");
        let tripped = wire.look(Micros(12_500_001)).expect("it has waited long enough");
        assert_eq!(tripped.hits, 1);
        assert!(tripped.to_string().contains("waited longer than 10s for their first token"), "{tripped}");
        // What ends without a token is an error and no latency.
        wire.ended(&ended(26, 13 * SECOND, failed()));
        assert_eq!(wire.wires[0].open.len(), 3);
    }

    #[test]
    fn what_is_shed_is_a_share_of_what_was_offered() {
        let mut wire = tripwire("shed>10%,e2e.p50>2s");
        for index in 0..27 {
            wire.offered(index, Micros(SECOND), Micros(SECOND));
        }
        (0..3).for_each(|_| wire.shed(Micros(SECOND)));
        assert_eq!(wire.look(Micros(SECOND)), None, "just a tenth");
        wire.shed(Micros(SECOND));
        assert_eq!(wire.look(Micros(SECOND)).map(|tripped| (tripped.hits, tripped.all)), Some((4, 31)));
    }

    #[test]
    fn what_the_server_sheds_is_shed_as_of_when_it_was_offered_and_an_error_besides() {
        let limited = || Outcome::Failed(Failure { kind: FailureKind::Limited, message: "429".to_owned() });
        let mut wire = tripwire("shed>10%,errors>50%");
        for index in 0..20 {
            wire.offered(index, Micros(SECOND), Micros(SECOND));
        }
        wire.ended(&ended(0, SECOND + 1, limited()));
        wire.ended(&ended(1, 2 * SECOND, limited()));
        wire.ended(&ended(2, 2 * SECOND, failed()));
        assert_eq!(wire.look(Micros(2 * SECOND)), None, "two of twenty, and what fails otherwise is not shed");
        wire.shed(Micros(2 * SECOND));
        let tripped = wire.look(Micros(2 * SECOND)).expect("three of 21");
        assert_eq!((tripped.hits, tripped.all), (3, 21), "one by the client, two by the server");
        assert!(tripped.to_string().contains("3 of 21 requests were shed (14.3 %)"), "{tripped}");

        let mut wire = tripwire("shed>10%,errors>50%");
        for index in 0..20 {
            wire.ended(&ended(index, SECOND, if index > 7 { limited() } else { Outcome::Completed }));
        }
        let tripped = wire.look(Micros(SECOND)).expect("twelve of twenty");
        assert_eq!((tripped.rule.to_string().as_str(), tripped.hits), ("errors>50%", 12));

        let mut wire = tripwire("shed>0@1s");
        wire.offered(0, Micros(SECOND), Micros(SECOND));
        assert_eq!(wire.look(Micros(9 * SECOND)), None);
        wire.ended(&ended(0, 9 * SECOND, limited()));
        let tripped = wire.look(Micros(9 * SECOND)).expect("it was told late");
        assert_eq!((tripped.hits, tripped.all), (1, 1));
    }

    #[test]
    fn what_never_left_this_machine_is_no_reason_to_spare_the_target() {
        let unsent = || Outcome::Failed(Failure { kind: FailureKind::Client, message: String::new() });
        let mut wire = tripwire("errors>10%");
        (0..100).for_each(|index| wire.ended(&ended(index, SECOND, unsent())));
        assert_eq!(wire.look(Micros(SECOND)), None);
        (0..20).for_each(|index| wire.ended(&ended(index, SECOND, failed())));
        let tripped = wire.look(Micros(SECOND)).expect("all that it has seen");
        assert_eq!((tripped.hits, tripped.all), (20, 20));
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let [p99, p95, p50] = [99, 95, 50].map(super::super::Rank);
        assert!(p99.is_above(1, 20) && !p99.is_above(1, 100) && p99.is_above(2, 101));
        assert!(!p95.is_above(1, 20) && p95.is_above(2, 20));
        assert!(!p50.is_above(10, 20) && p50.is_above(11, 20));
    }
}
