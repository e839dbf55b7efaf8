//! How a wall-time engine is set up, and why it could not be.

use crate::cluster::{ClusterConfig, ClusterError};
use crate::units::Split;

/// How fast a unit is relative to the core it runs on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Steps take as long as they take. For units that do not compete for cores, and for tests.
    Unbounded,
    /// Every unit is a virtual GPU of fixed speed: a step is held until its thread-CPU time times units / `cores` has
    /// passed. Without it the idle time of decode units would speed prefill units up, and a shift would change nothing.
    Shared {
        /// Cores that the units share.
        cores: u16,
    },
}

impl Pace {
    /// By how much thread-CPU time is stretched for one of `units` units, at least 1.
    pub(super) fn stretch(self, units: u16) -> Option<f64> {
        match self {
            Self::Unbounded => None,
            Self::Shared { cores } => Some((f64::from(units) / f64::from(cores.max(1))).max(1.0)),
        }
    }
}

/// The set-up of an engine in wall time.
///
/// Units compute without pause, beside threads that keep time: where the system has such a class (Linux), each unit's thread
/// runs in the idle one, behind every ordinary thread of the machine that wants to run.
#[derive(Clone, Debug)]
pub struct WallConfig {
    /// The cluster.
    pub cluster: ClusterConfig,
    /// The roles at the start.
    pub split: Split,
    /// The speed of a unit.
    pub pace: Pace,
    /// Requests that may be in flight, from their submission to their last event, at least 1; one more is refused with
    /// [`SubmitError::TooMany`](super::SubmitError::TooMany).
    pub request_limit: usize,
    /// Messages that may wait for the intake thread, at least 1; a request more is refused with
    /// [`SubmitError::Full`](super::SubmitError::Full).
    pub inbox_limit: usize,
    /// Events that may wait for the reader, at least 1; while there are more, units stop between steps and no request is
    /// taken from the inbox.
    pub event_limit: usize,
}

/// Why an engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// One executor is needed for each unit.
    #[error("split {split} needs {} executors, got {executors}", split.units())]
    Executors {
        /// The split.
        split: Split,
        /// Executors given.
        executors: usize,
    },
    /// A limit of 0 would let nothing through.
    #[error("`{0}` is 0, at least 1 is needed")]
    Zero(&'static str),
    /// The cluster could not be made.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A thread could not be started.
    #[error("cannot start thread {name}")]
    Thread {
        /// Its name.
        name: String,
        /// Why.
        source: std::io::Error,
    },
}
