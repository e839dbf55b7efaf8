//! Units are lost.

use engine::cluster::UnitState;
use engine::drive::wall::EngineEvent;
use engine::units::{RequestId, UnitId};

use crate::stage::{Cue, Trouble};
use crate::world::{World, split};

/// Twelve requests of many lengths while `unit` goes wrong at `cue`: every one of them is answered as if nothing had happened.
fn assert_survives(of: &str, unit: u16, cue: Cue, trouble: Trouble) {
    let case = format!("{of}, {cue:?}, {trouble:?}");
    let mut world = World::new(of);
    world.stage.trouble(cue, trouble);
    for request in 0..12 {
        // Until all are in: were the first over before the last came, a unit might never have anything to do.
        world.stage.hold(Cue::Token(RequestId(request), 0));
        world.submit(request, 20 + 7 * request as u32, 12);
    }
    world.until_observed("all of them", |now| now.in_flight == 12);
    world.stage.release_all();
    world.until_over(0..12);
    world.assert_answered(0..12);
    assert_eq!(world.lost(), [UnitId(unit)], "{case}");

    world.submit(12, 50, 12);
    world.until_over([12]);
    world.assert_answered([12]);
    world.assert_at_rest();
    let now = world.handle.observe();
    assert_eq!(now.split.units(), split(of).units() - 1, "{case}");
    assert_eq!(now.units[usize::from(unit)].figures.state, UnitState::Failed, "{case}");
}

#[test]
fn a_step_that_goes_wrong_costs_no_request_and_changes_no_token() {
    for trouble in [Trouble::Error, Trouble::Panic] {
        for (of, unit, step) in
            [("2P2D", 0, 1), ("2P2D", 1, 2), ("2P2D", 2, 1), ("2P2D", 3, 3), ("4A", 1, 1), ("4A", 3, 5)]
        {
            assert_survives(of, unit, Cue::Step(UnitId(unit), step), trouble);
        }
    }
}

#[test]
fn a_step_that_samples_too_few_tokens_has_gone_wrong() {
    assert_survives("2P2D", 2, Cue::Step(UnitId(2), 2), Trouble::Short);
    assert_survives("4A", 0, Cue::Token(RequestId(0), 0), Trouble::Short);
}

#[test]
fn an_import_that_goes_wrong_costs_no_request_and_changes_no_token() {
    for trouble in [Trouble::Error, Trouble::Panic] {
        assert_survives("2P2D", 2, Cue::Import(UnitId(2), 1), trouble);
        assert_survives("1P3D", 3, Cue::Import(UnitId(3), 1), trouble);
    }
}

#[test]
fn a_hand_off_half_copied_to_a_lost_unit_starts_again_from_its_source() {
    let mut world = World::new("1P2D");
    world.stage.trouble(Cue::Piece(RequestId(0), 64), Trouble::Error);
    world.submit(0, 400, 8);
    world.until_over([0]);
    world.assert_answered([0]);
    assert_eq!(world.lost(), [UnitId(1)]);
    let finished = world.finished(0);
    assert_eq!((finished.decode_unit, finished.preemptions), (Some(UnitId(2)), 0), "the prompt was computed once");
    world.assert_at_rest();
}

#[test]
fn a_request_whose_source_is_lost_while_it_is_copied_is_computed_elsewhere() {
    let mut world = World::new("2P1D");
    let piece = Cue::Piece(RequestId(0), 0);
    world.stage.hold(piece);
    world.submit(0, 400, 8);
    world.stage.reached(piece);
    // One of the first two after it goes to its unit, and takes that down.
    world.stage.trouble(Cue::Step(UnitId(0), 14), Trouble::Panic);
    for request in 1..3 {
        world.submit(request, 40, 8);
    }
    world.until("the loss", |event| matches!(event, EngineEvent::UnitLost { .. }));
    world.handle.check().expect("every invariant while the piece is being copied");
    world.stage.release(piece);
    world.until_over(0..3);
    world.assert_answered(0..3);
    assert_eq!(world.lost(), [UnitId(0)]);
    let finished = world.finished(0);
    assert_eq!((finished.prefill_unit, finished.preemptions), (Some(UnitId(0)), 1));
    world.assert_at_rest();
}

#[test]
fn without_anybody_who_decodes_all_requests_end_and_later_ones_are_refused() {
    for trouble in [Trouble::Error, Trouble::Panic] {
        for (of, unit) in [("2P1D", 2), ("1A", 0)] {
            let mut world = World::new(of);
            let cue = Cue::Step(UnitId(unit), 8);
            world.stage.trouble(cue, trouble);
            world.stage.hold(cue);
            for request in 0..6 {
                world.submit(request, 40, 100);
            }
            world.until_observed("all six", |now| now.in_flight == 6);
            world.stage.release(cue);
            world.until_over(0..6);
            world.assert_given_up(0..6);
            assert_eq!(world.lost(), [UnitId(unit)], "{of}");
            world.submit(6, 40, 4);
            world.until_over([6]);
            assert_eq!(world.refusal(6), "no unit is left that could serve requests");
            world.assert_at_rest();
            world.close();
        }
    }
}

#[test]
fn without_anybody_who_prefills_what_decodes_goes_on_and_the_rest_ends() {
    let mut world = World::new("1P2D");
    let decoding = [Cue::Token(RequestId(0), 2), Cue::Token(RequestId(1), 2)];
    for (request, cue) in (0..).zip(decoding) {
        world.stage.hold(cue);
        world.submit(request, 40, 12);
        world.stage.reached(cue);
    }
    let prompt = Cue::Token(RequestId(2), 0);
    world.stage.trouble(prompt, Trouble::Error);
    world.stage.hold(prompt);
    for request in 2..5 {
        world.submit(request, 60, 12);
    }
    world.until_observed("all five", |now| now.in_flight == 5);
    world.stage.release(prompt);
    world.until_over(2..5);
    world.assert_given_up(2..5);
    assert_eq!(world.lost(), [UnitId(0)]);
    world.submit(5, 40, 4);
    world.until_over([5]);
    assert_eq!(world.refusal(5), "no unit is left that could serve requests");
    world.stage.release_all();
    world.until_over(0..2);
    world.assert_answered(0..2);
    world.assert_at_rest();
}
