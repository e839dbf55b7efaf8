//! Which side limits the cluster, told from what its units hold.
//!
//! The order of the rules is the order of causes: sequences that wait for decode KV hold blocks of prefill units, so a
//! full decode side also makes prefill queues grow; it is named first.

use engine::cluster::UnitState;
use engine::units::Role;

use crate::live::{Limiting, UnitView};

/// Busy share above which a side counts as saturated.
const SATURATED: f64 = 0.9;
/// Share of KV blocks above which admission is likely to wait.
const KV_FULL: f64 = 0.85;

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
pub(super) fn limiting(units: &[UnitView]) -> Limiting {
    let prefill = Side::of(units, Role::can_prefill);
    let decode = Side::of(units, Role::can_decode);
    let percent = |share: f64| (share * 100.0).round();
    if prefill.handing_off > 0 && decode.kv_used > KV_FULL {
        return Limiting {
            side: "kv",
            why: format!("decode KV {}% full, {} wait for hand-off", percent(decode.kv_used), prefill.handing_off),
        };
    }
    let queue_per_unit = f64::from(prefill.queue) / f64::from(prefill.units.max(1));
    if queue_per_unit >= 1.0 && prefill.busy >= decode.busy.min(SATURATED) {
        return Limiting {
            side: "prefill",
            why: format!("{} prompts queue, prefill {}% busy, decode {}%", prefill.queue, percent(prefill.busy), percent(decode.busy)),
        };
    }
    if decode.busy > SATURATED && decode.busy >= prefill.busy {
        return Limiting {
            side: "decode",
            why: format!("decode {}% busy with {} sequences, prefill {}%", percent(decode.busy), decode.running, percent(prefill.busy)),
        };
    }
    if prefill.busy > SATURATED {
        return Limiting {
            side: "prefill",
            why: format!("prefill {}% busy, decode {}%", percent(prefill.busy), percent(decode.busy)),
        };
    }
    Limiting {
        side: "none",
        why: format!("prefill {}% busy, decode {}%, queue {}", percent(prefill.busy), percent(decode.busy), prefill.queue),
    }
}

#[cfg(test)]
mod tests {
    use engine::units::UnitId;

    use super::*;
    use crate::time::Micros;

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

    #[test]
    fn a_full_decode_kv_is_named_before_the_prefill_queue_it_causes() {
        let units = [unit(Role::Prefill, 1.0, 9, 3, 0.9), unit(Role::Decode, 0.7, 0, 0, 0.97)];
        assert_eq!(limiting(&units).side, "kv");
    }

    #[test]
    fn the_saturated_side_is_named() {
        let prefill_bound = [unit(Role::Prefill, 0.99, 5, 0, 0.2), unit(Role::Decode, 0.4, 0, 0, 0.1)];
        assert_eq!(limiting(&prefill_bound).side, "prefill");
        let decode_bound = [unit(Role::Prefill, 0.3, 0, 0, 0.2), unit(Role::Decode, 0.97, 0, 0, 0.4)];
        assert_eq!(limiting(&decode_bound).side, "decode");
        let idle = [unit(Role::Prefill, 0.3, 0, 0, 0.2), unit(Role::Decode, 0.2, 0, 0, 0.4)];
        assert_eq!(limiting(&idle).side, "none");
    }

    #[test]
    fn units_that_are_shifting_do_not_count() {
        let mut moving = unit(Role::Decode, 1.0, 0, 0, 1.0);
        moving.state = UnitState::Switching;
        assert_eq!(limiting(&[unit(Role::Prefill, 0.1, 0, 0, 0.0), moving]).side, "none");
    }
}
