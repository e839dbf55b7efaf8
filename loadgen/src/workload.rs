//! What requests carry: how long prompts and answers are, and the tokens of a prompt.

pub mod content;
mod draw;
pub mod lengths;
mod prefix;

use serde::{Deserialize, Serialize};

pub use content::Content;
pub(crate) use draw::{Draw, Pair};
pub use lengths::Lengths;
pub use prefix::PrefixHit;

/// What the target can serve. Both limits are on prompt and answer together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Tokens of the model's context.
    pub context_tokens: u32,
    /// Tokens whose KV fits on one unit.
    pub kv_tokens: u32,
}

impl Limits {
    /// The most tokens a request may have, prompt and answer together.
    pub fn total_tokens(self) -> u32 {
        self.context_tokens.min(self.kv_tokens)
    }

    /// Whether a request of these lengths, each at least 1, can be served.
    pub fn fit(self, input: u32, output: u32) -> bool {
        u64::from(input) + u64::from(output) <= u64::from(self.total_tokens())
    }

    /// Cuts lengths, each at least 1, to what can be served. The answer keeps its length up to the limit less one token,
    /// then the prompt gets what is left: a run is asked for answers of a length, prompts are cut at their tail.
    #[must_use]
    pub fn cut(self, input: u32, output: u32) -> (u32, u32) {
        let output = output.min(self.total_tokens().saturating_sub(1)).max(1);
        (input.min(self.total_tokens().saturating_sub(output)).max(1), output)
    }
}

/// Lengths that the target cannot serve.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LengthsError {
    /// The target has no room for one token in and one out.
    #[error("the target serves at most {0} tokens a request, a prompt and an answer need 2")]
    NoRoom(u32),
    /// One fixed length that leaves no room for the other.
    #[error(
        "{side} {tokens} is beyond the {limit} tokens a request may have, prompt and answer together; shorten it or cut it with --clamp"
    )]
    TooLong {
        /// `isl` or `osl`.
        side: &'static str,
        /// Its tokens.
        tokens: u32,
        /// The limit on both together.
        limit: u32,
    },
    /// Fixed lengths that are together beyond the limit.
    #[error(
        "isl {isl} and osl {osl} together are beyond the {limit} tokens a request may have; shorten them or cut them with --clamp"
    )]
    Fixed {
        /// Tokens of the prompt.
        isl: u32,
        /// Tokens of the answer.
        osl: u32,
        /// The limit on both together.
        limit: u32,
    },
    /// Random lengths of which nearly none could be served.
    #[error(
        "isl {isl} with osl {osl}: {fit} of {of} drawn pairs are within the {limit} tokens a request may have, at least {need} must be"
    )]
    Random {
        /// Lengths of prompts.
        isl: Lengths,
        /// Lengths of answers.
        osl: Lengths,
        /// Pairs that could be served.
        fit: u32,
        /// Pairs that were drawn.
        of: u32,
        /// Pairs that must fit.
        need: u32,
        /// The limit on both together.
        limit: u32,
    },
    /// Sessions whose last turn, whose prompt is all that was said before, is beyond the limit.
    #[error(
        "{turns} turns of isl {isl} and osl {osl} come to {tokens} tokens, and the last one's prompt and answer, which are all of them, are \
         beyond the {limit} tokens a request may have; use fewer --turns or shorter lengths"
    )]
    Session {
        /// Turns of a session.
        turns: u32,
        /// New tokens of a turn.
        isl: u32,
        /// Tokens of an answer.
        osl: u32,
        /// All of them together.
        tokens: u64,
        /// The limit on prompt and answer of a request.
        limit: u32,
    },
    /// Random lengths by which nearly no session would fit.
    #[error(
        "isl {isl} with osl {osl} in sessions of {turns} turns: {fit} of {of} drawn sessions are, all turns together, within the {limit} \
         tokens a request may have, at least {need} must be; use fewer --turns or shorter lengths"
    )]
    Sessions {
        /// Turns of a session.
        turns: u32,
        /// New tokens of a turn.
        isl: Lengths,
        /// Lengths of answers.
        osl: Lengths,
        /// Sessions that could be served.
        fit: u32,
        /// Sessions that were drawn.
        of: u32,
        /// Sessions that must fit.
        need: u32,
        /// The limit on prompt and answer of a request.
        limit: u32,
    },
}
