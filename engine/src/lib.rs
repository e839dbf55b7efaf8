//! The prefill-decode engine: a passive cluster state machine, the executors that run its steps, and the drivers that give it time.
//!
//! ```text
//!   drive::wall ─┐                         ┌─ executor::cpu   (a real transformer)
//!                ├─► cluster (no IO, no clock) ─ plans ─►
//!   drive::virtual_time ─┘                 └─ executor::sim   (a model of what steps take)
//! ```
//!
//! `cluster` decides everything about scheduling and knows neither threads nor time; `executor` computes whole steps and
//! decides nothing; `drive` joins the two. `perf` says how long a step takes on a GPU that is not here. `serve` is how others reach a driven engine, `remote` how we reach one of theirs.

pub mod block_hash;
pub mod clock;
pub mod cluster;
pub mod drive;
pub mod executor;
pub mod model;
pub mod perf;
pub mod remote;
pub mod serve;
pub mod units;
mod wire;
