//! Where requests come from: drawn from distributions, or read from a file.

use std::collections::VecDeque;
use std::sync::Arc;

use super::sessions::{Later, Speaker, Turn, Turns, segment_id};
use super::{Request, Segment};
use crate::arrival::{Arrival, Operational};
use crate::time::Micros;
use crate::trace::Trace;
use crate::workload::{Draw, Pair, PrefixHit};

/// A request that waits for no answer, drawn ahead with all that follow it in its session: what they ask for does not depend on when
/// they leave.
#[derive(Clone, Debug)]
pub(super) struct Upcoming {
    /// Λ at which it is due.
    pub(super) lambda: f64,
    pub(super) request: Request,
    pub(super) later: VecDeque<Later>,
}

/// Where requests come from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Synthetic(Box<Synthetic>),
    Trace {
        trace: Arc<Trace>,
        speed: f64,
        /// Whether turns wait for the answers before them; else all come when they came.
        linked: bool,
    },
}

/// Requests drawn from distributions.
#[derive(Clone, Debug)]
pub(super) struct Synthetic {
    pub(super) operational: Operational,
    pub(super) lengths: Draw,
    pub(super) prefix_hit: PrefixHit,
    pub(super) sessions: Option<Turns>,
}

impl Source {
    /// Request `number` of those that wait for no answer, or the first one behind it that waits for none, and its number; `None` when
    /// there is none among the first `count`.
    pub(super) fn draw(&mut self, number: u64, count: Option<u64>) -> Option<(u64, Upcoming)> {
        match self {
            Self::Synthetic(synthetic) => {
                let before = number.saturating_mul(synthetic.turns() as u64);
                if count.is_some_and(|count| before >= count) {
                    return None;
                }
                let lambda = synthetic.operational.draw() * synthetic.turns();
                let (request, later) = synthetic.requests(number, count);
                Some((number, Upcoming { lambda, request, later }))
            }
            Self::Trace { trace, speed, linked } => {
                let speed = linked.then_some(*speed);
                let row = if *linked { trace.next_first(number) } else { number };
                Some((row, recorded(trace, row, count, speed)?))
            }
        }
    }
}

/// Request `row` of a trace, with those that follow it in its session where these are to wait for their answers: they come with
/// `speed` as fast as they did.
fn recorded(trace: &Trace, row: u64, count: Option<u64>, speed: Option<f64>) -> Option<Upcoming> {
    if count.is_some_and(|count| row >= count) {
        return None;
    }
    let first = trace.request(row as usize)?;
    let mut later = VecDeque::new();
    if let Some(speed) = speed {
        let follows = trace.following(row as usize).filter(|(row, _)| count.is_none_or(|count| (*row as u64) < count));
        later.extend(follows.map(|(_, mut turn)| {
            turn.think = Micros::from_secs_f64(turn.think.as_secs_f64() / speed);
            turn
        }));
    }
    let turn = trace.turn(row as usize).filter(|_| speed.is_some()).map(|turn| Turn {
        of: turn.turn + 1 + later.len() as u32,
        think: Micros::ZERO,
        new_tokens: first.input_tokens,
        lost: false,
        ..turn
    });
    let request = Request {
        index: row,
        input_tokens: first.input_tokens,
        output_tokens: first.output_tokens,
        segments: first.segments,
        clamped: first.clamped,
        turn,
    };
    Some(Upcoming { lambda: first.at.as_secs_f64(), request, later })
}

/// The segment with which all prompts of a synthetic load begin. No request has this number.
const SHARED: u64 = u64::MAX;

impl Synthetic {
    /// The request that was drawn ahead, number `number`, has other lengths now, and gaps after it are distributed like this.
    pub(super) fn reshape(&mut self, arrival: Arrival, number: u64, count: Option<u64>, upcoming: &mut Upcoming) {
        self.operational.change(arrival, upcoming.lambda / self.turns());
        (upcoming.request, upcoming.later) = self.requests(number, count);
    }

    /// Turns of a session, 1 without.
    fn turns(&self) -> f64 {
        self.sessions.map_or(1.0, |sessions| f64::from(sessions.turns))
    }

    /// Request `number` of lengths of its own, which shares with others no more than what all have in common; of sessions, the first
    /// turn of session `number` and those that follow it. The last session of a number of requests may have fewer turns.
    fn requests(&mut self, number: u64, count: Option<u64>) -> (Request, VecDeque<Later>) {
        let Self { lengths, prefix_hit, sessions, .. } = self;
        let Some(Turns { turns, think }) = *sessions else {
            let pair = lengths.pair();
            return (first(number, number, pair, *prefix_hit, None), VecDeque::new());
        };
        let rest = count.map_or(u64::MAX, |count| count.saturating_sub(number.saturating_mul(u64::from(turns))));
        let of = rest.clamp(1, u64::from(turns)) as u32;
        // All are drawn, so that a session is the same however many requests there are.
        let pairs = lengths.session();
        let mut later = VecDeque::new();
        for (turn, pair) in (1..of).zip(pairs.iter().skip(1)) {
            let segments = vec![Segment(segment_id(number, turn, Speaker::User), pair.input)];
            later.push_back(Later { segments, output_tokens: pair.output, think });
        }
        let pair = pairs.first().copied().unwrap_or(Pair { input: 1, output: 1, clamped: false });
        let new_tokens = pair.input;
        let turn = Turn { session: number, turn: 0, of, think: Micros::ZERO, new_tokens, lost: false };
        (first(number, segment_id(number, 0, Speaker::User), pair, *prefix_hit, Some(turn)), later)
    }
}

/// A request that begins as all do, and goes on with a segment of its own.
fn first(index: u64, own: u64, pair: Pair, prefix_hit: PrefixHit, turn: Option<Turn>) -> Request {
    let shared = prefix_hit.shared_tokens(pair.input);
    let mut segments = vec![Segment(own, pair.input - shared)];
    if shared > 0 {
        segments.insert(0, Segment(SHARED, shared));
    }
    Request { index, input_tokens: pair.input, output_tokens: pair.output, segments, clamped: pair.clamped, turn }
}
