//! Serving an engine to the outside.
//!
//! ```text
//!   wall engine ── events ──► hub (one thread) ──► bounded buffer of each answer ──► http, grpc
//!        ▲                     │ ▲
//!        └── submit, cancel ───┘ └── generate, stop or drop of an answer
//! ```
//!
//! [`hub`] knows no transport: it admits requests, gives each consumer its tokens and cancels what nobody reads any more.
//! `text` turns tokens into text as they come. [`http`] is the OpenAI protocol over both, [`grpc`] control and generation in token
//! ids.

mod auth;
mod choice;
mod drain;
pub mod grpc;
mod histogram;
pub mod http;
pub mod hub;
mod listen;
mod metrics;
mod openai;
mod text;

use std::sync::Arc;

pub use auth::ApiKey;
pub use drain::Drained;
pub use listen::ListenError;

use crate::model::ModelText;

/// The model as clients see it.
#[derive(Clone, Debug)]
pub struct ServedModel {
    /// What clients call it.
    pub name: String,
    /// Its text side.
    pub text: Arc<ModelText>,
    /// Longest sequence, prompt and answer together.
    pub context_tokens: u32,
    /// Bytes of one KV block, for the figures of hand-offs.
    pub kv_block_bytes: u64,
}

/// What a client sent, short enough to be sent back.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}
