//! An engine that is lost sight of, and what is told of it then.

use engine::cluster::{How, UnitState};
use loadgen::target::{Control, TargetEvent};

use crate::relay::Relay;
use crate::told::Told;
use crate::world::World;
use crate::{accepted, ended, open, refusal, seen, split};

fn started(event: &TargetEvent) -> Option<()> {
    matches!(event, TargetEvent::ShiftStarted { .. }).then_some(())
}

#[test]
fn a_shift_that_converges_out_of_sight_has_converged() {
    let world = World::new(None);
    let relay = Relay::new(&world.address);
    let told = Told::new();
    let control = open(&relay.address, told.clone());
    let held = world.busy_prefill();
    control.shift(split("1P3D"), How::Drain).expect("room");
    let id = told.first(accepted);
    told.first(started);
    relay.cut();
    world.gate.open();
    world.until("it has converged", |now| now.split == split("1P3D") && now.shift.is_none());
    relay.lead_to(&world.address);
    assert_eq!(told.first(ended), (id, None));
    let remark = told.first(|event| match event {
        TargetEvent::Remark { text, .. } => Some(text.clone()),
        _ => None,
    });
    assert!(remark.contains("out of sight"), "{remark}");
    assert_eq!(seen(&control, |view| view.split == split("1P3D")).units.len(), 4);
    drop(held);
}

#[test]
fn an_engine_that_was_started_anew_is_seen_anew_and_has_no_shifts_of_the_old_one() {
    let world = World::new(None);
    let relay = Relay::new(&world.address);
    let told = Told::new();
    let control = open(&relay.address, told.clone());
    let held = world.busy_prefill();
    control.shift(split("1P3D"), How::Drain).expect("room");
    told.first(started);
    // A look that knows of the shift: of an engine that has moved since it was last looked at, nothing tells another one.
    seen(&control, |view| view.units.iter().any(|unit| unit.state != UnitState::Serving));
    relay.cut();
    // It has moved less.
    let another = World::new(None);
    relay.lead_to(&another.address);
    let (_, why) = told.first(ended);
    assert_eq!(why.as_deref(), Some("its end was not seen; the engine was started anew"));
    told.first(|event| matches!(event, TargetEvent::Remark { text, .. } if text.contains("anew")).then_some(()));
    // The old one would be seen for as long as the new clock is behind the old.
    another.hub.shift(split("4A"), How::Drain, None).expect("a shift");
    assert_eq!(seen(&control, |view| view.split == split("4A")).units.len(), 4);
    drop(held);
}

#[test]
fn an_engine_that_has_gone_takes_no_shift_and_ends_those_that_it_had() {
    let world = World::new(None);
    let relay = Relay::new(&world.address);
    let told = Told::new();
    let control = open(&relay.address, told.clone());
    let held = world.busy_prefill();
    control.shift(split("1P3D"), How::Drain).expect("room");
    told.first(started);
    relay.cut();
    let (_, why) = told.first(ended);
    let why = why.expect("it failed");
    assert!(why.starts_with("its end was not seen; the engine does not answer any more: "), "{why}");
    control.shift(split("3P1D"), How::Drain).expect("room");
    let why = told.first(refusal);
    assert!(why.contains(relay.address.trim_start_matches("grpc://")), "{why}");
    assert_eq!(control.observe().split, split("2P2D"), "as it was seen");
    drop(held);
}
