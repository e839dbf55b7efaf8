//! The CPU executor and everything it loads, against references and against itself.

#![expect(clippy::expect_used, reason = "helpers of tests fail as tests do")]

mod checkpoint;
mod errors;
mod gguf;
mod golden;
mod invariance;
mod steps;
