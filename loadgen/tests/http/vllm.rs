//! vLLM's gRPC service as a target, against a server that speaks it.

use std::sync::mpsc::channel;
use std::time::Duration;

use engine::remote::RemoteKey;
use loadgen::sample::{CountedBy, FailureKind, Outcome};
use loadgen::target::http::OPENING;
use loadgen::target::vllm::{self, OpenError, VllmTarget};
use loadgen::target::{Connection, TargetEvent};

use crate::client::Client;
use crate::proto::{Message, Value};
use crate::runs::{load, recorded};
use crate::vllm_server::{Act, Says, Server, WELL, chunk, complete, full};

fn target(server: &Server) -> VllmTarget {
    at(server.address())
}

fn at(address: &str) -> VllmTarget {
    VllmTarget {
        address: address.parse().expect("an address"),
        key: None,
        timeout: Duration::from_mins(10),
        opening: OPENING,
        patience: vllm::Patience::default(),
    }
}

fn open(server: &Server) -> Connection {
    vllm::open(target(server)).expect("an engine")
}

fn client(server: &Server) -> Client {
    Client::of(open(server))
}

fn refused(says: Says) -> OpenError {
    vllm::open(target(&Server::saying(says, full))).expect_err("it cannot be opened")
}

const SOON: Option<Duration> = Some(Duration::from_millis(40));

#[test]
fn a_request_asks_for_exactly_the_tokens_wanted_under_a_name_of_its_own() {
    let server = Server::new(full);
    let mut client = client(&server);
    assert_eq!(client.ask(7, 3).outcome, Outcome::Completed);
    let asked = server.asked().pop().expect("it was asked");
    assert!(asked.id.starts_with("pdtune-") && asked.index() == Some(7) && asked.streamed, "{asked:?}");
    assert_eq!(asked.prompt, [1, 2, 3, 4]);
    // Greedy, so many tokens, whatever ends a sentence.
    assert_eq!(asked.sampling, [(1, Value::Bits(0)), (8, Value::Number(3)), (14, Value::Number(1))]);
    let trace = asked.headers["traceparent"].to_str().expect("a text");
    let pattern = &client.connection.info.facts["trace_ids"];
    assert_eq!(trace, format!("00-{}{:016x}-{:016x}-01", &pattern[..16], 7, 8));
    assert_eq!(client.connection.info.facts["request_ids"].replace("INDEX", "7"), asked.id);
}

#[test]
fn an_answer_is_told_in_order_and_what_completes_it_repeats_tokens_that_are_not_counted_again() {
    let server = Server::new(|_| vec![chunk(&[5]), chunk(&[6, 7]), chunk(&[]), chunk(&[8]), complete(&[8], "stop")]);
    let mut client = client(&server);
    let answered = client.ask(0, 4);
    assert!(answered.sent);
    assert_eq!(answered.tokens, [Some(5), Some(6), Some(7), Some(8)]);
    assert_eq!((answered.outcome, answered.counted), (Outcome::Completed, None));
    assert_eq!((answered.account.counted, answered.account.prompt_tokens), (Some(CountedBy::Ids), Some(9)));
    let kinds: Vec<&str> = client
        .events
        .iter()
        .map(|event| match event {
            TargetEvent::Sent { .. } => "sent",
            TargetEvent::Token { .. } => "token",
            TargetEvent::Counted { .. } => "counted",
            TargetEvent::Ended { server, .. } => {
                let server = server.as_ref().expect("it tells of its cache");
                assert_eq!((server.prefix_queried, server.prefix_hit), (9, 4));
                "ended"
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["sent", "token", "token", "token", "token", "counted", "ended"]);
}

#[test]
fn a_server_that_does_not_stream_is_read_all_the_same() {
    let server = Server::new(|_| vec![complete(&[5, 6], "length")]);
    let answered = client(&server).ask(0, 2);
    assert_eq!((answered.tokens, answered.outcome), (vec![Some(5), Some(6)], Outcome::Completed));
}

#[test]
fn a_stream_that_ends_without_what_completes_it_was_cut_however_it_ends() {
    for end in [vec![], vec![Act::NoStatus]] {
        let server = Server::new(move |_| [vec![chunk(&[5])], end.clone()].concat());
        let answered = client(&server).ask(0, 2);
        assert_eq!((answered.outcome, answered.tokens), (Outcome::Cut, vec![Some(5)]));
    }
    // Whether a token still gets through is for the network to say.
    for end in [Act::Reset, Act::Close] {
        let server = Server::new(move |_| vec![chunk(&[5]), end.clone()]);
        assert_eq!(client(&server).ask(0, 2).outcome, Outcome::Cut);
    }
}

#[test]
fn a_status_says_whether_the_engine_would_not_or_could_not() {
    for (code, failure) in [
        (8, "limited: no more (RESOURCE_EXHAUSTED)"),
        (3, "status: no more (INVALID_ARGUMENT)"),
        (12, "status: no more (UNIMPLEMENTED)"),
        (4, "status: no more (DEADLINE_EXCEEDED)"),
        (1, "status: no more (CANCELLED)"),
        (2, "status: no more (gRPC status 2)"),
        (13, "engine: no more (INTERNAL)"),
        (10, "engine: no more (ABORTED)"),
    ] {
        for before in [vec![], vec![chunk(&[5])]] {
            let tokens = before.len();
            let server = Server::new(move |_| [before.clone(), vec![Act::Status(code, "no more")]].concat());
            let answered = client(&server).ask(0, 4);
            assert_eq!((answered.failure(), answered.tokens.len()), (failure.to_owned(), tokens));
            assert!(answered.sent);
        }
    }
}

#[test]
fn a_server_that_stops_refuses_who_has_nothing_yet_and_cuts_everybody_else() {
    let server = Server::new(|asked| match asked.index() {
        Some(0) => vec![Act::Status(14, "Cancelling all calls")],
        _ => vec![chunk(&[5]), Act::Status(14, "Cancelling all calls")],
    });
    let mut client = client(&server);
    assert_eq!(client.ask(0, 4).failure(), "refused: Cancelling all calls (UNAVAILABLE)");
    let answered = client.ask(1, 4);
    assert_eq!((answered.outcome, answered.tokens.len()), (Outcome::Cut, 1));
}

#[test]
fn an_answer_that_the_engine_gave_up_has_failed() {
    let server = Server::new(|_| vec![chunk(&[5]), complete(&[5], "abort")]);
    assert_eq!(client(&server).ask(0, 4).failure(), "engine: finish_reason abort");
}

#[test]
fn what_is_no_such_answer_is_malformed() {
    let large = [&[0, 0, 0x50, 0, 0][..], &[0; 100]].concat();
    let other = Message::default().packed(1, &[5]).number(7, 1);
    for (acts, why) in [
        (vec![Act::Bytes(vec![0, 0, 0, 0, 2, 0xff, 0xff])], "failed to decode Protobuf message"),
        (vec![Act::Bytes(vec![9, 0, 0, 0, 0])], "invalid compression flag"),
        (vec![Act::Bytes(large)], "message length too large"),
        (vec![Act::Send(Message::default())], "a piece of an answer without tokens or end"),
        (vec![Act::Send(Message::default().message(1, &other))], "answer 1 of one that was asked for"),
        (vec![chunk(&[5; 264]), chunk(&[5])], "the answer goes on beyond 264 tokens"),
    ] {
        let server = Server::new(move |_| acts.clone());
        let failure = client(&server).ask(0, 4).failure();
        assert!(failure.starts_with("malformed: ") && failure.contains(why), "{failure}");
    }
}

#[test]
fn a_stream_that_stalls_is_given_up_by_the_timeout_that_it_has_run_into() {
    let server = Server::new(|asked| match asked.index() {
        Some(0) => vec![Act::Hold(None)],
        // Chunks without tokens bring nothing.
        _ => vec![chunk(&[5]), chunk(&[]), Act::Hold(None)],
    });
    let impatient = |patience| Client::of(vllm::open(VllmTarget { patience, ..target(&server) }).expect("an engine"));
    let late = impatient(vllm::Patience { first_token: SOON, between_tokens: None }).ask(0, 4);
    assert_eq!(late.failure(), "timeout: no first token within 40ms");
    let late = impatient(vllm::Patience { first_token: None, between_tokens: SOON }).ask(1, 4);
    assert_eq!((late.failure(), late.tokens.len()), ("timeout: no further token within 40ms".to_owned(), 1));
    let timeout = Duration::from_millis(40);
    let late = Client::of(vllm::open(VllmTarget { timeout, ..target(&server) }).expect("an engine")).ask(0, 4);
    assert_eq!(late.failure(), "timeout: no end within 40ms");
}

#[test]
fn a_request_that_is_given_up_is_given_up_in_the_engine() {
    let (gone, told) = channel();
    let (asks, asked) = channel();
    let server = Server::new(move |request| {
        let silence = Act::Hold(Some(gone.clone()));
        let _ = asks.send(());
        if request.index() == Some(0) { vec![silence] } else { vec![chunk(&[5]), silence] }
    });
    let mut client = client(&server);
    for (index, tokens) in [(0, 0), (1, 1)] {
        client.submit(index, 4);
        // It was sent, however long its first token takes.
        client.until(|event| match event {
            TargetEvent::Sent { index: sent, .. } => tokens == 0 && *sent == index,
            TargetEvent::Token { index: of, .. } => *of == index,
            _ => false,
        });
        asked.recv_timeout(Duration::from_mins(1)).expect("the server has it");
        client.connection.target.cancel(index);
        let answered = client.answered(index);
        assert_eq!((answered.outcome, answered.sent, answered.tokens.len()), (Outcome::Cancelled, true, tokens));
        told.recv_timeout(Duration::from_mins(1)).expect("the server learns of it");
    }
}

#[test]
fn a_connection_that_broke_is_made_anew_by_the_next_request_and_no_request_is_sent_twice() {
    let server = Server::new(|asked| if asked.index() == Some(0) { vec![Act::Close] } else { full(asked) });
    let mut client = client(&server);
    assert_eq!(client.ask(0, 2).outcome, Outcome::Cut);
    // Every connection gets its turn.
    for index in 1..=16 {
        assert_eq!(client.ask(index, 2).outcome, Outcome::Completed);
    }
    let again = server.asked().iter().filter(|asked| asked.index() == Some(0)).count();
    assert_eq!(again, 1);
}

#[test]
fn what_the_engine_tells_of_itself_bounds_the_load_and_is_kept() {
    let info = open(&Server::new(full)).info;
    let limits = info.limits;
    assert_eq!((limits.context_tokens, limits.kv_tokens, limits.vocabulary), (4096, 4096, 32_000));
    assert_eq!((info.model.as_str(), info.split.map(|split| split.to_string()).as_deref()), ("m", Some("2A")));
    assert_eq!(info.facts["server_version"], "0.32.0");
    assert_eq!(info.facts["server_arguments"], "kv_role=kv_both data_parallel_size=2 block_size=128");
    let silent = open(&Server::saying(Says { tells: false, ..WELL }, full)).info;
    assert_eq!((silent.split, silent.facts.get("server_version")), (None, None));
}

#[test]
fn an_engine_that_is_not_well_or_another_or_for_something_else_is_refused_before_the_load() {
    let error = refused(Says { healthy: false, ..WELL });
    assert!(error.to_string().contains(" says that it is not healthy: of sorts\nhint: "), "{error}");
    assert!(error.may_pass());
    let error = refused(Says { generates: false, ..WELL });
    assert!(error.to_string().ends_with(" serves m, which generates no answers"), "{error}");
    assert!(!error.may_pass());
    let error = refused(Says { serves: false, ..WELL });
    assert!(error.to_string().contains(" does not serve vllm.grpc.engine.VllmEngine\nhint: it may be"), "{error}");
    assert!(!error.may_pass());
}

#[test]
fn a_server_that_refuses_the_request_before_the_load_is_refused_and_one_that_is_full_is_remarked() {
    let says = Says { answers_probes: true, ..WELL };
    let invalid = Server::saying(says.clone(), |_| vec![Act::Status(3, "no such token")]);
    let error = vllm::open(target(&invalid)).expect_err("it refuses").to_string();
    assert!(
        error.ends_with(" refused a request for one token before the load: no such token (INVALID_ARGUMENT)"),
        "{error}"
    );
    let guarded = Server::saying(says.clone(), |_| vec![Act::Status(16, "hunter2 is no key")]);
    let key = RemoteKey::new("hunter2");
    let error = vllm::open(VllmTarget { key, ..target(&guarded) }).expect_err("it refuses").to_string();
    assert!(error.contains(": … is no key (UNAUTHENTICATED)\nhint: put its key into a variable"), "{error}");
    assert_eq!(guarded.asked()[0].headers["authorization"], "Bearer hunter2");
    let busy = Server::saying(says, |asked| match asked.index() {
        None => vec![Act::Status(8, "full")],
        Some(_) => full(asked),
    });
    let mut client = client(&busy);
    assert_eq!(client.ask(0, 2).outcome, Outcome::Completed);
    let told =
        |event: &TargetEvent| matches!(event, TargetEvent::Remark { text, .. } if text.contains("limited: full"));
    assert!(client.events.iter().any(told), "{:?}", client.events);
}

#[test]
fn nobody_there_and_a_server_of_another_protocol_are_told_with_a_hint() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let error = vllm::open(at(&format!("vllm+grpc://{nobody}"))).expect_err("nobody is there");
    assert!(error.may_pass(), "{error}");
    let error = error.to_string();
    assert!(
        error.starts_with("cannot connect to vllm+grpc://127.0.0.1:") && error.contains("\nhint: is the"),
        "{error}"
    );
    let http = crate::server::Server::new(crate::server::full);
    let error =
        vllm::open(at(&http.url().replace("http://", "vllm+grpc://"))).expect_err("it speaks HTTP/1.1").to_string();
    assert!(error.contains("one over HTTP is http://HOST:PORT"), "{error}");
    let ours = crate::own::Own::new("1P1D");
    let error = vllm::open(at(&format!("vllm+{}", ours.grpc()))).expect_err("it is another service").to_string();
    assert!(error.contains("pdtune's own, which is grpc://HOST:PORT"), "{error}");
}

#[test]
fn every_request_of_a_run_is_sent_answered_and_measured() {
    let server = Server::new(|asked| match asked.index() {
        Some(index) if index % 4 == 0 => vec![Act::Status(8, "full")],
        _ => full(asked),
    });
    let (result, samples) = recorded(open(&server), load(200, "500", "9", "uniform:1..8"));
    let requests = result.summary.requests;
    assert_eq!((requests.offered, requests.sent, requests.completed, requests.failed), (200, 200, 150, 50));
    assert_eq!(samples.len(), 200);
    for (index, sample) in &samples {
        if index % 4 == 0 {
            assert!(matches!(&sample.outcome, Outcome::Failed(why) if why.kind == FailureKind::Limited), "{sample:?}");
        } else {
            assert_eq!(sample.outcome, Outcome::Completed);
            let (sent, first) = (sample.sent.expect("it was sent"), sample.first.expect("it was answered"));
            assert!(sample.due <= sent && sent <= first, "{sample:?}");
            assert_eq!((sample.output_tokens, sample.prompt_tokens()), (sample.output_asked, 9));
        }
    }
}
