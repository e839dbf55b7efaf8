//! How many requests a unit holds, by its pods' own metrics, which the API server passes on.

use std::collections::BTreeMap;

use super::labelled::{Carrier, PodId};
use crate::control::kube::api::Api;
use crate::control::kube::failure::Failure;
use crate::control::kube::place::Place;

/// What engines call the requests that they run, and those that wait in them.
const FIGURES: [&str; 4] =
    ["vllm:num_requests_running", "vllm:num_requests_waiting", "sglang:num_running_reqs", "sglang:num_queue_reqs"];
/// Most ports of a pod that are asked.
const PORTS: usize = 8;

/// The ports at which the pods of a unit have told what they hold.
#[derive(Debug, Default)]
pub(super) struct Heard(BTreeMap<PodId, u16>);

impl Heard {
    /// How many requests a unit holds, by all of its pods that serve; `None` where one of these does not tell. The one that leads
    /// does serve, and so does every other that has ever told: those that only compute for it never do.
    pub(super) async fn ask(&mut self, api: &Api, pods: &[Carrier]) -> Option<u64> {
        let mut sum = Some(0);
        for (place, pod) in pods.iter().enumerate() {
            let known = self.0.get(&pod.id).copied();
            match told(api, pod, known).await {
                Some((requests, port)) => {
                    self.0.insert(pod.id.clone(), port);
                    sum = sum.map(|sum: u64| sum.saturating_add(requests));
                }
                None if place == 0 || known.is_some() => sum = None,
                None => {}
            }
        }
        sum
    }
}

/// Asks a pod, at the port that told last time, else at all of them; `None` where it does not tell, or may not be asked.
async fn told(api: &Api, pod: &Carrier, known: Option<u16>) -> Option<(u64, u16)> {
    let ports = known.map_or_else(|| pod.ports.iter().copied().take(PORTS).collect(), |port| vec![port]);
    for port in ports {
        match api.text(&Place::pod(&format!("{}:{port}", pod.id.name)).sub("proxy/metrics")).await {
            Ok(text) => {
                if let Some(requests) = requests(&text) {
                    return Some((requests, port));
                }
            }
            Err(Failure::Forbidden(_)) => return None,
            Err(_) => {}
        }
    }
    None
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
