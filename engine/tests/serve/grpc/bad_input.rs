//! Requests that are wrong are told what is wrong, and the server goes on.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use engine::cluster::How;
use engine::executor::Sampling;
use engine::remote::{RemoteConfig, RemoteEngine, RemoteError, RemoteKey, StatusCode};
use engine::serve::ApiKey;
use engine::serve::grpc::GrpcConfig;
use engine::serve::hub::Generation;
use engine::units::Split;

use super::world::{World, greedy, read, refused, split};
use crate::world::{CONTEXT, POISON, hub_config};

fn is_served(world: &World, engine: &RemoteEngine) -> bool {
    let (tokens, finished) = world.run(async { read(engine.generate(&greedy(&[1], 3)).await.expect("room")).await });
    finished.is_ok() && tokens.len() == 3
}

#[test]
fn what_could_never_be_served_is_refused_with_the_numbers() {
    let world = World::new();
    let engine = world.connect();
    let hot =
        |temperature, top_p| Generation { sampling: Sampling::TopP { temperature, top_p, seed: 1 }, ..greedy(&[1], 1) };
    for (generation, told) in [
        (greedy(&[], 1), "not 0 and 1"),
        (greedy(&[1], 0), "not 1 and 0"),
        (greedy(&[1, 300], 1), "token id 300 is outside the vocabulary of 300"),
        (greedy(&[1, 2], CONTEXT - 1), "exceed the context of 4096"),
        (greedy(&[1], u32::MAX), "exceed the context of 4096"),
        (greedy(&vec![1; 200_000], 1), "200000 prompt tokens"),
        (hot(0.0, 1.0), "`top_p.temperature` is 0"),
        (hot(-1.0, 1.0), "`top_p.temperature` is -1"),
        (hot(2.5, 1.0), "at most 2"),
        (hot(f32::NAN, 1.0), "`top_p.temperature` is NaN"),
        (hot(1.0, 0.0), "`top_p.top_p` is 0"),
        (hot(1.0, 1.5), "`top_p.top_p` is 1.5"),
        (hot(1.0, f32::INFINITY), "`top_p.top_p` is inf"),
        (Generation { stop: vec![1; 1025].into(), ..greedy(&[1], 1) }, "`stop` has 1025 tokens"),
    ] {
        let message = refused(world.run(engine.generate(&generation)), StatusCode::InvalidArgument);
        assert!(message.contains(told), "{message}");
    }
    assert!(is_served(&world, &engine));
    assert_eq!(world.hub.counts().admitted, 1);
}

#[test]
fn a_message_of_any_size_is_read_or_refused() {
    let world = World::with(hub_config(), GrpcConfig { message_limit: 100_000, ..GrpcConfig::default() });
    let engine = world.connect();
    let huge = greedy(&vec![1; 5_000_000], 1);
    let error = world.run(engine.generate(&huge)).expect_err("too large");
    assert!(error.to_string().contains("100000"), "{error}");
    assert!(is_served(&world, &engine));
}

#[test]
fn messages_together_are_bounded() {
    let world = World::with(hub_config(), GrpcConfig { messages_limit: 1000, ..GrpcConfig::default() });
    let engine = world.connect();
    let large = greedy(&[200; 3000], 1);
    let message = refused(world.run(engine.generate(&large)), StatusCode::ResourceExhausted);
    assert!(message.contains("too many large requests"), "{message}");
    assert!(is_served(&world, &engine), "what was taken is given back");
}

#[test]
fn splits_that_are_none_are_refused_and_nothing_moves() {
    let world = World::new();
    let engine = world.connect();
    let before = world.run(engine.topology()).expect("a topology");
    let shift = |prefill, decode| world.run(engine.shift(Split { prefill, decode, aggregated: 0 }, How::Drain, None));
    for (asked, told) in [
        (shift(9, 9), "split 9P9D has 18 units, 4 are serving"),
        (shift(4, 0), "no unit that can decode"),
        (shift(0, 4), "no unit that can prefill"),
        (shift(0, 0), "no unit"),
        (shift(u16::MAX, u16::MAX), "131070 units"),
    ] {
        let message = refused(asked, StatusCode::InvalidArgument);
        assert!(message.contains(told), "{message}");
    }
    let after = world.run(engine.topology()).expect("a topology");
    assert_eq!(before.observed.generation, after.observed.generation);
}

#[test]
fn a_key_guards_everything() {
    let key = ApiKey::new("s3cret".to_owned());
    let world = World::with(hub_config(), GrpcConfig { key, ..GrpcConfig::default() });
    for key in [None, RemoteKey::new("guess"), RemoteKey::new("s3crets")] {
        let error = world.connect_with(RemoteConfig { key, ..RemoteConfig::default() });
        let message = refused(error, StatusCode::Unauthenticated);
        assert!(message.contains("authorization: Bearer KEY"), "{message}");
    }
    let key = RemoteKey::new("s3cret");
    assert!(!format!("{key:?}").contains("s3cret"));
    let engine = world.connect_with(RemoteConfig { key, ..RemoteConfig::default() }).expect("the key opens");
    assert!(is_served(&world, &engine));
    world.run(engine.watch()).expect("a watch");
    world.run(engine.load()).expect("a load");
    assert!(RemoteKey::new("").is_none() && RemoteKey::new("a b").is_none() && RemoteKey::new("ü").is_none());
}

#[test]
fn what_is_no_grpc_is_closed_and_the_server_goes_on() {
    let world = World::new();
    let engine = world.connect();
    for nonsense in ["GET / HTTP/1.1\r\nhost: x\r\n\r\n", "\u{16}\u{3}\u{1} this is no HTTP at all, whatever it is"] {
        let mut stream = TcpStream::connect(world.address.authority()).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
        stream.write_all(nonsense.as_bytes()).expect("sent");
        let mut told = Vec::new();
        // It may be reset where something was left unread.
        let _ = stream.read_to_end(&mut told);
        assert!(told.len() < 1000);
    }
    assert!(is_served(&world, &engine));
}

#[test]
fn a_server_that_is_none_is_an_error_that_names_it() {
    let world = World::new();
    let connect = |address: &str| {
        let config = RemoteConfig { connect_timeout: Duration::from_secs(20), ..RemoteConfig::default() };
        world.run(RemoteEngine::connect(format!("grpc://{address}").parse().expect("an address"), config))
    };
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    // Something that speaks HTTP/1.1, and something that hangs up.
    let server = std::thread::spawn(move || {
        for answer in ["HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", ""] {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut preface = [0; 24];
            stream.read_exact(&mut preface).expect("a preface");
            stream.write_all(answer.as_bytes()).expect("sent");
        }
    });
    for _ in 0..2 {
        let error = connect(&address).expect_err("no engine");
        assert!(matches!(error, RemoteError::Connect { .. }) && error.to_string().contains(&address), "{error:?}");
    }
    server.join().expect("it was asked twice");
    // Nobody listens any more.
    let error = connect(&address).expect_err("nobody is there");
    assert!(matches!(error, RemoteError::Connect { .. }) && error.to_string().contains("refused"), "{error:?}");
}

#[test]
fn an_engine_that_lost_its_units_says_so() {
    let world = World::new();
    let engine = world.connect();
    let (mut watch, _) = world.run(engine.watch()).expect("a watch");
    let (_, end) = world.run(async { read(engine.generate(&greedy(&[POISON], 3)).await.expect("room")).await });
    let end = end.expect("an end that is no error: the engine says why");
    assert_eq!(end.reason, engine::cluster::FinishReason::NoCapacity);
    let topology = world.run(engine.topology()).expect("a topology");
    assert_eq!(topology.observed.split, Split { prefill: 0, ..split("2P2D") });
    world.run(async {
        let mut lost = 0;
        while lost < 2 {
            if let engine::drive::wall::EngineEvent::UnitLost { why, .. } = super::world::next(&mut watch).await {
                assert!(why.contains("poison"), "{why}");
                lost += 1;
            }
        }
    });
}
