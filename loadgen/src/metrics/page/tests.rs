use super::*;
use crate::metrics::delta::Memory;
use crate::metrics::vocabulary::{Counter, Sums, Timed, Timer};
use crate::time::Micros;

const VLLM: &str = include_str!("../../../tests/data/metrics/vllm-decode.txt");
const RAY: &str = include_str!("../../../tests/data/metrics/ray-node.txt");
const SMG: &str = include_str!("../../../tests/data/metrics/smg.txt");
const SGLANG: &str = include_str!("../../../tests/data/metrics/sglang-prefill.txt");
const FRONTEND: &str = include_str!("../../../tests/data/metrics/dynamo-frontend.txt");
const WORKER: &str = include_str!("../../../tests/data/metrics/dynamo-worker.txt");

fn page(text: &str) -> Page {
    read(text.as_bytes()).expect("a page")
}

/// The one row of a page.
fn row(text: &str) -> Row {
    let mut rows = page(text).rows;
    assert_eq!(rows.len(), 1, "{rows:?}");
    rows.remove(0)
}

/// What a row has counted since a page on which everything was zero.
fn counted(row: &Row) -> Sums {
    let mut memory = Memory::default();
    let zero: Vec<Series> = row.series.iter().map(|series| Series { value: 0.0, ..*series }).collect();
    memory.page(None);
    memory.take(&zero);
    memory.page(None);
    memory.take(&row.series)
}

fn gauges(running: Option<u32>, waiting: Option<u32>, kv_used: Option<u16>) -> Gauges {
    Gauges { running, waiting, kv_used }
}

#[test]
fn an_engine_of_vllm_is_one_unit_whatever_ranks_it_has() {
    let row = row(VLLM);
    assert_eq!((&row.key, row.role), (&Key::Page, None));
    assert_eq!(row.gauges, gauges(Some(12), Some(1), Some(600)));
    let sums = counted(&row);
    for (counter, count) in [
        (Counter::PrefixQueried, 1000),
        (Counter::PrefixHit, 300),
        (Counter::Preempted, 2),
        (Counter::Output, 6400),
        (Counter::HandOffBytes, 209_715_200),
        (Counter::HandOffFailed, 3),
        (Counter::HandOffExpired, 2),
    ] {
        assert_eq!(sums.count(counter), Some(count), "{counter:?}");
    }
    assert_eq!(sums.time(Timer::Queue), Some(Timed::exact(100, Micros(2_500_000))));
    assert_eq!(sums.mean(Timer::Decode), Some(Micros(800_000)));
    assert_eq!(sums.mean(Timer::HandOff), Some(Micros(15_000)));
    assert_eq!((sums.time(Timer::Prefill), sums.count(Counter::Input)), (None, None), "nobody told");
}

#[test]
fn a_node_of_ray_tells_of_its_replicas_and_of_where_they_belong() {
    let Page { rows, replicas, .. } = page(RAY);
    let keys: Vec<&Key> = rows.iter().map(|row| &row.key).collect();
    assert_eq!(keys, [&Key::Replica("d5e6f7a8".to_owned()), &Key::Replica("p1a2b3c4".to_owned())]);
    assert_eq!(rows[0].gauges, gauges(Some(6), None, Some(250)));
    assert_eq!(counted(&rows[0]).count(Counter::HandOffBytes), None, "a sum of Ray's is made up");
    let prefill = Timed { taken: 10, least: Micros(6 * 50_000), most: Micros(4 * 50_000 + 6 * 300_000) };
    assert_eq!(counted(&rows[1]).time(Timer::Prefill), Some(prefill), "by its buckets");
    assert_eq!(replicas.get("d5e6f7a8").map(String::as_str), Some("Decode:tiny"));
    assert_eq!(replicas.get("p1a2b3c4").map(String::as_str), Some("Prefill:tiny"));
}

#[test]
fn a_gateway_tells_of_its_workers_and_of_the_whole() {
    let rows = page(SMG).rows;
    let of = |key: &Key| rows.iter().find(|row| row.key == *key).expect("a row");
    let worker = |port: u16| Key::Worker(format!("http://127.0.0.1:{port}"));
    assert_eq!(of(&worker(19101)).gauges, gauges(Some(3), Some(5), Some(300)), "what its engine says, over all ranks");
    assert_eq!(of(&worker(19201)).gauges, gauges(Some(4), None, None), "what the gateway knows");
    assert_eq!(of(&worker(19301)).gauges, Gauges::default(), "it has gone");
    let whole = counted(of(&Key::Service));
    assert_eq!(whole.mean(Timer::Ttft), Some(Micros(200_000)));
    assert_eq!(whole.count(Counter::HandOffFailed), Some(2));
}

#[test]
fn an_engine_of_sglang_says_its_role_and_counts_in_units_of_its_own() {
    let row = row(SGLANG);
    assert_eq!((&row.key, row.role), (&Key::Page, Some(Role::Prefill)));
    assert_eq!(row.gauges, gauges(Some(3), Some(2), Some(125)));
    let sums = counted(&row);
    assert_eq!((sums.count(Counter::PrefixQueried), sums.count(Counter::PrefixHit)), (Some(5000), Some(1000)));
    assert_eq!(sums.mean(Timer::Queue), Some(Micros(80_000)));
    assert_eq!(sums.mean(Timer::Prefill), Some(Micros(120_000)), "of one stage among several");
    assert_eq!(sums.mean(Timer::HandOff), Some(Micros(12_000)), "milliseconds");
    assert_eq!(sums.count(Counter::HandOffFailed), Some(1));
}

#[test]
fn dynamo_has_a_frontend_for_the_whole_and_a_component_for_each_role() {
    let whole = row(FRONTEND);
    assert_eq!((&whole.key, whole.gauges), (&Key::Service, gauges(Some(12), Some(3), None)));
    assert_eq!(counted(&whole).mean(Timer::Ttft), Some(Micros(110_000)));
    assert_eq!(counted(&whole).count(Counter::PrefixHit), Some(6400));
    let worker = row(WORKER);
    assert_eq!((&worker.key, worker.role, worker.backend), (&Key::Page, None, true));
    assert_eq!(worker.gauges, gauges(Some(6), Some(0), Some(30)), "the engine's own figures go first");
    let bare: Vec<&str> = WORKER.lines().filter(|line| !line.starts_with("vllm:")).collect();
    assert_eq!(row(&bare.join("\n")).gauges, gauges(Some(4), Some(1), None));
    let prefill = row(&WORKER.replace("backend", "prefill"));
    assert_eq!((prefill.role, prefill.backend), (Some(Role::Prefill), false));
}

#[test]
fn our_own_page_has_a_row_for_each_unit_and_one_for_all() {
    let text = "vllm:num_requests_running{model_name=\"m\"} 9\n\
        vllm:request_queue_time_seconds_sum{model_name=\"m\"} 1\n\
        vllm:request_queue_time_seconds_count{model_name=\"m\"} 4\n\
        pdtune_unit_role{model_name=\"m\",unit=\"0\",role=\"prefill\"} 1\n\
        pdtune_unit_role{model_name=\"m\",unit=\"0\",role=\"decode\"} 0\n\
        pdtune_unit_role{model_name=\"m\",unit=\"1\",role=\"decode\"} 1\n\
        pdtune_unit_running_requests{model_name=\"m\",unit=\"1\"} 8\n\
        pdtune_unit_kv_blocks{model_name=\"m\",unit=\"1\"} 200\n\
        pdtune_unit_kv_held_blocks{model_name=\"m\",unit=\"1\"} 50\n\
        pdtune_unit_handoffs_total{model_name=\"m\",unit=\"1\"} 10\n\
        pdtune_unit_handoff_seconds_total{model_name=\"m\",unit=\"1\"} 0.2\n";
    let rows = page(text).rows;
    let seen: Vec<_> = rows.iter().map(|row| (row.key.clone(), row.role)).collect();
    let expected = [(Key::Service, None), (Key::Unit(0), Some(Role::Prefill)), (Key::Unit(1), Some(Role::Decode))];
    assert_eq!(seen, expected);
    assert_eq!(rows[0].gauges.running, Some(9));
    assert_eq!(rows[2].gauges, gauges(Some(8), None, Some(250)));
    assert_eq!(counted(&rows[2]).time(Timer::HandOff), Some(Timed::exact(10, Micros(200_000))));
}

#[test]
fn rows_without_end_are_left_out_and_that_is_known() {
    let many: Vec<String> = (0..1000).map(|i| format!("smg_worker_requests_active{{worker=\"w{i}\"}} 1\n")).collect();
    let page = page(&many.concat());
    assert_eq!((page.rows.len(), page.left_out), (MAX_ROWS, true));
}

#[test]
fn values_that_are_none_are_not_told() {
    let strange = "vllm:num_requests_running NaN\nvllm:num_requests_waiting -1\nvllm:kv_cache_usage_perc 7\n";
    assert_eq!(row(strange).gauges, gauges(None, None, Some(1000)));
}

#[test]
fn a_page_of_our_own_has_one_row_of_the_whole_service() {
    let text = "vllm:num_requests_running 3\npdtune_unit_role{unit=\"0\",role=\"prefill\"} 1\nprocess_start_time_seconds 1.5\n";
    let page = read(text.as_bytes()).expect("a page");
    let services = page.rows.iter().filter(|row| matches!(row.key, Key::Page | Key::Service));
    assert_eq!(services.map(|row| row.gauges.running).collect::<Vec<_>>(), [Some(3)]);
    assert_eq!(page.started, Some(1.5));
    let two =
        read(b"process_start_time_seconds{n=\"1\"} 1.5\nprocess_start_time_seconds{n=\"2\"} 2.5\n").expect("a page");
    assert_eq!(two.started, None);
}
