//! What a server told of a request in its own words, as it is written.

use serde::{Deserialize, Serialize};

use crate::sample::{self, ServerTimes, WorkerName};
use crate::time::Micros;

/// `told` in the `server` of a `req` record.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    #[serde(skip_serializing_if = "Option::is_none", default)]
    p: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    d: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    wait: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    prefill: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    ttft: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    total: Option<Micros>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    transfer: Option<Micros>,
}

impl From<&sample::Told> for Told {
    fn from(told: &sample::Told) -> Self {
        let sample::Told { prefill: p, decode: d, times } = told;
        let ServerTimes { wait, prefill, ttft, total, transfer } = *times;
        let text = |name: &Option<WorkerName>| name.as_ref().map(WorkerName::to_string);
        Self { p: text(p), d: text(d), wait, prefill, ttft, total, transfer }
    }
}

impl From<Told> for sample::Told {
    fn from(told: Told) -> Self {
        let Told { p, d, wait, prefill, ttft, total, transfer } = told;
        let name = |text: Option<String>| WorkerName::new(&text?);
        let times = ServerTimes { wait, prefill, ttft, total, transfer };
        Self { prefill: name(p), decode: name(d), times }
    }
}
