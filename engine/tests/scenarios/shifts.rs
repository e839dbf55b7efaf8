//! Units change roles, and fail, under traffic.

use engine::cluster::{Cluster, ClusterConfig, FinishReason, How, Notice, Outbox, ShiftRefused, UnitState};
use engine::drive::virtual_time::{Input, Log, Pace};
use engine::units::{Nanos, Role, UnitId};

use crate::world::{config, driver, request, run, split};

/// Units with blocks for everybody: whoever is computed anew was lost, not short of room.
fn roomy() -> ClusterConfig {
    ClusterConfig { blocks_per_unit: 1000, ..config() }
}

/// Forty requests over 4000 ns, with something happening meanwhile.
fn busy(from: &str, events: impl IntoIterator<Item = (u64, Input)>) -> (Log, Cluster) {
    let mut driver = driver(roomy(), from, Pace::Bulk);
    let arrivals =
        (0..40).map(|n| (n * 100, Input::Arrive(request(n, 10 + (n * 7 % 30) as u32, 5 + (n * 5 % 40) as u32))));
    let log = run(&mut driver, arrivals.chain(events));
    (log, driver.into_parts().0)
}

fn shift(at: u64, to: &str, how: How) -> (u64, Input) {
    (at, Input::Shift(split(to), how))
}

fn states_of(log: &Log, which: UnitId) -> Vec<(Role, &'static str)> {
    log.notices
        .iter()
        .filter_map(|(_, notice)| match notice {
            Notice::Unit { unit, role, state, .. } if *unit == which => Some((*role, name(*state))),
            _ => None,
        })
        .collect()
}

fn name(state: UnitState) -> &'static str {
    match state {
        UnitState::Serving => "serving",
        UnitState::Draining { .. } => "draining",
        UnitState::Switching => "switching",
        UnitState::Warming => "warming",
        UnitState::Failed => "failed",
    }
}

#[test]
fn every_kind_of_shift_converges_under_traffic_and_loses_nothing() {
    let shifts = [
        ("2P2D", "1P3D"),
        ("1P3D", "3P1D"),
        ("1P1D", "2A"),
        ("2A", "1P1D"),
        ("2P2D", "4A"),
        ("4A", "1P3D"),
        ("1P2D", "1P1D1A"),
        ("1P1D1A", "2P1D"),
        ("1P2A", "2P1D"),
        ("3P1D", "2D2A"),
        ("1P1D", "1P1D"),
    ];
    for (from, to) in shifts {
        for how in [How::Drain, How::Migrate] {
            let (log, cluster) = busy(from, [shift(1500, to, how)]);
            let done = log.finished.iter().filter(|(_, f)| f.reason == FinishReason::Length && f.preemptions == 0);
            assert_eq!(done.count(), 40, "{from} to {to}, {how}");
            assert_eq!(cluster.split(), split(to), "{from} to {to}, {how}");
            let [report] = &log.shifts[..] else { panic!("{} reports", log.shifts.len()) };
            assert_eq!((report.from, report.to, &report.abandoned), (split(from), split(to), &None));
            let idle = from == to;
            assert_eq!((report.total == Nanos::ZERO, report.drain <= report.total), (idle, true));
        }
    }
}

#[test]
fn a_unit_passes_through_its_states_in_order() {
    let (log, _) = busy("2P2D", [shift(1500, "1P3D", How::Drain)]);
    let moved = [UnitId(0), UnitId(1)].into_iter().find(|&unit| !states_of(&log, unit).is_empty()).expect("one moved");
    let expected = [
        (Role::Prefill, "draining"),
        (Role::Prefill, "switching"),
        (Role::Prefill, "warming"),
        (Role::Decode, "serving"),
    ];
    assert_eq!(states_of(&log, moved), expected);
}

#[test]
fn migration_empties_a_decode_unit_sooner_than_draining_it() {
    let [drain, migrate] = [How::Drain, How::Migrate].map(|how| {
        let mut driver = driver(roomy(), "1P2D", Pace::Bulk);
        let arrivals = (0..4).map(|number| (0, Input::Arrive(request(number, 12, 120))));
        let log = run(&mut driver, arrivals.chain([shift(2000, "2P1D", how)]));
        assert!(log.finished.iter().all(|(_, f)| f.output_tokens == 120 && f.preemptions == 0));
        log.shifts[0].clone()
    });
    assert!(drain.in_flight > 0 && migrate.in_flight == drain.in_flight);
    assert!(migrate.drain.0 * 4 < drain.drain.0, "{migrate:?} {drain:?}");
}

#[test]
fn migrating_sequences_without_room_elsewhere_go_on_where_they_are() {
    let mut small = roomy();
    small.decode.sequences = 2;
    let mut driver = driver(small, "1P2D", Pace::Bulk);
    let arrivals = (0..4).map(|number| (0, Input::Arrive(request(number, 12, 60))));
    let log = run(&mut driver, arrivals.chain([shift(1500, "2P1D", How::Migrate)]));
    assert_eq!(log.finished.iter().filter(|(_, f)| f.output_tokens == 60 && f.preemptions == 0).count(), 4);
    assert_eq!(driver.cluster().split(), split("2P1D"));
}

#[test]
fn a_drain_that_takes_too_long_is_abandoned() {
    let patient = ClusterConfig { drain_timeout: Some(Nanos(500)), ..roomy() };
    let mut driver = driver(patient, "1P2D", Pace::Bulk);
    let arrivals = (0..4).map(|number| (0, Input::Arrive(request(number, 12, 120))));
    let log = run(&mut driver, arrivals.chain([shift(2000, "2P1D", How::Drain), shift(2600, "1P1D1A", How::Drain)]));
    assert_eq!((log.shifts[0].drain, log.shifts[0].total), (Nanos(500), Nanos(500)));
    assert!(
        log.shifts[0].abandoned.as_ref().is_some_and(|why| why.contains("held 2 sequences")),
        "{:?}",
        log.shifts[0]
    );
    assert_eq!(log.shifts[1].abandoned, None, "the next shift finds the unit serving");
    assert_eq!(driver.cluster().split(), split("1P1D1A"));
}

#[test]
fn shifts_that_do_not_fit_are_refused_and_change_nothing() {
    let mut cluster = Cluster::new(config(), split("2P2D")).expect("a cluster");
    let mut out = Outbox::default();
    let wrong = cluster.shift(Nanos(0), split("1P1D"), How::Drain, &mut out);
    assert_eq!(wrong, Err(ShiftRefused::WrongUnits { asked: split("1P1D"), live: 4 }));
    let one_sided = engine::units::Split { prefill: 4, decode: 0, aggregated: 0 };
    assert!(matches!(cluster.shift(Nanos(0), one_sided, How::Drain, &mut out), Err(ShiftRefused::Unservable(_))));
    assert_eq!(out, Outbox::default());
    let id = cluster.shift(Nanos(0), split("1P3D"), How::Drain, &mut out).expect("accepted");
    let busy = cluster.shift(Nanos(0), split("2P2D"), How::Drain, &mut out);
    assert_eq!(busy, Err(ShiftRefused::Busy { id, to: split("1P3D") }));
}

#[test]
fn what_a_lost_unit_held_is_computed_anew_elsewhere() {
    for lost in 0..4 {
        let (log, cluster) = busy("2P2D", [(1500, Input::Fail(UnitId(lost)))]);
        let all = log.finished.iter().filter(|(_, f)| f.reason == FinishReason::Length).count();
        assert_eq!((all, cluster.split().units()), (40, 3), "unit {lost}");
        assert!(log.finished.iter().any(|(_, f)| f.preemptions > 0), "unit {lost} held something");
    }
}

#[test]
fn without_anybody_to_serve_them_requests_end_and_new_ones_are_refused() {
    for lost in 0..2 {
        let (log, cluster) = busy("1P1D", [(1500, Input::Fail(UnitId(lost)))]);
        let without = log.finished.iter().filter(|(_, f)| f.reason == FinishReason::NoCapacity).count();
        assert!(without > 0, "unit {lost}");
        assert_eq!(log.finished.len() + log.refused.len(), 40);
        assert_eq!(log.refused.len(), 24, "one every 100 ns from 1600 on");
        assert_eq!(cluster.in_flight(), 0);
    }
}

#[test]
fn a_unit_that_is_leaving_its_role_stays_when_the_last_peer_is_lost() {
    let (log, cluster) = busy("2P1D", [shift(1500, "1P2D", How::Drain), (1501, Input::Fail(UnitId(0)))]);
    let (stays, report) = (cluster.unit_figures(UnitId(1)), &log.shifts[0]);
    if stays.state == UnitState::Serving && stays.role == Role::Prefill {
        assert!(report.abandoned.is_some());
        assert_eq!(log.finished.iter().filter(|(_, f)| f.reason == FinishReason::Length).count(), 40);
    } else {
        panic!("{stays:?} {report:?}");
    }
}

#[test]
fn requests_wait_for_a_unit_that_is_about_to_prefill() {
    let mut driver = driver(config(), "1P2D", Pace::Bulk);
    let events = [shift(0, "2P1D", How::Drain), (10, Input::Fail(UnitId(0))), (20, Input::Arrive(request(1, 8, 3)))];
    let log = run(&mut driver, events);
    // The switch takes 50 and the warm-up 70, then 8 tokens are computed.
    let stages = log.finished[0].1.stages;
    assert_eq!((stages.prefill_start, log.finished[0].1.reason), (Some(Nanos(120)), FinishReason::Length));
}
