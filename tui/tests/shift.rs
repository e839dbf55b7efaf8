//! `pdtune shift` against a real engine behind a real server, in a process of its own.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "shift/child.rs"]
mod child;
#[path = "../../loadgen/tests/idle/world.rs"]
mod world;

use engine::cluster::How;
use engine::units::Nanos;

use child::{run, shift};
use world::World;

#[test]
fn it_is_done_when_the_engine_says_that_all_units_serve() {
    let world = World::new(None);
    let ended = run(shift(&world.address, &["--to", "3P1D"]));
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.starts_with("2P2D to 3P1D by drain: converged in "), "{ended:?}");
    let said: Vec<_> = ended.err.lines().collect();
    let unit = said[2].split(':').next().expect("a unit");
    let [draining, switching, warming, serving] =
        ["draining decode, 0 sequences left", "switching", "warming up", "serving as prefill"]
            .map(|now| format!("{unit}: {now}"));
    let expected = [
        "shift 0 from 2P2D to 3P1D by drain: accepted",
        "shift 0 to 3P1D: under way",
        &draining,
        &switching,
        &warming,
        &serving,
        "shift 0 to 3P1D: ended",
    ];
    assert_eq!(said, expected);
    assert_eq!(world.hub.observe().split.to_string(), "3P1D");
}

#[test]
fn the_outcome_is_an_object_for_those_who_want_one() {
    let world = World::new(None);
    let ended = run(shift(&world.address, &["--to", "4A", "--how", "migrate", "--json"]));
    let object: serde_json::Value = serde_json::from_str(&ended.out).expect("JSON");
    assert_eq!((ended.code, &object["outcome"], &object["how"]), (Some(0), &"converged".into(), &"migrate".into()));
    assert_eq!((&object["from"], &object["to"], &object["ticket"]), (&"2P2D".into(), &"4A".into(), &0.into()));
    assert!(object["total_ms"].is_number() && object["why"].is_null(), "{object}");
}

#[test]
fn a_split_that_is_there_already_costs_nothing() {
    let world = World::new(None);
    let ended = run(shift(&world.address, &["--to", "2P2D"]));
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (Some(0), "the split is 2P2D already\n", ""));
    assert_eq!(world.hub.counts().shifts_started, 0);
}

#[test]
fn a_shift_that_waits_its_turn_is_done_when_its_turn_has_come() {
    let world = World::new(None);
    let held = world.busy_prefill();
    world.hub.shift("1P3D".parse().expect("a split"), How::Drain, None).expect("a shift");
    let child = shift(&world.address, &["--to", "3P1D"]);
    let child = child.until_said("accepted");
    world.gate.open();
    let ended = run(child);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.err.contains("shift 0 to 1P3D: ended") && ended.err.contains("shift 1 to 3P1D: ended"), "{ended:?}");
    assert_eq!(world.hub.observe().split.to_string(), "3P1D");
    drop(held);
}

#[test]
fn a_shift_that_is_given_up_is_no_success() {
    let world = World::new(Some(Nanos(1)));
    let held = world.busy_prefill();
    let ended = run(shift(&world.address, &["--to", "1P3D"]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.out.contains("abandoned") && ended.out.contains("at the drain timeout"), "{ended:?}");
    drop(held);
}

#[test]
fn the_time_to_wait_ends_the_waiting_and_not_the_shift() {
    let world = World::new(None);
    let held = world.busy_prefill();
    let ended = run(shift(&world.address, &["--to", "1P3D", "--timeout", "10ms"]));
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.out.ends_with("timeout: not there after 0.01 s; the shift goes on\n"), "{ended:?}");
    world.gate.open();
    world.until("it goes on", |now| now.split.to_string() == "1P3D");
    drop(held);
}

#[test]
fn ctrl_c_ends_the_waiting_and_not_the_shift() {
    let world = World::new(None);
    let held = world.busy_prefill();
    let child = shift(&world.address, &["--to", "1P3D"]);
    // The signal is listened for before anything is said.
    let child = child.until_said("accepted");
    child.interrupt();
    let ended = run(child);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.out.ends_with("interrupted: not waited for; the shift goes on\n"), "{ended:?}");
    world.gate.open();
    world.until("it goes on", |now| now.split.to_string() == "1P3D");
    drop(held);
}

#[test]
fn what_is_refused_or_cannot_be_reached_is_bad_input() {
    let world = World::new(None);
    let ended = run(shift(&world.address, &["--to", "5P5D"]));
    assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{ended:?}");
    assert!(ended.err.contains("split 5P5D has 10 units, 4 are serving"), "{ended:?}");
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let ended = run(shift(&format!("grpc://{address}"), &["--to", "3P1D"]));
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.err.contains(&address.to_string()) && ended.err.contains("\nhint: "), "{ended:?}");
}
