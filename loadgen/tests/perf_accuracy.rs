//! How far the model of time is from measurements: whole steps, hand-offs and runs, with and without a fit. One command prints
//! the report: `cargo test --workspace --test perf_accuracy report:: -- --nocapture`.
//!
//! The bounds hold for what is committed in `data/perf`. Where the wider tables are at hand, every deployment in them is
//! reported as well, those that the model does badly included.
#![expect(clippy::expect_used, reason = "a test that cannot be set up has failed")]

#[path = "perf_accuracy/handoffs.rs"]
mod handoffs;
#[path = "perf_accuracy/june.rs"]
mod june;
#[path = "perf_accuracy/mi325x.rs"]
mod mi325x;
#[path = "perf_accuracy/report.rs"]
mod report;
#[path = "perf_accuracy/steps.rs"]
mod steps;
#[path = "perf_accuracy/tables.rs"]
mod tables;
#[path = "perf_accuracy/world.rs"]
mod world;
