//! The units of the script.

use engine::cluster::UnitState;
use engine::units::{Role, UnitId};
use loadgen::live::UnitView;

use super::{Script, seconds};

/// A unit that serves, with figures that fit its role.
pub fn unit(id: u16, role: Role, busy: f64) -> UnitView {
    let decode = role.can_decode();
    UnitView {
        unit: UnitId(id),
        role,
        state: UnitState::Serving,
        in_state: seconds(90.0),
        measured: true,
        busy,
        queue: if role.can_prefill() { u32::from(id) + 2 } else { 0 },
        running: if decode { 12 + u32::from(id) } else { 1 },
        handing_off: u32::from(role == Role::Prefill),
        kv_used: if decode { 0.58 + f64::from(id) / 50.0 } else { 0.12 },
        kv_cached: 0.1,
        input_tps: if role.can_prefill() { 8_900.0 } else { 0.0 },
        output_tps: if decode { 860.0 } else { 15.0 },
    }
}

/// The units of a second: unit 1 drains, warms up and then serves prefill.
pub(super) fn at(script: &Script, second: u64) -> Vec<UnitView> {
    let since = script.since_turn(second);
    let moved = since.is_some();
    let role = if moved { Role::Prefill } else { Role::Decode };
    let mut units = vec![
        unit(0, Role::Prefill, if moved { 0.88 } else { 0.97 }),
        unit(1, role, if moved { 0.83 } else { 0.7 }),
        unit(2, Role::Decode, 0.71),
        unit(3, Role::Decode, 0.69),
    ];
    if !moved {
        units[0].queue = (second * 9 / script.turn.max(1)) as u32;
    }
    units[1].state = match (since, script.turn.saturating_sub(second)) {
        (None, left @ 1..=3) => UnitState::Draining { left: left as u32 * 4 },
        (Some(0), _) => UnitState::Warming,
        _ => UnitState::Serving,
    };
    units
}
