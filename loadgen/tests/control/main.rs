//! The control of an engine behind a real server: what it sees, what it moves, and what it tells.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../idle/relay.rs"]
mod relay;
mod sight;
mod told;
#[path = "../idle/world.rs"]
mod world;

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use engine::cluster::{How, ShiftId, UnitState};
use engine::remote::RemoteConfig;
use engine::serve::hub::{End, Part};
use engine::units::{Role, Split};
use loadgen::control::grpc::GrpcControl;
use loadgen::control::listener::Listener;
use loadgen::target::{ClusterView, Control, TargetEvent};
use loadgen::time::Micros;

use told::Told;
use world::{PATIENCE, World};

fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

fn open(address: &str, listener: Told) -> GrpcControl {
    GrpcControl::open(address.parse().expect("an address"), RemoteConfig::default(), listener).expect("a control").0
}

/// The first view that is so. The engine is looked at twice a second, and nobody is told of that.
fn seen(control: &GrpcControl, is_so: impl Fn(&ClusterView) -> bool) -> ClusterView {
    let (_never, pause) = sync_channel::<()>(0);
    for _ in 0..PATIENCE.as_millis() / 10 {
        let view = control.observe();
        if is_so(&view) {
            return view;
        }
        assert_eq!(pause.recv_timeout(Duration::from_millis(10)), Err(RecvTimeoutError::Timeout));
    }
    panic!("never seen: {:?}", control.observe());
}

/// Why a shift was refused.
fn refusal(event: &TargetEvent) -> Option<String> {
    match event {
        TargetEvent::ShiftRefused { why, .. } => Some(why.clone()),
        _ => None,
    }
}

/// Which shift was accepted.
fn accepted(event: &TargetEvent) -> Option<ShiftId> {
    match event {
        TargetEvent::ShiftAccepted { id, .. } => Some(*id),
        _ => None,
    }
}

/// Which shift has ended, and why it was abandoned.
fn ended(event: &TargetEvent) -> Option<(ShiftId, Option<String>)> {
    match event {
        TargetEvent::ShiftEnded { report, .. } => Some((report.id, report.abandoned.clone())),
        _ => None,
    }
}

#[test]
fn a_shift_is_told_from_its_answer_to_its_end_and_then_seen() {
    let world = World::new(None);
    let told = Told::new();
    let address = world.address.parse().expect("an address");
    let (control, first) = GrpcControl::open(address, RemoteConfig::default(), told.clone()).expect("a control");
    assert_eq!((first.model.as_str(), first.observed.split), ("idle", split("2P2D")));
    assert_eq!(control.observe().split, split("2P2D"));
    let before = told.now();
    control.shift(split("1P3D"), How::Drain).expect("room");
    let events = told.until(|events| events.iter().any(|event| ended(event).is_some()));
    let mut states = Vec::new();
    let mut last = Micros::ZERO;
    for event in &events {
        let (TargetEvent::Unit { at, .. }
        | TargetEvent::ShiftAccepted { at, .. }
        | TargetEvent::ShiftStarted { at, .. }
        | TargetEvent::ShiftEnded { at, .. }) = event
        else {
            panic!("{event:?}")
        };
        // On the run's clock; the server's is known to within the time that an answer takes.
        assert!(*at >= last && *at <= told.now() && at.0 + 1_000_000 > before.0, "{event:?}");
        last = *at;
        if let TargetEvent::Unit { role, state, .. } = event {
            states.push((*role, *state));
        }
    }
    let TargetEvent::ShiftStarted { id, to, how: How::Drain, .. } = events[1] else { panic!("{events:?}") };
    assert_eq!((accepted(&events[0]), to), (Some(id), split("1P3D")));
    assert_eq!(events.last().and_then(ended), Some((id, None)));
    let path = [
        (Role::Prefill, UnitState::Draining { left: 0 }),
        (Role::Prefill, UnitState::Switching),
        (Role::Prefill, UnitState::Warming),
        (Role::Decode, UnitState::Serving),
    ];
    assert_eq!(states, path);
    assert_eq!(seen(&control, |view| view.split == split("1P3D")).units.len(), 4);
}

#[test]
fn answers_come_in_the_order_of_asking_and_refusals_are_in_the_servers_words() {
    let world = World::new(None);
    let told = Told::new();
    let control = open(&world.address, told.clone());
    for to in ["5P5D", "1P3D", "3P3D"] {
        control.shift(split(to), How::Drain).expect("room");
    }
    let answered = |event: &TargetEvent| refusal(event).or_else(|| accepted(event).map(|id| id.0.to_string()));
    let answers = |events: &[TargetEvent]| events.iter().filter_map(answered).collect::<Vec<_>>();
    let events = told.until(|events| answers(events).len() == 3);
    let why = |to: &str, units| format!("split {to} has {units} units, 4 are serving");
    assert_eq!(answers(&events), [why("5P5D", 10), "0".to_owned(), why("3P3D", 6)]);
}

#[test]
fn whoever_asks_for_a_shift_does_not_wait_and_takes_it_back_by_going() {
    let world = World::new(None);
    let told = Told::new();
    let (lent, returned) = told.lent();
    let control = open(&world.address, lent);
    // The control thread is kept from going on, in the middle of telling of a shift that others asked for.
    let deaf = told.ear.try_acquire().expect("a permit");
    world.hub.shift(split("1P3D"), How::Drain, None).expect("a shift");
    world.until("it has converged", |now| now.split == split("1P3D") && now.shift.is_none());
    let orders = (0..1000).map(|turn| control.shift(split(["3P1D", "1P3D"][turn % 2]), How::Drain));
    let orders = orders.take_while(Result::is_ok).count();
    assert!((1..1000).contains(&orders), "they are bounded: {orders}");
    drop((control, deaf));
    assert_eq!(returned.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "the thread ends");
    // It may have begun with the first of them before it was kept.
    let taken = world.hub.counts().shifts_started + world.hub.observe().waiting_shifts.len() as u64;
    assert!(taken <= 2, "{taken}");
}

#[test]
fn figures_are_rates_between_two_looks() {
    let world = World::new(None);
    let control = open(&world.address, Told::new());
    assert!(control.observe().units.iter().all(|unit| unit.output_tps <= 0.0));
    let mut answer = world.ask(7);
    world.run(async { while !matches!(answer.next().await, Some(Part::End(End::Finished(_)))) {} });
    let units = seen(&control, |view| view.units.iter().any(|unit| unit.output_tps > 0.0)).units;
    assert!(units.iter().all(|unit| unit.output_tps.is_finite() && (0.0..=1.0).contains(&unit.busy)));
    assert_eq!(units.len(), 4);
}

#[test]
fn an_engine_that_is_not_there_is_an_error_at_once() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let address = format!("grpc://{address}").parse().expect("an address");
    let error = GrpcControl::open(address, RemoteConfig::default(), Told::new()).expect_err("nobody is there");
    assert!(error.to_string().contains("cannot connect to grpc://127.0.0.1:"), "{error}");
}
