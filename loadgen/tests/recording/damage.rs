//! What is torn off, damaged or from the future.

use std::path::Path;

use loadgen::recording::{Incomplete, ReadError, Reader, Record};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::strategy;

fn reader(bytes: &[u8]) -> Result<Reader<'_>, ReadError> {
    Reader::new(Path::new("run.jsonl.zst"), bytes)
}

/// Frames of the given lines.
fn frames(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| zstd::encode_all(line.as_bytes(), 1).expect("a frame")).collect()
}

const RUN: &str = r#"{"k":"run","schema":1,"name":"n","started":"s","seed":7,"target":"cpu","slo":null,"warmup_us":0,"load":{},"engine":{},"versions":{}}
"#;
const RATE: &str = r#"{"k":"rate","at":5,"state":"loading","rps":4.0}
"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_recording_torn_at_any_byte_yields_a_prefix_and_says_incomplete(
        records in vec(strategy::record(), 0..30),
        cut: Index,
    ) {
        let (_folder, path) = strategy::written(&records);
        let bytes = std::fs::read(&path).expect("the file");
        let torn = &bytes[..cut.index(bytes.len())];
        match reader(torn) {
            Err(error) => prop_assert!(error.to_string().contains("it holds no whole record"), "{}", error),
            Ok(mut reader) => {
                let read: Vec<Record> = reader.by_ref().map(|record| record.expect("no error")).collect();
                prop_assert!(records.starts_with(&read));
                prop_assert!(reader.incomplete().is_some());
                prop_assert_eq!(reader.end(), None);
            }
        }
    }

    #[test]
    fn damaged_bytes_never_panic_and_never_invent_records(
        records in vec(strategy::record(), 1..30),
        place: Index,
        flip in 1_u8..,
    ) {
        let (_folder, path) = strategy::written(&records);
        let mut bytes = std::fs::read(&path).expect("the file");
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        if let Ok(mut reader) = reader(&bytes) {
            let whole = reader.by_ref().all(|record| record.is_ok());
            // Some bits of a frame's header say nothing about its content; everything else is under the checksum.
            if whole && reader.end().is_some() {
                let read: Vec<Record> = self::reader(&bytes).expect("as before").map_while(Result::ok).collect();
                prop_assert_eq!(read, records);
            }
        }
    }

    #[test]
    fn arbitrary_lines_never_panic(lines in vec(".{0,60}", 0..5)) {
        let text = format!("{RUN}{}\n", lines.join("\n"));
        let bytes = frames(&[&text]);
        let errors = reader(&bytes).expect("a run record").filter(Result::is_err).count();
        prop_assert!(errors <= 1, "reading stops at the first error");
    }
}

/// The seeds of the fuzz target, tried as files and as the lines of one, as it does.
#[test]
fn the_corpus_of_the_fuzzer_never_panics() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/recording");
    let mut records = 0;
    for seed in std::fs::read_dir(folder).expect("the corpus") {
        let seed = std::fs::read(seed.expect("a file").path()).expect("a seed");
        let wrapped = zstd::encode_all(&*[RUN.as_bytes(), &seed].concat(), 1).expect("a frame");
        for file in [&seed, &wrapped] {
            records += reader(file).into_iter().flatten().flatten().count();
        }
    }
    assert!(records > 0, "some seeds hold records");
}

#[test]
fn a_file_that_stops_after_a_whole_frame_has_no_end() {
    let bytes = frames(&[RUN, RATE]);
    let mut reader = reader(&bytes).expect("a recording");
    assert_eq!(reader.by_ref().filter_map(Result::ok).count(), 1);
    assert_eq!(reader.incomplete(), Some(Incomplete::NoEnd));
}

#[test]
fn a_file_that_stops_inside_a_frame_is_torn() {
    let bytes = frames(&[RUN, RATE]);
    let mut reader = reader(&bytes[..bytes.len() - 3]).expect("a recording");
    assert!(reader.by_ref().all(|record| record.is_ok()));
    assert_eq!(reader.incomplete(), Some(Incomplete::Torn));
}

#[test]
fn kinds_from_the_future_are_skipped_and_counted() {
    let bytes = frames(&[RUN, "{\"k\":\"weather\",\"at\":3}\n", RATE]);
    let mut reader = reader(&bytes).expect("a recording");
    assert_eq!(reader.by_ref().filter_map(Result::ok).count(), 1);
    assert_eq!(reader.unknown(), 1);
}

#[test]
fn what_is_wrong_is_named_with_the_number_of_its_record() {
    for (lines, message) in [
        (vec![RUN, "nonsense\n"], "run.jsonl.zst, record 2: expected ident at line 1 column 2"),
        (vec![RUN, RATE, "{\"at\":3}\n"], "run.jsonl.zst, record 3: missing field `k`"),
        (vec![RUN, "{\"k\":\"rate\",\"at\":-1}\n"], "run.jsonl.zst, record 2: invalid value: integer `-1`"),
        (vec![RUN, RUN], "run.jsonl.zst, record 2: a second run record"),
        (
            vec![RUN, "{\"k\":\"shift\",\"at\":1,\"from\":\"2P2D\",\"to\":\"4P\",\"how\":\"drain\"}\n"],
            "run.jsonl.zst, record 2: split 4P0D has no unit that can decode",
        ),
        (
            vec![
                RUN,
                "{\"k\":\"end\",\"at\":1,\"schedule_end\":1,\"requests\":{\"offered\":0,\"sent\":0,\"completed\":0,\"failed\":0,\"cut\":0,\"shed\":0,\"cancelled\":0,\"clamped\":0},\"client\":{\"cpu_us\":0,\"cores\":1,\"rss_bytes\":1,\"dropped\":0}}\n",
                RATE,
            ],
            "run.jsonl.zst, record 3: it stands after the end record",
        ),
    ] {
        let bytes = frames(&lines);
        let error = reader(&bytes).expect("a run record").find_map(Result::err).expect("an error").to_string();
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn what_is_not_a_recording_is_refused() {
    for (bytes, message) in [
        (Vec::new(), "it holds no whole record"),
        (b"{\"k\":\"run\",\"schema\":1}\n".to_vec(), "cannot be decompressed"),
        (frames(&[RATE]), "not a run record with a schema"),
        (frames(&["{\"k\":\"run\",\"schema\":1}\n"]), "its run record is malformed: missing field `name`"),
        (frames(&["text\n"]), "its first record is malformed"),
    ] {
        let error = reader(&bytes).expect_err(message).to_string();
        assert!(error.contains("run.jsonl.zst is not a recording") && error.contains(message), "{error}");
    }
}

#[test]
fn an_unknown_schema_is_refused_with_what_is_supported() {
    let bytes = frames(&["{\"k\":\"run\",\"schema\":2,\"anything\":[]}\n"]);
    let error = reader(&bytes).expect_err("a refusal").to_string();
    assert_eq!(error, "run.jsonl.zst has schema 2, this version reads schema 1");
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let endless = "x".repeat(17 << 20);
    let bytes = frames(&[RUN, &endless]);
    let error = reader(&bytes).expect("a run record").find_map(Result::err).expect("an error").to_string();
    assert!(error.ends_with("record 2: it is longer than 16 MiB"), "{error}");
}
