//! Shifts, their tickets, and what refuses them.

use engine::cluster::{How, ShiftId};
use engine::drive::wall::PendingShift;
use engine::remote::StatusCode;

use super::world::{World, greedy, read, refused, shifted, split};

#[test]
fn every_shift_has_its_own_ticket_and_those_that_wait_are_shown() {
    let world = World::new();
    let engine = world.connect();
    world.gate.close();
    // Something to drain, so that the first shift lasts.
    let held = [1, 2, 3, 4].map(|token| world.run(engine.generate(&greedy(&[token; 40], 30))).expect("room"));
    world.eventually("both prefill units have work", |world| {
        world.hub.observe().units.iter().take(2).all(|unit| unit.figures.running > 0)
    });
    let asked = [("1P3D", How::Drain), ("3P1D", How::Migrate), ("2P2D", How::Drain)];
    let tickets = asked.map(|(to, how)| world.run(engine.shift(split(to), how, None)).expect("a shift"));
    assert_eq!(tickets, [0, 1, 2].map(ShiftId));
    let now = world.run(engine.topology()).expect("a topology").observed;
    let pending = [0, 1, 2].map(|at| PendingShift { id: tickets[at], to: split(asked[at].0), how: asked[at].1 });
    assert_eq!((now.shift, now.waiting_shifts), (Some(pending[0]), pending[1..].to_vec()));
    world.gate.open();
    world.run(async {
        for answer in held {
            assert_eq!(read(answer).await.0.len(), 30, "no shift costs a token");
        }
    });
    world.eventually("all have converged", |world| world.hub.counts().shifts_converged == 3);
    let now = world.run(engine.topology()).expect("a topology").observed;
    assert_eq!((now.shift, now.split), (None, split("2P2D")));
}

#[test]
fn a_shift_on_an_old_view_is_refused_and_nothing_has_moved() {
    let world = World::new();
    let engine = world.connect();
    let seen = world.run(engine.topology()).expect("a topology").observed.generation;
    shifted(&world, &engine, "1P3D");
    let message =
        refused(world.run(engine.shift(split("3P1D"), How::Drain, Some(seen))), StatusCode::FailedPrecondition);
    assert!(message.contains(&format!("generation {seen} was expected")), "{message}");
    let now = world.run(engine.topology()).expect("a topology").observed;
    assert_eq!(now.split, split("1P3D"));
    assert!(now.generation > seen);
    world.run(engine.shift(split("3P1D"), How::Drain, Some(now.generation))).expect("nothing has changed since");
    world.eventually("it has converged", |world| world.hub.counts().shifts_converged == 2);
}

#[test]
fn a_restart_arrives_as_one_and_the_embedded_engine_says_why_it_refuses() {
    let world = World::new();
    let engine = world.connect();
    let asked = world.run(engine.shift(split("1P3D"), How::Restart, None));
    let message = refused(asked, StatusCode::InvalidArgument);
    assert!(message.contains("threads of one process: they drain or migrate, and cannot restart"), "{message}");
    assert_eq!(world.run(engine.topology()).expect("a topology").observed.split, split("2P2D"));
}

#[test]
fn of_two_who_saw_the_same_only_one_shifts() {
    let world = World::new();
    let engines = [world.connect(), world.connect()];
    let seen = world.run(engines[0].topology()).expect("a topology").observed.generation;
    let won = engines.map(|engine| world.run(engine.shift(split("1P3D"), How::Drain, Some(seen))).is_ok());
    assert_eq!(won, [true, false]);
}

#[test]
fn more_shifts_than_may_wait_are_told_so() {
    let world = World::new();
    let engine = world.connect();
    world.gate.close();
    let _held = [1, 2, 3, 4].map(|token| world.run(engine.generate(&greedy(&[token; 40], 30))).expect("room"));
    world.eventually("both prefill units have work", |world| {
        world.hub.observe().units.iter().take(2).all(|unit| unit.figures.running > 0)
    });
    let mut taken = 0;
    let refusal = loop {
        match world.run(engine.shift(split(["1P3D", "3P1D"][taken % 2]), How::Drain, None)) {
            Ok(_) => taken += 1,
            error => break refused(error, StatusCode::ResourceExhausted),
        }
    };
    assert!(refusal.contains("64 shifts wait already"), "{refusal}");
    assert_eq!(taken, 65, "one under way and those that wait");
    world.gate.open();
    world.eventually("all have converged", |world| world.hub.counts().shifts_converged == 65);
}
