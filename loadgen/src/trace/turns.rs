//! Which requests of a recording followed which in their sessions.

use std::collections::BTreeMap;

use super::{Row, Trace};
use crate::schedule::sessions::Later;
use crate::schedule::{Segment, Turn};

/// A row that is a turn of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Link {
    turn: Turn,
    /// Whether a turn before it is in the trace.
    follows: bool,
    /// The row of the turn after it.
    next: Option<usize>,
}

/// The rows that are turns of sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    rows: BTreeMap<usize, Link>,
    /// The last row of each session.
    last: BTreeMap<u64, usize>,
}

impl Links {
    /// The next row is a turn: it follows the one of its session that was added before, whatever is missing between the two.
    pub(super) fn add(&mut self, row: usize, turn: Turn) -> Result<(), String> {
        let before = self.last.insert(turn.session, row);
        if let Some(link) = before.and_then(|before| self.rows.get_mut(&before)) {
            if link.turn.turn >= turn.turn {
                let (session, turn, other) = (turn.session, turn.turn, link.turn.turn);
                return Err(format!("it is turn {turn} of session {session}, and turn {other} of it was due before"));
            }
            link.next = Some(row);
        }
        self.rows.insert(row, Link { turn, follows: before.is_some(), next: None });
        Ok(())
    }
}

/// The segments that a turn adds to what was said before, the last `new` tokens of its prompt.
pub(super) fn new_segments(segments: &[Segment], new: u32) -> Result<&[Segment], String> {
    let mut tokens = 0_u64;
    for (place, segment) in segments.iter().enumerate().rev() {
        tokens += u64::from(segment.1);
        if tokens == u64::from(new) {
            return Ok(segments.get(place..).unwrap_or_default());
        }
    }
    Err(format!("its last {new} tokens are new, and none of its segments begins there"))
}

impl Trace {
    /// Whether requests followed others in sessions.
    pub fn has_sessions(&self) -> bool {
        !self.links.rows.is_empty()
    }

    /// Which turn of a session a row was.
    pub(crate) fn turn(&self, row: usize) -> Option<Turn> {
        self.links.rows.get(&row).map(|link| link.turn)
    }

    /// The first row from `row` on that follows no other.
    pub(crate) fn next_first(&self, row: u64) -> u64 {
        let mut row = row;
        while self.links.rows.get(&(row as usize)).is_some_and(|link| link.follows) {
            row += 1;
        }
        row
    }

    /// The rows that follow `row` in its session, each with what it adds.
    pub(crate) fn following(&self, row: usize) -> impl Iterator<Item = (usize, Later)> {
        let next = |row: &usize| self.links.rows.get(row)?.next;
        std::iter::successors(next(&row), move |row| next(row)).filter_map(|row| {
            let Row { output, .. } = *self.rows.get(row)?;
            let turn = self.turn(row)?;
            let segments = self.request(row)?.segments;
            let segments = new_segments(&segments, turn.new_tokens).ok()?.to_vec();
            Some((row, Later { segments, output_tokens: output, think: turn.think }))
        })
    }
}
