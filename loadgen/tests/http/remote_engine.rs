//! Another pdtune over gRPC.

use loadgen::target::Connection;
use loadgen::target::grpc::{self, GrpcTarget};
use loadgen::target::http::OPENING;

use crate::own::{Own, assert_same_answers, embedded};
use crate::runs::{load, recorded};

pub(crate) fn open(address: &str) -> Connection {
    grpc::open(target(address)).expect("an engine")
}

pub(crate) fn target(address: &str) -> GrpcTarget {
    GrpcTarget {
        address: address.parse().expect("an address"),
        key: None,
        timeout: std::time::Duration::from_mins(10),
        opening: OPENING,
        controlled: true,
    }
}

#[test]
fn tokens_digests_and_stages_over_grpc_are_those_of_the_embedded_engine() {
    let own = Own::new("1P1D");
    let connection = open(&own.grpc());
    let (result, over_grpc) = recorded(connection, load(30, "15", "uniform:8..40", "uniform:1..16"));
    assert_eq!(result.summary.requests.completed, 30, "{result:?}");
    assert_eq!(result.summary.split.as_deref(), Some("1P1D"));
    drop(own);
    let inside = embedded();
    assert_same_answers(&over_grpc, &inside);
    for (index, sample) in &over_grpc {
        assert_eq!(sample.logits_hash, inside[index].logits_hash, "request {index}");
        let server = sample.server.as_ref().expect("the engine tells");
        let expected = inside[index].server.as_ref().expect("the engine tells");
        assert_eq!((server.prefill_unit, server.decode_unit), (expected.prefill_unit, expected.decode_unit));
        // One process, one clock: what is told lies where it happened, but for what round trips cannot tell.
        let (sent, first) = (sample.sent.expect("it was sent"), sample.first.expect("it was answered"));
        let slack = loadgen::time::Micros(50_000);
        let arrived = server.arrived.expect("it arrived");
        let prefill_end = server.prefill_end.expect("it was computed");
        assert!(sent < arrived + slack && arrived < prefill_end && prefill_end < first + slack, "{sample:?}");
    }
}

#[test]
fn nobody_there_is_said_with_a_hint() {
    let own = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let error = grpc::open(target(&format!("grpc://{own}"))).expect_err("nobody is there").to_string();
    assert!(error.contains("cannot connect to grpc://") && error.contains("\nhint: is the engine up?"), "{error}");
}
