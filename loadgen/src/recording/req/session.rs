//! Which turn of a session a request was, as it is written.

use serde::{Deserialize, Serialize};

use crate::schedule;
use crate::time::Micros;

/// The key `session` of a `req` record.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Session {
    /// The number of the session.
    id: u64,
    /// The number of the turn, from 0.
    turn: u32,
    /// Turns that the session was to have.
    of: u32,
    /// From the end of the answer before it to its due.
    #[serde(rename = "think_us")]
    think: Micros,
    /// Tokens at the end of its prompt that were new.
    new: u32,
    /// The turn before it did not complete.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    lost: bool,
}

impl From<schedule::Turn> for Session {
    fn from(turn: schedule::Turn) -> Self {
        let schedule::Turn { session: id, turn, of, think, new_tokens: new, lost } = turn;
        Self { id, turn, of, think, new, lost }
    }
}

impl From<Session> for schedule::Turn {
    fn from(written: Session) -> Self {
        let Session { id: session, turn, of, think, new: new_tokens, lost } = written;
        Self { session, turn, of, think, new_tokens, lost }
    }
}
