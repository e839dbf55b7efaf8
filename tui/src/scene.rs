//! Screens of an invented run, the same on every machine: for pictures (`pdtune shot`) and for tests.
//!
//! The requests are invented, the figures are not: every request is told to the same [`Aggregator`](loadgen::measure::Aggregator)
//! that a real run uses, so that charts, heatmaps, percentiles and what the cursor finds agree with each other.

mod catalogue;
mod load;
mod outlook;
mod recorded;
mod served;
mod states;
mod units;

pub use catalogue::{SCREENS, Screen, screen};
pub use load::{Script, history};
pub use outlook::{fitted, outlook, predicted, predicted_of_processes};
pub use recorded::{recorded, recorded_with_many_events};
pub use served::{served, served_by_engines};
pub use states::{
    aborted, aggregated, ailing, collected, crowded, down, event, failing, in_phase, normal, shedding, shifting,
    waiting, with_units, without_slo,
};
pub use units::unit;

use std::sync::Arc;

use loadgen::live::Snapshot;
use loadgen::time::Micros;

use crate::model::{Model, Offers};

/// So many seconds.
pub fn seconds(s: f64) -> Micros {
    Micros::from_secs_f64(s)
}

/// The screen of a snapshot, with everything on offer.
pub fn model(snapshot: Snapshot) -> Model {
    Model::new(Arc::new(snapshot), Offers::default())
}
