//! Every way in which a request to a server can end.

use std::net::TcpListener;
use std::time::Duration;

use loadgen::sample::{CutBy, Outcome};
use loadgen::target::TargetEvent;
use loadgen::target::http::{self, HttpTarget, OpenError};

use crate::client::{Client, refused, target, with_key};
use crate::server::{Act, END, EVENTS, Server, chunk, event, full, ok, piece, status};

/// The end of one request to a server that does this.
fn end(acts: impl Fn() -> Vec<Act> + Send + Sync + 'static) -> crate::client::Answered {
    let server = Server::new(move |_| acts());
    Client::new(target(&server.url())).ask(7, 4)
}

fn send(parts: &[&str]) -> Vec<Act> {
    vec![Act::Send(parts.concat().into_bytes())]
}

#[test]
fn an_answer_is_read_to_its_end_and_its_connection_used_again() {
    let server = Server::new(full);
    let mut client = Client::new(target(&server.url()));
    for index in 0..100 {
        let answered = client.ask(index, 3);
        assert_eq!(answered.outcome, Outcome::Completed);
        assert_eq!(answered.tokens, [Some(0), Some(1), Some(2)]);
        assert!(answered.sent && (1..=3).contains(&answered.arrivals) && answered.counted.is_none());
    }
    // One that has just been answered may not be back in the pool yet.
    assert!(server.connections() < 90, "{} connections for 100 requests", server.connections());
}

#[test]
fn a_request_asks_for_what_the_schedule_says() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let server = Server::new(move |asked| {
        sender.send((asked.index, asked.head.clone(), asked.body.clone())).expect("the test waits");
        full(asked)
    });
    let mut client = Client::new(with_key(&server.url(), "hunter2"));
    assert_eq!(client.ask(11, 3).outcome, Outcome::Completed);
    let (index, head, body) = receiver.recv().expect("a request");
    assert_eq!(index, 11);
    assert!(head.starts_with("post /v1/completions http/1.1\r\n") && head.contains("authorization: bearer hunter2"));
    let wanted = serde_json::json!({
        "model": "m", "prompt": [1, 2, 3, 4], "max_tokens": 3, "ignore_eos": true, "temperature": 0.0,
        "stream": true, "stream_options": { "include_usage": true }, "return_token_ids": true,
    });
    assert_eq!(body, wanted);
    let facts = &client.connection.info.facts["request_ids"];
    let prefix = facts.strip_suffix("-INDEX").expect("a pattern");
    assert!(head.contains(&format!("x-request-id: {prefix}-11\r\n")), "{head}");
    let run = prefix.strip_prefix("pdtune-").expect("its name");
    let run = format!("{run:0>16}");
    let traces = &client.connection.info.facts["trace_ids"];
    assert!(traces.starts_with(&run), "{traces}");
    assert!(head.contains(&format!("traceparent: 00-{run}000000000000000b-000000000000000c-01\r\n")), "{head}");
}

#[test]
fn dynamo_is_asked_who_serves_a_request_and_for_nothing_that_it_refuses() {
    let models =
        r#"{"object": "list", "data": [{"id": "tiny", "object": "model", "owned_by": "nvidia", "context_window": 0}]}"#;
    let served = r#""nvext":{"worker_id":{"prefill_worker_id":12420605765060856883,"decode_worker_id":7}}"#;
    let server = Server::with_models(&ok("application/json", models), move |asked| {
        let asks = asked.body["nvext"] == serde_json::json!({ "extra_fields": ["timing", "worker_id"] });
        if !asks || asked.body.get("return_token_ids").is_some() {
            return send(&[&status(400, "application/json", r#"{"message": "Validation: Unsupported parameter(s)"}"#)]);
        }
        let last = event(&format!(r#"{{"choices": [{{"text": "a", "finish_reason": "length"}}], {served}}}"#));
        send(&[EVENTS, &last, &event("[DONE]"), END])
    });
    let mut client = Client::new(target(&server.url()));
    assert_eq!(client.ask(3, 1).outcome, Outcome::Completed);
    let told = client.events.iter().find_map(|event| match event {
        TargetEvent::Ended { server, .. } => server.as_ref()?.told.clone(),
        _ => None,
    });
    let told = told.expect("who served it");
    let names = [&told.prefill, &told.decode].map(|name| name.as_ref().map(ToString::to_string));
    assert_eq!(names, [Some("12420605765060856883".to_owned()), Some("7".to_owned())]);
}

#[test]
fn a_stream_that_ends_without_a_word_is_cut() {
    let text = event(&piece(&[1, 2], None));
    let cut = end(move || send(&[EVENTS, &text, END]));
    assert_eq!((&cut.outcome, cut.tokens.len(), cut.account.cut), (&Outcome::Cut, 2, Some(CutBy::Ended)));
    let text = event(&piece(&[1], None));
    let cut = end(move || [send(&[EVENTS, &text]), vec![Act::Close]].concat());
    assert_eq!((&cut.outcome, cut.tokens.len(), cut.account.cut), (&Outcome::Cut, 1, Some(CutBy::Connection)));
    let cut = end(|| vec![Act::Close]);
    assert_eq!(cut.account.cut, Some(CutBy::Connection));
    assert_eq!((cut.outcome, cut.sent), (Outcome::Cut, true), "before the head of an answer");
}

#[test]
fn a_reason_to_finish_completes_an_answer_without_done() {
    let last = event(&piece(&[1], Some("length")));
    let closed = end(move || [send(&[EVENTS, &last]), vec![Act::Close]].concat());
    assert_eq!(closed.outcome, Outcome::Completed);
}

#[test]
fn a_server_that_says_no_is_quoted() {
    for (code, body, why) in [
        (429, r#"{"error": {"message": "too many requests"}}"#, "limited: 429: too many requests"),
        (503, "", "refused: 503"),
        (500, "oh", "status: 500: oh"),
        (302, "elsewhere", "status: 302: elsewhere"),
    ] {
        let answer = status(code, "application/json", body);
        assert_eq!(end(move || send(&[&answer])).failure(), why);
    }
    let server = Server::new(|_| send(&[&status(401, "text/plain", "hunter2 is no key")]));
    let denied = Client::new(with_key(&server.url(), "hunter2")).ask(0, 1);
    assert_eq!(denied.failure(), "status: 401: … is no key");
}

#[test]
fn an_error_without_end_is_read_only_so_far() {
    let head = "HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\n\r\n";
    let answered = end(move || [send(&[head]), vec![Act::Repeat(chunk(&"x".repeat(1000)).into_bytes())]].concat());
    let why = answered.failure();
    assert!(why.starts_with("status: 500: xxx") && why.len() < 300, "{why}");
}

#[test]
fn what_is_not_the_protocol_is_malformed() {
    for (answer, why) in [
        ("what?\r\n\r\n".to_owned(), "malformed: not HTTP: "),
        (ok("application/json", r#"{"choices": []}"#), "malformed: answered application/json, not an event stream"),
        ([EVENTS, &event("{"), END].concat(), "malformed: an event that is no piece of an answer: EOF"),
        ([EVENTS, "zzz\r\n"].concat(), "malformed: not HTTP: "),
    ] {
        let found = end(move || [send(&[&answer]), vec![Act::Hold]].concat()).failure();
        assert!(found.starts_with(why), "{found}");
    }
}

#[test]
fn a_stream_without_end_is_given_up() {
    let repeated = |text: &str| {
        let text = chunk(text).into_bytes();
        end(move || [send(&[EVENTS]), vec![Act::Repeat(text.clone())]].concat())
    };
    let why = repeated("endless ").failure();
    assert!(why.starts_with("malformed: an event of the stream is longer than "), "{why}");
    let answered = repeated(&format!("data: {}\n\n", piece(&[5], None)));
    assert_eq!(answered.failure(), "malformed: the answer goes on beyond 264 tokens");
    assert!(answered.tokens.len() < 300);
}

#[test]
fn an_error_in_the_stream_is_the_engines_and_what_came_before_counts() {
    let (first, error) = (event(&piece(&[1], None)), event(r#"{"error": {"message": "no unit is left"}}"#));
    let failed = end(move || send(&[EVENTS, &first, &error, END]));
    assert_eq!((failed.failure(), failed.tokens.len()), ("engine: no unit is left".to_owned(), 1));
}

#[test]
fn a_request_that_takes_too_long_is_given_up() {
    let server = Server::new(|_| vec![Act::Hold]);
    let impatient = HttpTarget { timeout: Duration::from_secs(1), ..target(&server.url()) };
    let late = Client::new(impatient).ask(0, 4);
    assert_eq!((late.failure(), late.sent), ("timeout: no end within 1s".to_owned(), true));
}

#[test]
fn an_answer_that_was_finished_is_complete_although_its_stream_goes_on() {
    for behind in [Act::Hold, Act::Repeat(chunk(": ping\n\n").into_bytes())] {
        let server = Server::new(move |_| {
            [send(&[EVENTS, &event(&piece(&[1], None)), &event(&piece(&[2], Some("length")))]), vec![behind.clone()]]
                .concat()
        });
        let patient = HttpTarget { timeout: Duration::from_secs(30), ..target(&server.url()) };
        let answered = Client::new(patient).ask(0, 2);
        assert_eq!((answered.outcome, answered.tokens.len()), (Outcome::Completed, 2));
    }
}

#[test]
fn a_cancelled_request_ends_and_its_connection_closes() {
    let (sender, gone) = std::sync::mpsc::channel();
    let server = Server::new(move |_| {
        [send(&[EVENTS, &event(&piece(&[1], None))]), vec![Act::HoldAndTell(sender.clone())]].concat()
    });
    let mut client = Client::new(target(&server.url()));
    client.submit(3, 4);
    client.until(|event| matches!(event, TargetEvent::Token { .. }));
    client.connection.target.cancel(99);
    assert!(gone.try_recv().is_err(), "nobody gave it up yet");
    client.connection.target.cancel(3);
    assert_eq!(client.answered(3).outcome, Outcome::Cancelled);
    gone.recv().expect("the server sees the end of the connection");
}

#[test]
fn a_server_that_dies_is_named_by_every_request_after() {
    let server = Server::new(full);
    let mut client = Client::new(target(&server.url()));
    assert_eq!(client.ask(0, 2).outcome, Outcome::Completed);
    drop(server);
    for index in 1..4 {
        let answered = client.ask(index, 2);
        // A connection that was kept may be found closed; there is no second.
        assert!(answered.outcome == Outcome::Cut || answered.failure().starts_with("connect: "), "{answered:?}");
    }
    assert!(client.ask(9, 2).failure().contains("refused"));
}

#[test]
fn a_target_that_cannot_be_opened_says_why() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let error = refused(target(&format!("http://{nobody}")));
    assert!(
        matches!(error, OpenError::Unreachable { .. }) && error.to_string().contains("Connection refused"),
        "{error}"
    );

    let closes = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", closes.local_addr().expect("its address"));
    let closing = std::thread::spawn(move || drop(closes.accept().expect("a connection")));
    let error = refused(target(&url));
    closing.join().expect("it has closed");
    assert!(error.to_string().starts_with(&format!("{url} hangs up: ")) && error.may_pass(), "{error}");
    assert!(error.to_string().contains("\nhint: a server with TLS is https://HOST:PORT"), "{error}");

    let models = |answer: &str| refused(target(&Server::with_models(answer, full).url())).to_string();
    let error = models(&ok("text/html", "<html>"));
    assert!(error.contains("did not answer as OpenAI's protocol has it"), "{error}");
    let error = models(&status(401, "application/json", r#"{"error": {"message": "no key"}}"#));
    assert!(error.contains("answered 401: no key\nhint: ") && error.contains("--api-key-env"), "{error}");
    let error = models("what?\r\n\r\n");
    assert!(error.contains(" does not answer in HTTP: ") && error.ends_with("https://HOST:PORT"), "{error}");
    let silent =
        Server::with_models("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n", full);
    let error = refused(HttpTarget { opening: Duration::from_millis(40), ..target(&silent.url()) });
    assert!(error.to_string().contains(": no answer within 40ms\nhint: ") && error.may_pass(), "{error}");
    let rude = r#"{"data": [{"id": "m\u001b[2J\nm"}]}"#;
    let opened = http::open(target(&Server::with_models(&ok("application/json", rude), full).url()));
    assert_eq!(opened.expect("a target").info.model, "m [2J m");
    let server = Server::new(full);
    let unknown = HttpTarget { model: Some("n".to_owned()), ..target(&server.url()) };
    assert!(refused(unknown).to_string().contains("does not serve n, but m"));
}
