//! Sessions: conversations of several turns, each with all that was said before it in its prompt.
//!
//! # When a turn is due
//! Sessions arrive open-loop: their first turns are due as the schedule has it, whatever the server does. A later turn is due a
//! fixed think time after the answer before it was over, and TTFT is measured from there like that of any request: nobody asks on
//! before having read. This is the *partly open* system of Schroeder, Wierman and Harchol-Balter ("Open versus closed: a
//! cautionary tale", NSDI 2006), and what the multi-turn loads of other tools do within a session.
//!
//! The other rule would be to fix every instant beforehand, turn `k` at the start of the session and `k` times an interval, and to
//! count what the answer before takes beyond that as waiting. Then the TTFT of a turn would have the time of the answers before it
//! in it, which their own E2E has already, and would grow with the lengths of answers on a server whose prompts never wait; and
//! the load would be one that no user could make. So a slow server may postpone turns, and is never spared one:
//! - sessions go on arriving at the planned rate, so that in the long run as many turns are offered as asked for, and a server that
//!   cannot serve them has ever more sessions open;
//! - a turn whose predecessor did not complete cannot be sent. When it would have been due it is offered all the same, and counted as
//!   shed, and so are all after it: a server does not get an easier load by failing;
//! - turns that were not due when the schedule ended are not offered, and the sessions that they belong to are told apart from those
//!   that completed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Planned, Request, Segment};
use crate::time::Micros;
use crate::workload::Content;

/// The most turns that a session may have: every request carries what all turns before it were made of.
pub const MOST_TURNS: u32 = 200;
/// Bytes of answers that may be kept for the turns after them. The session whose answer would be beyond them is not gone on with.
const MOST_BYTES: usize = 512 << 20;

/// How many turns the sessions of a load have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turns {
    /// Turns of a session, from 2 to [`MOST_TURNS`].
    pub turns: u32,
    /// From the end of an answer to when the next turn is due.
    #[serde(rename = "think_us")]
    pub think: Micros,
}

/// Which turn of which session a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The number of the session, from 0 in the order in which they begin.
    pub session: u64,
    /// The number of the turn, from 0.
    pub turn: u32,
    /// Turns that the session was to have.
    pub of: u32,
    /// How long after the end of the answer before it is due; of a first turn nothing.
    pub think: Micros,
    /// Tokens at the end of its prompt that are new. Those before them were said before.
    pub new_tokens: u32,
    /// The turn before it did not complete, so that it could not be sent.
    pub lost: bool,
}

impl Turn {
    /// Whether nothing follows it.
    pub fn is_last(self) -> bool {
        self.turn + 1 >= self.of
    }
}

/// An answer as the turns after it repeat it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The ids of its tokens.
    Ids(Vec<u32>),
    /// Its text, from a target that is sent text.
    Text {
        /// The text.
        text: Arc<str>,
        /// How many tokens that was.
        tokens: u32,
    },
}

impl Answer {
    fn tokens(&self) -> u32 {
        match self {
            Self::Ids(ids) => u32::try_from(ids.len()).unwrap_or(u32::MAX),
            Self::Text { tokens, .. } => *tokens,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Ids(ids) => size_of_val(&ids[..]),
            Self::Text { text, .. } => text.len(),
        }
    }
}

/// An answer of an earlier turn, as text, inside a prompt whose other parts are tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaidText {
    /// So many of the prompt's tokens stand before it.
    pub at: usize,
    /// The text.
    pub text: Arc<str>,
}

/// A turn that is to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Later {
    /// What is new in its prompt.
    pub(crate) segments: Vec<Segment>,
    pub(crate) output_tokens: u32,
    pub(crate) think: Micros,
}

/// Who says a segment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Speaker {
    User,
    Model,
}

/// The identity of what is said in a turn: that of an answer stands for tokens that only the target knows.
pub(super) fn segment_id(session: u64, turn: u32, speaker: Speaker) -> u64 {
    (session << 21) | (u64::from(turn) << 1) | speaker as u64
}

/// Tokens of a prompt.
pub(super) fn tokens_of(segments: &[Segment]) -> u32 {
    segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.1))
}

/// A conversation with turns to come.
#[derive(Clone, Debug)]
struct Session {
    id: u64,
    of: u32,
    /// The turn that was sent last.
    turn: u32,
    /// Tokens asked of its answer.
    asked: u32,
    /// The prompt of the turn that is next, or was sent last.
    segments: Vec<Segment>,
    /// Answers in it, each behind so many of its segments.
    said: Vec<(usize, Answer)>,
    later: VecDeque<Later>,
    lost: bool,
    /// The turn that is next, once it is known when it is due.
    next: Option<Request>,
}

impl Session {
    /// Puts the next turn behind the answer to the one before; `None` where there is none to go on from.
    fn go_on(&mut self, answer: Option<Answer>) -> Option<Micros> {
        let Later { segments, output_tokens, think } = self.later.pop_front()?;
        self.lost |= answer.is_none();
        // Of an answer that did not come it is only known how long it was to be.
        let answered = answer.as_ref().map_or(self.asked, Answer::tokens);
        if answered > 0 {
            self.said.extend(answer.map(|answer| (self.segments.len(), answer)));
            self.segments.push(Segment(segment_id(self.id, self.turn, Speaker::Model), answered));
        }
        let new_tokens = tokens_of(&segments);
        self.segments.extend(segments);
        (self.turn, self.asked) = (self.turn + 1, output_tokens);
        let (session, turn, of, lost) = (self.id, self.turn, self.of, self.lost);
        self.next = Some(Request {
            index: 0,
            input_tokens: tokens_of(&self.segments),
            output_tokens,
            segments: self.segments.clone(),
            clamped: false,
            turn: Some(Turn { session, turn, of, think, new_tokens, lost }),
        });
        Some(think)
    }

    fn fill(&self, content: Content, prompt: &mut Vec<u32>) -> Vec<SaidText> {
        prompt.clear();
        let mut texts = Vec::new();
        let mut said = self.said.iter().peekable();
        for (place, segment) in self.segments.iter().enumerate() {
            match said.next_if(|(at, _)| *at == place) {
                None => content.append(*segment, prompt),
                Some((_, Answer::Ids(ids))) => prompt.extend_from_slice(ids),
                Some((_, Answer::Text { text, .. })) => {
                    texts.push(SaidText { at: prompt.len(), text: Arc::clone(text) });
                }
            }
        }
        texts
    }
}

/// The sessions under way that have turns to come.
#[derive(Clone, Debug, Default)]
pub(super) struct Sessions {
    open: BTreeMap<u64, Session>,
    /// Turns of which it is known when they are due, with their sessions.
    due: BTreeSet<(Micros, u64)>,
    /// Bytes of all answers that are kept.
    bytes: usize,
    /// Nothing that is due then or later leaves until the load is resumed.
    held: Option<Micros>,
}

impl Sessions {
    /// The first turn of a session leaves; those that follow it wait for its answer.
    pub(super) fn open(&mut self, first: &Request, later: VecDeque<Later>) {
        let Some(turn) = first.turn.filter(|_| !later.is_empty()) else { return };
        let session = Session {
            id: turn.session,
            of: turn.of,
            turn: turn.turn,
            asked: first.output_tokens,
            segments: first.segments.clone(),
            said: Vec::new(),
            later,
            lost: false,
            next: None,
        };
        self.open.insert(turn.session, session);
    }

    /// The turn of this session that was sent last was over at `at`: with an answer, or without one to go on from.
    pub(super) fn answered(&mut self, session: u64, at: Micros, answer: Option<Answer>) {
        let Some(open) = self.open.get_mut(&session).filter(|open| open.next.is_none()) else { return };
        let answer = answer.filter(|answer| self.bytes + answer.bytes() <= MOST_BYTES);
        self.bytes += answer.as_ref().map_or(0, Answer::bytes);
        if let Some(think) = open.go_on(answer) {
            self.due.insert((at + think, session));
        }
    }

    /// Whether nothing is to come of any of them.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// When the next turn is due, of those of which that is known.
    pub(super) fn next_due(&self) -> Option<Micros> {
        let (due, _) = self.due.first()?;
        self.held.is_none_or(|held| *due < held).then_some(*due)
    }

    fn first(&self) -> Option<&Session> {
        self.open.get(&self.due.first()?.1)
    }

    /// The turn that is due next.
    pub(super) fn upcoming(&self) -> Option<&Request> {
        self.first()?.next.as_ref()
    }

    /// Replaces `prompt` by that of the turn that is due next; answers that are text stand beside it.
    pub(super) fn fill(&self, content: Content, prompt: &mut Vec<u32>) -> Vec<SaidText> {
        self.first().map(|session| session.fill(content, prompt)).unwrap_or_default()
    }

    /// The turn that is due next leaves.
    pub(super) fn take(&mut self) -> Option<Planned> {
        let (due, id) = self.due.pop_first()?;
        let session = self.open.get_mut(&id)?;
        let request = session.next.take()?;
        if session.later.is_empty() {
            self.bytes -= session.said.iter().map(|(_, answer)| answer.bytes()).sum::<usize>();
            self.open.remove(&id);
        } else if session.lost {
            self.answered(id, due, None);
        }
        Some(Planned { due, request })
    }

    /// Nothing more is due from `at` on.
    pub(super) fn pause(&mut self, at: Micros) {
        self.held.get_or_insert(at);
    }

    /// What would have been due meanwhile is due now: it was not the server that kept it waiting.
    pub(super) fn resume(&mut self, at: Micros) {
        let Some(held) = self.held.take() else { return };
        let late = self.due.range((held, 0)..(at, 0)).copied().collect::<Vec<_>>();
        for (due, session) in late {
            self.due.remove(&(due, session));
            self.due.insert((at, session));
        }
    }
}
