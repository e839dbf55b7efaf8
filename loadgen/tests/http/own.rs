//! Our own server over HTTP: the same tokens, counts and lengths as the engine inside the program.

use std::net::SocketAddr;

use engine::model::ModelSource;
use engine::serve::ServedModel;
use engine::serve::http::{HttpConfig, HttpServer};
use engine::serve::hub::{Hub, HubConfig};
use loadgen::target::cpu::{self, CpuTarget, Started};
use loadgen::target::http;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::client::target;
use crate::runs::{load, recorded};

/// The built-in model behind HTTP.
struct Own {
    address: SocketAddr,
    // Dropped in this order: the server is asked to stop, then its runtime ends.
    _stop: oneshot::Sender<()>,
    _runtime: Runtime,
}

fn engine() -> CpuTarget {
    CpuTarget { model: ModelSource::Builtin { seed: 1 }, split: "1P1D".parse().expect("a split") }
}

impl Own {
    fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let Started { engine, events, text, info, kv_block_bytes } = cpu::start(&engine()).expect("an engine");
        let config = HubConfig::new(info.limits.context_tokens, info.limits.vocabulary);
        let hub = Hub::start(engine, events, config).expect("a hub");
        let context_tokens = info.limits.context_tokens;
        let model = ServedModel { name: "built-in".to_owned(), text, context_tokens, kv_block_bytes };
        let server = {
            let _within = runtime.enter();
            HttpServer::bind("127.0.0.1:0".parse().expect("an address"), HttpConfig::default()).expect("a port")
        };
        let address = server.address();
        let (stop, stopped) = oneshot::channel::<()>();
        runtime.spawn(server.run(hub, model, async { _ = stopped.await }));
        Self { address, _stop: stop, _runtime: runtime }
    }
}

#[test]
fn tokens_are_those_of_the_embedded_engine() {
    let own = Own::new();
    let remote = http::open(target(&format!("http://{}", own.address))).expect("a target");
    let limits = remote.info.limits;
    assert_eq!(remote.info.split.map(|split| split.to_string()).as_deref(), Some("1P1D"));
    let (result, over_http) = recorded(remote, load(30, "15", "uniform:8..40", "uniform:1..16"));
    assert_eq!(result.summary.requests.completed, 30, "{result:?}");
    drop(own);
    let connection = cpu::open(&engine()).expect("an engine");
    let inside = connection.info.limits;
    assert_eq!((inside.context_tokens, inside.vocabulary), (limits.context_tokens, limits.vocabulary));
    let (_, embedded) = recorded(connection, load(30, "15", "uniform:8..40", "uniform:1..16"));
    assert_eq!(over_http.len(), embedded.len());
    for (index, sample) in &over_http {
        let inside = &embedded[index];
        assert_eq!((sample.due, &sample.segments), (inside.due, &inside.segments));
        assert_eq!((sample.input_tokens, sample.output_tokens), (inside.input_tokens, inside.output_tokens));
        assert_eq!(sample.token_hash, inside.token_hash, "request {index}");
        let queried = sample.server.map(|server| server.prefix_queried);
        assert_eq!(queried, Some(sample.input_tokens), "the usage tells of the prefix cache");
    }
}
