use engine::cluster::UnitState;
use engine::units::{Role, UnitId};

use super::*;
use crate::live::{Percentiles, TtftStages};
use crate::measure::{MeanStages, StageTimes};
use crate::sample::testing::{failed, unanswered};
use crate::sample::{Failure, FailureKind, Outcome};
use crate::time::Micros;

/// What a scenario is made of; the rest is a quiet 2P2D.
#[derive(Clone)]
struct Scene {
    units: Vec<UnitView>,
    recent: Recent,
    slo: Option<Slo>,
    in_flight: u64,
}

fn unit(role: Role) -> UnitView {
    UnitView {
        unit: UnitId(0),
        role,
        state: UnitState::Serving,
        in_state: Micros::ZERO,
        measured: true,
        busy: 0.5,
        queue: 0,
        running: 4,
        handing_off: 0,
        kv_used: 0.2,
        kv_cached: 0.0,
        input_tps: 0.0,
        output_tps: 0.0,
    }
}

fn units(roles: &str, change: impl Fn(&mut UnitView)) -> Vec<UnitView> {
    let role = |letter| match letter {
        'P' => Role::Prefill,
        'D' => Role::Decode,
        _ => Role::Aggregated,
    };
    roles
        .chars()
        .map(role)
        .map(|role| {
            let mut unit = unit(role);
            change(&mut unit);
            unit
        })
        .collect()
}

/// Stages in milliseconds.
fn mean(stages: &[(Stage, u64)]) -> MeanStages {
    let times = StageTimes::from_stages(stages.iter().map(|(stage, ms)| (*stage, Micros(ms * 1000))));
    MeanStages { requests: 9, times }
}

fn quiet() -> Scene {
    let p95 = |ms: u64| Percentiles { p50: Some(Micros(ms * 900)), p95: Some(Micros(ms * 1000)), p99: None };
    let stages = Some(mean(&[(Stage::Queue, 10), (Stage::Prefill, 180), (Stage::HandOff, 20)]));
    Scene {
        units: units("PPDD", |_| {}),
        recent: Recent {
            window: Micros(10_000_000),
            completed: 60,
            ttft: p95(212),
            tpot: p95(12),
            output_tps: 400.0,
            output_before_tps: Some(390.0),
            stages: TtftStages { all: stages, p50: stages, p95: stages, p99: stages },
            ..Recent::default()
        },
        slo: Some(Slo { ttft: Some(Micros(400_000)), tpot: Some(Micros(25_000)), ..Slo::default() }),
        in_flight: 20,
    }
}

impl Scene {
    fn ttft(mut self, ms: u64, stages: &[(Stage, u64)]) -> Self {
        self.recent.ttft.p95 = Some(Micros(ms * 1000));
        let stages = Some(mean(stages));
        self.recent.stages = TtftStages { all: stages, p50: stages, p95: stages, p99: stages };
        self
    }

    fn tpot(mut self, ms: u64) -> Self {
        self.recent.tpot.p95 = Some(Micros(ms * 1000));
        self
    }

    fn units(mut self, roles: &str, change: impl Fn(&mut UnitView)) -> Self {
        self.units = units(roles, change);
        self
    }

    fn without_slo(self) -> Self {
        Self { slo: None, ..self }
    }

    fn diagnose(&self) -> Diagnosis {
        diagnose(&self.units, &self.recent, self.slo, self.in_flight)
    }

    fn says(&self) -> String {
        self.diagnose().words().to_string()
    }
}

/// What fails stands in the place of a finding that nothing limits, and beside one that something does.
#[test]
fn that_requests_fail_is_found_where_the_latencies_of_those_that_complete_say_nothing() {
    let mut failing = quiet();
    for index in 0..20 {
        let outcome = if index % 5 < 3 { failed() } else { Outcome::Cut };
        failing.recent.failures.count(&unanswered(index, 0, 10, outcome));
    }
    assert_eq!(failing.says(), "requests fail: 20 of 80 failed in 10 s: 12 status, 8 cut");
    let mut early = failing.clone();
    early.recent.completed = 0;
    assert_eq!(early.says(), "requests fail: 20 of 20 failed in 10 s: 12 status, 8 cut");
    let slow = [(Stage::Queue, 700), (Stage::Prefill, 180)];
    assert_eq!(failing.ttft(900, &slow).diagnose().limit, Limit::Prefill);
    let mut short = quiet();
    let unsent = Failure { kind: FailureKind::Client, message: "Too many open files".to_owned() };
    for index in 0..20 {
        short.recent.failures.count(&unanswered(index, 0, 10, Outcome::Failed(unsent.clone())));
    }
    assert_eq!(
        short.says(),
        "client-bound: 20 of 80 failed in 10 s: 20 client; a higher `ulimit -n` here, or more machines to send from"
    );
    let mut lucky = quiet();
    lucky.recent.failures.count(&unanswered(0, 0, 10, failed()));
    lucky.recent.failures.count(&unanswered(1, 0, 10, Outcome::Cut));
    assert_eq!(lucky.diagnose().limit, Limit::Nothing, "two are no finding");
}

fn queueing(unit: &mut UnitView) {
    if unit.role.can_prefill() {
        (unit.busy, unit.queue) = (0.99, 7);
    }
}

const QUEUE: &[(Stage, u64)] = &[(Stage::Queue, 2_430), (Stage::Prefill, 500), (Stage::HandOff, 70)];

#[test]
fn a_quiet_cluster_is_balanced() {
    assert_eq!(quiet().says(), "balanced: TTFT p95 at 53 % of its bound, TPOT p95 at 48 % of its bound");
    assert_eq!(quiet().without_slo().says(), "balanced: nothing piles up; no bound to judge latencies by");
    let mut half = quiet();
    half.slo = Some(Slo { tpot: Some(Micros(25_000)), ..Slo::default() });
    assert_eq!(half.says(), "balanced: nothing piles up; TPOT p95 at 48 % of its bound");
}

#[test]
fn prompts_that_wait_are_prefill_bound_with_and_without_an_slo() {
    let scene = quiet().ttft(3_000, QUEUE).units("PDDD", queueing);
    let says = "prefill-bound: 81 % of p95 TTFT is prefill queue; decode KV 20 %, TPOT p95 at 48 % of its bound; \
                move a unit to prefill";
    assert_eq!(scene.says(), says);
    let says = "prefill-bound: 81 % of p95 TTFT is prefill queue; decode KV 20 %; move a unit to prefill";
    assert_eq!(scene.clone().without_slo().says(), says);
    assert_eq!(scene.diagnose().limit.side(), Some(Side::Prefill));
}

#[test]
fn prompts_that_share_a_saturated_unit_wait_inside_their_prefill() {
    let shared = quiet().ttft(900, &[(Stage::Queue, 100), (Stage::Prefill, 800)]).units("PDDD", queueing);
    assert!(shared.says().starts_with("prefill-bound: 89 % of p95 TTFT is prefill, on units that are 99 % busy"));
}

#[test]
fn a_unit_is_moved_only_from_a_side_that_can_spare_it() {
    let advice = |scene: Scene| scene.diagnose().advice;
    let slow = quiet().ttft(3_000, QUEUE);
    assert_eq!(advice(slow.clone().units("PPD", queueing)), Some(Advice::Add(Side::Prefill)));
    assert_eq!(advice(slow.clone().units("PDD", queueing).tpot(20)), Some(Advice::Add(Side::Prefill)));
    assert_eq!(advice(slow.units("PDD", queueing).tpot(10)), Some(Advice::Move(Side::Prefill)));
    let slow = quiet().tpot(40);
    assert_eq!(advice(slow.clone().units("PPPD", |_| {})), Some(Advice::Move(Side::Decode)));
    assert_eq!(advice(slow.clone().units("PPPD", |unit| unit.busy = 0.8)), Some(Advice::Add(Side::Decode)));
    assert_eq!(advice(slow.units("PD", |_| {})), Some(Advice::Add(Side::Decode)));
}

#[test]
fn tpot_over_its_bound_is_decode_bound_whatever_the_busy_share() {
    let busy = |unit: &mut UnitView| unit.busy = if unit.role == Role::Decode { 1.0 } else { 0.4 };
    assert_eq!(quiet().units("PPPD", busy).diagnose().limit, Limit::Nothing);
    let slow = quiet().units("PPPD", busy).tpot(40);
    assert_eq!(
        slow.says(),
        "decode-bound: TPOT p95 at 160 % of its bound; 4 sequences on 1 unit, prefill 40 % busy; move a unit to decode"
    );
}

#[test]
fn slow_steps_of_units_with_one_sequence_are_no_load_to_move() {
    let mut scene = quiet().tpot(29);
    scene.recent.output_tps = 45.0;
    assert_eq!(
        scene.says(),
        "step-bound: TPOT p95 at 116 % of its bound with one sequence a unit or less; \
         a smaller model or larger units, not more units"
    );
    let queued = scene.clone().ttft(3_000, QUEUE).units("PDDD", queueing);
    assert_eq!(
        queued.says(),
        "prefill-bound: 81 % of p95 TTFT is prefill queue; decode KV 20 %, TPOT p95 at 116 % of its bound; \
         move a unit to prefill"
    );
    let both = scene.units("AAAA", |_| {});
    assert_eq!(both.diagnose().limit, Limit::Decode, "prompts may be what slows the steps of units that do both");
}

#[test]
fn without_a_bound_decode_limits_when_more_sequences_give_no_more_tokens() {
    let writing = |unit: &mut UnitView| {
        if unit.role == Role::Decode {
            (unit.busy, unit.running) = (1.0, 46);
        }
    };
    let mut scene = quiet().units("PPPD", writing).without_slo();
    scene.in_flight = 50;
    scene.recent.growth = 30;
    assert_eq!(
        scene.says(),
        "decode-bound: 30 more in flight than 10 s ago, and no more than the 390 tokens/s of then; \
         46 sequences on 1 unit, prefill 50 % busy; move a unit to decode"
    );
    scene.recent.output_before_tps = Some(250.0);
    assert_eq!(scene.diagnose().limit, Limit::Nothing, "output still grows: the run is getting under way");
    scene.recent.output_before_tps = Some(390.0);
    scene.recent.growth = 12;
    assert_eq!(scene.diagnose().limit, Limit::Nothing, "twelve more of 38 may be chance");
    scene.recent.growth = 30;
    scene.recent.completed = 2;
    assert_eq!(scene.diagnose().limit, Limit::Decode, "answers too slow to complete are slow");
}

#[test]
fn a_full_decode_side_is_named_before_the_prefill_queue_it_causes() {
    let full = |unit: &mut UnitView| match unit.role {
        Role::Prefill => (unit.busy, unit.queue, unit.handing_off) = (1.0, 9, 3),
        _ => unit.kv_used = 0.97,
    };
    let scene = quiet().ttft(3_000, &[(Stage::Queue, 1_800), (Stage::HandOffWait, 1_000), (Stage::Prefill, 200)]);
    assert_eq!(
        scene.clone().units("PD", full).says(),
        "hand-off-bound: 33 % of p95 TTFT is waiting for room to decode; decode KV 97 %; \
         no unit to spare: less load or more decode KV"
    );
    let few = |unit: &mut UnitView| {
        full(unit);
        unit.handing_off = unit.handing_off.min(1);
    };
    assert_eq!(scene.units("PD", few).diagnose().limit, Limit::HandOff, "by the stages, if not by the units now");
    let copying = |unit: &mut UnitView| (unit.handing_off, unit.kv_used) = (1, 0.9);
    assert_eq!(quiet().units("PPDD", copying).diagnose().limit, Limit::Nothing, "a copy under way waits for nothing");
}

#[test]
fn a_full_batch_is_a_full_decode_side_whatever_its_kv() {
    let waiting = |unit: &mut UnitView| {
        if unit.role == Role::Prefill {
            unit.handing_off = 20;
        } else {
            (unit.busy, unit.running, unit.kv_used) = (1.0, 64, 0.5);
        }
    };
    let mut scene = quiet().units("PPPD", waiting).without_slo();
    scene.recent.completed = 1;
    assert_eq!(
        scene.diagnose().limit,
        Limit::HandOff,
        "those that wait say so, even when answers are too long for many to complete"
    );
    let says = quiet().units("PPPD", waiting).tpot(90).says();
    let expected = "decode-bound: TPOT p95 at 360 % of its bound; 64 sequences on 1 unit, 60 wait for room, \
                    prefill 50 % busy; move a unit to decode";
    assert_eq!(says, expected);
    let some = |unit: &mut UnitView| {
        if unit.role == Role::Prefill {
            unit.handing_off = 2;
        } else {
            unit.running = 3;
        }
    };
    assert_eq!(quiet().units("PPDD", some).diagnose().limit, Limit::Nothing, "a few are being copied");
}

#[test]
fn both_sides_over_their_bounds_are_overloaded() {
    let scene = quiet().ttft(3_000, QUEUE).tpot(30).units("PPDD", queueing);
    assert_eq!(
        scene.says(),
        "overloaded: 81 % of p95 TTFT is prefill queue; TPOT p95 at 120 % of its bound; less load or more units"
    );
    assert_eq!(scene.diagnose().limit.side(), None);
}

#[test]
fn units_that_do_both_get_no_advice_to_move() {
    let scene = quiet().ttft(3_000, &[(Stage::Queue, 2_500), (Stage::Prefill, 500)]).units("AAAA", queueing);
    let says =
        "prefill-bound: 83 % of p95 TTFT is prefill queue, TPOT p95 at 48 % of its bound; less load or more units";
    assert_eq!(scene.says(), says);
    assert_eq!(scene.tpot(40).diagnose().limit, Limit::Both);
}

#[test]
fn long_stages_that_no_unit_helps_say_so() {
    let limit = |stages: &[(Stage, u64)]| quiet().ttft(900, stages).diagnose().limit;
    assert_eq!(limit(&[(Stage::Queue, 20), (Stage::Prefill, 800)]), Limit::Prompt);
    assert_eq!(limit(&[(Stage::Prefill, 200), (Stage::HandOff, 600)]), Limit::Link);
    assert_eq!(limit(&[(Stage::Prefill, 200), (Stage::HandOffWait, 600)]), Limit::HandOff);
    assert_eq!(limit(&[(Stage::WayIn, 300), (Stage::Prefill, 310), (Stage::WayBack, 300)]), Limit::Network);
    let prompt = quiet().ttft(900, &[(Stage::Prefill, 900)]).says();
    assert_eq!(
        prompt,
        "prompt-bound: 100 % of p95 TTFT is computing the prompt, which does not wait; \
         shorter prompts or more prefix hits, not more units"
    );
}

#[test]
fn a_late_client_is_named_before_anything_it_measures() {
    let late = quiet().ttft(900, &[(Stage::Lag, 500), (Stage::Queue, 400)]).units("PDDD", queueing);
    assert_eq!(
        late.says(),
        "client-bound: 56 % of p95 TTFT is the client's own lag; what it measures is itself; a faster client"
    );
    let quick = quiet().ttft(4, &[(Stage::Lag, 3), (Stage::Prefill, 1)]);
    assert_eq!(quick.diagnose().limit, Limit::Nothing, "a few milliseconds are no lag");
}

#[test]
fn a_target_that_tells_nothing_gets_no_guess() {
    let silent = |ttft| quiet().ttft(ttft, &[(Stage::Lag, 1), (Stage::Unknown, 800)]).units("", |_| {});
    assert_eq!(
        silent(900).says(),
        "cause unknown: TTFT p95 at 225 % of its bound, TPOT p95 at 48 % of its bound; this target tells no stage times"
    );
    assert_eq!(silent(300).diagnose().limit, Limit::Nothing);
    assert_eq!(silent(900).without_slo().diagnose().limit, Limit::Nothing);
    assert_eq!(silent(900).tpot(40).says(), "decode-bound: TPOT p95 at 160 % of its bound");
    let units_alone = silent(900).units("PPDD", queueing);
    let says = units_alone.says();
    assert!(says.starts_with("prefill-bound: 14 prompts queue, prefill 99 % busy"), "{says}");
}

#[test]
fn few_requests_say_nothing_unless_units_do() {
    let mut early = quiet().ttft(3_000, QUEUE);
    early.recent.completed = 3;
    assert_eq!(early.says(), "too early to tell: 3 of at least 5 completed in 10 s");
    early.recent.completed = 0;
    assert_eq!(early.says(), "too early to tell: 0 of at least 5 completed in 10 s");
    assert_eq!(early.units("PDDD", queueing).diagnose().limit, Limit::Prefill);
    assert_eq!(Diagnosis::default().words().to_string(), "too early to tell: nothing has completed yet");
}

#[test]
fn units_that_are_shifting_do_not_count() {
    let mut scene = quiet();
    let mut moving = unit(Role::Prefill);
    queueing(&mut moving);
    moving.state = UnitState::Switching;
    scene.units.push(moving);
    let diagnosis = scene.diagnose();
    assert_eq!((diagnosis.limit, diagnosis.evidence.prefill.queue), (Limit::Nothing, 0));
}
