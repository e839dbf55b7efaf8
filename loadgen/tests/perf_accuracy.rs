//! How far the model of time is from measurements: whole steps and hand-offs, with and without a fit.
//!
//! The bounds hold for what is committed in `data/perf`. Where the wider tables are at hand, every deployment in them is
//! reported as well, those that the model does badly included.
#![expect(clippy::expect_used, reason = "a test that cannot be set up has failed")]

#[path = "perf_accuracy/handoffs.rs"]
mod handoffs;
#[path = "perf_accuracy/steps.rs"]
mod steps;
#[path = "perf_accuracy/tables.rs"]
mod tables;
#[path = "perf_accuracy/world.rs"]
mod world;
