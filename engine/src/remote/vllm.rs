//! An engine of vLLM's over its own gRPC service, as `vllm serve --grpc` starts it: `vllm+grpc://HOST:PORT`.
//!
//! ```text
//!   VllmEngine ─┬─ health, model, server: what it is and whether it is up
//!               └─ generate ──► VllmAnswer: chunks of tokens, then what completes them; dropped, it cancels
//! ```
//!
//! The words are those of the service, as `proto/vllm/engine.proto` has them. What comes from the server is made fit to be shown
//! here. Its server looks at no key; one that stands before it may.

mod address;
mod answer;
mod client;

pub use address::VllmAddress;
pub use answer::{VllmAnswer, VllmChunk, VllmComplete, VllmEvent};
pub use client::{VllmEngine, VllmHealth, VllmModel, VllmRequest, VllmServer};
