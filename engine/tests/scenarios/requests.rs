//! Single requests and small groups: stages, tokens, caches, limits, refusals.

use engine::cluster::{
    Arrival, BatchLimits, Cluster, ClusterConfig, ClusterError, Emission, FinishReason, FirstToken, Outbox, Refused,
    StepPlan, StepReport, Transfer,
};
use engine::drive::virtual_time::{Input, Log, Pace, generated_hash};
use engine::units::{Nanos, RequestId, UnitId};

use crate::world::{config, driver, family_request, request, run, split};

fn play(config: ClusterConfig, split: &str, arrivals: impl IntoIterator<Item = (u64, Arrival)>) -> Log {
    let inputs = arrivals.into_iter().map(|(at, arrival)| (at, Input::Arrive(arrival)));
    run(&mut driver(config, split, Pace::Bulk), inputs)
}

fn instants(log: &Log, request: u64) -> Vec<u64> {
    let tokens = log.emitted.iter().flat_map(|emitted| emitted.tokens());
    tokens.filter(|(_, whose, _, _)| *whose == RequestId(request)).map(|(at, ..)| at.0).collect()
}

#[test]
fn a_request_passes_all_stages_at_the_instants_that_the_costs_give() {
    let log = play(config(), "1P1D", [(1000, request(1, 40, 3))]);
    // 32 and 8 prompt tokens, a transfer of 10 blocks, two decode steps.
    let (first_chunk, second_chunk, transfer, decode) = (132, 108, 30 + 2 * 10, 101);
    let sampled = 1000 + first_chunk + second_chunk;
    let arrived = sampled + transfer;
    assert_eq!(instants(&log, 1), [arrived, arrived + decode, arrived + 2 * decode]);
    let (_, finished) = &log.finished[0];
    assert_eq!((finished.reason, finished.output_tokens), (FinishReason::Length, 3));
    assert_eq!((finished.prefill_unit, finished.decode_unit), (Some(UnitId(0)), Some(UnitId(1))));
    let stages = finished.stages;
    assert_eq!((stages.arrived, stages.prefill_start), (Nanos(1000), Some(Nanos(1000))));
    assert_eq!((stages.prefill_end, stages.handoff_start), (Some(Nanos(sampled)), Some(Nanos(sampled))));
    assert_eq!((stages.handoff_end, stages.decode_start), (Some(Nanos(arrived)), Some(Nanos(arrived))));
}

#[test]
fn the_first_token_comes_before_the_hand_off_when_asked_to() {
    let early = ClusterConfig { first_token: FirstToken::FromPrefill, ..config() };
    let (late, early) = (play(config(), "1P1D", [(0, request(1, 8, 2))]), play(early, "1P1D", [(0, request(1, 8, 2))]));
    assert_eq!(instants(&late, 1), [108 + 34, 108 + 34 + 101]);
    assert_eq!(instants(&early, 1), [108, 108 + 34 + 101]);
    assert_eq!(early.emitted[0].emission, Emission { request: RequestId(1), first: 0, count: 1, unit: UnitId(0) });
}

#[test]
fn a_single_token_is_answered_by_the_prefill_unit_without_a_hand_off() {
    let log = play(config(), "1P1D", [(0, request(1, 8, 1))]);
    let (at, finished) = &log.finished[0];
    assert_eq!((*at, finished.reason, finished.decode_unit), (Nanos(108), FinishReason::Length, Some(UnitId(0))));
    assert_eq!(finished.stages.handoff_start, None);
}

#[test]
fn an_aggregated_unit_mixes_prompt_chunks_into_decode_steps() {
    let log = play(config(), "1A", [(0, request(1, 8, 4)), (50, request(2, 40, 1))]);
    // The second prompt gets what the one decode token leaves of 24: 23 and 17 tokens.
    assert_eq!(instants(&log, 1), [108, 108 + 124, 108 + 124 + 118, 108 + 124 + 118 + 101]);
    assert_eq!(instants(&log, 2), [108 + 124 + 118]);
}

#[test]
fn cached_prefixes_are_counted_to_the_token() {
    let arrivals = [
        (0, family_request(1, 7, 4, 22, 1)),
        (1000, family_request(2, 7, 4, 30, 1)),
        (2000, family_request(3, 7, 4, 16, 1)),
        (3000, family_request(1, 7, 4, 22, 1)),
    ];
    let log = play(config(), "1P1D", arrivals);
    let hits: Vec<_> = log.finished.iter().map(|(_, f)| (f.request.0, f.prefix_queried, f.prefix_hit)).collect();
    // The third prompt is all cached, but its last token must be computed, so its last block is; the fourth has 5 full blocks.
    assert_eq!(hits, [(1, 22, 0), (2, 30, 16), (3, 16, 12), (1, 22, 20)]);
}

#[test]
fn prefix_totals_add_up_what_the_requests_were_told() {
    let mut driver = driver(config(), "2P1D", Pace::Bulk);
    let arrivals = (0..20).map(|n| (n * 300, Input::Arrive(family_request(n, n % 3, 3, 20 + n as u32, 2))));
    let log = run(&mut driver, arrivals);
    let sum =
        |figure: fn(&engine::cluster::Finished) -> u32| log.finished.iter().map(|(_, f)| u64::from(figure(f))).sum();
    assert_eq!(driver.cluster().prefix_totals(), (sum(|f| f.prefix_queried), sum(|f| f.prefix_hit)));
    assert!(driver.cluster().prefix_totals().1 > 0);
}

#[test]
fn generated_text_is_found_by_the_next_turn() {
    let first = request(1, 8, 9);
    // Positions 0..16 have KV when the answer ends: 2 prompt blocks and 2 generated ones.
    let hashes: Vec<_> =
        first.prompt_hashes.iter().copied().chain((2..5).map(|block| generated_hash(RequestId(1), block))).collect();
    let second = Arrival { request: RequestId(2), prompt_tokens: 20, output_tokens: 1, prompt_hashes: hashes.into() };
    let log = play(config(), "1A", [(0, first), (3000, second)]);
    assert_eq!(log.finished[1].1.prefix_hit, 16);
}

#[test]
fn without_a_prefix_cache_nothing_is_looked_up_or_kept() {
    let mut driver = driver(ClusterConfig { prefix_cache: false, ..config() }, "1P1D", Pace::Bulk);
    run(&mut driver, [(0, Input::Arrive(request(1, 30, 2))), (1000, Input::Arrive(request(1, 30, 2)))]);
    assert_eq!(driver.cluster().prefix_totals(), (0, 0));
    assert_eq!(driver.cluster().unit_figures(UnitId(0)).cached, 0);
}

#[test]
fn a_full_decode_unit_holds_back_hand_offs_and_these_hold_their_blocks() {
    let tight = ClusterConfig { decode: BatchLimits { tokens: 8, sequences: 1 }, ..config() };
    let mut driver = driver(tight, "1P1D", Pace::Bulk);
    for number in 0..4 {
        driver.schedule(Nanos(0), Input::Arrive(request(number, 8, 30)));
    }
    while driver.now() < Nanos(1000) && driver.step().is_some() {}
    let figures = driver.cluster().unit_figures(UnitId(0));
    assert_eq!((figures.handing_off, figures.held), (3, 6));
    let log = run(&mut driver, []);
    assert_eq!(log.finished.iter().map(|(_, f)| f.request.0).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[test]
fn when_blocks_run_out_the_youngest_is_preempted_and_everybody_gets_through() {
    let tight = ClusterConfig { blocks_per_unit: 12, watermark_permille: 0, prefix_cache: false, ..config() };
    let log = play(tight, "1P1D", (0..3).map(|number| (number, request(number, 8, 30))));
    let preempted: Vec<_> =
        log.finished.iter().map(|(_, f)| (f.request.0, f.output_tokens, f.preemptions > 0)).collect();
    assert_eq!(preempted, [(0, 30, false), (1, 30, true), (2, 30, true)]);
}

#[test]
fn a_preempted_sequence_finds_its_own_blocks_in_the_prefix_cache() {
    let tight = ClusterConfig { blocks_per_unit: 16, watermark_permille: 0, ..config() };
    let [kept, lost] = [true, false].map(|prefix_cache| {
        let config = ClusterConfig { prefix_cache, ..tight.clone() };
        let log = play(config, "1A", (0..2).map(|number| (number, request(number, 16, 20))));
        assert_eq!(log.finished.iter().map(|(_, f)| f.preemptions).collect::<Vec<_>>(), [0, 1]);
        log.finished[1].0
    });
    assert!(kept < lost, "{kept:?} {lost:?}");
}

#[test]
fn what_cannot_be_served_is_refused_with_the_numbers() {
    let tight = ClusterConfig { blocks_per_unit: 8, max_context: 40, ..config() };
    let mut cluster = Cluster::new(tight, split("1P1D")).expect("a cluster");
    let mut out = Outbox::default();
    let mut arrive = |prompt, output| {
        let arrival = Arrival { prompt_hashes: [].into(), ..request(1, prompt, output) };
        cluster.arrive(Nanos(0), arrival, &mut out)
    };
    assert_eq!(arrive(0, 5), Err(Refused::Empty { prompt: 0, output: 5 }));
    assert_eq!(arrive(5, 0), Err(Refused::Empty { prompt: 5, output: 0 }));
    assert_eq!(arrive(30, 11), Err(Refused::TooLong { prompt: 30, output: 11, max_context: 40 }));
    assert_eq!(arrive(30, 4), Err(Refused::TooLarge { prompt: 30, output: 4, needed: 9, blocks: 8 }));
    assert_eq!(arrive(30, 3), Ok(()));
    assert_eq!(arrive(30, 3), Err(Refused::Duplicate(RequestId(1))));
    let hashes = Arrival { prompt_tokens: 7, ..request(2, 8, 2) };
    assert_eq!(cluster.arrive(Nanos(0), hashes, &mut out), Err(Refused::Hashes { hashes: 2, blocks: 1 }));
    assert_eq!((cluster.in_flight(), cluster.check()), (1, Ok(())));
}

#[test]
fn a_cluster_that_could_not_serve_is_not_made() {
    let nothing = ClusterConfig { blocks_per_unit: 0, ..config() };
    assert_eq!(Cluster::new(nothing, split("1P1D")).err(), Some(ClusterError::Zero("blocks_per_unit")));
    let all = ClusterConfig { watermark_permille: 1000, ..config() };
    assert_eq!(Cluster::new(all, split("1P1D")).err(), Some(ClusterError::Watermark(1000)));
}

#[test]
fn a_stop_ends_the_answer_with_the_token_that_was_sampled() {
    let mut cluster = Cluster::new(config(), split("1A")).expect("a cluster");
    let (mut out, mut plan) = (Outbox::default(), StepPlan::new());
    cluster.arrive(Nanos(0), request(1, 4, 50), &mut out).expect("accepted");
    assert_eq!(out.wake, [UnitId(0)]);
    assert!(cluster.start_step(Nanos(0), UnitId(0), 1, &mut plan));
    cluster.advance(Nanos(1), UnitId(0), 1, StepReport::default(), &mut out);
    assert!(cluster.start_step(Nanos(1), UnitId(0), 1, &mut plan));
    assert!(!cluster.start_step(Nanos(1), UnitId(0), 1, &mut StepPlan::new()), "a unit computes one step at a time");
    let report = StepReport { stopped: &[RequestId(1)], filled: &[] };
    cluster.advance(Nanos(2), UnitId(0), 1, report, &mut out);
    assert_eq!((out.finished[0].reason, out.finished[0].output_tokens), (FinishReason::Stop, 2));
    assert_eq!((cluster.in_flight(), cluster.unit_figures(UnitId(0)).held), (0, 0));
}

/// A cluster of one prefill and one decode unit with a transfer under way.
fn in_transfer() -> (Cluster, Outbox, Transfer) {
    let mut cluster =
        Cluster::new(ClusterConfig { prefix_cache: false, ..config() }, split("1P1D")).expect("a cluster");
    let (mut out, mut plan) = (Outbox::default(), StepPlan::new());
    cluster.arrive(Nanos(0), request(1, 8, 5), &mut out).expect("accepted");
    assert!(cluster.start_step(Nanos(0), UnitId(0), 1, &mut plan));
    cluster.advance(Nanos(1), UnitId(0), 1, StepReport::default(), &mut out);
    let transfer = out.transfers.pop().expect("a transfer");
    (cluster, out, transfer)
}

fn held(cluster: &Cluster) -> [u32; 2] {
    [0, 1].map(|unit| cluster.unit_figures(UnitId(unit)).held)
}

#[test]
fn a_cancelled_transfer_holds_its_blocks_on_both_sides_until_it_is_acknowledged() {
    let (mut cluster, mut out, transfer) = in_transfer();
    cluster.cancel(Nanos(2), RequestId(1), &mut out);
    assert_eq!((out.finished[0].reason, &out.aborted), (FinishReason::Cancelled, &vec![transfer.id]));
    assert_eq!((held(&cluster), cluster.check()), ([2, 2], Ok(())));
    cluster.transfer_done(Nanos(3), transfer.id, &mut out);
    assert_eq!((held(&cluster), cluster.check()), ([0, 0], Ok(())));
}

#[test]
fn a_cancelled_sequence_holds_its_blocks_until_the_step_that_uses_them_has_ended() {
    let mut cluster = Cluster::new(ClusterConfig { prefix_cache: false, ..config() }, split("1A")).expect("a cluster");
    let (mut out, mut plan) = (Outbox::default(), StepPlan::new());
    cluster.arrive(Nanos(0), request(1, 8, 5), &mut out).expect("accepted");
    assert!(cluster.start_step(Nanos(0), UnitId(0), 1, &mut plan));
    cluster.cancel(Nanos(1), RequestId(1), &mut out);
    assert_eq!((out.finished.len(), cluster.in_flight(), cluster.unit_figures(UnitId(0)).held), (1, 0, 2));
    cluster.advance(Nanos(2), UnitId(0), 1, StepReport::default(), &mut out);
    assert_eq!((cluster.unit_figures(UnitId(0)).held, out.emissions.len()), (0, 0));
}
