use std::collections::{BTreeSet, VecDeque};
use std::sync::Mutex;

use engine::cluster::How;
use engine::units::{Role, Split, UnitId};

use super::*;
use crate::live::UnitView;
use crate::sample::{Failure, FailureKind, ServerSide};
use crate::target::{Control, Shed, null};

/// Units that become what they will be from one look to the next, then stay.
#[derive(Debug)]
struct Starting(Mutex<VecDeque<Vec<UnitState>>>, Vec<UnitId>);

impl Control for Starting {
    fn observe(&self) -> ClusterView {
        let mut looks = self.0.lock().expect("unpoisoned");
        let states = if looks.len() > 1 { looks.pop_front() } else { looks.front().cloned() }.unwrap_or_default();
        let unit = |(at, state): (usize, &UnitState)| UnitView {
            unit: UnitId(at as u16),
            role: if at == 0 { Role::Prefill } else { Role::Decode },
            state: *state,
            in_state: Micros::ZERO,
            measured: false,
            busy: 0.0,
            queue: 0,
            running: 0,
            handing_off: 0,
            kv_used: 0.0,
            kv_cached: 0.0,
            input_tps: 0.0,
            output_tps: 0.0,
        };
        let units: Vec<UnitView> = states.iter().enumerate().map(unit).collect();
        ClusterView { split: Split::of(units.iter().map(|unit| unit.role)), units, waiting_shifts: Vec::new() }
    }

    fn vacated(&self) -> Vec<UnitId> {
        self.1.clone()
    }

    fn shift(&self, _: Split, _: How) -> Result<(), String> {
        Err("not asked for here".to_owned())
    }
}

/// Answers each request with the next of some outcomes, and the last for ever; `None` is no answer.
#[derive(Debug)]
struct Answers {
    outcomes: Mutex<VecDeque<Option<Outcome>>>,
    ended: Mutex<Vec<TargetEvent>>,
}

impl Target for Answers {
    fn submit(&self, dispatch: Dispatch) -> Result<(), Shed> {
        assert_eq!((dispatch.prompt.len(), dispatch.output_tokens), (4, 2));
        let mut outcomes = self.outcomes.lock().expect("unpoisoned");
        let outcome = if outcomes.len() > 1 { outcomes.pop_front() } else { outcomes.front().cloned() };
        if let Some(outcome) = outcome.flatten() {
            let ended = TargetEvent::Ended { index: dispatch.index, at: Micros::ZERO, outcome, server: None };
            self.ended.lock().expect("unpoisoned").push(ended);
        }
        Ok(())
    }

    fn cancel(&self, _: u64) {}
}

#[derive(Debug)]
struct Events(Arc<Answers>);

impl TargetEvents for Events {
    fn align(&mut self, _: RunClock) {
        panic!("there is no run yet");
    }

    fn drain(&mut self, into: &mut Vec<TargetEvent>, _: Duration) -> bool {
        into.append(&mut self.0.ended.lock().expect("unpoisoned"));
        true
    }
}

fn connection(looks: &[&[UnitState]], outcomes: &[Option<Outcome>]) -> Connection {
    let looks = looks.iter().map(|states| states.to_vec()).collect();
    let outcomes = Mutex::new(outcomes.iter().cloned().collect());
    let answers = Arc::new(Answers { outcomes, ended: Mutex::default() });
    Connection {
        target: answers.clone(),
        events: Box::new(Events(answers)),
        control: Some(Arc::new(Starting(Mutex::new(looks), Vec::new()))),
        ..null::connect()
    }
}

fn refused() -> Outcome {
    Outcome::Failed(Failure { kind: FailureKind::Refused, message: "503: loading".to_owned() })
}

const LONG: Micros = Micros(60_000_000);

#[test]
fn units_that_start_are_waited_for_then_an_answer_and_each_is_told_once() {
    let (up, starting) = (UnitState::Serving, UnitState::Warming);
    let looks: [&[UnitState]; 4] = [&[up], &[up, starting], &[up, starting], &[up, up]];
    let mut connection = connection(&looks[1..], &[Some(refused()), Some(Outcome::Completed)]);
    connection.info.split = Some(Split { prefill: 1, decode: 0, aggregated: 0 });
    let mut told = Vec::new();
    wait(&mut connection, LONG, Micros::ZERO, |line| told.push(line.to_owned())).expect("ready");
    assert_eq!(
        told,
        [
            "waiting for unit 1 (decode) is still starting",
            "waiting for an answer: a request of 4 tokens failed (refused: 503: loading)"
        ]
    );
    assert_eq!(connection.info.split.map(|split| split.to_string()).as_deref(), Some("1P1D"), "what serves by now");
}

#[test]
fn what_does_not_come_true_in_time_is_named() {
    let mut lost = connection(&[&[UnitState::Serving, UnitState::Failed, UnitState::Draining { left: 3 }]], &[]);
    let why = wait(&mut lost, Micros(1), Micros::ZERO, |_| {}).expect_err("a unit is lost").to_string();
    assert!(why.contains("unit 1 (decode) is lost, unit 2 (decode) drains after 1us\nhint: "), "{why}");
    assert!(why.contains("--no-wait"), "{why}");

    let mut silent = connection(&[&[UnitState::Serving]], &[None]);
    let why = wait(&mut silent, Micros(1), Micros::ZERO, |_| {}).expect_err("no answer").to_string();
    assert!(why.contains("a request of 4 tokens got no answer, after 1us"), "{why}");

    // Whatever became of the last one.
    let mut late = connection(&[&[UnitState::Serving]], &[Some(refused()), None]);
    let why = wait(&mut late, Micros(1_500_000), Micros::ZERO, |_| {}).expect_err("no answer").to_string();
    assert!(why.contains("failed (refused: 503: loading), and got no answer when it was sent again, after"), "{why}");

    let mut failing = connection(&[&[UnitState::Serving]], &[Some(refused())]);
    let why = wait(&mut failing, Micros(1), Micros::ZERO, |_| {}).expect_err("an error").to_string();
    assert!(why.contains("failed (refused: 503: loading)"), "{why}");
}

#[test]
fn without_a_control_an_answer_will_do() {
    let mut connection = Connection { control: None, ..connection(&[], &[Some(Outcome::Completed)]) };
    wait(&mut connection, LONG, Micros::ZERO, |line| panic!("{line}")).expect("ready");
}

#[test]
fn a_place_that_nobody_has_taken_is_not_waited_for() {
    let looks = VecDeque::from([vec![UnitState::Serving, UnitState::Failed]]);
    let control = Arc::new(Starting(Mutex::new(looks), vec![UnitId(1)]));
    let mut connection = Connection { control: Some(control), ..connection(&[], &[Some(Outcome::Completed)]) };
    wait(&mut connection, LONG, Micros::ZERO, |line| panic!("{line}")).expect("ready");
}

#[test]
fn the_time_that_was_stated_is_told_however_much_of_it_was_spent_before() {
    let mut starting = connection(&[&[UnitState::Warming]], &[]);
    let why = wait(&mut starting, LONG, LONG, |_| {}).expect_err("it starts").to_string();
    assert!(why.contains("is still starting after 1m\n"), "{why}");
    let mut late = connection(&[&[UnitState::Serving]], &[Some(Outcome::Completed)]);
    wait(&mut late, LONG, LONG, |_| {}).expect("a request is given its time");
}

/// Answers every request at once, by the units that `route` names for the first, the second and so on.
struct Routed {
    route: fn(u32) -> Option<(u16, u16)>,
    outcomes: Mutex<VecDeque<Outcome>>,
    sent: Mutex<Vec<Dispatch>>,
    told: Mutex<Vec<TargetEvent>>,
}

impl std::fmt::Debug for Routed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Routed")
    }
}

impl Target for Routed {
    fn submit(&self, dispatch: Dispatch) -> Result<(), Shed> {
        let mut sent = self.sent.lock().expect("unpoisoned");
        let units = (self.route)(sent.len() as u32);
        let server = units.map(|(prefill, decode)| ServerSide {
            prefill_unit: Some(prefill),
            decode_unit: Some(decode),
            ..ServerSide::default()
        });
        let outcome = self.outcomes.lock().expect("unpoisoned").pop_front().unwrap_or(Outcome::Completed);
        let ended = TargetEvent::Ended { index: dispatch.index, at: Micros::ZERO, outcome, server };
        self.told.lock().expect("unpoisoned").push(ended);
        sent.push(dispatch);
        Ok(())
    }

    fn cancel(&self, _: u64) {}
}

#[derive(Debug)]
struct RoutedEvents(Arc<Routed>);

impl TargetEvents for RoutedEvents {
    fn align(&mut self, _: RunClock) {
        panic!("there is no run yet");
    }

    fn drain(&mut self, into: &mut Vec<TargetEvent>, _: Duration) -> bool {
        into.append(&mut self.0.told.lock().expect("unpoisoned"));
        true
    }
}

/// One prefill unit and two decode units.
fn routed(route: fn(u32) -> Option<(u16, u16)>, outcomes: &[Outcome]) -> (Connection, Arc<Routed>) {
    let outcomes = Mutex::new(outcomes.iter().cloned().collect());
    let routed = Arc::new(Routed { route, outcomes, sent: Mutex::default(), told: Mutex::default() });
    let connection = Connection {
        target: routed.clone(),
        events: Box::new(RoutedEvents(routed.clone())),
        ..connection(&[&[UnitState::Serving; 3]], &[])
    };
    (connection, routed)
}

#[test]
fn requests_are_sent_until_every_unit_has_answered_one() {
    let (mut connection, routed) = routed(|sent| Some((0, 1 + u16::from(sent == 5))), &[]);
    wait(&mut connection, LONG, Micros::ZERO, |line| panic!("{line}")).expect("ready");
    let sent = routed.sent.lock().expect("unpoisoned");
    assert_eq!(sent.len(), 1 + 2 * 3, "one, then as many at once as there are units, until the last is met");
    let indices: BTreeSet<u64> = sent.iter().map(|dispatch| dispatch.index).collect();
    let prompts: BTreeSet<&[u32]> = sent[1..4].iter().map(|dispatch| &*dispatch.prompt).collect();
    assert_eq!((indices.len(), prompts.len()), (7, 3));
    assert!(connection.remarks.is_empty());
}

#[test]
fn a_unit_that_answers_none_of_many_requests_is_named_before_the_run() {
    let (mut connection, routed) = routed(|_| Some((0, 1)), &[]);
    wait(&mut connection, LONG, Micros::ZERO, |line| panic!("{line}")).expect("ready");
    assert_eq!(routed.sent.lock().expect("unpoisoned").len(), 25);
    assert_eq!(connection.remarks, ["unit 2 (decode) answered none of 25 small requests before the load"]);
}

#[test]
fn where_nobody_tells_who_serves_as_many_at_once_as_there_are_units_will_do() {
    let (mut connection, routed) = routed(|_| None, &[]);
    wait(&mut connection, LONG, Micros::ZERO, |line| panic!("{line}")).expect("ready");
    assert_eq!((routed.sent.lock().expect("unpoisoned").len(), connection.remarks.len()), (4, 0));
}

#[test]
fn a_unit_that_is_up_and_refuses_is_waited_for() {
    let outcomes = [Outcome::Completed, Outcome::Completed, refused()];
    let (mut connection, routed) = routed(|sent| Some((0, 1 + sent as u16 % 2)), &outcomes);
    let mut told = Vec::new();
    wait(&mut connection, LONG, Micros::ZERO, |line| told.push(line.to_owned())).expect("ready");
    let line = "waiting for an answer: one of 3 requests of 4 tokens at once failed (refused: 503: loading)";
    assert_eq!((told, routed.sent.lock().expect("unpoisoned").len()), (vec![line.to_owned()], 7));
}

#[test]
fn what_was_told_before_is_told_by_the_run() {
    let (mut connection, routed) = routed(|_| None, &[]);
    let text = "the server refuses ignore_eos".to_owned();
    routed.told.lock().expect("unpoisoned").push(TargetEvent::Remark { at: Micros::ZERO, text: text.clone() });
    wait(&mut connection, LONG, Micros::ZERO, |line| panic!("{line}")).expect("ready");
    assert_eq!(connection.remarks, [text]);
}
