//! A server that is asked to stop.

use std::time::Duration;

use engine::cluster::How;
use engine::remote::{RemoteConfig, RemoteError, StatusCode};
use engine::serve::Drained;
use engine::serve::grpc::{GrpcConfig, GrpcServer};
use engine::serve::hub::HubConfig;

use super::world::{World, greedy, read, refused, split};
use crate::world::hub_config;

#[test]
fn what_is_in_flight_finishes_and_nothing_new_is_taken() {
    let mut world = World::new();
    let engine = world.connect();
    world.gate.close();
    let held = [1, 2].map(|token| world.run(engine.generate(&greedy(&[token], 20))).expect("room"));
    let (mut watch, _) = world.run(engine.watch()).expect("a watch");
    world.stop();
    world.eventually("it takes nothing new", |world| {
        world.run(engine.generate(&greedy(&[3], 3))).is_err_and(|error| error.code() == Some(StatusCode::Unavailable))
    });
    let message = refused(world.run(engine.shift(split("1P3D"), How::Drain, None)), StatusCode::Unavailable);
    assert!(message.contains("stopping"), "{message}");
    world.run(engine.topology()).expect("whoever waits may still look");
    world.gate.open();
    world.run(async {
        for answer in held {
            let (tokens, finished) = read(answer).await;
            assert!(tokens.len() == 20 && finished.is_ok());
        }
        let ended = watch.next().await.expect("an end");
        assert_eq!(ended.expect_err("an end").code(), Some(StatusCode::Unavailable));
    });
    assert_eq!(world.stopped(), Drained { cancelled: 0 });
    let error = world.connect_with(RemoteConfig::default()).expect_err("nobody listens any more");
    assert!(matches!(error, RemoteError::Connect { .. }), "{error:?}");
    assert!(world.run(engine.topology()).is_err());
}

#[test]
fn what_takes_too_long_is_cancelled() {
    let config = GrpcConfig { drain_timeout: Duration::from_millis(100), ..GrpcConfig::default() };
    let mut world = World::with(hub_config(), config);
    let engine = world.connect();
    world.gate.close();
    let held = world.run(engine.generate(&greedy(&[1], 20))).expect("room");
    world.stop();
    assert_eq!(world.stopped(), Drained { cancelled: 1 });
    let (_, error) = world.run(read(held));
    assert!(matches!(error, Err(RemoteError::Broken { .. })), "{error:?}");
    world.gate.open();
    world.assert_at_rest();
    assert_eq!(world.hub.counts().abandoned, 1);
}

#[test]
fn an_answer_that_was_not_read_counts_as_cancelled() {
    let config = GrpcConfig { drain_timeout: Duration::from_millis(100), ..GrpcConfig::default() };
    let hub = HubConfig { answer_buffer: 12_000, context_tokens: 12_100, ..hub_config() };
    let mut world = World::with(hub, config);
    let engine =
        world.connect_with(RemoteConfig { stream_window: 4096, ..RemoteConfig::default() }).expect("a connection");
    let unread = world.run(engine.generate(&greedy(&[1], 12_000))).expect("room");
    world.idle();
    world.stop();
    assert_eq!(world.stopped(), Drained { cancelled: 1 });
    let (tokens, error) = world.run(read(unread));
    assert!(tokens.len() < 12_000 && error.is_err(), "{error:?}");
}

#[test]
fn an_idle_server_stops_at_once() {
    let config = GrpcConfig { drain_timeout: Duration::from_hours(1), ..GrpcConfig::default() };
    let mut world = World::with(hub_config(), config);
    let _engine = world.connect();
    let _silent = std::net::TcpStream::connect(world.address.authority()).expect("a connection");
    world.stop();
    assert_eq!(world.stopped(), Drained { cancelled: 0 });
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let world = World::new();
    let _within = world.runtime.enter();
    let address = world.address.authority().parse().expect("an address");
    let error = GrpcServer::bind(address, GrpcConfig::default()).expect_err("it is taken").to_string();
    assert!(error.contains(world.address.authority()), "{error}");
}
