//! Shifts that wait for each other.

use engine::cluster::{ClusterConfig, How, Notice, ShiftRefused};
use engine::drive::wall::{EngineEvent, PendingShift, ShiftError};
use engine::units::{Nanos, RequestId, UnitId};

use crate::stage::{Cue, Trouble};
use crate::world::{World, cluster, config, split};

/// A world in which each of the decode units has a request at its third token, and stays there.
fn with_busy_decode_units(mut world: World, units: u64) -> World {
    for request in 0..units {
        let cue = third(request);
        world.stage.hold(cue);
        world.submit(request, 40, 12 + 4 * request as u32);
        world.stage.reached(cue);
    }
    world
}

fn third(request: u64) -> Cue {
    Cue::Token(RequestId(request), 2)
}

#[test]
fn a_waiting_shift_that_became_impossible_is_reported_and_the_next_one_tried() {
    let mut world = with_busy_decode_units(World::new("2P2D"), 2);
    let first = world.handle.shift(split("3P1D"), How::Drain).expect("the first shift");
    let second = world.handle.shift(split("1P3D"), How::Drain).expect("it may wait");
    world.stage.trouble(Cue::Token(RequestId(2), 0), Trouble::Error);
    world.submit(2, 40, 12);
    world.until("the loss", |event| matches!(event, EngineEvent::UnitLost { .. }));
    assert_eq!(world.lost(), [UnitId(0)]);
    let third = world.handle.shift(split("1P2D"), How::Migrate).expect("it may wait");
    let now = world.handle.observe();
    assert_eq!(now.shift, Some(PendingShift { id: first, to: split("3P1D"), how: How::Drain }));
    let waiting = [(second, "1P3D", How::Drain), (third, "1P2D", How::Migrate)];
    assert_eq!(now.waiting_shifts, waiting.map(|(id, to, how)| PendingShift { id, to: split(to), how }));

    world.stage.release_all();
    let dropped = world.until("the shift for four", |event| matches!(event, EngineEvent::ShiftDropped { .. }));
    let EngineEvent::ShiftDropped { id, to, how, why, .. } = dropped else { unreachable!("just looked for") };
    let told = "split 1P3D has 4 units, 3 are serving";
    assert_eq!((id, to, how, why.as_str()), (second, split("1P3D"), How::Drain, told));
    world.until_shifted(2);
    let ended: Vec<_> =
        world.shifts().iter().map(|report| (report.id, report.to, report.abandoned.is_some())).collect();
    assert_eq!(ended, [(first, split("3P1D"), false), (third, split("1P2D"), false)]);
    assert_eq!(world.handle.observe().split, split("1P2D"));
    world.until_over(0..3);
    world.assert_answered(0..3);
    world.assert_at_rest();
}

#[test]
fn units_that_are_threads_of_one_process_do_not_restart() {
    let mut world = World::new("2P2D");
    let refused = world.handle.shift(split("3P1D"), How::Restart);
    assert_eq!(refused, Err(ShiftError::NoProcess));
    assert_eq!((world.handle.observe().shift, world.handle.observe().split), (None, split("2P2D")));
    world.handle.shift(split("3P1D"), How::Drain).expect("they drain");
    world.until_shifted(1);
    world.assert_at_rest();
}

#[test]
fn the_drain_timeout_of_a_shift_counts_from_its_start_also_when_it_had_to_wait() {
    let timeout = Nanos(30_000_000);
    let patient = ClusterConfig { drain_timeout: Some(timeout), ..cluster() };
    let mut world = with_busy_decode_units(World::with(config(patient, "1P3D")), 3);
    // Migrating has no deadline: the first shift lasts as long as request 0 stays in its step.
    world.handle.shift(split("2P2D"), How::Migrate).expect("the first shift");
    world.handle.shift(split("3P1D"), How::Drain).expect("it may wait");
    world.stage.release(third(0));
    world.until_observed("request 0 to move", |now| now.units.iter().any(|unit| unit.figures.incoming > 0));
    // Whoever takes it does so beside its next step, and comes to one after that which does not end.
    for request in 1..3 {
        world.stage.hold(Cue::Token(RequestId(request), 4));
        world.stage.release(third(request));
    }
    world.until_shifted(2);

    let [first, second] = world.shifts().try_into().expect("two shifts");
    assert_eq!((first.to, first.abandoned), (split("2P2D"), None));
    assert_eq!(second.to, split("3P1D"));
    let why = second.abandoned.expect("it could not be drained");
    assert!(why.ends_with("at the drain timeout"), "{why}");
    assert!(second.accepted >= first.accepted + first.total, "it waited");
    assert!(second.drain >= timeout, "{:?}", second.drain);
    assert_eq!(world.handle.observe().split, split("2P2D"));
    world.stage.release_all();
    world.until_over(0..3);
    world.assert_answered(0..3);
    world.assert_at_rest();
}

#[test]
fn a_drain_timeout_ends_a_shift_that_did_not_wait() {
    let patient = ClusterConfig { drain_timeout: Some(Nanos(1_000_000)), ..cluster() };
    let mut world = with_busy_decode_units(World::with(config(patient, "1P2D")), 2);
    world.handle.shift(split("2P1D"), How::Drain).expect("a shift");
    world.until_shifted(1);
    assert!(world.shifts()[0].abandoned.is_some());
    world.stage.release_all();
    world.until_over(0..2);
    world.assert_answered(0..2);
    world.assert_at_rest();
}

#[test]
fn only_so_many_shifts_wait() {
    let mut world = with_busy_decode_units(World::new("1P2D"), 2);
    world.handle.shift(split("2P1D"), How::Drain).expect("the first shift");
    let turns = [split("1P2D"), split("2P1D")];
    let mut taken = 0;
    let full = loop {
        match world.handle.shift(turns[taken % 2], How::Drain) {
            Ok(_) => taken += 1,
            Err(full) => break full,
        }
        assert!(taken < 10_000, "the queue has no end");
    };
    assert_eq!((taken, full), (64, ShiftError::QueueFull));
    assert_eq!(world.handle.observe().waiting_shifts.len(), 64);
    let wrong = world.handle.shift(split("2P2D"), How::Drain);
    let units = ShiftRefused::WrongUnits { asked: split("2P2D"), live: 3 };
    assert_eq!(wrong, Err(ShiftError::Refused(units)), "what is wrong in any case is said first");

    world.stage.release_all();
    world.until_shifted(taken + 1);
    assert!(world.shifts().iter().all(|report| report.abandoned.is_none()));
    assert_eq!(world.handle.observe().split, split("2P1D"));
    world.handle.shift(split("1P2D"), How::Drain).expect("there is room again");
    world.until_shifted(taken + 2);
    world.until_over(0..2);
    world.assert_answered(0..2);
    world.assert_at_rest();
}

#[test]
fn a_unit_lost_while_it_moves_ends_the_shift_and_the_engine_goes_on() {
    for trouble in [Trouble::Error, Trouble::Panic] {
        let mut world = with_busy_decode_units(World::new("1P3D"), 3);
        world.handle.shift(split("2P2D"), How::Drain).expect("a shift");
        let started = world
            .until("a unit to drain", |event| matches!(event, EngineEvent::Notice { notice: Notice::Unit { .. }, .. }));
        let EngineEvent::Notice { notice: Notice::Unit { unit, .. }, .. } = started else { unreachable!("just found") };
        // Request n is on decode unit n, which is unit n + 1.
        world.stage.trouble(Cue::Token(RequestId(u64::from(unit.0) - 1), 3), trouble);
        world.stage.release_all();
        world.until_shifted(1);
        assert_eq!(world.shifts()[0].abandoned, Some(format!("{unit} failed")));
        assert_eq!(world.lost(), [unit]);
        world.until_over(0..3);
        world.assert_answered(0..3);
        world.assert_at_rest();
    }
}
