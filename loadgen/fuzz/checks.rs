//! What each fuzz target does with its bytes. The targets call these functions, and so does `tests/fuzz_corpus.rs`, which
//! puts the corpus through them with every other test.

use std::fmt::{Debug, Display};
use std::path::Path;
use std::str::FromStr;

use engine::units::Split;
use loadgen::arrival::{Arrival, RatePlan};
use loadgen::metrics::{Sources, samples};
use loadgen::playback;
use loadgen::profile::Kind;
use loadgen::recording::Reader;
use loadgen::sample::Outcome;
use loadgen::schedule::ShiftScript;
use loadgen::slo::Slo;
use loadgen::sse::Framer;
use loadgen::summary::Accumulator;
use loadgen::target::http::read_answer;
use loadgen::text::parse_duration;
use loadgen::trace::{ReadOptions, Trace, TraceFormat};
use loadgen::workload::{Lengths, Limits};

const RUN: &[u8] = br#"{"k":"run","schema":1,"name":"","started":"","seed":0,"target":"","slo":{"ttft_us":400000,"itl_p99_us":5},"warmup_us":9,"load":null,"engine":null,"versions":{}}
"#;

/// Any bytes read as a recording end in records, an error or "incomplete": never in a panic or without end.
///
/// They are tried as a file and, because no fuzzer finds its way through a compressor, as the lines of one.
pub fn recording(bytes: &[u8]) {
    read(bytes);
    if let Ok(frame) = zstd::bulk::compress(&[RUN, bytes].concat(), 1) {
        read(&frame);
        // A recording is a trace as well.
        trace(&frame);
    }
}

fn read(file: &[u8]) {
    view(file);
    let Ok(mut reader) = Reader::new(Path::new("fuzz"), file) else { return };
    let mut accumulator = Accumulator::new(reader.run());
    for record in reader.by_ref() {
        match record {
            Ok(record) => accumulator.record(&record),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
    let summary = accumulator.finish(reader.end(), None);
    assert!(!summary.text(None).is_empty());
}

/// Opened to be looked at, it is a history that counts every request once, with texts that have an end.
fn view(file: &[u8]) {
    let path = Path::new("fuzz");
    let Ok(playback) = Reader::new(path, file).and_then(|reader| playback::read(reader, path)) else { return };
    let last = &playback.last;
    assert_eq!(last.counts.offered, playback.summary.requests.offered);
    let ended: u64 = last.history.iter().map(|slot| u64::from(slot.completed) + u64::from(slot.errors)).sum();
    assert!(ended <= last.counts.offered);
    for then in last.history.iter().filter_map(|slot| slot.then.as_deref()).chain([&**last]) {
        let error = then.outage.as_ref().map_or(0, |outage| outage.error.len());
        assert!(then.workload.len() + then.target.len() + error < 16_384 && then.shifts.len() < 100);
    }
    assert!(last.events.len() < 1_000 && last.events.iter().all(|event| event.text.len() < 8_192));
}

/// Any bytes read as a trace are requests in order that the target can serve, or an error that says where.
pub fn trace(bytes: &[u8]) {
    let limits = Limits { context_tokens: 4_096, kv_tokens: 32_768 };
    for format in [TraceFormat::Auto, TraceFormat::Azure, TraceFormat::Mooncake, TraceFormat::Pdtune] {
        for clamp in [false, true] {
            let options = ReadOptions { format, limit: Some(10_000), limits, clamp };
            match Trace::read(Path::new("fuzz"), bytes, options) {
                Ok(trace) => {
                    assert!(!trace.is_empty() && (clamp || trace.clamped() == 0));
                    let requests = (0..trace.len()).filter_map(|index| trace.request(index));
                    let mut before = None;
                    for request in requests {
                        assert!(before <= Some(request.at));
                        before = Some(request.at);
                        assert!(limits.fit(request.input_tokens, request.output_tokens));
                        let tokens: u64 = request.segments.iter().map(|segment| u64::from(segment.1)).sum();
                        assert_eq!(tokens, u64::from(request.input_tokens));
                    }
                }
                Err(error) => assert!(!error.to_string().is_empty()),
            }
        }
    }
}

/// Any text read as a profile is one, or is refused with its line.
pub fn profile(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for kind in Kind::ALL {
        if let Err((line, why)) = kind.check(&text) {
            assert!(line <= text.matches('\n').count() + 1 && !why.is_empty(), "{line}: {why}");
        }
    }
}

/// A stream of events means the same however the network has cut it, and never grows beyond its limit.
pub fn sse(bytes: &[u8]) {
    // The first byte says how long the pieces are.
    let Some((&length, stream)) = bytes.split_first() else { return };
    let events = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut framer = Framer::new(1 << 16);
        let mut events: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for piece in pieces {
            if framer.push(piece, |event| events.push((event.kind.to_vec(), event.data.to_vec()))).is_err() {
                return None;
            }
        }
        framer.finish(|event| events.push((event.kind.to_vec(), event.data.to_vec())));
        Some(events)
    };
    let whole = events(&mut std::iter::once(stream));
    let cut = events(&mut stream.chunks(usize::from(length).max(1)));
    // A long stream may be over the limit as one piece and not as several.
    if stream.len() <= 1 << 16 {
        assert_eq!(whole, cut);
    }
}

/// A streamed answer means the same however the network has cut it, has no more tokens than an answer may have, and ends in some
/// way.
pub fn answer(bytes: &[u8]) {
    // The first byte says how long the pieces are.
    let Some((&length, stream)) = bytes.split_first() else { return };
    let asked = 8;
    let whole = read_answer([stream], asked);
    let (tokens, outcome, account) = &whole;
    // A single event may tell of more before it is found to be too much: an id takes two bytes at least.
    assert!(tokens.len() <= 1_000 + stream.len() / 2, "{} tokens", tokens.len());
    if let Outcome::Failed(failure) = outcome {
        assert!(failure.message.len() < 1_000, "{}", failure.message);
    }
    assert!(account.reasoning.is_none_or(|reasoning| reasoning.tokens <= 1_000 + stream.len() as u32));
    // A long stream may be over the limit as one piece and not as several.
    if stream.len() <= 1 << 16 {
        assert_eq!(read_answer(stream.chunks(usize::from(length).max(1)), asked), whole);
    }
}

/// Any bytes read as a page of metrics are samples with names and labels, or no page.
pub fn metrics(bytes: &[u8]) {
    let Ok(samples) = samples(bytes) else { return };
    for sample in samples {
        assert!(!sample.name.is_empty() && !sample.name.contains(['{', '}', ' ']));
        for (name, value) in sample.labels() {
            assert!(!name.is_empty() && value.len() <= bytes.len());
            assert!(sample.label(name).is_some());
        }
    }
}

/// What is read from the command line is refused, or printed as something that reads as the same.
pub fn texts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for line in text.lines() {
        again::<Slo>(line);
        again::<RatePlan>(line);
        again::<Lengths>(line);
        again::<Arrival>(line);
        again::<ShiftScript>(line);
        again::<Split>(line);
        again::<Sources>(line);
        if let Err(error) = parse_duration(line) {
            assert!(!error.to_string().is_empty());
        }
    }
}

fn again<T: FromStr<Err: Display + Debug> + Display + Debug + PartialEq>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => match value.to_string().parse::<T>() {
            Ok(same) => assert_eq!(same, value, "{text}"),
            Err(error) => panic!("{text} prints as {value}, which is refused: {error}"),
        },
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
