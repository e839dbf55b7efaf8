//! What `GET /workers` tells, as far as it is of interest here.

use std::collections::BTreeSet;

use engine::remote::one_line;
use engine::units::{Role, Split};
use serde::Deserialize;

use crate::control::plane::MemberState;
use crate::http::misread;

/// Most workers of an answer.
const MOST: usize = 4096;

#[derive(Deserialize)]
struct Answer {
    workers: Vec<Worker>,
}

/// A worker of the gateway.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(super) struct Worker {
    pub(super) id: String,
    pub(super) url: String,
    #[serde(rename = "worker_type")]
    kind: String,
    #[serde(default)]
    model_id: Option<String>,
    is_healthy: bool,
    /// Of SMG alone: pending, ready, `not_ready`, failed or draining.
    #[serde(default)]
    status: Option<String>,
    /// Requests that the gateway has under way there.
    #[serde(default)]
    pub(super) load: u64,
    #[serde(default)]
    pub(super) bootstrap_port: Option<u16>,
    #[serde(default)]
    pub(super) priority: Option<u32>,
    #[serde(default)]
    pub(super) cost: Option<f64>,
}

impl Worker {
    /// Its role; `None` of what has no part in it, such as an encoder.
    pub(super) fn role(&self) -> Option<Role> {
        match self.kind.as_str() {
            "prefill" => Some(Role::Prefill),
            "decode" => Some(Role::Decode),
            "regular" => Some(Role::Aggregated),
            _ => None,
        }
    }

    pub(super) fn state(&self) -> MemberState {
        match self.status.as_deref() {
            Some("draining") => MemberState::Stopping,
            _ if self.is_healthy => MemberState::Serving,
            _ => MemberState::Starting,
        }
    }

    /// Whether the gateway keeps it.
    pub(super) fn stays(&self) -> bool {
        self.state() != MemberState::Stopping
    }

    /// Whether the gateway has given it up.
    pub(super) fn has_failed(&self) -> bool {
        self.status.as_deref() == Some("failed")
    }
}

/// The split of those that stay: what the gateway works towards.
pub(super) fn kept(workers: &[Worker]) -> Split {
    Split::of(workers.iter().filter(|worker| worker.stays()).filter_map(Worker::role))
}

/// Reads an answer.
///
/// # Errors
/// One line: what is not as expected.
pub(super) fn read(said: &[u8]) -> Result<Vec<Worker>, String> {
    let Answer { workers } = serde_json::from_slice(said).map_err(|error| misread(&error))?;
    if workers.len() > MOST {
        return Err(format!("it has {} workers, {MOST} at most", workers.len()));
    }
    let mut urls = BTreeSet::new();
    if let Some(twice) = workers.iter().find(|worker| worker.stays() && !urls.insert(&worker.url)) {
        return Err(format!("two workers are at {}", one_line(&twice.url)));
    }
    let with_role = workers.iter().filter(|worker| worker.role().is_some());
    let models: BTreeSet<_> = with_role.filter_map(|worker| worker.model_id.as_deref()).collect();
    if models.len() > 1 {
        let models: Vec<_> = models.into_iter().collect();
        return Err(format!(
            "its workers serve several models, {}: a split is one of one",
            one_line(&models.join(", "))
        ));
    }
    Ok(workers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As sglang-router 0.3.2 answered, shortened.
    const SGLANG: &str = r#"{"workers":[
        {"id":"8b3f","url":"http://127.0.0.1:19201","model_id":"tiny","priority":50,"cost":1.0,"worker_type":"decode","is_healthy":true,"load":3,
         "connection_mode":"HTTP","metadata":{"tp_size":"1","disaggregation_mode":"decode"},"disable_health_check":false},
        {"id":"f58e","url":"http://127.0.0.1:19101","model_id":"tiny","priority":50,"cost":1.0,"worker_type":"prefill","is_healthy":false,"load":0,
         "connection_mode":"HTTP","bootstrap_port":19901,"metadata":{},"disable_health_check":false}],
        "total":2,"stats":{"prefill_count":1,"decode_count":1,"regular_count":0}}"#;
    /// As SMG 1.13.0 answered, shortened.
    const SMG: &str = r#"{"workers":[
        {"id":"01a2","model_id":"tiny","url":"http://127.0.0.1:19201","models":[{"id":"tiny"}],"worker_type":"decode","connection_mode":"http",
         "runtime_type":"sglang","labels":{"version":"0.5.23"},"priority":50,"cost":1.0,"is_healthy":false,"status":"draining","load":1,"http2":false},
        {"id":"01a3","model_id":"tiny","url":"http://127.0.0.1:19102","worker_type":"prefill","is_healthy":true,"status":"ready","load":0,
         "bootstrap_port":19902,"pd_pairing":"sglang/?/?"},
        {"id":"01a4","url":"http://127.0.0.1:19103","worker_type":"encode","is_healthy":true,"status":"ready"}],"total":3}"#;

    #[test]
    fn both_gateways_are_read() {
        let workers = read(SGLANG.as_bytes()).expect("workers");
        assert_eq!(workers[0].role().zip(Some(workers[0].state())), Some((Role::Decode, MemberState::Serving)));
        assert_eq!(
            (workers[0].load, workers[1].bootstrap_port, workers[1].state()),
            (3, Some(19901), MemberState::Starting)
        );
        assert_eq!(kept(&workers), Split { prefill: 1, decode: 1, aggregated: 0 }, "it is there, though not healthy");
        let workers = read(SMG.as_bytes()).expect("workers");
        assert_eq!((workers[0].state(), workers[2].role()), (MemberState::Stopping, None));
        assert_eq!(kept(&workers), Split { prefill: 1, decode: 0, aggregated: 0 }, "who drains is given up");
    }

    #[test]
    fn what_is_no_list_of_workers_is_told() {
        assert!(read(b"<html>").is_err());
        let twice = r#"{"workers":[{"id":"a","url":"u","worker_type":"decode","is_healthy":true},{"id":"b","url":"u","worker_type":"decode","is_healthy":true}]}"#;
        assert_eq!(read(twice.as_bytes()), Err("two workers are at u".to_owned()));
        let two = SGLANG.replacen(r#""model_id":"tiny""#, r#""model_id":"other""#, 1);
        let why = "its workers serve several models, other, tiny: a split is one of one";
        assert_eq!(read(two.as_bytes()), Err(why.to_owned()));
    }
}
