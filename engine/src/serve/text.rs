//! From tokens to the text that a client is sent, as they come.
//!
//! ```text
//!   token ─► Transcript ─┬─ a stop token?  ──────────────► finished
//!                        └─► Decoder ─► StopMatcher ─► text, and whether a stop string was met
//! ```
//!
//! Pure. What comes out depends on the tokens alone, never on how many of them arrived together.

mod decoder;
mod stops;
mod transcript;

pub(super) use transcript::{Finish, Transcript, Until};
