//! Figures of a run while it goes on: counts, windows, history, lag and the tool's own health.
//!
//! [`Aggregator`] owns every window. It is told what happens and what time it is; it reads no clock, so that a live run, a
//! simulated one and a recording played back give the same figures.
//!
//! Percentiles always come from merged histograms. Whole-run figures are kept to three digits ([`Distribution`], dense),
//! slots of history to two (sparse, because most of them hold few values).

mod aggregator;
mod distribution;
mod goodput;
mod health;
mod history;
mod slot_histogram;
mod standing;

pub use aggregator::{Aggregator, LagSummary};
pub use distribution::Distribution;
pub use health::{Client, LAG_LIMIT};
pub use slot_histogram::SlotHistogram;
pub(crate) use standing::Standing;
