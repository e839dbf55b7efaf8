//! The laws of the model of time: dimensions, monotonicity, replication, and that decode is affine in context.
#![expect(clippy::expect_used, reason = "a test that cannot be set up has failed")]

#[path = "perf/fitting.rs"]
mod fitting;
#[path = "perf/memory.rs"]
mod memory;
#[path = "perf/refusals.rs"]
mod refusals;
#[path = "perf/restart.rs"]
mod restart;
#[path = "perf/steps.rs"]
mod steps;
#[path = "perf/world.rs"]
mod world;
