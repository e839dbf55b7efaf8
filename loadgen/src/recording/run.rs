//! The first and the last record of a run.

use std::collections::BTreeMap;

use engine::units::Split;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::name::rfc3339;
use super::text;
use crate::live::Counts;
use crate::schedule::spec::DEFAULT_SEED;
use crate::slo::Slo;
use crate::target::Abilities;
use crate::time::Micros;

/// The version of the format that is written. A new kind of record or a new optional key does not change it; a new meaning
/// of an old key does.
pub const SCHEMA: u32 = 1;

/// The first record: what the run was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The version of the format.
    pub schema: u32,
    /// The name of the run.
    #[serde(deserialize_with = "text::sentence")]
    pub name: String,
    /// The wall-clock instant of the run's zero, in RFC 3339.
    pub started: String,
    /// The seed.
    pub seed: u64,
    /// The target as the user named it, without secrets.
    #[serde(deserialize_with = "text::sentence")]
    pub target: String,
    /// The split at the start, where the target has one.
    #[serde(with = "text::display_option", skip_serializing_if = "Option::is_none", default)]
    pub split: Option<Split>,
    /// What its control lets be done with units, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub abilities: Option<Abilities>,
    /// The SLO at the start.
    #[serde(with = "text::slo", default)]
    pub slo: Option<Slo>,
    /// The end of the warm-up. Requests due before it count in no figure.
    #[serde(rename = "warmup_us")]
    pub warmup: Micros,
    /// When nothing was to be sent any more, where that was known at the start.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schedule_end: Option<Micros>,
    /// How many requests there were to be at most, where that was known at the start.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub schedule_requests: Option<u64>,
    /// The whole configuration of the load.
    pub load: Value,
    /// What is known of the engine and its model.
    pub engine: Value,
    /// Versions of the programs that took part, by name.
    pub versions: BTreeMap<String, String>,
}

impl RunRecord {
    /// Of a run of which only its name and its target are known: it began with the epoch.
    pub fn named(name: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            schema: SCHEMA,
            name: name.into(),
            started: rfc3339(0, 0),
            seed: DEFAULT_SEED,
            target: target.into(),
            split: None,
            abilities: None,
            slo: None,
            warmup: Micros::ZERO,
            schedule_end: None,
            schedule_requests: None,
            load: Value::Null,
            engine: Value::Null,
            versions: BTreeMap::new(),
        }
    }
}

/// What the client itself used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientUse {
    /// CPU time of the client's own threads.
    #[serde(rename = "cpu_us")]
    pub cpu: Micros,
    /// Cores of its machine, 0 when unknown.
    pub cores: u32,
    /// Resident memory.
    pub rss_bytes: u64,
    /// Samples dropped because a queue was full.
    pub dropped: u64,
    /// How often reading from a remote target had to wait for the client's own queue.
    #[serde(skip_serializing_if = "text::is_zero", default)]
    pub held_up: u64,
    /// Whether the pacing thread ran in the real-time class; `None` where the system has no such thing or it is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub realtime: Option<bool>,
}

/// The last record: without it, a recording is incomplete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndRecord {
    /// When everything was over.
    pub at: Micros,
    /// The end of the schedule. Requests in flight then were waited for, or cancelled.
    pub schedule_end: Micros,
    /// Requests by outcome.
    pub requests: Counts,
    /// What the client itself used.
    pub client: ClientUse,
    /// The rule of `--abort-on` that ended the schedule before its time, with the figures that broke it.
    #[serde(deserialize_with = "text::sentence_option", skip_serializing_if = "Option::is_none", default)]
    pub aborted: Option<String>,
}
