//! Closing an engine ends all its threads, whatever they are doing.

use engine::cluster::How;
use engine::drive::wall::{EngineError, ShiftError, SubmitError, WallConfig, WallEngine};
use engine::units::RequestId;
use std::sync::Arc;

use crate::hashed;
use crate::stage::{Cue, Stage, staged};
use crate::world::{World, cluster, config, is_token, split, submission, text};

fn assert_closed(world: &mut World) {
    world.close();
    world.until_closed();
    let late = world.handle.submit(submission(99, text(99, 10, 10), 1));
    assert_eq!(late, Err(SubmitError::Closed));
    assert_eq!(world.handle.shift(split("3P1D"), How::Drain), Err(ShiftError::Closed));
    world.handle.cancel(RequestId(0));
}

#[test]
fn an_idle_engine_closes() {
    assert_closed(&mut World::new("2P2D"));
}

#[test]
fn an_engine_closes_in_the_middle_of_answers() {
    let mut world = World::new("2P2D");
    for request in 0..20 {
        world.submit(request, 300, 500);
    }
    world.until("a first token", |event| is_token(event, 0, 0));
    assert_closed(&mut world);
}

#[test]
fn an_engine_closes_while_its_threads_wait_for_the_reader() {
    let mut world = World::with(WallConfig { event_limit: 1, inbox_limit: 2, ..config(cluster(), "2A") });
    for request in 0..2 {
        world.submit(request, 40, 100);
    }
    world.until_observed("somebody to stand still", |now| now.stalled > 0);
    while world.handle.submit(submission(9, text(9, 40, 10), 100)).is_ok() {}
    assert_closed(&mut world);
}

#[test]
fn an_engine_closes_whose_reader_has_gone() {
    let stage = Arc::new(Stage::default());
    let life = Arc::new(());
    let limits = WallConfig { event_limit: 1, ..config(cluster(), "1A") };
    let units = staged(&stage, hashed::executors(1, 256, &life));
    let (engine, reader) = WallEngine::start(limits, units).expect("an engine");
    drop(reader);
    engine.handle().submit(submission(0, text(0, 40, 10), 30)).expect("a place in the inbox");
    // Nobody reads, and nobody waits for that.
    stage.reached(Cue::Token(RequestId(0), 29));
    drop(engine);
    assert_eq!(Arc::strong_count(&life), 1);
}

#[test]
fn closing_waits_for_the_step_and_the_piece_under_way_and_for_no_other() {
    let mut world = World::new("1P1D");
    let step = Cue::Token(RequestId(1), 0);
    let piece = Cue::Piece(RequestId(0), 0);
    world.stage.hold(piece);
    world.submit(0, 400, 8);
    world.stage.reached(piece);
    world.stage.hold(step);
    world.submit(1, 40, 8);
    world.stage.reached(step);
    let engine = world.take_engine();
    let closing = std::thread::spawn(move || drop(engine));
    // Events end when closing has begun.
    world.until_closed();
    assert_eq!(world.executors(), 2, "both are still at work");
    world.stage.release_all();
    closing.join().expect("a closed engine");
    assert_eq!(world.executors(), 0);
    assert!(!world.stage.has_reached(Cue::Piece(RequestId(0), 64)));
}

#[test]
fn an_engine_that_could_let_nothing_through_does_not_start() {
    for (limits, name) in [
        (WallConfig { request_limit: 0, ..config(cluster(), "1A") }, "request_limit"),
        (WallConfig { inbox_limit: 0, ..config(cluster(), "1A") }, "inbox_limit"),
        (WallConfig { event_limit: 0, ..config(cluster(), "1A") }, "event_limit"),
    ] {
        let units = staged(&Arc::new(Stage::default()), hashed::executors(1, 256, &Arc::new(())));
        let refused = WallEngine::start(limits, units).map(|_| ()).expect_err("a limit of 0");
        assert!(matches!(refused, EngineError::Zero(zero) if zero == name), "{refused}");
    }
}
