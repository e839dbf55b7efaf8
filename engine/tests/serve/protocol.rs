//! What OpenAI's clients rely on.

use serde_json::{Value, json};

use crate::client::{ask, get, post, posted};
use crate::world::{CONTEXT, LIKELY, MODEL, VOCABULARY, World};

fn body(more: &Value) -> Value {
    let mut body = json!({ "model": MODEL, "prompt": "hello", "temperature": 0 });
    let (Some(fields), Some(more)) = (body.as_object_mut(), more.as_object()) else { panic!("objects") };
    fields.extend(more.clone());
    body
}

/// The texts and ends of the choices of a completion.
fn complete(world: &World, more: &Value) -> Vec<(String, String)> {
    let response = post(world.address, "/v1/completions", &body(more));
    assert_eq!(response.status, 200, "{response:?}");
    let choices = response.json()["choices"].as_array().expect("choices").clone();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    for (index, choice) in choices.iter().enumerate() {
        assert_eq!((&choice["index"], &choice["logprobs"]), (&json!(index), &Value::Null));
    }
    choices.iter().map(|choice| (text(&choice["text"]), text(&choice["finish_reason"]))).collect()
}

fn one(text: &str, finish: &str) -> Vec<(String, String)> {
    vec![(text.to_owned(), finish.to_owned())]
}

#[test]
fn a_completion_has_every_field_that_clients_read() {
    let world = World::new();
    let response = post(world.address, "/v1/completions", &body(&json!({ "max_tokens": 4, "unknown": [{}] })));
    assert_eq!((response.status, response.header("content-type")), (200, Some("application/json")));
    let json = response.json();
    assert!(json["id"].as_str().is_some_and(|id| id.starts_with("cmpl-")) && json["created"].is_u64());
    assert_eq!((&json["object"], &json["model"]), (&json!("text_completion"), &json!(MODEL)));
    assert_eq!(json["choices"], json!([{ "index": 0, "text": "abcd", "logprobs": null, "finish_reason": "length" }]));
    let usage = json!({
        "prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9, "prompt_tokens_details": { "cached_tokens": 0 }
    });
    assert_eq!(json["usage"], usage);
}

#[test]
fn a_chat_goes_through_the_models_template() {
    let world = World::new();
    let messages = json!([
        { "role": "system", "content": "be" },
        { "role": "user", "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] },
        { "role": "assistant", "content": null },
    ]);
    let request = json!({ "model": MODEL, "messages": messages, "max_completion_tokens": 3, "temperature": 0 });
    let json = post(world.address, "/v1/chat/completions", &request).json();
    assert!(json["id"].as_str().is_some_and(|id| id.starts_with("chatcmpl-")));
    assert_eq!(json["object"], "chat.completion");
    assert_eq!(json["choices"][0]["message"], json!({ "role": "assistant", "content": "abc" }));
    assert_eq!(json["usage"]["prompt_tokens"], "system=be;user=ab;assistant=;".len());
}

#[test]
fn a_prompt_may_be_text_or_tokens_one_or_many() {
    let world = World::new();
    for (prompt, choices, tokens) in
        [(json!("ab"), 1, 2), (json!(["ab", "cde"]), 2, 5), (json!([1, 2, 3]), 1, 3), (json!([[1, 2, 3], [4]]), 2, 4)]
    {
        let more = json!({ "prompt": prompt, "max_tokens": 2, "n": 2 });
        let json = post(world.address, "/v1/completions", &body(&more)).json();
        assert_eq!(json["choices"].as_array().map(Vec::len), Some(2 * choices), "{json}");
        assert_eq!(json["usage"]["prompt_tokens"], tokens, "{json}");
        assert_eq!(json["usage"]["completion_tokens"], 4 * choices, "{json}");
    }
}

#[test]
fn an_answer_ends_where_it_was_asked_to() {
    let world = World::new();
    assert_eq!(complete(&world, &json!({})), one("abcdefghijklmnop", "length"));
    assert_eq!(complete(&world, &json!({ "max_tokens": 9, "stop": "ef" })), one("abcd", "stop"));
    assert_eq!(complete(&world, &json!({ "max_tokens": 9, "stop": ["x", "cd", "b"] })), one("a", "stop"));
    assert_eq!(complete(&world, &json!({ "max_tokens": 9, "stop_token_ids": [100] })), one("abc", "stop"));
    let alphabet = "abcdefghijklmnopqrstuvwxyz";
    assert_eq!(complete(&world, &json!({ "max_tokens": 40 })), one(&alphabet[..25], "stop"));
    let whole = format!("{alphabet}{}", &alphabet[..14]);
    assert_eq!(complete(&world, &json!({ "max_tokens": 40, "ignore_eos": true })), one(&whole, "length"));
    let twice = format!("{alphabet}{}", &alphabet[..25]);
    assert_eq!(complete(&world, &json!({ "max_tokens": 60, "min_tokens": 30 })), one(&twice, "stop"));
    // As vLLM has it: so many tokens come before anything may stop the answer.
    assert_eq!(complete(&world, &json!({ "max_tokens": 60, "min_tokens": 26 })), one(&twice, "stop"));
    assert_eq!(complete(&world, &json!({ "max_tokens": 40, "min_tokens": 25 })), one(&alphabet[..25], "stop"));
    // Each counts as what its client saw, however far the engine was.
    world.idle();
    let counts = world.hub.counts();
    assert_eq!((counts.stopped, counts.full_length, counts.abandoned), (7, 2, 0), "{counts:?}");
}

#[test]
fn a_seed_decides_and_several_answers_have_seeds_in_a_row() {
    let world = World::new();
    let more = json!({ "temperature": 0.7, "top_p": 0.9, "seed": 5, "n": 3, "max_tokens": 2 });
    let expected = ["fg", "gh", "hi"].map(|text| (text.to_owned(), "length".to_owned()));
    assert_eq!(complete(&world, &more), expected);
    let greedy = json!({ "temperature": 0, "seed": 5, "n": 2, "max_tokens": 2 });
    assert_eq!(complete(&world, &greedy), [one("ab", "length"), one("ab", "length")].concat());
}

#[test]
fn a_stream_is_the_same_answer_token_by_token() {
    let world = World::new();
    let more = json!({ "max_tokens": 6, "stop": "ef", "stream": true, "n": 2 });
    let response = post(world.address, "/v1/completions", &body(&more));
    assert_eq!((response.status, response.header("content-type")), (200, Some("text/event-stream")));
    let (events, done) = response.events();
    assert!(done && response.whole);
    for choice in 0..2 {
        let own: Vec<&Value> = events.iter().map(|event| &event["choices"][0]).collect();
        let own: Vec<&&Value> = own.iter().filter(|piece| piece["index"] == choice).collect();
        let texts: Vec<&str> = own.iter().map(|piece| piece["text"].as_str().expect("a text")).collect();
        assert_eq!(texts, ["a", "b", "c", "d", "", ""], "a token, a piece; what may become a stop text is withheld");
        let ends: Vec<&Value> = own.iter().map(|piece| &piece["finish_reason"]).collect();
        assert!(ends[..5].iter().all(|end| end.is_null()) && ends[5] == "stop", "{ends:?}");
    }
    assert!(events.iter().all(|event| event.get("usage").is_none()));
}

#[test]
fn a_streamed_chat_says_who_speaks_and_ends_with_its_usage() {
    let world = World::new();
    let request = json!({
        "model": MODEL, "messages": [{ "role": "user", "content": "hi" }], "max_tokens": 2, "temperature": 0,
        "stream": true, "stream_options": { "include_usage": true }
    });
    let (events, done) = post(world.address, "/v1/chat/completions", &request).events();
    assert!(done);
    let deltas: Vec<&Value> = events.iter().map(|event| &event["choices"][0]["delta"]).collect();
    assert_eq!(*deltas[0], json!({ "role": "assistant", "content": "a" }));
    assert_eq!(*deltas[1], json!({ "content": "b" }));
    assert_eq!(
        (events[1]["choices"][0]["finish_reason"].as_str(), &events[1]["usage"]),
        (Some("length"), &Value::Null)
    );
    assert!(events.iter().all(|event| event["object"] == "chat.completion.chunk"));
    let last = events.last().expect("events");
    assert_eq!(events.len(), 3);
    assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!("user=hi;".len() + 2)));
}

#[test]
fn token_ids_are_told_to_whoever_wants_them() {
    let world = World::new();
    let completion = json!({ "prompt": [[104, 105], [106]], "max_tokens": 3, "return_token_ids": true });
    let whole = post(world.address, "/v1/completions", &body(&completion)).json();
    for (index, prompt) in [json!([104, 105]), json!([106])].iter().enumerate() {
        let choice = &whole["choices"][index];
        assert_eq!((&choice["token_ids"], &choice["prompt_token_ids"]), (&json!([97, 98, 99]), prompt));
    }
    let mut streamed = completion;
    streamed["stream"] = json!(true);
    let (events, done) = post(world.address, "/v1/completions", &body(&streamed)).events();
    assert!(done);
    for (index, prompt) in [json!([104, 105]), json!([106])].iter().enumerate() {
        let own: Vec<&Value> =
            events.iter().map(|event| &event["choices"][0]).filter(|choice| choice["index"] == index).collect();
        let ids: Vec<&Value> = own.iter().map(|choice| &choice["token_ids"]).collect();
        assert_eq!(ids, [&json!([97]), &json!([98]), &json!([99])]);
        assert_eq!(own[0]["prompt_token_ids"], *prompt);
        assert!(own[1..].iter().all(|choice| choice.get("prompt_token_ids").is_none()));
    }
    // The token that stopped an answer is one of its tokens, though not of its text; a chat's prompt stands beside its
    // choices.
    let mut chat = json!({
        "model": MODEL, "messages": [{ "role": "user", "content": "x" }], "temperature": 0, "stop_token_ids": [98],
        "return_token_ids": true
    });
    let prompt = json!("user=x;".as_bytes());
    let whole = post(world.address, "/v1/chat/completions", &chat).json();
    assert_eq!((&whole["prompt_token_ids"], &whole["choices"][0]["token_ids"]), (&prompt, &json!([97, 98])));
    assert_eq!(whole["choices"][0]["message"]["content"], "a");
    chat["stream"] = json!(true);
    let (events, _) = post(world.address, "/v1/chat/completions", &chat).events();
    assert_eq!((&events[0]["prompt_token_ids"], &events[1]["choices"][0]["token_ids"]), (&prompt, &json!([98])));
    assert!(events[1].get("prompt_token_ids").is_none());
    // Nobody else sees any.
    let plain = post(world.address, "/v1/completions", &body(&json!({ "max_tokens": 1 }))).body;
    assert!(!plain.contains("token_ids"), "{plain}");
}

#[test]
fn the_prefix_cache_shows_in_the_usage() {
    let world = World::new();
    let more = json!({ "prompt": "x".repeat(64), "max_tokens": 2 });
    let cached =
        || post(world.address, "/v1/completions", &body(&more)).json()["usage"]["prompt_tokens_details"].clone();
    assert_eq!(cached(), json!({ "cached_tokens": 0 }));
    assert_eq!(cached(), json!({ "cached_tokens": 48 }), "all but the block with the last token");
    // Several answers have one prompt; where the engine did not come to tell, nobody knows.
    let several = |more: &Value| post(world.address, "/v1/completions", &body(more)).json()["usage"].clone();
    let usage = several(&json!({ "prompt": "x".repeat(64), "max_tokens": 2, "n": 4 }));
    let cached = usage["prompt_tokens_details"]["cached_tokens"].as_u64();
    assert!(usage["prompt_tokens"] == 64 && cached.is_some_and(|cached| cached <= 48), "{usage}");
    let fresh = several(&json!({ "prompt": "y".repeat(64), "max_tokens": 2, "n": 4 }));
    assert_eq!(fresh["prompt_tokens_details"], json!({ "cached_tokens": 0 }));
    let stopped = several(&json!({ "prompt": "x".repeat(64), "max_tokens": 2000, "stop": "cd" }));
    assert_eq!((&stopped["completion_tokens"], &stopped["prompt_tokens_details"]), (&json!(4), &Value::Null));
}

#[test]
fn models_health_and_tokens_are_told() {
    let world = World::new();
    let models = get(world.address, "/v1/models").json();
    assert_eq!((&models["object"], &models["data"][0]["id"]), (&json!("list"), &json!(MODEL)));
    assert_eq!(models["data"][0]["max_model_len"], CONTEXT);
    assert_eq!(models["data"][0]["pdtune"], json!({ "vocabulary": VOCABULARY, "split": "2P2D" }));
    assert_eq!(get(world.address, "/v1/models/letters").json(), models["data"][0]);
    assert_eq!(get(world.address, "/v1/models/l%65tter%73").json(), models["data"][0]);
    let other = get(world.address, "/v1/models/meta%2Fother%20one").error(404);
    assert!(other["message"].as_str().is_some_and(|why| why.contains("`meta/other one`")), "{other}");
    assert_eq!(get(world.address, "/v1/models/other").error(404)["code"], "model_not_found");
    assert_eq!(get(world.address, "/v1/models/%ff").error(400)["param"], "model");
    assert_eq!(get(world.address, "/health").status, 200);
    let tokens = |body: Value| post(world.address, "/tokenize", &body).json();
    assert_eq!(tokens(json!({ "prompt": "ab" }))["tokens"], json!([97, 98]));
    let chat = tokens(json!({ "model": MODEL, "messages": [{ "role": "user", "content": "x" }] }));
    assert_eq!((&chat["count"], &chat["max_model_len"]), (&json!(7), &json!(CONTEXT)));
    get(world.address, "/v2/nothing").error(404);
    get(world.address, "/v1/completions").error(405);
    // The query of a path is of no interest.
    assert_eq!(get(world.address, "/health?verbose=1").status, 200);
}

#[test]
fn the_metrics_are_those_of_what_happened() {
    let world = World::new();
    complete(&world, &json!({ "max_tokens": 5 }));
    complete(&world, &json!({ "max_tokens": 40 }));
    world.idle();
    let page = get(world.address, "/metrics");
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/plain; version=0.0.4")));
    // Whole numbers all of them, as they are written.
    let number = |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok()).expect("a number");
    let value = |name: &str| {
        let line = page.body.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
        number(line)
    };
    for (name, expected) in [
        ("vllm:num_requests_running{model_name=\"letters\"}", 0),
        ("vllm:prompt_tokens_total", 10),
        ("vllm:generation_tokens_total", 31),
        ("vllm:request_success_total{model_name=\"letters\",finished_reason=\"stop\"}", 1),
        ("vllm:request_success_total{model_name=\"letters\",finished_reason=\"length\"}", 1),
        ("vllm:time_to_first_token_seconds_count", 2),
        ("vllm:inter_token_latency_seconds_count", 29),
        ("pdtune_request_handoff_seconds_count", 2),
        ("pdtune_unit_role{model_name=\"letters\",unit=\"0\",role=\"prefill\"}", 1),
        ("pdtune_unit_role{model_name=\"letters\",unit=\"3\",role=\"decode\"}", 1),
        ("pdtune_unit_state{model_name=\"letters\",unit=\"3\",state=\"serving\"}", 1),
        ("pdtune_requests_admitted_total", 2),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    let handed = page.body.lines().filter(|line| line.starts_with("pdtune_unit_handoff_bytes_total{")).map(number);
    assert_eq!(handed.sum::<u64>(), 2000, "a block each");
    // Every line is a comment or a sample, and every sample's family was introduced.
    for line in page.body.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().expect("a name");
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let known = |name: &str| page.body.contains(&format!("# TYPE {name} "));
        assert!(known(name) || known(family), "{line}");
    }
}

#[test]
fn an_answer_that_met_a_stop_text_is_in_every_histogram() {
    let world = World::new();
    complete(&world, &json!({ "max_tokens": 2000, "stop": "ef" }));
    world.idle();
    let page = get(world.address, "/metrics").body;
    for name in ["queue_time_seconds", "prefill_time_seconds", "decode_time_seconds", "generation_tokens"] {
        let line = format!("vllm:request_{name}_count{{model_name=\"letters\"}} 1\n");
        assert!(page.contains(&line), "{line}");
    }
    assert!(page.contains("pdtune_request_handoff_seconds_count{model_name=\"letters\"} 1\n"));
    // With the figures of its client, who saw six tokens.
    assert!(page.contains("vllm:request_generation_tokens_sum{model_name=\"letters\"} 6\n"), "{page}");
    assert!(page.contains("vllm:request_success_total{model_name=\"letters\",finished_reason=\"stop\"} 1\n"));
}

#[test]
fn how_likely_tokens_were_is_told_to_whoever_asks() {
    let world = World::new();
    let asked = json!({ "max_tokens": 3, "logprobs": 2 });
    let expected = json!({
        "text_offset": [0, 1, 2], "token_logprobs": [LIKELY[0], LIKELY[0], LIKELY[0]], "tokens": ["a", "b", "c"],
        "top_logprobs": [{ "a": -0.5, "b": -1.5 }, { "b": -0.5, "c": -1.5 }, { "c": -0.5, "d": -1.5 }]
    });
    let whole = post(world.address, "/v1/completions", &body(&asked)).json();
    assert_eq!(whole["choices"][0]["logprobs"], expected);
    let mut streamed = asked;
    streamed["stream"] = json!(true);
    let (events, _) = post(world.address, "/v1/completions", &body(&streamed)).events();
    for (index, event) in events.iter().enumerate() {
        let told = &event["choices"][0]["logprobs"];
        for (field, values) in expected.as_object().expect("an object") {
            assert_eq!(told[field], json!([values[index]]), "{field} of token {index}");
        }
    }
    // The token alone.
    let alone = post(world.address, "/v1/completions", &body(&json!({ "max_tokens": 1, "logprobs": 0 }))).json();
    assert_eq!(alone["choices"][0]["logprobs"]["top_logprobs"], json!([{ "a": -0.5 }]));
    // A chat has a shape of its own, and a flag.
    let mut chat = json!({
        "model": MODEL, "messages": [{ "role": "user", "content": "x" }], "max_tokens": 1, "temperature": 0,
        "logprobs": true, "top_logprobs": 1
    });
    let token = json!({
        "token": "a", "logprob": -0.5, "bytes": [97],
        "top_logprobs": [{ "token": "a", "logprob": -0.5, "bytes": [97] }]
    });
    let ask = |chat: &Value| post(world.address, "/v1/chat/completions", chat);
    assert_eq!(ask(&chat).json()["choices"][0]["logprobs"], json!({ "content": [token] }));
    chat["stream"] = json!(true);
    assert_eq!(ask(&chat).events().0[0]["choices"][0]["logprobs"], json!({ "content": [token] }));
    chat["logprobs"] = json!(false);
    assert_eq!(ask(&chat).error(400)["param"], "top_logprobs");
}

#[test]
fn a_stream_may_tell_its_usage_as_it_goes() {
    let world = World::new();
    let more = json!({
        "max_tokens": 3, "stream": true,
        "stream_options": { "include_usage": true, "continuous_usage_stats": true }
    });
    let (events, _) = post(world.address, "/v1/completions", &body(&more)).events();
    let told: Vec<_> = events.iter().map(|event| event["usage"]["completion_tokens"].as_u64()).collect();
    assert_eq!(told, [Some(1), Some(2), Some(3), Some(3)]);
    assert!(events.iter().all(|event| event["usage"]["prompt_tokens"] == 5));
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    let world = World::new();
    let mut stream = crate::client::connect(world.address);
    for _ in 0..3 {
        let request = posted("/v1/completions", &body(&json!({ "max_tokens": 2, "stream": true })).to_string());
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("sent");
        assert!(crate::client::answer(&mut stream).events().1);
    }
    let old = ask(world.address, "GET /health HTTP/1.0\r\n\r\n");
    assert_eq!(old.status, 200);
}
