//! Reading yields what was written.

use std::io::Read;

use loadgen::recording::{Reader, Record};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::strategy;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn reading_yields_what_was_written(records in vec(strategy::record(), 0..40)) {
        let (_folder, path) = strategy::written(&records);
        let mut reader = Reader::open(&path).expect("a recording");
        prop_assert_eq!(reader.run(), &strategy::run());
        let read: Vec<Record> = reader.by_ref().map(|record| record.expect("a record")).collect();
        prop_assert_eq!(read, records);
        prop_assert_eq!(reader.end(), Some(&strategy::end()));
        prop_assert_eq!((reader.incomplete(), reader.unknown()), (None, 0));
    }

    #[test]
    fn every_line_is_an_object_with_its_kind(records in vec(strategy::record(), 0..20)) {
        let (_folder, path) = strategy::written(&records);
        let mut text = String::new();
        let file = std::fs::File::open(&path).expect("the file");
        zstd::stream::read::Decoder::new(file).and_then(|mut d| d.read_to_string(&mut text)).expect("plain zstd reads it");
        let kinds: Vec<String> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["k"].as_str().expect("k").to_owned())
            .collect();
        prop_assert_eq!(kinds.len(), records.len() + 2);
        prop_assert_eq!((kinds.first().map(String::as_str), kinds.last().map(String::as_str)), (Some("run"), Some("end")));
    }
}

#[test]
fn a_long_recording_has_many_frames_of_bounded_size() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let strategy = vec(strategy::record(), 4000);
    let records = strategy.new_tree(&mut runner).expect("records").current();
    let (_folder, path) = strategy::written(&records);
    let bytes = std::fs::read(&path).expect("the file");
    let mut rest = bytes.as_slice();
    let mut frames = 0;
    while !rest.is_empty() {
        let length = zstd::zstd_safe::find_frame_compressed_size(rest).expect("a whole frame");
        let frame = zstd::decode_all(&rest[..length]).expect("an independent frame");
        assert!(frame.len() <= 256 << 10 && frame.ends_with(b"\n"), "whole lines only");
        rest = &rest[length..];
        frames += 1;
    }
    assert!(frames > 1);
    assert_eq!(Reader::open(&path).expect("a recording").map_while(Result::ok).collect::<Vec<_>>(), records);
}
