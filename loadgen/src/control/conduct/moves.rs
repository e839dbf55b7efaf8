//! Shifts whose plan says which members move, and calls that are not to be had at once.

use engine::units::Role;

use super::*;
use crate::control::plane::{Goal, Member, Step, Trouble};

const SECOND: u64 = 1_000_000;
const PATIENCE: Duration = Duration::from_mins(2);

/// Which of the two calls of a flip, or what undoes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    Out,
    In(Role),
}

fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

/// Two units of each role: `a` and `b` prefill, `c` and `d` decode.
fn four() -> Topology {
    let (p, d) = (Role::Prefill, Role::Decode);
    let members = [("a", p), ("b", p), ("c", d), ("d", d)];
    let members = members.map(|(name, role)| Member::new(name, role, MemberState::Serving)).into();
    Topology { members, wanted: Some(split("2P2D")), ..Topology::default() }
}

/// The same, with `d` as it is said and whatever else is wanted.
fn with(state: Option<(Role, MemberState)>, wanted: &str) -> Topology {
    let mut seen = Topology { wanted: Some(split(wanted)), ..four() };
    seen.members.pop();
    seen.members.extend(state.map(|(role, state)| Member::new("d", role, state)));
    seen
}

/// `d` becomes prefill.
fn flip() -> Plan<Call> {
    let name = || "d".to_owned();
    let action =
        |call: Call, goal, wants: &str| Action { call, says: format!("{call:?}"), goal, wants: Some(split(wants)) };
    let joined = |role| Goal::Joined { name: name(), role };
    let (p, d) = (Role::Prefill, Role::Decode);
    let steps = vec![
        Step {
            forth: action(Call::Out, Goal::Left { name: name() }, "2P1D"),
            back: Some(action(Call::In(d), joined(d), "2P2D")),
        },
        Step {
            forth: action(Call::In(p), joined(p), "3P1D"),
            back: Some(action(Call::Out, Goal::Left { name: name() }, "2P1D")),
        },
    ];
    Plan { from: split("2P2D"), steps, moves: Some(vec![name()]), remarks: Vec::new() }
}

struct Rig {
    conduct: Conduct<Call>,
    now: u64,
    calls: Vec<Call>,
    told: Vec<TargetEvent>,
}

impl Rig {
    /// A flip of `d` has begun, and its first call is made.
    fn new() -> Self {
        let mut rig =
            Self { conduct: Conduct::new(four(), PATIENCE, Micros::ZERO), now: 0, calls: Vec::new(), told: Vec::new() };
        rig.conduct.accept(split("3P1D"), How::Drain, Micros::ZERO);
        let order = rig.conduct.take_next().expect("an order");
        let turn = rig.conduct.begin(order, flip(), Micros::ZERO);
        rig.take(turn);
        rig
    }

    fn take(&mut self, turn: Turn<Call>) {
        self.told.extend(turn.events);
        self.calls.extend(turn.call.map(|action| action.call));
    }

    fn answer(&mut self, answer: Result<(), CallError>) {
        let turn = self.conduct.answered(answer, Micros(self.now));
        self.take(turn);
    }

    /// So many seconds later this is seen.
    fn saw(&mut self, seconds: u64, topology: Topology) {
        self.now += seconds * SECOND;
        let turn = self.conduct.saw(topology, Micros(self.now));
        self.take(turn);
    }

    /// What became of it, once it is over: why it was given up, if it was.
    fn ended(&self) -> Vec<Option<String>> {
        let ended = self.told.iter().filter_map(|event| match event {
            TargetEvent::ShiftEnded { report, .. } => Some(report.abandoned.clone()),
            _ => None,
        });
        ended.collect()
    }

    /// What was told of units: which, its role and state, or why it was lost.
    fn units(&self) -> Vec<String> {
        let told = self.told.iter().filter_map(|event| match event {
            TargetEvent::Unit { unit, role, state, .. } => Some(format!("{unit} {role} {state:?}")),
            TargetEvent::UnitLost { unit, why, .. } => Some(format!("{unit} lost: {why}")),
            _ => None,
        });
        told.collect()
    }

    fn remarks(&self) -> Vec<&str> {
        let told = self.told.iter().filter_map(|event| match event {
            TargetEvent::Remark { text, .. } => Some(text.as_str()),
            _ => None,
        });
        told.collect()
    }
}

const OUT: Option<(Role, MemberState)> = Some((Role::Decode, MemberState::Out));
const BACK: Option<(Role, MemberState)> = Some((Role::Prefill, MemberState::Serving));

#[test]
fn a_unit_that_flips_stays_the_same_unit() {
    let mut rig = Rig::new();
    rig.answer(Ok(()));
    rig.saw(1, with(Some((Role::Decode, MemberState::Stopping)), "2P1D"));
    rig.saw(1, with(OUT, "2P1D"));
    rig.answer(Ok(()));
    rig.saw(1, with(Some((Role::Prefill, MemberState::Starting)), "3P1D"));
    rig.saw(1, with(BACK, "3P1D"));
    assert_eq!((rig.calls.as_slice(), rig.ended()), (&[Call::Out, Call::In(Role::Prefill)][..], vec![None]));
    let path = ["decode Draining { left: 0 }", "decode Switching", "prefill Warming", "prefill Serving"];
    assert_eq!(rig.units(), path.map(|state| format!("unit 3 {state}")));
}

#[test]
fn a_call_that_cannot_be_taken_yet_is_made_again_and_given_up_in_time() {
    let mut rig = Rig::new();
    let busy = || Err(CallError::NotYet("it is not idle".to_owned()));
    rig.answer(busy());
    for _ in 0..119 {
        rig.saw(1, four());
        rig.answer(busy());
    }
    assert_eq!((rig.calls.len(), rig.ended()), (120, vec![]));
    assert_eq!(rig.remarks(), ["waiting: it is not idle"], "said once");
    rig.saw(1, four());
    let why = "`Out` could not be done within 120 s: it is not idle";
    assert_eq!(rig.ended(), [Some(why.to_owned())], "nothing was done, and there is nothing to undo");
    assert_eq!(rig.calls.len(), 120);
}

#[test]
fn what_was_done_in_part_is_undone_with_what_came_before() {
    let mut rig = Rig::new();
    let partly = || Err(CallError::Partly("one of two".to_owned()));
    rig.answer(Ok(()));
    rig.saw(1, with(OUT, "2P1D"));
    rig.answer(partly());
    assert_eq!(rig.calls, [Call::Out, Call::In(Role::Prefill), Call::Out], "what undoes this very call");
    rig.answer(Ok(()));
    rig.saw(1, with(OUT, "2P1D"));
    rig.answer(partly());
    rig.saw(4, with(OUT, "2P1D"));
    assert_eq!((rig.calls.len(), rig.ended()), (4, vec![]), "on the way back it is made again, and not at once");
    rig.saw(1, with(OUT, "2P1D"));
    rig.answer(Ok(()));
    rig.saw(1, four());
    assert_eq!(rig.calls[3..], [Call::In(Role::Decode), Call::In(Role::Decode)]);
    assert_eq!(rig.ended(), [Some("one of two; rolled back to 2P2D".to_owned())]);
}

#[test]
fn what_is_broken_is_not_put_back() {
    let mut rig = Rig::new();
    rig.answer(Ok(()));
    rig.saw(1, with(OUT, "2P1D"));
    rig.answer(Err(CallError::Broken("d is torn".to_owned())));
    let left = "prefill 2 serving; decode 1 serving, 1 out of service (d)";
    let why = format!("d is torn; it cannot be undone, and is left as it is: {left}");
    assert_eq!(rig.ended(), [Some(why)]);
    assert_eq!(rig.calls, [Call::Out, Call::In(Role::Prefill)]);
    assert_eq!(rig.units().last().map(String::as_str), Some("unit 3 lost: d was left out of service"));
    assert_eq!(rig.conduct.view(Micros(rig.now)).split, split("2P1D"));
    let told = rig.told.len();
    rig.saw(1, with(OUT, "2P1D"));
    assert_eq!(rig.told.len(), told, "it is lost once");
}

#[test]
fn who_comes_back_as_something_else_is_taken_out_and_put_back_as_before() {
    let mut rig = Rig::new();
    rig.answer(Ok(()));
    rig.saw(1, with(OUT, "2P1D"));
    rig.answer(Ok(()));
    rig.saw(1, with(Some((Role::Aggregated, MemberState::Serving)), "2P1D"));
    rig.answer(Ok(()));
    rig.saw(1, with(OUT, "2P1D"));
    rig.answer(Ok(()));
    rig.saw(1, four());
    assert_eq!(rig.calls, [Call::Out, Call::In(Role::Prefill), Call::Out, Call::In(Role::Decode)]);
    let why = "d came back as aggregated, and not as prefill; rolled back to 2P2D";
    assert_eq!(rig.ended(), [Some(why.to_owned())]);
}

#[test]
fn what_becomes_of_others_meanwhile_is_told_and_stands_in_nobodys_way() {
    let mut rig = Rig::new();
    rig.answer(Ok(()));
    let without_a = |state, wanted| {
        let mut seen = with(state, wanted);
        seen.members.remove(0);
        seen
    };
    rig.saw(1, without_a(OUT, "1P1D"));
    assert!(rig.units().contains(&"unit 0 lost: a is gone".to_owned()), "{:?}", rig.units());
    rig.answer(Ok(()));
    assert_eq!((rig.calls.len(), rig.ended()), (2, vec![]), "the flip goes on");
    rig.saw(1, without_a(BACK, "2P1D"));
    let [Some(why)] = &rig.ended()[..] else { panic!("{:?}", rig.told) };
    assert!(why.starts_with("somebody else changed what is wanted to 2P1D meanwhile: an autoscaler, or"), "{why}");
    assert!(why.ends_with("left as it is: prefill 2 serving; decode 1 serving"), "{why}");
}

/// As a gateway tells of workers that have failed.
fn ill(seen: Topology, names: &[&str]) -> Topology {
    let mut seen = seen;
    for name in names {
        seen.troubles.push(Trouble::of_member(*name, format!("{name} has failed")));
        let member = seen.members.iter_mut().find(|member| member.name == *name).expect("a member");
        member.state = MemberState::Starting;
    }
    seen
}

#[test]
fn a_worker_that_falls_ill_beside_a_shift_does_not_undo_it() {
    let mut rig = Rig::new();
    rig.answer(Ok(()));
    rig.saw(1, ill(with(OUT, "2P1D"), &["a"]));
    rig.answer(Ok(()));
    rig.saw(1, ill(with(BACK, "3P1D"), &["a"]));
    assert_eq!((rig.calls.as_slice(), rig.ended()), (&[Call::Out, Call::In(Role::Prefill)][..], vec![None]));
    let told =
        "whoever was to move has, and not everybody else serves: prefill 2 serving, 1 starting (a); decode 1 serving";
    assert_eq!(rig.remarks(), [told]);
}

#[test]
fn where_nothing_is_to_move_everybody_is_to_serve() {
    let mut conduct = Conduct::<Call>::new(four(), PATIENCE, Micros::ZERO);
    conduct.saw(ill(four(), &["a"]), Micros::ZERO);
    conduct.accept(split("2P2D"), How::Drain, Micros::ZERO);
    let order = conduct.take_next().expect("an order");
    let plan = Plan { from: split("2P2D"), steps: Vec::new(), moves: Some(Vec::new()), remarks: Vec::new() };
    let turn = conduct.begin(order, plan, Micros(SECOND));
    let ended = turn.events.into_iter().find_map(|event| match event {
        TargetEvent::ShiftEnded { report, .. } => report.abandoned,
        _ => None,
    });
    assert_eq!(ended.as_deref(), Some("a has failed"));
}

#[test]
fn whoever_is_on_the_way_back_is_put_back_whoever_is_ill() {
    let starting = || with(Some((Role::Prefill, MemberState::Starting)), "3P1D");
    let mut rig = Rig::new();
    rig.answer(Ok(()));
    rig.saw(1, with(OUT, "2P1D"));
    rig.answer(Ok(()));
    rig.saw(1, ill(starting(), &["d"]));
    rig.answer(Ok(()));
    rig.saw(1, ill(ill(starting(), &["d"]), &["a"]));
    assert_eq!(rig.ended(), [], "d has failed ever since, which is why it is undone");
    rig.saw(1, ill(with(OUT, "2P1D"), &["a"]));
    rig.answer(Ok(()));
    rig.saw(1, ill(four(), &["a"]));
    assert_eq!(rig.calls, [Call::Out, Call::In(Role::Prefill), Call::Out, Call::In(Role::Decode)]);
    let left = "what serves is not 2P2D as before: prefill 1 serving, 1 starting (a); decode 2 serving";
    assert_eq!(rig.ended(), [Some(format!("d has failed; rolled back, and {left}"))]);
}

#[test]
fn what_has_changed_nothing_on_the_way_back_is_called_again() {
    let mut rig = Rig::new();
    rig.answer(Ok(()));
    rig.saw(1, with(OUT, "2P1D"));
    rig.answer(Err(CallError::Refused("no".to_owned())));
    rig.answer(Ok(()));
    rig.saw(31, with(OUT, "2P1D"));
    let ignored = "waiting: `In(Decode)` was answered, and has changed nothing within 30 s";
    assert_eq!((rig.remarks(), rig.ended()), (vec![ignored], vec![]));
    rig.saw(5, with(OUT, "2P1D"));
    rig.answer(Err(CallError::Unclear("no answer".to_owned())));
    rig.saw(1, four());
    assert_eq!(rig.calls, [Call::Out, Call::In(Role::Prefill), Call::In(Role::Decode), Call::In(Role::Decode)]);
    assert_eq!(rig.ended(), [Some("no; rolled back to 2P2D".to_owned())]);
}

#[test]
fn whoever_dies_on_its_way_up_is_nobody_elses_doing() {
    let mut rig = Rig::new();
    rig.answer(Ok(()));
    rig.saw(1, with(OUT, "2P1D"));
    rig.answer(Ok(()));
    rig.saw(1, with(Some((Role::Prefill, MemberState::Starting)), "3P1D"));
    rig.saw(1, with(None, "2P1D"));
    assert_eq!(rig.calls.last(), Some(&Call::Out), "what was done is undone");
    rig.answer(Ok(()));
    rig.saw(1, with(None, "2P1D"));
    rig.answer(Ok(()));
    rig.saw(1, four());
    let why = "d was on its way up as prefill, and is gone again; rolled back to 2P2D";
    assert_eq!(rig.ended(), [Some(why.to_owned())]);
}

#[test]
fn whoever_undoes_a_shift_is_named_where_he_is_known() {
    let mut rig = Rig::new();
    rig.answer(Ok(()));
    rig.saw(1, with(OUT, "2P1D"));
    rig.answer(Ok(()));
    rig.saw(1, with(BACK, "3P1D"));
    assert_eq!(rig.ended(), [None]);
    rig.saw(5, Topology { rival: Some("the planner".to_owned()), ..four() });
    let told = "somebody else changed the split that is wanted from 3P1D to 2P2D, which undoes the shift: the planner";
    assert_eq!(rig.remarks(), [told]);
}

#[test]
fn whatever_else_the_control_plane_is_told_shows_in_its_generation() {
    let at = |generation| Topology { generation: Some(generation), ..four() };
    let mut conduct = Conduct::<Call>::new(at(7), PATIENCE, Micros::ZERO);
    assert_eq!(conduct.saw(at(7), Micros(SECOND)).events, []);
    let text = "somebody else told the control plane something (generation 7, now 9); the split is wanted as before";
    let at_once = Micros(2 * SECOND);
    let told = conduct.saw(at(9), at_once).events;
    assert_eq!(told, [TargetEvent::Remark { at: at_once, text: text.to_owned() }]);
    assert_eq!(conduct.saw(at(9), Micros(3 * SECOND)).events, []);
}
