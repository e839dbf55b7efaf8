//! The whole configuration of a load, as the command line gives it and a recording keeps it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{ShiftScript, Turns};
use crate::arrival::{Arrival, RatePlan};
use crate::guard::AbortOn;
use crate::slo::Slo;
use crate::time::Micros;
use crate::trace::TraceFormat;
use crate::workload::{Lengths, PrefixHit};

/// The load of a run. With the target's limits it determines every request; see [`super::Schedule::new`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadSpec {
    /// What the workload is called on screen and in file names.
    pub name: String,
    /// Where requests come from.
    pub traffic: Traffic,
    /// How much of every prompt is the same in all of them. A trace says that itself.
    #[serde(default, skip_serializing_if = "PrefixHit::is_none")]
    pub prefix_hit: PrefixHit,
    /// Sessions of several turns in place of single requests. A recording says that itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sessions: Option<Turns>,
    /// Whether lengths beyond what the target can serve are cut and counted rather than refused.
    pub clamp: bool,
    /// Determines arrivals, lengths and content.
    pub seed: u64,
    /// Nothing is due at or after this instant.
    #[serde(rename = "duration_us")]
    pub duration: Option<Micros>,
    /// At most so many requests.
    pub requests: Option<u64>,
    /// Requests due before this instant count in no result.
    #[serde(rename = "warmup_us")]
    pub warmup: Micros,
    /// Nobody asked for this warm-up: it is that of the run that is replayed, and gives way where it would leave nothing to
    /// measure. What was decided is recorded, and not this.
    #[serde(skip)]
    pub warmup_is_inherited: bool,
    /// What makes a request good; without it there is no goodput.
    pub slo: Option<Slo>,
    /// Shifts planned before the run.
    pub shifts: ShiftScript,
    /// What ends the run before its time.
    #[serde(default, skip_serializing_if = "AbortOn::is_empty")]
    pub abort_on: AbortOn,
}

/// Where requests come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Traffic {
    /// Drawn from distributions.
    Synthetic {
        /// How gaps are distributed.
        arrival: Arrival,
        /// How fast requests arrive over the run.
        rate: RatePlan,
        /// Lengths of prompts; of sessions, of what each turn adds.
        isl: Lengths,
        /// Lengths of answers.
        osl: Lengths,
    },
    /// Replayed from a file.
    Trace {
        /// The file.
        path: PathBuf,
        /// How it is written.
        format: TraceFormat,
        /// Requests arrive so many times as fast as they did; above 0.
        speed: f64,
        /// Only so many requests from the start.
        limit: Option<u64>,
    },
}

/// What an operator can change about a synthetic load while it runs, besides its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// How gaps are distributed.
    pub arrival: Arrival,
    /// Lengths of prompts.
    pub isl: Lengths,
    /// Lengths of answers.
    pub osl: Lengths,
}

impl Traffic {
    /// The shape of a synthetic load; a trace has its own.
    pub fn shape(&self) -> Option<Shape> {
        match self {
            Self::Synthetic { arrival, isl, osl, .. } => Some(Shape { arrival: *arrival, isl: *isl, osl: *osl }),
            Self::Trace { .. } => None,
        }
    }
}

/// The seed of a run that names none: runs are comparable unless asked to differ.
pub const DEFAULT_SEED: u64 = 7;

impl LoadSpec {
    /// A load without an end, an SLO or shifts, with the default seed.
    pub fn new(name: impl Into<String>, traffic: Traffic) -> Self {
        Self {
            name: name.into(),
            traffic,
            prefix_hit: PrefixHit::default(),
            sessions: None,
            clamp: false,
            seed: DEFAULT_SEED,
            duration: None,
            requests: None,
            warmup: Micros::ZERO,
            warmup_is_inherited: false,
            slo: None,
            shifts: ShiftScript::default(),
            abort_on: AbortOn::default(),
        }
    }
}
