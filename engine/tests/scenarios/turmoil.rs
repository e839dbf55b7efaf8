//! A driver that acknowledges in any order, stops answers at any token, loses units, and checks after every call.

use std::collections::{BTreeMap, BTreeSet};

use engine::cluster::{
    Cluster, ClusterConfig, FinishReason, FirstToken, How, Notice, Outbox, RoleCommand, StepPlan, StepReport,
    TransferId, UnitState,
};
use engine::units::{Nanos, RequestId, UnitId};
use proptest::prelude::*;

use crate::world::{config, family_request, split};

const SPLITS: [&str; 6] = ["1P2D", "2P1D", "3A", "1P1D1A", "1P2A", "1D2A"];

/// One thing that may happen; numbers choose among what is possible.
#[derive(Clone, Debug)]
enum Move {
    Arrive { family: u64, shared: u32, prompt: u32, output: u32 },
    Cancel(usize),
    Shift(usize, How),
    Fail(u16),
    Step { unit: u16, stop: bool },
    Transfer(usize),
    Role(usize),
    Deadline,
}

fn any_move() -> impl Strategy<Value = Move> {
    let how = prop::sample::select(&How::ALL[..]);
    prop_oneof![
        6 => (0_u64..3, 0_u32..6, 1_u32..40, 1_u32..50).prop_map(|(family, shared, prompt, output)| Move::Arrive {
            family,
            shared: shared.min(prompt / 4),
            prompt,
            output
        }),
        2 => (0_usize..50).prop_map(Move::Cancel),
        1 => (0..SPLITS.len(), how).prop_map(|(to, how)| Move::Shift(to, how)),
        30 => (0_u16..3, prop::bool::weighted(0.05)).prop_map(|(unit, stop)| Move::Step { unit, stop }),
        8 => (0_usize..9).prop_map(Move::Transfer),
        2 => (0_usize..3).prop_map(Move::Role),
        1 => Just(Move::Deadline),
        1 => prop_oneof![5 => Just(9_u16), 1 => 0_u16..3].prop_map(Move::Fail),
    ]
}

/// What the outside of a cluster knows.
struct World {
    cluster: Cluster,
    now: Nanos,
    out: Outbox,
    plans: [Option<StepPlan>; 3],
    transfers: BTreeSet<TransferId>,
    roles: Vec<RoleCommand>,
    awake: BTreeSet<UnitId>,
    failed: bool,
    /// Tokens asked for and emitted of every request in flight.
    open: BTreeMap<RequestId, (u32, u32)>,
    states: BTreeMap<UnitId, UnitState>,
}

impl World {
    fn new(config: ClusterConfig, from: usize) -> Self {
        Self {
            cluster: Cluster::new(config, split(SPLITS[from])).expect("a cluster"),
            now: Nanos::ZERO,
            out: Outbox::default(),
            plans: [None, None, None],
            transfers: BTreeSet::new(),
            roles: Vec::new(),
            awake: BTreeSet::new(),
            failed: false,
            open: BTreeMap::new(),
            states: BTreeMap::new(),
        }
    }

    fn make(&mut self, number: u64, happens: &Move) -> Result<(), TestCaseError> {
        self.now = self.now + Nanos(10);
        let (now, out) = (self.now, &mut self.out);
        match *happens {
            Move::Arrive { family, shared, prompt, output } => {
                let arrival = family_request(number, family, shared, prompt, output);
                if self.cluster.arrive(now, arrival, out).is_ok() {
                    self.open.insert(RequestId(number), (output, 0));
                }
            }
            Move::Cancel(which) => {
                if let Some(&request) = self.open.keys().nth(which) {
                    self.cluster.cancel(now, request, out);
                }
            }
            Move::Shift(to, how) => {
                let _ = self.cluster.shift(now, split(SPLITS[to]), how, out);
            }
            Move::Fail(unit) => {
                self.failed |= unit < 3;
                self.cluster.unit_failed(now, UnitId(unit), out);
                if let Some(plan) = self.plans.get_mut(usize::from(unit)) {
                    *plan = None;
                }
            }
            Move::Step { unit, stop } => self.end_step(UnitId(unit), stop),
            Move::Transfer(which) => {
                if let Some(&id) = self.transfers.iter().nth(which) {
                    self.transfers.remove(&id);
                    self.cluster.transfer_done(now, id, out);
                }
            }
            Move::Role(which) => {
                if which < self.roles.len() {
                    match self.roles.remove(which) {
                        RoleCommand::Switch { unit, .. } | RoleCommand::Restart { unit, .. } => {
                            self.cluster.role_switched(now, unit, out);
                        }
                        RoleCommand::Warm { unit } => self.cluster.role_warmed(now, unit, out),
                    }
                }
            }
            Move::Deadline => self.cluster.deadline(now, out),
        }
        self.take_outbox()
    }

    fn end_step(&mut self, unit: UnitId, stop: bool) {
        if let Some(plan) = self.plans[unit.index()].take() {
            let stopped: Vec<_> = plan
                .sequences
                .iter()
                .filter(|sequence| stop && sequence.sample)
                .map(|sequence| sequence.request)
                .collect();
            let report = StepReport { stopped: &stopped, filled: &[] };
            self.cluster.advance(self.now, unit, 1, report, &mut self.out);
            self.awake.insert(unit);
        }
    }

    fn take_outbox(&mut self) -> Result<(), TestCaseError> {
        for emission in self.out.emissions.drain(..) {
            let open = self.open.get_mut(&emission.request);
            prop_assert!(open.is_some(), "{:?} has ended", emission);
            let (_, emitted) = open.expect("just checked");
            prop_assert_eq!(emission.first, *emitted);
            *emitted += emission.count;
        }
        for finished in self.out.finished.drain(..) {
            let open = self.open.remove(&finished.request);
            prop_assert_eq!(open.map(|(_, emitted)| emitted), Some(finished.output_tokens));
            if finished.reason == FinishReason::Length {
                prop_assert_eq!(open.map(|(asked, _)| asked), Some(finished.output_tokens));
            }
            prop_assert!(self.failed || finished.reason != FinishReason::NoCapacity);
        }
        for id in &self.out.aborted {
            prop_assert!(self.transfers.contains(id) || self.out.transfers.iter().any(|new| new.id == *id));
        }
        self.transfers.extend(self.out.transfers.drain(..).map(|transfer| transfer.id));
        self.roles.append(&mut self.out.roles);
        self.awake.extend(self.out.wake.drain(..));
        for notice in self.out.notices.drain(..) {
            let Notice::Unit { unit, state, .. } = notice else { continue };
            let before = self.states.insert(unit, state).unwrap_or(UnitState::Serving);
            prop_assert!(follows(before, state), "{} went from {:?} to {:?}", unit, before, state);
        }
        self.out.clear();
        for unit in std::mem::take(&mut self.awake) {
            let mut plan = StepPlan::new();
            if self.cluster.start_step(self.now, unit, 1, &mut plan) {
                prop_assert!(self.plans[unit.index()].is_none());
                self.plans[unit.index()] = Some(plan);
            }
        }
        prop_assert_eq!(self.cluster.check(), Ok(()));
        prop_assert_eq!(self.cluster.in_flight(), self.open.len());
        Ok(())
    }

    /// Acknowledges everything until nothing is left to acknowledge.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        loop {
            let stepping = (0..3).find(|&unit| self.plans[usize::from(unit)].is_some());
            let next = if !self.transfers.is_empty() {
                Move::Transfer(0)
            } else if !self.roles.is_empty() {
                Move::Role(0)
            } else if let Some(unit) = stepping {
                // The busiest first would hide a unit that waits for the others, so they take turns.
                let next = (0..3).cycle().skip(usize::from(self.now.0 as u16 / 10 % 3)).take(3);
                let unit = next.into_iter().find(|&unit| self.plans[usize::from(unit)].is_some()).unwrap_or(unit);
                Move::Step { unit, stop: false }
            } else {
                return Ok(());
            };
            self.make(u64::MAX, &next)?;
        }
    }
}

fn follows(before: UnitState, after: UnitState) -> bool {
    use UnitState::{Draining, Failed, Serving, Switching, Warming};
    matches!(
        (before, after),
        (Serving, Draining { .. }) | (Draining { .. }, Switching | Serving) | (Switching, Warming) | (Warming, Serving)
    ) || (after == Failed && before != Failed)
}

proptest! {
    #![proptest_config(crate::world::proptest_config(1500))]

    #[test]
    fn acknowledgements_in_any_order_break_nothing_and_nobody_is_forgotten(
        from in 0..SPLITS.len(),
        blocks in prop_oneof![Just(64_u32), Just(24)],
        sequences in 1_u32..6,
        prefix_cache in any::<bool>(),
        early in any::<bool>(),
        timeout in prop::option::of(100_u64..2000),
        moves in prop::collection::vec(any_move(), 1..250),
    ) {
        let mut config = ClusterConfig { blocks_per_unit: blocks, prefix_cache, ..config() };
        config.decode.sequences = sequences;
        config.aggregated.sequences = sequences;
        config.drain_timeout = timeout.map(Nanos);
        config.first_token = if early { FirstToken::FromPrefill } else { FirstToken::AfterHandOff };
        let mut world = World::new(config, from);
        for (number, happens) in moves.iter().enumerate() {
            world.make(number as u64, happens)?;
        }
        world.settle()?;
        prop_assert!(world.open.is_empty(), "nothing is left to happen, and these wait: {:?}", world.open);
        for unit in [0, 1, 2].map(UnitId) {
            prop_assert_eq!(world.cluster.unit_figures(unit).held, 0);
        }
    }
}
