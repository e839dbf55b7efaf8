//! Clients that are slow, silent, many or half gone: a closed connection, and nobody else notices.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use engine::serve::http::HttpConfig;
use engine::serve::hub::{HubConfig, Refusal};
use serde_json::json;

use crate::client::{answer, completion, connect, get, head, is_closed, is_served, posted};
use crate::world::{CONTEXT, MODEL, World, hub_config};

/// So short that a test can wait for it, and so long that whoever is to be in time is, on a busy machine, too.
const SHORT: Duration = Duration::from_secs(2);

#[test]
fn a_head_that_never_ends_closes_the_connection() {
    let world = World::with(hub_config(), HttpConfig { head_timeout: SHORT, ..HttpConfig::default() });
    let mut silent = connect(world.address);
    let mut slow = connect(world.address);
    slow.write_all(b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nx-slow: ").expect("sent");
    // Between two requests, too.
    let mut idle = connect(world.address);
    idle.write_all(completion(2, false).as_bytes()).expect("sent");
    assert_eq!(answer(&mut idle).status, 200);
    assert!(is_served(world.address));
    assert!(is_closed(&mut silent) && is_closed(&mut slow) && is_closed(&mut idle));
}

#[test]
fn a_body_that_never_ends_is_408() {
    let world = World::with(hub_config(), HttpConfig { body_timeout: SHORT, ..HttpConfig::default() });
    let mut slow = connect(world.address);
    slow.write_all(b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{").expect("sent");
    answer(&mut slow).error(408);
    // One that breaks off is nobody to answer.
    let mut broken = connect(world.address);
    broken
        .write_all(b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{")
        .expect("sent");
    drop(broken);
    assert!(is_served(world.address));
}

#[test]
fn idle_connections_make_room() {
    let world = World::with(hub_config(), HttpConfig { max_connections: 8, ..HttpConfig::default() });
    let mut idle: Vec<_> = (0..8).map(|_| connect(world.address)).collect();
    idle[3].write_all(b"GET /health HT").expect("sent");
    world.eventually("all are open", |world| world.hub.in_flight() == 0 && open(world) >= 8);
    for _ in 0..20 {
        assert!(is_served(world.address));
    }
    let _newer: Vec<_> = (0..8).map(|_| connect(world.address)).collect();
    // The older had to go, the one in the middle of its head included.
    assert!(idle.iter_mut().all(is_closed));
    world.eventually("they have gone", |world| open(world) <= 8);
}

/// Connections, by a connection that counts itself.
fn open(world: &World) -> u64 {
    figure(world, "pdtune_connections{")
}

fn figure(world: &World, name: &str) -> u64 {
    let page = get(world.address, "/metrics").body;
    let line = page.lines().find(|line| line.starts_with(name)).expect("a figure");
    line.rsplit(' ').next().and_then(|value| value.parse().ok()).expect("a number")
}

#[test]
fn when_all_are_busy_one_more_is_503() {
    let world = World::with(hub_config(), HttpConfig { max_connections: 2, ..HttpConfig::default() });
    world.gate.close();
    let mut busy: Vec<_> = (0..2).map(|_| connect(world.address)).collect();
    for stream in &mut busy {
        stream.write_all(completion(3, true).as_bytes()).expect("sent");
    }
    world.eventually("both are busy", |world| world.hub.in_flight() == 2);
    let mut third = connect(world.address);
    // What it sends at once does not cost it the answer.
    third.write_all(completion(3, true).as_bytes()).expect("sent");
    let (status, headers) = head(&mut third);
    assert_eq!(status, 503);
    assert!(headers.contains(&("retry-after".to_owned(), "1".to_owned())));
    world.gate.open();
    for stream in &mut busy {
        assert!(answer(stream).events().1, "the others are undisturbed");
    }
    assert!(is_served(world.address));
}

#[test]
fn a_client_that_half_closes_is_gone() {
    let world = World::new();
    world.gate.close();
    for stream in [true, false] {
        let mut half = connect(world.address);
        half.write_all(completion(100, stream).as_bytes()).expect("sent");
        world.eventually("it is in flight", |world| world.hub.in_flight() == 1);
        half.shutdown(Shutdown::Write).expect("half closed");
        world.eventually("it was cancelled", |world| world.hub.counts().abandoned > u64::from(!stream));
        assert!(is_closed(&mut half));
        world.gate.open();
        world.idle();
        world.gate.close();
    }
    world.gate.open();
    assert!(is_served(world.address));
    assert_eq!(world.hub.observe().in_flight, 0);
}

#[test]
fn who_leaves_is_noticed_though_they_sent_more_than_was_asked_for() {
    let world = World::new();
    world.gate.close();
    let mut gone = 0;
    for stream in [true, false] {
        // The begin of another request, from a byte to more than anybody sends ahead.
        for ahead in [1, 20_000, 200_000] {
            let mut eager = connect(world.address);
            eager.write_all(completion(100, stream).as_bytes()).expect("sent");
            world.eventually("it is in flight", |world| world.hub.in_flight() == 1);
            // The connection may be closed in the middle of it.
            let _ = eager.write_all(&vec![b'G'; ahead]);
            drop(eager);
            gone += 1;
            world.eventually("it was cancelled", |world| world.hub.counts().abandoned == gone);
            world.gate.open();
            world.idle();
            world.gate.close();
        }
    }
    world.gate.open();
    // Who stays gets an answer to everything that was sent.
    let mut patient = connect(world.address);
    let twice = completion(3, true) + &completion(3, false);
    patient.write_all(twice.as_bytes()).expect("sent");
    assert!(answer(&mut patient).events().1);
    assert_eq!(answer(&mut patient).json()["choices"][0]["text"], "abc");
}

#[test]
fn requests_that_do_not_come_whole_make_room() {
    let world = World::with(hub_config(), HttpConfig { max_connections: 4, ..HttpConfig::default() });
    let begin =
        "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 1000\r\n\r\n";
    let mut slow: Vec<_> = (0..4).map(|_| connect(world.address)).collect();
    for stream in &mut slow {
        stream.write_all(begin.as_bytes()).expect("sent");
        assert_eq!(head(stream).0, 100, "its body is waited for");
        stream.write_all(b"{").expect("sent");
    }
    // Whoever comes later is served in their place, and all of the newcomers are there at once.
    let mut newer: Vec<_> = (0..4).map(|_| connect(world.address)).collect();
    for stream in &mut newer {
        stream.write_all(completion(3, false).as_bytes()).expect("sent");
        assert_eq!(answer(stream).status, 200);
    }
    assert!(slow.iter_mut().all(is_closed));
    assert!(figure(&world, "pdtune_connections_evicted_total{") >= 4);
}

/// Room for all of an answer: an engine that computes nothing is faster than whoever reads.
fn patient() -> HubConfig {
    HubConfig { answer_buffer: CONTEXT as usize, ..hub_config() }
}

/// An answer of many megabytes in one piece: more than the buffers of a socket take.
fn heavy() -> String {
    let body = json!({
        "model": MODEL, "prompt": "x", "n": 4, "max_tokens": 4000, "ignore_eos": true, "temperature": 0, "logprobs": 20
    });
    posted("/v1/completions", &body.to_string())
}

#[test]
fn an_answer_is_over_when_its_client_could_have_it() {
    let mut world = World::with(patient(), HttpConfig { max_connections: 1, ..HttpConfig::default() });
    let mut slow = connect(world.address);
    slow.write_all(heavy().as_bytes()).expect("sent");
    world.eventually("it has been computed", |world| world.hub.counts().full_length == 4);
    world.idle();
    let (status, headers) = head(&mut slow);
    assert_eq!(status, 200);
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    // Neither a newcomer nor a stop takes it from its client.
    assert_eq!(head(&mut connect(world.address)).0, 503);
    world.stop();
    let closed = |refusal| refusal == Refusal::Closed;
    world.eventually("it is stopping", |world| world.hub.generate(vec![]).is_err_and(closed));
    let mut body = vec![0; length.expect("a length")];
    slow.read_exact(&mut body).expect("all of it");
    assert_eq!(world.stopped(), engine::serve::Drained { cancelled: 0 });
}

#[test]
fn a_client_that_reads_byte_by_byte_loses_its_connection() {
    let world = World::with(patient(), HttpConfig { write_timeout: SHORT, ..HttpConfig::default() });
    let mut trickling = connect(world.address);
    trickling.write_all(heavy().as_bytes()).expect("sent");
    world.eventually("it was given up", |world| {
        let mut byte = [0];
        (&trickling).read_exact(&mut byte).expect("what was in the buffers");
        figure(world, "pdtune_connections_stalled_total{") == 1
    });
    assert!(is_served(world.address));
}

#[test]
fn ten_thousand_idle_connections_are_no_trouble() {
    // Both ends are in this process.
    let files = kernels::files::raise_open_files().now.unwrap_or(u64::MAX);
    let many = 10_000.min(files.saturating_sub(500) / 2) as usize;
    if many < 10_000 {
        println!("only {many} connections: the process may open {files} files");
    }
    let http =
        HttpConfig { max_connections: many + 10, head_timeout: Duration::from_hours(1), ..HttpConfig::default() };
    let world = World::with(hub_config(), http);
    let mut idle: Vec<_> = (0..many).map(|_| connect(world.address)).collect();
    world.eventually("all are open", |world| open(world) > many as u64);
    assert!(is_served(world.address));
    // Any of them may still ask for something.
    for stream in idle.iter_mut().step_by(many / 10 + 1) {
        stream.write_all(completion(3, true).as_bytes()).expect("sent");
        assert!(answer(stream).events().1);
    }
    drop(idle);
    world.eventually("their tasks are gone", |world| world.runtime.metrics().num_alive_tasks() == 1);
}

/// Many long answers at once: more than the buffers of any socket take.
fn flood() -> String {
    let body = json!({
        "model": MODEL, "prompt": "x", "n": 16, "max_tokens": 4000, "ignore_eos": true, "temperature": 0, "stream": true
    });
    posted("/v1/completions", &body.to_string())
}

#[test]
fn a_client_that_stops_reading_loses_its_connection() {
    let hub = HubConfig { answer_buffer: 100_000, ..hub_config() };
    let world = World::with(hub, HttpConfig { write_timeout: SHORT, ..HttpConfig::default() });
    let mut stalled = connect(world.address);
    stalled.write_all(flood().as_bytes()).expect("sent");
    world.eventually("it was given up", |world| figure(world, "pdtune_connections_stalled_total{") == 1);
    world.idle();
    assert!(is_served(world.address));
    let mut rest = Vec::new();
    // What was in the buffers, and then the end, one way or another.
    let _ = stalled.read_to_end(&mut rest);
    assert!(!String::from_utf8_lossy(&rest).contains("[DONE]"));
}

#[test]
fn a_client_that_is_too_far_behind_loses_its_request_and_stalls_nobody() {
    let hub = HubConfig { answer_buffer: 64, ..hub_config() };
    let world = World::with(hub, HttpConfig { write_timeout: Duration::from_hours(1), ..HttpConfig::default() });
    let mut behind = connect(world.address);
    behind.write_all(flood().as_bytes()).expect("sent");
    world.eventually("it was given up", |world| world.hub.counts().overrun > 0);
    // The engine goes on for others while the connection is still there.
    assert!(is_served(world.address));
    let response = answer(&mut behind);
    let (events, _) = response.events();
    let last = events.last().expect("events");
    assert!(last["error"]["message"].as_str().is_some_and(|why| why.contains("not read fast enough")), "{last}");
    world.idle();
    assert_eq!(world.hub.observe().in_flight, 0);
}
