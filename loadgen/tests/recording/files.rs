//! Names, folders and files that are in the way.

use std::fs;

use loadgen::recording::{Incomplete, Reader, Recorder, WriteError};
use loadgen::time::Micros;

use crate::strategy;

#[test]
fn a_recording_has_its_name_only_when_it_is_finished() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl.zst");
    let partial = folder.path().join("run.jsonl.zst.partial");
    let recorder = strategy::recorder(&path);
    assert!(partial.exists() && !path.exists());
    recorder.finish(&strategy::end()).expect("finished");
    assert!(path.exists() && !partial.exists());
}

#[test]
fn a_recorder_that_is_dropped_leaves_a_readable_partial() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl.zst");
    drop(strategy::recorder(&path));
    let mut reader = Reader::open(&folder.path().join("run.jsonl.zst.partial")).expect("a recording");
    assert_eq!(reader.run().name, "chat");
    assert!(reader.next().is_none());
    assert_eq!(reader.incomplete(), Some(Incomplete::NoEnd));
}

#[test]
fn nothing_is_ever_overwritten() {
    for taken in ["run.jsonl.zst", "run.jsonl.zst.partial"] {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join(taken), "precious").expect("written");
        let refused = Recorder::create(&folder.path().join("run.jsonl.zst"), &strategy::run(), || Micros::ZERO);
        let error = refused.expect_err("a refusal");
        assert!(matches!(&error, WriteError::Exists(path) if path.ends_with(taken)), "{error}");
        assert_eq!(fs::read(folder.path().join(taken)).expect("still there"), b"precious");
    }
}

#[test]
fn a_name_that_was_taken_meanwhile_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl.zst");
    let recorder = strategy::recorder(&path);
    fs::write(&path, "precious").expect("written");
    assert!(matches!(recorder.finish(&strategy::end()), Err(WriteError::Exists(_))));
    assert_eq!(fs::read(&path).expect("still there"), b"precious");
    assert!(folder.path().join("run.jsonl.zst.partial").exists());
}

#[test]
fn a_folder_that_is_missing_is_named_before_any_load() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("missing").join("run.jsonl.zst");
    let error = Recorder::create(&path, &strategy::run(), || Micros::ZERO).expect_err("a refusal").to_string();
    assert!(error.contains("cannot write a recording to") && error.contains("missing"), "{error}");
}
