//! What will be sent, and when it is due.
//!
//! A schedule is a pure function of the load and its seed, and of the rate changes an operator makes: it knows no clock,
//! and a client that is late changes nothing in it. Reading a trace happens once, in [`Schedule::new`].

mod offered;
pub(crate) mod sessions;
pub mod shifts;
mod source;
pub mod spec;

use std::num::NonZeroU32;
use std::sync::Arc;

use rand::Rng;
use serde::{Deserialize, Serialize};

pub use offered::OfferedRate;
pub use sessions::{Answer, MOST_TURNS, SaidText, Turn, Turns};
pub use shifts::{ScriptedShift, ShiftScript};
pub use spec::{LoadSpec, Shape, Traffic};

use crate::arrival::{Operational, RateCurve};
use crate::random::{Purpose, stream};
use crate::text::Malformed;
use crate::time::Micros;
use crate::trace::{ReadOptions, Trace, TraceError};
use crate::workload::{Content, Draw, LengthsError, Limits};
use sessions::Sessions;
use source::{Source, Synthetic, Upcoming};

/// A run of prompt tokens with one identity: two prompts that start with equal segments really share that prefix.
/// Token `i` of a segment is a pure function of the run's content seed, `id` and `i`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment(
    /// Identity.
    pub u64,
    /// Tokens.
    pub u32,
);

/// What is asked of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its number, from 0 in the order of being due. A turn whose due becomes known only when it has passed, because of a think time
    /// shorter than the client's own, comes behind what has left by then.
    pub index: u64,
    /// Tokens of its prompt, the sum of its segments, at least 1.
    pub input_tokens: u32,
    /// Tokens asked of its answer, at least 1.
    pub output_tokens: u32,
    /// What the prompt is made of.
    pub segments: Vec<Segment>,
    /// Whether a length was cut to what the target can serve.
    pub clamped: bool,
    /// Which turn of a session it is, if of any.
    pub turn: Option<Turn>,
}

/// A request that is to leave next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Its number.
    pub index: u64,
    /// Tokens asked of its answer.
    pub output_tokens: u32,
    /// Answers of earlier turns that are text, in their order.
    pub said: Vec<SaidText>,
    /// Which turn of a session it is, if of any.
    pub turn: Option<Turn>,
}

/// One request of the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// When it is due.
    pub due: Micros,
    /// What is asked.
    pub request: Request,
}

/// A load that cannot be offered to this target.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The lengths do not fit.
    #[error(transparent)]
    Lengths(#[from] LengthsError),
    /// The trace cannot be used.
    #[error(transparent)]
    Trace(#[from] TraceError),
}

/// A shape that the load cannot take.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ShapeError {
    /// The load replays a trace.
    #[error("a trace says itself when requests arrive and how long they are")]
    Trace,
    /// The lengths do not fit.
    #[error(transparent)]
    Lengths(#[from] LengthsError),
}

/// Requests that are looked at ahead at most: more than a second's work has been offered long enough.
const LOOKED_AT: usize = 4 << 20;

/// The requests of a run in the order of being due.
///
/// As an iterator it yields what is planned so far: it may end because the load is paused and go on after a change of the
/// rate, or because turns of sessions wait for the answers before them, of which [`Schedule::answered`] tells it.
/// [`Schedule::is_over`] tells these from its end.
#[derive(Clone, Debug)]
pub struct Schedule {
    source: Source,
    rate: OfferedRate,
    /// Nothing is due at or after it.
    end: Option<Micros>,
    /// The schedule is over at its end and not with its last request: the recorded one went on, too.
    lasts: bool,
    /// How many requests there are at most.
    count: Option<u64>,
    content_seed: u64,
    /// The next request that waits for no answer; `None` when none is left.
    upcoming: Option<Upcoming>,
    /// How many of those were drawn.
    drawn: u64,
    /// How many requests have left.
    left: u64,
    sessions: Sessions,
}

impl Schedule {
    /// The schedule of `spec` at a target with these limits. Reads the trace, if there is one.
    ///
    /// # Errors
    /// When the trace is broken, or lengths are beyond the limits and not to be cut.
    pub fn new(spec: &LoadSpec, limits: Limits) -> Result<Self, LoadError> {
        let content_seed = stream(spec.seed, Purpose::Content).next_u64();
        let (source, curve, unit_rate, own_end) = match &spec.traffic {
            Traffic::Synthetic { arrival, rate, isl, osl } => {
                let operational = Operational::new(*arrival, stream(spec.seed, Purpose::Arrivals));
                let turns = spec.sessions.map_or(1, |sessions| sessions.turns);
                let lengths = Draw::new(*isl, *osl, limits, spec.clamp, stream(spec.seed, Purpose::Lengths))?;
                let lengths = lengths.in_sessions(turns)?;
                let (prefix_hit, sessions) = (spec.prefix_hit, spec.sessions);
                let synthetic = Synthetic { operational, lengths, prefix_hit, sessions };
                (Source::Synthetic(Box::new(synthetic)), rate.curve(), 1.0, rate.length())
            }
            Traffic::Trace { path, format, speed, limit } => {
                let options = ReadOptions { format: *format, limit: *limit, limits, clamp: spec.clamp };
                let trace = Trace::open(path, options)?;
                let mean_rate = trace.mean_rate();
                // Rounding must not put the end before a request.
                let last = Micros::from_secs_f64(trace.last_due().as_secs_f64() / speed) + Micros(1);
                let end = trace.end().map(|end| Micros::from_secs_f64(end.as_secs_f64() / speed).max(last));
                // Sessions are replayed to their last turns, however long their answers take.
                let end = end.filter(|_| !trace.has_sessions());
                let source = Source::Trace { trace: Arc::new(trace), speed: *speed, linked: true };
                (source, RateCurve::constant(*speed), mean_rate, end)
            }
        };
        let end = spec.duration.or(own_end);
        let replays = matches!(source, Source::Trace { .. });
        let lasts = replays && own_end.is_some() && spec.duration.is_none() && spec.requests.is_none();
        let rate = OfferedRate::new(curve, unit_rate);
        let mut schedule = Self {
            source,
            rate,
            end,
            lasts,
            count: spec.requests,
            content_seed,
            upcoming: None,
            drawn: 0,
            left: 0,
            sessions: Sessions::default(),
        };
        schedule.upcoming = schedule.draw();
        Ok(schedule)
    }

    /// The same with every request of a recording due when it was, turns of sessions as well: for whoever has no answers that they
    /// could wait for.
    #[must_use]
    pub fn unlinked(mut self) -> Self {
        if let Source::Trace { linked, .. } = &mut self.source {
            *linked = false;
            self.drawn = 0;
            self.upcoming = self.draw();
        }
        self
    }

    /// The request that leaves next, as things are, with its prompt in place of what was in `prompt`; `None` when none is known.
    /// Whoever sends it prepares it while there is time, and anew when anything has changed.
    pub fn prepare(&self, content: Content, prompt: &mut Vec<u32>) -> Option<Prepared> {
        let request = self.following()?;
        let said = if self.goes_on() {
            self.sessions.fill(content, prompt)
        } else {
            content.fill(&request.segments, prompt);
            Vec::new()
        };
        Some(Prepared { index: self.left, output_tokens: request.output_tokens, said, turn: request.turn })
    }

    /// Whether what leaves next, as things are, is still this turn of a session, or no turn of any. No answer changes what it asks.
    pub fn is_next(&self, turn: Option<Turn>) -> bool {
        self.following().is_some_and(|request| request.turn == turn)
    }

    fn following(&self) -> Option<&Request> {
        if self.goes_on() { self.sessions.upcoming() } else { Some(&self.upcoming.as_ref()?.request) }
    }

    /// Whether what leaves next goes on with a session.
    fn goes_on(&self) -> bool {
        self.session_is_next() || self.upcoming.is_none()
    }

    /// When the next request is due; `None` when none is, as long as the rate does not change and no answer comes.
    pub fn next_due(&self) -> Option<Micros> {
        [self.own_due(), self.session_due()].into_iter().flatten().min()
    }

    /// When the next request is due that waits for no answer.
    fn own_due(&self) -> Option<Micros> {
        let due = self.rate.curve.time_of(self.upcoming.as_ref()?.lambda)?;
        self.end.is_none_or(|end| due < end).then_some(due)
    }

    /// When the next turn is due whose predecessor is over.
    fn session_due(&self) -> Option<Micros> {
        self.sessions.next_due().filter(|due| self.end.is_none_or(|end| *due < end))
    }

    fn session_is_next(&self) -> bool {
        self.session_due().is_some_and(|due| self.own_due().is_none_or(|own| due <= own))
    }

    /// The turn of this session that was sent last was over at `at`: with an answer that the next one goes on from, or without. The
    /// next one is due a think time later.
    pub fn answered(&mut self, session: u64, at: Micros, answer: Option<Answer>) {
        self.sessions.answered(session, at, answer);
    }

    /// Whether requests follow others in sessions.
    pub fn has_sessions(&self) -> bool {
        match &self.source {
            Source::Synthetic(synthetic) => synthetic.sessions.is_some(),
            Source::Trace { trace, linked, .. } => *linked && trace.has_sessions(),
        }
    }

    /// Whether nothing is left to be sent at `now` and nothing can become due any more, whatever is done to the rate. With an
    /// end in time, such as that of a recorded run, this is that end, even when the last request was due before it; a client
    /// that is late then has still to send what was due. Turns of sessions whose answers are still to come then are not waited for.
    pub fn is_over(&self, now: Micros) -> bool {
        let nothing_left = self.upcoming.is_none() && self.sessions.is_empty() && !self.lasts;
        nothing_left || (self.end.is_some_and(|end| now >= end) && self.next_due().is_none())
    }

    /// The end of the schedule, when it has one in time.
    pub fn end(&self) -> Option<Micros> {
        self.end
    }

    /// How many requests there are at most, when that is known.
    pub fn count(&self) -> Option<u64> {
        let rows = self.trace().map(|trace| trace.len() as u64);
        rows.into_iter().chain(self.count).min()
    }

    /// Whether nothing can become due at `from` or later, as it is planned now. One that has millions of requests before is
    /// taken to have more, and so is one whose turns wait for answers.
    pub fn is_over_before(&self, from: Micros) -> bool {
        if self.end.is_some_and(|end| end <= from) {
            return true;
        }
        if self.has_sessions() {
            return false;
        }
        let mut rest = self.clone();
        self.count().is_some()
            && !rest.by_ref().take(LOOKED_AT).any(|planned| planned.due >= from)
            && rest.upcoming.is_none()
    }

    /// The trace it replays, if it does.
    pub fn trace(&self) -> Option<&Trace> {
        match &self.source {
            Source::Trace { trace, .. } => Some(trace),
            Source::Synthetic(_) => None,
        }
    }

    /// The rate over time as it is planned now.
    pub fn rate(&self) -> &OfferedRate {
        &self.rate
    }

    /// From `at` on, offers `rate` requests per second, whatever phases were to come. Of a trace, the mean rate becomes
    /// `rate`: its pattern stays and is stretched. What is due before `at` stays where it is, nothing is drawn anew.
    ///
    /// # Errors
    /// When the rate is negative, not a number or beyond [`MAX_RATE`](crate::arrival::phases::MAX_RATE).
    pub fn set_rate(&mut self, at: Micros, rate: f64) -> Result<(), Malformed> {
        self.rate.set(at, rate)
    }

    /// The next request and all after it have lengths like these, and gaps between them are distributed like this. When the
    /// next one is due stays as it is. Sessions that have begun go on as they were drawn.
    ///
    /// # Errors
    /// When the load replays a trace, or the target cannot serve such lengths: then nothing changes.
    pub fn reshape(&mut self, shape: Shape) -> Result<(), ShapeError> {
        let Source::Synthetic(synthetic) = &mut self.source else {
            return Err(ShapeError::Trace);
        };
        synthetic.lengths.change(shape.isl, shape.osl)?;
        if let Some(upcoming) = &mut self.upcoming {
            synthetic.reshape(shape.arrival, self.drawn.saturating_sub(1), self.count, upcoming);
        }
        Ok(())
    }

    /// From `at` on, nothing is due until resumed.
    pub fn pause(&mut self, at: Micros) {
        self.rate.curve.pause(at);
        self.sessions.pause(at);
    }

    /// From `at` on, offers again what is planned for that time, and the turns that sessions would have come to meanwhile. The end of
    /// the schedule stays where it is.
    pub fn resume(&mut self, at: Micros) {
        self.rate.curve.resume(at);
        self.sessions.resume(at);
    }

    /// Whether the load is paused.
    pub fn is_paused(&self) -> bool {
        self.rate.curve.is_paused()
    }

    /// What turns segments into tokens for a target with `vocabulary` token ids.
    pub fn content(&self, vocabulary: NonZeroU32) -> Content {
        Content::new(self.content_seed, vocabulary)
    }

    /// Draws the next request that waits for no answer, if there is one.
    fn draw(&mut self) -> Option<Upcoming> {
        let (number, upcoming) = self.source.draw(self.drawn, self.count)?;
        self.drawn = number + 1;
        Some(upcoming)
    }
}

impl Iterator for Schedule {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        let mut planned = if self.session_is_next() {
            self.sessions.take()?
        } else {
            let due = self.own_due()?;
            let Upcoming { request, later, .. } = self.upcoming.take()?;
            self.upcoming = self.draw();
            self.sessions.open(&request, later);
            Planned { due, request }
        };
        planned.request.index = self.left;
        self.left += 1;
        Some(planned)
    }
}
