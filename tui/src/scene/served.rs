//! The run of the script on a server, with what its engines tell of themselves.

use std::sync::Arc;

use engine::cluster::How;
use engine::units::{Role, UnitId};
use loadgen::diagnose::{Diagnosis, diagnose, fault};
use loadgen::live::{ServerView, Snapshot, UnitView};
use loadgen::metrics::{Counter, Gauges, Sums, Timed, Timer};
use loadgen::target::{Abilities, Ways};
use loadgen::time::Micros;

use super::states::events;
use super::{Script, seconds};

/// On Ray Serve: the control plane tells roles and states, the engines what they hold and take.
pub fn served() -> Snapshot {
    let mut snapshot = on_a_server();
    snapshot.abilities =
        Abilities { ways: Ways::of(&[How::Drain]), aggregated: false, in_place: false, ..Abilities::ALL };
    let names = ["Prefill:qwen#k3f9x2ab", "Prefill:qwen#m81ztq0c", "Decode:qwen#a7c2y6de", "Decode:qwen#p5w4h8fg"];
    told(&mut snapshot, |index| names[index].to_owned(), true);
    snapshot
}

/// Engines of vLLM behind a gateway without a control: nothing but their pages tells of units. KV transfers fail.
pub fn served_by_engines() -> Snapshot {
    let mut snapshot = on_a_server();
    snapshot.units = Arc::default();
    told(&mut snapshot, |index| format!("10.0.0.{}:8000", 11 + index), false);
    let mut servers = snapshot.servers.to_vec();
    for server in servers.iter_mut().filter(|server| server.role == Some(Role::Decode)) {
        server.sums.add_count(Counter::HandOffFailed, 2);
    }
    snapshot.diagnosis.fault = fault(&servers, snapshot.now);
    snapshot.servers = Arc::new(servers);
    snapshot
}

fn on_a_server() -> Snapshot {
    let run = Script { tells_stages: false, ..Script::default() }.run();
    Snapshot { target: "http://gateway:8000".into(), events: Arc::new(events()), ..run }
}

/// Every second remembers what servers told of it.
fn told(snapshot: &mut Snapshot, name: impl Fn(usize) -> String, controlled: bool) {
    let tell = |of: &mut Snapshot| {
        let units = of.units.iter().map(|unit| UnitView { measured: false, ..*unit });
        of.units = if controlled { Arc::new(units.collect()) } else { Arc::default() };
        of.servers = Arc::new((0..4).map(|index| server(of, index, &name, controlled)).collect());
        let limit = diagnose(&of.units, &of.recent, of.slo, of.counts.in_flight);
        of.diagnosis = Diagnosis { fault: fault(&of.servers, of.now), ..limit };
    };
    let mut history = snapshot.history.to_vec();
    for slot in &mut history {
        if let Some(then) = &mut slot.then {
            tell(Arc::make_mut(then));
        }
    }
    snapshot.history = Arc::new(history);
    tell(snapshot);
}

fn server(of: &Snapshot, index: usize, name: &impl Fn(usize) -> String, controlled: bool) -> ServerView {
    let role = if index < 2 { Role::Prefill } else { Role::Decode };
    let ttft = of.recent.ttft.p50.unwrap_or(seconds(0.2));
    let requests = 36;
    let mut sums = Sums::default();
    let mut take = |timer, each: Micros| sums.add_time(timer, Timed::exact(requests, Micros(each.0 * requests)));
    if role == Role::Prefill {
        let computing = Micros(118_000 + 900 * index as u64);
        let queue = ttft.since(computing + seconds(0.045));
        take(Timer::Queue, queue);
        take(Timer::Prefill, computing);
        take(Timer::Ttft, queue + computing);
    } else {
        take(Timer::Queue, seconds(0.009));
        take(Timer::HandOff, seconds(0.014));
        take(Timer::Ttft, seconds(0.031));
        take(Timer::Decode, seconds(0.24));
        take(Timer::Gap, of.recent.tpot.p50.unwrap_or(seconds(0.02)));
        sums.add_count(Counter::HandOffBytes, 310_000_000);
    }
    let busy = index as u32;
    ServerView {
        name: name(index).as_str().into(),
        role: Some(role),
        unit: controlled.then_some(UnitId(index as u16)),
        whole: false,
        heard: of.now,
        span: seconds(1.0),
        gauges: match role {
            Role::Prefill => Gauges { running: Some(1), waiting: Some(2 + busy), kv_used: Some(120) },
            _ => Gauges { running: Some(12 + busy), waiting: Some(0), kv_used: Some(580 + 20 * index as u16) },
        },
        sums,
    }
}
