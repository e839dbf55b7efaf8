//! A server that means harm, or has none of its wits left.

use std::pin::Pin;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use super::*;
use crate::cluster::How;
use crate::drive::wall::EngineEvent;
use crate::units::Split;
use crate::wire::v1;
use crate::wire::v1::control_server::{Control, ControlServer};
use crate::wire::v1::watch_event::What;

const KEY: &str = "hunter2";
/// What must not reach a terminal.
const RUDE: &str = "no\r\n\u{1b}[2Jkey hunter2";
const POLITE: &str = "no [2Jkey …";

/// Answers rudely; its watches have these messages and no end.
struct Rude(Vec<What>);

fn topology() -> v1::Topology {
    let limits = v1::Limits { context_tokens: 1, kv_tokens: 1, vocabulary: 1, block_tokens: 1 };
    let split = v1::Split { prefill: 1, decode: 1, aggregated: 0 };
    v1::Topology { model: RUDE.to_owned(), limits: Some(limits), split: Some(split), ..v1::Topology::default() }
}

#[tonic::async_trait]
impl Control for Rude {
    type WatchUnitsStream = Pin<Box<dyn Stream<Item = Result<v1::WatchEvent, Status>> + Send>>;

    async fn get_topology(&self, _: Request<v1::GetTopologyRequest>) -> Result<Response<v1::Topology>, Status> {
        Ok(Response::new(topology()))
    }

    async fn shift(&self, _: Request<v1::ShiftRequest>) -> Result<Response<v1::ShiftReply>, Status> {
        Err(Status::invalid_argument(RUDE))
    }

    async fn watch_units(&self, _: Request<v1::WatchUnitsRequest>) -> Result<Response<Self::WatchUnitsStream>, Status> {
        let events: Vec<_> =
            self.0.iter().map(|what| Ok(v1::WatchEvent { at_ns: 1, what: Some(what.clone()) })).collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(events).chain(tokio_stream::pending()))))
    }

    async fn get_load(&self, _: Request<v1::GetLoadRequest>) -> Result<Response<v1::Load>, Status> {
        Err(Status::internal(RUDE))
    }
}

/// A client of such a server, and the runtime of both.
fn connect(messages: Vec<What>, call_timeout: Duration) -> (RemoteEngine, Runtime) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let engine = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let server = Server::builder().add_service(ControlServer::new(Rude(messages)));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        let config = RemoteConfig { call_timeout, key: RemoteKey::new(KEY), ..RemoteConfig::default() };
        RemoteEngine::connect(format!("grpc://{address}").parse().expect("an address"), config).await
    });
    (engine.expect("an engine"), runtime)
}

const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn a_watch_that_never_tells_a_state_is_given_up() {
    let (engine, runtime) = connect(Vec::new(), Duration::from_millis(300));
    let begun = runtime.block_on(async { tokio::time::timeout(PATIENCE, engine.watch()).await });
    let error = begun.expect("it is bounded").expect_err("no state");
    assert!(matches!(error, RemoteError::Timeout { .. }), "{error}");
}

#[test]
fn a_watch_that_begins_with_something_else_makes_no_sense() {
    let (engine, runtime) = connect(vec![What::UnitLost(v1::UnitLost::default())], PATIENCE);
    let error = runtime.block_on(engine.watch()).expect_err("no state");
    assert!(error.to_string().ends_with("makes no sense: a watch without a first state"), "{error}");
}

#[test]
fn no_word_of_a_server_reaches_anyone_as_it_came() {
    let why = || RUDE.to_owned();
    let split = || Some(v1::Split { prefill: 1, decode: 1, aggregated: 0 });
    let how = v1::How::Drain.into();
    let events = vec![
        What::Topology(topology()),
        What::ShiftDropped(v1::ShiftDropped { ticket: 1, to: split(), how, why: why() }),
        What::UnitLost(v1::UnitLost { unit: 0, why: why() }),
        What::ShiftEnded(v1::ShiftEnded {
            ticket: 1,
            from: split(),
            to: split(),
            how,
            abandoned: Some(why()),
            ..v1::ShiftEnded::default()
        }),
    ];
    let (engine, runtime) = connect(events, PATIENCE);
    runtime.block_on(async {
        let refused = engine.shift(Split { prefill: 1, decode: 1, aggregated: 0 }, How::Drain, None).await;
        let refused = refused.expect_err("it refuses all");
        assert_eq!(refused.to_string(), format!("{POLITE} (INVALID_ARGUMENT)"));
        let broken = engine.load().await.expect_err("it fails").to_string();
        assert!(broken.ends_with(POLITE), "{broken}");
        let (mut watch, state) = engine.watch().await.expect("a watch");
        assert_eq!(state.model, POLITE);
        for _ in 0..3 {
            let why = match watch.next().await.expect("an event").expect("no error") {
                EngineEvent::ShiftDropped { why, .. } | EngineEvent::UnitLost { why, .. } => Some(why),
                EngineEvent::Notice { notice: crate::cluster::Notice::ShiftEnded(report), .. } => report.abandoned,
                other => panic!("{other:?}"),
            };
            assert_eq!(why.as_deref(), Some(POLITE));
        }
    });
}
