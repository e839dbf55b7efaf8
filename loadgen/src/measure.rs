//! Figures of a run while it goes on: counts, windows, history, lag and the tool's own health.
//!
//! [`Aggregator`] owns every window. It is told what happens and what time it is; it reads no clock, so that a live run, a
//! simulated one and a recording played back give the same figures.
//!
//! Percentiles always come from merged histograms. Whole-run figures are kept to three digits ([`Distribution`], dense),
//! slots of history to two (sparse, because most of them hold few values). Where the time of a TTFT goes is kept in sums by the
//! length of the TTFT ([`StageHistogram`]), which merge as exactly.

mod aggregator;
mod distribution;
mod goodput;
mod health;
mod history;
mod slot_histogram;
mod stage_histogram;
mod stages;
mod standing;

pub use aggregator::{Aggregator, LagSummary};
pub use distribution::Distribution;
pub use health::{Client, LAG_LIMIT};
pub use slot_histogram::SlotHistogram;
pub use stage_histogram::{MeanStages, StageHistogram};
pub(crate) use stages::whole;
pub use stages::{Span, Stage, StageTimes};
pub(crate) use standing::Standing;
