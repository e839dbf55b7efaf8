use proptest::prelude::*;

use super::*;
use crate::http::ApiKey;
use crate::time::Micros;

/// Nothing is secret.
static OPEN: std::sync::LazyLock<Secrets> = std::sync::LazyLock::new(Secrets::default);

/// What is read of a stream that ends after these chunks: ids of tokens, and what became of it.
fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, asked: u32) -> (Vec<Option<u32>>, End) {
    let mut answer = Answer::new(4, asked, &OPEN);
    let mut tokens = Vec::new();
    for chunk in chunks {
        answer.read(chunk, &mut tokens);
        if answer.is_over() {
            return (tokens, answer.end());
        }
    }
    answer.close(&mut tokens);
    (tokens, answer.end())
}

fn stream(events: &[&str]) -> String {
    events.iter().flat_map(|event| ["data: ", *event, "\n\n"]).collect()
}

fn whole(events: &[&str]) -> (Vec<Option<u32>>, End) {
    read([stream(events).as_bytes()], 64)
}

fn failure(end: End) -> String {
    match end.outcome {
        Outcome::Failed(failure) => format!("{}: {}", failure.kind, failure.message),
        other => panic!("{other:?}"),
    }
}

const IDS: &str =
    r#"{"choices": [{"index": 0, "text": "a", "token_ids": [7, 8], "finish_reason": null}], "usage": null}"#;
const TEXT: &str = r#"{"choices": [{"index": 0, "text": "gr\u00fcn", "logprobs": null, "finish_reason": null}]}"#;
const EMPTY: &str = r#"{"choices": [{"index": 0, "text": "", "finish_reason": null}]}"#;
const LAST: &str = r#"{"choices": [{"index": 0, "text": "", "finish_reason": "length"}]}"#;
const USAGE: &str = r#"{"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 9, "total_tokens": 13}}"#;

/// A usage of so many tokens.
fn usage(tokens: u32) -> String {
    format!(r#"{{"choices": [], "usage": {{"prompt_tokens": 4, "completion_tokens": {tokens}}}}}"#)
}

#[test]
fn arrivals_are_counted_by_ids_and_so_are_all_tokens() {
    let (tokens, end) = whole(&[IDS, IDS, LAST, "[DONE]"]);
    assert_eq!(tokens, [Some(7), Some(8), Some(7), Some(8)]);
    assert_eq!((end.outcome, end.tokens, end.account.counted), (Outcome::Completed, None, Some(CountedBy::Ids)));
    let (tokens, end) = whole(&[IDS, IDS, LAST, &usage(4), "[DONE]"]);
    assert_eq!((tokens.len(), end.tokens, end.account.counted), (4, None, Some(CountedBy::Usage)));
    assert_eq!((end.account.prompt_tokens, end.account.usage_tokens), (Some(4), None));
    let none = r#"{"choices": [], "usage": {"completion_tokens": 0}}"#;
    let end = whole(&[IDS, LAST, none, "[DONE]"]).1;
    assert_eq!((end.tokens, end.account.counted), (None, Some(CountedBy::Ids)), "who says none has not counted");
}

#[test]
fn a_usage_that_says_another_number_than_the_ids_is_not_believed_but_told() {
    for lie in [1, 9, 384] {
        let (tokens, end) = whole(&[IDS, IDS, LAST, &usage(lie), "[DONE]"]);
        assert_eq!((tokens.len(), end.tokens, end.account.counted), (4, None, Some(CountedBy::Ids)));
        assert_eq!((end.outcome, end.account.usage_tokens), (Outcome::Completed, Some(lie)));
    }
}

#[test]
fn text_without_ids_from_a_server_that_tells_them_is_a_token_until_the_usage_says_more() {
    let empty = r#"{"choices": [{"text": "", "token_ids": [], "finish_reason": null}]}"#;
    let (tokens, end) = whole(&[empty, TEXT, TEXT, LAST, "[DONE]"]);
    assert_eq!((tokens.len(), end.account.counted), (2, Some(CountedBy::Chunks)), "an empty list promises nothing");
    let unnamed = r#"{"choices": [{"text": "x", "token_ids": [], "finish_reason": null}]}"#;
    let (tokens, end) = whole(&[IDS, TEXT, unnamed, empty, LAST, "[DONE]"]);
    assert_eq!(tokens, [Some(7), Some(8), None, None]);
    assert_eq!((end.tokens, end.account.counted), (None, Some(CountedBy::Chunks)), "not all have ids");
    let (tokens, end) = whole(&[IDS, TEXT, LAST, USAGE, "[DONE]"]);
    assert_eq!((tokens.len(), end.tokens, end.account.counted), (3, Some(9), Some(CountedBy::Usage)));
    let so_far = |text: &str, so_far: u32| {
        format!(r#"{{"choices": [{{"text": "{text}"}}], "usage": {{"completion_tokens": {so_far}}}}}"#)
    };
    let named = r#"{"choices": [{"text": "x", "token_ids": [7, 8]}], "usage": {"completion_tokens": 2}}"#;
    let (tokens, end) = whole(&[named, &so_far("held back", 2), &so_far("x", 5), "[DONE]"]);
    assert_eq!((tokens.len(), end.tokens), (5, None), "the usage tells what text without ids has brought");
}

#[test]
fn without_ids_a_piece_with_text_is_a_token_until_the_usage_says_how_many_there_were() {
    let (tokens, end) = whole(&[EMPTY, TEXT, TEXT, LAST, USAGE, "[DONE]"]);
    assert_eq!((tokens, end.tokens), (vec![None, None], Some(9)));
    let (tokens, end) = whole(&[TEXT, TEXT, LAST, "[DONE]"]);
    assert_eq!((tokens, end.tokens), (vec![None, None], None));
    assert_eq!(end.account.counted, Some(CountedBy::Chunks));
    assert_eq!(whole(&["[DONE]"]).1.account.counted, None, "there is nothing to count");
}

const ROLE: &str = r#"{"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]}"#;
const THOUGHT: &str = r#"{"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]}"#;
const NEWER: &str = r#"{"choices": [{"index": 0, "delta": {"reasoning": "hm", "content": null}}]}"#;
const WORD: &str = r#"{"choices": [{"index": 0, "delta": {"content": "so"}}]}"#;

#[test]
fn the_role_of_a_chat_is_no_token_and_reasoning_is_one_but_no_answer() {
    let mut answer = Answer::new(4, 64, &OPEN);
    let mut seen = Vec::new();
    for piece in [ROLE, THOUGHT, NEWER, WORD, WORD] {
        let mut tokens = Vec::new();
        answer.read(stream(&[piece]).as_bytes(), &mut tokens);
        seen.push((tokens.len(), answer.has_answered()));
    }
    assert_eq!(seen, [(0, false), (1, false), (1, false), (1, true), (1, true)]);
    assert_eq!(answer.end().account.reasoning, Some(Reasoning { tokens: 2, answer: None }));
    let (tokens, end) = whole(&[ROLE, WORD, LAST, "[DONE]"]);
    assert_eq!((tokens.len(), end.account.reasoning), (1, None));
}

#[test]
fn ids_before_any_text_belong_to_what_comes_first() {
    let ids = |delta: &str| format!(r#"{{"choices": [{{"delta": {delta}, "token_ids": [5]}}]}}"#);
    let (empty, thought, word) = (ids("{}"), ids(r#"{"reasoning": "x"}"#), ids(r#"{"content": "x"}"#));
    let mut answer = Answer::new(4, 64, &OPEN);
    let mut seen = Vec::new();
    for piece in [&empty, &thought, &thought, &word] {
        answer.read(stream(&[piece]).as_bytes(), &mut Vec::new());
        seen.push(answer.has_answered());
    }
    assert_eq!(seen, [false, false, false, true]);
    assert_eq!(answer.end().account.reasoning, Some(Reasoning { tokens: 3, answer: None }));
    let (tokens, end) = whole(&[&empty, &word, LAST, "[DONE]"]);
    assert_eq!((tokens.len(), end.account.reasoning), (2, None));
}

#[test]
fn a_usage_in_the_last_piece_alone_is_no_arrival() {
    let last = r#"{"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 0,
        "completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 47}}}"#;
    let last = last.replace('\n', "");
    let (tokens, end) = whole(&[WORD, WORD, &last, "[DONE]"]);
    assert_eq!((tokens.len(), end.tokens, end.account.counted), (2, Some(3), Some(CountedBy::Usage)));
    assert_eq!(end.account.prompt_tokens, None, "none is no count");
    let with_text = last.replace("{}", r#"{"content": "x"}"#);
    let (tokens, end) = whole(&[WORD, WORD, &with_text, "[DONE]"]);
    assert_eq!((tokens.len(), end.tokens), (3, None));
    let huge = last.replace(r#""prompt_tokens": 0"#, r#""prompt_tokens": 4000000000"#);
    assert_eq!(whole(&[WORD, &huge, "[DONE]"]).1.account.prompt_tokens, None);
}

#[test]
fn half_a_character_belongs_to_what_it_stands_in() {
    let ids = |delta: &str| format!(r#"{{"choices": [{{"delta": {delta}, "token_ids": [5]}}]}}"#);
    let (thought, half, word) = (ids(r#"{"reasoning": "x"}"#), ids(r#"{"content": ""}"#), ids(r#"{"content": "x"}"#));
    let (tokens, end) = whole(&[&thought, &half, &word, &half, LAST, "[DONE]"]);
    assert_eq!((tokens.len(), end.account.reasoning.map(|reasoning| reasoning.tokens)), (4, Some(2)));
}

#[test]
fn reasoning_that_is_counted_but_not_sent_is_no_token_of_the_answer() {
    let usage = r#"{"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 50,
        "completion_tokens_details": {"reasoning_tokens": 48}}}"#
        .replace('\n', "");
    let (tokens, end) = whole(&[WORD, WORD, LAST, &usage, "[DONE]"]);
    assert_eq!((tokens.len(), end.tokens, end.account.reasoning), (2, None, None));
    let (tokens, end) = whole(&[THOUGHT, WORD, LAST, &usage, "[DONE]"]);
    let reasoning = Some(Reasoning { tokens: 48, answer: None });
    assert_eq!((tokens.len(), end.tokens, end.account.reasoning), (2, Some(50), reasoning));
}

#[test]
fn what_a_server_calls_itself_is_kept_and_bounded() {
    let name = |name: &str| format!(r#"{{"choices": [], "system_fingerprint": "{name}"}}"#);
    let mut answer = Answer::new(4, 64, &OPEN);
    answer.read(stream(&[&name(&"x".repeat(5000)), &name("later")]).as_bytes(), &mut Vec::new());
    assert_eq!(answer.fingerprint().map(str::len), Some(FINGERPRINT));
}

#[test]
fn a_usage_in_every_piece_says_how_many_tokens_each_brought() {
    let piece = |so_far| {
        let usage = format!(r#"{{"prompt_tokens": 4, "completion_tokens": {so_far}}}"#);
        format!(r#"{{"choices": [{{"text": "x", "finish_reason": null}}], "usage": {usage}}}"#)
    };
    let mut answer = Answer::new(4, 64, &OPEN);
    let mut counts = Vec::new();
    for so_far in [1, 4, 9] {
        let mut tokens = Vec::new();
        answer.read(stream(&[&piece(so_far)]).as_bytes(), &mut tokens);
        counts.push(tokens.len());
    }
    answer.read(stream(&[LAST, USAGE, "[DONE]"]).as_bytes(), &mut Vec::new());
    assert_eq!((counts, answer.end().tokens), (vec![1, 3, 5], None));
}

#[test]
fn the_usage_tells_of_the_prefix_cache_where_it_does() {
    let usage = r#"{"choices": [], "usage": {"prompt_tokens": 4, "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 3}}}"#;
    let (_, end) = whole(&[IDS, LAST, &usage.replace('\n', ""), "[DONE]"]);
    let server = end.server.expect("it told");
    assert_eq!((server.prefix_queried, server.prefix_hit), (4, 3));
    assert_eq!(whole(&[IDS, LAST, USAGE, "[DONE]"]).1.server, None);
}

#[test]
fn an_answer_is_complete_by_its_reason_or_by_done_and_else_it_is_cut() {
    for (events, outcome) in [
        (&[TEXT, LAST][..], Outcome::Completed),
        (&[TEXT, "[DONE]"][..], Outcome::Completed),
        (&["[DONE]"][..], Outcome::Completed),
        (&[TEXT][..], Outcome::Cut),
        (&[][..], Outcome::Cut),
    ] {
        assert_eq!(whole(events).1.outcome, outcome, "{events:?}");
    }
    let mut answer = Answer::new(4, 64, &OPEN);
    answer.read(stream(&[TEXT, LAST]).as_bytes(), &mut Vec::new());
    assert_eq!(
        answer.broken(Outcome::Cut).outcome,
        Outcome::Completed,
        "the connection was lost behind the last piece"
    );
}

#[test]
fn an_error_in_the_stream_is_the_engines() {
    let secrets = Secrets::new(ApiKey::new("hunter2".to_owned()), Vec::new());
    for (event, why) in [
        (r#"{"error": {"message": "no unit is left", "type": "x", "code": 503}}"#, "engine: no unit is left"),
        (r#"{"error": "hunter2 is broken"}"#, "engine: … is broken"),
        (r#"{"object": "error", "message": "out of memory", "code": 500}"#, "engine: out of memory"),
        (r#"{"choices": [{"text": "", "finish_reason": "abort"}]}"#, "engine: finish_reason abort"),
        (
            r#"{"choices": [{"text": "", "finish_reason": {"type": "abort", "message": "x"}}]}"#,
            "engine: finish_reason abort",
        ),
    ] {
        let mut answer = Answer::new(4, 64, &secrets);
        answer.read(stream(&[TEXT, event, "[DONE]"]).as_bytes(), &mut Vec::new());
        assert_eq!(failure(answer.end()), why);
    }
    let end = read([&b"event: error\ndata: {\"message\": \"oh\"}\n\n"[..]], 64).1;
    assert_eq!(failure(end), "engine: oh");
}

#[test]
fn what_is_no_protocol_is_malformed_and_bounded() {
    for event in
        ["{", "7", r#"{"choices": 3}"#, r#"{"choices": [{"text": 3}]}"#, "oh", r#"{"choices": [{"token_ids": [-1]}]}"#]
    {
        let why = failure(whole(&[event, "[DONE]"]).1);
        assert!(why.starts_with("malformed: an event that is no piece"), "{event}: {why}");
    }
    let secrets = Secrets::new(ApiKey::new("hunter2".to_owned()), Vec::new());
    for wrong in
        [r#"{"choices": "the key hunter2"}"#.to_owned(), format!(r#"{{"choices": "{}"}}"#, "x".repeat(200_000))]
    {
        let mut answer = Answer::new(4, 64, &secrets);
        answer.read(stream(&[&wrong]).as_bytes(), &mut Vec::new());
        let why = failure(answer.end());
        assert!(why.len() < 200 && !why.contains("hunter2"), "{why}");
    }
    let endless = vec![b'x'; 1 << 20];
    assert!(failure(read([endless.as_slice()], 64).1).starts_with("malformed: an event of the stream is longer than"));
    let mut answer = Answer::new(4, 10, &OPEN);
    let mut tokens = Vec::new();
    let text = stream(&[TEXT]);
    let read = (0..1_000_000).take_while(|_| {
        answer.read(text.as_bytes(), &mut tokens);
        !answer.is_over()
    });
    assert_eq!(read.count(), 276, "twice what was asked for, and 256 more");
    assert_eq!(failure(answer.end()), "malformed: the answer goes on beyond 276 tokens");
    let lie = r#"{"choices": [{"text": "x"}], "usage": {"completion_tokens": 4000000000}}"#;
    assert!(whole(&[lie]).0.len() < 1000, "a count alone takes no memory");
    let (_, end) = whole(&[TEXT, LAST, r#"{"choices": [], "usage": {"completion_tokens": 385}}"#, "[DONE]"]);
    assert_eq!(end.tokens, None, "it counts for nothing");
    assert_eq!(failure(end), "malformed: its usage has 385 tokens, more than 384");
}

fn pieces() -> impl Strategy<Value = Vec<String>> {
    let piece = prop_oneof![
        Just(IDS.to_owned()),
        Just(TEXT.to_owned()),
        Just(EMPTY.to_owned()),
        Just(LAST.to_owned()),
        Just(USAGE.to_owned()),
        Just(THOUGHT.to_owned()),
        Just(WORD.to_owned()),
        Just("[DONE]".to_owned()),
        Just(r#"{"error": {"message": "oh"}}"#.to_owned()),
        Just("{".to_owned()),
    ];
    prop::collection::vec(piece, 0..12)
}

proptest! {
    #[test]
    fn any_cutting_gives_the_same_answer(
        pieces in pieces(),
        ends in prop::collection::vec(prop_oneof![Just("\n\n"), Just("\r\n\r\n"), Just("\n: ping\n\n")], 12),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let stream: String = pieces.iter().zip(&ends).flat_map(|(piece, end)| ["data: ", piece.as_ref(), *end]).collect();
        let stream = stream.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let whole = read([stream], 64);
        prop_assert_eq!(&read(cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]), 64), &whole);
        prop_assert_eq!(&read(stream.chunks(1), 64), &whole);
    }

    /// Bytes that begin like an event get further than others.
    #[test]
    fn no_bytes_are_too_strange(chunks in prop::collection::vec(prop_oneof![
        prop::collection::vec(any::<u8>(), 0..60),
        Just(b"data: {\"choices\":[{\"text\":\"".to_vec()),
        Just(b"\"}]}\n\n".to_vec()),
    ], 0..20)) {
        let (tokens, end) = read(chunks.iter().map(Vec::as_slice), 64);
        prop_assert!(tokens.len() <= 20, "at most one of each event");
        prop_assert!(end.outcome != Outcome::Completed, "nothing said so");
    }
}

#[test]
fn who_served_an_answer_of_dynamo_is_told_with_its_own_times() {
    let workers = r#""worker_id":{"prefill_worker_id":12420605765060856883,"decode_worker_id":17282117966043035430}"#;
    let timing = r#""timing":{"request_received_ms":1795975198356,"prefill_wait_time_ms":0.298753,"prefill_time_ms":23.527347,"ttft_ms":23.8261,"total_time_ms":43.443767,"kv_transfer_estimated_latency_ms":7.880239}"#;
    let first =
        format!(r#"{{"id":"cmpl-a97","choices":[{{"text":"Me","index":0}}],"usage":null,"nvext":{{{workers}}}}}"#);
    let last = format!(
        r#"{{"id":"cmpl-a97","choices":[{{"text":"","index":0,"finish_reason":"length"}}],"nvext":{{{workers},{timing}}}}}"#
    );
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":8,"completion_tokens":1,"prompt_tokens_details":{"audio_tokens":null,"cached_tokens":0}}}"#;
    let (tokens, end) = whole(&[&first, &last, usage, "[DONE]"]);
    assert_eq!((end.outcome, tokens.len(), end.tokens), (Outcome::Completed, 1, None));
    let server = end.server.expect("something");
    assert_eq!((server.prefix_queried, server.prefix_hit, server.arrived), (8, 0, None));
    let told = server.told.expect("who");
    let names = [&told.prefill, &told.decode].map(|name| name.as_ref().map(ToString::to_string).unwrap_or_default());
    assert_eq!(names, ["12420605765060856883", "17282117966043035430"]);
    assert_eq!((told.times.ttft, told.times.transfer), (Some(Micros(23_826)), Some(Micros(7_880))));
}

#[test]
fn an_extension_that_is_not_as_known_leaves_the_answer_as_it_is() {
    let piece = r#"{"choices":[{"text":"a"}],"nvext":{"worker_id":{"prefill_worker_id":"p0"}}}"#;
    let (tokens, end) = whole(&[piece, "[DONE]"]);
    assert_eq!((end.outcome, end.server, tokens.len()), (Outcome::Completed, None, 1));
}

#[test]
fn who_served_an_answer_behind_the_router_of_vllm_is_in_its_id() {
    let piece =
        r#"{"id":"cmpl-___prefill_addr_10.0.0.1:8100___decode_addr_10.0.0.2:8200_0af1","choices":[{"text":"a"}]}"#;
    let (_, end) = whole(&[piece, "[DONE]"]);
    let told = end.server.and_then(|server| server.told).expect("who");
    assert_eq!(told.prefill.as_ref().map(ToString::to_string).as_deref(), Some("10.0.0.1:8100"));
    assert_eq!(told.decode.as_ref().map(ToString::to_string).as_deref(), Some("10.0.0.2:8200"));
}
