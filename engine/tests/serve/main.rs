//! The server over real loopback sockets, and the hub without any: an executor that writes the alphabet, and a gate before
//! its steps where a test needs requests that are under way.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::panic, reason = "a test that cannot go on has failed")]

mod bad_input;
mod client;
mod connections;
mod disconnects;
mod grpc;
mod hub;
mod protocol;
mod stage;
mod stopping;
mod world;
