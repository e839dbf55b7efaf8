//! The engine inside the program as a target.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::cluster::{FinishReason, Finished, How, Notice, ShiftId};
use engine::drive::wall::{
    EngineEvent, EngineHandle, EventReader, Observation, ShiftError, Submission, SubmitError, UnitObservation,
    WallEngine,
};
use engine::executor::Sampling;
use engine::units::{Nanos, RequestId, Split, UnitId};

use super::{
    Abilities, ClusterView, Connection, Control, Dispatch, Shed, Target, TargetEvent, TargetEvents, TargetInfo, cpu,
};
use crate::clock::RunClock;
use crate::live::UnitView;
use crate::sample::{Failure, FailureKind, Outcome, ServerSide};
use crate::time::Micros;

/// Opens a running engine as a target. The engine lives as long as the connection's target.
pub fn connect(engine: WallEngine, reader: EventReader, info: TargetInfo) -> Connection {
    let handle = engine.handle();
    let answers = Answers::default();
    let last = Mutex::new(handle.observe());
    let abilities = if info.name == cpu::NAME { cpu::ABILITIES } else { Abilities::ENGINE };
    let control = EmbeddedControl { handle: handle.clone(), last, answers: answers.clone(), abilities };
    let events = EmbeddedEvents { reader, handle: handle.clone(), origin: Nanos::ZERO, fresh: Vec::new(), answers };
    Connection {
        info,
        target: Arc::new(Embedded { handle, _engine: engine }),
        events: Box::new(events),
        terms: None,
        control: Some(Arc::new(control)),
        metrics: None,
        client: None,
        time_scale: 1.0,
        tells_answers: true,
        remarks: Vec::new(),
    }
}

#[derive(Debug)]
struct Embedded {
    handle: EngineHandle,
    _engine: WallEngine,
}

impl Target for Embedded {
    fn submit(&self, dispatch: Dispatch) -> Result<(), Shed> {
        let submission = Submission {
            request: RequestId(dispatch.index),
            prompt: dispatch.prompt,
            output_tokens: dispatch.output_tokens,
            sampling: Sampling::Greedy,
            // A load test wants the length it asked for.
            stop: Arc::new([]),
            logprobs: None,
        };
        self.handle.submit(submission).map_err(|error| match error {
            SubmitError::TooMany => Shed::TooMany,
            SubmitError::Full => Shed::InboxFull,
            SubmitError::Closed => Shed::Stopped,
        })
    }

    fn cancel(&self, index: u64) {
        self.handle.cancel(RequestId(index));
    }
}

/// Shifts that may be answered and unread; one more is not asked for.
const ANSWERS: usize = 64;

/// What the engine has said of a shift that it was asked for.
#[derive(Debug)]
struct Answer {
    at: Nanos,
    to: Split,
    how: How,
    said: Result<ShiftId, ShiftError>,
}

/// Answers that were not read yet. Locked while the engine is asked, so that what it tells of a shift cannot be read before
/// the answer.
#[derive(Clone, Debug, Default)]
struct Answers(Arc<Mutex<Vec<Answer>>>);

impl Answers {
    fn lock(&self) -> MutexGuard<'_, Vec<Answer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct EmbeddedEvents {
    reader: EventReader,
    answers: Answers,
    handle: EngineHandle,
    /// The engine's clock at the start of the run.
    origin: Nanos,
    fresh: Vec<EngineEvent>,
}

impl TargetEvents for EmbeddedEvents {
    fn align(&mut self, clock: RunClock) {
        let engine_now = self.handle.clock().now();
        self.origin = engine_now.since(Nanos(clock.now().0 * 1000));
    }

    fn drain(&mut self, into: &mut Vec<TargetEvent>, wait: Duration) -> bool {
        let open = self.reader.drain(&mut self.fresh, wait);
        let origin = self.origin;
        let on_run = |at: Nanos| Micros(at.since(origin).0 / 1000);
        into.extend(self.answers.lock().drain(..).map(|Answer { at, to, how, said }| match said {
            Ok(id) => TargetEvent::ShiftAccepted { at: on_run(at), id, to, how },
            Err(error) => TargetEvent::ShiftRefused { at: on_run(at), to, how, why: error.to_string() },
        }));
        into.extend(self.fresh.drain(..).filter_map(|event| translate(event, on_run)));
        open
    }
}

/// An engine's event in the run's words and, by `on_run`, in its time; `None` for what is told otherwise.
pub(crate) fn translate(event: EngineEvent, on_run: impl Fn(Nanos) -> Micros) -> Option<TargetEvent> {
    Some(match event {
        EngineEvent::Token { at, request, token, logits_digest, .. } => {
            TargetEvent::Token { index: request.0, at: on_run(at), token: Some(token), logits_digest }
        }
        EngineEvent::Finished { at, finished } => TargetEvent::Ended {
            index: finished.request.0,
            at: on_run(at),
            outcome: outcome(finished.reason),
            server: Some(server_side(&finished, &on_run)),
        },
        EngineEvent::Refused { at, request, why } => TargetEvent::Ended {
            index: request.0,
            at: on_run(at),
            outcome: failed(FailureKind::Refused, why.to_string()),
            server: None,
        },
        EngineEvent::Notice { at, notice } => match notice {
            Notice::Unit { unit, role, state, held } => TargetEvent::Unit { at: on_run(at), unit, role, state, held },
            Notice::ShiftStarted { id, to, how } => TargetEvent::ShiftStarted { at: on_run(at), id, to, how },
            Notice::ShiftEnded(report) => TargetEvent::ShiftEnded { at: on_run(at), report },
            // Counted by the request itself, see `ServerSide::preemptions`.
            Notice::Preempted { .. } => return None,
        },
        EngineEvent::ShiftDropped { at, id, to, how, why } => {
            TargetEvent::ShiftDropped { at: on_run(at), id, to, how, why }
        }
        EngineEvent::UnitLost { at, unit, why } => TargetEvent::UnitLost { at: on_run(at), unit, why },
    })
}

/// How an engine's word for the end of a request reads for a load test.
pub(crate) fn outcome(reason: FinishReason) -> Outcome {
    match reason {
        FinishReason::Length | FinishReason::Stop => Outcome::Completed,
        FinishReason::Cancelled => Outcome::Cancelled,
        FinishReason::NoCapacity => failed(FailureKind::Engine, "no unit is left that could serve it".to_owned()),
    }
}

fn failed(kind: FailureKind, message: String) -> Outcome {
    Outcome::Failed(Failure { kind, message })
}

/// What an engine tells of a request that is over.
pub(crate) fn server_side(finished: &Finished, on_run: impl Fn(Nanos) -> Micros) -> ServerSide {
    let stages = finished.stages;
    ServerSide {
        prefill_unit: finished.prefill_unit.map(|unit| unit.0),
        decode_unit: finished.decode_unit.map(|unit| unit.0),
        prefix_queried: finished.prefix_queried,
        prefix_hit: finished.prefix_hit,
        preemptions: finished.preemptions,
        arrived: Some(on_run(stages.arrived)),
        prefill_start: stages.prefill_start.map(&on_run),
        prefill_end: stages.prefill_end.map(&on_run),
        handoff_start: stages.handoff_start.map(&on_run),
        handoff_end: stages.handoff_end.map(&on_run),
        decode_start: stages.decode_start.map(&on_run),
        told: None,
    }
}

#[derive(Debug)]
struct EmbeddedControl {
    handle: EngineHandle,
    last: Mutex<Observation>,
    answers: Answers,
    abilities: Abilities,
}

impl Control for EmbeddedControl {
    fn observe(&self) -> ClusterView {
        let now = self.handle.observe();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *last, now.clone());
        drop(last);
        view(&now, &before)
    }

    fn shift(&self, to: Split, how: How) -> Result<(), String> {
        let mut answers = self.answers.lock();
        if answers.len() == ANSWERS {
            return Err(format!("{ANSWERS} shifts have answers that nobody has read"));
        }
        let at = self.handle.clock().now();
        answers.push(Answer { at, to, how, said: self.handle.shift(to, how) });
        Ok(())
    }

    fn abilities(&self) -> Abilities {
        self.abilities
    }
}

/// What is seen of an engine; rates and shares of time are those since `before`.
pub(crate) fn view(now: &Observation, before: &Observation) -> ClusterView {
    let units = now.units.iter().zip(&before.units);
    ClusterView {
        split: now.split,
        units: units.map(|(unit, before_unit)| unit_view(unit, before_unit, now.at, before.at)).collect(),
        waiting_shifts: now.waiting_shifts.iter().map(|shift| (shift.to, shift.how)).collect(),
    }
}

fn unit_view(now: &UnitObservation, before: &UnitObservation, at: Nanos, last: Nanos) -> UnitView {
    let seconds = at.since(last).as_secs_f64().max(1e-3);
    let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / seconds;
    let figures = &now.figures;
    let share = |blocks: u32| f64::from(blocks) / f64::from(figures.blocks.max(1));
    UnitView {
        unit: UnitId(now.unit.0),
        role: figures.role,
        state: figures.state,
        in_state: Micros(at.since(figures.since).0 / 1000),
        measured: true,
        busy: (now.busy.since(before.busy).as_secs_f64() / seconds).clamp(0.0, 1.0),
        queue: figures.queue,
        running: figures.running,
        handing_off: figures.handing_off,
        kv_used: share(figures.held),
        kv_cached: share(figures.cached),
        input_tps: rate(now.input_tokens, before.input_tokens),
        output_tps: rate(now.output_tokens, before.output_tokens),
    }
}
