//! What servers tell of themselves, beside what the client measures: in the recording, on the screen and in the summary.

use std::path::Path;
use std::time::Duration;

use loadgen::live::Command;
use loadgen::metrics::{Counter, Metrics, MetricsAt, SourceAt, Timer, Told};
use loadgen::playback;
use loadgen::recording::{Reader, Record, ServerRecord};
use loadgen::run::{self, RunConfig, RunHandle, RunResult};
use loadgen::target::http::{self, ApiKey, ExtraHeader};

use crate::client::target;
use crate::own::Own;
use crate::pages::{Page, Pages};
use crate::runs::load;
use crate::server::{Server, full};

/// Requests a second.
const RATE: &str = "20";
/// More requests than any of these runs gets to.
const MANY: u64 = 100_000;

fn at(sources: &[String]) -> MetricsAt {
    let sources = sources.iter().map(|source| source.parse::<SourceAt>().expect("a source")).collect();
    MetricsAt { period: Duration::from_millis(50), ..MetricsAt::new(sources) }
}

/// What a recording has of servers, and what its notes say.
fn told(path: &Path) -> (Vec<ServerRecord>, Vec<String>) {
    let (mut servers, mut notes) = (Vec::new(), Vec::new());
    for record in Reader::open(path).expect("a recording") {
        match record.expect("a record") {
            Record::Server(server) => servers.push(*server),
            Record::Note(note) => notes.push(note.text),
            _ => {}
        }
    }
    (servers, notes)
}

fn sum(servers: &[ServerRecord], counter: Counter) -> u64 {
    servers.iter().filter_map(|server| server.sums.count(counter)).sum()
}

/// A run on a server of its own, until so many of the pages have been read, with what is told at `metrics` in its recording.
fn run_until(pages: &Pages, count: usize, metrics: MetricsAt) -> (RunResult, Vec<ServerRecord>, Vec<String>) {
    run_with(metrics, MANY, |handle| {
        pages.wait_read(count);
        handle.commands.try_send(Command::Finish).expect("room");
    })
}

/// A run of so many requests on a server of its own.
fn run_with(
    metrics: MetricsAt,
    requests: u64,
    meanwhile: impl FnOnce(&RunHandle),
) -> (RunResult, Vec<ServerRecord>, Vec<String>) {
    let server = Server::new(full);
    let mut connection = http::open(target(&server.url())).expect("a target");
    connection.metrics = Metrics::open(metrics).expect("a thread");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl.zst");
    let config = RunConfig { load: load(requests, RATE, "16", "4"), connection, record_to: Some(path.clone()) };
    let handle = run::start(config).expect("a run");
    meanwhile(&handle);
    let result = handle.wait().expect("an end");
    let counts = result.summary.requests;
    assert!(result.error.is_none() && counts.completed > 0 && counts.completed == counts.offered, "{result:?}");
    let (servers, notes) = told(&path);
    (result, servers, notes)
}

#[test]
fn our_own_server_tells_the_times_of_every_request_and_the_hand_offs_of_its_units() {
    let own = Own::new("1P1D");
    let mut connection = http::open(target(&own.http())).expect("a target");
    let tried = vec![own.http().parse().expect("an address")];
    connection.metrics = Metrics::open(MetricsAt { tried, ..at(&[]) }).expect("a thread");
    assert!(connection.metrics.is_some(), "it has a page");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl.zst");
    let config =
        RunConfig { load: load(30, "15", "uniform:8..40", "uniform:2..16"), connection, record_to: Some(path.clone()) };
    let handle = run::start(config).expect("a run");
    let snapshots = handle.snapshots.clone();
    let result = handle.wait().expect("an end");
    assert_eq!(result.summary.requests.completed, 30, "{result:?}");

    let (servers, notes) = told(&path);
    assert_eq!(notes.iter().filter(|note| note.contains("tells")).count(), 0, "{notes:?}");
    let whole: Vec<ServerRecord> = servers.iter().filter(|server| server.whole).cloned().collect();
    let taken: u64 = whole.iter().filter_map(|server| Some(server.sums.time(Timer::Prefill)?.taken)).sum();
    assert_eq!(taken, 30, "every request, and none before the run");
    let decode: Vec<ServerRecord> = servers.iter().filter(|server| server.unit == Some(1)).cloned().collect();
    assert!(decode.iter().all(|server| server.role.is_some_and(|role| role.letter() == 'D')), "{decode:?}");
    let handed: u64 = decode.iter().filter_map(|server| Some(server.sums.time(Timer::HandOff)?.taken)).sum();
    assert_eq!(handed, 30, "each prompt was computed elsewhere");
    assert!(sum(&decode, Counter::HandOffBytes) > 0);

    let viewed = playback::open(&path).expect("a recording");
    assert_eq!(result.summary, viewed.summary);
    assert_eq!(snapshots.borrow().servers, viewed.last.servers, "the same on either screen");
    let server = result.summary.server.as_ref().expect("it told");
    assert_eq!((server.failed_scrapes, server.failed_kv_transfers), (0, None));
    let account = server.ttft.as_ref().expect("its queue and its prefill");
    let parts: f64 = account.parts.iter().map(|part| part.ms).sum();
    assert!(parts > 0.0 && (parts + account.rest_ms - account.client_ms).abs() < 1e-6, "{account:?}");
    assert!(account.rest_ms > 0.0, "the way there and back takes its time: {account:?}");
    let text = result.summary.text(None);
    assert!(text.contains("ms for the client: ") && text.contains("  decode     running "), "{text}");
}

#[test]
fn a_target_without_a_page_of_its_own_is_none_the_worse() {
    for page in [|_| Page::Status(404), |_| Page::Text("<html>hello</html>".to_owned()), |_| Page::Close] {
        let pages = Pages::new(page);
        let tried = vec![pages.url().parse().expect("an address")];
        assert!(Metrics::open(MetricsAt { tried, ..at(&[]) }).expect("no error").is_none());
        assert_eq!(pages.heads().len(), 1);
    }
}

/// Counts on, breaks in every way that a server can, and begins anew.
fn moody(before: usize) -> Page {
    let counted = |tokens: u32| Page::Text(format!("vllm:generation_tokens_total{{engine=\"0\"}} {tokens}\n"));
    match before {
        0 => counted(100),
        1 => counted(110),
        2 => Page::Status(500),
        3 => Page::Close,
        4 => Page::Text("oh dear".to_owned()),
        5 => Page::Endless,
        _ => counted(5),
    }
}

#[test]
fn a_page_that_breaks_and_begins_anew_is_said_once_counted_and_ends_nothing() {
    let pages = Pages::new(moody);
    let (result, servers, notes) = run_until(&pages, 7, at(&[format!("decode={}", pages.url())]));
    let said: Vec<&String> = notes.iter().filter(|note| note.contains(&pages.authority())).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].ends_with("tells nothing of itself: it answered 500"), "{said:?}");
    assert!(said[1].ends_with("tells of itself again"), "{said:?}");
    assert_eq!(servers.iter().filter(|server| server.failed).count(), 4);
    assert_eq!(sum(&servers, Counter::Output), 15, "ten more, and five since it began anew");
    let server = result.summary.server.expect("it told");
    assert_eq!((server.failed_scrapes, server.rows.len()), (4, 2), "{:?}", server.rows);
    assert_eq!(server.rows[0].role.as_deref(), Some("decode"), "as it was named");
}

#[test]
fn a_key_is_shown_to_the_target_and_to_nobody_else() {
    let (known, other) = (Pages::new(|_| Page::Text(String::new())), Pages::new(|_| Page::Text(String::new())));
    let key = ApiKey::new("hunter2".to_owned()).expect("a key");
    let headers = vec![ExtraHeader::new("x-tenant", "blue").expect("a header")];
    let told = Told { to: vec![known.url().parse().expect("an address")], key: Some(key), headers };
    let metrics = Metrics::open(MetricsAt { told, ..at(&[known.url(), other.url()]) }).expect("a thread");
    drop(metrics);
    assert!(known.heads()[0].contains("authorization: bearer hunter2") && known.heads()[0].contains("x-tenant: blue"));
    let is_told = |head: &String| head.contains("hunter2") || head.contains("x-tenant");
    assert!(!other.heads().is_empty() && !other.heads().iter().any(is_told));
}

#[test]
fn the_nodes_of_a_ray_cluster_are_found_by_its_file_and_replicas_by_their_deployments() {
    let node = Pages::new(|_| Page::Text(include_str!("../data/metrics/ray-node.txt").to_owned()));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("prom_metrics_service_discovery.json");
    std::fs::write(&file, format!(r#"[{{"labels": {{"job": "ray"}}, "targets": ["{}"]}}]"#, node.authority()))
        .expect("written");
    let (result, servers, _) = run_until(&node, 2, at(&[format!("ray:{}", file.display())]));
    let mut names: Vec<String> = servers.into_iter().map(|server| server.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["Decode:tiny#d5e6f7a8", "Prefill:tiny#p1a2b3c4"]);
    let rows = result.summary.server.expect("they told").rows;
    let of_roles: Vec<_> = rows.iter().filter(|row| row.name.is_none()).map(|row| row.role.as_deref()).collect();
    assert_eq!(of_roles, [Some("prefill"), Some("decode")]);
    assert_eq!(rows[1].running.map(|held| held.max), Some(6.0));
}

#[test]
fn failed_kv_transfers_are_a_finding_of_their_own() {
    let pages = Pages::new(|before| {
        Page::Text(format!("vllm:nixl_num_failed_transfers_total {}\nvllm:num_requests_running 1\n", before.min(3)))
    });
    let (result, _, notes) = run_until(&pages, 4, at(&[pages.url()]));
    let server = result.summary.server.as_ref().expect("it told");
    assert_eq!(server.failed_kv_transfers, Some(3));
    assert!(notes.iter().all(|note| !note.contains("KV transfer")), "what a record tells is no note besides");
    assert!(result.summary.text(None).contains("warning      3 KV transfers failed: "));
}

#[test]
fn a_file_that_is_missing_is_said_once() {
    let (result, servers, notes) = run_with(at(&["ray:/nowhere/at/all.json".to_owned()]), 10, |_| {});
    assert_eq!((servers.len(), result.summary.server), (0, None));
    let said: Vec<&String> = notes.iter().filter(|note| note.contains("/nowhere/at/all.json cannot be read")).collect();
    assert_eq!(said.len(), 1, "{notes:?}");
}
