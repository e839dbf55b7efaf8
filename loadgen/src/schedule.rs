//! What will be sent, and when it is due.
//!
//! A schedule is a pure function of the load and its seed, and of the rate changes an operator makes: it knows no clock,
//! and a client that is late changes nothing in it. Reading a trace happens once, in [`Schedule::new`].

mod offered;
pub mod shifts;
pub mod spec;

use std::num::NonZeroU32;
use std::sync::Arc;

use rand::Rng;
use serde::{Deserialize, Serialize};

pub use offered::OfferedRate;
pub use shifts::{ScriptedShift, ShiftScript};
pub use spec::{LoadSpec, Shape, Traffic};

use crate::arrival::{Operational, RateCurve};
use crate::random::{Purpose, stream};
use crate::text::Malformed;
use crate::time::Micros;
use crate::trace::{ReadOptions, Trace, TraceError};
use crate::workload::{Content, Draw, LengthsError, Limits, PrefixHit};

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
    /// Its number, from 0 in the order of being due.
    pub index: u64,
    /// Tokens of its prompt, the sum of its segments, at least 1.
    pub input_tokens: u32,
    /// Tokens asked of its answer, at least 1.
    pub output_tokens: u32,
    /// What the prompt is made of.
    pub segments: Vec<Segment>,
    /// Whether a length was cut to what the target can serve.
    pub clamped: bool,
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
/// rate. [`Schedule::is_over`] tells the two apart.
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
    /// `None` when nothing is left.
    upcoming: Option<Upcoming>,
}

/// The request that is due next, drawn ahead: what it asks for does not depend on when it leaves.
#[derive(Clone, Debug)]
struct Upcoming {
    /// Λ at which it is due.
    lambda: f64,
    request: Request,
}

/// Where requests come from.
#[derive(Clone, Debug)]
enum Source {
    Synthetic { operational: Operational, lengths: Box<Draw>, prefix_hit: PrefixHit },
    Trace(Arc<Trace>),
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
                let lengths = Draw::new(*isl, *osl, limits, spec.clamp, stream(spec.seed, Purpose::Lengths))?;
                let lengths = Box::new(lengths);
                let source = Source::Synthetic { operational, lengths, prefix_hit: spec.prefix_hit };
                (source, rate.curve(), 1.0, rate.length())
            }
            Traffic::Trace { path, format, speed, limit } => {
                let options = ReadOptions { format: *format, limit: *limit, limits, clamp: spec.clamp };
                let trace = Trace::open(path, options)?;
                let mean_rate = trace.mean_rate();
                // Rounding must not put the end before a request.
                let last = Micros::from_secs_f64(trace.last_due().as_secs_f64() / speed) + Micros(1);
                let end = trace.end().map(|end| Micros::from_secs_f64(end.as_secs_f64() / speed).max(last));
                (Source::Trace(Arc::new(trace)), RateCurve::constant(*speed), mean_rate, end)
            }
        };
        let end = spec.duration.or(own_end);
        let replays = matches!(source, Source::Trace(_));
        let lasts = replays && own_end.is_some() && spec.duration.is_none() && spec.requests.is_none();
        let rate = OfferedRate::new(curve, unit_rate);
        let mut schedule = Self { source, rate, end, lasts, count: spec.requests, content_seed, upcoming: None };
        schedule.upcoming = schedule.draw(0);
        Ok(schedule)
    }

    /// The request that leaves next, whenever that is; `None` when nothing is left. Whoever sends it prepares it while
    /// there is time.
    pub fn upcoming(&self) -> Option<&Request> {
        self.upcoming.as_ref().map(|upcoming| &upcoming.request)
    }

    /// When the next request is due; `None` when none is, as long as the rate does not change.
    pub fn next_due(&self) -> Option<Micros> {
        let due = self.rate.curve.time_of(self.upcoming.as_ref()?.lambda)?;
        self.end.is_none_or(|end| due < end).then_some(due)
    }

    /// Whether nothing is left to be sent at `now` and nothing can become due any more, whatever is done to the rate. With an
    /// end in time, such as that of a recorded run, this is that end, even when the last request was due before it; a client
    /// that is late then has still to send what was due.
    pub fn is_over(&self, now: Micros) -> bool {
        let nothing_left = self.upcoming.is_none() && !self.lasts;
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
    /// taken to have more.
    pub fn is_over_before(&self, from: Micros) -> bool {
        if self.end.is_some_and(|end| end <= from) {
            return true;
        }
        let mut rest = self.clone();
        self.count().is_some()
            && !rest.by_ref().take(LOOKED_AT).any(|planned| planned.due >= from)
            && rest.upcoming.is_none()
    }

    /// The trace it replays, if it does.
    pub fn trace(&self) -> Option<&Trace> {
        match &self.source {
            Source::Trace(trace) => Some(trace),
            Source::Synthetic { .. } => None,
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
    /// next one is due stays as it is.
    ///
    /// # Errors
    /// When the load replays a trace, or the target cannot serve such lengths: then nothing changes.
    pub fn reshape(&mut self, shape: Shape) -> Result<(), ShapeError> {
        let Source::Synthetic { operational, lengths, prefix_hit } = &mut self.source else {
            return Err(ShapeError::Trace);
        };
        lengths.change(shape.isl, shape.osl)?;
        if let Some(upcoming) = &mut self.upcoming {
            operational.change(shape.arrival, upcoming.lambda);
            upcoming.request = synthetic(upcoming.request.index, lengths, *prefix_hit);
        }
        Ok(())
    }

    /// From `at` on, nothing is due until resumed.
    pub fn pause(&mut self, at: Micros) {
        self.rate.curve.pause(at);
    }

    /// From `at` on, offers again what is planned for that time. The end of the schedule stays where it is.
    pub fn resume(&mut self, at: Micros) {
        self.rate.curve.resume(at);
    }

    /// Whether the load is paused.
    pub fn is_paused(&self) -> bool {
        self.rate.curve.is_paused()
    }

    /// What turns segments into tokens for a target with `vocabulary` token ids.
    pub fn content(&self, vocabulary: NonZeroU32) -> Content {
        Content::new(self.content_seed, vocabulary)
    }

    /// Draws request `index`, if there is one.
    fn draw(&mut self, index: u64) -> Option<Upcoming> {
        if self.count.is_some_and(|count| index >= count) {
            return None;
        }
        match &mut self.source {
            Source::Synthetic { operational, lengths, prefix_hit } => {
                let lambda = operational.draw();
                Some(Upcoming { lambda, request: synthetic(index, lengths, *prefix_hit) })
            }
            Source::Trace(trace) => {
                let row = trace.request(index as usize)?;
                let request = Request {
                    index,
                    input_tokens: row.input_tokens,
                    output_tokens: row.output_tokens,
                    segments: row.segments,
                    clamped: row.clamped,
                };
                Some(Upcoming { lambda: row.at.as_secs_f64(), request })
            }
        }
    }
}

/// The segment with which all prompts of a synthetic load begin. No request has this number.
const SHARED: u64 = u64::MAX;

/// A request of lengths of its own, which shares with others no more than what all have in common.
fn synthetic(index: u64, lengths: &mut Draw, prefix_hit: PrefixHit) -> Request {
    let pair = lengths.pair();
    let shared = prefix_hit.shared_tokens(pair.input);
    let mut segments = vec![Segment(index, pair.input - shared)];
    if shared > 0 {
        segments.insert(0, Segment(SHARED, shared));
    }
    Request { index, input_tokens: pair.input, output_tokens: pair.output, segments, clamped: pair.clamped }
}

impl Iterator for Schedule {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        let due = self.next_due()?;
        let request = self.upcoming.take()?.request;
        self.upcoming = self.draw(request.index + 1);
        Some(Planned { due, request })
    }
}
