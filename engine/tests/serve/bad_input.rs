//! Requests that are wrong get the right 4xx, and the server goes on.

use std::io::Write;

use engine::serve::ApiKey;
use engine::serve::http::HttpConfig;
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
        [b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\n".as_slice(), b"\"\xff\""]
            .concat();
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
        ("logprobs", vec![json!(21), json!(-1), json!(1.5), json!(true), json!("all")]),
        ("top_logprobs", vec![json!(21), json!(-1), json!("x")]),
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
fn what_would_change_the_answer_and_cannot_be_done_is_refused() {
    let world = World::new();
    for (field, value) in [
        ("logit_bias", json!({ "5": -100 })),
        ("best_of", json!(4)),
        ("echo", json!(true)),
        ("suffix", json!("the end")),
        ("use_beam_search", json!(true)),
        ("guided_json", json!({ "type": "object" })),
        ("guided_choice", json!(["a", "b"])),
        ("structured_outputs", json!({ "regex": "a+" })),
        ("response_format", json!({ "type": "json_object" })),
        ("repetition_penalty", json!(1.1)),
        ("min_p", json!(0.05)),
        ("bad_words", json!(["b"])),
        ("allowed_token_ids", json!([97])),
        ("truncate_prompt_tokens", json!(2)),
        ("include_stop_str_in_output", json!(true)),
        ("skip_special_tokens", json!(false)),
        ("prompt_logprobs", json!(0)),
        ("tool_choice", json!("required")),
    ] {
        assert_eq!(refused(&world, &json!({ field: value }))["param"], field);
    }
    // What changes nothing here is nobody's trouble.
    let fine = json!({
        "model": MODEL, "prompt": "hello", "temperature": 0, "max_tokens": 3, "user": "me", "logit_bias": {}, "best_of": 1,
        "echo": false, "suffix": null, "response_format": { "type": "text" }, "repetition_penalty": 1.0, "top_k": -1,
        "tool_choice": "auto", "tools": [], "service_tier": "auto", "metadata": { "a": "b" }, "priority": 1
    });
    assert_eq!(post(world.address, "/v1/completions", &fine).status, 200);
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
    // A text of that length is not even looked at, and nobody counts its tokens.
    let long = json!({ "prompt": "x".repeat(5 << 20) });
    assert_eq!(refused(&world, &long)["code"], "context_length_exceeded");
    for long in [long, json!({ "prompt": vec![1; CONTEXT as usize + 1] })] {
        let error = post(world.address, "/tokenize", &long).error(400);
        assert_eq!((&error["code"], &error["param"]), (&json!("context_length_exceeded"), &json!("prompt")));
    }
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
        json!(vec![json!({ "role": "user" }); CONTEXT as usize + 1]),
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
    let head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n";
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
fn log_probabilities_together_are_bounded() {
    let world = World::with(hub_config(), HttpConfig { logprobs_limit: 120, ..HttpConfig::default() });
    let asked = |n: u32, tokens: u32, top: u32| {
        let fields = json!({ "n": n, "max_tokens": tokens, "logprobs": top, "temperature": 0 });
        let mut body = json!({ "model": MODEL, "prompt": "x" });
        body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
        body
    };
    // Answers, tokens, and those that are told beside each token: any of them may be too much.
    for much in [asked(2, 61, 0), asked(1, 21, 5), asked(121, 1, 0), asked(128, 4000, 20)] {
        let error = post(world.address, "/v1/completions", &much).error(400);
        assert_eq!(error["param"], "logprobs", "{error}");
        assert!(error["message"].as_str().is_some_and(|why| why.contains("120 are possible")), "{error}");
        // A stream keeps none of them.
        let mut streamed = much;
        streamed["stream"] = json!(true);
        streamed["n"] = json!(1);
        assert_eq!(post(world.address, "/v1/completions", &streamed).status, 200);
    }
    let chat = json!({
        "model": MODEL, "messages": [{ "role": "user", "content": "x" }], "logprobs": true, "top_logprobs": 20, "max_tokens": 6
    });
    post(world.address, "/v1/chat/completions", &chat).error(400);
    assert_eq!(world.hub.counts().admitted, 4);
    // Those of an answer under way are taken, and given back.
    world.gate.close();
    let mut first = connect(world.address);
    first.write_all(posted("/v1/completions", &asked(1, 20, 4).to_string()).as_bytes()).expect("sent");
    world.eventually("it is in flight", |world| world.hub.in_flight() == 1);
    assert_eq!(post(world.address, "/v1/completions", &asked(1, 21, 0)).error(429)["code"], "rate_limit_exceeded");
    world.gate.open();
    assert_eq!(answer(&mut first).status, 200);
    world.eventually("there is room", |world| post(world.address, "/v1/completions", &asked(1, 20, 5)).status == 200);
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
fn who_is_refused_early_still_sees_why() {
    let key = ApiKey::new("s3cret".to_owned());
    let closed = World::with(hub_config(), HttpConfig { key, ..HttpConfig::default() });
    let small = World::with(hub_config(), HttpConfig { bodies_limit: 1000, ..HttpConfig::default() });
    let piece = vec![b' '; 1 << 20];
    for (world, method, path, status) in [
        (&closed, "POST", "/v1/completions", 401),
        (&small, "POST", "/nowhere", 404),
        (&small, "PUT", "/v1/completions", 405),
        (&small, "POST", "/v1/completions", 429),
        (&small, "POST", "/tokenize", 429),
    ] {
        for length in ["content-length: 8388608", "transfer-encoding: chunked"] {
            let mut stream = connect(world.address);
            let head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n{length}\r\n\r\n");
            stream.write_all(head.as_bytes()).expect("sent");
            for _ in 0..8 {
                let chunk = if length.ends_with('d') { "100000\r\n" } else { "" };
                let end = if length.ends_with('d') { "\r\n" } else { "" };
                let sent = [chunk.as_bytes(), &piece, end.as_bytes()].concat();
                stream.write_all(&sent).expect("what nobody wants is read and thrown away");
            }
            answer(&mut stream).error(status);
        }
    }
    // Who waits to be asked for a body is not.
    let head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 9\r\nexpect: 100-continue\r\n\r\n";
    ask(closed.address, head).error(401);
}

#[test]
fn a_body_takes_room_only_until_it_has_become_tokens() {
    let body = crate::client::completion(3, false);
    let http = HttpConfig { bodies_limit: body.len(), ..HttpConfig::default() };
    let world = World::with(hub_config(), http);
    world.gate.close();
    let mut streams: Vec<_> = (0..4).map(|_| connect(world.address)).collect();
    for (index, stream) in streams.iter_mut().enumerate() {
        stream.write_all(body.as_bytes()).expect("sent");
        world.eventually("it is in flight", |world| world.hub.in_flight() == index + 1);
    }
    world.gate.open();
    for stream in &mut streams {
        assert_eq!(answer(stream).status, 200);
    }
}

#[test]
fn pages_of_others_cannot_drive_a_server_without_a_key() {
    let world = World::new();
    let key = ApiKey::new("s3cret".to_owned());
    let closed = World::with(hub_config(), HttpConfig { key, ..HttpConfig::default() });
    let from = |headers: &str, path: &str| format!("GET {path} HTTP/1.1\r\n{headers}\r\n\r\n");
    for path in ["/health", "/v1/models", "/metrics", "/nowhere"] {
        let rebound = ask(world.address, &from("host: evil.example:8080", path)).error(403);
        assert_eq!((&rebound["code"], &rebound["type"]), (&json!("host_not_allowed"), &json!("permission_error")));
        for origin in ["http://evil.example", "null", "http://localhost:1"] {
            let foreign = ask(world.address, &from(&format!("host: localhost\r\norigin: {origin}"), path)).error(403);
            assert_eq!(foreign["code"], "origin_not_allowed");
        }
    }
    // What a page may send without being asked: a form, as plain text.
    let body = json!({ "model": MODEL, "prompt": "x", "max_tokens": 4000 }).to_string();
    let simple =
        posted("/v1/completions", &body).replacen("application/json", "text/plain\r\norigin: https://evil.example", 1);
    ask(world.address, &simple).error(403);
    assert_eq!(world.hub.counts().admitted, 0);
    for host in ["localhost:8080", "127.0.0.1:8080", "[::1]"] {
        let own = format!("host: {host}\r\norigin: http://{host}");
        assert_eq!(ask(world.address, &from(&own, "/v1/models")).status, 200);
    }
    // A key says enough, by whatever name the server is known.
    let with_key = "host: model.example\r\norigin: https://ui.example\r\nauthorization: Bearer s3cret";
    assert_eq!(ask(closed.address, &from(with_key, "/v1/models")).status, 200);
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
