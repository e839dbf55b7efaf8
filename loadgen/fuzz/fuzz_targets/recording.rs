//! Any bytes read as a recording end in records, an error or "incomplete": never in a panic or without end.
//!
//! The bytes are tried as a file and, because no fuzzer finds its way through a compressor, as the lines of one.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use loadgen::recording::Reader;
use loadgen::summary::Accumulator;

const RUN: &[u8] = br#"{"k":"run","schema":1,"name":"","started":"","seed":0,"target":"","slo":{"ttft_us":400000,"itl_p99_us":5},"warmup_us":9,"load":null,"engine":null,"versions":{}}
"#;

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    if let Ok(frame) = zstd::bulk::compress(&[RUN, bytes].concat(), 1) {
        read(&frame);
    }
});

fn read(file: &[u8]) {
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
