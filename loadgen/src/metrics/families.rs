//! The names of each system, and what they are in the one vocabulary.
//!
//! Names were taken from the pages of vLLM 0.32 (also as Ray 2.60 renames them), SGLang 0.5.23, sglang-router 0.3.2, SMG 1.13,
//! Dynamo 1.6.1 and this program itself; older names that mean the same stand behind them with a higher rank.

use super::vocabulary::{Counter, Timer};

/// A value that stands for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gauge {
    Running,
    Waiting,
    /// Share of KV in use, 0..=1.
    KvUsed,
    /// Blocks of KV in use, of which the share is made.
    KvHeld,
    /// Blocks of KV there are.
    KvBlocks,
}

impl Gauge {
    pub(super) const COUNT: usize = 5;
}

/// A value that only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tally {
    Count(Counter),
    /// The sum of a time.
    Sum(Timer),
    /// How often it was taken.
    Taken(Timer),
    /// How often it was at most so many microseconds.
    Within(Timer, u64),
}

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Means {
    Gauge(Gauge),
    Tally(Tally),
    /// A histogram: its `_sum` and its `_count`.
    Time(Timer),
    /// One of a histogram's buckets.
    Bucket(Timer),
}

/// Whose value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// That of the engine whose page it is, or of the replica that a label names.
    Engine,
    /// That of the whole service.
    Service,
    /// That of the unit in the label `unit`.
    Unit,
    /// That of the worker in the label `worker`.
    Worker,
}

/// A name and its meaning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    name: &'static str,
    pub(super) means: Means,
    pub(super) whose: Whose,
    /// Of names that mean the same only those with the lowest rank count; those of one rank are added.
    pub(super) rank: u8,
    /// To bytes, microseconds or whatever the vocabulary counts in.
    pub(super) scale: f64,
    /// Only where a label has this value.
    pub(super) only: Option<(&'static str, &'static str)>,
}

impl Family {
    const fn new(name: &'static str, whose: Whose, means: Means) -> Self {
        let scale = match means {
            Means::Time(_) | Means::Tally(Tally::Sum(_)) => 1e6,
            Means::Gauge(_) | Means::Tally(_) | Means::Bucket(_) => 1.0,
        };
        Self { name, means, whose, rank: 0, scale, only: None }
    }

    const fn gauge(name: &'static str, whose: Whose, gauge: Gauge) -> Self {
        Self::new(name, whose, Means::Gauge(gauge))
    }

    const fn count(name: &'static str, whose: Whose, counter: Counter) -> Self {
        Self::new(name, whose, Means::Tally(Tally::Count(counter)))
    }

    const fn time(name: &'static str, whose: Whose, timer: Timer) -> Self {
        Self::new(name, whose, Means::Time(timer))
    }

    const fn ranked(self, rank: u8) -> Self {
        Self { rank, ..self }
    }

    const fn scaled(self, scale: f64) -> Self {
        Self { scale, ..self }
    }

    const fn only(self, label: &'static str, value: &'static str) -> Self {
        Self { only: Some((label, value)), ..self }
    }
}

use Whose::{Engine, Service, Unit, Worker};

const VLLM: &[Family] = &[
    Family::gauge("num_requests_running", Engine, Gauge::Running),
    Family::gauge("num_requests_waiting", Engine, Gauge::Waiting),
    Family::gauge("kv_cache_usage_perc", Engine, Gauge::KvUsed),
    Family::gauge("gpu_cache_usage_perc", Engine, Gauge::KvUsed).ranked(1),
    Family::count("prefix_cache_queries_total", Engine, Counter::PrefixQueried),
    Family::count("prefix_cache_hits_total", Engine, Counter::PrefixHit),
    Family::count("gpu_prefix_cache_queries_total", Engine, Counter::PrefixQueried).ranked(1),
    Family::count("gpu_prefix_cache_hits_total", Engine, Counter::PrefixHit).ranked(1),
    Family::count("num_preemptions_total", Engine, Counter::Preempted),
    Family::count("prompt_tokens_total", Engine, Counter::Input),
    Family::count("generation_tokens_total", Engine, Counter::Output),
    Family::time("time_to_first_token_seconds", Engine, Timer::Ttft),
    Family::time("inter_token_latency_seconds", Engine, Timer::Gap),
    Family::time("time_per_output_token_seconds", Engine, Timer::Gap).ranked(1),
    Family::time("e2e_request_latency_seconds", Engine, Timer::EndToEnd),
    Family::time("request_queue_time_seconds", Engine, Timer::Queue),
    Family::time("request_prefill_time_seconds", Engine, Timer::Prefill),
    Family::time("request_decode_time_seconds", Engine, Timer::Decode),
    Family::time("nixl_xfer_time_seconds", Engine, Timer::HandOff),
    Family::count("nixl_bytes_transferred_sum", Engine, Counter::HandOffBytes),
    Family::count("nixl_num_failed_transfers_total", Engine, Counter::HandOffFailed),
    Family::count("nixl_num_kv_expired_reqs_total", Engine, Counter::HandOffExpired),
];

const SGLANG: &[Family] = &[
    Family::gauge("num_running_reqs", Engine, Gauge::Running),
    Family::gauge("num_queue_reqs", Engine, Gauge::Waiting),
    Family::gauge("token_usage", Engine, Gauge::KvUsed),
    Family::count("prompt_tokens_total", Engine, Counter::Input),
    Family::count("prompt_tokens_total", Engine, Counter::PrefixQueried),
    Family::count("cached_tokens_total", Engine, Counter::PrefixHit),
    Family::count("generation_tokens_total", Engine, Counter::Output),
    Family::count("num_retracted_requests_total", Engine, Counter::Preempted),
    Family::time("time_to_first_token_seconds", Engine, Timer::Ttft),
    Family::time("inter_token_latency_seconds", Engine, Timer::Gap),
    Family::time("e2e_request_latency_seconds", Engine, Timer::EndToEnd),
    Family::time("queue_time_seconds", Engine, Timer::Queue),
    Family::time("per_stage_req_latency_seconds", Engine, Timer::Prefill).only("stage", "prefill_forward"),
    Family::time("kv_transfer_latency_ms", Engine, Timer::HandOff).scaled(1e3),
    Family::count("kv_transfer_total_mb_sum", Engine, Counter::HandOffBytes).scaled(1_048_576.0),
    Family::count("num_transfer_failed_reqs_total", Engine, Counter::HandOffFailed),
    Family::count("num_bootstrap_failed_reqs_total", Engine, Counter::HandOffFailed),
];

const SMG: &[Family] = &[
    Family::gauge("engine_running_requests", Worker, Gauge::Running),
    Family::gauge("worker_requests_active", Worker, Gauge::Running).ranked(1),
    Family::gauge("engine_waiting_requests", Worker, Gauge::Waiting),
    Family::gauge("engine_token_usage", Worker, Gauge::KvUsed),
    Family::time("pd_ttft_seconds", Service, Timer::Ttft),
    Family::time("pd_prefill_duration_seconds", Service, Timer::Prefill),
    Family::time("router_request_duration_seconds", Service, Timer::EndToEnd),
    Family::count("pd_kv_transfer_failures_total", Service, Counter::HandOffFailed),
    Family::count("pd_rendezvous_failures_total", Service, Counter::HandOffFailed),
    Family::count("pd_bootstrap_failures_total", Service, Counter::HandOffFailed),
];

const DYNAMO: &[Family] = &[
    Family::gauge("frontend_inflight_requests", Service, Gauge::Running),
    Family::gauge("frontend_queued_requests", Service, Gauge::Waiting),
    Family::time("frontend_time_to_first_token_seconds", Service, Timer::Ttft),
    Family::time("frontend_inter_token_latency_seconds", Service, Timer::Gap),
    Family::time("frontend_request_duration_seconds", Service, Timer::EndToEnd),
    Family::count("frontend_input_sequence_tokens_sum", Service, Counter::Input),
    Family::count("frontend_input_sequence_tokens_sum", Service, Counter::PrefixQueried),
    Family::count("frontend_cached_tokens_sum", Service, Counter::PrefixHit),
    Family::count("frontend_output_sequence_tokens_sum", Service, Counter::Output),
    Family::gauge("component_inflight_requests", Engine, Gauge::Running).ranked(1).only("dynamo_endpoint", "generate"),
    Family::gauge("work_handler_queue_depth", Engine, Gauge::Waiting).ranked(1),
    Family::time("component_request_duration_seconds", Engine, Timer::EndToEnd)
        .ranked(1)
        .only("dynamo_endpoint", "generate"),
];

const PDTUNE: &[Family] = &[
    Family::time("request_handoff_seconds", Service, Timer::HandOff),
    Family::gauge("unit_running_requests", Unit, Gauge::Running),
    Family::gauge("unit_queue_requests", Unit, Gauge::Waiting),
    Family::gauge("unit_kv_held_blocks", Unit, Gauge::KvHeld),
    Family::gauge("unit_kv_blocks", Unit, Gauge::KvBlocks),
    Family::count("unit_input_tokens_total", Unit, Counter::Input),
    Family::count("unit_output_tokens_total", Unit, Counter::Output),
    Family::count("unit_handoff_bytes_total", Unit, Counter::HandOffBytes),
    Family::new("unit_handoff_seconds_total", Unit, Means::Tally(Tally::Sum(Timer::HandOff))),
    Family::new("unit_handoffs_total", Unit, Means::Tally(Tally::Taken(Timer::HandOff))),
];

/// How the metrics of Ray's nodes begin. Its agents are handed the buckets of a histogram and no sum: the `_sum` that they show is
/// made up from the middles of the buckets, so that only the buckets are to be trusted.
const RAY: &str = "ray_";

/// Prefixes of names and the system that they stand for. Ray allows no colon in a name and puts its own prefix before it.
const SYSTEMS: [(&str, &str, &[Family]); 8] = [
    ("vllm:", "", VLLM),
    ("ray_vllm_", "", VLLM),
    ("nixl_", "nixl_", VLLM),
    ("sglang:", "", SGLANG),
    ("ray_sglang_", "", SGLANG),
    ("smg_", "", SMG),
    ("dynamo_", "", DYNAMO),
    ("pdtune_", "", PDTUNE),
];

/// What a sample of this name is to us, with what it is of a histogram: usually nothing, at most two things.
pub(super) fn families(name: &str) -> impl Iterator<Item = (&'static Family, Means)> {
    let system = SYSTEMS.into_iter().find_map(|(prefix, kept, families)| {
        let rest = name.strip_prefix(prefix)?;
        Some((kept, rest, families))
    });
    let (kept, rest, families) = system.unwrap_or(("", "", &[]));
    let of_ray = name.starts_with(RAY);
    families.iter().filter_map(move |family| {
        let suffix = family.name.strip_prefix(kept).and_then(|of| rest.strip_prefix(of))?;
        let means = match (family.means, suffix) {
            (Means::Time(timer), "_bucket") if of_ray => Means::Bucket(timer),
            (Means::Time(timer), "_sum") if !of_ray => Means::Tally(Tally::Sum(timer)),
            (Means::Time(timer), "_count") if !of_ray => Means::Tally(Tally::Taken(timer)),
            (Means::Time(_), _) => return None,
            (_, "") if of_ray && family.name.ends_with("_sum") => return None,
            (means, "") => means,
            _ => return None,
        };
        Some((family, means))
    })
}

impl Family {
    /// What the value counts to the vocabulary: how often something was taken has no unit.
    pub(super) fn value(&self, means: Means, value: f64) -> f64 {
        if matches!(means, Means::Tally(Tally::Taken(_)) | Means::Bucket(_)) { value } else { value * self.scale }
    }

    /// The upper bound of a bucket, in microseconds; all bits where it has none.
    pub(super) fn bound(&self, le: f64) -> u64 {
        // Saturates where the bound is infinite.
        (le * self.scale).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meanings(name: &str) -> Vec<Means> {
        families(name).map(|(_, means)| means).collect()
    }

    #[test]
    fn the_same_thing_has_one_meaning_under_every_name() {
        let running = vec![Means::Gauge(Gauge::Running)];
        for name in [
            "vllm:num_requests_running",
            "ray_vllm_num_requests_running",
            "sglang:num_running_reqs",
            "smg_engine_running_requests",
            "dynamo_frontend_inflight_requests",
            "dynamo_component_inflight_requests",
            "pdtune_unit_running_requests",
        ] {
            assert_eq!(meanings(name), running, "{name}");
        }
        let sum = vec![Means::Tally(Tally::Sum(Timer::HandOff))];
        for name in [
            "vllm:nixl_xfer_time_seconds_sum",
            "nixl_xfer_time_seconds_sum",
            "sglang:kv_transfer_latency_ms_sum",
            "pdtune_unit_handoff_seconds_total",
        ] {
            assert_eq!(meanings(name), sum, "{name}");
        }
    }

    #[test]
    fn histograms_are_their_sum_and_their_count_and_buckets_are_nothing() {
        let name = "vllm:request_queue_time_seconds";
        let of = |suffix: &str| meanings(&format!("{name}{suffix}"));
        assert_eq!(of("_sum"), [Means::Tally(Tally::Sum(Timer::Queue))]);
        assert_eq!(of("_count"), [Means::Tally(Tally::Taken(Timer::Queue))]);
        for suffix in ["", "_bucket", "_created", "_summary"] {
            assert_eq!(of(suffix), [], "{suffix}");
        }
    }

    #[test]
    fn of_a_histogram_of_rays_the_buckets_alone_are_what_was_counted() {
        let name = "ray_vllm_nixl_xfer_time_seconds";
        let of = |suffix: &str| meanings(&format!("{name}{suffix}"));
        assert_eq!((of("_sum"), of("_count")), (vec![], vec![]));
        assert_eq!(of("_bucket"), [Means::Bucket(Timer::HandOff)]);
        assert_eq!(meanings("ray_vllm_nixl_bytes_transferred_sum"), []);
        assert_eq!(VLLM_TTFT.bound(0.25), 250_000);
        assert_eq!(VLLM_TTFT.bound(f64::INFINITY), u64::MAX);
    }

    const VLLM_TTFT: Family = Family::time("time_to_first_token_seconds", Engine, Timer::Ttft);

    #[test]
    fn names_of_others_mean_nothing() {
        for name in ["", "vllm:", "process_cpu_seconds_total", "vllm:num_requests_running_total", "nixl_", "smg_"] {
            assert_eq!(meanings(name), [], "{name}");
        }
    }

    #[test]
    fn what_is_looked_up_and_what_was_asked_may_be_the_same_number() {
        assert_eq!(meanings("sglang:prompt_tokens_total").len(), 2);
        assert_eq!(meanings("dynamo_frontend_input_sequence_tokens_sum").len(), 2);
    }

    #[test]
    fn times_come_out_in_microseconds_and_counts_as_they_are() {
        let value = |name: &str, value: f64| {
            families(name).map(|(family, means)| family.value(means, value)).collect::<Vec<_>>()
        };
        assert_eq!(value("vllm:request_prefill_time_seconds_sum", 0.5), [500_000.0]);
        assert_eq!(value("vllm:request_prefill_time_seconds_count", 3.0), [3.0]);
        assert_eq!(value("sglang:kv_transfer_latency_ms_sum", 12.0), [12_000.0]);
        assert_eq!(value("sglang:kv_transfer_total_mb_sum", 2.0), [2_097_152.0]);
    }
}
