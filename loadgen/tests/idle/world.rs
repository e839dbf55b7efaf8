//! An engine that computes nothing, whose steps can be held up, behind a gRPC server. Tests of other crates use it, too.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use engine::cluster::{BatchLimits, ClusterConfig, FirstToken, Transfer};
use engine::drive::wall::{Observation, Pace, WallConfig, WallEngine};
use engine::executor::{Executor, ExecutorError, Sampled, Sampling, StepInput};
use engine::model::{ModelText, Tokenizer};
use engine::serve::ServedModel;
use engine::serve::grpc::{GrpcConfig, GrpcServer};
use engine::serve::hub::{Answer, Generation, Hub, HubConfig};
use engine::units::Nanos;
use tokio::runtime::{Builder, Runtime};

/// Longer than anything takes: a test that would hang fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);
const CONTEXT: u32 = 1024;

/// Holds up every step while it is closed.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<Held>, Condvar)>);

#[derive(Debug, Default)]
struct Held {
    closed: bool,
    steps: usize,
}

impl Gate {
    pub(crate) fn close(&self) {
        self.0.0.lock().unwrap().closed = true;
    }

    pub(crate) fn open(&self) {
        self.0.0.lock().unwrap().closed = false;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let (held, changed) = &*self.0;
        let mut held = held.lock().unwrap();
        held.steps += 1;
        changed.notify_all();
        let mut held = changed.wait_while(held, |held| held.closed).unwrap();
        held.steps -= 1;
    }

    /// Waits until so many steps are held up.
    pub(crate) fn holds(&self, steps: usize) {
        let (held, changed) = &*self.0;
        let waited = changed.wait_timeout_while(held.lock().unwrap(), PATIENCE, |held| held.steps < steps).unwrap();
        assert!(!waited.1.timed_out(), "{:?}", *waited.0);
    }
}

/// Computes nothing, as long as the gate says.
struct Idle(Gate);

impl Executor for Idle {
    fn step(&mut self, input: StepInput<'_>, sampled: &mut Vec<Sampled>) -> Result<(), ExecutorError> {
        self.0.pass();
        let wanted = input.plan.sequences.iter().filter(|sequence| sequence.sample);
        sampled.extend(wanted.map(|_| Sampled { token: 1, logits_digest: 0 }));
        Ok(())
    }

    fn import(&mut self, _: &Transfer, _: Range<u32>) -> Result<(), ExecutorError> {
        Ok(())
    }
}

pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) gate: Gate,
    pub(crate) address: String,
    /// The server ends with it.
    runtime: Runtime,
}

impl World {
    /// Four units, two of them prefill.
    pub(crate) fn new(drain_timeout: Option<Nanos>) -> Self {
        let limits = BatchLimits { tokens: 64, sequences: 32 };
        let config = WallConfig {
            cluster: ClusterConfig {
                block_tokens: 16,
                blocks_per_unit: 1024,
                max_context: CONTEXT,
                prefill: limits,
                decode: limits,
                aggregated: limits,
                watermark_permille: 20,
                prefix_cache: true,
                first_token: FirstToken::AfterHandOff,
                drain_timeout,
            },
            split: "2P2D".parse().expect("a split"),
            pace: Pace::Unbounded,
            inbox_limit: 64,
            request_limit: 64,
            event_limit: 4096,
        };
        let gate = Gate::default();
        let executors = (0..4).map(|_| Box::new(Idle(gate.clone())) as Box<dyn Executor>).collect();
        let (engine, reader) = WallEngine::start(config, executors).expect("an engine");
        let hub = Hub::start(engine, reader, HubConfig::new(CONTEXT, 300)).expect("a hub");
        let text = ModelText { tokenizer: Tokenizer::bytes(300), chat_template: None, eos: Vec::new() };
        let (name, text) = ("idle".to_owned(), Arc::new(text));
        let model = ServedModel { name, text, context_tokens: CONTEXT, kv_block_bytes: 1 };
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let address = {
            let _within = runtime.enter();
            let server = GrpcServer::bind("127.0.0.1:0".parse().expect("an address"), GrpcConfig::default());
            let server = server.expect("a port");
            let (address, hub) = (format!("grpc://{}", server.address()), hub.clone());
            runtime.spawn(async move { server.run(hub, &model, std::future::pending()).await });
            address
        };
        Self { hub, gate, address, runtime }
    }

    /// Asks for an answer of 20 tokens.
    pub(crate) fn ask(&self, token: u32) -> Answer {
        let generation = Generation {
            prompt: vec![token; 40].into(),
            output_tokens: 20,
            sampling: Sampling::Greedy,
            stop: Arc::default(),
            logprobs: None,
        };
        self.hub.generate(vec![generation]).expect("room").pop().expect("an answer")
    }

    /// Requests on both prefill units, in a step that lasts until the gate opens.
    pub(crate) fn busy_prefill(&self) -> [Answer; 2] {
        self.gate.close();
        let answers = [1, 2].map(|token| self.ask(token));
        self.gate.holds(2);
        answers
    }

    /// Waits until units and shifts are so; looks whenever something has happened to them.
    pub(crate) fn until(&self, what: &str, is_so: impl Fn(&Observation) -> bool) {
        let looking = async {
            let mut news = self.hub.news();
            while !is_so(&self.hub.observe()) {
                news.next().await.expect("the engine goes on");
            }
        };
        let seen = self.run(async { tokio::time::timeout(PATIENCE, looking).await });
        assert!(seen.is_ok(), "never: {what}");
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A unit that waits at the gate would be waited for.
        self.gate.open();
    }
}
