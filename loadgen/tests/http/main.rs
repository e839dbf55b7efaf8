//! Servers over HTTP as targets: every outcome, whole runs, and our own server's answers against the embedded engine's.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod client;
mod control;
mod outcomes;
mod own;
mod remote_engine;
mod runs;
mod server;
