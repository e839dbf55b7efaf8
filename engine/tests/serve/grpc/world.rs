//! The engine that writes the alphabet, behind a gRPC server.

use std::sync::Arc;
use std::time::Duration;

use engine::cluster::{Finished, How, UnitState};
use engine::drive::wall::EngineEvent;
use engine::executor::Sampling;
use engine::model::{ModelText, Tokenizer};
use engine::remote::{RemoteAddress, RemoteAnswer, RemoteConfig, RemoteEngine, RemoteError, RemoteWatch, StatusCode};
use engine::serve::ServedModel;
use engine::serve::grpc::{GrpcConfig, GrpcServer};
use engine::serve::http::Drained;
use engine::serve::hub::{Generation, Hub, HubConfig, Token};
use engine::units::Split;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::world::{CONTEXT, EOS, Gate, MODEL, VOCABULARY, engine_of, hub_config};

/// A running server and its runtime, which clients share.
pub(crate) struct World {
    pub(crate) hub: Hub,
    pub(crate) gate: Gate,
    pub(crate) address: RemoteAddress,
    pub(crate) runtime: Runtime,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<Drained>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(hub_config(), GrpcConfig::default())
    }

    pub(crate) fn with(hub: HubConfig, grpc: GrpcConfig) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let gate = Gate::default();
        let (engine, reader) = engine_of("2P2D", &gate, hub.context_tokens);
        let hub = Hub::start(engine, reader, hub).expect("a hub");
        let text = ModelText { tokenizer: Tokenizer::bytes(VOCABULARY), chat_template: None, eos: vec![EOS] };
        let model =
            ServedModel { name: MODEL.to_owned(), text: Arc::new(text), context_tokens: CONTEXT, kv_block_bytes: 1000 };
        let (stop, stopped) = oneshot::channel();
        let (address, served) = {
            let _within = runtime.enter();
            let server = GrpcServer::bind("127.0.0.1:0".parse().expect("an address"), grpc).expect("a port");
            let address = format!("grpc://{}", server.address()).parse().expect("an address");
            let hub = hub.clone();
            let served = async move { server.run(hub, &model, async move { _ = stopped.await }).await };
            (address, runtime.spawn(served))
        };
        Self { hub, gate, address, runtime, stop: Some(stop), served: Some(served) }
    }

    pub(crate) fn connect(&self) -> RemoteEngine {
        self.connect_with(RemoteConfig::default()).expect("a connection")
    }

    pub(crate) fn connect_with(&self, config: RemoteConfig) -> Result<RemoteEngine, RemoteError> {
        // Longer than anything takes: a test that would hang fails instead.
        let config = RemoteConfig { call_timeout: Duration::from_mins(1), ..config };
        self.runtime.block_on(RemoteEngine::connect(self.address.clone(), config))
    }

    pub(crate) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Asks the server to stop.
    pub(crate) fn stop(&mut self) {
        self.stop.take().expect("it has not been asked").send(()).expect("it is running");
    }

    /// Waits until the server has stopped.
    pub(crate) fn stopped(&mut self) -> Drained {
        self.runtime.block_on(self.served.take().expect("it was not waited for")).expect("it ended well")
    }

    /// Looks until `condition` holds; for what other threads are about to do, without telling anyone.
    pub(crate) fn eventually(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        for _ in 0..2_000_000 {
            if condition(self) {
                return;
            }
            std::thread::yield_now();
        }
        panic!("never: {what}");
    }

    /// Waits until all units serve, then checks that no request has left anything anywhere.
    pub(crate) fn assert_at_rest(&self) {
        self.runtime.block_on(self.hub.idle());
        self.eventually("the units have settled", |world| {
            let now = world.hub.observe();
            let serving = now.units.iter().all(|unit| unit.figures.state == UnitState::Serving);
            now.shift.is_none() && now.waiting_shifts.is_empty() && serving
        });
        // A step or a copy that is being made keeps its blocks to its end.
        self.eventually("nothing is held by anyone", |world| {
            let now = world.hub.observe();
            let holds = now.units.iter().map(|unit| unit.figures);
            let holds = holds.map(|now| now.queue + now.running + now.handing_off + now.incoming + now.held);
            (now.in_flight, holds.sum()) == (0, 0)
        });
        let counts = self.hub.counts();
        let ended = counts.stopped + counts.full_length + counts.abandoned + counts.overrun + counts.failed;
        assert_eq!(ended, counts.admitted, "{counts:?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // A unit that waits at the gate would be waited for.
        self.gate.open();
    }
}

pub(crate) fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

pub(crate) fn greedy(prompt: &[u32], output_tokens: u32) -> Generation {
    Generation {
        prompt: prompt.into(),
        output_tokens,
        sampling: Sampling::Greedy,
        stop: Arc::default(),
        logprobs: None,
    }
}

/// Reads an answer to its end.
pub(crate) async fn read(mut answer: RemoteAnswer) -> (Vec<Token>, Result<Finished, RemoteError>) {
    let mut tokens = Vec::new();
    loop {
        let end = match answer.next().await.expect("an end") {
            Ok(event) => {
                tokens.extend(event.tokens);
                match event.finished {
                    Some(finished) => Ok(finished),
                    None => continue,
                }
            }
            Err(error) => Err(error),
        };
        assert_eq!(answer.next().await, None, "nothing comes after the end");
        return (tokens, end);
    }
}

/// The next event of a watch, which is alive.
pub(crate) async fn next(watch: &mut RemoteWatch) -> EngineEvent {
    watch.next().await.expect("an event").expect("no error")
}

/// Checks that a call was refused with `code`, and returns the message.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, RemoteError>, code: StatusCode) -> String {
    match result {
        Err(RemoteError::Status { code: told, message }) if told == code => message,
        other => panic!("not {code}: {other:?}"),
    }
}

/// Asks for a shift and waits until the engine has come to rest in it.
pub(crate) fn shifted(world: &World, engine: &RemoteEngine, to: &str) {
    let converged = world.hub.counts().shifts_converged;
    world.run(engine.shift(split(to), How::Drain, None)).expect("a shift");
    world.eventually("it has converged", |world| world.hub.counts().shifts_converged > converged);
}
