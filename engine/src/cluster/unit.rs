//! What the cluster knows of one unit.

use super::event::UnitState;
use super::lockstep::Lockstep;
use super::pool::{Holding, Pool};
use super::queue::Queue;
use super::sequence::Slot;
use crate::units::{Nanos, Role, UnitId};

/// Where a unit is in its life. Unlike [`UnitState`] it carries no counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Serving,
    Draining,
    Switching,
    Warming,
    Failed,
}

/// What a unit is changing to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) role: Role,
    /// Its process ends on the way: meanwhile it serves nothing, not even what both roles share.
    pub(crate) restarts: bool,
}

impl Target {
    /// Whether a unit on its way here goes on with something that both its roles can.
    fn leaves(self, can: fn(Role) -> bool) -> bool {
        !self.restarts && can(self.role)
    }
}

/// A sequence in the step that a unit computes now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// `None` once it was cancelled.
    pub(crate) slot: Option<Slot>,
    pub(crate) tokens: u32,
    pub(crate) sample: bool,
}

/// The step that a unit computes now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Step {
    /// Whether there is one.
    pub(crate) running: bool,
    /// How many like it may follow each other.
    pub(crate) repeat: u32,
    pub(crate) entries: Vec<Entry>,
}

/// One unit.
#[derive(Clone, Debug)]
pub(crate) struct Unit {
    pub(crate) id: UnitId,
    pub(crate) role: Role,
    /// What it is changing to.
    pub(crate) target: Option<Target>,
    pub(crate) phase: Phase,
    /// When `phase` began.
    pub(crate) since: Nanos,
    pub(crate) pool: Pool,
    /// Requests and preempted sequences without KV.
    pub(crate) waiting: Queue,
    /// The batch, the oldest sequence first.
    pub(crate) running: Vec<Slot>,
    pub(crate) step: Step,
    /// The batch as far as it is counted together.
    pub(crate) lockstep: Lockstep,
    /// Blocks of cancelled sequences that the step still reads or writes.
    pub(crate) condemned: Vec<Holding>,
    /// Sequences that wait for a hand-off or are being copied from here.
    pub(crate) handing_off: u32,
    /// Sequences that are being copied to here.
    pub(crate) incoming: u32,
    /// Tokens still to be computed for what is here.
    pub(crate) outstanding: u64,
}

impl Unit {
    /// A unit that serves `role` and holds nothing.
    pub(crate) fn new(id: UnitId, role: Role, pool: Pool) -> Self {
        Self {
            id,
            role,
            target: None,
            phase: Phase::Serving,
            since: Nanos::ZERO,
            pool,
            waiting: Queue::default(),
            running: Vec::new(),
            step: Step::default(),
            lockstep: Lockstep::default(),
            condemned: Vec::new(),
            handing_off: 0,
            incoming: 0,
            outstanding: 0,
        }
    }

    /// Whether new requests may come. A unit that changes its role in place goes on serving what the old and the new role share.
    pub(crate) fn can_prefill(&self) -> bool {
        let goes_on = self.target.is_none_or(|target| target.leaves(Role::can_prefill));
        self.phase != Phase::Failed && self.role.can_prefill() && goes_on
    }

    /// Whether sequences may come, or stay, to be continued.
    pub(crate) fn can_decode(&self) -> bool {
        let goes_on = self.target.is_none_or(|target| target.leaves(Role::can_decode));
        self.phase != Phase::Failed && self.role.can_decode() && goes_on
    }

    /// Whether it can prefill, or will once it has changed its role.
    pub(crate) fn will_prefill(&self) -> bool {
        self.phase != Phase::Failed && self.role_to_be().can_prefill()
    }

    /// Whether it can decode, or will once it has changed its role.
    pub(crate) fn will_decode(&self) -> bool {
        self.phase != Phase::Failed && self.role_to_be().can_decode()
    }

    /// The role it is changing to, or has.
    pub(crate) fn role_to_be(&self) -> Role {
        self.target.map_or(self.role, |target| target.role)
    }

    /// Whether its process ends, or has ended, to be started anew.
    pub(crate) fn restarts(&self) -> bool {
        self.target.is_some_and(|target| target.restarts)
    }

    /// Sequences and requests here, those on their way to here included.
    pub(crate) fn held(&self) -> u32 {
        self.waiting.len() as u32 + self.running.len() as u32 + self.handing_off + self.incoming
    }

    /// The state as observers see it, with `left` sequences that have to go.
    pub(crate) fn state(&self, left: u32) -> UnitState {
        match self.phase {
            Phase::Serving => UnitState::Serving,
            Phase::Draining => UnitState::Draining { left },
            Phase::Switching => UnitState::Switching,
            Phase::Warming => UnitState::Warming,
            Phase::Failed => UnitState::Failed,
        }
    }
}
