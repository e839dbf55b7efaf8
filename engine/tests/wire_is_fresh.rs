//! The committed code is what the proto files say: compiled anew, it is the same to the byte.
//!
//! `PDTUNE_WIRE=write cargo test --workspace --test wire_is_fresh` writes it anew after a proto file has changed, and before the
//! code that uses it does: the test is built with the engine.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

const PROTOS: [&str; 2] = ["pdtune/v1/control.proto", "pdtune/v1/generation.proto"];
const GENERATED: &str = "pdtune.v1.rs";

/// Compiles the proto files into `folder`.
fn compile(root: &Path, folder: &Path) {
    let files = protox::compile(PROTOS, [root.join("proto")]).expect("the proto files are right");
    tonic_prost_build::configure()
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .out_dir(folder)
        .compile_fds(files)
        .expect("code for the proto files");
}

#[test]
fn the_generated_code_is_what_the_proto_files_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = root.join("src/wire").join(GENERATED);
    let folder = tempfile::tempdir().expect("a folder");
    compile(root, folder.path());
    let made: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").map(|file| file.expect("a file")).collect();
    assert_eq!(made.len(), 1, "one package, one file: {made:?}");
    let fresh = std::fs::read_to_string(folder.path().join(GENERATED)).expect("generated code");
    if std::env::var_os("PDTUNE_WIRE").is_some_and(|wish| wish == "write") {
        std::fs::write(&committed, &fresh).expect("written");
    }
    let stored = std::fs::read_to_string(&committed).unwrap_or_default();
    // Not `assert_eq`: two thousand lines of difference help nobody.
    assert!(stored == fresh, "{} is stale: run this test with PDTUNE_WIRE=write", committed.display());
}
