//! Units of a remote engine, watched and shifted while the load runs.

use engine::units::Split;
use loadgen::run::{self, RunConfig};
use loadgen::schedule::LoadSpec;
use loadgen::target::grpc::GrpcControlAt;
use loadgen::target::http::{self, HttpTarget};
use loadgen::target::{Connection, grpc};

use crate::client::target;
use crate::own::Own;
use crate::remote_engine;
use crate::runs::{load, recorded};

fn over_http(own: &Own) -> Connection {
    let control = GrpcControlAt { address: own.grpc().parse().expect("an address"), key: None };
    http::open(HttpTarget { control: Some(control), ..target(&own.http()) }).expect("a target")
}

fn shifting(script: &str) -> LoadSpec {
    LoadSpec { shifts: script.parse().expect("a script"), ..load(40, "20", "16", "8") }
}

type Open = fn(&Own) -> Connection;

#[test]
fn shifts_converge_over_either_protocol_and_nothing_is_lost() {
    let own = Own::new("2P2D");
    let over_grpc: Open = |own| remote_engine::open(&own.grpc());
    for (open, script, splits) in [
        (over_http as Open, "200ms=1P3D,600ms=3P1D:migrate", ["2P2D", "1P3D", "3P1D"]),
        (over_grpc, "200ms=2P2D,300ms=4A", ["3P1D", "2P2D", "4A"]),
    ] {
        let connection = open(&own);
        let info = connection.info.clone();
        assert_eq!(info.split.map(|split| split.to_string()).as_deref(), Some(splits[0]), "{}", info.name);
        let (result, _) = recorded(connection, shifting(script));
        assert!(result.failed_shifts.is_empty(), "{result:?}");
        let shifts: Vec<_> =
            result.summary.shifts.iter().map(|shift| (shift.from.as_str(), shift.to.as_str())).collect();
        assert_eq!(shifts, [(splits[0], splits[1]), (splits[1], splits[2])], "{}", info.name);
        assert!(result.summary.shifts.iter().all(|shift| shift.lost == Some(0)), "{:?}", result.summary.shifts);
        assert_eq!(result.summary.requests.completed, 40);
    }
}

#[test]
fn a_shift_that_the_engine_refuses_leaves_the_run_alone() {
    let own = Own::new("2P2D");
    let connection = remote_engine::open(&own.grpc());
    let control = connection.control.clone().expect("a control");
    let handle = run::start(RunConfig { load: load(20, "20", "16", "8"), connection, record_to: None }).expect("a run");
    // The engine has four units.
    let six = Split { prefill: 3, decode: 3, aggregated: 0 };
    let refused = control.shift(six, engine::cluster::How::Drain).expect_err("refused");
    assert!(refused.contains("3P3D"), "{refused}");
    let result = handle.wait().expect("an end");
    assert!(result.failed_shifts.is_empty(), "{result:?}");
    assert_eq!(result.summary.requests.completed, 20);
}

#[test]
fn an_engine_that_goes_away_ends_shifts_and_requests_with_a_word() {
    let own = Own::new("1P1D");
    let connection = remote_engine::open(&own.grpc());
    drop(own);
    let (result, _) = recorded(connection, load(5, "50", "16", "8"));
    let requests = result.summary.requests;
    assert_eq!((requests.offered, requests.completed, requests.failed + requests.cut), (5, 0, 5), "{result:?}");
}

#[test]
fn a_control_that_is_not_there_is_refused_before_any_load() {
    let own = Own::new("1P1D");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let at = GrpcControlAt { address: format!("grpc://{nobody}").parse().expect("an address"), key: None };
    let error = http::open(HttpTarget { control: Some(at), ..target(&own.http()) }).expect_err("no control");
    assert!(matches!(error, http::OpenError::Control(grpc::OpenError::Remote(_))), "{error}");
}
