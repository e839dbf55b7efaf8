//! The engine that writes the alphabet, behind a gRPC server.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use engine::cluster::{Finished, How};
use engine::drive::wall::EngineEvent;
use engine::executor::Sampling;
use engine::remote::{RemoteAddress, RemoteAnswer, RemoteConfig, RemoteEngine, RemoteError, RemoteWatch, StatusCode};
use engine::serve::grpc::{GrpcConfig, GrpcServer};
use engine::serve::hub::{Generation, HubConfig, Token};
use engine::units::Split;

use crate::client::HANG;
use crate::stage::{Stage, eventually};
use crate::world::{hub_config, model};

/// A running server; clients share its runtime.
pub(crate) struct World {
    stage: Stage,
    pub(crate) address: RemoteAddress,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(hub_config(), GrpcConfig::default())
    }

    pub(crate) fn with(hub: HubConfig, grpc: GrpcConfig) -> Self {
        let (stage, address) = Stage::start(hub, |hub, stopped| {
            let server = GrpcServer::bind("127.0.0.1:0".parse().expect("an address"), grpc).expect("a port");
            let address = format!("grpc://{}", server.address()).parse().expect("an address");
            (address, async move { server.run(hub, &model(None), async move { _ = stopped.await }).await })
        });
        Self { stage, address }
    }

    pub(crate) fn connect(&self) -> RemoteEngine {
        self.connect_with(RemoteConfig::default()).expect("a connection")
    }

    pub(crate) fn connect_with(&self, config: RemoteConfig) -> Result<RemoteEngine, RemoteError> {
        let config = RemoteConfig { call_timeout: HANG, ..config };
        self.run(RemoteEngine::connect(self.address.clone(), config))
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
