//! The figures of a whole run, from its records.
//!
//! A run that goes on and a recording that is read feed the same [`Accumulator`], so `record --json` and `report --json` of
//! its recording are the same object.
//!
//! `requests`, `lag_ms`, `client` and `shifts` tell of the whole run. Every other figure belongs to the window from the end of the
//! warm-up to the end of the schedule: requests count when they were *due* in it, tokens when they *arrived* in it, so that a server that is slower
//! than its load cannot hide behind the time it needs to drain.

mod account;
mod accumulator;
mod answers;
mod server_text;
mod servers;
mod sessions;
mod statistics;
mod text;
mod throughput;
mod workers;

use serde::Serialize;

pub use account::{Account, Part};
pub use accumulator::Accumulator;
pub use answers::{Answers, Failures};
pub(crate) use servers::counted;
pub use servers::{Held, Mean, ServerRow, ServerSummary};
pub use sessions::{Sessions, TurnFigures};
pub use statistics::Statistics;
pub use workers::Worker;

use crate::live::{Counts, Percentiles, Recent};
use crate::sample::{Sample, ServerSide};
use crate::slo::Slo;
use crate::time::Micros;

/// What `--json` prints. The keys and their order are a promise to scripts; new keys go to the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// The version of these keys.
    pub schema: u32,
    /// The target as the user named it.
    pub target: String,
    /// The split at the start.
    pub split: Option<String>,
    /// The seed.
    pub seed: u64,
    /// From the start to the end of the last request.
    pub duration_s: f64,
    /// The last SLO that stood. A request is judged by the one that stood when it ended.
    pub slo: Option<Bounds>,
    /// Requests of the whole run.
    pub requests: Counts,
    /// What the prefix caches did.
    pub prefix: Prefix,
    /// Requests due per second.
    pub offered_rps: Option<f64>,
    /// Good requests due while an SLO stood, per second of the time in which one did; `None` without an SLO.
    pub goodput_rps: Option<f64>,
    /// Good of those due while an SLO stood; `None` without an SLO or without a request.
    pub attainment: Option<f64>,
    /// Prompt tokens per second, counted when the first token of the answer arrives.
    pub input_tps: Option<f64>,
    /// Tokens per second.
    pub output_tps: Option<f64>,
    /// TTFT, from due.
    pub ttft_ms: Statistics,
    /// TTFT, from sent.
    pub ttft_sent_ms: Statistics,
    /// TPOT.
    pub tpot_ms: Statistics,
    /// ITL: one value for every arrival after the first.
    pub itl_ms: Statistics,
    /// E2E, from due.
    pub e2e_ms: Statistics,
    /// Lag of all requests that were sent.
    pub lag_ms: Statistics,
    /// The window of the figures.
    pub window: Window,
    /// The client's own condition.
    pub client: ClientSummary,
    /// The shifts of the whole run.
    pub shifts: Vec<Shift>,
    /// The recording.
    pub recording: Option<String>,
    /// Set when the recording has no end: requests in flight then are missing.
    pub incomplete: bool,
    /// Seconds of the window in which an SLO stood: all of it, unless it came or went during the run; `None` without an SLO.
    pub slo_s: Option<f64>,
    /// Who served the requests of the window, as the server told; empty where it does not.
    pub workers: Vec<Worker>,
    /// The rule of `--abort-on` that ended the schedule before its time, with the figures that broke it.
    pub aborted: Option<String>,
    /// Failed requests of the whole run, by sort.
    pub failures: Failures,
    /// What is known of the answers of the whole run beside their times.
    pub answers: Answers,
    /// From due to the first token of the answer itself: TTFT, unless reasoning came before.
    pub ttft_answer_ms: Statistics,
    /// What servers told of themselves; `None` where nobody was asked or nobody told.
    pub server: Option<ServerSummary>,
    /// The sessions; `None` of a run without.
    pub sessions: Option<Sessions>,
}

impl Summary {
    /// The same figures in the shape of the recent ones of a screen, over the window of the summary.
    pub fn whole_run(&self) -> Recent {
        let micros = |ms: Option<f64>| ms.map(|ms| Micros::from_secs_f64(ms / 1e3));
        let percentiles =
            |of: &Statistics| Percentiles { p50: micros(of.p50), p95: micros(of.p95), p99: micros(of.p99) };
        Recent {
            window: Micros::from_secs_f64(self.window.to_s - self.window.from_s),
            goodput_rps: self.goodput_rps,
            attainment: self.attainment,
            offered_rps: self.offered_rps.unwrap_or(0.0),
            input_tps: self.input_tps.unwrap_or(0.0),
            output_tps: self.output_tps.unwrap_or(0.0),
            ttft: percentiles(&self.ttft_ms),
            tpot: percentiles(&self.tpot_ms),
            ..Recent::default()
        }
    }
}

/// Prompt tokens looked up in prefix caches, and found there; `None` when the target does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Prefix {
    /// Looked up.
    pub queried_tokens: Option<u64>,
    /// Found.
    pub hit_tokens: Option<u64>,
}

impl Prefix {
    /// Adds what was told of a request. Who names workers alone has not told of prefix caches.
    fn add(&mut self, sample: &Sample) {
        let told = |server: &&ServerSide| server.told.is_none() || server.prefix_queried > 0;
        if let Some(server) = sample.server.as_ref().filter(told) {
            *self.queried_tokens.get_or_insert(0) += u64::from(server.prefix_queried);
            *self.hit_tokens.get_or_insert(0) += u64::from(server.prefix_hit);
        }
    }
}

/// The window of the figures, from the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Window {
    /// The end of the warm-up.
    pub from_s: f64,
    /// The end of the schedule.
    pub to_s: f64,
}

/// The client's own condition.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClientSummary {
    /// `ok`, or why the client and not the server limits the figures; `None` when an incomplete recording does not tell.
    pub verdict: Option<String>,
    /// CPU time of the client's own threads.
    pub cpu_s: Option<f64>,
    /// Resident memory, in units of 10^6 bytes.
    pub rss_mb: Option<f64>,
    /// Samples dropped because a queue was full.
    pub dropped: u64,
    /// Whether the pacing thread ran in the real-time class; `None` where that is not known.
    pub realtime: Option<bool>,
}

/// One shift.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shift {
    /// When it was accepted.
    pub at_s: f64,
    /// The split before.
    pub from: String,
    /// The split asked for.
    pub to: String,
    /// `drain`, `migrate` or `restart`.
    pub how: String,
    /// How long the slowest unit was draining; `None` while it had not ended.
    pub drain_ms: Option<f64>,
    /// From acceptance to the last unit serving its new role; `None` while it had not ended.
    pub total_ms: Option<f64>,
    /// Requests that failed because of it; `None` while it had not ended.
    pub lost: Option<u32>,
    /// Why it was given up, if it was.
    pub abandoned: Option<String>,
}

/// The bounds of an SLO in milliseconds; those that are not set are absent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounds {
    /// On TTFT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<f64>,
    /// On TPOT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpot_ms: Option<f64>,
    /// On a request's p99 ITL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub itl_p99_ms: Option<f64>,
    /// On a request's mean ITL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub itl_mean_ms: Option<f64>,
    /// On E2E.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e2e_ms: Option<f64>,
}

impl From<Slo> for Bounds {
    fn from(slo: Slo) -> Self {
        let ms = |bound: Option<Micros>| bound.map(Micros::as_millis_f64);
        Self {
            ttft_ms: ms(slo.ttft),
            tpot_ms: ms(slo.tpot),
            itl_p99_ms: ms(slo.itl_p99),
            itl_mean_ms: ms(slo.itl_mean),
            e2e_ms: ms(slo.e2e),
        }
    }
}
