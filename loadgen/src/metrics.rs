//! What servers tell of themselves in Prometheus' text format, beside what the client measures.
//!
//! ```text
//!   page ─► samples ─► families: one vocabulary ─► page: rows, one for each unit ─► delta: what is new ─► ServerRecord
//!   └ scrape: a thread of its own, once a second            (all pure but `scrape`)                └► fold, recording, summary
//! ```
//!
//! Every engine and gateway has names of its own for the same things. [`families`] turns them into one vocabulary: how many
//! requests run and wait, how full the KV is, and how much time went into waiting, prefill, decode and KV transfers.
//!
//! Pages are written by others and may be anything: their bytes, series, rows and the time they take are bounded, and a page that
//! is missing or malformed is said once, counted, and ends nothing.

mod delta;
mod exposition;
mod families;
mod page;
mod scrape;
mod source;
mod vocabulary;

pub use exposition::{NotText, Sample, samples};
pub(crate) use scrape::Cpu;
pub use scrape::{Metrics, Reading};
pub use source::{MetricsAt, Place, SourceAt, Sources, Told};
pub use vocabulary::{Counter, Gauges, Sums, Timed, Timer};

/// Rows that are kept of all pages; more are left out.
pub const MAX_ROWS: usize = 64;
