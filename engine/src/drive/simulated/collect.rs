//! What comes of virtual time as the events of an engine.

use crate::cluster::{Finished, Notice, Refused};
use crate::drive::virtual_time::{Emitted, Sink, StepRun};
use crate::drive::wall::{EngineEvent, SubmissionRefused};
use crate::model::counter;
use crate::units::{Nanos, RequestId, UnitId};

/// What a unit has done since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) imports: u64,
    pub(super) imported_blocks: u64,
    pub(super) import_time: Nanos,
}

/// Collects events until they are taken.
#[derive(Debug)]
pub(super) struct Collect {
    vocabulary: u32,
    pub(super) events: Vec<EngineEvent>,
    pub(super) meters: Vec<Meter>,
    /// Requests that were refused or are over, and not counted yet.
    pub(super) ended: usize,
    /// A shift has ended, and the one that waits was not started yet.
    pub(super) shift_ended: bool,
    /// Rises with every change of a unit.
    pub(super) generation: u64,
}

impl Collect {
    pub(super) fn new(units: u16, vocabulary: u32) -> Self {
        Self {
            vocabulary: vocabulary.max(1),
            events: Vec::new(),
            meters: vec![Meter::default(); usize::from(units)],
            ended: 0,
            shift_ended: false,
            generation: 0,
        }
    }
}

impl Sink for Collect {
    const EVERY_TOKEN: bool = true;

    fn emitted(&mut self, emitted: Emitted) {
        let vocabulary = u64::from(self.vocabulary);
        self.events.extend(emitted.tokens().map(|(at, request, index, _)| {
            // Any id would do; this one is the same in every run.
            let token = (counter::value(request.0, u64::from(index)) % vocabulary) as u32;
            EngineEvent::Token { at, request, index, token, logits_digest: 0, logprobs: None }
        }));
    }

    fn finished(&mut self, at: Nanos, finished: Finished) {
        self.ended += 1;
        self.events.push(EngineEvent::Finished { at, finished });
    }

    fn stepped(&mut self, run: &StepRun) {
        if let Some(meter) = self.meters.get_mut(run.unit.index()) {
            meter.input_tokens += u64::from(run.shape.prompt_tokens);
            meter.output_tokens += u64::from(run.shape.sampled) * u64::from(run.steps);
        }
    }

    fn transferred(&mut self, at: Nanos, unit: UnitId, blocks: u32, since: Nanos) {
        if let Some(meter) = self.meters.get_mut(unit.index()) {
            meter.imports += 1;
            meter.imported_blocks += u64::from(blocks);
            meter.import_time = meter.import_time + at.since(since);
        }
    }

    fn noticed(&mut self, at: Nanos, notice: Notice) {
        self.shift_ended |= matches!(notice, Notice::ShiftEnded(_));
        self.generation += u64::from(matches!(notice, Notice::Unit { .. }));
        self.events.push(EngineEvent::Notice { at, notice });
    }

    fn refused(&mut self, at: Nanos, request: RequestId, why: Refused) {
        self.ended += 1;
        self.events.push(EngineEvent::Refused { at, request, why: SubmissionRefused::Cluster(why) });
    }
}
