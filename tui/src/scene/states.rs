//! The run of the script in every state that a screen must be able to show.

use std::sync::Arc;

use engine::cluster::{How, UnitState};
use engine::units::{Role, Split};
use loadgen::diagnose::{Diagnosis, diagnose};
use loadgen::live::{Counts, Event, MarkKind, Outage, Percentiles, Phase, Recent, ShiftView, Slot, Snapshot, UnitView};
use loadgen::sample::{Account, CutBy, Failure, FailureKind, Outcome, Sample};
use loadgen::slo::Slo;
use loadgen::time::Micros;

use super::load::sample;
use super::{Script, seconds, unit};

/// An event at a second.
pub fn event(at: f64, mark: Option<MarkKind>, label: &str, text: &str) -> Event {
    Event { at: seconds(at), mark, label: label.to_owned(), text: text.to_owned() }
}

pub(super) fn events() -> Vec<Event> {
    vec![
        event(60.3, Some(MarkKind::Load), "15/s", "15 requests/s"),
        event(88.0, None, "", "unit 1 (decode) drains, 12 in flight"),
        event(97.2, Some(MarkKind::Shift), "→2P2D", "1P3D → 2P2D by drain began"),
        event(100.4, Some(MarkKind::Shift), "2P2D ok", "1P3D → 2P2D by drain: drained 12 in 2.1 s, nothing lost"),
    ]
}

/// What the figures of a changed snapshot say.
fn diagnose_anew(snapshot: &mut Snapshot) {
    let in_flight = snapshot.counts.in_flight;
    snapshot.diagnosis = diagnose(&snapshot.units, &snapshot.recent, snapshot.slo, in_flight);
}

/// Two minutes and a half at 2P2D, one shift behind it.
pub fn normal() -> Snapshot {
    Snapshot { events: Arc::new(events()), ..Script::default().run() }
}

/// Unit 3 drains towards prefill, unit 1 of an earlier shift warms up, another shift waits.
pub fn shifting() -> Snapshot {
    let mut snapshot = normal();
    let mut units = snapshot.units.to_vec();
    units[1].state = UnitState::Warming;
    units[1].in_state = seconds(1.2);
    units[3].state = UnitState::Draining { left: 14 };
    snapshot.units = Arc::new(units);
    let to = |prefill, decode| Split { prefill, decode, aggregated: 0 };
    snapshot.shifts = vec![
        ShiftView { to: to(3, 1), how: How::Drain, since: Some(seconds(148.9)) },
        ShiftView { to: to(2, 2), how: How::Migrate, since: None },
    ];
    snapshot
}

/// Nothing has come back yet.
pub fn waiting() -> Snapshot {
    let mut snapshot = Script { seconds: 1, ..Script::default() }.run();
    snapshot.now = seconds(3.2);
    snapshot.counts = Counts { offered: 12, sent: 12, in_flight: 12, ..Counts::default() };
    snapshot.recent = Recent { offered_rps: 3.8, ..Recent::default() };
    snapshot.history = Arc::default();
    snapshot.diagnosis = Diagnosis::default();
    snapshot.health.recorded_bytes = None;
    let mut units = snapshot.units.to_vec();
    for unit in &mut units {
        (unit.busy, unit.running, unit.input_tps, unit.output_tps) = (0.0, 0, 0.0, 0.0);
    }
    snapshot.units = Arc::new(units);
    snapshot
}

/// The target stopped answering half a minute ago.
pub fn down() -> Snapshot {
    failed(&Failure { kind: FailureKind::Connect, message: "connection refused by 127.0.0.1:8000".to_owned() })
}

/// Half a minute of a target that takes no more.
pub fn shedding() -> Snapshot {
    failed(&Failure { kind: FailureKind::Limited, message: "429, retry after 7 s: too many requests".to_owned() })
}

/// For half a minute nothing was answered otherwise.
fn failed(failure: &Failure) -> Snapshot {
    let mut snapshot = normal();
    let limited = if failure.kind == FailureKind::Limited { 465 } else { 0 };
    let error = format!("{}: {}", failure.kind, failure.message).into();
    snapshot.outage = Some(Outage { since: seconds(120.0), failed: 465, limited, error });
    snapshot.counts.failed += 465;
    let mut history = snapshot.history.to_vec();
    for slot in history.iter_mut().filter(|slot| slot.start >= seconds(120.0)) {
        let (start, length, offered) = (slot.start, slot.length, slot.offered);
        *slot = Slot { start, length, offered, errors: offered, good: Some(0), ..Slot::default() };
    }
    snapshot.history = Arc::new(history);
    snapshot.recent = Recent {
        window: snapshot.recent.window,
        goodput_rps: Some(0.0),
        attainment: Some(0.0),
        offered_rps: 15.0,
        ..Recent::default()
    };
    for index in 0..150 {
        let sample = Sample { outcome: Outcome::Failed(failure.clone()), ..sample(index, 0, 1, 1, true) };
        snapshot.reasons.note(&sample);
        snapshot.recent.failures.count(&sample);
    }
    diagnose_anew(&mut snapshot);
    snapshot
}

/// One of two addresses answers half of its requests with an error and cuts others.
pub fn failing() -> Snapshot {
    let mut snapshot = normal();
    snapshot.target = "http://10.0.0.1:8000,http://10.0.0.2:8000".into();
    snapshot.slo = snapshot.slo.map(|slo| Slo { tpot: Some(Micros(40_000)), ..slo });
    let error = Failure { kind: FailureKind::Status, message: "500: CUDA out of memory".to_owned() };
    for index in 0..20 {
        let outcome = if index % 5 < 3 { Outcome::Failed(error.clone()) } else { Outcome::Cut };
        let account = Account { address: Some(1), cut: Some(CutBy::Connection), ..Account::default() };
        let sample = Sample { outcome, account, ..sample(index, 0, 1, 1, true) };
        snapshot.reasons.note(&sample);
        snapshot.recent.failures.count(&sample);
    }
    (snapshot.counts.failed, snapshot.counts.cut) = (snapshot.counts.failed + 12, snapshot.counts.cut + 8);
    diagnose_anew(&mut snapshot);
    snapshot
}

/// Something before the target holds answers back until they are whole.
pub fn collected() -> Snapshot {
    let mut snapshot = normal();
    snapshot.target = "http://10.0.0.1:8000".into();
    let history = snapshot.history.iter().cloned();
    let recent = |recent: Recent| Recent { tpot: Percentiles::default(), pieces: recent.completed, ..recent };
    let blind = |slot: Slot| {
        let then = slot.then.as_deref().cloned();
        let then = then.map(|then| Arc::new(Snapshot { recent: recent(then.recent), ..then }));
        Slot { tpot: Percentiles::default(), tpot_values: Arc::default(), then, ..slot }
    };
    snapshot.history = Arc::new(history.map(blind).collect());
    snapshot.recent = recent(snapshot.recent);
    diagnose_anew(&mut snapshot);
    snapshot
}

/// A rule of `--abort-on` has ended the load.
pub fn aborted() -> Snapshot {
    let why =
        "nothing more is sent, errors>5%: 20 of 151 requests that ended failed or were cut (13.2 %), within 10.0 s";
    Snapshot { phase: Phase::Finishing, aborted: Some(why.into()), ..failing() }
}

/// No SLO is set.
pub fn without_slo() -> Snapshot {
    Snapshot { events: Arc::new(events()), ..Script { slo: None, ..Script::default() }.run() }
}

/// Another cluster.
pub fn with_units(split: Split, units: Vec<UnitView>) -> Snapshot {
    let mut snapshot = Snapshot { split, units: Arc::new(units), ..normal() };
    diagnose_anew(&mut snapshot);
    snapshot
}

/// Four units that do both.
pub fn aggregated() -> Snapshot {
    let units = (0..4).map(|id| unit(id, Role::Aggregated, 0.6 + f64::from(id) / 10.0)).collect();
    with_units(Split { prefill: 0, decode: 0, aggregated: 4 }, units)
}

/// Eleven units of all roles: lanes fold, one unit failed.
pub fn crowded() -> Snapshot {
    let roles = [Role::Prefill; 2].into_iter().chain([Role::Decode; 7]).chain([Role::Aggregated; 2]);
    let mut units: Vec<UnitView> =
        roles.zip(0..).map(|(role, id)| unit(id, role, 0.4 + f64::from(id) / 20.0)).collect();
    units[7].state = UnitState::Failed;
    with_units(Split { prefill: 2, decode: 7, aggregated: 2 }, units)
}

/// Everything that may be wrong with the tool itself.
pub fn ailing() -> Snapshot {
    let mut snapshot = normal();
    snapshot.health.lag_p99 = seconds(0.038);
    snapshot.health.dropped = 17;
    snapshot.health.recording_lost = Some("No space left on device (os error 28): run.jsonl.zst.partial".to_owned());
    snapshot.health.verdict = Some("lag p99 38 ms over 5 ms".to_owned());
    snapshot.counts.shed = 40;
    snapshot
}

/// Paused, finishing or done.
pub fn in_phase(phase: Phase) -> Snapshot {
    Snapshot { phase, ..normal() }
}
