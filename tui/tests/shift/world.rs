//! An engine whose steps can be held up, behind a server, and the program as a child.

use std::io::{BufRead, BufReader, Read};
use std::ops::Range;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};

use engine::cluster::{BatchLimits, ClusterConfig, FirstToken, Transfer};
use engine::drive::wall::{Pace, WallConfig, WallEngine};
use engine::executor::{Executor, ExecutorError, Sampled, Sampling, StepInput};
use engine::model::{ModelText, Tokenizer};
use engine::serve::ServedModel;
use engine::serve::grpc::{GrpcConfig, GrpcServer};
use engine::serve::hub::{Answer, Generation, Hub, HubConfig};
use engine::units::Nanos;
use tokio::runtime::{Builder, Runtime};

const CONTEXT: u32 = 1024;

/// Holds up every step while it is closed.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn close(&self) {
        *self.0.0.lock().unwrap() = true;
    }

    pub(crate) fn open(&self) {
        *self.0.0.lock().unwrap() = false;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        let closed = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(closed, |closed| *closed).unwrap());
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
    address: String,
    _runtime: Runtime,
}

impl World {
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
        Self { hub, gate, address, _runtime: runtime }
    }

    /// Requests on both prefill units, in a step that lasts until the gate opens.
    pub(crate) fn busy_prefill(&self) -> Vec<Answer> {
        self.gate.close();
        let generation = |token| Generation {
            prompt: vec![token; 40].into(),
            output_tokens: 20,
            sampling: Sampling::Greedy,
            stop: Arc::default(),
            logprobs: None,
        };
        let answers = self.hub.generate([1, 2].map(generation).into()).expect("room");
        self.eventually("both prefill units are busy", || {
            self.hub.observe().units.iter().take(2).all(|unit| unit.figures.running > 0)
        });
        answers
    }

    pub(crate) fn shift(&self, words: &[&str]) -> Ended {
        run(self.spawn_shift(words))
    }

    pub(crate) fn spawn_shift(&self, words: &[&str]) -> Running {
        shift(&self.address, words)
    }

    /// Looks until `condition` holds; for what others are about to do, without telling anyone.
    #[expect(clippy::unused_self, reason = "it reads as what the world does")]
    pub(crate) fn eventually(&self, what: &str, condition: impl Fn() -> bool) {
        let held = (0..20_000_000).any(|_| {
            std::thread::yield_now();
            condition()
        });
        assert!(held, "never: {what}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A unit that waits at the gate would be waited for.
        self.gate.open();
    }
}

/// The program at work.
pub(crate) struct Running {
    child: Child,
    err: BufReader<ChildStderr>,
    said: String,
}

/// What it left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn shift(target: &str, words: &[&str]) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pdtune"));
    command.args(["shift", "--target", target]).args(words);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
    let err = BufReader::new(child.stderr.take().expect("its stderr"));
    Running { child, err, said: String::new() }
}

impl Running {
    /// Reads until it has said a line with `word`.
    pub(crate) fn until_said(mut self, word: &str) -> Self {
        while !self.said.contains(word) {
            assert!(self.err.read_line(&mut self.said).expect("text") > 0, "it ended: {}", self.said);
        }
        self
    }

    /// Sends what Ctrl-C sends.
    pub(crate) fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }
}

pub(crate) fn run(mut running: Running) -> Ended {
    running.err.read_to_string(&mut running.said).expect("text");
    let output = running.child.wait_with_output().expect("an end");
    let out = String::from_utf8(output.stdout).expect("text");
    Ended { code: output.status.code(), out, err: running.said }
}
