//! Searches on invented queues, whose edges are known.

use engine::model::counter;
use proptest::prelude::*;

use super::judge::Judge;
use super::seen::{self, Fate, Seen};
use super::{Goal, Limit, Search, Step, Stopped, Verdict};
use crate::plan::Procedure;
use crate::sample::testing::unanswered;
use crate::sample::{Failure, FailureKind, Outcome};
use crate::time::Micros;

fn goal(slo: &str) -> Goal {
    Goal {
        slo: slo.parse().expect("an SLO"),
        attainment: 0.9,
        procedure: Procedure::Sustained,
        start_rps: 1.0,
        resolution: 1.05,
        steps: 30,
    }
}

/// A server that takes `service_s` on average for each request, one after another.
#[derive(Clone, Copy)]
struct Queue {
    service_s: f64,
}

impl Queue {
    /// All requests of a Poisson load, or of an evenly spaced burst, in the order of ending.
    fn serve(self, goal: &Goal, rate: f64, seed: u64, requests: usize) -> Vec<Seen> {
        let (mut due, mut free) = (0.0_f64, 0.0_f64);
        let seen = (0..requests as u64).map(|index| {
            let uniform = |purpose: u64| counter::unit_interval(seed, 2 * index + purpose);
            due += match goal.procedure {
                Procedure::Sustained => -(1.0 - uniform(0)).ln() / rate,
                Procedure::Burst(_) => 1.0 / rate,
            };
            // Between a half and one and a half of the mean.
            free = free.max(due) + self.service_s * (0.5 + uniform(1));
            let ttft = Micros::from_secs_f64(free - due);
            let ended = Micros::from_secs_f64(free);
            Seen {
                index,
                due: Micros::from_secs_f64(due),
                first: Some(ended),
                ended,
                fate: Fate::Completed,
                ttft: Some(ttft),
                tpot: None,
                itl_mean: None,
                itl_p99: None,
                e2e: Some(ttft),
                good: goal.slo.ttft.is_none_or(|most| ttft <= most),
            }
        });
        seen.collect()
    }

    /// The highest rate, from one simulation of many requests after another.
    fn truth(self, goal: &Goal) -> f64 {
        let (mut low, mut high) = (0.01, 1.0 / self.service_s);
        for _ in 0..14 {
            let middle = f64::midpoint(low, high);
            let seen = self.serve(goal, middle, 99, 400_000);
            let good = seen.iter().skip(1000).filter(|seen| seen.good).count() as f64 / (seen.len() - 1000) as f64;
            if good >= goal.attainment { low = middle } else { high = middle }
        }
        low
    }
}

/// Searches with steps of `requests`; what `seen` of a rate and a seed says is told one after another, and looked at in between.
fn search(goal: Goal, requests: usize, seed: u64, seen: impl Fn(f64, u64) -> Vec<Seen>) -> Search {
    let mut search = Search::new(goal, 1e6);
    while let Ok(rate) = search.next() {
        let mut judge = Judge::new(goal, rate, requests, search.alike());
        let mut early = None;
        for seen in seen(rate, counter::stream(seed, search.steps().len() as u64)) {
            judge.add(seen);
            early = judge.look();
            if early.is_some() {
                break;
            }
        }
        search.told(judge.finish(early, false, None));
    }
    search
}

#[test]
fn nine_intervals_in_ten_of_a_queue_hold_its_edge() {
    let goal = goal("ttft=500ms");
    let queue = Queue { service_s: 0.1 };
    let truth = queue.truth(&goal);
    assert!((6.0..9.0).contains(&truth), "{truth}");
    let (mut held, mut widths, searches) = (0, Vec::new(), 120);
    for seed in 0..searches {
        let search = search(goal, 430, 1000 + seed, |rate, seed| queue.serve(&goal, rate, seed, 430));
        let rate = search.found().rate_rps;
        let (lo, mid, hi) = (rate.lo.expect("lo"), rate.mid.expect("mid"), rate.hi.expect("hi"));
        assert!(lo <= mid && mid <= hi && search.steps().len() <= 16, "{rate:?}");
        held += u64::from((lo..=hi).contains(&truth));
        widths.push(hi / lo);
    }
    widths.sort_unstable_by(f64::total_cmp);
    let share = held as f64 / searches as f64;
    assert!(share >= 0.8, "{share} of the intervals hold {truth}");
    assert!(widths[widths.len() / 2] < 1.5, "they are as wide as {}", widths[widths.len() / 2]);
}

#[test]
fn nine_intervals_in_ten_hold_the_edge_of_independent_requests() {
    let goal = goal("tpot=50ms");
    // 90 % at 5/s, falling with the fourth power of the rate.
    let seen = |rate: f64, seed: u64| {
        let chance = 1.0 / (1.0 + (rate / 5.0_f64).powi(4) / 9.0);
        let good = |index| counter::unit_interval(seed, index) < chance;
        let at = |index: u64| Micros::from_secs_f64(index as f64 / rate);
        let seen = |index| Seen {
            index,
            due: at(index),
            first: Some(at(index)),
            ended: at(index),
            fate: Fate::Completed,
            ttft: Some(Micros(1)),
            tpot: Some(Micros(if good(index) { 40_000 } else { 60_000 })),
            itl_mean: None,
            itl_p99: None,
            e2e: None,
            good: good(index),
        };
        (0..430).map(seen).collect::<Vec<_>>()
    };
    let searches = 200;
    let held = (0..searches).filter(|seed| {
        let found = search(goal, 430, *seed, seen).found();
        assert_eq!(found.limit, Limit::Tpot);
        found.rate_rps.lo.zip(found.rate_rps.hi).is_some_and(|(lo, hi)| (lo..=hi).contains(&5.0))
    });
    let share = held.count() as f64 / searches as f64;
    assert!(share >= 0.82, "{share}");
}

#[test]
fn a_backlog_is_too_much_whatever_the_slo_leaves_out() {
    let goal = goal("tpot=1s");
    let queue = Queue { service_s: 0.1 };
    let search = search(goal, 430, 7, |rate, seed| queue.serve(&goal, rate, seed, 430));
    let found = search.found();
    let (lo, hi) = (found.rate_rps.lo.expect("lo"), found.rate_rps.hi.expect("hi"));
    assert!(lo > 8.0 && hi < 12.5 && found.limit == Limit::Backlog, "{found:?} of {:?}", search.steps());
    assert!(search.steps().iter().any(|step| step.verdict == Verdict::Unsteady && !step.steady));
}

#[test]
fn what_the_client_is_to_blame_for_is_no_limit_of_the_server() {
    let goal = goal("ttft=1s");
    let mut search = Search::new(goal, 1e6);
    while let Ok(rate) = search.next() {
        let verdict = if rate <= 3.0 { Verdict::Met } else { Verdict::Client };
        search.told(Step { rate_rps: rate, verdict, judged: 100, ..Step::default() });
    }
    let found = search.found();
    assert_eq!((found.rate_rps.hi, found.rate_rps.lo), (None, found.rate_rps.mid));
    assert!(found.rate_rps.mid.is_some_and(|mid| (2.8..=3.0).contains(&mid)), "{found:?}");
}

#[test]
fn a_burst_is_judged_by_its_means_and_bounded_by_its_length_and_its_first_tokens() {
    let goal = Goal { procedure: Procedure::Burst(20), ..goal("ttft=120ms") };
    let queue = Queue { service_s: 0.1 };
    let search = search(goal, 20, 3, |rate, seed| queue.serve(&goal, rate, seed, 20));
    let found = search.found();
    assert!(found.rate_rps.mid.is_some_and(|mid| mid > 5.0) && found.limit == Limit::Ttft, "{found:?}");
    assert!(search.steps().iter().all(|step| step.judged == 20 && [0, 20].contains(&step.good)));
    let lax = Goal { slo: "ttft=1h".parse().expect("an SLO"), ..goal };
    let found = self::search(lax, 20, 3, |rate, seed| queue.serve(&lax, rate, seed, 20)).found();
    // Ten a second are served, whatever the SLO bears.
    assert!(found.rate_rps.mid.is_some_and(|mid| (8.0..12.5).contains(&mid)), "{found:?}");
    assert_eq!(found.limit, Limit::Backlog);
    let fast = Queue { service_s: 0.01 };
    let found = self::search(lax, 20, 3, |rate, seed| fast.serve(&lax, rate, seed, 20)).found();
    assert_eq!((found.rate_rps.mid, found.rate_rps.hi), (Some(20.0), None));
}

#[test]
fn a_step_that_was_ended_early_by_nobody_s_verdict_decides_nothing() {
    let goal = goal("ttft=500ms");
    let mut judge = Judge::new(goal, 1.0, 100, 1.0);
    for seen in (Queue { service_s: 0.1 }).serve(&goal, 1.0, 1, 40) {
        judge.add(seen);
    }
    let step = judge.finish(None, true, None);
    assert_eq!((step.verdict, step.judged), (Verdict::Undecided, 20));
    let mut search = Search::new(goal, 1e6);
    search.told(step);
    assert_eq!((search.next(), search.found().rate_rps.mid), (Ok(1.0), None));
}

/// The client may have been late as well, and of those that were answered all may be good.
#[test]
fn a_server_that_fails_requests_is_the_limit_and_says_why() {
    let goal = goal("ttft=500ms");
    let step = |every: u64| {
        let mut judge = Judge::new(goal, 1.0, 100, 1.0);
        for seen in (Queue { service_s: 0.01 }).serve(&goal, 1.0, 1, 100) {
            let failed = seen.index.is_multiple_of(every);
            let fate = if failed { Fate::Failed } else { Fate::Completed };
            judge.add(Seen { fate, good: !failed, ..seen });
        }
        judge.hear("status: 500: no GPU".to_owned());
        judge.finish(None, false, Some("the client sent late".to_owned()))
    };
    let failing = step(2);
    assert_eq!((failing.verdict, failing.limit), (Verdict::Missed, Limit::Errors));
    assert_eq!(failing.why.as_deref(), Some("35 failed, the last one: status: 500: no GPU"));
    let sound = step(1000);
    assert_eq!((sound.verdict, sound.why), (Verdict::Met, None));
}

#[test]
fn what_never_left_this_machine_is_the_clients_limit() {
    let goal = goal("ttft=500ms");
    let mut judge = Judge::new(goal, 1.0, 100, 1.0);
    for seen in (Queue { service_s: 0.01 }).serve(&goal, 1.0, 1, 100) {
        let unsent = seen.index.is_multiple_of(2);
        let fate = if unsent { Fate::Unsent } else { Fate::Completed };
        judge.add(Seen { fate, good: !unsent, ..seen });
    }
    let step = judge.finish(None, true, None);
    assert_eq!(
        (step.verdict, step.limit),
        (Verdict::Undecided, Limit::Client),
        "of what it has seen before it was ended"
    );
    let unsent = Failure { kind: FailureKind::Client, message: "Too many open files".to_owned() };
    let sample = unanswered(0, 0, 10, Outcome::Failed(unsent));
    assert_eq!(seen::trouble(&sample), None, "the server has done nothing");
    assert_eq!(Seen::of(&sample, &goal.slo).map(|seen| seen.fate), Some(Fate::Unsent));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_search_ends_within_its_steps(
        seed in any::<u64>(), service_s in 0.001..10.0_f64, ttft_ms in 1_u64..20_000, steps in 1_u32..20
    ) {
        let goal = Goal { steps, ..goal(&format!("ttft={ttft_ms}ms")) };
        let queue = Queue { service_s };
        let search = search(goal, 100, seed, |rate, seed| queue.serve(&goal, rate, seed, 100));
        prop_assert!(search.steps().len() <= steps as usize);
        prop_assert!(matches!(search.next(), Err(Stopped::Found | Stopped::Steps)));
        let rate = search.found().rate_rps;
        prop_assert!(rate.lo.is_none_or(|lo| rate.mid.is_some_and(|mid| lo <= mid)));
        prop_assert!(rate.hi.is_none_or(|hi| rate.mid.is_none_or(|mid| mid <= hi)));
    }
}
