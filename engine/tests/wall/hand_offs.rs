//! Hand-offs that nobody wants any more.

use engine::cluster::FinishReason;
use engine::units::{RequestId, UnitId};

use crate::stage::{Cue, Trouble};
use crate::world::World;

/// Blocks held by each unit.
fn held(world: &World) -> Vec<u32> {
    world.handle.observe().units.iter().map(|unit| unit.figures.held).collect()
}

#[test]
fn a_hand_off_cancelled_while_a_piece_is_copied_keeps_its_blocks_until_the_piece_is_done() {
    let mut world = World::new("1P1D");
    let piece = Cue::Piece(RequestId(0), 0);
    world.stage.hold(piece);
    world.submit(0, 400, 8);
    world.stage.reached(piece);

    world.handle.cancel(RequestId(0));
    world.until_over([0]);
    assert_eq!(world.finished(0).reason, FinishReason::Cancelled);
    assert_eq!(held(&world), [100, 100], "somebody still reads and writes them");
    world.handle.check().expect("every invariant");

    // The next hand-off begins when the first was acknowledged, by the same thread.
    let next = Cue::Piece(RequestId(1), 0);
    world.stage.hold(next);
    world.submit(1, 40, 8);
    world.stage.release(piece);
    world.stage.reached(next);
    assert_eq!(held(&world), [10, 10], "the blocks of request 0 are back");
    assert!(!world.stage.has_reached(Cue::Piece(RequestId(0), 64)), "the second piece is not copied any more");
    world.stage.release(next);
    world.until_over([1]);
    world.assert_answered([1]);
    world.assert_at_rest();
}

#[test]
fn a_hand_off_cancelled_while_a_piece_is_copied_is_acknowledged_also_when_the_piece_goes_wrong() {
    for trouble in [Trouble::Error, Trouble::Panic] {
        let mut world = World::new("1P2D");
        let piece = Cue::Piece(RequestId(0), 0);
        world.stage.trouble(piece, trouble);
        world.stage.hold(piece);
        world.submit(0, 400, 8);
        world.stage.reached(piece);
        world.handle.cancel(RequestId(0));
        assert_eq!(held(&world), [100, 100, 0]);
        world.stage.release(piece);
        world.until_so("the loss", |world| world.lost() == [UnitId(1)]);
        assert_eq!(held(&world), [0, 0, 0], "acknowledged when the unit was given up");
        world.submit(1, 40, 8);
        world.until_over([0, 1]);
        assert_eq!(world.finished(0).reason, FinishReason::Cancelled);
        world.assert_answered([1]);
        world.assert_at_rest();
    }
}

#[test]
fn a_hand_off_cancelled_before_it_is_copied_gives_its_blocks_back_at_once() {
    let mut world = World::new("1P1D");
    let busy = Cue::Token(RequestId(0), 1);
    world.stage.hold(busy);
    world.submit(0, 40, 8);
    world.stage.reached(busy);
    world.submit(1, 400, 8);
    world.until_observed("the second hand-off", |now| now.units[1].figures.incoming == 1);
    world.handle.cancel(RequestId(1));
    world.until_over([1]);
    assert_eq!(world.finished(1).reason, FinishReason::Cancelled);
    assert_eq!(held(&world), [0, 11], "request 0 holds its prompt and the block of its next token");
    world.stage.release(busy);
    world.until_over([0]);
    world.assert_answered([0]);
    world.assert_at_rest();
}
