//! Schedules of synthetic loads: what a seed means, and what live changes of the rate do and do not move.
#![expect(clippy::expect_used, reason = "a helper of a test may fail it")]

use loadgen::arrival::{Arrival, RatePlan};
use loadgen::schedule::{LoadSpec, Planned, Schedule, Shape, ShapeError, Traffic};
use loadgen::time::Micros;
use loadgen::workload::{Lengths, Limits};
use proptest::prelude::*;

const LIMITS: Limits = Limits { context_tokens: 4_096, kv_tokens: 32_768 };

fn secs(seconds: u64) -> Micros {
    Micros(seconds * 1_000_000)
}

fn spec(arrival: Arrival, rate: &str, seed: u64) -> LoadSpec {
    let traffic = Traffic::Synthetic {
        arrival,
        rate: rate.parse().expect("a rate"),
        isl: "lognormal:300,0.7".parse().expect("isl"),
        osl: "uniform:10..90".parse().expect("osl"),
    };
    LoadSpec { seed, ..LoadSpec::new("test", traffic) }
}

fn schedule(spec: &LoadSpec) -> Schedule {
    Schedule::new(spec, LIMITS).expect("a schedule")
}

fn dues(spec: &LoadSpec) -> Vec<u64> {
    schedule(spec).map(|planned| planned.due.0).collect()
}

/// FNV-1a over every field of every request, in order.
fn digest(requests: impl Iterator<Item = Planned>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |value: u64| {
        for byte in value.to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    };
    for planned in requests {
        eat(planned.request.index);
        eat(planned.due.0);
        eat(u64::from(planned.request.input_tokens));
        eat(u64::from(planned.request.output_tokens));
        eat(u64::from(planned.request.clamped));
        for segment in &planned.request.segments {
            eat(segment.0);
            eat(u64::from(segment.1));
        }
    }
    hash
}

#[test]
fn a_seed_means_the_same_requests_for_ever() {
    let spec = LoadSpec { duration: Some(secs(240)), ..spec(Arrival::Poisson, "4/s 60s, 4..12/s 2m, 12/s 60s", 7) };
    assert_eq!(schedule(&spec).count(), GOLDEN.0);
    assert_eq!(digest(schedule(&spec)), GOLDEN.1);
    assert_ne!(digest(schedule(&LoadSpec { seed: 8, ..spec })), GOLDEN.1);
}

/// Requests and digest of that load under seed 7. When this changes, every seed in every recording has lost its meaning.
const GOLDEN: (usize, u64) = (1_932, 0xae2b_92ad_9ec9_4318);

#[test]
fn prompts_begin_alike_as_far_as_they_are_asked_to_and_are_otherwise_what_they_were() {
    let plain = LoadSpec { requests: Some(200), ..spec(Arrival::Poisson, "4", 7) };
    let shared = LoadSpec { prefix_hit: "0.3".parse().expect("a share"), ..plain.clone() };
    for (plain, shared) in schedule(&plain).zip(schedule(&shared)) {
        assert_eq!((plain.due, plain.request.input_tokens), (shared.due, shared.request.input_tokens));
        let tokens = f64::from(plain.request.input_tokens);
        let [first, own] = shared.request.segments[..] else { unreachable!("{shared:?}") };
        assert_eq!(f64::from(first.1).total_cmp(&(tokens * 0.3).round()), std::cmp::Ordering::Equal, "{shared:?}");
        assert_eq!((own.0, first.1 + own.1), (shared.request.index, shared.request.input_tokens));
        assert!(first.0 > 200, "{first:?} is no request's own");
    }
    let text = serde_json::to_string(&shared).expect("JSON");
    assert_eq!(serde_json::from_str::<LoadSpec>(&text).expect("a load"), shared);
    assert!(!serde_json::to_string(&plain).expect("JSON").contains("prefix_hit"));
}

#[test]
fn constant_arrivals_are_exactly_spaced() {
    let spec = LoadSpec { duration: Some(secs(60)), ..spec(Arrival::Constant, "4", 7) };
    let dues = dues(&spec);
    assert_eq!(dues, (0..240).map(|i| i * 250_000).collect::<Vec<_>>());
}

#[test]
fn a_run_ends_at_its_duration_or_its_requests_whichever_comes_first() {
    let base = spec(Arrival::Constant, "10", 7);
    let count = |duration, requests| dues(&LoadSpec { duration, requests, ..base.clone() }).len();
    assert_eq!(count(Some(secs(2)), None), 20);
    assert_eq!(count(Some(secs(2)), Some(7)), 7);
    assert_eq!(count(Some(secs(2)), Some(70)), 20);
    let mut by_requests = schedule(&LoadSpec { requests: Some(3), ..base.clone() });
    assert!(!by_requests.is_over(secs(100)));
    assert_eq!(by_requests.by_ref().count(), 3);
    assert!(by_requests.is_over(Micros::ZERO));
    let mut by_time = schedule(&LoadSpec { duration: Some(secs(2)), ..base });
    assert_eq!(by_time.by_ref().count(), 20);
    assert!(!by_time.is_over(Micros(1_999_999)) && by_time.is_over(secs(2)));
}

#[test]
fn phases_end_the_run_and_a_longer_duration_holds_the_last_rate() {
    let base = spec(Arrival::Constant, "10/s 2s, 20/s 1s", 7);
    assert_eq!(schedule(&base).end(), Some(secs(3)));
    assert_eq!(dues(&base).len(), 40);
    assert_eq!(dues(&LoadSpec { duration: Some(secs(4)), ..base.clone() }).len(), 60);
    assert_eq!(dues(&LoadSpec { duration: Some(secs(1)), ..base }).len(), 10);
}

#[test]
fn a_pause_sends_nothing_and_is_not_caught_up() {
    let mut schedule = schedule(&LoadSpec { duration: Some(secs(10)), ..spec(Arrival::Constant, "10", 7) });
    let before: Vec<_> =
        std::iter::from_fn(|| schedule.next_due().filter(|d| *d < secs(2)).and_then(|_| schedule.next())).collect();
    assert_eq!(before.len(), 20);
    schedule.pause(secs(2));
    assert!(schedule.is_paused() && !schedule.is_over(secs(3)));
    assert_eq!((schedule.next_due(), schedule.next(), schedule.rate().at(secs(3)).to_bits()), (None, None, 0));
    schedule.resume(secs(5));
    let after: Vec<_> = schedule.map(|planned| planned.due).collect();
    assert_eq!(after.first(), Some(&secs(5)));
    assert_eq!(after.len(), 50);
}

#[test]
fn a_client_that_is_late_at_the_end_still_has_to_send_what_was_due() {
    let mut schedule = schedule(&LoadSpec { duration: Some(secs(10)), ..spec(Arrival::Constant, "10", 7) });
    assert!(!schedule.is_over(secs(60)));
    assert_eq!(schedule.by_ref().count(), 100);
    assert!(schedule.is_over(secs(10)) && !schedule.is_over(secs(9)));
}

#[test]
fn a_rate_set_while_paused_is_that_of_the_load_to_come() {
    let mut schedule = schedule(&LoadSpec { duration: Some(secs(10)), ..spec(Arrival::Constant, "10", 7) });
    schedule.pause(secs(2));
    schedule.set_rate(secs(3), 4.0).expect("a rate");
    assert_eq!((schedule.rate().at(secs(3)).to_bits(), schedule.rate().planned_at(secs(3))), (0, 4.0));
    schedule.resume(secs(5));
    assert_eq!((schedule.rate().at(secs(6)), schedule.rate().planned_at(secs(6))), (4.0, 4.0));
}

#[test]
fn a_rate_that_is_none_is_refused() {
    let mut schedule = schedule(&spec(Arrival::Poisson, "4", 7));
    for rate in [-1.0, f64::NAN, f64::INFINITY, 1.1e6] {
        assert!(schedule.set_rate(secs(1), rate).is_err(), "{rate}");
    }
    assert!(schedule.set_rate(secs(1), 0.0).is_ok());
}

#[test]
fn another_shape_holds_for_the_next_request_and_leaves_its_instant() {
    let mut schedule = schedule(&spec(Arrival::Poisson, "10", 7));
    let before: Vec<Planned> = schedule.by_ref().take(5).collect();
    let due = schedule.next_due();
    let shape = Shape { arrival: Arrival::Constant, isl: Lengths::Fixed(33), osl: Lengths::Fixed(9) };
    schedule.reshape(shape).expect("it fits");
    assert_eq!(schedule.next_due(), due);
    let after: Vec<Planned> = schedule.by_ref().take(5).collect();
    assert_eq!(after[0].request.index, before[4].request.index + 1);
    assert!(after.iter().all(|planned| (planned.request.input_tokens, planned.request.output_tokens) == (33, 9)));
    let gaps: Vec<u64> = after.windows(2).map(|pair| pair[1].due.0 - pair[0].due.0).collect();
    assert!(gaps.iter().all(|gap| gap.abs_diff(100_000) <= 1), "{gaps:?}");
}

#[test]
fn a_shape_that_cannot_be_served_changes_nothing() {
    let spec = spec(Arrival::Poisson, "10", 7);
    let mut reshaped = schedule(&spec);
    let shape = Shape { arrival: Arrival::Constant, isl: Lengths::Fixed(1 << 30), osl: Lengths::Fixed(9) };
    assert!(matches!(reshaped.reshape(shape), Err(ShapeError::Lengths(_))));
    assert!(reshaped.take(50).eq(schedule(&spec).take(50)));
}

#[test]
fn a_load_reads_back_from_the_json_a_recording_keeps() {
    let spec = LoadSpec {
        duration: Some(secs(60)),
        slo: Some("ttft=400ms,tpot=25ms".parse().expect("an SLO")),
        shifts: "30s=1P3D:migrate".parse().expect("a script"),
        ..spec(Arrival::Poisson, "4/s 30s, 8/s 30s", 7)
    };
    let json = serde_json::to_string(&spec).expect("JSON");
    assert_eq!(
        json,
        r#"{"name":"test","traffic":{"synthetic":{"arrival":"poisson","rate":"4/s 30s, 8/s 30s","isl":"lognormal:300,0.7","osl":"uniform:10..90"}},"clamp":false,"seed":7,"duration_us":60000000,"requests":null,"warmup_us":0,"slo":"ttft=400ms,tpot=25ms","shifts":"30s=1P3D:migrate"}"#
    );
    assert_eq!(serde_json::from_str::<LoadSpec>(&json).expect("a load"), spec);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn counts_of_a_poisson_load_are_within_its_bounds(seed: u64, rate in 1.0..200.0_f64) {
        let mut spec = spec(Arrival::Poisson, "1", seed);
        if let Traffic::Synthetic { rate: plan, .. } = &mut spec.traffic {
            *plan = RatePlan::Constant(rate);
        }
        let expected = rate * 60.0;
        let count = dues(&LoadSpec { duration: Some(secs(60)), ..spec }).len() as f64;
        prop_assert!((count - expected).abs() < 6.0 * expected.sqrt(), "{count} of {expected}");
    }

    #[test]
    fn a_change_of_rate_moves_only_the_future_and_draws_nothing_anew(
        seed: u64, at in 0..30_000_000_u64, rate in 0.5..50.0_f64, poisson: bool,
    ) {
        let arrival = if poisson { Arrival::Poisson } else { Arrival::Constant };
        let spec = LoadSpec { requests: Some(300), ..spec(arrival, "10", seed) };
        let plain: Vec<_> = schedule(&spec).collect();
        let mut changed = schedule(&spec);
        let at = Micros(at);
        let mut requests: Vec<_> =
            std::iter::from_fn(|| changed.next_due().filter(|d| *d < at).and_then(|_| changed.next())).collect();
        changed.set_rate(at, rate).expect("a rate");
        prop_assert!((changed.rate().at(at) - rate).abs() < 1e-9);
        requests.extend(changed);
        prop_assert_eq!(requests.len(), plain.len());
        for (plain, changed) in plain.iter().zip(&requests) {
            if plain.due < at {
                prop_assert_eq!(plain, changed);
            } else {
                // The same request, only its distance from the change is scaled.
                prop_assert_eq!(&Planned { due: changed.due, ..plain.clone() }, changed);
                let expected = plain.due.since(at).as_secs_f64() * 10.0 / rate;
                let found = changed.due.since(at).as_secs_f64();
                prop_assert!(changed.due >= at && (found - expected).abs() < 2e-6 + 1e-5 / rate, "{found} {expected}");
            }
        }
    }

    #[test]
    fn requests_are_in_order_and_can_be_served(seed: u64) {
        let spec = LoadSpec { requests: Some(200), ..spec(Arrival::Poisson, "0..50/s 5s, 3/s 20s", seed) };
        let requests: Vec<_> = schedule(&spec).collect();
        prop_assert!(requests.windows(2).all(|w| w[0].due <= w[1].due && w[0].request.index + 1 == w[1].request.index));
        for planned in requests {
            prop_assert!(LIMITS.fit(planned.request.input_tokens, planned.request.output_tokens));
            prop_assert_eq!(planned.request.segments.iter().map(|s| s.1).sum::<u32>(), planned.request.input_tokens);
        }
    }
}
