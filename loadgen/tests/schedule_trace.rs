//! Traces: what is read, what is refused with its line, and how a trace becomes a schedule.
#![expect(clippy::expect_used, reason = "a helper of a test may fail it")]

use std::fs;
use std::path::{Path, PathBuf};

use loadgen::schedule::{LoadSpec, Schedule, Segment, Traffic};
use loadgen::time::Micros;
use loadgen::trace::{ReadOptions, Trace, TraceFormat};
use loadgen::workload::Limits;

const SMALL: Limits = Limits { context_tokens: 4_096, kv_tokens: 32_768 };
const LARGE: Limits = Limits { context_tokens: 1 << 20, kv_tokens: 1 << 20 };
const HEADER: &str = "TIMESTAMP,ContextTokens,GeneratedTokens\n";

fn file(text: impl AsRef<[u8]>) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), text).expect("written");
    file
}

fn options(limits: Limits) -> ReadOptions {
    ReadOptions { format: TraceFormat::Auto, limit: None, limits, clamp: false }
}

/// The message of the refusal without the name of the file.
fn refusal(text: impl AsRef<[u8]>, options: ReadOptions) -> String {
    let file = file(text);
    let message = Trace::open(file.path(), options).expect_err("refused").to_string();
    let name = format!("trace {} ", file.path().display());
    message.strip_prefix(&name).expect("the file is named").to_owned()
}

fn spec(path: &Path, speed: f64) -> LoadSpec {
    let traffic = Traffic::Trace { path: path.to_owned(), format: TraceFormat::Auto, speed, limit: None };
    LoadSpec::new("trace", traffic)
}

#[test]
fn azure_rows_are_read_over_midnight_and_with_any_line_end() {
    let text = format!("\u{feff}{HEADER}2023-11-16 23:59:59.9000000,374,44\r\n\n2023-11-17 00:00:00.1500000,396,109");
    let file = file(text);
    let trace = Trace::open(file.path(), options(SMALL)).expect("a trace");
    assert_eq!((trace.format(), trace.len(), trace.span()), (TraceFormat::Azure, 2, Micros(250_000)));
    let second = trace.request(1).expect("a second request");
    assert_eq!((second.at, second.input_tokens, second.output_tokens), (Micros(250_000), 396, 109));
    assert_eq!(second.segments, [Segment(1, 396)]);
    assert!((trace.mean_rate() - 4.0).abs() < 1e-9);
}

#[test]
fn equal_hashes_are_shared_segments_and_the_last_is_partial() {
    let text = r#"{"timestamp": 0, "input_length": 1100, "output_length": 5, "hash_ids": [0, 1, 2]}
{"timestamp": 1500, "input_length": 1024, "output_length": 9, "hash_ids": [0, 7]}
"#;
    let file = file(text);
    let trace = Trace::open(file.path(), options(SMALL)).expect("a trace");
    assert_eq!((trace.format(), trace.len()), (TraceFormat::Mooncake, 2));
    let segments = |i| trace.request(i).expect("a request").segments;
    assert_eq!(segments(0), [Segment(0, 512), Segment(1, 512), Segment(2, 76)]);
    assert_eq!(segments(1), [Segment(0, 512), Segment(7, 512)]);
    assert_eq!(trace.request(2), None);
}

#[test]
fn a_broken_line_is_refused_with_its_number_and_what_was_found() {
    let azure = |rows: &str| refusal(format!("{HEADER}{rows}"), options(SMALL));
    let good = "2023-11-16 18:15:46.68,374,44\n";
    assert_eq!(
        azure(&format!("{good}2023-11-16 18:15:47,x,44")),
        "line 3: ContextTokens is `x`, expected a whole number"
    );
    assert_eq!(
        azure("2023-11-16 18:15:47,374"),
        "line 2: found `2023-11-16 18:15:47,374`, expected three fields TIMESTAMP,ContextTokens,GeneratedTokens"
    );
    assert_eq!(
        azure("yesterday,374,44"),
        "line 2: TIMESTAMP is `yesterday`, expected YYYY-MM-DD HH:MM:SS with up to 9 decimals"
    );
    assert_eq!(azure("2023-11-16 18:15:46,374,0"), "line 2: 374 tokens in and 0 out; both are at least 1");
    assert_eq!(
        azure(&format!("{good}2023-11-16 18:15:46.67,1,1")),
        "line 3: earlier than the row before; sort the trace by time"
    );
    let mooncake = |text: &str| refusal(text, options(SMALL));
    let row = r#"{"timestamp": 0, "input_length": 5, "output_length": 5, "hash_ids": [0]}"#;
    assert_eq!(
        mooncake(&format!("{row}\n{}", &row[..40])),
        format!("line 2: column 40: EOF while parsing a string, found `{}`", &row[..40])
    );
    assert!(
        mooncake(&row.replace("hash_ids", "hashes"))
            .contains("unknown field `hashes`, expected one of `timestamp`, `input_length`")
    );
    assert_eq!(
        mooncake(&row.replace("[0]", "[0, 1]")),
        "line 1: 2 hash_ids for 5 tokens, expected 1: one for each 512 tokens begun"
    );
    assert!(
        mooncake(&row.replace("\"timestamp\": 0", "\"timestamp\": -1"))
            .starts_with("line 1: column 16: invalid value: integer `-1`, expected u64")
    );
}

#[test]
fn what_is_no_trace_is_refused() {
    assert_eq!(
        refusal("hello\n", options(SMALL)),
        "line 1: found `hello`, which starts no known format: azure begins with TIMESTAMP,ContextTokens,GeneratedTokens, mooncake with {, a recording is compressed"
    );
    assert_eq!(refusal(b"TIME\xff\n", options(SMALL)), "line 1: not UTF-8 from byte 5");
    assert_eq!(refusal("", options(SMALL)), "has no request");
    assert_eq!(refusal(HEADER, options(SMALL)), "has no request");
    assert_eq!(refusal(vec![b'{'; (1 << 20) + 9], options(SMALL)), "line 1: longer than 1048576 bytes");
    let named = ReadOptions { format: TraceFormat::Azure, ..options(SMALL) };
    assert_eq!(refusal("{}", named), "line 1: found `{}`, expected the header TIMESTAMP,ContextTokens,GeneratedTokens");
    let missing = Trace::open(Path::new("no/such/file"), options(SMALL)).expect_err("missing").to_string();
    assert_eq!(missing, "cannot read trace no/such/file");
}

#[test]
fn rows_beyond_the_limits_are_refused_or_cut_at_the_tail_and_counted() {
    let text = r#"{"timestamp": 0, "input_length": 4000, "output_length": 96, "hash_ids": [0,1,2,3,4,5,6,7]}
{"timestamp": 1, "input_length": 4608, "output_length": 1000, "hash_ids": [0,1,2,3,4,5,6,7,8]}
"#;
    assert_eq!(
        refusal(text, options(SMALL)),
        "line 2: 4608 tokens in and 1000 out are beyond the 4096 a request may have; cut such rows with --clamp"
    );
    let file = file(text);
    let trace = Trace::open(file.path(), ReadOptions { clamp: true, ..options(SMALL) }).expect("cut");
    assert_eq!(trace.clamped(), 1);
    let cut = trace.request(1).expect("a request");
    assert_eq!((cut.input_tokens, cut.output_tokens, cut.clamped), (3_096, 1_000, true));
    assert_eq!(cut.segments.len(), 7);
    assert_eq!(cut.segments.last(), Some(&Segment(6, 24)));
    let first = Trace::open(file.path(), ReadOptions { limit: Some(1), ..options(SMALL) }).expect("the first row only");
    assert_eq!(first.len(), 1);
}

#[test]
fn a_schedule_replays_a_trace_at_its_speed_and_keeps_its_pattern_when_the_rate_is_set() {
    let text = format!("{HEADER}2023-11-16 10:00:00,10,1\n2023-11-16 10:00:01,20,1\n2023-11-16 10:00:04,30,1\n");
    let file = file(text);
    let dues = |schedule: Schedule| schedule.map(|planned| planned.due.0).collect::<Vec<_>>();
    let schedule = |speed| Schedule::new(&spec(file.path(), speed), SMALL).expect("a schedule");
    assert_eq!(dues(schedule(1.0)), [0, 1_000_000, 4_000_000]);
    assert_eq!(dues(schedule(4.0)), [0, 250_000, 1_000_000]);
    let mut changed = schedule(1.0);
    assert!((changed.rate().at(Micros::ZERO) - 0.5).abs() < 1e-9, "two gaps in four seconds");
    changed.set_rate(Micros(2_000_000), 1.0).expect("a rate");
    assert_eq!(changed.by_ref().map(|planned| planned.due.0).collect::<Vec<_>>(), [0, 1_000_000, 3_000_000]);
    assert!(changed.is_over(Micros::ZERO));
}

/// Development data that lies beside the project and is not part of it.
#[expect(clippy::print_stdout, reason = "a skipped test says so")]
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

#[test]
fn the_public_azure_traces_are_read_whole() {
    for (name, rows, span_s) in
        [("AzureLLMInferenceTrace_code.csv", 8_819, 3_435.9), ("AzureLLMInferenceTrace_conv.csv", 19_366, 3_501.7)]
    {
        let Some(path) = shared(name) else { return };
        let trace = Trace::open(&path, options(LARGE)).expect(name);
        assert_eq!((trace.len(), trace.format()), (rows, TraceFormat::Azure));
        assert!((trace.span().as_secs_f64() - span_s).abs() < 0.1, "{}", trace.span().as_secs_f64());
        let clamped = Trace::open(&path, ReadOptions { clamp: true, ..options(SMALL) }).expect(name);
        assert!(clamped.clamped() > 0);
        let requests: Vec<_> = Schedule::new(&spec(&path, 10.0), LARGE).expect(name).collect();
        assert_eq!(requests.len(), rows);
        assert!(requests.windows(2).all(|w| w[0].due <= w[1].due));
    }
}

#[test]
fn the_public_mooncake_trace_shares_its_first_block() {
    let Some(path) = shared("mooncake_conversation_trace.jsonl") else { return };
    let requests: Vec<_> = Schedule::new(&spec(&path, 1.0), LARGE).expect("a schedule").collect();
    assert_eq!(requests.len(), 12_031);
    assert_eq!(requests.iter().map(|r| r.request.input_tokens).max(), Some(126_195));
    assert!(requests.iter().all(|r| r.request.segments[0].0 == 0), "every prompt begins with block 0");
    assert!(requests.iter().all(|r| r.request.segments.iter().map(|s| s.1).sum::<u32>() == r.request.input_tokens));
}
