use std::collections::BTreeSet;

use tokio::sync::Semaphore;

use super::*;
use crate::sample::Outcome;

/// Answers with as many tokens as asked for, as soon as it may.
struct Gated(Arc<Semaphore>);

impl Protocol for Gated {
    async fn serve(&self, dispatch: Dispatch, report: &mut Report) -> End {
        let at = report.clock().now();
        report.sent(at).await;
        let permit = self.0.acquire().await.expect("never closed");
        permit.forget();
        let mut tokens = vec![None; dispatch.output_tokens as usize];
        report.tokens(at, tokens.drain(..).map(|token| (token, 0))).await;
        Outcome::Completed.into()
    }
}

const LIMITS: Limits = Limits { in_flight: 4, timeout: Duration::from_mins(10) };
/// Events that may wait.
const ROOM: usize = 8;
const PATIENCE: Duration = Duration::from_mins(1);

fn open(gate: &Arc<Semaphore>) -> Parts {
    Ground::with_inbox(ROOM).expect("a runtime").connect(Gated(Arc::clone(gate)), LIMITS).expect("a target")
}

fn submit(parts: &Parts, index: u64) -> Result<(), Shed> {
    parts.target.submit(Dispatch::alone(index, Arc::from([1]), 20))
}

/// Reads until so many requests have ended: which they were, and how.
fn ended(parts: &mut Parts, count: usize) -> BTreeSet<(u64, bool)> {
    let mut all = Vec::new();
    loop {
        let ends = all.iter().filter_map(|event| match event {
            TargetEvent::Ended { index, outcome, .. } => Some((*index, outcome.is_completed())),
            _ => None,
        });
        let ends: BTreeSet<_> = ends.collect();
        if ends.len() >= count {
            return ends;
        }
        assert!(parts.events.drain(&mut all, PATIENCE), "it goes on");
    }
}

#[test]
fn more_than_may_be_in_flight_are_shed_and_room_comes_back() {
    let gate = Arc::new(Semaphore::new(0));
    let mut parts = open(&gate);
    for index in 0..4 {
        assert_eq!(submit(&parts, index), Ok(()));
    }
    assert_eq!(submit(&parts, 4), Err(Shed::TooMany));
    gate.add_permits(4);
    assert_eq!(ended(&mut parts, 4).len(), 4);
    // Counted down right behind the last event, and nobody is told of that.
    let pause = Duration::from_millis(1);
    let room = (0..PATIENCE.as_millis() / pause.as_millis()).any(|_| {
        let taken = submit(&parts, 5);
        assert!(taken.is_ok() || parts.events.drain(&mut Vec::new(), pause), "it goes on");
        taken.is_ok()
    });
    assert!(room, "room comes back");
    gate.add_permits(1);
    assert_eq!(ended(&mut parts, 1), BTreeSet::from([(5, true)]));
}

#[test]
fn answers_larger_than_the_inbox_come_through_and_are_counted_as_held_up() {
    let gate = Arc::new(Semaphore::new(4));
    let mut parts = open(&gate);
    for index in 0..4 {
        assert_eq!(submit(&parts, index), Ok(()));
    }
    let mut all = Vec::new();
    while all.iter().filter(|event| matches!(event, TargetEvent::Ended { .. })).count() < 4 {
        let before = all.len();
        assert!(parts.events.drain(&mut all, PATIENCE));
        assert!(all.len() - before <= ROOM, "never more than the inbox holds");
    }
    let tokens = all.iter().filter(|event| matches!(event, TargetEvent::Token { .. })).count();
    assert_eq!(tokens, 80);
    assert!(parts.client.held_up() > 0);
}

#[test]
fn given_up_requests_end_as_cancelled_and_others_go_on() {
    let gate = Arc::new(Semaphore::new(0));
    let mut parts = open(&gate);
    for index in 0..3 {
        assert_eq!(submit(&parts, index), Ok(()));
    }
    // Asked before they may have begun, again, and of one that never was.
    for index in [0, 2, 2, 99] {
        parts.target.cancel(index);
    }
    assert_eq!(ended(&mut parts, 2), BTreeSet::from([(0, false), (2, false)]));
    gate.add_permits(1);
    assert_eq!(ended(&mut parts, 1), BTreeSet::from([(1, true)]));
}

#[test]
fn without_its_target_the_thread_ends() {
    let mut parts = open(&Arc::new(Semaphore::new(0)));
    assert_eq!(submit(&parts, 0), Ok(()));
    drop(parts.target);
    while parts.events.drain(&mut Vec::new(), PATIENCE) {}
}

/// Panics.
struct Broken;

impl Protocol for Broken {
    async fn serve(&self, _: Dispatch, _: &mut Report) -> End {
        panic!("on purpose");
    }
}

#[test]
fn a_task_that_panics_ends_the_target_and_not_the_patience() {
    let mut parts = Ground::with_inbox(ROOM).expect("a runtime").connect(Broken, LIMITS).expect("a target");
    assert_eq!(submit(&parts, 0), Ok(()));
    while parts.events.drain(&mut Vec::new(), PATIENCE) {}
    assert_eq!(submit(&parts, 1), Err(Shed::Stopped));
}

/// Has the answer at once and waits for more of it for ever.
struct Open;

impl Protocol for Open {
    async fn serve(&self, _: Dispatch, report: &mut Report) -> End {
        report.completed();
        std::future::pending().await
    }
}

#[test]
fn an_answer_that_is_there_is_not_late_when_nothing_more_is_told_of_it() {
    let limits = Limits { timeout: Duration::from_millis(1), ..LIMITS };
    let mut parts = Ground::with_inbox(ROOM).expect("a runtime").connect(Open, limits).expect("a target");
    assert_eq!(submit(&parts, 0), Ok(()));
    assert_eq!(ended(&mut parts, 1), BTreeSet::from([(0, true)]));
}

#[test]
fn requests_in_flight_over_grpc_are_bounded_by_calls_and_not_by_sockets() {
    assert_eq!(Limits::of_grpc(Duration::from_secs(1)).in_flight, 4096);
}
