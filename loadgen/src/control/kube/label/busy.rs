//! How many requests a pod holds, by its own metrics, which the API server passes on.

use crate::control::kube::api::Api;
use crate::control::kube::failure::Failure;
use crate::control::kube::place::Place;

/// What engines call the requests that they run, and those that wait in them.
const FIGURES: [&str; 4] =
    ["vllm:num_requests_running", "vllm:num_requests_waiting", "sglang:num_running_reqs", "sglang:num_queue_reqs"];
/// Most ports of a pod that are asked.
const PORTS: usize = 8;

/// What a pod holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Busy {
    /// So many requests, by what was told at this port.
    With(u64, u16),
    /// It does not tell, or it may not be asked.
    Unknown,
}

/// Asks a pod: at the port that told last time, else at all of them.
pub(super) async fn busy(api: &Api, pod: &str, ports: &[u16], last: Busy) -> Busy {
    let known = match last {
        Busy::With(_, port) => Some(port),
        Busy::Unknown => None,
    };
    let ports: Vec<_> = known.map_or_else(|| ports.iter().copied().take(PORTS).collect(), |port| vec![port]);
    for port in ports {
        match api.text(&Place::pod(&format!("{pod}:{port}")).sub("proxy/metrics")).await {
            Ok(text) => {
                if let Some(requests) = requests(&text) {
                    return Busy::With(requests, port);
                }
            }
            Err(Failure::Forbidden(_)) => return Busy::Unknown,
            Err(_) => {}
        }
    }
    Busy::Unknown
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
