//! Named workloads, SLOs, GPUs, models, clusters and scenarios in TOML, so that a load or a cluster need not be spelt out on
//! every command line.
//!
//! The shipped ones are compiled in. A user's own lie in `KIND/NAME.toml` in `./profiles` or in the configuration folder,
//! and go before the shipped ones of the same name.

pub mod cluster;
pub mod gpu;
mod library;
mod locate;
pub mod model;
pub mod scenario;
mod shipped;

use std::fmt;
use std::path::PathBuf;

use engine::perf::PerfError;
use serde::{Deserialize, Serialize};

pub use cluster::{Cluster, ClusterProfile, PriorText, ReplicaTable, TooManyUnits};
pub use gpu::GpuProfile;
pub use library::{Entry, Library, Loaded};
pub use model::ModelProfile;
pub use scenario::{Scenario, ScenarioProfile};

use crate::arrival::{Arrival, RatePlan};
use crate::slo::Slo;
use crate::workload::{Lengths, PrefixHit};

/// What a profile is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Arrivals and lengths.
    Workload,
    /// Bounds.
    Slo,
    /// A data sheet.
    Gpu,
    /// The shape of a model.
    Model,
    /// GPUs, a model on them, and how fast that is.
    Cluster,
    /// A cluster, a load, an SLO, and what is asked of them.
    Scenario,
}

impl Kind {
    /// All kinds, in the order in which they are listed.
    pub const ALL: [Self; 6] = [Self::Workload, Self::Slo, Self::Gpu, Self::Model, Self::Cluster, Self::Scenario];
}

impl Kind {
    /// Whether `text` is a profile of this kind, as far as can be told without the profiles that it names.
    ///
    /// # Errors
    /// The line, from 1, at which it is none, and why.
    pub fn check(self, text: &str) -> Result<(), (usize, String)> {
        let located = |error: PerfError| (locate::line_of(text, error.key()), error.to_string());
        match self {
            Self::Workload => library::read::<WorkloadProfile>(text).map(|_| ()),
            Self::Slo => library::read::<SloProfile>(text).map(|_| ()),
            Self::Gpu => library::read::<GpuProfile>(text)?.gpu("").map(|_| ()).map_err(located),
            Self::Model => library::read::<ModelProfile>(text)?.model("").map(|_| ()).map_err(located),
            Self::Cluster => library::read::<ClusterProfile>(text)?.check().map_err(located),
            Self::Scenario => {
                let checked = library::read::<ScenarioProfile>(text)?.check();
                checked.map_err(|(key, why)| (locate::line_of(text, key), why))
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Workload => "workload",
            Self::Slo => "slo",
            Self::Gpu => "gpu",
            Self::Model => "model",
            Self::Cluster => "cluster",
            Self::Scenario => "scenario",
        })
    }
}

/// A synthetic load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadProfile {
    /// One line for lists.
    pub description: String,
    /// How gaps are distributed.
    #[serde(default)]
    pub arrival: Arrival,
    /// How fast requests arrive over the run.
    pub rate: RatePlan,
    /// Lengths of prompts.
    pub isl: Lengths,
    /// Lengths of answers.
    pub osl: Lengths,
    /// How much of every prompt is the same in all of them.
    #[serde(default)]
    pub prefix_hit: PrefixHit,
    /// What makes a request of this workload good.
    pub slo: Option<Slo>,
}

/// Bounds with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SloProfile {
    /// One line for lists.
    pub description: String,
    /// The bounds.
    pub slo: Slo,
}

/// Where a profile comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Compiled in.
    Shipped,
    /// A user's file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shipped => f.write_str("shipped"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A profile that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// There is none of that name.
    #[error("no {kind} profile is called `{name}`; there are {known}")]
    Unknown {
        /// The kind.
        kind: Kind,
        /// What was asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// The file could not be read.
    #[error("cannot read profile {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The text is not a profile.
    #[error("{kind} profile {name} ({origin}) line {line}: {why}")]
    Invalid {
        /// The kind.
        kind: Kind,
        /// Its name.
        name: String,
        /// Where it comes from.
        origin: Origin,
        /// The line, from 1.
        line: usize,
        /// What was found and what is allowed.
        why: String,
    },
}
