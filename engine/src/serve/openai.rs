//! The OpenAI protocol apart from HTTP: what a body means, and what is answered. Pure.
//!
//! ```text
//!   body ─► wire (as sent) ─► ask (checked) ─► with the model: prompts as tokens, and where answers end
//!   choices ─► reply (JSON) ─► sse (events)
//! ```

mod ask;
mod content;
mod error;
mod logprobs;
mod messages;
mod outline;
mod prompt;
mod reply;
pub(super) mod sse;
mod text;
mod wire;

pub(super) use ask::{Ask, Endpoint, Planned};
pub(super) use error::ApiError;
pub(super) use reply::{Heading, Piece, Reply, Usage, Written};
pub(super) use text::Text;
