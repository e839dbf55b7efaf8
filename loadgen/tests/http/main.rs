//! Servers over HTTP and gRPC as targets: every outcome, whole runs, and our own server's answers against the embedded engine's.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;
mod control;
mod http2;
#[path = "../idle/world.rs"]
mod idle;
mod metrics;
mod openai;
mod outcomes;
mod own;
mod pages;
mod proto;
#[path = "../idle/relay.rs"]
mod relay;
mod remote_engine;
mod runs;
mod server;
mod sessions;
mod tls;
mod vllm;
mod vllm_server;
