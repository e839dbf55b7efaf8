//! The committed code is what the proto files say: compiled anew, it is the same to the byte.
//!
//! `PDTUNE_WIRE=write cargo test --workspace --test wire_is_fresh` writes it anew after a proto file has changed, and before the
//! code that uses it does: the test is built with the engine.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

/// A package of proto files, and the file of its code.
struct Package {
    protos: &'static [&'static str],
    code: &'static str,
    /// Whether it is served here, and not only called.
    served: bool,
}

const OURS: Package =
    Package { protos: &["pdtune/v1/control.proto", "pdtune/v1/generation.proto"], code: "pdtune.v1.rs", served: true };
const VLLM: Package = Package { protos: &["vllm/engine.proto"], code: "vllm.grpc.engine.rs", served: false };

/// Compiles the proto files of a package into `folder`.
fn compile(package: &Package, root: &Path, folder: &Path) {
    let files = protox::compile(package.protos, [root.join("proto")]).expect("the proto files are right");
    tonic_prost_build::configure()
        .build_transport(false)
        .build_server(package.served)
        .emit_rerun_if_changed(false)
        .out_dir(folder)
        .compile_fds(files)
        .expect("code for the proto files");
}

fn assert_fresh(package: &Package) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = root.join("src/wire").join(package.code);
    let folder = tempfile::tempdir().expect("a folder");
    compile(package, root, folder.path());
    let made: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").map(|file| file.expect("a file")).collect();
    assert_eq!(made.len(), 1, "one package, one file: {made:?}");
    let fresh = std::fs::read_to_string(folder.path().join(package.code)).expect("generated code");
    if std::env::var_os("PDTUNE_WIRE").is_some_and(|wish| wish == "write") {
        std::fs::write(&committed, &fresh).expect("written");
    }
    let stored = std::fs::read_to_string(&committed).unwrap_or_default();
    // Not `assert_eq`: two thousand lines of difference help nobody.
    assert!(stored == fresh, "{} is stale: run this test with PDTUNE_WIRE=write", committed.display());
}

#[test]
fn the_generated_code_is_what_our_proto_files_say() {
    assert_fresh(&OURS);
}

#[test]
fn the_generated_code_is_what_the_proto_file_of_vllm_says() {
    assert_fresh(&VLLM);
}
