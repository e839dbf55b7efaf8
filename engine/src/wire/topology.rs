//! The state of an engine.

use super::shift::{pending, read_pending, read_split, split};
use super::{Malformed, narrow, needed, v1};
use crate::cluster::{UnitFigures, UnitState};
use crate::drive::wall::{Observation, UnitObservation};
use crate::remote::{Limits, Topology};
use crate::units::{Nanos, Role, Split, UnitId};

pub(crate) fn topology(topology: &Topology) -> v1::Topology {
    let Topology { model, limits, observed } = topology;
    v1::Topology {
        model: model.clone(),
        limits: Some(v1::Limits {
            context_tokens: limits.context_tokens,
            kv_tokens: limits.kv_tokens,
            vocabulary: limits.vocabulary,
            block_tokens: observed.block_tokens,
        }),
        split: Some(split(observed.split)),
        units: observed.units.iter().map(unit).collect(),
        shift: observed.shift.as_ref().map(pending),
        waiting: observed.waiting_shifts.iter().map(pending).collect(),
        generation: observed.generation,
        now_ns: observed.at.0,
        in_flight: observed.in_flight as u64,
        prefix_queried: observed.prefix_queried,
        prefix_hit: observed.prefix_hit,
        stalled: observed.stalled as u32,
    }
}

pub(crate) fn read_topology(topology: v1::Topology) -> Result<Topology, Malformed> {
    let limits = needed(topology.limits, "limits")?;
    if topology.units.len() > usize::from(Split::MAX_UNITS) {
        let (units, most) = (topology.units.len(), Split::MAX_UNITS);
        return Err(Malformed(format!("`units` has {units} units, at most {most} are possible")));
    }
    let units: Vec<_> = topology.units.iter().map(read_unit).collect::<Result<_, _>>()?;
    let in_order = (0..).zip(&units).all(|(index, unit)| unit.unit == UnitId(index));
    if !in_order {
        return Err(Malformed("`units` are not numbered from 0 in order".to_owned()));
    }
    Ok(Topology {
        model: topology.model,
        limits: Limits {
            context_tokens: limits.context_tokens,
            kv_tokens: limits.kv_tokens,
            vocabulary: limits.vocabulary,
        },
        observed: Observation {
            at: Nanos(topology.now_ns),
            split: read_split(topology.split, "split")?,
            units,
            in_flight: topology.in_flight as usize,
            shift: topology.shift.as_ref().map(read_pending).transpose()?,
            waiting_shifts: topology.waiting.iter().map(read_pending).collect::<Result<_, _>>()?,
            generation: topology.generation,
            block_tokens: limits.block_tokens,
            prefix_queried: topology.prefix_queried,
            prefix_hit: topology.prefix_hit,
            stalled: topology.stalled as usize,
        },
    })
}

fn unit(unit: &UnitObservation) -> v1::Unit {
    let (state, left) = state(unit.figures.state);
    v1::Unit {
        unit: unit.unit.0.into(),
        role: role(unit.figures.role),
        state,
        left,
        since_ns: unit.figures.since.0,
        busy_ns: unit.busy.0,
        queue: unit.figures.queue,
        running: unit.figures.running,
        handing_off: unit.figures.handing_off,
        incoming: unit.figures.incoming,
        kv_blocks: unit.figures.blocks,
        kv_held: unit.figures.held,
        kv_cached: unit.figures.cached,
        input_tokens: unit.input_tokens,
        output_tokens: unit.output_tokens,
        imports: unit.imports,
        imported_blocks: unit.imported_blocks,
        import_time_ns: unit.import_time.0,
    }
}

fn read_unit(unit: &v1::Unit) -> Result<UnitObservation, Malformed> {
    Ok(UnitObservation {
        unit: read_unit_id(unit.unit)?,
        figures: UnitFigures {
            role: read_role(unit.role)?,
            state: read_state(unit.state, unit.left)?,
            since: Nanos(unit.since_ns),
            queue: unit.queue,
            running: unit.running,
            handing_off: unit.handing_off,
            incoming: unit.incoming,
            blocks: unit.kv_blocks,
            held: unit.kv_held,
            cached: unit.kv_cached,
        },
        busy: Nanos(unit.busy_ns),
        input_tokens: unit.input_tokens,
        output_tokens: unit.output_tokens,
        imports: unit.imports,
        imported_blocks: unit.imported_blocks,
        import_time: Nanos(unit.import_time_ns),
    })
}

pub(super) fn read_unit_id(unit: u32) -> Result<UnitId, Malformed> {
    let id = narrow(unit, "unit")?;
    if id >= Split::MAX_UNITS {
        return Err(Malformed(format!("`unit` is {id}, units are numbered from 0 to {}", Split::MAX_UNITS - 1)));
    }
    Ok(UnitId(id))
}

pub(super) fn role(role: Role) -> i32 {
    match role {
        Role::Prefill => v1::Role::Prefill,
        Role::Decode => v1::Role::Decode,
        Role::Aggregated => v1::Role::Aggregated,
    }
    .into()
}

pub(super) fn read_role(role: i32) -> Result<Role, Malformed> {
    match v1::Role::try_from(role) {
        Ok(v1::Role::Prefill) => Ok(Role::Prefill),
        Ok(v1::Role::Decode) => Ok(Role::Decode),
        Ok(v1::Role::Aggregated) => Ok(Role::Aggregated),
        Ok(v1::Role::Unspecified) | Err(_) => Err(Malformed(format!("`role` is {role}, which is none"))),
    }
}

/// A state, and how many sequences are to go.
pub(super) fn state(state: UnitState) -> (i32, u32) {
    let (state, left) = match state {
        UnitState::Serving => (v1::State::Serving, 0),
        UnitState::Draining { left } => (v1::State::Draining, left),
        UnitState::Switching => (v1::State::Switching, 0),
        UnitState::Warming => (v1::State::Warming, 0),
        UnitState::Failed => (v1::State::Failed, 0),
    };
    (state.into(), left)
}

pub(super) fn read_state(state: i32, left: u32) -> Result<UnitState, Malformed> {
    match v1::State::try_from(state) {
        Ok(v1::State::Serving) => Ok(UnitState::Serving),
        Ok(v1::State::Draining) => Ok(UnitState::Draining { left }),
        Ok(v1::State::Switching) => Ok(UnitState::Switching),
        Ok(v1::State::Warming) => Ok(UnitState::Warming),
        Ok(v1::State::Failed) => Ok(UnitState::Failed),
        Ok(v1::State::Unspecified) | Err(_) => Err(Malformed(format!("`state` is {state}, which is none"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(units: u32) -> v1::Topology {
        let unit = |unit| v1::Unit {
            unit,
            role: v1::Role::Aggregated.into(),
            state: v1::State::Serving.into(),
            ..v1::Unit::default()
        };
        v1::Topology {
            limits: Some(v1::Limits::default()),
            split: Some(v1::Split::default()),
            units: (0..units).map(unit).collect(),
            ..v1::Topology::default()
        }
    }

    #[test]
    fn units_are_as_many_as_there_may_be_and_numbered_in_order() {
        let most = u32::from(Split::MAX_UNITS);
        assert_eq!(read_topology(numbered(most)).map(|read| read.observed.units.len()), Ok(most as usize));
        // Beyond the numbers of all units, too.
        for units in [most + 1, 1 << 16, (1 << 16) + 1] {
            let Malformed(why) = read_topology(numbered(units)).expect_err("too many");
            assert!(why.contains(&format!("{units} units, at most 1024")), "{why}");
        }
        let mut gap = numbered(3);
        gap.units.remove(1);
        let Malformed(why) = read_topology(gap).expect_err("a gap");
        assert!(why.contains("not numbered from 0 in order"), "{why}");
        for unit in [most, u32::from(u16::MAX), u32::MAX] {
            assert!(read_unit_id(unit).is_err(), "{unit}");
        }
    }
}
