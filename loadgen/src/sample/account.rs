//! What is known of an answer beside the arrivals of its tokens.

use serde::{Deserialize, Serialize};

use crate::time::Micros;

/// What the target told of a request when it was over, and what was seen of its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// How the tokens of the answer were counted; `None` of a target that tells every one, and without an answer.
    pub counted: Option<CountedBy>,
    /// What the target's usage says of the answer's tokens, where that is another number than that of their ids.
    pub usage_tokens: Option<u32>,
    /// Tokens of the prompt by the target's own count.
    pub prompt_tokens: Option<u32>,
    /// The reasoning before the answer itself, where some was sent.
    pub reasoning: Option<Reasoning>,
    /// Which of several addresses of the target the request went to, counted from 0.
    pub address: Option<u16>,
    /// How it was cut, if it was, where that is known.
    pub cut: Option<CutBy>,
}

/// How an answer was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutBy {
    /// The stream came to its end in good order, and the answer had not.
    Ended,
    /// The connection was lost.
    Connection,
}

impl CutBy {
    /// All ways.
    pub const ALL: [Self; 2] = [Self::Ended, Self::Connection];

    /// It in words, which stand in recordings.
    pub fn why(self) -> &'static str {
        match self {
            Self::Ended => "the stream ended without saying so",
            Self::Connection => "the connection was lost",
        }
    }
}

/// How tokens were counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CountedBy {
    /// The target said how many there were, and their ids, where it told them, did not say otherwise.
    Usage,
    /// It told the ids of all tokens.
    Ids,
    /// Each piece of text was taken for a token.
    Chunks,
}

/// Tokens of reasoning, sent before those of the answer itself and marked as such.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// How many, among the tokens of the answer.
    pub tokens: u32,
    /// When the first token of the answer itself arrived; `None` where none did.
    pub answer: Option<Micros>,
}
