//! The engine that costs nothing, and a server around it.

use std::ops::Range;
use std::process::{Command, Stdio};
use std::sync::Arc;

use engine::cluster::{BatchLimits, ClusterConfig, FirstToken, Transfer};
use engine::drive::wall::{EventReader, Pace, WallConfig, WallEngine};
use engine::executor::{Executor, ExecutorError, Sampled, StepInput};
use engine::model::{ModelText, Tokenizer};
use engine::serve::ServedModel;
use engine::serve::http::{HttpConfig, HttpServer};
use engine::serve::hub::{Hub, HubConfig};
use engine::units::Nanos;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::client;
use crate::load::{Outcome, cpu_time};

const CONTEXT: u32 = 4096;
/// How long a decode step takes.
const STEP: std::time::Duration = std::time::Duration::from_millis(10);

struct Free;

impl Executor for Free {
    fn step(&mut self, input: StepInput<'_>, sampled: &mut Vec<Sampled>) -> Result<(), ExecutorError> {
        let sampling = input.plan.sequences.iter().filter(|sequence| sequence.sample);
        sampled.extend(sampling.map(|sequence| Sampled { token: 97 + sequence.output_index % 26, logits_digest: 0 }));
        if input.plan.sequences.iter().any(|sequence| sequence.output_index > 0) {
            std::thread::sleep(STEP);
        }
        Ok(())
    }

    fn import(&mut self, _: &Transfer, _: Range<u32>) -> Result<(), ExecutorError> {
        Ok(())
    }
}

/// One unit for prompts, one for tokens. The first token does not wait for a decode step, whose length is nobody's doing.
pub(crate) fn engine() -> (WallEngine, EventReader) {
    let limits = BatchLimits { tokens: 8192, sequences: 256 };
    let config = WallConfig {
        cluster: ClusterConfig {
            block_tokens: 16,
            blocks_per_unit: 4096,
            max_context: CONTEXT,
            prefill: limits,
            decode: limits,
            aggregated: limits,
            watermark_permille: 20,
            prefix_cache: true,
            first_token: FirstToken::FromPrefill,
            drain_timeout: None,
        },
        split: "1P1D".parse().expect("a split"),
        pace: Pace::Unbounded,
        inbox_limit: 4096,
        request_limit: 8192,
        event_limit: 65_536,
    };
    WallEngine::start(config, vec![Box::new(Free), Box::new(Free)]).expect("an engine")
}

/// A round by HTTP.
pub(crate) fn run() -> Outcome {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let (engine, reader) = engine();
    let hub = Hub::start(engine, reader, HubConfig::new(CONTEXT, 300)).expect("a hub");
    let text = ModelText { tokenizer: Tokenizer::bytes(300), chat_template: None, eos: Vec::new() };
    let model =
        ServedModel { name: "free".to_owned(), text: Arc::new(text), context_tokens: CONTEXT, kv_block_bytes: 0 };
    let (stop, stopped) = oneshot::channel::<()>();
    let server = {
        let _within = runtime.enter();
        HttpServer::bind("127.0.0.1:0".parse().expect("an address"), HttpConfig::default()).expect("a port")
    };
    let address = server.address().to_string();
    let served = runtime.spawn(server.run(hub, model, async move { _ = stopped.await }));
    let before = cpu_time();
    let mut child = Command::new(std::env::current_exe().expect("this program"));
    let found = child.env(client::ADDRESS, address).stderr(Stdio::inherit()).output().expect("a client");
    let cpu = cpu_time().since(before);
    assert!(found.status.success(), "the client has failed");
    drop(stop);
    runtime.block_on(served).expect("it ended well");
    let text = String::from_utf8(found.stdout).expect("text");
    let mut numbers = text.lines().map(|line| line.parse::<u64>().expect("a number"));
    let tokens = numbers.next().expect("tokens");
    Outcome { ttft: numbers.map(Nanos).collect(), tokens, cpu }
}
