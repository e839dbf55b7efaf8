//! The passive heart of the engine: every scheduling decision, no time, no threads, no executor.
//!
//! [`Cluster`] owns units, queues, KV blocks, prefix caches, transfers and shifts. Whoever drives it owns time: events go in
//! with the current instant, commands come out in an [`Outbox`]. The same code runs behind real executors and in simulation.
//!
//! ```text
//!   arrive ─► queue of a unit ─► batch ─► first token ─┬─ unit decodes too ───────────► batch ─► finished
//!                  ▲               │                   └─ hand-off queue ─► transfer ─► batch of a decode unit
//!                  └── preempted ──┘
//! ```
//!
//! # Driving it
//! For each unit the driver alternates [`Cluster::start_step`] and [`Cluster::advance`]. When `start_step` finds nothing to do
//! the unit sleeps until it stands in [`Outbox::wake`]. Commands are acknowledged when they are carried out: transfers with
//! [`Cluster::transfer_done`], roles with [`Cluster::role_switched`] and [`Cluster::role_warmed`].
//!
//! A plan with `repeat = n` promises that n such steps can follow each other before the batch changes, *as long as no event
//! comes in between*. A driver that runs ahead settles first when one does: at an event at time t it calls `advance(t_j, unit, j)`
//! for the j steps that ended by then, the last of them at `t_j`, and `start_step` at `t_j` for the step in flight, and only
//! then delivers the event. The events read these units, and only these have to be settled:
//!
//! | event | units |
//! |---|---|
//! | `arrive` | those that can prefill |
//! | `advance` of a unit that can decode, while the cluster [is quiet](Cluster::is_quiet) | that unit |
//! | `transfer_done`, while the cluster is quiet | both ends |
//! | everything else | all |
//!
//! After one of the first three, and after any `advance` while the cluster was quiet, the step in flight counts once on the
//! units in [`Outbox::cut`], and the promises of the others still hold. After everything else it counts once on all units.
//! Settled in this way, `advance(k)` equals k times `start_step` and `advance(1)`, to the block.
//!
//! A caller that reads less says so with [`Cluster::with_detail`], which changes nothing that is decided: with
//! [`Detail::Shapes`] a batch that only decodes is counted as a whole, and a run of steps costs the same however many
//! sequences it has.
//!
//! # Who gets what is scarce
//! The oldest request. Queues are in order of arrival, the youngest sequence of a unit is preempted first, nothing younger
//! overtakes a waiting hand-off on a unit that could take it, and what could never fit is refused on arrival. So the oldest
//! request always moves on, and by induction all do.

mod advance;
mod arrive;
mod batcher;
mod blocks;
mod check;
pub mod config;
mod departure;
pub mod event;
mod failure;
mod figures;
mod growth;
mod handoff;
mod lockstep;
mod naming;
mod numbered;
pub mod plan;
mod pool;
mod prefix;
mod queue;
mod rolling;
pub mod router;
mod sequence;
mod shift;
mod table;
mod unit;

pub use arrive::Refused;
pub use config::{BatchLimits, ClusterConfig, ClusterError, FirstToken};
pub use event::{
    Arrival, Emission, FinishReason, Finished, How, Notice, Outbox, RoleCommand, ShiftId, ShiftRefused, ShiftReport,
    Side, Stages, StepReport, Transfer, TransferId, UnitState,
};
pub use figures::UnitFigures;
pub use naming::Names;
pub use plan::{BlockHash, Detail, Extent, PlannedSequence, StepPlan, StepShape};
pub use rolling::check_restart;
pub use router::Router;

use handoff::Flight;
pub(crate) use numbered::Numbered;
use pool::Pool;
use queue::Queue;
use router::{DecodeCandidate, PrefillCandidate};
use sequence::{Sequences, Slot};
use shift::ShiftRun;
use unit::Unit;

use crate::units::{Nanos, Split, UnitId};

/// Units, requests and everything that is decided about them. A copy is another future of the same past.
#[derive(Clone, Debug)]
pub struct Cluster {
    config: ClusterConfig,
    detail: Detail,
    /// What blocks of generated tokens are called, where no report says it.
    names: Option<Names>,
    router: Router,
    units: Vec<Unit>,
    sequences: Sequences,
    /// Requests that no unit can prefill until one has changed its role.
    parked: Queue,
    /// Sequences whose prompt is computed on a unit that does not decode, and that no unit has room for yet.
    handoffs: Queue,
    /// The age of the oldest of them when that was last looked at.
    barrier: Option<u64>,
    /// Whether a unit has failed.
    is_maimed: bool,
    flights: Numbered<Flight>,
    next_transfer: u64,
    shift: Option<ShiftRun>,
    next_shift: u64,
    /// Notices of `start_step`, which has no outbox; the next call passes them on.
    deferred: Vec<Notice>,
    /// Tokens that were counted for a batch as a whole and not told yet; the next call passes them on.
    late: Vec<Emission>,
    prefix_queried: u64,
    prefix_hit: u64,
    prefill_candidates: Vec<PrefillCandidate>,
    decode_candidates: Vec<DecodeCandidate>,
    growth: Vec<(u32, usize)>,
    filling: Vec<(u32, Slot, u32)>,
    named: Vec<BlockHash>,
}

impl Cluster {
    /// A cluster whose units serve the roles of `split` from the start, with the default router.
    ///
    /// # Errors
    /// When the configuration or the split could not serve any request.
    pub fn new(config: ClusterConfig, split: Split) -> Result<Self, ClusterError> {
        Self::with_router(config, split, Router::default())
    }

    /// A cluster with a router of the caller's choice.
    ///
    /// # Errors
    /// When the configuration or the split could not serve any request.
    pub fn with_router(config: ClusterConfig, split: Split, router: Router) -> Result<Self, ClusterError> {
        config.check()?;
        split.check()?;
        let units = (0..)
            .zip(split.roles())
            .map(|(id, role)| {
                Unit::new(UnitId(id), role, Pool::new(config.blocks_per_unit, config.prefix_cache, Detail::default()))
            })
            .collect();
        Ok(Self {
            config,
            detail: Detail::default(),
            names: None,
            router,
            units,
            sequences: Sequences::default(),
            parked: Queue::default(),
            handoffs: Queue::default(),
            barrier: None,
            is_maimed: false,
            flights: Numbered::default(),
            next_transfer: 0,
            shift: None,
            next_shift: 0,
            deferred: Vec::new(),
            late: Vec::new(),
            prefix_queried: 0,
            prefix_hit: 0,
            prefill_candidates: Vec::new(),
            decode_candidates: Vec::new(),
            growth: Vec::new(),
            filling: Vec::new(),
            named: Vec::new(),
        })
    }

    /// Leaves out of plans and transfers what the caller does not read. For a cluster to which nothing has happened yet.
    #[must_use]
    pub fn with_detail(mut self, detail: Detail) -> Self {
        debug_assert_eq!(self.in_flight(), 0, "blocks are counted from the start");
        self.detail = detail;
        for unit in &mut self.units {
            unit.pool = Pool::new(self.config.blocks_per_unit, self.config.prefix_cache, detail);
        }
        self
    }

    /// The configuration.
    pub fn config(&self) -> &ClusterConfig {
        &self.config
    }

    /// Whether what happens to one decode unit concerns no other: no hand-off waits for room, no unit is being emptied and none
    /// is lost. Units that have nothing more to empty, and change their role or start anew, wait for nobody.
    pub fn is_quiet(&self) -> bool {
        self.handoffs.front().is_none() && !self.is_emptying() && !self.is_maimed
    }

    /// What every event ends with: whoever can move on now does.
    fn settle(&mut self, now: Nanos, out: &mut Outbox) {
        self.tell_deferred(out);
        self.migrate(now, out);
        self.dispatch(now, out);
        self.untangle(out);
        self.proceed_with_drains(now, out);
        self.lift_barrier(out);
    }

    /// Passes on what `start_step` could not tell.
    fn tell_deferred(&mut self, out: &mut Outbox) {
        out.notices.append(&mut self.deferred);
        out.emissions.append(&mut self.late);
    }

    /// Nothing younger than the oldest waiting hand-off is admitted where that could go. When it has gone, others may come in.
    fn lift_barrier(&mut self, out: &mut Outbox) {
        let barrier = self.handoffs.front().map(|slot| self.sequences[slot].age);
        if self.barrier.is_some() && self.barrier != barrier {
            for index in 0..self.units.len() {
                let unit = &self.units[index];
                if unit.can_decode() && unit.waiting.front().is_some() {
                    self.stir(unit.id, out);
                }
            }
        }
        self.barrier = barrier;
    }

    /// Something is new at `unit`: the driver is to ask for a step of it, now or right after the one in flight.
    fn stir(&mut self, unit: UnitId, out: &mut Outbox) {
        let step = &mut self.units[unit.index()].step;
        if !step.running {
            if !out.wake.contains(&unit) {
                out.wake.push(unit);
            }
        } else if step.repeat > 1 {
            step.repeat = 1;
            out.cut.push(unit);
        }
    }
}
