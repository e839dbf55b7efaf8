//! Watchers see what happens, in order, from a whole state on.

use engine::cluster::{How, Notice, UnitState};
use engine::drive::wall::EngineEvent;
use engine::remote::{RemoteConfig, StatusCode};
use engine::serve::grpc::GrpcConfig;
use engine::serve::hub::HubConfig;
use engine::units::{Role, UnitId};

use super::world::{World, greedy, next, read, refused, split};
use crate::world::hub_config;

fn letter(state: UnitState) -> char {
    match state {
        UnitState::Serving => 's',
        UnitState::Draining { .. } => 'd',
        UnitState::Switching => 'x',
        UnitState::Warming => 'w',
        UnitState::Failed => 'f',
    }
}

#[test]
fn a_shift_is_seen_from_its_start_through_every_state_to_its_end() {
    let world = World::new();
    let engine = world.connect();
    world.run(async {
        let (mut watch, first) = engine.watch().await.expect("a watch");
        assert_eq!(first.observed.split, split("2P2D"));
        let ticket = engine.shift(split("1P3D"), How::Migrate, Some(first.observed.generation)).await.expect("a shift");
        let (mut states, mut roles, mut moved, mut started, mut last) =
            (String::new(), Vec::new(), None, false, first.observed.at);
        let report = loop {
            let EngineEvent::Notice { at, notice } = next(&mut watch).await else { panic!("a notice") };
            assert!(at >= last, "in order");
            last = at;
            match notice {
                Notice::ShiftStarted { id, to, how } => {
                    assert_eq!((id, to, how, started), (ticket, split("1P3D"), How::Migrate, false));
                    started = true;
                }
                Notice::Unit { unit, role, state, held } => {
                    assert!(started && *moved.get_or_insert(unit) == unit && held == 0);
                    states.push(letter(state));
                    roles.push(role);
                }
                Notice::ShiftEnded(report) => break report,
                Notice::Preempted { .. } => panic!("no business of a watcher"),
            }
        };
        assert_eq!(states, "dxws");
        assert_eq!(roles, [Role::Prefill, Role::Prefill, Role::Prefill, Role::Decode]);
        assert_eq!((report.id, report.from, report.to, report.abandoned), (ticket, split("2P2D"), split("1P3D"), None));
        assert!(report.total >= report.drain);
        let now = engine.topology().await.expect("a topology").observed;
        let moved = now.units[moved.unwrap_or(UnitId(9)).index()].figures;
        assert_eq!((moved.role, moved.state, now.split), (Role::Decode, UnitState::Serving, split("1P3D")));
    });
}

#[test]
fn a_watch_that_begins_during_a_shift_goes_on_from_there() {
    let world = World::new();
    let engine = world.connect();
    world.gate.close();
    let held = [1, 2].map(|token| world.run(engine.generate(&greedy(&[token; 40], 30))).expect("room"));
    world.eventually("both prefill units have work", |world| {
        world.hub.observe().units.iter().take(2).all(|unit| unit.figures.running > 0)
    });
    let ticket = world.run(engine.shift(split("1P3D"), How::Drain, None)).expect("a shift");
    let (mut watch, first) = world.run(engine.watch()).expect("a watch");
    world.run(async {
        assert_eq!(first.observed.shift.map(|shift| shift.id), Some(ticket));
        let mut units: Vec<_> =
            first.observed.units.iter().map(|unit| (unit.figures.role, letter(unit.figures.state))).collect();
        assert!(units.iter().any(|(_, state)| *state == 'd'));
        world.gate.open();
        loop {
            match next(&mut watch).await {
                EngineEvent::Notice { notice: Notice::Unit { unit, role, state, .. }, .. } => {
                    units[unit.index()] = (role, letter(state));
                }
                EngineEvent::Notice { notice: Notice::ShiftEnded(report), .. } => {
                    assert_eq!(report.id, ticket);
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
        // State and changes together are the state now.
        let now = engine.topology().await.expect("a topology").observed;
        let is: Vec<_> = now.units.iter().map(|unit| (unit.figures.role, letter(unit.figures.state))).collect();
        assert_eq!(units, is);
        for answer in held {
            read(answer).await.1.expect("an end");
        }
    });
}

#[test]
fn a_watcher_that_does_not_read_is_ended_and_others_see_everything() {
    let world = World::with(HubConfig { news_buffer: 8, ..hub_config() }, GrpcConfig::default());
    let slow =
        world.connect_with(RemoteConfig { stream_window: 1024, ..RemoteConfig::default() }).expect("a connection");
    let engine = world.connect();
    world.run(async {
        let (mut unread, _) = slow.watch().await.expect("a watch");
        let (mut watch, _) = engine.watch().await.expect("a watch");
        // More than the window and the buffer together can hold.
        let mut read = 0;
        for turn in 0..60 {
            let ticket = engine.shift(split(["1P3D", "2P2D"][turn % 2]), How::Drain, None).await.expect("a shift");
            loop {
                read += 1;
                let event = next(&mut watch).await;
                if matches!(event, EngineEvent::Notice { notice: Notice::ShiftEnded(report), .. } if report.id == ticket) {
                    break;
                }
            }
        }
        assert_eq!(read, 60 * 6, "start, four states, end");
        let mut seen = 0;
        let error = loop {
            match unread.next().await.expect("an end") {
                Ok(_) => seen += 1,
                Err(error) => break error,
            }
        };
        assert!((1..read).contains(&seen), "{seen}");
        let message = refused(Err::<(), _>(error), StatusCode::Aborted);
        assert!(message.contains("too slow"), "{message}");
        assert_eq!(unread.next().await, None);
        // It may watch again, and sees the state as it is.
        let (_, now) = slow.watch().await.expect("a watch");
        assert_eq!(now.observed.split, split("2P2D"));
    });
}
