//! Sessions at servers: later turns repeat what came back, as ids where the server tells them and as text where it is sent text.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use loadgen::run::{self, RunConfig, RunError};
use loadgen::schedule::{LoadSpec, Turns};
use loadgen::target::grpc::{self, GrpcTarget};
use loadgen::target::http::{self, Api, HttpTarget, OPENING, Prompts, REQUEST_TIMEOUT};
use loadgen::time::Micros;
use serde_json::Value;

use crate::client::target;
use crate::own::Own;
use crate::runs::{load, recorded};
use crate::server::{Act, Asked, END, EVENTS, Server, event, full};

fn sessions(requests: u64, turns: u32) -> LoadSpec {
    let sessions = Some(Turns { turns, think: Micros(2_000) });
    LoadSpec { sessions, ..load(requests, "200", "5", "3") }
}

/// The prompts that a server got, by the numbers of their requests.
type Got = Arc<Mutex<BTreeMap<u64, Value>>>;

fn keep(got: &Got, asked: &Asked, key: &str) {
    got.lock().expect("the prompts").insert(asked.index, asked.body[key].clone());
}

fn taken(got: &Got) -> BTreeMap<u64, Value> {
    std::mem::take(&mut got.lock().expect("the prompts"))
}

/// A server that says `0 1 2` whatever it is asked, in the words of a chat and of completions.
fn talkative(asked: &Asked) -> Vec<Act> {
    let mut text = EVENTS.to_owned();
    if asked.head.starts_with("post /v1/chat/completions ") {
        text += &event(r#"{"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}"#);
        text += &event(r#"{"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]}"#);
    }
    for (place, finish) in [(0, "null"), (1, "null"), (2, "\"length\"")] {
        text += &event(&format!(
            r#"{{"choices": [{{"index": 0, "text": " {place}", "delta": {{"content": " {place}"}}, "finish_reason": {finish}}}]}}"#
        ));
    }
    text += &event("[DONE]");
    text += END;
    vec![Act::Send(text.into_bytes())]
}

#[test]
fn a_later_turn_begins_with_the_ids_of_the_turn_before_and_of_its_answer() {
    let got = Got::default();
    let seen = Arc::clone(&got);
    let server = Server::new(move |asked| {
        keep(&seen, asked, "prompt");
        full(asked)
    });
    let (result, samples) = recorded(http::open(target(&server.url())).expect("a target"), sessions(7, 3));
    assert_eq!((result.summary.requests.completed, samples.len()), (7, 7));
    assert_eq!(result.summary.sessions.map(|sessions| sessions.completed), Some(3));
    let prompts = taken(&got);
    let turns: BTreeMap<_, _> =
        samples.values().filter_map(|sample| Some(((sample.turn?.session, sample.turn?.turn), sample))).collect();
    let ids = |index| prompts[&index].as_array().expect("ids").clone();
    for ((session, turn), sample) in &turns {
        let prompt = ids(sample.index);
        assert_eq!(prompt.len(), sample.input_tokens as usize);
        let Some(before) = turn.checked_sub(1).map(|before| turns[&(*session, before)]) else { continue };
        let said = [ids(before.index), vec![0.into(), 1.into(), 2.into()]].concat();
        assert!(prompt.starts_with(&said) && prompt.len() == said.len() + 5, "{prompt:?}");
        assert!(sample.sent >= Some(before.ended), "never before the answer");
    }
}

#[test]
fn text_is_repeated_as_it_came_and_a_chat_says_who_said_what() {
    let got = Got::default();
    let seen = Arc::clone(&got);
    let server = Server::new(move |asked| {
        keep(&seen, asked, if asked.body["prompt"].is_null() { "messages" } else { "prompt" });
        talkative(asked)
    });
    let text = HttpTarget { prompts: Prompts::Text, ..target(&server.url()) };
    recorded(http::open(text).expect("a target"), sessions(2, 2));
    let prompts = taken(&got);
    let said = |index| prompts[&index].as_str().expect("a text").to_owned();
    assert!(said(1).starts_with(&(said(0) + " 0 1 2")), "{prompts:?}");
    assert_eq!(said(1).split_whitespace().count(), 5 + 3 + 5);

    let chat = HttpTarget { api: Api::Chat, ..target(&server.url()) };
    let (_, samples) = recorded(http::open(chat).expect("a target"), sessions(3, 3));
    let prompts = taken(&got);
    let last = prompts[&2].as_array().expect("messages").clone();
    let roles: Vec<_> = last.iter().map(|message| message["role"].as_str().expect("a role")).collect();
    assert_eq!(roles, ["user", "assistant", "user", "assistant", "user"]);
    assert_eq!((&last[1]["content"], &last[3]["content"]), (&" 0 1 2".into(), &" 0 1 2".into()), "without reasoning");
    assert_eq!(last[..3], prompts[&1].as_array().expect("messages")[..]);
    // What was reasoned is a token of the answer, though nobody repeats it.
    assert_eq!(samples[&1].input_tokens, 5 + 4 + 5);
}

#[test]
fn a_server_that_tells_no_ids_is_refused_for_sessions_and_says_what_helps() {
    let server = Server::with_probes(talkative);
    let connection = http::open(target(&server.url())).expect("a target");
    assert!(!connection.tells_answers);
    let refused = run::start(RunConfig { load: sessions(2, 2), connection, record_to: None });
    let Err(error @ RunError::UntoldAnswers(_)) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().ends_with("hint: send it text with --prompt text or --api chat"), "{error}");
    let connection = http::open(target(&server.url())).expect("a target");
    let single = LoadSpec { sessions: None, ..sessions(2, 2) };
    assert_eq!(recorded(connection, single).0.summary.requests.completed, 2, "single requests need no ids");
}

#[test]
fn an_answer_that_breaks_off_breaks_its_session_and_no_other() {
    let server = Server::new(|asked| if asked.index == 0 { vec![Act::Close] } else { full(asked) });
    let (result, samples) = recorded(http::open(target(&server.url())).expect("a target"), sessions(6, 3));
    let (requests, sessions) = (result.summary.requests, result.summary.sessions.expect("sessions"));
    assert_eq!((requests.offered, requests.cut, requests.shed, requests.completed), (6, 1, 2, 3));
    assert_eq!((sessions.broken, sessions.lost_turns, sessions.completed), (1, 2, 1));
    let lost = samples.values().filter(|sample| sample.turn.is_some_and(|turn| turn.lost));
    assert!(lost.into_iter().all(|sample| sample.turn.is_some_and(|turn| turn.session == 0)));
}

#[test]
fn our_own_server_finds_answers_in_its_cache_over_either_protocol() {
    let own = Own::new("1A");
    let load = || LoadSpec { sessions: Some(Turns { turns: 3, think: Micros(5_000) }), ..load(6, "20", "40", "24") };
    let over_http = recorded(http::open(target(&own.http())).expect("a target"), load()).0.summary;
    let address = own.grpc().parse().expect("an address");
    let grpc = GrpcTarget { address, key: None, timeout: REQUEST_TIMEOUT, opening: OPENING, controlled: false };
    let (over_grpc, samples) = recorded(grpc::open(grpc).expect("a target"), LoadSpec { seed: 8, ..load() });
    for summary in [over_http, over_grpc.summary] {
        assert_eq!(summary.requests.completed, 6, "{summary:?}");
        let sessions = summary.sessions.expect("sessions");
        // Prompts of 40, 104 and 168 tokens: of the later ones, 64 and 128 were said before, less what does not fill a block.
        let hit = sessions.later_turns.prefix.hit_tokens.expect("it tells");
        assert!((2 * (48 + 112)..=2 * (64 + 128)).contains(&hit), "{sessions:?}");
        assert_eq!(sessions.first_turns.prefix.hit_tokens, Some(0));
    }
    assert!(samples.values().all(|sample| sample.sent >= Some(sample.due)));
}
