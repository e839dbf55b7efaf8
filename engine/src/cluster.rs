//! The passive heart of the engine: every scheduling decision, no time, no threads, no executor.

pub mod config;
pub mod event;
pub mod plan;

pub use config::{BatchLimits, ClusterConfig, FirstToken};
pub use event::{
    Arrival, Emission, FinishReason, Finished, How, Notice, Outbox, RoleCommand, ShiftId, ShiftRefused, ShiftReport,
    Stages, StepReport, Transfer, TransferId, UnitState,
};
pub use plan::{BlockHash, Extent, PlannedSequence, StepPlan};
