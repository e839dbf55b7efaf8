//! The layer rule: `tui → loadgen → engine → kernels`, and which crate alone may use which outside package.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

use serde_json::Value;

/// The crates from top to bottom: each may use those after it.
const LAYERS: [&str; 4] = ["pdtune", "pdtune-loadgen", "pdtune-engine", "pdtune-kernels"];

/// Outside packages that belong to certain crates alone.
const OWNERS: [(&str, &[&str]); 11] = [
    ("ratatui", &["pdtune"]),
    ("crossterm", &["pdtune"]),
    ("clap", &["pdtune"]),
    ("anyhow", &["pdtune"]),
    ("indicatif", &["pdtune"]),
    ("reqwest", &["pdtune-loadgen"]),
    ("kube", &["pdtune-loadgen"]),
    ("k8s-openapi", &["pdtune-loadgen"]),
    ("tonic", &["pdtune-engine"]),
    ("candle-core", &["pdtune-engine", "pdtune-kernels"]),
    ("hip-runtime-sys", &["pdtune-kernels"]),
];

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    metadata["packages"].as_array().expect("packages").clone()
}

fn dependencies(package: &Value) -> Vec<String> {
    let all = package["dependencies"].as_array().expect("dependencies");
    all.iter().map(|dependency| dependency["name"].as_str().expect("a name").to_owned()).collect()
}

#[test]
fn a_crate_uses_only_the_crates_below_it() {
    let packages = packages();
    assert_eq!(packages.len(), LAYERS.len(), "a new crate needs a place among the layers");
    for package in &packages {
        let name = package["name"].as_str().expect("a name");
        let place = LAYERS.iter().position(|layer| *layer == name).expect("a known layer");
        for dependency in dependencies(package) {
            if let Some(other) = LAYERS.iter().position(|layer| *layer == dependency) {
                assert!(other > place, "{name} must not use {dependency}");
            }
        }
    }
}

#[test]
fn a_package_is_used_only_by_the_crates_that_own_it() {
    for package in &packages() {
        let name = package["name"].as_str().expect("a name");
        for dependency in dependencies(package) {
            if let Some((_, owners)) = OWNERS.iter().find(|(owned, _)| *owned == dependency) {
                assert!(owners.contains(&name), "{dependency} belongs to {owners:?}, {name} uses it");
            }
        }
    }
}
