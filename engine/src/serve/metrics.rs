//! The figures of a server in Prometheus' text format (0.0.4): vLLM's names where they mean the same, `pdtune_` else. Pure.

use std::fmt::Write;

use super::histogram::Histogram;
use super::hub::Counts;
use crate::cluster::UnitState;
use crate::drive::wall::{Observation, UnitObservation};
use crate::units::Role;

/// What the HTTP side has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HttpFigures {
    /// Connections open now.
    pub(super) connections: u64,
    /// Idle connections that had to make room for new ones.
    pub(super) evicted: u64,
    /// Connections turned away because all others were busy.
    pub(super) turned_away: u64,
    /// Connections closed because their client stopped reading.
    pub(super) stalled: u64,
}

/// Everything that one page shows.
#[derive(Debug)]
pub(super) struct Page<'a> {
    pub(super) model: &'a str,
    pub(super) kv_block_bytes: u64,
    pub(super) observed: &'a Observation,
    pub(super) counts: &'a Counts,
    /// Requests in flight, those in the engine's inbox included.
    pub(super) in_flight: usize,
    pub(super) http: HttpFigures,
}

impl Page<'_> {
    /// Writes the page.
    pub(super) fn render(&self) -> String {
        let mut text = Text { out: String::with_capacity(16 * 1024), model: label(self.model) };
        self.requests(&mut text);
        self.latencies(&mut text);
        self.units(&mut text);
        self.server(&mut text);
        text.out
    }

    fn requests(&self, text: &mut Text) {
        let Self { observed, counts, .. } = self;
        let running: u64 = observed.units.iter().map(|unit| u64::from(holds(unit))).sum();
        let waiting = (self.in_flight as u64).saturating_sub(running);
        let held: u64 = observed.units.iter().map(|unit| u64::from(unit.figures.held)).sum();
        let blocks: u64 = observed.units.iter().map(|unit| u64::from(unit.figures.blocks)).sum();
        text.one("vllm:num_requests_running", "gauge", "Requests that have KV on a unit.", running as f64);
        text.one("vllm:num_requests_waiting", "gauge", "Requests that wait for their prefill.", waiting as f64);
        let usage = held as f64 / blocks.max(1) as f64;
        text.one("vllm:kv_cache_usage_perc", "gauge", "Share of KV blocks that requests hold, 1 is all.", usage);
        for (name, help, value) in [
            ("vllm:prefix_cache_queries_total", "Prompt tokens looked up in prefix caches.", observed.prefix_queried),
            ("vllm:prefix_cache_hits_total", "Prompt tokens found in prefix caches.", observed.prefix_hit),
            ("vllm:prompt_tokens_total", "Prompt tokens of admitted requests.", counts.prompt_tokens),
            ("vllm:generation_tokens_total", "Tokens generated.", counts.output_tokens),
            ("vllm:num_preemptions_total", "Times a request was computed anew for want of KV.", counts.preemptions),
        ] {
            text.one(name, "counter", help, value as f64);
        }
        text.head("vllm:request_success_total", "counter", "Requests that are over, by how they ended.");
        let aborted = counts.abandoned + counts.overrun;
        for (reason, value) in [("stop", counts.stopped), ("length", counts.full_length), ("abort", aborted)] {
            text.sample("vllm:request_success_total", &format!("finished_reason=\"{reason}\""), value as f64);
        }
    }

    fn latencies(&self, text: &mut Text) {
        let counts = self.counts;
        for (name, help, histogram) in [
            ("vllm:time_to_first_token_seconds", "From submission to the first token.", &counts.ttft),
            ("vllm:inter_token_latency_seconds", "Between two tokens of an answer.", &counts.itl),
            ("vllm:request_time_per_output_token_seconds", "Mean of an answer's tokens after the first.", &counts.tpot),
            ("vllm:e2e_request_latency_seconds", "From submission to the last token.", &counts.e2e),
            ("vllm:request_queue_time_seconds", "From arrival to the first prefill step.", &counts.queued),
            ("vllm:request_prefill_time_seconds", "From the first prefill step to the first token.", &counts.prefill),
            ("vllm:request_decode_time_seconds", "From the first decode step to the last token.", &counts.decode),
            ("pdtune_request_handoff_seconds", "KV hand-off of a request.", &counts.handoff),
            ("vllm:request_prompt_tokens", "Prompt tokens of a completed request.", &counts.prompt_lengths),
            ("vllm:request_generation_tokens", "Answer tokens of a completed request.", &counts.answer_lengths),
        ] {
            text.histogram(name, help, histogram);
        }
    }

    fn units(&self, text: &mut Text) {
        let units = &self.observed.units;
        text.head("pdtune_unit_role", "gauge", "1 for the role that a unit has.");
        for unit in units {
            for role in [Role::Prefill, Role::Decode, Role::Aggregated] {
                let labels = format!("unit=\"{}\",role=\"{role}\"", unit.unit.0);
                text.sample("pdtune_unit_role", &labels, f64::from(u8::from(unit.figures.role == role)));
            }
        }
        text.head("pdtune_unit_state", "gauge", "1 for the state that a unit is in.");
        for unit in units {
            for state in ["serving", "draining", "switching", "warming", "failed"] {
                let labels = format!("unit=\"{}\",state=\"{state}\"", unit.unit.0);
                text.sample("pdtune_unit_state", &labels, f64::from(u8::from(name(unit.figures.state) == state)));
            }
        }
        let block = self.kv_block_bytes;
        let figure = |value: fn(&UnitObservation) -> f64| value;
        for (name, kind, help, value) in [
            ("pdtune_unit_queue_requests", "gauge", "Queued.", figure(|unit| f64::from(unit.figures.queue))),
            ("pdtune_unit_running_requests", "gauge", "In the batch.", figure(|unit| f64::from(unit.figures.running))),
            ("pdtune_unit_handing_off_requests", "gauge", "Leaving.", |unit| f64::from(unit.figures.handing_off)),
            ("pdtune_unit_incoming_requests", "gauge", "Coming.", |unit| f64::from(unit.figures.incoming)),
            ("pdtune_unit_kv_blocks", "gauge", "KV blocks.", |unit| f64::from(unit.figures.blocks)),
            ("pdtune_unit_kv_held_blocks", "gauge", "KV blocks held.", |unit| f64::from(unit.figures.held)),
            ("pdtune_unit_kv_cached_blocks", "gauge", "KV blocks only cached.", |unit| f64::from(unit.figures.cached)),
            ("pdtune_unit_busy_seconds_total", "counter", "Time in steps and imports.", |unit| unit.busy.as_secs_f64()),
            ("pdtune_unit_input_tokens_total", "counter", "Prompt tokens computed.", |unit| unit.input_tokens as f64),
            ("pdtune_unit_output_tokens_total", "counter", "Tokens sampled.", |unit| unit.output_tokens as f64),
            ("pdtune_unit_handoffs_total", "counter", "KV hand-offs to here.", |unit| unit.imports as f64),
            ("pdtune_unit_handoff_seconds_total", "counter", "Time of KV hand-offs to here.", |unit| {
                unit.import_time.as_secs_f64()
            }),
        ] {
            text.head(name, kind, help);
            for unit in units {
                text.sample(name, &format!("unit=\"{}\"", unit.unit.0), value(unit));
            }
        }
        let name = "pdtune_unit_handoff_bytes_total";
        text.head(name, "counter", "KV bytes handed off to here.");
        for unit in units {
            text.sample(name, &format!("unit=\"{}\"", unit.unit.0), unit.imported_blocks as f64 * block as f64);
        }
    }

    fn server(&self, text: &mut Text) {
        let Self { counts, http, observed, .. } = self;
        let waiting = observed.waiting_shifts.len() as f64;
        text.one("pdtune_shifts_waiting", "gauge", "Shifts that wait for the one under way.", waiting);
        text.one("pdtune_connections", "gauge", "Open HTTP connections.", http.connections as f64);
        for (name, help, value) in [
            ("pdtune_shifts_started_total", "Shifts that started.", counts.shifts_started),
            ("pdtune_shifts_converged_total", "Shifts that converged.", counts.shifts_converged),
            ("pdtune_shifts_failed_total", "Shifts that were given up or could not start.", counts.shifts_failed),
            ("pdtune_units_lost_total", "Units that were lost.", counts.units_lost),
            ("pdtune_requests_admitted_total", "Requests admitted.", counts.admitted),
            ("pdtune_requests_turned_away_total", "Requests over the bound of those in flight.", counts.turned_away),
            ("pdtune_requests_abandoned_total", "Requests whose client went away.", counts.abandoned),
            ("pdtune_requests_overrun_total", "Requests whose client was too far behind.", counts.overrun),
            ("pdtune_requests_failed_total", "Requests that the engine could not serve.", counts.failed),
            ("pdtune_connections_evicted_total", "Idle connections closed to make room.", http.evicted),
            ("pdtune_connections_turned_away_total", "Connections over the bound, all busy.", http.turned_away),
            ("pdtune_connections_stalled_total", "Connections whose client stopped reading.", http.stalled),
        ] {
            text.one(name, "counter", help, value as f64);
        }
    }
}

/// Requests that have KV on a unit; one that moves counts where it comes from.
fn holds(unit: &UnitObservation) -> u32 {
    unit.figures.running + unit.figures.handing_off
}

fn name(state: UnitState) -> &'static str {
    match state {
        UnitState::Serving => "serving",
        UnitState::Draining { .. } => "draining",
        UnitState::Switching => "switching",
        UnitState::Warming => "warming",
        UnitState::Failed => "failed",
    }
}

/// A value of a label, escaped as the format wants it.
fn label(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

struct Text {
    out: String,
    model: String,
}

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        let comma = if labels.is_empty() { "" } else { "," };
        let _ = writeln!(self.out, "{name}{{model_name=\"{}\"{comma}{labels}}} {value}", self.model);
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.head(name, kind, help);
        self.sample(name, "", value);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.cumulative() {
            self.sample(&bucket, &format!("le=\"{bound}\""), count as f64);
        }
        self.sample(&bucket, "le=\"+Inf\"", histogram.count() as f64);
        self.sample(&format!("{name}_sum"), "", histogram.sum());
        self.sample(&format!("{name}_count"), "", histogram.count() as f64);
    }
}
