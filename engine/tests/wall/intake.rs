//! Submissions that must not harm anybody.

use std::sync::Arc;

use engine::cluster::FinishReason;
use engine::drive::wall::{EngineEvent, SubmitError, WallConfig};
use engine::units::RequestId;

use crate::hashed::{self, VOCABULARY};
use crate::stage::Cue;
use crate::world::{Outcome, World, cluster, config, submission, text};

#[test]
fn an_answer_that_could_never_fit_is_refused_before_it_takes_memory() {
    let mut world = World::new("1P1D");
    world.submit(0, 40, u32::MAX);
    world.submit(1, 40, 8);
    world.until_over(0..2);
    assert_eq!(world.refusal(0), format!("40 prompt tokens and {} answer tokens exceed the context of 1024", u32::MAX));
    world.assert_answered([1]);
    world.assert_at_rest();
}

#[test]
fn a_token_that_the_model_does_not_know_is_refused_and_costs_no_unit() {
    let mut world = World::new("2A");
    world.submit_text(0, Arc::new([1, 2, VOCABULARY, 3]), 8);
    world.submit_text(1, Arc::new([1, 2, VOCABULARY - 1, 3]), 8);
    world.until_over(0..2);
    assert_eq!(world.refusal(0), "token 1000 of the prompt is outside the vocabulary of 1000");
    world.assert_answered([1]);
    assert_eq!(world.lost(), []);
    world.assert_at_rest();
}

#[test]
fn a_second_request_under_a_number_in_flight_is_refused_and_the_first_goes_on() {
    let mut world = World::new("1P1D");
    let cue = Cue::Token(RequestId(0), 3);
    world.stage.hold(cue);
    world.submit(0, 40, 20);
    world.stage.reached(cue);
    let first = world.asked[&RequestId(0)].clone();
    world.submit(0, 12, 5);
    world.until_over([0]);
    assert_eq!(world.refusal(0), "request 0 is in flight already");
    world.asked.insert(RequestId(0), first.clone());
    world.stage.release(cue);
    // The refusal is its first outcome, the answer its second.
    world.until("the end", |event| matches!(event, EngineEvent::Finished { .. }));
    assert_eq!(world.answers()[&RequestId(0)], hashed::answer(&first.prompt, 20));
    let outcomes = world.outcomes(RequestId(0));
    assert!(matches!(&outcomes[1], Outcome::Finished(finished) if finished.reason == FinishReason::Length));
}

#[test]
fn the_step_of_a_cancelled_request_says_nothing_about_the_next_one_under_its_number() {
    for (of, index) in [("1A", 3), ("1A", 0), ("1P1D", 3)] {
        let mut world = World::new(of);
        let cue = Cue::Token(RequestId(7), index);
        world.stage.hold(cue);
        // Its third token of the answer fills a block.
        world.submit(7, 41, 20);
        world.stage.reached(cue);
        world.handle.cancel(RequestId(7));
        world.until_over([7]);
        assert_eq!(world.finished(7).reason, FinishReason::Cancelled);
        let said = world.log.len();
        world.submit_text(7, text(70, 40, VOCABULARY), 20);
        // Accepted while the step of the first is still under way.
        world.until_observed("the second request", |now| now.in_flight == 1);
        world.stage.release(cue);
        let finished = |event: &EngineEvent| {
            matches!(event, EngineEvent::Finished { finished, .. }
                if finished.reason == FinishReason::Length)
        };
        world.until("the second request to be answered", finished);
        world.log.drain(..said);
        let asked = &world.asked[&RequestId(7)];
        assert_eq!(world.answers()[&RequestId(7)], hashed::answer(&asked.prompt, 20), "{of}, token {index}");
        world.handle.check().expect("every invariant");
    }
}

#[test]
fn a_request_that_is_cancelled_in_the_inbox_never_starts() {
    let mut world = World::with(WallConfig { event_limit: 1, ..config(cluster(), "1A") });
    world.submit(0, 0, 1);
    // The refusal is unread: the intake thread stands still behind it, or is about to. So does a unit that only now begins.
    world.until_observed("somebody to stand still", |now| now.stalled > 0);
    let cue = Cue::Token(RequestId(1), 10);
    world.stage.hold(cue);
    world.submit(1, 40, 200);
    world.handle.cancel(RequestId(1));
    world.until_over(0..2);
    assert_eq!(world.finished(1).reason, FinishReason::Cancelled);
    world.stage.release(cue);
    world.assert_at_rest();
}

#[test]
fn requests_in_flight_are_bounded_and_each_end_makes_room() {
    let mut world = World::with(WallConfig { request_limit: 3, ..config(cluster(), "1A") });
    let cue = Cue::Token(RequestId(0), 5);
    world.stage.hold(cue);
    world.submit(0, 40, 20);
    // Refused in the end, but in flight until then.
    world.submit(1, 0, 1);
    world.until_over([1]);
    for request in 2..4 {
        world.submit(request, 40, 20);
    }
    assert_eq!(world.handle.submit(submission(9, text(9, 40, VOCABULARY), 20)), Err(SubmitError::TooMany));
    world.stage.release(cue);
    world.until_over([0, 2, 3]);
    for request in 4..7 {
        world.submit(request, 40, 20);
    }
    world.until_over(4..7);
    world.assert_answered([0, 2, 3, 4, 5, 6]);
    world.assert_at_rest();
}
