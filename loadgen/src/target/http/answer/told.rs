//! What pieces of an answer tell of the workers behind a frontend or a router.
//!
//! NVIDIA Dynamo's frontend says it in `nvext`, when it is asked to: the numbers of the two workers in every piece, and at the end
//! what took how long by its own clock. The router of vLLM has the addresses of the pair in the id of the answer:
//! `cmpl-___prefill_addr_HOST:PORT___decode_addr_HOST:PORT_UUID`.

use serde::Deserialize;

use crate::sample::{ServerTimes, Told, WorkerName};
use crate::time::Micros;

/// Dynamo's own part of a piece.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Extra {
    #[serde(default)]
    worker_id: Option<Workers>,
    #[serde(default)]
    timing: Option<Timing>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Workers {
    #[serde(default)]
    prefill_worker_id: Option<u64>,
    #[serde(default)]
    decode_worker_id: Option<u64>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "named as Dynamo names them")]
struct Timing {
    #[serde(default)]
    prefill_wait_time_ms: Option<f64>,
    #[serde(default)]
    prefill_time_ms: Option<f64>,
    #[serde(default)]
    ttft_ms: Option<f64>,
    #[serde(default)]
    total_time_ms: Option<f64>,
    #[serde(default)]
    kv_transfer_estimated_latency_ms: Option<f64>,
}

impl Extra {
    /// Adds what it tells; what was told before stays where it says nothing.
    pub(super) fn add_to(self, told: &mut Told) {
        if let Some(Workers { prefill_worker_id, decode_worker_id }) = self.worker_id {
            let name = |number: Option<u64>| WorkerName::new(&number?.to_string());
            // The same in every piece: named once.
            if told.prefill.is_none() {
                told.prefill = name(prefill_worker_id);
            }
            if told.decode.is_none() {
                told.decode = name(decode_worker_id);
            }
        }
        if let Some(timing) = self.timing {
            let known = told.times;
            told.times = ServerTimes {
                wait: micros(timing.prefill_wait_time_ms).or(known.wait),
                prefill: micros(timing.prefill_time_ms).or(known.prefill),
                ttft: micros(timing.ttft_ms).or(known.ttft),
                total: micros(timing.total_time_ms).or(known.total),
                transfer: micros(timing.kv_transfer_estimated_latency_ms).or(known.transfer),
            };
        }
    }
}

/// Of milliseconds that are a length of time at all.
fn micros(ms: Option<f64>) -> Option<Micros> {
    ms.filter(|ms| ms.is_finite() && *ms >= 0.0).map(|ms| Micros::from_secs_f64(ms / 1e3))
}

/// Who is behind an answer by its id, where the router of vLLM has put it there.
pub(super) fn of_id(id: &str) -> Option<Told> {
    let (_, behind) = id.split_once("___prefill_addr_")?;
    let (prefill, behind) = behind.split_once("___decode_addr_")?;
    let (decode, _) = behind.rsplit_once('_')?;
    Some(Told { prefill: WorkerName::new(prefill), decode: WorkerName::new(decode), ..Told::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Option<WorkerName> {
        WorkerName::new(text)
    }

    #[test]
    fn a_pair_in_an_id_is_read_and_any_other_id_tells_nothing() {
        let id = "cmpl-___prefill_addr_10.0.0.1:8100___decode_addr_d_1.local:8200_0af1c2d3e4f5-0";
        let told = of_id(id).expect("a pair");
        assert_eq!((told.prefill, told.decode), (name("10.0.0.1:8100"), name("d_1.local:8200")));
        for other in ["cmpl-0af1c2d3", "", "___prefill_addr_a:1", "___prefill_addr_a:1___decode_addr_"] {
            assert_eq!(of_id(other), None, "{other}");
        }
    }

    #[test]
    fn pieces_tell_workers_first_and_times_last() {
        let mut told = Told::default();
        for piece in [
            r#"{"worker_id": {"prefill_worker_id": 7587895178391302418, "decode_worker_id": 12}}"#,
            r#"{"worker_id": null, "timing": null}"#,
            r#"{"timing": {"request_received_ms": 1764000000000, "prefill_wait_time_ms": 0.5, "prefill_time_ms": 80.25,
                "ttft_ms": 81.5, "total_time_ms": 300, "kv_transfer_estimated_latency_ms": -1}}"#,
        ] {
            let extra: Extra = serde_json::from_str(piece).expect("a piece");
            extra.add_to(&mut told);
        }
        assert_eq!((told.prefill, told.decode), (name("7587895178391302418"), name("12")));
        let us = |us| Some(Micros(us));
        let times =
            ServerTimes { wait: us(500), prefill: us(80_250), ttft: us(81_500), total: us(300_000), transfer: None };
        assert_eq!(told.times, times);
    }
}
