//! Where the time of a request goes: consecutive stages that add up to its TTFT, and to its whole life.
//!
//! ```text
//!  due ─lag─ sent ─way in─ arrived ─queue─ start ─prefill─ end ─hand-off wait─ start ─copy─ end ─decode queue─ ─way back─ first
//! ```
//!
//! The law: the stages of a sample add up to its TTFT, whatever the target tells and in whatever order its clock puts it.
//! An instant that is missing makes the stretch between its neighbours [`Stage::Unknown`]; one out of order is moved to
//! the nearest instant that keeps the order. A unit that does both has no hand-off, and a hand-off that starts after the
//! first token (migration, or a cluster that answers from the prefill unit) is no part of TTFT.
//!
//! The engine keeps the first start of the prefill, of the hand-off and of decoding, and the end of the prefill that sampled
//! the first token. What a sequence loses to preemption therefore lies in the stage in which it lost its KV.

use crate::sample::{Sample, ServerSide};
use crate::time::Micros;

/// A stretch between two instants of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Due, not sent: the client's own delay.
    Lag,
    /// Sent, not arrived at the engine.
    WayIn,
    /// Waiting for its first prompt chunk.
    Queue,
    /// Its prompt is computed: from its first chunk to its last.
    Prefill,
    /// Computed, waiting for room at a unit that decodes.
    HandOffWait,
    /// Its KV is copied.
    HandOff,
    /// Waiting for its first decode step.
    DecodeQueue,
    /// From the last instant that the server told to the arrival of the first token: the way to the client, and with servers
    /// that answer from their first decode step that step too.
    WayBack,
    /// Between instants that the target does not tell.
    Unknown,
    /// From its first decode step to its last token. No part of TTFT.
    Decode,
}

impl Stage {
    /// Those that TTFT consists of, in order of time; [`Unknown`](Self::Unknown) comes last.
    pub const TTFT: [Self; 9] = [
        Self::Lag,
        Self::WayIn,
        Self::Queue,
        Self::Prefill,
        Self::HandOffWait,
        Self::HandOff,
        Self::DecodeQueue,
        Self::WayBack,
        Self::Unknown,
    ];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lag => "client lag",
            Self::WayIn => "way in",
            Self::Queue => "prefill queue",
            Self::Prefill => "prefill",
            Self::HandOffWait => "hand-off wait",
            Self::HandOff => "hand-off copy",
            Self::DecodeQueue => "decode queue",
            Self::WayBack => "way back",
            Self::Unknown => "unknown",
            Self::Decode => "decode",
        }
    }
}

/// A stage of one request, on the run's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Which.
    pub stage: Stage,
    /// Its start.
    pub from: Micros,
    /// Its end.
    pub to: Micros,
}

impl Span {
    /// How long it took.
    pub fn length(self) -> Micros {
        self.to.since(self.from)
    }
}

/// What each stage of a TTFT took: of one request, or the mean of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageTimes([u64; Stage::TTFT.len()]);

impl StageTimes {
    /// Of a request that got a first token.
    pub fn of(sample: &Sample) -> Option<Self> {
        let mut times = Self::default();
        until_first(sample.due, sample.sent, sample.first?, sample.server.as_ref(), &mut |span: Span| {
            times.add_to(span.stage, span.length());
        });
        Some(times)
    }

    /// Time spent in `stage`; nothing in stages that TTFT does not contain.
    pub fn get(&self, stage: Stage) -> Micros {
        Micros(self.0.get(stage as usize).copied().unwrap_or(0))
    }

    /// All stages together: TTFT.
    pub fn total(&self) -> Micros {
        Micros(self.0.iter().fold(0, |sum, time| sum.saturating_add(*time)))
    }

    /// The share of the whole that was spent in `stage`, 0..=1; 0 of nothing.
    pub fn share(&self, stage: Stage) -> f64 {
        let total = self.total().as_secs_f64();
        if total > 0.0 { self.get(stage).as_secs_f64() / total } else { 0.0 }
    }

    /// Every stage with its time, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Stage, Micros)> + '_ {
        Stage::TTFT.into_iter().map(|stage| (stage, self.get(stage)))
    }

    /// The stage that took longest; `None` when no time passed.
    pub fn longest(&self) -> Option<Stage> {
        self.iter().filter(|(_, time)| *time > Micros::ZERO).max_by_key(|(_, time)| *time).map(|(stage, _)| stage)
    }

    /// From times by stage, the last one of a stage counts.
    pub fn from_stages(times: impl IntoIterator<Item = (Stage, Micros)>) -> Self {
        let mut all = Self::default();
        for (stage, time) in times {
            if let Some(slot) = all.0.get_mut(stage as usize) {
                *slot = time.0;
            }
        }
        all
    }

    fn add_to(&mut self, stage: Stage, time: Micros) {
        if let Some(slot) = self.0.get_mut(stage as usize) {
            *slot = slot.saturating_add(time.0);
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (sum, time) in self.0.iter_mut().zip(other.0) {
            *sum = sum.saturating_add(time);
        }
    }

    /// Each stage divided by `requests`.
    pub(super) fn mean(&self, requests: u64) -> Self {
        Self(self.0.map(|sum| sum.checked_div(requests).unwrap_or(0)))
    }
}

/// The stages of a whole request, consecutive from `due` to `ended`; empty ones are left out.
///
/// Up to the first token they are those of its TTFT. A request that ended without a token was in the stage after the last
/// instant told of it.
pub(crate) fn whole(
    due: Micros,
    sent: Option<Micros>,
    [first, last]: [Option<Micros>; 2],
    ended: Micros,
    server: Option<&ServerSide>,
) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    let mut keep = |span: Span| {
        if span.from < span.to {
            spans.push(span);
        }
    };
    if let Some(first) = first {
        until_first(due, sent, first, server, &mut keep);
        // No token comes before its request was due, whatever a clock says.
        let first = first.max(due);
        let last = last.map_or(first, |last| last.max(first));
        after_first(first, last, server, &mut keep);
        // A stream that broke off is over later than its last token.
        keep(Span { stage: Stage::Unknown, from: last, to: ended });
    } else {
        unanswered(due, sent, ended, server, &mut keep);
    }
    spans
}

/// Hands on stages that follow each other from `at` to `until`, whatever instants it is told.
struct Walk<'a, F> {
    at: Micros,
    until: Micros,
    /// An instant since `at` was not told.
    gap: bool,
    sink: &'a mut F,
}

impl<F: FnMut(Span)> Walk<'_, F> {
    /// `stage` ended at `end`, if that is known.
    fn stage(&mut self, stage: Stage, end: Option<Micros>) {
        let Some(end) = end else {
            self.gap = true;
            return;
        };
        let end = end.min(self.until).max(self.at);
        let stage = if std::mem::take(&mut self.gap) { Stage::Unknown } else { stage };
        (self.sink)(Span { stage, from: self.at, to: end });
        self.at = end;
    }
}

fn until_first(
    due: Micros,
    sent: Option<Micros>,
    first: Micros,
    server: Option<&ServerSide>,
    sink: &mut impl FnMut(Span),
) {
    let nothing = ServerSide::default();
    let server = server.unwrap_or(&nothing);
    let mut walk = Walk { at: due, until: first.max(due), gap: false, sink };
    walk.stage(Stage::Lag, sent);
    walk.stage(Stage::WayIn, server.arrived);
    walk.stage(Stage::Queue, server.prefill_start);
    walk.stage(Stage::Prefill, server.prefill_end);
    let before_first = |at: &Micros| *at <= first;
    if server.handoff_start.or(server.handoff_end).as_ref().is_some_and(before_first) {
        walk.stage(Stage::HandOffWait, server.handoff_start);
        walk.stage(Stage::HandOff, server.handoff_end);
        if let Some(start) = server.decode_start.filter(before_first) {
            walk.stage(Stage::DecodeQueue, Some(start));
        }
    }
    walk.stage(Stage::WayBack, Some(first));
}

/// A hand-off counts when it comes before decoding; one that comes later moves a sequence that decodes.
fn after_first(first: Micros, last: Micros, server: Option<&ServerSide>, sink: &mut impl FnMut(Span)) {
    let nothing = ServerSide::default();
    let server = server.unwrap_or(&nothing);
    let mut walk = Walk { at: first, until: last, gap: false, sink };
    let handed = server.handoff_start.filter(|at| *at > first && server.decode_start.is_none_or(|start| *at <= start));
    if let (Some(start), Some(end)) = (handed, server.handoff_end) {
        walk.stage(Stage::HandOffWait, Some(start));
        walk.stage(Stage::HandOff, Some(end));
    }
    if let Some(start) = server.decode_start {
        walk.stage(Stage::DecodeQueue, Some(start));
    }
    walk.stage(Stage::Decode, Some(last));
}

fn unanswered(
    due: Micros,
    sent: Option<Micros>,
    ended: Micros,
    server: Option<&ServerSide>,
    sink: &mut impl FnMut(Span),
) {
    let nothing = ServerSide::default();
    let told = server.unwrap_or(&nothing);
    let stages = [
        (Stage::Lag, sent),
        (Stage::WayIn, told.arrived),
        (Stage::Queue, told.prefill_start),
        (Stage::Prefill, told.prefill_end),
        (Stage::HandOffWait, told.handoff_start),
        (Stage::HandOff, told.handoff_end),
        (Stage::DecodeQueue, told.decode_start),
    ];
    let reached = stages.iter().rposition(|(_, end)| end.is_some()).map_or(0, |last| last + 1);
    let mut walk = Walk { at: due, until: ended.max(due), gap: false, sink };
    for (stage, end) in stages.into_iter().take(reached) {
        walk.stage(stage, end);
    }
    let was_in = match stages.get(reached) {
        Some((Stage::Lag, _)) => Stage::Lag,
        // Who tells no instants does not tell that one was not reached.
        Some((stage, _)) if server.is_some_and(|server| server.told.is_none()) => *stage,
        _ => Stage::Unknown,
    };
    walk.stage(was_in, Some(ended));
}

#[cfg(test)]
mod tests;
