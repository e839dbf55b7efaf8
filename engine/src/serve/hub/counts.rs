//! What the hub counts. Pure.

use super::answer::{End, Over};
use super::shared::Why;
use crate::cluster::{FinishReason, Finished, Notice};
use crate::drive::wall::EngineEvent;
use crate::serve::histogram::{Histogram, SECONDS, TOKENS};
use crate::units::Nanos;

/// Everything since the start. The fields of requests count each admitted request once, when its consumer has come to its end.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Requests admitted.
    pub admitted: u64,
    /// Requests not admitted though there could have been room for them: as many as allowed were in flight, the engine's inbox was
    /// full, or the engine had stopped.
    pub turned_away: u64,
    /// Answers that ended with a stop token, or that their consumer found complete.
    pub stopped: u64,
    /// Answers as long as asked for.
    pub full_length: u64,
    /// Requests whose consumer went away.
    pub abandoned: u64,
    /// Requests whose consumer was too far behind.
    pub overrun: u64,
    /// Requests that the engine could not serve.
    pub failed: u64,
    /// Prompt tokens of admitted requests.
    pub prompt_tokens: u64,
    /// Tokens that came out of the engine.
    pub output_tokens: u64,
    /// Times a sequence lost its KV and was computed anew.
    pub preemptions: u64,
    /// Shifts that started.
    pub shifts_started: u64,
    /// Shifts that converged.
    pub shifts_converged: u64,
    /// Shifts that were given up, or could not start when their turn came.
    pub shifts_failed: u64,
    /// Units that were lost.
    pub units_lost: u64,
    pub(in crate::serve) ttft: Histogram,
    pub(in crate::serve) itl: Histogram,
    pub(in crate::serve) tpot: Histogram,
    pub(in crate::serve) e2e: Histogram,
    pub(in crate::serve) queued: Histogram,
    pub(in crate::serve) prefill: Histogram,
    pub(in crate::serve) handoff: Histogram,
    pub(in crate::serve) decode: Histogram,
    pub(in crate::serve) prompt_lengths: Histogram,
    pub(in crate::serve) answer_lengths: Histogram,
}

/// The instants of one request, on the engine's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) submitted: Nanos,
    pub(super) first: Option<Nanos>,
    pub(super) last: Option<Nanos>,
    pub(super) tokens: u32,
    pub(super) prompt_tokens: u32,
}

impl Times {
    /// As they were for a consumer that has taken so many tokens, the last of which came `at`.
    pub(super) fn cut(self, tokens: u32, at: Nanos) -> Self {
        Self { last: Some(at), tokens, ..self }
    }
}

impl Counts {
    pub(super) fn new() -> Self {
        let seconds = || Histogram::new(SECONDS);
        let tokens = || Histogram::new(TOKENS);
        Self {
            admitted: 0,
            turned_away: 0,
            stopped: 0,
            full_length: 0,
            abandoned: 0,
            overrun: 0,
            failed: 0,
            prompt_tokens: 0,
            output_tokens: 0,
            preemptions: 0,
            shifts_started: 0,
            shifts_converged: 0,
            shifts_failed: 0,
            units_lost: 0,
            ttft: seconds(),
            itl: seconds(),
            tpot: seconds(),
            e2e: seconds(),
            queued: seconds(),
            prefill: seconds(),
            handoff: seconds(),
            decode: seconds(),
            prompt_lengths: tokens(),
            answer_lengths: tokens(),
        }
    }

    /// A token of a request came out of the engine.
    pub(super) fn token(&mut self, times: &mut Times, at: Nanos) {
        self.output_tokens += 1;
        match times.last {
            None => {
                self.ttft.record(at.since(times.submitted).as_secs_f64());
                times.first = Some(at);
            }
            Some(last) => self.itl.record(at.since(last).as_secs_f64()),
        }
        times.last = Some(at);
        times.tokens += 1;
    }

    /// A request whose consumer stayed to the end is over.
    pub(super) fn finished(&mut self, times: &Times, finished: &Finished) {
        match finished.reason {
            FinishReason::Stop => self.stopped += 1,
            FinishReason::Length => self.full_length += 1,
            FinishReason::Cancelled => self.abandoned += 1,
            FinishReason::NoCapacity => self.failed += 1,
        }
        if matches!(finished.reason, FinishReason::Stop | FinishReason::Length) {
            self.completed(times);
        }
        self.stages(times, finished);
    }

    /// A request is over whose consumer left before it came to that end.
    pub(super) fn left(&mut self, over: &Over, why: Why) {
        match (why, &over.end) {
            // Was counted when the hub ended it.
            (_, End::Overrun) => {}
            (Why::Gone, End::Finished(_) | End::Refused(_) | End::Stopped) => self.abandoned += 1,
            (Why::Complete { tokens, at }, end) => {
                let times = over.times.cut(tokens, at);
                self.stopped += 1;
                self.completed(&times);
                if let End::Finished(finished) = end {
                    self.stages(&times, finished);
                }
            }
        }
    }

    /// How long a request was where.
    pub(super) fn stages(&mut self, times: &Times, finished: &Finished) {
        let mut span = |histogram: fn(&mut Self) -> &mut Histogram, from: Option<Nanos>, to: Option<Nanos>| {
            if let (Some(from), Some(to)) = (from, to) {
                histogram(self).record(to.since(from).as_secs_f64());
            }
        };
        let stages = &finished.stages;
        span(|counts| &mut counts.queued, Some(stages.arrived), stages.prefill_start);
        span(|counts| &mut counts.prefill, stages.prefill_start, stages.prefill_end);
        span(|counts| &mut counts.handoff, stages.handoff_start, stages.handoff_end);
        span(|counts| &mut counts.decode, stages.decode_start, times.last);
    }

    /// A request's answer is complete.
    pub(super) fn completed(&mut self, times: &Times) {
        self.prompt_lengths.record(f64::from(times.prompt_tokens));
        self.answer_lengths.record(f64::from(times.tokens));
        if let (Some(first), Some(last)) = (times.first, times.last) {
            self.e2e.record(last.since(times.submitted).as_secs_f64());
            if times.tokens > 1 {
                self.tpot.record(last.since(first).as_secs_f64() / f64::from(times.tokens - 1));
            }
        }
    }

    /// Something about units and shifts.
    pub(super) fn news(&mut self, event: &EngineEvent) {
        match event {
            EngineEvent::Notice { notice: Notice::Preempted { .. }, .. } => self.preemptions += 1,
            EngineEvent::Notice { notice: Notice::ShiftStarted { .. }, .. } => self.shifts_started += 1,
            EngineEvent::Notice { notice: Notice::ShiftEnded(report), .. } if report.abandoned.is_none() => {
                self.shifts_converged += 1;
            }
            EngineEvent::Notice { notice: Notice::ShiftEnded(_), .. } | EngineEvent::ShiftDropped { .. } => {
                self.shifts_failed += 1;
            }
            EngineEvent::UnitLost { .. } => self.units_lost += 1,
            EngineEvent::Notice { notice: Notice::Unit { .. }, .. }
            | EngineEvent::Token { .. }
            | EngineEvent::Finished { .. }
            | EngineEvent::Refused { .. } => {}
        }
    }
}
