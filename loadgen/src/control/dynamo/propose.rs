//! Which processes end and which start on the way from one split to another.

use engine::cluster::How;
use engine::units::{Role, Split};

use super::check;
use super::command::WorkerCommand;
use super::seats::{Seat, Seats};
use crate::control::plane::{Action, Goal, Plan, Step};

/// So many workers of a role shall run: others are started, or the last ones end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SetUnits {
    /// The role.
    pub role: Role,
    /// How many.
    pub units: usize,
}

/// Why no worker of `role` can be ended.
pub(super) fn not_ours(role: Role) -> String {
    format!("no {role} worker was started from here: those of others are not ended")
}

/// How to get to `to`: one unit at a time, of which the old process ends before the new one starts, so that its GPUs are free.
///
/// # Errors
/// One line: why it cannot be done, or shall not.
pub(super) fn propose(
    seats: &Seats,
    command: Option<&WorkerCommand>,
    to: Split,
    how: How,
) -> Result<Plan<SetUnits>, String> {
    check(to, how)?;
    let from = seats.topology().serving();
    let mut at = from;
    let mut steps = Vec::new();
    let mut ours = [Role::Prefill, Role::Decode].map(|role| seats.up(role).map(Seat::name).collect::<Vec<_>>());
    while at != to {
        let [fewer, more] = [|at: u16, to: u16| at > to, |at: u16, to: u16| at < to]
            .map(|is| [Role::Prefill, Role::Decode].into_iter().find(|role| is(at.count(*role), to.count(*role))));
        if let Some(role) = fewer {
            let ours = &mut ours[usize::from(role == Role::Decode)];
            let name = ours.pop().ok_or_else(|| not_ours(role))?;
            steps.push(step(role, &mut at, -1, format!("SIGTERM to {name}, which ends what it holds")));
        }
        if let Some(role) = more {
            let command = command.ok_or("nothing says how to start a worker: give --worker-command")?;
            steps.push(step(role, &mut at, 1, format!("start a {role} worker: {command}")));
        }
    }
    Ok(Plan { from, steps, moves: None, remarks: Vec::new() })
}

fn step(role: Role, at: &mut Split, by: i16, says: String) -> Step<SetUnits> {
    let before = at.count(role);
    let after = before.saturating_add_signed(by);
    match role {
        Role::Prefill => at.prefill = after,
        _ => at.decode = after,
    }
    let action = |units: u16, says: String| {
        let units = usize::from(units);
        Action { call: SetUnits { role, units }, says, goal: Goal::Count { role, units }, wants: None }
    };
    let undo = if by < 0 { format!("start a {role} worker again") } else { format!("end a {role} worker again") };
    Step { forth: action(after, says), back: Some(action(before, undo)) }
}
