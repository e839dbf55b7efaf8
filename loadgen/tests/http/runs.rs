//! Whole runs against a server.

use std::collections::BTreeMap;
use std::path::Path;

use loadgen::arrival::RatePlan;
use loadgen::live::Slot;
use loadgen::playback;
use loadgen::recording::{Reader, Record};
use loadgen::run::{self, RunConfig, RunResult};
use loadgen::sample::{Outcome, Sample};
use loadgen::schedule::{LoadSpec, Traffic};
use loadgen::target::{Connection, http};
use loadgen::time::Micros;

use crate::client::target;
use crate::server::{Act, Asked, END, EVENTS, Server, event, full};

pub(crate) fn load(requests: u64, rate: &str, isl: &str, osl: &str) -> LoadSpec {
    let traffic = Traffic::Synthetic {
        arrival: "poisson".parse().expect("an arrival"),
        rate: RatePlan::parse_rate(rate).expect("a rate"),
        isl: isl.parse().expect("lengths"),
        osl: osl.parse().expect("lengths"),
    };
    LoadSpec { requests: Some(requests), ..LoadSpec::new("http", traffic) }
}

/// Runs the load and reads what was recorded of each request.
pub(crate) fn recorded(connection: Connection, load: LoadSpec) -> (RunResult, BTreeMap<u64, Sample>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl.zst");
    let handle = run::start(RunConfig { load, connection, record_to: Some(path.clone()) }).expect("a run");
    let result = handle.wait().expect("an end");
    assert!(result.error.is_none(), "{result:?}");
    (result, samples(&path))
}

fn samples(path: &Path) -> BTreeMap<u64, Sample> {
    let mut reader = Reader::open(path).expect("a recording");
    let mut samples = BTreeMap::new();
    while let Some(record) = reader.next().transpose().expect("a record") {
        if let Record::Req(sample) = record {
            samples.insert(sample.index, *sample);
        }
    }
    samples
}

#[test]
fn every_request_is_sent_answered_and_measured() {
    let server = Server::new(full);
    let connection = http::open(target(&server.url())).expect("a target");
    let (result, samples) = recorded(connection, load(300, "1000", "16", "uniform:1..8"));
    let requests = result.summary.requests;
    assert_eq!((requests.offered, requests.sent, requests.completed), (300, 300, 300));
    assert_eq!(samples.len(), 300);
    for sample in samples.values() {
        let (sent, first) = (sample.sent.expect("it was sent"), sample.first.expect("it was answered"));
        assert!(sample.due <= sent && sent <= first, "{sample:?}");
        assert_eq!(sample.output_tokens, sample.output_asked);
        let arrived = sample.first_tokens + sample.gaps.iter().map(|gap| gap.tokens).sum::<u32>();
        assert_eq!(arrived, sample.output_tokens);
        assert_eq!((sample.logits_hash, sample.server.as_ref()), (None, None), "nobody told");
    }
}

#[test]
fn a_server_that_fails_some_and_dies_on_others_leaves_the_rest_alone() {
    let server = Server::new(|asked| match asked.index % 4 {
        0 => vec![Act::Close],
        1 => vec![Act::Send(crate::server::status(500, "text/plain", "oh").into_bytes())],
        _ => full(asked),
    });
    let connection = http::open(target(&server.url())).expect("a target");
    let (result, samples) = recorded(connection, load(200, "1000", "16", "4"));
    let requests = result.summary.requests;
    assert_eq!((requests.offered, requests.completed, requests.cut, requests.failed), (200, 100, 50, 50));
    for (index, sample) in samples {
        assert_eq!(sample.outcome == Outcome::Completed, index % 4 > 1, "{sample:?}");
    }
}

/// Four tokens in a piece, without their ids; how many there were stands in a usage at the end.
fn bundled(asked: &Asked) -> Vec<Act> {
    let count = asked.body["max_tokens"].as_u64().expect("a number");
    let text = event(r#"{"choices": [{"text": "four of them", "finish_reason": null}]}"#).repeat(count as usize / 4);
    let last = event(r#"{"choices": [{"text": "", "finish_reason": "length"}]}"#);
    let usage = event(&format!(r#"{{"choices": [], "usage": {{"prompt_tokens": 8, "completion_tokens": {count}}}}}"#));
    vec![Act::Send([EVENTS, &text, &last, &usage, &event("[DONE]"), END].concat().into_bytes())]
}

#[test]
fn tokens_that_only_the_usage_at_the_end_tells_of_are_counted_live_and_in_the_recording_alike() {
    let server = Server::new(bundled);
    let connection = http::open(target(&server.url())).expect("a target");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl.zst");
    let load = LoadSpec { duration: Some(Micros(2_000_000)), ..load(60, "50", "8", "40") };
    let handle = run::start(RunConfig { load, connection, record_to: Some(path.clone()) }).expect("a run");
    let snapshots = handle.snapshots.clone();
    let result = handle.wait().expect("an end");
    for sample in samples(&path).values() {
        assert_eq!((sample.output_tokens, sample.untold_tokens()), (40, 30), "{sample:?}");
    }
    let (live, viewed) = (snapshots.borrow().clone(), playback::open(&path).expect("a recording"));
    let tokens = |history: &[Slot]| -> Vec<u64> { history.iter().map(|slot| slot.output_tokens).collect() };
    assert_eq!(tokens(&live.history), tokens(&viewed.last.history));
    assert_eq!(result.summary, viewed.summary);
    let (offered, output) = (viewed.summary.offered_rps.expect("a rate"), viewed.summary.output_tps.expect("a rate"));
    // What came behind the window's end is not in it.
    assert!(output <= 40.0 * offered && output > 38.0 * offered, "{output} tokens/s at {offered} requests/s");
}
