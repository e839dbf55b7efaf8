//! The figures of small runs, worked out by hand.

use engine::cluster::How;

use super::*;
use crate::recording::{ClientUse, ShiftEnd};
use crate::sample::Outcome;
use crate::sample::ServerSide;
use crate::sample::testing::{completed, failed, unanswered};
use crate::slo::Slo;

const SECOND: u64 = 1_000_000;

/// Ten seconds of load after two of warm-up.
fn run(slo: Option<Slo>) -> RunRecord {
    RunRecord { split: "2P2D".parse().ok(), slo, warmup: Micros(2 * SECOND), ..RunRecord::named("chat", "cpu") }
}

fn end() -> EndRecord {
    EndRecord {
        at: Micros(15 * SECOND),
        schedule_end: Micros(12 * SECOND),
        requests: Counts::default(),
        client: ClientUse {
            cpu: Micros(SECOND / 2),
            cores: 2,
            rss_bytes: 45_000_000,
            dropped: 0,
            realtime: Some(false),
            held_up: 0,
        },
        aborted: None,
    }
}

const SLO: Option<Slo> =
    Some(Slo { ttft: Some(Micros(SECOND / 2)), tpot: None, itl_p99: None, itl_mean: None, e2e: None });

fn summary(slo: Option<Slo>, samples: &[Sample]) -> Summary {
    let mut accumulator = Accumulator::new(&run(slo));
    for sample in samples {
        accumulator.record(&Record::Req(Box::new(sample.clone())));
    }
    accumulator.finish(Some(&end()), None)
}

#[test]
fn an_slo_that_comes_late_counts_nobody_before_it_as_bad() {
    let mut accumulator = Accumulator::new(&run(None));
    accumulator.record(&Record::Req(Box::new(completed(0, 3 * SECOND, 1000, &[]))));
    accumulator.record(&Record::Slo(crate::recording::SloRecord { at: Micros(4 * SECOND), slo: SLO }));
    accumulator.record(&Record::Req(Box::new(completed(1, 5 * SECOND, 1000, &[]))));
    let summary = accumulator.finish(Some(&end()), None);
    assert_eq!((summary.attainment, summary.goodput_rps), (Some(1.0), Some(1.0 / 8.0)), "a request in 8 of 10 seconds");
    assert_eq!(summary.slo_s, Some(8.0));
    let text = summary.text(None);
    assert!(text.contains("0.12 req/s   (100.0% of those due in the 8.0 s of 10.0 s in which an SLO stood"), "{text}");
}

#[test]
fn an_slo_that_is_taken_away_leaves_the_goodput_of_its_time() {
    let mut accumulator = Accumulator::new(&run(SLO));
    let slow = completed(0, 3 * SECOND, 5 * SECOND, &[]);
    let good = completed(1, 4 * SECOND, 1000, &[]);
    accumulator.record(&Record::Req(Box::new(good)));
    accumulator.record(&Record::Slo(crate::recording::SloRecord { at: Micros(7 * SECOND), slo: None }));
    accumulator.record(&Record::Req(Box::new(slow)));
    accumulator.record(&Record::Req(Box::new(completed(2, 9 * SECOND, 1000, &[]))));
    let summary = accumulator.finish(Some(&end()), None);
    assert_eq!((summary.goodput_rps, summary.slo_s), (Some(0.2), Some(5.0)), "from 2 s to 7 s");
    assert_eq!(summary.attainment, Some(0.5), "the slow one was offered under the SLO, the last one was not");
    assert_eq!(summary.slo, SLO.map(Bounds::from));
}

#[test]
fn a_request_is_judged_by_the_slo_that_stood_when_it_ended() {
    let mut accumulator = Accumulator::new(&run(SLO));
    let strict = Slo { ttft: Some(Micros(1)), ..Slo::default() };
    accumulator.record(&Record::Slo(crate::recording::SloRecord { at: Micros(4 * SECOND), slo: Some(strict) }));
    accumulator.record(&Record::Req(Box::new(completed(0, 3 * SECOND, 1000, &[]))));
    accumulator.record(&Record::Req(Box::new(completed(1, 4 * SECOND, 1000, &[]))));
    let summary = accumulator.finish(Some(&end()), None);
    assert_eq!((summary.attainment, summary.slo), (Some(0.5), Some(Bounds::from(strict))));
}

#[test]
fn goodput_is_good_requests_due_in_the_window_by_its_length() {
    let summary = summary(
        SLO,
        &[
            completed(0, SECOND, 1000, &[]),
            completed(1, 2 * SECOND, 1000, &[]),
            completed(2, 12 * SECOND, SECOND / 2, &[SECOND]),
            completed(3, 5 * SECOND, SECOND / 2 + 1, &[]),
            unanswered(4, 6 * SECOND, 7 * SECOND, failed()),
            unanswered(5, 6 * SECOND, 7 * SECOND, Outcome::Cut),
            unanswered(6, 6 * SECOND, 7 * SECOND, Outcome::Shed),
        ],
    );
    assert_eq!(summary.goodput_rps, Some(0.2), "the warm-up does not count, the end of the schedule does");
    assert_eq!((summary.offered_rps, summary.attainment), (Some(0.6), Some(2.0 / 6.0)));
    let requests = summary.requests;
    assert_eq!((requests.offered, requests.sent, requests.completed), (7, 6, 4), "the whole run");
    assert_eq!((requests.failed, requests.cut, requests.shed), (1, 1, 1));
    assert_eq!(summary.ttft_ms.n, 3, "completed, and due in the window");
}

#[test]
fn without_an_slo_there_is_no_goodput() {
    let summary = summary(None, &[completed(0, 3 * SECOND, 1000, &[])]);
    assert_eq!((summary.slo, summary.goodput_rps, summary.attainment, summary.slo_s), (None, None, None, None));
    assert_eq!(summary.offered_rps, Some(0.1));
}

#[test]
fn a_run_without_requests_claims_nothing() {
    let summary = summary(SLO, &[]);
    assert_eq!((summary.goodput_rps, summary.attainment), (Some(0.0), None));
    for statistics in [summary.ttft_ms, summary.tpot_ms, summary.itl_ms, summary.e2e_ms, summary.lag_ms] {
        assert_eq!(statistics, Statistics::default());
    }
}

#[test]
fn tokens_count_when_they_arrive_so_that_draining_adds_nothing() {
    // One token a second from 11 s on: two within the schedule, two while the run drains.
    let late = completed(0, 10 * SECOND, SECOND, &[SECOND - 1, SECOND, SECOND]);
    let early = completed(1, 0, SECOND, &[SECOND / 2, 2 * SECOND]);
    let summary = summary(None, &[late, early]);
    assert_eq!(summary.output_tps, Some(0.3), "at 11.0, 12.0 and 3.5 s");
    assert_eq!(summary.input_tps, Some(10.0), "the prompt of 100 tokens whose answer began at 11 s");
}

#[test]
fn a_one_token_answer_counts_in_ttft_and_e2e_alone() {
    let summary = summary(SLO, &[completed(0, 3 * SECOND, 1000, &[])]);
    assert_eq!((summary.ttft_ms.n, summary.e2e_ms.n, summary.tpot_ms.n, summary.itl_ms.n), (1, 1, 0, 0));
    assert_eq!(summary.attainment, Some(1.0));
}

#[test]
fn a_late_client_and_dropped_samples_are_told_of() {
    let verdict = |summary: &Summary| summary.client.verdict.clone().unwrap_or_default();
    let mut late = completed(0, 3 * SECOND, SECOND, &[]);
    assert_eq!(verdict(&summary(None, std::slice::from_ref(&late))), "ok");
    late.sent = Some(Micros(3 * SECOND + 6000));
    let late = summary(None, &[late]);
    assert!(verdict(&late).contains("lag p99 6.0 ms"), "{}", verdict(&late));
    assert_eq!(late.lag_ms.max, Some(6.0));
}

#[test]
fn a_shift_has_one_entry_from_its_start_to_its_end() {
    let split = |text: &str| text.parse().expect("a split");
    let start =
        ShiftRecord { at: Micros(3 * SECOND), from: split("2P2D"), to: split("1P3D"), how: How::Drain, ended: None };
    let ended = ShiftEnd { drain: Micros(0), total: Micros(1500), in_flight: 3, lost: 0, abandoned: None };
    let mut accumulator = Accumulator::new(&run(None));
    accumulator.record(&Record::Shift(start.clone()));
    assert_eq!(accumulator.finish(None, None).shifts[0].drain_ms, None);
    accumulator.record(&Record::Shift(ShiftRecord { ended: Some(ended.clone()), ..start.clone() }));
    accumulator.record(&Record::Shift(ShiftRecord { at: Micros(5 * SECOND), ..start.clone() }));
    accumulator.record(&Record::Shift(ShiftRecord { at: Micros(5 * SECOND), ended: Some(ended), ..start }));
    let shifts = accumulator.finish(Some(&end()), None).shifts;
    let figures: Vec<_> = shifts.iter().map(|s| (s.at_s, s.drain_ms, s.total_ms, s.lost)).collect();
    assert_eq!(figures, [(3.0, Some(0.0), Some(1.5), Some(0)), (5.0, Some(0.0), Some(1.5), Some(0))]);
}

#[test]
fn an_incomplete_recording_says_so_and_ends_with_its_latest_record() {
    let mut accumulator = Accumulator::new(&run(SLO));
    accumulator.record(&Record::Req(Box::new(completed(0, 3 * SECOND, 1000, &[]))));
    accumulator.record(&Record::Lag(LagRecord {
        at: Micros(4 * SECOND),
        sent: 1,
        p99: Some(Micros(0)),
        max: Some(Micros(0)),
        cpu: Micros(2000),
        rss_bytes: 1_000_000,
        dropped: 0,
        cores: None,
        held_up: 0,
    }));
    let summary = accumulator.finish(None, Some("run.jsonl.zst.partial".to_owned()));
    assert!(summary.incomplete);
    assert_eq!((summary.duration_s, summary.window.to_s, summary.goodput_rps), (4.0, 4.0, Some(0.5)));
    assert_eq!((summary.client.verdict, summary.client.cpu_s), (None, Some(0.002)));
}

#[test]
fn the_keys_stand_in_the_order_that_scripts_rely_on() {
    let mut sample = completed(0, 3 * SECOND, SECOND / 4, &[20_000, 30_000]);
    sample.server = Some(ServerSide { prefix_queried: 100, prefix_hit: 64, ..ServerSide::default() });
    let summary = Summary { recording: Some("run.jsonl.zst".to_owned()), ..summary(SLO, &[sample]) };
    let expected = concat!(
        r#"{"schema":1,"target":"cpu","split":"2P2D","seed":7,"duration_s":15.0,"slo":{"ttft_ms":500.0},"#,
        r#""requests":{"offered":1,"sent":1,"completed":1,"failed":0,"cut":0,"shed":0,"cancelled":0,"clamped":0},"#,
        r#""prefix":{"queried_tokens":100,"hit_tokens":64},"#,
        r#""offered_rps":0.1,"goodput_rps":0.1,"attainment":1.0,"input_tps":10.0,"output_tps":0.3,"#,
        r#""ttft_ms":{"mean":250.0,"p50":250.0,"p90":250.0,"p95":250.0,"p99":250.0,"max":250.0,"n":1},"#,
        r#""ttft_sent_ms":{"mean":250.0,"p50":250.0,"p90":250.0,"p95":250.0,"p99":250.0,"max":250.0,"n":1},"#,
        r#""tpot_ms":{"mean":25.0,"p50":25.0,"p90":25.0,"p95":25.0,"p99":25.0,"max":25.0,"n":1},"#,
        r#""itl_ms":{"mean":25.0,"p50":20.015,"p90":30.0,"p95":30.0,"p99":30.0,"max":30.0,"n":2},"#,
        r#""e2e_ms":{"mean":300.0,"p50":300.0,"p90":300.0,"p95":300.0,"p99":300.0,"max":300.0,"n":1},"#,
        r#""lag_ms":{"mean":0.0,"p50":0.0,"p90":0.0,"p95":0.0,"p99":0.0,"max":0.0,"n":1},"#,
        r#""window":{"from_s":2.0,"to_s":12.0},"#,
        r#""client":{"verdict":"ok","cpu_s":0.5,"rss_mb":45.0,"dropped":0,"realtime":false},"#,
        r#""shifts":[],"recording":"run.jsonl.zst","incomplete":false,"slo_s":10.0,"workers":[],"aborted":null,"#,
        r#""failures":{"connect":0,"tls":0,"status":0,"timeout":0,"malformed":0,"refused":0,"limited":0,"engine":0,"client":0},"#,
        r#""answers":{"counted_by":{"usage":0,"ids":0,"chunks":0},"usage_differed":0,"osl_missed":0,"isl_differed":0,"#,
        r#""prompt_tokens_asked":100,"prompt_tokens_counted":100,"reasoned":0,"reasoning_tokens":0,"addresses":[],"#,
        r#""addresses_failed":[],"one_piece":0},"#,
        r#""ttft_answer_ms":{"mean":250.0,"p50":250.0,"p90":250.0,"p95":250.0,"p99":250.0,"max":250.0,"n":1},"server":null,"sessions":null}"#,
    );
    assert_eq!(serde_json::to_string(&summary).expect("JSON"), expected);
}

#[test]
fn the_text_says_the_same_in_a_few_lines() {
    let mut accumulator = Accumulator::new(&run(SLO));
    accumulator.record(&Record::Req(Box::new(completed(0, 3 * SECOND, SECOND / 4, &[18_900, 18_900]))));
    accumulator.record(&Record::Req(Box::new(unanswered(1, 3 * SECOND, 4 * SECOND, failed()))));
    let (from, to) = ("2P2D".parse().expect("a split"), "1P3D".parse().expect("a split"));
    let ended = ShiftEnd { drain: Micros(210_000), total: Micros(260_000), in_flight: 3, lost: 0, abandoned: None };
    let shift = ShiftRecord { at: Micros(108 * SECOND), from, to, how: How::Drain, ended: Some(ended) };
    accumulator.record(&Record::Shift(shift));
    let summary = accumulator.finish(Some(&end()), Some("run.jsonl.zst".to_owned()));
    let expected = "\
target       cpu  2P2D  seed 7  figures from 2.0 s to 12.0 s
requests     2 offered  1 completed  1 failed
failures     1 status
goodput      0.10 req/s   (50.0% of 0.20 offered; SLO ttft<=500ms)
throughput   10.0 prompt tokens/s  0.30 output tokens/s
ttft  p50 250  p95 250  p99 250 ms      tpot  p50 18.9  p95 18.9  p99 18.9 ms
itl   p50 18.9  p95 18.9  p99 18.9 ms   e2e   p50 288  p95 288  p99 288 ms
shifts       1  (2P2D -> 1P3D at 01:48 by drain: drained 210 ms, took 260 ms, lost 0)
client       ok  lag p99 0.00 ms  cpu 0.5 s  rss 45 MB  drop 0  not in the real-time class
recording    run.jsonl.zst  (2 requests, 5.1 MB, complete)
";
    assert_eq!(summary.text(Some(5_100_000)), expected);
}

#[test]
fn the_text_of_an_incomplete_recording_begins_with_that() {
    let text = Accumulator::new(&run(None)).finish(None, Some("x.partial".to_owned())).text(None);
    assert!(text.starts_with("incomplete   "), "{text}");
    assert!(text.contains("goodput      set an SLO: --slo ttft=400ms,tpot=25ms"), "{text}");
    assert!(text.ends_with("recording    x.partial  (0 requests, incomplete)\n"), "{text}");
}
