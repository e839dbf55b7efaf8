//! Requests that are wrong get the right 4xx, and the server goes on.

use std::io::Write;

use engine::serve::http::{ApiKey, HttpConfig};
use serde_json::{Value, json};

use crate::client::{answer, ask, connect, get, is_served, post, posted};
use crate::world::{CONTEXT, MODEL, World, hub_config};

fn refused(world: &World, more: &Value) -> Value {
    let mut body = json!({ "model": MODEL, "prompt": "hello", "max_tokens": 4 });
    let (Some(fields), Some(more)) = (body.as_object_mut(), more.as_object()) else { panic!("objects") };
    fields.extend(more.clone());
    post(world.address, "/v1/completions", &body).error(400)
}

#[test]
fn what_is_no_json_is_refused() {
    let world = World::new();
    for body in ["", "{", "nonsense", "[1]", "\"x\"", r#"{"model": "letters", "prompt": "#, "\u{0}"] {
        for path in ["/v1/completions", "/v1/chat/completions", "/tokenize"] {
            let error = ask(world.address, &posted(path, body)).error(400);
            assert_eq!(error["type"], "invalid_request_error", "{body}");
        }
    }
    let invalid =
        [b"POST /v1/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n".as_slice(), b"\"\xff\""].concat();
    let mut stream = connect(world.address);
    stream.write_all(&invalid).expect("sent");
    answer(&mut stream).error(400);
    assert!(is_served(world.address));
}

#[test]
fn wrong_types_and_absurd_numbers_name_their_field() {
    let world = World::new();
    for (field, values) in [
        (
            "prompt",
            vec![json!(3), json!({}), json!([]), json!([[]]), json!(""), json!(["a", 1]), json!([-1]), json!([300])],
        ),
        (
            "max_tokens",
            vec![json!(-1), json!(0), json!("9"), json!(1.5), json!(1e300), json!(CONTEXT), json!(i64::MAX)],
        ),
        ("min_tokens", vec![json!(-1), json!(5), json!(i64::MIN), json!([])]),
        ("n", vec![json!(0), json!(-3), json!(129), json!("two")]),
        ("temperature", vec![json!(-0.1), json!(2.1), json!(1e300), json!("hot")]),
        ("top_p", vec![json!(0), json!(-1), json!(1.01), json!([])]),
        ("seed", vec![json!("x"), json!(1.5), json!(1e30)]),
        (
            "stop",
            vec![json!(3), json!([3]), json!(""), json!(["a", ""]), json!("x".repeat(1025)), json!(vec!["x"; 17])],
        ),
        ("stop_token_ids", vec![json!(3), json!(["a"]), json!([-1]), json!(vec![1; 1025])]),
        ("stream", vec![json!("yes"), json!(1)]),
        ("stream_options", vec![json!({ "include_usage": true }), json!(3)]),
        ("logprobs", vec![json!(1), json!(true)]),
        ("top_k", vec![json!(5)]),
    ] {
        for value in values {
            let error = refused(&world, &json!({ field: value }));
            assert_eq!(error["param"], field, "{field} {value}: {error}");
        }
    }
    assert!(is_served(world.address));
}

#[test]
fn a_model_that_is_missing_or_not_here_is_refused() {
    let world = World::new();
    assert_eq!(refused(&world, &json!({ "model": null }))["param"], "model");
    let other = json!({ "model": "gpt-17", "prompt": "x" });
    let error = post(world.address, "/v1/completions", &other).error(404);
    assert_eq!((&error["code"], &error["param"]), (&json!("model_not_found"), &json!("model")));
}

#[test]
fn a_prompt_over_the_context_is_refused_with_the_numbers() {
    let world = World::new();
    for (prompt, tokens) in [(CONTEXT as usize, 1), (CONTEXT as usize - 3, 4), (100_000, 1)] {
        let error = refused(&world, &json!({ "prompt": "x".repeat(prompt), "max_tokens": tokens }));
        assert_eq!(error["code"], "context_length_exceeded", "{error}");
        assert!(error["message"].as_str().is_some_and(|text| text.contains("4096")), "{error}");
    }
    let messages = json!([{ "role": "user", "content": "x".repeat(5000) }]);
    let error =
        post(world.address, "/v1/chat/completions", &json!({ "model": MODEL, "messages": messages })).error(400);
    assert_eq!(error["param"], "messages");
    // Exactly the context is fine.
    let more = json!({ "model": MODEL, "prompt": "x".repeat(CONTEXT as usize - 3), "max_tokens": 3 });
    assert_eq!(post(world.address, "/v1/completions", &more).status, 200);
}

#[test]
fn messages_that_are_none_are_refused() {
    let world = World::new();
    for messages in [
        json!(null),
        json!([]),
        json!("hi"),
        json!([{ "content": "x" }]),
        json!([{ "role": "king", "content": "x" }]),
        json!([{ "role": "user", "content": 3 }]),
        json!([{ "role": "user", "content": [{ "type": "image_url", "image_url": {} }] }]),
    ] {
        let body = json!({ "model": MODEL, "messages": messages });
        let error = post(world.address, "/v1/chat/completions", &body).error(400);
        assert!(error["param"].as_str().is_some_and(|param| param.starts_with("messages")), "{error}");
    }
}

#[test]
fn a_huge_body_is_413_however_it_comes() {
    let world = World::new();
    let huge = 100 << 20;
    let head = "POST /v1/completions HTTP/1.1\r\nhost: x\r\n";
    let piece = vec![b' '; 1 << 20];
    // With its length told, and sent.
    let mut stream = connect(world.address);
    stream.write_all(format!("{head}content-length: {huge}\r\n\r\n").as_bytes()).expect("sent");
    for _ in 0..huge / piece.len() {
        stream.write_all(&piece).expect("what is too much is read and thrown away");
    }
    answer(&mut stream).error(413);
    // In chunks, without a length.
    let mut stream = connect(world.address);
    stream.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).expect("sent");
    for _ in 0..huge / piece.len() {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).expect("sent");
        stream.write_all(&piece).expect("sent");
        stream.write_all(b"\r\n").expect("sent");
    }
    stream.write_all(b"0\r\n\r\n").expect("sent");
    answer(&mut stream).error(413);
    // By a client that asks first: it is told before it sends anything.
    let asked = ask(world.address, &format!("{head}content-length: {huge}\r\nexpect: 100-continue\r\n\r\n"));
    asked.error(413);
    // A length that no machine has.
    let absurd =
        ask(world.address, &format!("{head}content-length: 18446744073709551615\r\nexpect: 100-continue\r\n\r\n"));
    assert!((400..500).contains(&absurd.status), "{absurd:?}");
    assert!(is_served(world.address));
}

#[test]
fn a_long_head_is_431_and_nonsense_is_400() {
    let world = World::new();
    let long = format!("GET /health HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(200_000));
    let mut stream = connect(world.address);
    // The answer may come before everything is sent.
    let _ = stream.write_all(long.as_bytes());
    let (status, _) = crate::client::head(&mut stream);
    assert_eq!(status, 431);
    let mut stream = connect(world.address);
    stream.write_all(b"\x16\x03\x01 this is no HTTP\r\n\r\n").expect("sent");
    let (status, _) = crate::client::head(&mut stream);
    assert_eq!(status, 400);
    assert!(is_served(world.address));
}

#[test]
fn bodies_together_are_bounded() {
    let http = HttpConfig { bodies_limit: 1000, ..HttpConfig::default() };
    let world = World::with(hub_config(), http);
    let body = json!({ "model": MODEL, "prompt": "x".repeat(2000) }).to_string();
    let response = ask(world.address, &posted("/v1/completions", &body));
    response.error(429);
    assert_eq!(response.header("retry-after"), Some("1"));
    assert!(is_served(world.address), "what was taken is given back");
}

#[test]
fn a_key_guards_everything_but_health() {
    let key = ApiKey::new("s3cret".to_owned());
    let world = World::with(hub_config(), HttpConfig { key, ..HttpConfig::default() });
    assert_eq!(get(world.address, "/health").status, 200);
    for path in ["/v1/models", "/metrics", "/v1/completions", "/nowhere"] {
        assert_eq!(get(world.address, path).error(401)["code"], "invalid_api_key", "{path}");
    }
    let with =
        |key: &str| ask(world.address, &format!("GET /v1/models HTTP/1.1\r\nauthorization: Bearer {key}\r\n\r\n"));
    with("guess").error(401);
    assert_eq!(with("s3cret").status, 200);
}

#[test]
fn over_the_bound_of_requests_is_429_and_asking_again_helps() {
    let world =
        World::with(engine::serve::hub::HubConfig { in_flight_limit: 3, ..hub_config() }, HttpConfig::default());
    world.gate.close();
    let mut first = connect(world.address);
    let two = json!({ "model": MODEL, "prompt": "x", "max_tokens": 2, "n": 2, "temperature": 0 });
    first.write_all(posted("/v1/completions", &two.to_string()).as_bytes()).expect("sent");
    world.eventually("two in flight", |world| world.hub.in_flight() == 2);
    // All or nothing: two do not fit where there is room for one.
    let turned_away = post(world.address, "/v1/completions", &two);
    assert_eq!(turned_away.error(429)["code"], "rate_limit_exceeded");
    assert_eq!(turned_away.header("retry-after"), Some("1"));
    // More than could ever fit is no reason to try again.
    let four = json!({ "model": MODEL, "prompt": "x", "n": 4 });
    assert_eq!(post(world.address, "/v1/completions", &four).error(400)["param"], "n");
    world.gate.open();
    assert_eq!(answer(&mut first).status, 200);
    world.idle();
    assert_eq!(post(world.address, "/v1/completions", &two).status, 200);
    assert_eq!(world.hub.counts().turned_away, 2);
}
