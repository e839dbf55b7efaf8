//! The corpus of the fuzz targets goes through the functions that the targets call: whole, and cut off at every byte of its
//! beginning. So neither the targets nor their corpus can rot where nobody fuzzes.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../fuzz/checks.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets are programs of their own")]
#[expect(clippy::panic, reason = "a check that fails is found by its panic")]
mod checks;

/// Of every file, so many beginnings are tried.
const BEGINNINGS: usize = 512;

type Check = fn(&[u8]);

const CHECKS: [(&str, Check); 7] = [
    ("answer", checks::answer),
    ("recording", checks::recording),
    ("trace", checks::trace),
    ("profile", checks::profile),
    ("sse", checks::sse),
    ("metrics", checks::metrics),
    ("texts", checks::texts),
];

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

#[test]
fn every_file_of_the_corpus_and_every_beginning_of_it_passes_its_check() {
    for (name, check) in CHECKS {
        let folder = fuzz().join("corpus").join(name);
        let files = names(&folder);
        assert!(files.len() >= 2, "{name} has hardly a corpus: {files:?}");
        for file in files {
            let bytes = fs::read(folder.join(&file)).expect("a file");
            check(&bytes);
            for end in 0..bytes.len().min(BEGINNINGS) {
                check(&bytes[..end]);
            }
        }
    }
}

#[test]
fn every_check_is_a_fuzz_target_with_a_corpus_and_nothing_else_is() {
    let mut checks: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
    checks.sort_unstable();
    assert_eq!(names(&fuzz().join("corpus")), checks);
    let targets: Vec<String> = checks.iter().map(|name| format!("{name}.rs")).collect();
    assert_eq!(names(&fuzz().join("fuzz_targets")), targets);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).expect("a manifest");
    for name in checks {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{name} is not in the manifest");
        let target = fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).expect("a target");
        assert!(target.contains(&format!("fuzz_target!(|bytes: &[u8]| checks::{name}(bytes));")), "{target}");
    }
}
