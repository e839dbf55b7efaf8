//! Shifts by a control plane that is made up here: it can be slow, stubborn, full, gone, or have another master.

use engine::cluster::{How, UnitState};
use engine::units::{Role, Split};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::control::plane::{Goal, Member, MemberState, Step, Trouble};

const SECOND: u64 = 1_000_000;
/// How long steps may take here.
const PATIENCE: Duration = Duration::from_mins(2);

fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

/// A call: so many units of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Set {
    role: Role,
    units: u16,
}

/// What the control plane does with calls.
#[derive(Clone, Copy, Debug, Default)]
struct Ways {
    /// Seconds for a unit to come or to go.
    slow: u64,
    /// It answers and does nothing.
    deaf: bool,
    /// Calls that it still takes before it refuses the next.
    refuses_after: Option<usize>,
    /// It refuses because somebody else was there first.
    overtakes: bool,
    /// Units that there is room for; more are never placed.
    room: usize,
}

/// The control plane and whoever conducts it.
struct Rig {
    ways: Ways,
    wanted: Split,
    /// Units and the second at which they have come or gone.
    units: Vec<(Member, u64)>,
    named: usize,
    calls: Vec<Set>,
    conduct: Conduct<Set>,
    now: u64,
    told: Vec<TargetEvent>,
    pending: Option<Action<Set>>,
    /// A role that has some trouble of its own, whatever its units do.
    ill: Option<Role>,
    /// Of every shift that has ended: what was there and was wanted then.
    left: Vec<(Topology, Split)>,
}

impl Rig {
    fn new(first: &str, ways: Ways) -> Self {
        let wanted = split(first);
        let mut units = Vec::new();
        for (at, role) in wanted.roles().enumerate() {
            units.push((Member::new(format!("u{at}"), role, MemberState::Serving), 0));
        }
        let mut rig = Self {
            ways,
            wanted,
            named: units.len(),
            units,
            calls: Vec::new(),
            conduct: Conduct::new(Topology::default(), PATIENCE, Micros::ZERO),
            now: 0,
            told: Vec::new(),
            pending: None,
            ill: None,
            left: Vec::new(),
        };
        rig.conduct = Conduct::new(rig.topology(), PATIENCE, Micros::ZERO);
        rig
    }

    fn topology(&self) -> Topology {
        let placed = self.units.iter().filter(|(unit, _)| unit.state != MemberState::Starting).count();
        let stuck = self.units.iter().any(|(unit, _)| unit.state == MemberState::Starting) && placed >= self.ways.room;
        Topology {
            members: self.units.iter().map(|(unit, _)| unit.clone()).collect(),
            wanted: Some(self.wanted),
            troubles: stuck
                .then(|| Trouble::of_all("no room"))
                .into_iter()
                .chain(self.ill.map(|role| Trouble::of_role(role, "it is ill")))
                .collect(),
            ..Topology::default()
        }
    }

    fn plan(&self, to: Split) -> Plan<Set> {
        let from = self.wanted;
        let mut roles: Vec<_> =
            [Role::Prefill, Role::Decode].into_iter().filter(|role| to.count(*role) != from.count(*role)).collect();
        roles.sort_by_key(|role| to.count(*role) > from.count(*role));
        let mut at = from;
        let mut steps = Vec::new();
        for role in roles {
            let before = at;
            if role == Role::Prefill {
                at.prefill = to.prefill;
            } else {
                at.decode = to.decode;
            }
            let action = |wants: Split| Action {
                call: Set { role, units: wants.count(role) },
                says: format!("set {role} to {}", wants.count(role)),
                goal: Goal::Count { role, units: usize::from(wants.count(role)) },
                wants: Some(wants),
            };
            steps.push(Step { forth: action(at), back: Some(action(before)) });
        }
        Plan { from, steps, moves: None, remarks: Vec::new() }
    }

    fn shift(&mut self, to: &str) {
        let accepted = self.conduct.accept(split(to), How::Drain, Micros(self.now));
        self.told.push(accepted);
    }

    fn take(&mut self, turn: Turn<Set>) {
        self.told.extend(turn.events);
        self.pending = turn.call;
        while let Some(action) = self.pending.take() {
            let refused = self.ways.refuses_after.is_some_and(|taken| self.calls.len() >= taken);
            self.calls.push(action.call);
            let answer = if refused && self.ways.overtakes {
                Err(CallError::Overtaken("somebody else has set it to 7".to_owned()))
            } else if refused {
                Err(CallError::Refused("not today".to_owned()))
            } else {
                self.set(action.call);
                Ok(())
            };
            let turn = self.conduct.answered(answer, Micros(self.now));
            self.told.extend(turn.events);
            self.pending = turn.call;
        }
    }

    fn set(&mut self, Set { role, units }: Set) {
        if self.ways.deaf {
            return;
        }
        if role == Role::Prefill {
            self.wanted.prefill = units;
        } else {
            self.wanted.decode = units;
        }
        self.reconcile();
    }

    fn reconcile(&mut self) {
        let (due, named) = (self.now + self.ways.slow * SECOND, &mut self.named);
        for role in [Role::Prefill, Role::Decode] {
            let wanted = usize::from(self.wanted.count(role));
            let lives = |unit: &Member| unit.role == role && unit.state != MemberState::Stopping;
            let here = self.units.iter().filter(|(unit, _)| lives(unit)).count();
            for (unit, at) in
                self.units.iter_mut().rev().filter(|(unit, _)| lives(unit)).take(here.saturating_sub(wanted))
            {
                (unit.state, *at) = (MemberState::Stopping, due);
            }
            for _ in here..wanted {
                self.units.push((Member::new(format!("u{named}"), role, MemberState::Starting), due));
                *named += 1;
            }
        }
    }

    /// A second passes, and the conductor looks.
    fn second(&mut self) {
        self.now += SECOND;
        let now = self.now;
        self.units.retain(|(unit, at)| unit.state != MemberState::Stopping || *at > now);
        let mut room = self
            .ways
            .room
            .saturating_sub(self.units.iter().filter(|(unit, _)| unit.state != MemberState::Starting).count());
        for (unit, at) in &mut self.units {
            if unit.state == MemberState::Starting && *at <= now && room > 0 {
                unit.state = MemberState::Serving;
                room -= 1;
            }
        }
        let turn = self.conduct.saw(self.topology(), Micros(now));
        self.take(turn);
        self.keep();
        if let Some(order) = self.conduct.take_next() {
            let plan = self.plan(order.to);
            let turn = self.conduct.begin(order, plan, Micros(now));
            self.take(turn);
            self.keep();
        }
    }

    /// Keeps what is there where a shift has just ended.
    fn keep(&mut self) {
        if self.left.len() < self.reports().count() {
            self.left.push((self.topology(), self.wanted));
        }
    }

    fn reports(&self) -> impl Iterator<Item = &ShiftReport> {
        self.told.iter().filter_map(|event| match event {
            TargetEvent::ShiftEnded { report, .. } => Some(report),
            _ => None,
        })
    }

    fn seconds(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.second();
        }
    }

    /// What became of shifts, in order: why each was given up, if it was.
    fn ended(&self) -> Vec<Option<String>> {
        self.reports().map(|report| report.abandoned.clone()).collect()
    }

    fn remarks(&self) -> Vec<&str> {
        let remarks = self.told.iter().filter_map(|event| match event {
            TargetEvent::Remark { text, .. } => Some(text.as_str()),
            _ => None,
        });
        remarks.collect()
    }
}

const PROMPT: Ways = Ways { slow: 2, deaf: false, refuses_after: None, overtakes: false, room: 4 };

#[test]
fn what_is_freed_is_free_before_it_is_asked_for_and_the_unit_stays() {
    let mut rig = Rig::new("2P2D", PROMPT);
    rig.shift("1P3D");
    rig.seconds(3);
    assert_eq!(rig.calls, [Set { role: Role::Prefill, units: 1 }, Set { role: Role::Decode, units: 3 }]);
    rig.seconds(5);
    assert_eq!(rig.ended(), [None]);
    let states: Vec<_> = rig
        .told
        .iter()
        .filter_map(|event| match event {
            TargetEvent::Unit { unit, role, state, .. } => Some((unit.0, *role, *state)),
            _ => None,
        })
        .collect();
    let expected = [
        (Role::Prefill, UnitState::Draining { left: 0 }),
        (Role::Prefill, UnitState::Switching),
        (Role::Decode, UnitState::Warming),
        (Role::Decode, UnitState::Serving),
    ];
    assert_eq!(states, expected.map(|(role, state)| (1, role, state)), "one unit, from one role to the other");
    let view = rig.conduct.view(Micros(rig.now));
    assert_eq!((view.split, view.units.len()), (split("1P3D"), 4));
    let report = rig.reports().next().expect("an end");
    assert_eq!((report.drain, report.total), (Nanos(SECOND * 1000), Nanos(4 * SECOND * 1000)));
}

#[test]
fn shifts_wait_for_each_other() {
    let mut rig = Rig::new("2P2D", PROMPT);
    rig.shift("1P3D");
    rig.shift("3P1D");
    rig.second();
    assert_eq!(rig.conduct.view(Micros(rig.now)).waiting_shifts, [(split("3P1D"), How::Drain)]);
    rig.seconds(20);
    assert_eq!(rig.ended(), [None, None]);
    assert_eq!(rig.conduct.view(Micros(rig.now)).split, split("3P1D"));
}

#[test]
fn what_finds_no_room_is_rolled_back_in_reverse() {
    // One GPU was lost to somebody else the moment it was freed.
    let mut rig = Rig::new("2P2D", Ways { room: 3, ..PROMPT });
    rig.shift("1P3D");
    rig.seconds(4);
    let set = |role, units| Set { role, units };
    assert_eq!(
        rig.calls,
        [set(Role::Prefill, 1), set(Role::Decode, 3), set(Role::Decode, 2), set(Role::Prefill, 2)][..rig.calls.len()]
    );
    rig.ways.room = 4;
    rig.seconds(12);
    assert_eq!(rig.calls.len(), 4);
    assert_eq!(rig.ended(), [Some("no room; rolled back to 2P2D".to_owned())]);
}

#[test]
fn a_call_that_is_refused_has_changed_nothing() {
    let mut rig = Rig::new("2P2D", Ways { refuses_after: Some(0), ..PROMPT });
    rig.shift("1P3D");
    rig.seconds(3);
    assert_eq!(rig.ended(), [Some("not today".to_owned())]);
    assert_eq!(rig.calls.len(), 1, "there is nothing to undo");
}

#[test]
fn where_undoing_is_refused_too_the_state_of_all_units_is_told() {
    let mut rig = Rig::new("2P2D", Ways { refuses_after: Some(1), ..PROMPT });
    rig.shift("1P3D");
    rig.seconds(120);
    assert_eq!(rig.ended(), [], "it is tried again");
    rig.seconds(5);
    let why = "not today; rolling back has failed, too: `set prefill to 2` could not be done within 120 s: not today; left as it is: prefill 1 serving; decode 2 serving";
    assert_eq!(rig.ended(), [Some(why.to_owned())]);
    assert!((20..30).contains(&rig.calls.len()), "not with every look: {}", rig.calls.len());
    assert_eq!(rig.remarks(), ["waiting: not today"], "said once");
}

#[test]
fn a_call_that_meets_somebody_elses_change_ends_the_shift_as_it_stands() {
    let mut rig = Rig::new("2P2D", Ways { refuses_after: Some(1), overtakes: true, ..PROMPT });
    rig.shift("1P3D");
    rig.seconds(120);
    let left = "somebody else has set it to 7; left as it is: prefill 1 serving; decode 2 serving";
    assert_eq!((rig.calls.len(), rig.ended()), (2, vec![Some(left.to_owned())]), "nobody is fought");
}

#[test]
fn somebody_elses_change_ends_the_way_back_with_the_next_look_and_an_account_of_all_units() {
    let mut rig = Rig::new("2P2D", Ways { room: 3, refuses_after: Some(2), overtakes: true, ..PROMPT });
    rig.shift("1P3D");
    while rig.calls.len() < 3 {
        assert_eq!(rig.ended(), []);
        rig.second();
    }
    assert_eq!(rig.calls[2], Set { role: Role::Decode, units: 2 }, "there is no room for three");
    assert_eq!(rig.ended(), [], "how all stand is looked at first");
    assert!(rig.conduct.half_way().is_some());
    rig.second();
    let why = "no room; it is not rolled back any further: somebody else has set it to 7; left as it is: prefill 1 serving; decode 2 serving, 1 starting (u4)";
    assert_eq!(rig.ended(), [Some(why.to_owned())]);
    rig.seconds(120);
    assert_eq!((rig.calls.len(), rig.ended().len()), (3, 1), "it is not tried again");
}

#[test]
fn an_answer_that_has_done_nothing_is_found_out() {
    let mut rig = Rig::new("2P2D", Ways { deaf: true, ..PROMPT });
    rig.shift("1P3D");
    rig.seconds(29);
    assert_eq!(rig.ended(), []);
    rig.seconds(5);
    let why = "`set prefill to 1` was answered, and has changed nothing within 30 s; rolled back to 2P2D";
    assert_eq!(rig.ended(), [Some(why.to_owned())]);
}

/// Somebody else has wanted as much before, and there is no room for it.
#[test]
fn what_is_wanted_already_is_not_there_already() {
    let mut rig = Rig::new("2P2D", PROMPT);
    rig.wanted = split("3P2D");
    rig.reconcile();
    rig.second();
    rig.shift("3P2D");
    rig.seconds(3);
    assert_eq!(rig.calls, [], "there is nothing to call");
    assert_eq!(rig.ended(), [Some("no room".to_owned())]);
}

/// Somebody else has asked for more than there is room for, and less of the other role makes room.
#[test]
fn trouble_that_stood_before_a_shift_does_not_roll_back_what_ends_it() {
    let mut rig = Rig::new("2P2D", PROMPT);
    rig.wanted = split("2P3D");
    rig.reconcile();
    rig.seconds(3);
    assert_eq!(rig.conduct.topology().troubles, [Trouble::of_all("no room")]);
    rig.shift("1P3D");
    rig.seconds(10);
    assert_eq!((rig.ended(), rig.topology().serving()), (vec![None], split("1P3D")));
    // Where it does not end, it counts.
    let mut rig = Rig::new("2P2D", Ways { slow: 100, ..PROMPT });
    rig.wanted = split("2P3D");
    rig.reconcile();
    rig.seconds(3);
    rig.shift("1P3D");
    rig.seconds(59);
    assert_eq!(rig.ended(), []);
    rig.seconds(400);
    assert!(rig.ended()[0].as_ref().is_some_and(|why| why.starts_with("no room")), "{:?}", rig.ended());
}

/// As where a replica of prefill fails its health check while one of decode comes up.
#[test]
fn trouble_of_the_other_role_stops_no_step_on_the_way_forth_or_back() {
    let mut rig = Rig::new("2P2D", Ways { slow: 10, ..PROMPT });
    rig.shift("1P3D");
    rig.seconds(14);
    assert_eq!(rig.calls.len(), 2, "prefill is done with, and decode under way");
    rig.ill = Some(Role::Prefill);
    rig.seconds(12);
    assert_eq!(rig.ended(), [None]);
    // The role itself.
    let mut rig = Rig::new("2P2D", Ways { slow: 10, ..PROMPT });
    rig.shift("1P3D");
    rig.seconds(14);
    rig.ill = Some(Role::Decode);
    rig.seconds(60);
    assert_eq!(rig.ended(), [Some("it is ill; rolled back to 2P2D".to_owned())], "though it has not ended since");
    assert_eq!(rig.topology().serving(), split("2P2D"));
}

#[test]
fn shifts_that_wait_are_bounded() {
    let mut rig = Rig::new("2P2D", PROMPT);
    for _ in 0..=ORDERS {
        rig.shift("1P3D");
    }
    let why = format!("{ORDERS} shifts wait already");
    let refused = TargetEvent::ShiftRefused { at: Micros::ZERO, to: split("1P3D"), how: How::Drain, why };
    assert_eq!(rig.told.last(), Some(&refused));
    rig.seconds(30);
    assert_eq!(rig.ended(), vec![None; ORDERS]);
}

#[test]
fn a_place_that_nobody_has_taken_is_vacated_once_all_that_is_wanted_serves() {
    let mut rig = Rig::new("1P2D", PROMPT);
    let gone = rig.units.remove(2);
    rig.second();
    assert_eq!(rig.conduct.vacated(), [], "two are wanted");
    rig.wanted = split("1P1D");
    rig.second();
    assert_eq!(rig.conduct.vacated(), [UnitId(2)]);
    rig.units.push(gone);
    rig.second();
    assert_eq!(rig.conduct.vacated(), []);
}

#[test]
fn what_takes_too_long_is_rolled_back() {
    let mut rig = Rig::new("2P2D", Ways { slow: 500, ..PROMPT });
    rig.shift("1P3D");
    rig.seconds(122);
    assert_eq!(rig.calls.len(), 2, "asked for, and taken back");
    assert_eq!(rig.calls[1], Set { role: Role::Prefill, units: 2 });
}

#[test]
fn whoever_else_changes_what_is_wanted_is_told_of_and_not_fought() {
    let mut rig = Rig::new("2P2D", PROMPT);
    rig.seconds(2);
    rig.wanted = split("2P1D");
    rig.reconcile();
    rig.seconds(5);
    let told = "somebody else changed the split that is wanted from 2P2D to 2P1D: an autoscaler, or another operator";
    assert_eq!(rig.remarks(), [told]);
    rig.shift("1P2D");
    rig.seconds(2);
    rig.wanted = split("3P1D");
    rig.reconcile();
    rig.second();
    let [Some(why)] = &rig.ended()[..] else { panic!("{:?}", rig.ended()) };
    assert!(why.contains("changed what is wanted to 3P1D") && why.contains("left as it is"), "{why}");
    let calls = rig.calls.len();
    rig.seconds(20);
    assert_eq!(rig.calls.len(), calls, "nobody is fought");
}

#[test]
fn a_control_plane_that_is_gone_in_mid_shift_is_given_up_with_what_was_last_seen() {
    let mut rig = Rig::new("2P2D", PROMPT);
    rig.shift("1P3D");
    rig.second();
    for second in 0..=60 {
        assert_eq!(rig.ended(), [], "{second}");
        let turn = rig.conduct.unseen("connection refused", Micros(rig.now + second * SECOND));
        rig.take(turn);
    }
    let why = "nobody has answered for 60 s (connection refused); when last seen: prefill 2 serving; decode 2 serving";
    assert_eq!(rig.ended(), [Some(why.to_owned())]);
}

#[test]
fn that_nobody_answers_is_said_once_and_so_is_that_somebody_does_again() {
    let mut rig = Rig::new("2P2D", PROMPT);
    for second in 1..=9 {
        let turn = rig.conduct.unseen("connection refused", Micros(rig.now + second * SECOND));
        rig.take(turn);
        assert_eq!(rig.remarks().len(), usize::from(second >= 5), "{second}");
    }
    rig.now += 9 * SECOND;
    rig.seconds(3);
    let gone = "the control plane does not answer: connection refused; the units are as they were seen 5 s ago";
    assert_eq!(rig.remarks(), [gone, "the control plane answers again, after 10 s"]);
    let turn = rig.conduct.unseen("connection reset", Micros(rig.now + SECOND));
    rig.take(turn);
    rig.seconds(3);
    assert_eq!(rig.remarks().len(), 2, "one look that failed is soon made again");
}

#[test]
fn a_unit_that_goes_by_itself_is_lost_and_its_place_is_taken() {
    let mut rig = Rig::new("1P2D", PROMPT);
    let gone = rig.units.remove(2);
    rig.second();
    assert!(
        rig.told.iter().any(
            |event| matches!(event, TargetEvent::UnitLost { unit, why, .. } if unit.0 == 2 && why == "u2 is gone")
        )
    );
    assert_eq!(rig.conduct.view(Micros(rig.now)).split, split("1P1D"));
    rig.units.push((Member { name: "again".to_owned(), ..gone.0 }, 0));
    rig.second();
    let view = rig.conduct.view(Micros(rig.now));
    assert_eq!((view.split, view.units.len()), (split("1P2D"), 3), "no fourth unit");
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the control plane does, a shift that was accepted begins once and ends once: in its split, or back where it came
    /// from, or with an account of exactly what is left; and nobody is ever asked for less than one unit of a role.
    #[test]
    fn every_shift_ends(
        slow in 0_u64..20, room in 3_usize..6, refuses_after in proptest::option::of(0_usize..6), overtakes in any::<bool>(),
        deaf in any::<bool>(),
        ill in proptest::option::of((any::<bool>(), 0_u64..60, 1_u64..90)),
        meddling in proptest::option::of((1_u64..40, 1_u16..4, 1_u16..4)),
        targets in prop::collection::vec((1_u16..4, 1_u16..4), 1..4),
    ) {
        let mut rig = Rig::new("2P2D", Ways { slow, deaf, refuses_after, overtakes, room });
        for (prefill, decode) in &targets {
            rig.shift(&format!("{prefill}P{decode}D"));
        }
        for second in 0..3_000 {
            if let Some((_, prefill, decode)) = meddling.filter(|(at, ..)| *at == second) {
                rig.wanted = Split { prefill, decode, aggregated: 0 };
                rig.reconcile();
            }
            let is_ill = ill.filter(|(_, from, lasts)| (*from..from + lasts).contains(&second));
            rig.ill = is_ill.map(|(prefill, ..)| if prefill { Role::Prefill } else { Role::Decode });
            rig.second();
        }
        let started = rig.told.iter().filter(|event| matches!(event, TargetEvent::ShiftStarted { .. })).count();
        prop_assert_eq!((started, rig.ended().len()), (targets.len(), targets.len()));
        prop_assert!(!rig.conduct.is_shifting());
        prop_assert!(rig.calls.iter().all(|call| call.units > 0));
        if meddling.is_some() {
            return Ok(());
        }
        for (report, (left, wanted)) in rig.reports().zip(&rig.left) {
            let from = report.from;
            let is_told = match &report.abandoned {
                None => left.is(report.to),
                Some(why) if why.ends_with(&format!("rolled back to {from}")) => left.serving() == from,
                Some(why) => why.ends_with(&left.account()) || *wanted == from,
            };
            prop_assert!(is_told, "{report:?}: {}, and {wanted} wanted", left.account());
        }
    }
}
