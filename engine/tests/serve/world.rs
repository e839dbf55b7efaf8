//! An engine that writes the alphabet, behind a server.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Condvar, Mutex};

use engine::cluster::{BatchLimits, ClusterConfig, FirstToken, Transfer};
use engine::drive::wall::{EventReader, Pace, WallConfig, WallEngine};
use engine::executor::{Executor, ExecutorError, Logprobs, Sampled, Sampling, StepInput};
use engine::model::{ChatTemplate, ModelText, Tokenizer};
use engine::serve::ServedModel;
use engine::serve::http::{HttpConfig, HttpServer};
use engine::serve::hub::HubConfig;

use crate::stage::{Stage, eventually};

pub(crate) const MODEL: &str = "letters";
pub(crate) const CONTEXT: u32 = 4096;
pub(crate) const VOCABULARY: u32 = 300;
/// The token that ends an answer: the last letter.
pub(crate) const EOS: u32 = b'z' as u32;
/// A prompt with this token breaks the unit that computes it.
pub(crate) const POISON: u32 = 299;

/// Holds up every step while it is closed.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    pub(crate) fn close(&self) {
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

/// How likely every letter is said to be, and the one after it.
pub(crate) const LIKELY: [f32; 2] = [-0.5, -1.5];

/// Token i of an answer is letter i of the alphabet, over and over; with a seed it begins at the letter of that number.
struct Letters(Gate);

impl Executor for Letters {
    fn step(&mut self, input: StepInput<'_>, sampled: &mut Vec<Sampled>) -> Result<(), ExecutorError> {
        self.0.pass();
        if input.tokens.contains(&POISON) {
            return Err(ExecutorError { doing: "computing a step", why: "poison".to_owned() });
        }
        for (sequence, sampling) in input.plan.sequences.iter().zip(input.sampling) {
            let first = match sampling {
                Sampling::Greedy => 0,
                Sampling::TopP { seed, .. } => (seed % 26) as u32,
            };
            if sequence.sample {
                let token = u32::from(b'a') + (sequence.output_index + first) % 26;
                sampled.push(Sampled { token, logits_digest: digest(sequence.output_index, first) });
            }
        }
        Ok(())
    }

    fn import(&mut self, _: &Transfer, _: Range<u32>) -> Result<(), ExecutorError> {
        Ok(())
    }

    fn logprobs(&self, _: usize, token: u32, most: u8) -> Option<Logprobs> {
        let likeliest = (0..u32::from(most)).map(|index| (token + index, LIKELY[index.min(1) as usize])).collect();
        Some(Logprobs { chosen: LIKELY[0], likeliest })
    }
}

/// What stands for the digest of logits: another one for every token.
fn digest(index: u32, first: u32) -> u64 {
    (u64::from(index) << 32 | u64::from(first)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Starts the engine alone.
pub(crate) fn engine(split: &str, gate: &Gate) -> (WallEngine, EventReader) {
    engine_of(split, gate, CONTEXT)
}

/// Starts an engine of another context alone.
pub(crate) fn engine_of(split: &str, gate: &Gate, context: u32) -> (WallEngine, EventReader) {
    let limits = BatchLimits { tokens: 64, sequences: 32 };
    let config = WallConfig {
        cluster: ClusterConfig {
            block_tokens: 16,
            blocks_per_unit: 1024,
            max_context: context,
            prefill: limits,
            decode: limits,
            aggregated: limits,
            watermark_permille: 20,
            prefix_cache: true,
            first_token: FirstToken::AfterHandOff,
            drain_timeout: None,
        },
        split: split.parse().expect("a split"),
        pace: Pace::Unbounded,
        request_limit: 4096,
        inbox_limit: 4096,
        event_limit: 4096,
    };
    let executors = (0..config.split.units()).map(|_| Box::new(Letters(gate.clone())) as Box<dyn Executor>);
    let executors = executors.collect();
    WallEngine::start(config, executors).expect("an engine")
}

pub(crate) fn hub_config() -> HubConfig {
    HubConfig::new(CONTEXT, VOCABULARY)
}

/// A running server.
pub(crate) struct World {
    stage: Stage,
    pub(crate) address: SocketAddr,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(hub_config(), HttpConfig::default())
    }

    pub(crate) fn with(hub: HubConfig, http: HttpConfig) -> Self {
        let template = "{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}".to_owned();
        let template = ChatTemplate::new(template, None, None).expect("a template");
        let (stage, address) = Stage::start(hub, |hub, stopped| {
            let server = HttpServer::bind("127.0.0.1:0".parse().expect("an address"), http).expect("a port");
            (server.address(), server.run(hub, model(Some(template)), async move { _ = stopped.await }))
        });
        Self { stage, address }
    }

    pub(crate) fn eventually(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        eventually(what, || condition(self));
    }
}

impl Deref for World {
    type Target = Stage;

    fn deref(&self) -> &Stage {
        &self.stage
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Stage {
        &mut self.stage
    }
}

/// The model that all servers here serve.
pub(crate) fn model(chat_template: Option<ChatTemplate>) -> ServedModel {
    let text = ModelText { tokenizer: Tokenizer::bytes(VOCABULARY), chat_template, eos: vec![EOS] };
    ServedModel { name: MODEL.to_owned(), text: Arc::new(text), context_tokens: CONTEXT, kv_block_bytes: 1000 }
}
