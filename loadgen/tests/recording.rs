//! Recordings from outside: what is written can be read, by us and by others, whole or torn.
#![expect(clippy::expect_used, reason = "helpers of tests fail the test")]

#[path = "recording/strategy.rs"]
mod strategy;

#[path = "recording/damage.rs"]
mod damage;
#[path = "recording/files.rs"]
mod files;
#[path = "recording/golden.rs"]
mod golden;
#[path = "recording/round_trip.rs"]
mod round_trip;
#[path = "recording/summary.rs"]
mod summary;
