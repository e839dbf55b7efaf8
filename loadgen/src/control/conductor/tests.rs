//! Looks that fail, and orders that come meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};

use engine::units::Role;

use super::*;
use crate::control::half_way;
use crate::control::plane::{Action, CallError, Goal, Member, MemberState, Plan, Step};

fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

/// What a call asks for is so at the next look; for as many looks as it is told, nobody answers.
struct Plane {
    serving: Split,
    unwell: u32,
}

impl Adapter for Plane {
    type Call = Split;

    fn abilities(&self) -> Abilities {
        Abilities::ALL
    }

    async fn observe(&mut self) -> Result<Topology, Unseen> {
        if let Some(left) = self.unwell.checked_sub(1) {
            self.unwell = left;
            return Err("no answer".to_owned().into());
        }
        let member = |(at, role): (usize, Role)| Member::new(format!("u{at}"), role, MemberState::Serving);
        let members = self.serving.roles().enumerate().map(member).collect();
        Ok(Topology { members, wanted: Some(self.serving), ..Topology::default() })
    }

    fn propose(&self, to: Split, _: How) -> Result<Plan<Split>, String> {
        let forth = Action { call: to, says: "call".to_owned(), goal: Goal::All(to), wants: Some(to) };
        let steps = vec![Step { forth, back: None }];
        Ok(Plan { from: self.serving, steps, moves: None, remarks: Vec::new() })
    }

    async fn apply(&mut self, call: &Split) -> Result<(), CallError> {
        self.serving = *call;
        Ok(())
    }
}

/// Keeps what it is told, on a clock that is set.
#[derive(Clone, Default)]
struct Told {
    events: Arc<Mutex<Vec<TargetEvent>>>,
    now: Arc<AtomicU64>,
}

impl Listener for Told {
    async fn tell(&self, events: &mut Vec<TargetEvent>) {
        self.events.lock().expect("the events").append(events);
    }

    fn now(&self) -> Micros {
        Micros(self.now.load(Ordering::Relaxed))
    }
}

impl Told {
    /// What became of shifts since the last time.
    fn names(&self) -> Vec<&'static str> {
        let name = |event| match event {
            TargetEvent::ShiftStarted { .. } => Some("started"),
            TargetEvent::ShiftDropped { .. } => Some("dropped"),
            TargetEvent::ShiftEnded { .. } => Some("ended"),
            _ => None,
        };
        self.events.lock().expect("the events").drain(..).filter_map(name).collect()
    }
}

/// A shift waits, and for so many looks nobody answers, a look every `seconds`; what was told after each of four looks.
fn looks(unwell: u32, seconds: u64) -> Vec<Vec<&'static str>> {
    let told = Told::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let mut adapter = Plane { serving: split("2P2D"), unwell: 0 };
        let mut conduct = Conduct::new(adapter.observe().await.expect("seen"), Duration::from_mins(1), Micros::ZERO);
        conduct.accept(split("3P1D"), How::Drain, Micros::ZERO);
        adapter.unwell = unwell;
        let view = Arc::new(Mutex::new(View::of(&conduct, Micros::ZERO)));
        let mut conductor = Conductor { adapter, conduct, listener: told.clone(), view, half_way: HalfWay::new() };
        let mut seen = Vec::new();
        for _ in 0..4 {
            conductor.look().await;
            seen.push(told.names());
            told.now.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
        }
        seen
    })
}

#[test]
fn a_shift_is_half_way_until_it_has_ended() {
    let first = Topology { wanted: Some(split("5P4D")), ..Topology::default() };
    let mut conduct = Conduct::<Split>::new(first, Duration::from_mins(1), Micros::ZERO);
    let half_way = HalfWay::new();
    let is_said =
        || half_way::lines().iter().any(|line| line.starts_with("the shift from 5P4D to 4P5D is left half-way: "));
    conduct.accept(split("4P5D"), How::Drain, Micros::ZERO);
    let order = conduct.take_next().expect("an order");
    let plan = Plane { serving: split("5P4D"), unwell: 0 }.propose(order.to, How::Drain).expect("a plan");
    conduct.begin(order, plan, Micros::ZERO);
    half_way.set(conduct.half_way());
    assert!(is_said());
    conduct.answered(Err(CallError::Refused("no".to_owned())), Micros::ZERO);
    half_way.set(conduct.half_way());
    assert!(!is_said());
}

#[test]
fn a_shift_that_waits_outlives_a_look_that_fails() {
    let none = Vec::new;
    assert_eq!(looks(2, 2)[..3], [none(), none(), vec!["started"]]);
    assert_eq!(looks(4, 20), [none(), none(), none(), vec!["dropped"]], "somebody who has gone is not waited for");
}
