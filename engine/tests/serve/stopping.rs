//! A server that is asked to stop.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use engine::serve::Drained;
use engine::serve::http::{HttpConfig, HttpServer};

use crate::client::{answer, ask, completion, connect, get, post};
use crate::world::{MODEL, POISON, World, hub_config};

#[test]
fn what_is_in_flight_finishes_and_nothing_new_is_taken() {
    let mut world = World::new();
    world.gate.close();
    let mut streams: Vec<_> = [true, false].map(|stream| (connect(world.address), stream)).into();
    for (socket, stream) in &mut streams {
        socket.write_all(completion(20, *stream).as_bytes()).expect("sent");
    }
    world.eventually("both are in flight", |world| world.hub.in_flight() == 2);
    world.stop();
    world.eventually("it is stopping", |world| get(world.address, "/health").status == 503);
    let turned_away = ask(world.address, &completion(3, false));
    turned_away.error(503);
    assert_eq!(turned_away.header("retry-after"), Some("1"));
    world.gate.open();
    for (socket, stream) in &mut streams {
        let response = answer(socket);
        assert!(response.status == 200 && response.whole);
        assert_eq!(response.body.ends_with("data: [DONE]\n\n"), *stream);
    }
    assert_eq!(world.stopped(), Drained { cancelled: 0 });
    assert!(TcpStream::connect(world.address).is_err(), "nobody listens any more");
}

#[test]
fn what_takes_too_long_is_cancelled() {
    let mut world =
        World::with(hub_config(), HttpConfig { drain_timeout: Duration::from_millis(100), ..HttpConfig::default() });
    world.gate.close();
    let mut stream = connect(world.address);
    stream.write_all(completion(20, true).as_bytes()).expect("sent");
    world.eventually("it is in flight", |world| world.hub.in_flight() == 1);
    let idle = connect(world.address);
    world.stop();
    assert_eq!(world.stopped(), Drained { cancelled: 1 });
    drop(idle);
    assert!(!answer(&mut stream).whole, "a stream that was cut has no end");
    world.gate.open();
    world.idle();
    assert_eq!(world.hub.counts().abandoned, 1);
}

#[test]
fn an_idle_server_stops_at_once() {
    let mut world = World::with(
        hub_config(),
        HttpConfig {
            drain_timeout: Duration::from_hours(1),
            head_timeout: Duration::from_hours(1),
            ..HttpConfig::default()
        },
    );
    let mut halfway = connect(world.address);
    halfway.write_all(b"GET /health").expect("sent");
    let _silent = connect(world.address);
    assert_eq!(get(world.address, "/health").status, 200);
    world.stop();
    assert_eq!(world.stopped(), Drained { cancelled: 0 });
}

#[test]
fn a_server_whose_units_are_lost_says_so() {
    let world = World::new();
    let poison = serde_json::json!({ "model": MODEL, "prompt": [POISON] });
    // One unit that computes prompts after the other breaks.
    post(world.address, "/v1/completions", &poison).error(503);
    let health = get(world.address, "/health").error(503);
    assert!(health["message"].as_str().is_some_and(|why| why.contains("no unit that can prefill")), "{health}");
    ask(world.address, &completion(3, false)).error(503);
    assert_eq!(world.hub.counts().units_lost, 2);
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let world = World::new();
    let _within = world.runtime.enter();
    let error = HttpServer::bind(world.address, HttpConfig::default()).expect_err("it is taken").to_string();
    assert!(error.contains(&world.address.to_string()), "{error}");
}
