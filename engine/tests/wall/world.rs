//! An engine, what it was asked, and everything it has said so far.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::cluster::{BatchLimits, ClusterConfig, FinishReason, Finished, FirstToken, Notice, ShiftReport};
use engine::drive::wall::{
    EngineEvent, EngineHandle, EventReader, Observation, Pace, Submission, WallConfig, WallEngine,
};
use engine::executor::{Executor, Sampled, Sampling};
use engine::model::counter;
use engine::units::{RequestId, Split, UnitId};

use crate::hashed::{self, BLOCK, VOCABULARY};
use crate::stage::{PATIENCE, Stage, staged};

/// How often the world looks whether something has happened while it waits.
const LOOK: Duration = Duration::from_millis(100);
/// Between two looks at an engine.
const REST: Duration = Duration::from_micros(200);

/// 256 blocks of 4 tokens a unit, prompts in chunks, everything else generous.
pub(crate) fn cluster() -> ClusterConfig {
    ClusterConfig {
        block_tokens: BLOCK,
        blocks_per_unit: 256,
        max_context: 1024,
        prefill: BatchLimits { tokens: 32, sequences: 8 },
        decode: BatchLimits { tokens: 16, sequences: 16 },
        aggregated: BatchLimits { tokens: 24, sequences: 8 },
        watermark_permille: 20,
        prefix_cache: true,
        first_token: FirstToken::AfterHandOff,
        drain_timeout: None,
    }
}

/// An engine with generous queues.
pub(crate) fn config(cluster: ClusterConfig, split_text: &str) -> WallConfig {
    let split = split(split_text);
    WallConfig { cluster, split, pace: Pace::Unbounded, request_limit: 4096, inbox_limit: 1024, event_limit: 1 << 20 }
}

/// A split, spelled.
pub(crate) fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

/// Token ids below `vocabulary` that follow from `seed`.
pub(crate) fn text(seed: u64, length: u32, vocabulary: u32) -> Arc<[u32]> {
    let key = counter::stream(0x7E57, seed);
    (0..u64::from(length)).map(|n| (counter::value(key, n) % u64::from(vocabulary)) as u32).collect()
}

/// How a request ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Finished(Finished),
    Refused(String),
}

/// A request as it was asked.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) prompt: Arc<[u32]>,
    pub(crate) output: u32,
}

/// A running engine.
pub(crate) struct World {
    pub(crate) stage: Arc<Stage>,
    pub(crate) handle: EngineHandle,
    pub(crate) log: Vec<EngineEvent>,
    /// The last submission under each number.
    pub(crate) asked: BTreeMap<RequestId, Asked>,
    engine: Option<WallEngine>,
    reader: EventReader,
    seen: usize,
    /// Alive as long as an executor is.
    life: Arc<()>,
}

impl World {
    /// Units with a hash for a model.
    pub(crate) fn new(split: &str) -> Self {
        Self::with(config(cluster(), split))
    }

    /// The same, set up in another way.
    pub(crate) fn with(config: WallConfig) -> Self {
        let stage = Arc::new(Stage::default());
        let life = Arc::new(());
        let units = hashed::executors(config.split.units(), config.cluster.blocks_per_unit, &life);
        Self::start(config, staged(&stage, units), stage, life)
    }

    /// Any executors; `stage` is what they follow, `life` what they hold.
    pub(crate) fn start(
        config: WallConfig,
        executors: Vec<Box<dyn Executor>>,
        stage: Arc<Stage>,
        life: Arc<()>,
    ) -> Self {
        let (engine, reader) = WallEngine::start(config, executors).expect("an engine");
        let handle = engine.handle();
        Self { stage, handle, log: Vec::new(), asked: BTreeMap::new(), engine: Some(engine), reader, seen: 0, life }
    }

    /// Submits a prompt of its own of `prompt` tokens.
    pub(crate) fn submit(&mut self, request: u64, prompt: u32, output: u32) {
        self.submit_text(request, text(request, prompt, VOCABULARY), output);
    }

    /// Submits a prompt.
    pub(crate) fn submit_text(&mut self, request: u64, prompt: Arc<[u32]>, output: u32) {
        self.asked.insert(RequestId(request), Asked { prompt: Arc::clone(&prompt), output });
        self.handle.submit(submission(request, prompt, output)).expect("a place in the inbox");
    }

    /// Reads on until an event that was not looked at yet satisfies `is_it`, and returns that.
    pub(crate) fn until(&mut self, what: &str, is_it: impl Fn(&EngineEvent) -> bool) -> EngineEvent {
        let mut idle = 0;
        loop {
            while let Some(event) = self.log.get(self.seen) {
                self.seen += 1;
                if is_it(event) {
                    return event.clone();
                }
            }
            self.read_on(what, &mut idle);
        }
    }

    /// Reads what there is, waiting for it a little. Fails when there has been nothing for too long.
    fn read_on(&mut self, what: &str, idle: &mut u32) {
        let before = self.log.len();
        self.reader.drain(&mut self.log, LOOK);
        *idle = if self.log.len() > before { 0 } else { *idle + 1 };
        assert!(LOOK * *idle < PATIENCE, "waited in vain for {what}; the last events: {:?}", self.last_events());
    }

    fn last_events(&self) -> &[EngineEvent] {
        &self.log[self.log.len().saturating_sub(5)..]
    }

    /// Reads on until what was read so far is as expected.
    pub(crate) fn until_so(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let mut idle = 0;
        while !is_so(self) {
            self.read_on(what, &mut idle);
        }
    }

    /// Reads on until every request of `requests` is over.
    pub(crate) fn until_over(&mut self, requests: impl IntoIterator<Item = u64>) {
        for request in requests {
            let what = format!("the end of request {request}");
            self.until_so(&what, |world| world.outcome(RequestId(request)).is_some());
        }
    }

    /// Reads on until `shifts` shifts have ended.
    pub(crate) fn until_shifted(&mut self, shifts: usize) {
        self.until_so("a shift to end", |world| world.shifts().len() >= shifts);
    }

    /// Reads on until the engine closes.
    pub(crate) fn until_closed(&mut self) {
        while self.reader.drain(&mut self.log, LOOK) {}
    }

    /// Looks at the engine until it is as expected.
    pub(crate) fn until_observed(&self, what: &str, is_so: impl Fn(&Observation) -> bool) -> Observation {
        let mut waited = Duration::ZERO;
        loop {
            let seen = self.handle.observe();
            if is_so(&seen) {
                return seen;
            }
            assert!(waited < PATIENCE, "waited in vain for {what}: {seen:?}");
            // Whoever is waited for may need this core.
            std::thread::sleep(REST);
            waited += REST;
        }
    }

    /// The first outcome of a request.
    pub(crate) fn outcome(&self, request: RequestId) -> Option<Outcome> {
        self.outcomes(request).into_iter().next()
    }

    /// All outcomes of a request, in order.
    pub(crate) fn outcomes(&self, request: RequestId) -> Vec<Outcome> {
        let outcome = |event: &EngineEvent| match event {
            EngineEvent::Finished { finished, .. } if finished.request == request => {
                Some(Outcome::Finished(finished.clone()))
            }
            EngineEvent::Refused { request: refused, why, .. } if *refused == request => {
                Some(Outcome::Refused(why.to_string()))
            }
            _ => None,
        };
        self.log.iter().filter_map(outcome).collect()
    }

    /// How a request that is over went.
    pub(crate) fn finished(&self, request: u64) -> Finished {
        let outcome = self.outcome(RequestId(request));
        let finished =
            if let Some(Outcome::Finished(finished)) = &outcome { Ok(finished.clone()) } else { Err(outcome) };
        finished.expect("a request that was accepted and is over")
    }

    /// Why a request was refused.
    pub(crate) fn refusal(&self, request: u64) -> String {
        let outcome = self.outcome(RequestId(request));
        let refusal = if let Some(Outcome::Refused(why)) = &outcome { Ok(why.clone()) } else { Err(outcome) };
        refusal.expect("a request that was refused")
    }

    /// The tokens of all answers so far; each came once, in order.
    pub(crate) fn answers(&self) -> BTreeMap<RequestId, Vec<Sampled>> {
        let mut answers: BTreeMap<RequestId, Vec<Sampled>> = BTreeMap::new();
        for event in &self.log {
            if let &EngineEvent::Token { request, index, token, logits_digest, .. } = event {
                let answer = answers.entry(request).or_default();
                assert_eq!(answer.len(), index as usize, "{request:?}: tokens come once and in order");
                answer.push(Sampled { token, logits_digest });
            }
        }
        answers
    }

    /// All shifts that ended so far.
    pub(crate) fn shifts(&self) -> Vec<ShiftReport> {
        let report = |event: &EngineEvent| match event {
            EngineEvent::Notice { notice: Notice::ShiftEnded(report), .. } => Some(report.clone()),
            _ => None,
        };
        self.log.iter().filter_map(report).collect()
    }

    /// The units lost so far.
    pub(crate) fn lost(&self) -> Vec<UnitId> {
        let unit = |event: &EngineEvent| match event {
            EngineEvent::UnitLost { unit, .. } => Some(*unit),
            _ => None,
        };
        self.log.iter().filter_map(unit).collect()
    }

    /// Every request of `requests` was answered in full with the tokens that its prompt leads to.
    pub(crate) fn assert_answered(&self, requests: impl IntoIterator<Item = u64>) {
        let answers = self.answers();
        for request in requests {
            let Asked { prompt, output } = &self.asked[&RequestId(request)];
            assert_eq!(self.finished(request).reason, FinishReason::Length, "request {request}");
            assert_eq!(answers[&RequestId(request)], hashed::answer(prompt, *output), "request {request}");
        }
    }

    /// Every request of `requests` ended because nobody could serve it, with a part of the right answer.
    pub(crate) fn assert_given_up(&self, requests: impl IntoIterator<Item = u64>) {
        let answers = self.answers();
        for request in requests {
            let Asked { prompt, .. } = &self.asked[&RequestId(request)];
            let finished = self.finished(request);
            assert_eq!(finished.reason, FinishReason::NoCapacity, "request {request}");
            let answer = answers.get(&RequestId(request)).map_or(&[][..], Vec::as_slice);
            assert_eq!(finished.output_tokens as usize, answer.len(), "request {request}");
            assert_eq!(answer, hashed::answer(prompt, finished.output_tokens), "request {request}");
        }
    }

    /// Nobody holds a block any more, nobody is in flight, and every request had one outcome.
    pub(crate) fn assert_at_rest(&self) {
        self.until_observed("all blocks to come back", |now| now.units.iter().all(|unit| unit.figures.held == 0));
        self.handle.check().expect("every invariant");
        for &request in self.asked.keys() {
            assert_eq!(self.outcomes(request).len(), 1, "{request:?}");
        }
    }

    /// Stops the engine; its threads are gone afterwards, and so are their executors.
    pub(crate) fn close(&mut self) {
        self.engine = None;
        assert_eq!(Arc::strong_count(&self.life), 1, "an executor outlives the engine");
    }

    /// The engine itself, to close it elsewhere.
    pub(crate) fn take_engine(&mut self) -> WallEngine {
        self.engine.take().expect("the engine was not closed yet")
    }

    /// How many executors are alive.
    pub(crate) fn executors(&self) -> usize {
        Arc::strong_count(&self.life) - 1
    }
}

impl Drop for World {
    /// A test that fails with somebody on hold must not wait for ever for its threads.
    fn drop(&mut self) {
        self.stage.release_all();
    }
}

/// A greedy request without stop tokens.
pub(crate) fn submission(request: u64, prompt: Arc<[u32]>, output_tokens: u32) -> Submission {
    let request = RequestId(request);
    Submission { request, prompt, output_tokens, sampling: Sampling::Greedy, stop: Arc::new([]), logprobs: None }
}

/// Whether an event is this token.
pub(crate) fn is_token(event: &EngineEvent, of: u64, at: u32) -> bool {
    matches!(event, EngineEvent::Token { request, index, .. } if *request == RequestId(of) && *index == at)
}
