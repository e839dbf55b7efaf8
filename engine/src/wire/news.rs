//! What happens to units and shifts.

use super::shift::{how, read_how, read_split, split};
use super::topology::{read_role, read_state, read_unit_id, role, state};
use super::v1::watch_event::What;
use super::{Malformed, v1};
use crate::cluster::{Notice, ShiftId, ShiftReport};
use crate::drive::wall::EngineEvent;
use crate::units::Nanos;

/// An event for watchers; `None` for what is none of their business.
pub(crate) fn change(event: &EngineEvent) -> Option<v1::WatchEvent> {
    let (at, what) = match event {
        EngineEvent::Notice { at, notice } => (at, noticed(notice)?),
        EngineEvent::ShiftDropped { at, id, to, how: by, why } => {
            let dropped = v1::ShiftDropped { ticket: id.0, to: Some(split(*to)), how: how(*by), why: why.clone() };
            (at, What::ShiftDropped(dropped))
        }
        EngineEvent::UnitLost { at, unit, why } => {
            (at, What::UnitLost(v1::UnitLost { unit: unit.0.into(), why: why.clone() }))
        }
        EngineEvent::Token { .. } | EngineEvent::Finished { .. } | EngineEvent::Refused { .. } => return None,
    };
    Some(v1::WatchEvent { at_ns: at.0, what: Some(what) })
}

fn noticed(notice: &Notice) -> Option<What> {
    Some(match notice {
        Notice::Unit { unit, role: has, state: is, held } => {
            let (state, left) = state(*is);
            let unit = unit.0.into();
            What::UnitChanged(v1::UnitChanged { unit, role: role(*has), state, left, held: *held })
        }
        Notice::ShiftStarted { id, to, how: by } => {
            What::ShiftStarted(v1::ShiftStarted { ticket: id.0, to: Some(split(*to)), how: how(*by) })
        }
        Notice::ShiftEnded(report) => What::ShiftEnded(v1::ShiftEnded {
            ticket: report.id.0,
            from: Some(split(report.from)),
            to: Some(split(report.to)),
            how: how(report.how),
            started_ns: report.accepted.0,
            drain_ns: report.drain.0,
            total_ns: report.total.0,
            in_flight: report.in_flight,
            abandoned: report.abandoned.clone(),
        }),
        Notice::Preempted { .. } => return None,
    })
}

/// The event in a message; `None` for one of a kind that is not known here, which a newer server may send.
pub(crate) fn read_change(at: u64, what: Option<What>) -> Result<Option<EngineEvent>, Malformed> {
    let at = Nanos(at);
    let Some(what) = what else { return Ok(None) };
    Ok(Some(match what {
        What::Topology(_) => return Err(Malformed("a second topology in one watch".to_owned())),
        What::UnitChanged(v1::UnitChanged { unit, role, state, left, held }) => {
            let (unit, role, state) = (read_unit_id(unit)?, read_role(role)?, read_state(state, left)?);
            EngineEvent::Notice { at, notice: Notice::Unit { unit, role, state, held } }
        }
        What::ShiftStarted(v1::ShiftStarted { ticket, to, how }) => {
            let (to, how) = (read_split(to, "to")?, read_how(how)?);
            EngineEvent::Notice { at, notice: Notice::ShiftStarted { id: ShiftId(ticket), to, how } }
        }
        What::ShiftEnded(ended) => {
            let report = ShiftReport {
                id: ShiftId(ended.ticket),
                from: read_split(ended.from, "from")?,
                to: read_split(ended.to, "to")?,
                how: read_how(ended.how)?,
                accepted: Nanos(ended.started_ns),
                drain: Nanos(ended.drain_ns),
                total: Nanos(ended.total_ns),
                in_flight: ended.in_flight,
                abandoned: ended.abandoned,
            };
            EngineEvent::Notice { at, notice: Notice::ShiftEnded(report) }
        }
        What::ShiftDropped(v1::ShiftDropped { ticket, to, how, why }) => {
            let (to, how) = (read_split(to, "to")?, read_how(how)?);
            EngineEvent::ShiftDropped { at, id: ShiftId(ticket), to, how, why }
        }
        What::UnitLost(v1::UnitLost { unit, why }) => EngineEvent::UnitLost { at, unit: read_unit_id(unit)?, why },
    }))
}
