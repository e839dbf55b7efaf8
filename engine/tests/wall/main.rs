//! The engine in wall time: what the threads do around the cluster, steered step by step, and real tokens through all of it.

#![expect(clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod closing;
mod corrupted;
mod hand_offs;
mod hashed;
mod intake;
mod losses;
mod model;
mod reader;
mod same_tokens;
mod shifts;
mod stage;
mod turns;
mod world;
