//! What is bounded, and what happens at each bound.

use std::io::Write;
use std::time::Duration;

use engine::cluster::How;
use engine::remote::{RemoteConfig, RemoteError, StatusCode};
use engine::serve::grpc::GrpcConfig;
use engine::serve::hub::HubConfig;

use super::world::{World, greedy, next, read, refused, split};
use crate::client::is_closed;
use crate::world::hub_config;

/// Tokens of an answer that no buffer between the engine and the client holds whole.
const LONG: u32 = 12_000;

/// A context for such answers.
fn roomy() -> HubConfig {
    HubConfig { context_tokens: LONG + 100, ..hub_config() }
}

#[test]
fn over_the_bound_of_requests_is_told_and_asking_again_helps() {
    let world = World::with(HubConfig { in_flight_limit: 2, ..hub_config() }, GrpcConfig::default());
    let engine = world.connect();
    world.gate.close();
    let held = [1, 2].map(|token| world.run(engine.generate(&greedy(&[token], 5))).expect("room"));
    let message = refused(world.run(engine.generate(&greedy(&[3], 5))), StatusCode::ResourceExhausted);
    assert!(message.contains("2 at most"), "{message}");
    world.gate.open();
    world.run(async {
        for answer in held {
            assert_eq!(read(answer).await.0.len(), 5);
        }
        world.hub.idle().await;
        assert_eq!(read(engine.generate(&greedy(&[3], 5)).await.expect("room")).await.0.len(), 5);
    });
    assert_eq!(world.hub.counts().turned_away, 1);
}

#[test]
fn a_reader_that_is_behind_loses_its_own_request_and_holds_up_nobody() {
    let world = World::with(HubConfig { answer_buffer: 16, in_flight_limit: 8, ..roomy() }, GrpcConfig::default());
    // The window ends what is on the way; what the server has ready to be sent is less than 80 KB, some 4,000 tokens.
    let engine =
        world.connect_with(RemoteConfig { stream_window: 4096, ..RemoteConfig::default() }).expect("a connection");
    world.run(async {
        let behind = engine.generate(&greedy(&[1], LONG)).await.expect("room");
        world.hub.idle().await;
        let (tokens, finished) = read(engine.generate(&greedy(&[2], 10)).await.expect("room")).await;
        assert!(tokens.len() == 10 && finished.is_ok(), "another answer on the same connection");
        let (tokens, error) = read(behind).await;
        assert!((16..LONG as usize).contains(&tokens.len()), "{}", tokens.len());
        let message = refused(error, StatusCode::Aborted);
        assert!(message.contains("not read fast enough"), "{message}");
    });
    assert_eq!((world.hub.counts().overrun, world.hub.counts().full_length), (1, 1));
    world.assert_at_rest();
}

#[test]
fn answers_that_nobody_reads_are_bounded_too() {
    // The buffer holds more than the server has ready to be sent, so that something is left there.
    let world = World::with(HubConfig { answer_buffer: 8000, in_flight_limit: 2, ..roomy() }, GrpcConfig::default());
    let engine =
        world.connect_with(RemoteConfig { stream_window: 4096, ..RemoteConfig::default() }).expect("a connection");
    world.run(async {
        let mut unread = Vec::new();
        for _ in 0..4 {
            unread.push(engine.generate(&greedy(&[1], LONG)).await.expect("room"));
            world.hub.idle().await;
        }
        let message = refused(engine.generate(&greedy(&[1], 1)).await, StatusCode::ResourceExhausted);
        assert!(message.contains("4 at most"), "{message}");
        drop(unread);
    });
    world.eventually("their places are free", |world| world.run(engine.generate(&greedy(&[1], 1))).is_ok());
}

#[test]
fn answers_that_nobody_reads_lose_their_places() {
    let grpc = GrpcConfig { write_timeout: Duration::from_millis(200), ..GrpcConfig::default() };
    let world = World::with(HubConfig { answer_buffer: 8000, in_flight_limit: 1, ..roomy() }, grpc);
    let engine =
        world.connect_with(RemoteConfig { stream_window: 4096, ..RemoteConfig::default() }).expect("a connection");
    // As many as there are places, over in the engine and still there.
    let unread: Vec<_> = (0..2)
        .map(|_| {
            let answer = world.run(engine.generate(&greedy(&[1], LONG))).expect("room");
            world.idle();
            answer
        })
        .collect();
    world.eventually("there are places", |world| world.run(engine.generate(&greedy(&[2], 1))).is_ok());
    world.run(async {
        for answer in unread {
            let (tokens, error) = read(answer).await;
            assert!((1..LONG as usize).contains(&tokens.len()), "{}", tokens.len());
            let message = refused(error, StatusCode::Aborted);
            assert!(message.contains("not read for 200ms") || message.contains("not read fast enough"), "{message}");
        }
    });
    world.assert_at_rest();
}

#[test]
fn watches_that_nobody_reads_lose_their_places() {
    let grpc = GrpcConfig { write_timeout: Duration::from_millis(200), max_watchers: 1, ..GrpcConfig::default() };
    let world = World::with(HubConfig { news_buffer: 100_000, ..hub_config() }, grpc);
    let slow =
        world.connect_with(RemoteConfig { stream_window: 1024, ..RemoteConfig::default() }).expect("a connection");
    let (mut unread, _) = world.run(slow.watch()).expect("a watch");
    let engine = world.connect();
    let mut turns = 0..;
    // Until the window is full: a watch of which everything was read is left alone.
    loop {
        let to = split(["1P3D", "2P2D"][turns.next().expect("a number") % 2]);
        // There may be too many that wait.
        let _ = world.run(engine.shift(to, How::Drain, None));
        if world.run(engine.watch()).is_ok() {
            break;
        }
        std::thread::yield_now();
    }
    world.run(async {
        let error = loop {
            if let Err(error) = unread.next().await.expect("an end") {
                break error;
            }
        };
        let message = refused(Err::<(), _>(error), StatusCode::Aborted);
        assert!(message.contains("not read for 200ms"), "{message}");
    });
}

#[test]
fn a_stream_that_has_nothing_to_say_is_left_alone() {
    let grpc = GrpcConfig { write_timeout: Duration::from_millis(100), ..GrpcConfig::default() };
    let world = World::with(hub_config(), grpc);
    let engine = world.connect();
    world.gate.close();
    let (mut watch, _) = world.run(engine.watch()).expect("a watch");
    let waiting = world.run(engine.generate(&greedy(&[1], 5))).expect("room");
    // Many times as long as a client may leave something unread.
    let before = world.hub.observe().at;
    world.eventually("much time has passed", |world| world.hub.observe().at.since(before).as_secs_f64() > 0.5);
    world.gate.open();
    world.run(async {
        let (tokens, finished) = read(waiting).await;
        assert!(tokens.len() == 5 && finished.is_ok(), "{finished:?}");
    });
    world.run(engine.shift(split("1P3D"), How::Drain, None)).expect("a shift");
    world.run(next(&mut watch));
}

#[test]
fn watchers_and_connections_are_bounded() {
    let config = GrpcConfig { max_watchers: 1, max_connections: 2, ..GrpcConfig::default() };
    let world = World::with(hub_config(), config);
    let (first, second) = (world.connect(), world.connect());
    let (watch, _) = world.run(first.watch()).expect("a watch");
    let message = refused(world.run(second.watch()), StatusCode::ResourceExhausted);
    assert!(message.contains("1 at most"), "{message}");
    let third = world.connect_with(RemoteConfig::default()).expect_err("no seat");
    assert!(matches!(third, RemoteError::Connect { .. }), "{third:?}");
    drop(watch);
    world.eventually("the place is free", |world| world.run(second.watch()).is_ok());
    drop(first);
    world.eventually("the seat is free", |world| world.connect_with(RemoteConfig::default()).is_ok());
}

#[test]
fn more_calls_than_a_connection_may_have_wait_and_are_all_answered() {
    let world = World::with(hub_config(), GrpcConfig { max_streams: 4, ..GrpcConfig::default() });
    let engine = world.connect();
    world.run(async {
        let tasks: Vec<_> = (0..40)
            .map(|index| {
                let engine = engine.clone();
                tokio::spawn(
                    async move { read(engine.generate(&greedy(&[index], 20)).await.expect("room")).await.0.len() },
                )
            })
            .collect();
        for task in tasks {
            assert_eq!(task.await.expect("no panic"), 20);
        }
    });
}

#[test]
fn connections_that_do_not_begin_do_not_keep_their_seats() {
    let grpc = GrpcConfig { max_connections: 2, keep_alive: Duration::from_millis(200), ..GrpcConfig::default() };
    let world = World::with(hub_config(), grpc);
    let connect = || crate::client::connect(world.address.authority().parse().expect("an address"));
    let (mut silent, mut halfway) = (connect(), connect());
    // The rest of the preface never comes.
    halfway.write_all(b"PRI * HTTP/2").expect("sent");
    assert!(is_closed(&mut silent) && is_closed(&mut halfway));
    world.eventually("there are seats", |world| world.connect_with(RemoteConfig::default()).is_ok());
}
