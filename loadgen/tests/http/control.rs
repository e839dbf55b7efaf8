//! Units of a remote engine, watched and shifted while the load runs.

use std::sync::Arc;

use engine::cluster::How;
use engine::units::{Nanos, Split};
use loadgen::control::at::{self, ControlAt, GatewayControlAt, GrpcControlAt, RayControlAt};
use loadgen::control::gateway::GatewayOptions;
use loadgen::control::grpc;
use loadgen::control::ray::RayNames;
use loadgen::http::HttpOptions;
use loadgen::live::{Command, Snapshot};
use loadgen::run::{self, RunConfig, RunHandle};
use loadgen::schedule::LoadSpec;
use loadgen::target::Connection;
use loadgen::target::http::{self, HttpTarget};

use crate::client::target;
use crate::idle::{PATIENCE, World};
use crate::own::Own;
use crate::pages::{Page, Pages};
use crate::relay::Relay;
use crate::remote_engine;
use crate::runs::{load, recorded};

fn over_http(own: &Own) -> Connection {
    let control = GrpcControlAt { address: own.grpc().parse().expect("an address"), key: None };
    http::open(HttpTarget { control: Some(ControlAt::Grpc(control)), ..target(&own.http()) }).expect("a target")
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

/// Every control plane that is spoken to over HTTP, at `url`.
fn planes(url: &str) -> [ControlAt; 3] {
    let (key, http, patience) = (None, HttpOptions::default(), at::PATIENCE);
    let ray = RayControlAt {
        address: format!("ray+{url}").parse().expect("an address"),
        names: RayNames::default(),
        key: key.clone(),
        http: http.clone(),
        patience,
    };
    let gateway = GatewayControlAt {
        address: format!("smg+{url}").parse().expect("an address"),
        options: GatewayOptions::default(),
        key,
        http: http.clone(),
        patience,
    };
    let etcd = url.replace("http://", "dynamo+etcd://").parse().expect("an address");
    let etcd = ControlAt::DynamoEtcd { at: etcd, login: None, http, patience };
    [ControlAt::Ray(ray), ControlAt::Gateway(gateway), etcd]
}

#[test]
fn a_control_plane_that_wants_a_key_says_which_option_names_it() {
    for status in [401, 403] {
        let pages = Pages::new(move |_| Page::Status(status));
        for control in planes(&pages.url()) {
            let error = control.preview("3P1D".parse().expect("a split"), How::Drain).expect_err("it has no key");
            assert!(error.contains(&format!("answered {status}: no\nhint: ")), "{error}");
            assert!(error.ends_with("with --control-key-env, or of `pdtune shift` with --api-key-env"), "{error}");
        }
    }
}

fn start(load: LoadSpec, connection: Connection) -> RunHandle {
    run::start(RunConfig { load, connection, record_to: None }).expect("a run")
}

/// Waits until the run shows it.
fn wait(world: &World, handle: &mut RunHandle, is_shown: impl FnMut(&Arc<Snapshot>) -> bool) {
    let shown = handle.snapshots.wait_for(is_shown);
    let shown = world.run(async { tokio::time::timeout(PATIENCE, shown).await });
    drop(shown.expect("in time").expect("the run goes on"));
}

fn says(snapshot: &Snapshot, words: &str) -> bool {
    snapshot.events.iter().any(|event| event.text.contains(words))
}

#[test]
fn a_shift_that_the_engine_refuses_is_told_and_leaves_the_run_alone() {
    let own = Own::new("2P2D");
    let handle = start(load(20, "20", "16", "8"), remote_engine::open(&own.grpc()));
    let snapshots = handle.snapshots.clone();
    // The engine has four units.
    let six = Split { prefill: 3, decode: 3, aggregated: 0 };
    handle.commands.try_send(Command::Shift(six, How::Drain)).expect("room");
    let result = handle.wait().expect("an end");
    let told = "shift to 3P3D refused: split 3P3D has 6 units, 4 are serving";
    assert_eq!(result.failed_shifts, [told]);
    assert!(says(&snapshots.borrow(), told), "{:?}", snapshots.borrow().events);
    assert_eq!(result.summary.requests.completed, 20);
}

#[test]
fn an_engine_that_goes_away_ends_shifts_and_requests_with_a_word() {
    let world = World::new(None);
    let relay = Relay::new(&world.address);
    let held = world.busy_prefill();
    let load = LoadSpec { shifts: "1ms=1P3D".parse().expect("a script"), ..load(5, "50", "16", "8") };
    let mut handle = start(load, remote_engine::open(&relay.address));
    let snapshots = handle.snapshots.clone();
    wait(&world, &mut handle, |now| now.shifts.iter().any(|shift| shift.since.is_some()) && now.counts.in_flight > 0);
    relay.cut();
    let result = handle.wait().expect("an end");
    let [word] = &result.failed_shifts[..] else { panic!("{result:?}") };
    let gone = "its end was not seen; the engine does not answer any more: ";
    assert!(word.starts_with(&format!("shift to 1P3D was abandoned: {gone}")), "{word}");
    assert!(says(&snapshots.borrow(), gone), "{:?}", snapshots.borrow().events);
    let requests = result.summary.requests;
    assert_eq!((requests.offered, requests.completed, requests.failed + requests.cut), (5, 0, 5), "{result:?}");
    assert!(requests.cut > 0, "{result:?}");
    drop(held);
}

#[test]
fn shifts_that_others_ask_for_are_shown_and_do_not_fail_the_run() {
    let world = World::new(Some(Nanos(1)));
    let held = world.busy_prefill();
    let mut handle = start(load(5, "50", "16", "8"), remote_engine::open(&world.address));
    world.hub.shift("1P3D".parse().expect("a split"), How::Drain, None).expect("a shift");
    world.until("it is given up", |now| now.shift.is_none());
    wait(&world, &mut handle, |now| says(now, "2P2D → 1P3D by drain was abandoned: "));
    world.gate.open();
    let result = handle.wait().expect("an end");
    assert!(result.failed_shifts.is_empty(), "{result:?}");
    assert_eq!((result.summary.shifts.len(), result.summary.requests.completed), (1, 5), "{result:?}");
    drop(held);
}

#[test]
fn a_control_that_is_not_there_is_refused_before_any_load() {
    let own = Own::new("1P1D");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    let at = GrpcControlAt { address: format!("grpc://{nobody}").parse().expect("an address"), key: None };
    let error =
        http::open(HttpTarget { control: Some(ControlAt::Grpc(at)), ..target(&own.http()) }).expect_err("no control");
    assert!(matches!(error, http::OpenError::Control(at::OpenError::Grpc(grpc::OpenError::Remote(_)))), "{error}");
}

#[test]
fn a_control_is_waited_for_where_it_may_come_and_not_where_it_lets_nobody_in() {
    let own = Own::new("1P1D");
    let error = |control| {
        http::open(HttpTarget { control: Some(control), ..target(&own.http()) }).expect_err("there is no such control")
    };
    for (status, may_pass) in [(401, false), (403, false), (404, false), (429, true), (503, true)] {
        let pages = Pages::new(move |_| Page::Status(status));
        for control in planes(&pages.url()) {
            let error = error(control);
            assert_eq!(error.may_pass(), may_pass, "{status}: {error}");
        }
    }
    let elsewhere = Pages::new(|_| Page::Text("<html>".to_owned()));
    for control in planes(&elsewhere.url()) {
        let error = error(control);
        assert!(!error.may_pass(), "it is something else: {error}");
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address");
    for control in planes(&format!("http://{nobody}")) {
        let error = error(control);
        assert!(error.may_pass(), "it may come up: {error}");
    }
}
