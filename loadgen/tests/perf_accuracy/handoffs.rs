//! Hand-offs: two numbers are fitted for each system, setup and bandwidth, and nothing else.

use engine::perf::{Dtype, Handoff, Parallel};
use loadgen::profile::Library;

use super::world::{Spread, Table};

const HANDOFFS: &str = include_str!("../data/perf/handoffs.csv");

/// Setup and bandwidth that make the sum of squared relative errors least: linear in setup and seconds a byte.
fn fitted(pairs: &[(f64, f64)]) -> Handoff {
    // With a = 1/t and b = bytes/t, minimise the sum of (setup·a + slowness·b − 1)².
    let (mut aa, mut ab, mut bb, mut ra, mut rb) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (bytes, seconds) in pairs {
        let (a, b) = (1.0 / seconds, bytes / seconds);
        aa += a * a;
        ab += a * b;
        bb += b * b;
        ra += a;
        rb += b;
    }
    let determinant = aa * bb - ab * ab;
    let (setup, slowness) = ((ra * bb - rb * ab) / determinant, (rb * aa - ra * ab) / determinant);
    Handoff { setup_s: setup, bytes_per_s: 1.0 / slowness }
}

/// Errors for each system.
pub(crate) fn spreads() -> Vec<(&'static str, Spread)> {
    let (table, library) = (Table::read(HANDOFFS), Library::new(Vec::new()));
    let mut found = Vec::new();
    for (system, model, setup_ms, gb_per_s) in
        [("h20", "qwen3-235b-a22b", 1.0..2.5, 150.0..180.0), ("h800", "qwen3-8b", 0.3..1.0, 120.0..165.0)]
    {
        let model = library.model(model).expect("a model").profile.1;
        let parallel = Parallel { tp: 8, ..Parallel::default() };
        let rows: Vec<_> = table.rows().filter(|row| row.get("system") == system).collect();
        assert_eq!(rows.len(), 9);
        let mut pairs = Vec::new();
        for row in &rows {
            // What the shape of the model says is what was counted, heads on several ranks included.
            let bytes = model.kv_bytes_handed_off(Dtype::Bf16, parallel, row.number("tokens"));
            let counted: f64 = row.number("kv_bytes");
            assert!((bytes / counted - 1.0).abs() < 0.08, "{system}: {bytes} instead of {counted}");
            pairs.push((bytes, row.number::<f64>("transfer_ms") / 1e3));
        }
        let handoff = fitted(&pairs);
        let errors: Vec<f64> = pairs.iter().map(|(bytes, seconds)| handoff.at_end(*bytes) / seconds - 1.0).collect();
        let spread = Spread::of(&errors);
        let (setup, rate) = (handoff.setup_s * 1e3, handoff.bytes_per_s / 1e9);
        assert!(setup_ms.contains(&setup) && gb_per_s.contains(&rate), "{system}: {setup} ms, {rate} GB/s");
        found.push((system, spread));
    }
    found
}

#[test]
fn two_numbers_a_system_explain_its_hand_offs_within_10_percent() {
    for (system, spread) in spreads() {
        println!("{system}: {spread}");
        assert!(spread.median <= 10.0 && spread.mean <= 10.0, "{system}: {spread}");
    }
}
