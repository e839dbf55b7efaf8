//! The figures of single workers, where the server tells who served a request: TTFT by who computed the prompt, TPOT by who
//! continued it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Statistics;
use crate::measure::Distribution;
use crate::sample::{Sample, WorkerName};

/// Workers that have figures of their own; those that come later share theirs.
const WORKERS: usize = 64;

/// Requests of the window that one worker served.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Worker {
    /// `prefill` or `decode`.
    pub role: &'static str,
    /// What the server calls it; `None` for all those beyond the first 64 of a role.
    pub name: Option<String>,
    /// Its unit, where the control knows it by that name.
    pub unit: Option<u16>,
    /// How many requests, whatever became of them.
    pub requests: u64,
    /// TTFT of those that completed, from due; of prefill workers.
    pub ttft_ms: Option<Statistics>,
    /// TPOT of those that completed; of decode workers.
    pub tpot_ms: Option<Statistics>,
}

#[derive(Clone, Debug, Default)]
struct Served {
    unit: Option<u16>,
    requests: u64,
    latency: Distribution,
}

/// Takes samples.
#[derive(Clone, Debug, Default)]
pub(super) struct Workers {
    prefill: BTreeMap<Option<WorkerName>, Served>,
    decode: BTreeMap<Option<WorkerName>, Served>,
}

impl Workers {
    pub(super) fn add(&mut self, sample: &Sample) {
        let Some(server) = &sample.server else { return };
        let Some(told) = &server.told else { return };
        let sides = [
            (&mut self.prefill, &told.prefill, server.prefill_unit, sample.ttft()),
            (&mut self.decode, &told.decode, server.decode_unit, sample.tpot()),
        ];
        for (known, name, unit, latency) in sides {
            let Some(name) = name else { continue };
            let name = Some(name.clone()).filter(|_| known.len() < WORKERS || known.contains_key(&Some(name.clone())));
            let served = known.entry(name).or_default();
            served.unit = unit.or(served.unit);
            served.requests += 1;
            if let Some(latency) = latency.filter(|_| sample.outcome.is_completed()) {
                served.latency.record(latency);
            }
        }
    }

    /// Of each role by unit, then by name.
    pub(super) fn figures(&self) -> Vec<Worker> {
        let figures = |role, of: &BTreeMap<Option<WorkerName>, Served>| {
            let mut figures: Vec<Worker> =
                of.iter().map(|(name, served)| served.figures(role, name.as_ref())).collect();
            figures.sort_by_key(|worker| (worker.name.is_none(), worker.unit.is_none(), worker.unit));
            figures
        };
        [figures("prefill", &self.prefill), figures("decode", &self.decode)].concat()
    }
}

impl Served {
    fn figures(&self, role: &'static str, name: Option<&WorkerName>) -> Worker {
        let latency = Statistics::from(&self.latency);
        let of = |wanted| (role == wanted).then_some(latency);
        Worker {
            role,
            name: name.map(WorkerName::to_string),
            unit: self.unit.filter(|_| name.is_some()),
            requests: self.requests,
            ttft_ms: of("prefill"),
            tpot_ms: of("decode"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sample::testing::{completed, failed, unanswered};
    use crate::sample::{ServerSide, Told};

    fn served(sample: Sample, prefill: &str, decode: &str, unit: Option<u16>) -> Sample {
        let told = Told { prefill: WorkerName::new(prefill), decode: WorkerName::new(decode), ..Told::default() };
        let server = ServerSide { prefill_unit: unit, told: Some(Arc::new(told)), ..ServerSide::default() };
        Sample { server: Some(server), ..sample }
    }

    #[test]
    fn each_side_has_its_own_figures_and_units_that_are_known() {
        let mut workers = Workers::default();
        workers.add(&served(completed(0, 0, 2_000, &[10, 30]), "p1", "d", Some(3)));
        workers.add(&served(completed(1, 0, 1_000, &[50]), "p2", "d", None));
        workers.add(&served(unanswered(2, 0, 9_000, failed()), "p1", "", None));
        workers.add(&completed(3, 0, 1_000, &[50]));
        let told: Vec<_> = workers
            .figures()
            .into_iter()
            .map(|worker| {
                let p50 = |of: Option<Statistics>| of.and_then(|of| of.p50);
                (
                    worker.role,
                    worker.name.unwrap_or_default(),
                    worker.unit,
                    worker.requests,
                    p50(worker.ttft_ms),
                    p50(worker.tpot_ms),
                )
            })
            .collect();
        let wanted = [
            ("prefill", "p1".to_owned(), Some(3), 2, Some(2.0), None),
            ("prefill", "p2".to_owned(), None, 1, Some(1.0), None),
            ("decode", "d".to_owned(), None, 2, None, Some(0.02)),
        ];
        assert_eq!(told, wanted);
    }

    #[test]
    fn workers_without_number_share_one_figure() {
        let mut workers = Workers::default();
        for i in 0..200 {
            workers.add(&served(completed(i, 0, 100, &[10]), &format!("p{i}"), "", None));
        }
        let figures = workers.figures();
        assert_eq!(figures.len(), WORKERS + 1);
        assert_eq!(figures.last().map(|last| (last.name.clone(), last.requests)), Some((None, 200 - WORKERS as u64)));
    }
}
