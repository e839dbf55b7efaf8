//! How many requests a unit holds, by its pods' own metrics, which the API server passes on.
//!
//! All pods and ports are asked at the same time, and none for long: this is asked on the way to seeing the units, which must not keep
//! them from being seen.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use super::labelled::{Carrier, PodId};
use crate::control::kube::api::Api;
use crate::control::kube::failure::Failure;
use crate::control::kube::place::Place;

/// What engines call the requests that they run, and those that wait in them.
const FIGURES: [&str; 4] =
    ["vllm:num_requests_running", "vllm:num_requests_waiting", "sglang:num_running_reqs", "sglang:num_queue_reqs"];
/// How long metrics may take.
const TIME: Duration = Duration::from_secs(5);
/// Most ports of a pod that are asked.
const PORTS: usize = 8;

/// What the pods of a unit have told.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The ports at which they did.
    ports: BTreeMap<PodId, u16>,
    /// They may not be asked.
    barred: bool,
}

/// Nobody may ask pods through the API server, or not we.
struct Barred;

impl Heard {
    /// How many requests a unit holds, by all of its pods that serve; `None` where one of these does not tell. The one that leads
    /// does serve, and so does every other that has ever told: those that only compute for it never do.
    pub(super) async fn ask(&mut self, api: &Api, pods: &[Carrier]) -> Option<u64> {
        if self.barred {
            return None;
        }
        let answers = join_all(pods.iter().map(|pod| told(api, pod, self.ports.get(&pod.id).copied()))).await;
        let mut sum = Some(0);
        for (place, (pod, told)) in pods.iter().zip(answers).enumerate() {
            match told {
                Ok(Some((requests, port))) => {
                    self.ports.insert(pod.id.clone(), port);
                    sum = sum.map(|sum: u64| sum.saturating_add(requests));
                }
                Ok(None) if place == 0 || self.ports.contains_key(&pod.id) => sum = None,
                Ok(None) => {}
                Err(Barred) => self.barred = true,
            }
        }
        sum.filter(|_| !self.barred)
    }
}

/// Asks a pod, at the port that told last time, else at all of them, for the first that tells; `None` where none does in time.
async fn told(api: &Api, pod: &Carrier, known: Option<u16>) -> Result<Option<(u64, u16)>, Barred> {
    let ports = known.map_or_else(|| pod.ports.iter().copied().take(PORTS).collect(), |port| vec![port]);
    let at = |port: u16| async move {
        let place = Place::pod(&format!("{}:{port}", pod.id.name)).sub("proxy/metrics");
        match timeout(TIME, api.text(&place)).await {
            Ok(Ok(text)) => Ok(requests(&text).map(|requests| (requests, port))),
            Ok(Err(Failure::Forbidden(_))) => Err(Barred),
            Ok(Err(_)) | Err(_) => Ok(None),
        }
    };
    let mut answers: FuturesUnordered<_> = ports.into_iter().map(at).collect();
    while let Some(answer) = answers.next().await {
        if let Some(told) = answer? {
            return Ok(Some(told));
        }
    }
    Ok(None)
}

/// The requests that metrics tell of; `None` where they tell of none.
fn requests(text: &str) -> Option<u64> {
    let figure = |line: &str| {
        let name = line.split(['{', ' ']).next()?;
        if !FIGURES.contains(&name) {
            return None;
        }
        let rest = line.rsplit_once('}').map_or(line.get(name.len()..)?, |(_, rest)| rest);
        rest.split_whitespace().next()?.parse::<f64>().ok().filter(|value| value.is_finite())
    };
    let mut told = text.lines().filter_map(figure).peekable();
    told.peek()?;
    Some(told.sum::<f64>().ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_engines_call_them() {
        let text = "# HELP vllm:num_requests_running Number\n# TYPE vllm:num_requests_running gauge\n\
            vllm:num_requests_running{engine=\"0\",model_name=\"a b\"} 3.0\nvllm:num_requests_waiting{engine=\"0\"} 1.0\n\
            vllm:num_requests_running_total 7\n";
        assert_eq!(requests(text), Some(4));
        assert_eq!(requests("sglang:num_running_reqs 0 1700000000\n"), Some(0));
        assert_eq!(requests("up 1\n"), None);
        assert_eq!(requests("vllm:num_requests_running NaN\n"), None);
    }
}
