//! What a server is asked for, what it is asked before, and what of its answers is told beside the times.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use loadgen::sample::{CountedBy, Outcome};
use loadgen::target::TargetEvent;
use loadgen::target::http::{Api, HttpTarget, OpenError, Patience, Prompts};

use crate::client::{Client, refused, target, with_key};
use crate::runs::{load, recorded};
use crate::server::{Act, Asked, END, EVENTS, Server, event, full, piece, status};

fn send(parts: &[&str]) -> Vec<Act> {
    vec![Act::Send(parts.concat().into_bytes())]
}

fn delta(delta: &str) -> String {
    event(&format!(r#"{{"choices": [{{"index": 0, "delta": {delta}, "finish_reason": null}}]}}"#))
}

/// A chat that thinks before it answers.
fn thoughtful(asked: &Asked) -> Vec<Act> {
    assert!(asked.head.starts_with("post /v1/chat/completions "), "{}", asked.head);
    let usage = r#"{"choices": [], "usage": {"prompt_tokens": 21, "completion_tokens": 4}}"#;
    send(&[
        EVENTS,
        &delta(r#"{"role": "assistant", "content": ""}"#),
        &delta(r#"{"reasoning_content": "hm"}"#),
        &delta(r#"{"reasoning_content": "hm"}"#),
        &delta(r#"{"content": "so"}"#),
        &delta(r#"{"content": "."}"#),
        &event(r#"{"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}"#),
        &event(usage),
        &event("[DONE]"),
        END,
    ])
}

fn chat(url: &str) -> HttpTarget {
    HttpTarget { api: Api::Chat, ..target(url) }
}

#[test]
fn a_chat_is_asked_in_words_and_its_reasoning_told_apart() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let server = Server::new(move |asked| {
        sender.send(asked.body.clone()).expect("the test waits");
        thoughtful(asked)
    });
    let mut client = Client::new(chat(&server.url()));
    let answered = client.ask(0, 4);
    assert_eq!((answered.outcome, answered.tokens.len()), (Outcome::Completed, 4));
    assert_eq!((answered.account.counted, answered.account.prompt_tokens), (Some(CountedBy::Usage), Some(21)));
    let reasoning = answered.account.reasoning.expect("it thought");
    assert!(reasoning.tokens == 2 && reasoning.answer.is_some(), "{reasoning:?}");
    let body = receiver.recv().expect("a request");
    let words = body["messages"][0]["content"].as_str().expect("a text");
    assert_eq!((body["messages"][0]["role"].as_str(), words.split_whitespace().count()), (Some("user"), 4));
    assert!(body["prompt"].is_null() && body["max_tokens"] == 4, "{body}");
}

#[test]
fn a_run_of_chats_tells_both_first_tokens_and_how_tokens_and_lengths_were_counted() {
    let server = Server::new(thoughtful);
    let connection = loadgen::target::http::open(chat(&server.url())).expect("a target");
    let (result, samples) = recorded(connection, load(20, "200", "16", "5"));
    for sample in samples.values() {
        assert!(sample.first_answer() >= sample.ttft() && sample.ttft().is_some(), "{sample:?}");
        assert_eq!((sample.input_tokens, sample.prompt_tokens()), (16, 21));
    }
    let summary = result.summary;
    assert_eq!((summary.ttft_ms.n, summary.ttft_answer_ms.n), (20, 20));
    let answers = &summary.answers;
    assert_eq!((answers.counted_by.usage, answers.osl_missed, answers.isl_differed), (20, 20, 20));
    assert_eq!((answers.prompt_tokens_asked, answers.prompt_tokens_counted), (320, 420));
    assert_eq!((answers.reasoned, answers.reasoning_tokens), (20, 40));
    let text = summary.text(None);
    for line in [
        "first answer token  p50 ",
        "tokens       counted by usage\n",
        "lengths      20 answers had not as many tokens as asked for\n",
        "prompts      the server counted 420 tokens where 320 were asked for\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
fn prompts_can_be_text() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let server = Server::new(move |asked| {
        sender.send(asked.body["prompt"].clone()).expect("the test waits");
        full(asked)
    });
    let mut client = Client::new(HttpTarget { prompts: Prompts::Text, ..target(&server.url()) });
    assert_eq!(client.ask(0, 1).outcome, Outcome::Completed);
    let prompt = receiver.recv().expect("a request");
    assert_eq!(prompt.as_str().map(|text| text.split_whitespace().count()), Some(4));
}

#[test]
fn several_addresses_take_turns_and_the_recording_says_which_it_was() {
    let counts: [Arc<AtomicUsize>; 2] = [Arc::default(), Arc::default()];
    let servers = counts.clone().map(|count| {
        Server::new(move |asked| {
            count.fetch_add(1, Ordering::Relaxed);
            full(asked)
        })
    });
    let addresses = servers.iter().map(|server| server.url().parse().expect("an address")).collect();
    let several = HttpTarget { addresses, ..target(&servers[0].url()) };
    let connection = loadgen::target::http::open(several).expect("a target");
    assert_eq!(connection.info.name, format!("{},{}", servers[0].url(), servers[1].url()));
    let (result, samples) = recorded(connection, load(40, "400", "16", "2"));
    assert_eq!(counts.each_ref().map(|count| count.load(Ordering::Relaxed)), [20, 20]);
    let second = samples.values().filter(|sample| sample.account.address == Some(1)).count();
    assert_eq!((second, result.summary.answers.addresses), (20, vec![20, 20]));
}

#[test]
fn addresses_of_different_models_are_refused() {
    let one = Server::new(full);
    let other = Server::with_models(&crate::server::ok("application/json", r#"{"data": [{"id": "n"}]}"#), full);
    let addresses = [&one, &other].map(|server| server.url().parse().expect("an address")).to_vec();
    let error = refused(HttpTarget { addresses, ..target(&one.url()) });
    assert!(matches!(error, OpenError::DifferentModels { .. }), "{error}");
}

#[test]
fn headers_and_fields_of_the_users_are_sent_and_headers_hidden() {
    let server = Server::new(|asked| {
        assert!(asked.head.contains("\r\nx-team: swordfish\r\n"), "{}", asked.head);
        assert_eq!((&asked.body["top_k"], asked.body.get("ignore_eos")), (&serde_json::json!(5), None));
        send(&[&status(500, "text/plain", "team swordfish is over its quota")])
    });
    let users = HttpTarget {
        headers: vec!["X-Team: swordfish".parse().expect("a header")],
        fields: vec!["top_k=5".parse().expect("a field"), "ignore_eos=null".parse().expect("a field")],
        ..target(&server.url())
    };
    let mut client = Client::new(users);
    assert_eq!(client.ask(0, 2).failure(), "status: 500: team … is over its quota");
    let facts = format!("{:?}", client.connection.info.facts);
    assert!(facts.contains("top_k=5 ignore_eos=null") && !facts.contains("swordfish"), "{facts}");
}

/// `OpenAI`'s own service, which knows none of vLLM's fields.
fn strict(asked: &Asked) -> Vec<Act> {
    for name in ["ignore_eos", "return_token_ids"] {
        if asked.body.get(name).is_some() {
            let message = format!(r#"{{"error": {{"message": "Unrecognized request argument supplied: {name}"}}}}"#);
            return send(&[&status(400, "application/json", &message)]);
        }
    }
    full(asked)
}

#[test]
fn fields_that_a_server_refuses_are_found_before_the_load_and_told() {
    let server = Server::with_probes(strict);
    let mut client = Client::new(target(&server.url()));
    assert_eq!(client.ask(0, 2).outcome, Outcome::Completed);
    let facts = &client.connection.info.facts;
    assert_eq!(facts["fields_left_out"], "ignore_eos return_token_ids");
    let told = client.events.iter().find_map(|event| match event {
        TargetEvent::Remark { text, .. } => Some(text.clone()),
        _ => None,
    });
    let told = told.expect("a remark");
    assert!(told.contains("refuses ignore_eos, return_token_ids") && told.contains("may be shorter"), "{told}");
    let mut client = Client::new(HttpTarget { strict: true, ..target(&server.url()) });
    assert_eq!(client.ask(0, 2).outcome, Outcome::Completed);
    assert!(!client.connection.info.facts.contains_key("fields_left_out"), "nothing had to be");
}

#[test]
fn a_complaint_that_repeats_the_request_first_is_read_to_its_end() {
    let server = Server::with_probes(|asked| {
        if asked.body.get("return_token_ids").is_none() {
            return full(asked);
        }
        let message = format!("in {}{}: unknown field `return_token_ids`", asked.body, " ".repeat(500));
        let said = serde_json::json!({ "error": { "message": message } });
        send(&[&status(400, "application/json", &said.to_string())])
    });
    let mut client = Client::new(target(&server.url()));
    assert_eq!(client.ask(0, 2).outcome, Outcome::Completed);
    assert_eq!(client.connection.info.facts["fields_left_out"], "return_token_ids");
}

#[test]
fn a_field_of_the_users_that_a_server_refuses_ends_the_run_before_it_begins() {
    let server = Server::with_probes(strict);
    let fields = vec!["ignore_eos=true".parse().expect("a field")];
    let error = refused(HttpTarget { fields, ..target(&server.url()) }).to_string();
    assert!(
        error.ends_with("\nhint: ignore_eos was given with --body-field; --body-field ignore_eos=null leaves it out"),
        "{error}"
    );
}

#[test]
fn a_server_that_would_refuse_every_request_is_refused_before_the_load() {
    for (code, said, hint) in [
        (401, "no key", "--api-key-env"),
        (404, "Not Found", "--api chat"),
        (400, "token ids are not supported", "--prompt text"),
    ] {
        let answer = status(code, "application/json", &format!(r#"{{"error": {{"message": "{said}"}}}}"#));
        let server = Server::with_probes(move |_| send(&[&answer]));
        let error = refused(target(&server.url())).to_string();
        let refusal =
            format!("/v1/completions refused a request for one token before the load: {code}: {said}\nhint: ");
        assert!(error.contains(&refusal), "{error}");
        assert!(error.contains(hint), "{error}");
    }
}

#[test]
fn a_server_that_is_full_before_the_load_gets_its_load_all_the_same() {
    let answer = send(&[&status(429, "text/plain", "")]);
    for (probed, why) in [(answer, "limited: 429"), (vec![Act::Hold], "well: no answer within 5s")] {
        let server = Server::with_probes(move |asked| match asked.index {
            u64::MAX => probed.clone(),
            _ => full(asked),
        });
        let mut client = Client::new(HttpTarget { opening: Duration::from_secs(1), ..target(&server.url()) });
        assert_eq!(client.ask(0, 2).outcome, Outcome::Completed);
        let is_told = |event: &TargetEvent| matches!(event, TargetEvent::Remark { text, .. } if text.contains(why));
        assert!(client.events.iter().any(is_told), "{:?}", client.events);
    }
}

#[test]
fn a_stream_that_stalls_is_given_up_by_the_timeout_that_it_has_run_into() {
    let impatient = |server: &Server, patience| HttpTarget { patience, ..target(&server.url()) };
    let soon = Some(Duration::from_millis(40));
    let pings = Act::Repeat(crate::server::chunk(": ping\n\n").into_bytes());
    for silence in [Act::Hold, pings] {
        let behind = silence.clone();
        let server = Server::new(move |_| [send(&[EVENTS]), vec![behind.clone()]].concat());
        // A machine may take longer than that to send a request at all.
        let sent = [40, 400, 4_000, 40_000].into_iter().any(|ms| {
            let patience = Patience { first_token: Some(Duration::from_millis(ms)), between_tokens: None };
            let late = Client::new(impatient(&server, patience)).ask(0, 4);
            assert!(late.failure().starts_with("timeout: no first token within "), "{late:?}");
            late.sent
        });
        assert!(sent, "the request was there, and the token was not");
        let first = event(&piece(&[1], None));
        let server = Server::new(move |_| [send(&[EVENTS, &first]), vec![silence.clone()]].concat());
        let patience = Patience { first_token: None, between_tokens: soon };
        let late = Client::new(impatient(&server, patience)).ask(0, 4);
        assert_eq!((late.failure(), late.tokens.len()), ("timeout: no further token within 40ms".to_owned(), 1));
    }
}

#[test]
fn a_redirect_is_named_and_not_followed() {
    let answer = "HTTP/1.1 307 X\r\nlocation: http://elsewhere.example/v1\r\ncontent-length: 0\r\n\r\n";
    let server = Server::new(move |_| send(&[answer]));
    let answered = Client::new(target(&server.url())).ask(0, 1);
    assert_eq!(answered.failure(), "status: 307, redirected to http://elsewhere.example/v1");
    let error = refused(target(&Server::with_models(answer, full).url())).to_string();
    assert!(error.contains("answered 307, redirected to http://elsewhere.example/v1"), "{error}");
}

#[test]
fn a_head_without_end_and_one_event_without_end_are_malformed() {
    let bomb =
        Server::new(|_| [send(&["HTTP/1.1 200 OK\r\n"]), vec![Act::Repeat(b"x-bomb: boom\r\n".to_vec())]].concat());
    let why = Client::new(target(&bomb.url())).ask(0, 1).failure();
    assert!(why.starts_with("malformed: not HTTP: "), "{why}");
    // A chunk that says it has a gigabyte, which comes and comes.
    let head = format!("{EVENTS}40000000\r\ndata: ");
    let huge = Server::new(move |_| [send(&[&head]), vec![Act::Repeat(vec![b'x'; 65_536])]].concat());
    let why = Client::new(target(&huge.url())).ask(0, 1).failure();
    assert!(why.starts_with("malformed: an event of the stream is longer than "), "{why}");
    let trickled: Vec<Act> = full_bytes().into_iter().map(|byte| Act::Send(vec![byte])).collect();
    let slow = Server::new(move |_| trickled.clone());
    let answered = Client::new(with_key(&slow.url(), "hunter2")).ask(0, 2);
    assert_eq!((answered.outcome, answered.tokens.len()), (Outcome::Completed, 2));
}

/// An answer of two tokens.
fn full_bytes() -> Vec<u8> {
    [EVENTS, &event(&piece(&[1], None)), &event(&piece(&[2], Some("length"))), &event("[DONE]"), END]
        .concat()
        .into_bytes()
}
