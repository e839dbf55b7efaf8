//! Which side limits the cluster, told from what its units hold and from the latencies that each side decides.
//!
//! A prefill unit is limiting when prompts queue: TTFT is its latency. A decode unit steps as long as it has one sequence,
//! so its busy share says nothing; it is limiting when TPOT nears its bound, or when sequences wait for room in its KV.
//! That room is looked at first, because sequences that wait for it hold blocks of prefill units and make prompts queue.

use engine::cluster::UnitState;
use engine::units::Role;

use crate::live::{Limiting, Recent, UnitView};
use crate::slo::Slo;
use crate::time::Micros;

/// Busy share above which a prefill unit counts as saturated.
const SATURATED: f64 = 0.9;
/// Share of KV blocks above which admission is likely to wait.
const KV_FULL: f64 = 0.85;
/// Share of its bound above which a latency counts as limiting.
const NEAR: f64 = 0.9;

/// The sums over the serving units of one side.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    units: u32,
    busy: f64,
    queue: u32,
    running: u32,
    handing_off: u32,
    kv_used: f64,
}

impl Side {
    fn of(units: &[UnitView], serves: impl Fn(Role) -> bool) -> Self {
        let serving = units.iter().filter(|unit| unit.state == UnitState::Serving && serves(unit.role));
        let mut side = serving.fold(Self::default(), |side, unit| Self {
            units: side.units + 1,
            busy: side.busy + unit.busy,
            queue: side.queue + unit.queue,
            running: side.running + unit.running,
            handing_off: side.handing_off + unit.handing_off,
            kv_used: side.kv_used + unit.kv_used,
        });
        let units = f64::from(side.units.max(1));
        side.busy /= units;
        side.kv_used /= units;
        side
    }
}

/// Names the limiting side of a cluster.
pub(super) fn limiting(units: &[UnitView], recent: &Recent, slo: Option<Slo>) -> Limiting {
    let prefill = Side::of(units, Role::can_prefill);
    let decode = Side::of(units, Role::can_decode);
    let percent = |share: f64| (share * 100.0).round();
    if prefill.handing_off > 0 && decode.kv_used > KV_FULL {
        let why = format!("decode KV {}% full, {} wait for hand-off", percent(decode.kv_used), prefill.handing_off);
        return Limiting { side: "kv", why };
    }
    let queues = prefill.queue >= prefill.units && prefill.busy > SATURATED;
    let ttft = ratio(recent.ttft.p95, slo.and_then(|slo| slo.ttft)).filter(|_| prefill.queue > 0);
    let tpot = ratio(recent.tpot.p95, slo.and_then(|slo| slo.tpot));
    let prefill_pressure = ttft.unwrap_or(0.0).max(if queues { 1.0 } else { 0.0 });
    let decode_pressure = tpot.unwrap_or(0.0);
    let side = if prefill_pressure.max(decode_pressure) < NEAR {
        "none"
    } else if prefill_pressure >= decode_pressure {
        "prefill"
    } else {
        "decode"
    };
    let of_bound = |name: &str, ratio: Option<f64>| {
        ratio.map_or(String::new(), |ratio| format!(", {name} p95 at {}% of its bound", percent(ratio)))
    };
    let why = match side {
        "decode" => format!("{} sequences on {} units{}", decode.running, decode.units, of_bound("TPOT", tpot)),
        _ => format!(
            "{} prompts queue, prefill {}% busy{}",
            prefill.queue,
            percent(prefill.busy),
            of_bound("TTFT", ttft)
        ),
    };
    Limiting { side, why }
}

fn ratio(value: Option<Micros>, bound: Option<Micros>) -> Option<f64> {
    let (value, bound) = value.zip(bound)?;
    Some(value.as_secs_f64() / bound.as_secs_f64().max(f64::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use engine::units::UnitId;

    use super::*;
    use crate::live::Percentiles;

    fn unit(role: Role, busy: f64, queue: u32, handing_off: u32, kv_used: f64) -> UnitView {
        UnitView {
            unit: UnitId(0),
            role,
            state: UnitState::Serving,
            in_state: Micros::ZERO,
            busy,
            queue,
            running: 1,
            handing_off,
            kv_used,
            kv_cached: 0.0,
            input_tps: 0.0,
            output_tps: 0.0,
        }
    }

    fn recent(ttft_ms: u64, tpot_ms: u64) -> Recent {
        let p95 = |ms: u64| Percentiles { p95: Some(Micros(ms * 1000)), ..Percentiles::default() };
        Recent { ttft: p95(ttft_ms), tpot: p95(tpot_ms), ..Recent::default() }
    }

    fn side(units: &[UnitView], recent: &Recent) -> &'static str {
        let slo = Slo { ttft: Some(Micros(1_000_000)), tpot: Some(Micros(50_000)), ..Slo::default() };
        limiting(units, recent, Some(slo)).side
    }

    #[test]
    fn a_full_decode_kv_is_named_before_the_prefill_queue_it_causes() {
        let units = [unit(Role::Prefill, 1.0, 9, 3, 0.9), unit(Role::Decode, 0.7, 0, 0, 0.97)];
        assert_eq!(side(&units, &recent(3000, 10)), "kv");
    }

    #[test]
    fn a_decode_unit_that_steps_all_the_time_does_not_limit_while_tpot_is_well() {
        let units = [unit(Role::Prefill, 0.5, 0, 0, 0.2), unit(Role::Decode, 1.0, 0, 0, 0.1)];
        assert_eq!(side(&units, &recent(100, 10)), "none");
        assert_eq!(side(&units, &recent(100, 60)), "decode");
    }

    #[test]
    fn prompts_that_queue_name_the_prefill_side_with_and_without_an_slo() {
        let units = [unit(Role::Prefill, 0.99, 5, 0, 0.2), unit(Role::Decode, 1.0, 0, 0, 0.1)];
        assert_eq!(side(&units, &recent(3000, 55)), "prefill", "TTFT is further over its bound than TPOT");
        assert_eq!(limiting(&units, &recent(3000, 55), None).side, "prefill");
    }

    #[test]
    fn units_that_are_shifting_do_not_count() {
        let mut moving = unit(Role::Prefill, 1.0, 9, 0, 1.0);
        moving.state = UnitState::Switching;
        let units = [moving, unit(Role::Prefill, 0.1, 0, 0, 0.0), unit(Role::Decode, 0.1, 0, 0, 0.0)];
        assert_eq!(side(&units, &recent(100, 10)), "none");
    }
}
