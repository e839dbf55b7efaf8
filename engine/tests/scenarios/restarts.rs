//! Units change roles by starting anew.

use engine::cluster::{
    Cluster, ClusterConfig, FinishReason, How, Notice, Outbox, RoleCommand, ShiftRefused, Side, UnitState,
};
use engine::drive::virtual_time::{Charged, Input, Log, Pace};
use engine::units::{Nanos, Role, UnitId};

use crate::world::{COSTS, config, driver, family_request, request, run, split};

/// Units with blocks for everybody: whoever is computed anew was lost, not short of room.
fn roomy() -> ClusterConfig {
    ClusterConfig { blocks_per_unit: 1000, ..config() }
}

fn restart(at: u64, to: &str) -> (u64, Input) {
    (at, Input::Shift(split(to), How::Restart))
}

/// Forty requests over 4000 ns, with something happening meanwhile. Every instant is checked, and with it that somebody can
/// prefill and somebody can decode.
fn busy(from: &str, events: impl IntoIterator<Item = (u64, Input)>) -> (Log, Cluster) {
    let mut driver = driver(roomy(), from, Pace::Bulk);
    let arrivals =
        (0..40).map(|n| (n * 100, Input::Arrive(request(n, 10 + (n * 7 % 30) as u32, 5 + (n * 5 % 40) as u32))));
    let log = run(&mut driver, arrivals.chain(events));
    (log, driver.into_parts().0)
}

/// Most units that were out of their role at once.
fn most_away(log: &Log) -> usize {
    let mut away = std::collections::BTreeSet::new();
    let states = log.notices.iter().filter_map(|(_, notice)| match notice {
        Notice::Unit { unit, state, .. } => Some((*unit, *state)),
        _ => None,
    });
    let counts = states.map(|(unit, state)| {
        if state == UnitState::Serving {
            away.remove(&unit)
        } else {
            away.insert(unit)
        };
        away.len()
    });
    counts.max().unwrap_or(0)
}

#[test]
fn every_restart_that_can_be_done_converges_under_traffic_and_loses_nothing() {
    // With how many of the units may be away at once.
    let shifts = [
        ("2P2D", "1P3D", 1),
        ("1P3D", "3P1D", 2),
        // Once one serves both sides, it does so for the three others.
        ("2P2D", "4A", 3),
        ("4A", "1P3D", 3),
        ("4A", "3P1D", 3),
        ("1P2D", "1P1D1A", 1),
        ("1P2D", "3A", 2),
        ("2P1D", "1P1D1A", 1),
        ("1P1D1A", "2P1D", 1),
        ("1P2A", "2P1D", 1),
        ("3P1D", "2D2A", 2),
        ("2P1D", "2D1A", 1),
        ("1P1D", "1P1D", 0),
    ];
    for (from, to, most) in shifts {
        let (log, cluster) = busy(from, [restart(1500, to)]);
        let done = log.finished.iter().filter(|(_, f)| f.reason == FinishReason::Length && f.preemptions == 0);
        assert_eq!((done.count(), cluster.split()), (40, split(to)), "{from} to {to}");
        let [report] = &log.shifts[..] else { panic!("{} reports", log.shifts.len()) };
        assert_eq!((report.from, report.to, &report.abandoned), (split(from), split(to), &None));
        assert_eq!((report.how, report.drain <= report.total), (How::Restart, true));
        assert_eq!(most_away(&log), most, "{from} to {to}");
    }
}

#[test]
fn an_idle_unit_is_back_after_its_process_has_started_and_warmed_up() {
    let mut driver = driver(roomy(), "2P2D", Pace::Bulk);
    let log = run(&mut driver, [restart(1000, "1P3D")]);
    let report = &log.shifts[0];
    assert_eq!((report.drain, report.total, report.in_flight), (Nanos::ZERO, COSTS.restart + COSTS.warm, 0));
    // What it costs is charged state by state.
    let spent = |state| Nanos(driver.ledger().unit_nanos(driver.now(), Role::Prefill, state));
    assert_eq!((spent(Charged::Switching), spent(Charged::Warming)), (COSTS.restart, COSTS.warm));
    assert_eq!(driver.ledger().total(driver.now()), 4 * driver.now().0);
}

#[test]
fn where_only_one_can_be_spared_the_others_wait_for_it() {
    let mut driver = driver(roomy(), "1P2D", Pace::Bulk);
    let log = run(&mut driver, [restart(0, "3A")]);
    // First a decode unit; when that does both, so that nobody else has to, the two others.
    assert_eq!(log.shifts[0].total, Nanos(2 * (COSTS.restart + COSTS.warm).0));
}

#[test]
fn a_unit_that_restarts_serves_nothing_that_its_roles_share() {
    // In place a unit goes on to prefill between A and P; restarting it takes no request any more.
    let prefilled = |how| {
        let (log, _) = busy("3A", [(1500, Input::Shift(split("1P2A"), how))]);
        let moved = log.notices.iter().find_map(|(at, notice)| match notice {
            Notice::Unit { unit, state: UnitState::Draining { .. }, .. } => Some((*at, *unit)),
            _ => None,
        });
        let (from, unit) = moved.expect("one drains");
        let up = log.notices.iter().find_map(|(at, notice)| match notice {
            Notice::Unit { unit: which, state: UnitState::Serving, .. } if *which == unit => Some(*at),
            _ => None,
        });
        let up = up.expect("it comes back");
        let began = log.finished.iter().filter(|(_, finished)| {
            let start = finished.stages.prefill_start.expect("it was computed");
            finished.prefill_unit == Some(unit) && start > from && start < up
        });
        began.count()
    };
    assert_eq!(prefilled(How::Restart), 0);
    assert!(prefilled(How::Drain) > 0);
}

#[test]
fn what_a_process_had_cached_ends_with_it() {
    let hits = |how| {
        let mut driver = driver(roomy(), "2P1D", Pace::Bulk);
        let prompt = |number| Input::Arrive(family_request(number, 1, 8, 40, 4));
        // Both prefill units know the prompts of the family; one changes its role and comes back.
        let before = (0..6).map(|number| (0, prompt(number)));
        let there = [(5000, Input::Shift(split("1P2D"), how)), (8000, Input::Shift(split("2P1D"), how))];
        let log = run(&mut driver, before.chain(there));
        assert_eq!(log.shifts.len(), 2);
        let moved = log.notices.iter().find_map(|(_, notice)| match notice {
            Notice::Unit { unit, state: UnitState::Draining { .. }, .. } => Some(*unit),
            _ => None,
        });
        driver.cluster().unit_figures(moved.expect("one moved")).cached
    };
    assert!(hits(How::Drain) > 0);
    assert_eq!(hits(How::Restart), 0);
}

#[test]
fn a_restart_that_would_leave_nobody_meanwhile_is_refused_and_changes_nothing() {
    for (from, to, missing) in [
        ("1P1D", "2A", Side::Prefill),
        ("2A", "1P1D", Side::Decode),
        ("1P1D", "1P1A", Side::Decode),
        ("1D1A", "1P1D", Side::Prefill),
    ] {
        let mut cluster = Cluster::new(config(), split(from)).expect("a cluster");
        let mut out = Outbox::default();
        let refused = cluster.shift(Nanos(0), split(to), How::Restart, &mut out);
        let expected = ShiftRefused::NobodyMeanwhile { to: split(to), missing };
        assert_eq!(refused, Err(expected.clone()), "{from} to {to}");
        assert_eq!(out, Outbox::default());
        assert_eq!(
            expected.to_string(),
            format!("a restart to {} would leave no unit that can {missing} while one is down", split(to))
        );
        cluster.shift(Nanos(0), split(to), How::Drain, &mut out).expect("in place it goes");
    }
}

#[test]
fn a_restart_whose_turn_never_comes_is_given_up() {
    // Both decode units are to leave, one after the other; the prefill unit is lost while the first is away.
    let (log, cluster) = busy("1P2D", [restart(0, "3A"), (100, Input::Fail(UnitId(0)))]);
    let report = &log.shifts[0];
    assert!(report.abandoned.as_ref().is_some_and(|why| why == "unit 0 failed"), "{report:?}");
    assert_eq!((cluster.shift_under_way(), cluster.in_flight()), (None, 0));
    assert_eq!(log.finished.len() + log.refused.len(), 40);
}

#[test]
fn a_restart_that_drains_too_long_is_abandoned_and_those_behind_it_stay() {
    let patient = ClusterConfig { drain_timeout: Some(Nanos(500)), ..roomy() };
    let mut driver = driver(patient, "1P2D", Pace::Bulk);
    let arrivals = (0..4).map(|number| (0, Input::Arrive(request(number, 12, 120))));
    let log = run(&mut driver, arrivals.chain([restart(2000, "3A")]));
    assert_eq!((log.shifts[0].drain, log.shifts[0].total), (Nanos(500), Nanos(500)));
    assert!(log.shifts[0].abandoned.as_ref().is_some_and(|why| why.contains("held 2 sequences")));
    assert_eq!(driver.cluster().split(), split("1P2D"));
    assert!(log.finished.iter().all(|(_, f)| f.output_tokens == 120 && f.preemptions == 0));
}

#[test]
fn the_executor_is_told_to_restart() {
    let mut cluster = Cluster::new(config(), split("2P1D")).expect("a cluster");
    let mut out = Outbox::default();
    cluster.shift(Nanos(0), split("1P2D"), How::Restart, &mut out).expect("accepted");
    let unit = UnitId(0);
    assert_eq!(out.roles, [RoleCommand::Restart { unit, to: Role::Decode }]);
    out.clear();
    cluster.role_switched(Nanos(9), unit, &mut out);
    assert_eq!(out.roles, [RoleCommand::Warm { unit }]);
    cluster.role_warmed(Nanos(12), unit, &mut out);
    assert_eq!(cluster.split(), split("1P2D"));
}
