//! Our own server: the same tokens, counts and lengths as the engine inside the program, over either of its protocols.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use engine::model::ModelSource;
use engine::serve::ServedModel;
use engine::serve::grpc::{GrpcConfig, GrpcServer};
use engine::serve::http::{HttpConfig, HttpServer};
use engine::serve::hub::{Hub, HubConfig};
use loadgen::sample::Sample;
use loadgen::target::cpu::{self, CpuTarget, Started};
use loadgen::target::http;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::client::target;
use crate::runs::{load, recorded};

/// The built-in model behind HTTP and gRPC.
pub(crate) struct Own {
    http: SocketAddr,
    grpc: SocketAddr,
    // Dropped in this order: the servers are asked to stop, then their runtime ends.
    _stop: watch::Sender<()>,
    _runtime: Runtime,
}

fn engine(split: &str) -> CpuTarget {
    CpuTarget { model: ModelSource::Builtin { seed: 1 }, split: split.parse().expect("a split") }
}

impl Own {
    pub(crate) fn new(split: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let Started { engine, events, text, info, kv_block_bytes } = cpu::start(&engine(split)).expect("an engine");
        let config = HubConfig::new(info.limits.context_tokens, info.limits.vocabulary);
        let hub = Hub::start(engine, events, config).expect("a hub");
        let context_tokens = info.limits.context_tokens;
        let model = ServedModel { name: "built-in".to_owned(), text, context_tokens, kv_block_bytes };
        let any = "127.0.0.1:0".parse().expect("an address");
        let (http, grpc) = {
            let _within = runtime.enter();
            let http = HttpServer::bind(any, HttpConfig::default()).expect("a port");
            (http, GrpcServer::bind(any, GrpcConfig::default()).expect("a port"))
        };
        let addresses = (http.address(), grpc.address());
        let (stop, stopped) = watch::channel(());
        let stopping = || {
            let mut stopped = stopped.clone();
            async move { _ = stopped.changed().await }
        };
        runtime.spawn(http.run(hub.clone(), model.clone(), stopping()));
        let stopping = stopping();
        runtime.spawn(async move { grpc.run(hub, &model, stopping).await });
        Self { http: addresses.0, grpc: addresses.1, _stop: stop, _runtime: runtime }
    }

    pub(crate) fn http(&self) -> String {
        format!("http://{}", self.http)
    }

    pub(crate) fn grpc(&self) -> String {
        format!("grpc://{}", self.grpc)
    }
}

/// The same load on the engine inside the program.
pub(crate) fn embedded() -> BTreeMap<u64, Sample> {
    let connection = cpu::open(&engine("1P1D")).expect("an engine");
    recorded(connection, load(30, "15", "uniform:8..40", "uniform:1..16")).1
}

/// What both runs have to have in common.
pub(crate) fn assert_same_answers(remote: &BTreeMap<u64, Sample>, embedded: &BTreeMap<u64, Sample>) {
    assert_eq!(remote.len(), embedded.len());
    for (index, sample) in remote {
        let inside = &embedded[index];
        assert_eq!((sample.due, &sample.segments), (inside.due, &inside.segments));
        assert_eq!((sample.input_tokens, sample.output_tokens), (inside.input_tokens, inside.output_tokens));
        assert_eq!(sample.token_hash, inside.token_hash, "request {index}");
    }
}

#[test]
fn tokens_over_http_are_those_of_the_embedded_engine() {
    let own = Own::new("1P1D");
    let remote = http::open(target(&own.http())).expect("a target");
    let limits = remote.info.limits;
    assert_eq!(remote.info.split.map(|split| split.to_string()).as_deref(), Some("1P1D"));
    let (result, over_http) = recorded(remote, load(30, "15", "uniform:8..40", "uniform:1..16"));
    assert_eq!(result.summary.requests.completed, 30, "{result:?}");
    drop(own);
    let inside = cpu::open(&engine("1P1D")).expect("an engine").info.limits;
    assert_eq!((inside.context_tokens, inside.vocabulary), (limits.context_tokens, limits.vocabulary));
    assert_same_answers(&over_http, &embedded());
    for sample in over_http.values() {
        let queried = sample.server.as_ref().map(|server| server.prefix_queried);
        assert_eq!(queried, Some(sample.input_tokens), "the usage tells of the prefix cache");
    }
}
