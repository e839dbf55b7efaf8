//! The moves that the shift dialog offers: one unit from one role to another.

use engine::cluster::{How, UnitState};
use engine::units::{Role, Split};
use loadgen::diagnose::Side;
use loadgen::live::{Snapshot, UnitView};

const ROLES: [Role; 3] = [Role::Prefill, Role::Decode, Role::Aggregated];

/// One unit leaves a role for another. Which unit of the role moves is the cluster's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// The role it leaves.
    pub from: Role,
    /// The role it takes.
    pub to: Role,
    /// The split afterwards.
    pub result: Split,
    /// Why it cannot be done.
    pub refused: Option<String>,
}

/// What a move does for the side that limits the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearing {
    /// The limiting side gets a unit.
    Towards,
    /// The limiting side loses a unit.
    Away,
    /// Neither, or nothing limits.
    Neutral,
}

/// The shift dialog's own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShiftDialog {
    /// The roles of the selected move: it stays selected while the list changes under it.
    pub selected: (Role, Role),
    /// How the unit gets rid of what it holds.
    pub how: How,
}

impl ShiftDialog {
    /// A dialog on the first possible move, one towards the limiting side if there is any.
    pub fn open(snapshot: &Snapshot) -> Self {
        let moves = moves(snapshot);
        let possible = |m: &&Move| m.refused.is_none();
        let selected = moves
            .iter()
            .filter(possible)
            .find(|m| bearing(snapshot, m) == Bearing::Towards)
            .or_else(|| moves.iter().find(possible))
            .or(moves.first())
            .map_or((Role::Prefill, Role::Decode), |m| (m.from, m.to));
        Self { selected, how: How::Drain }
    }

    /// The place of the selected move among `moves`; the first when it is gone.
    pub fn position(self, moves: &[Move]) -> usize {
        moves.iter().position(|m| (m.from, m.to) == self.selected).unwrap_or(0)
    }
}

/// The split that a further shift starts from: where the waiting ones lead, else what serves now.
pub fn base(snapshot: &Snapshot) -> Split {
    let serving = || {
        let live = snapshot.units.iter().filter(|unit| unit.state != UnitState::Failed);
        let split = Split::of(live.map(|unit| unit.role));
        if split.units() == 0 { snapshot.split } else { split }
    };
    snapshot.shifts.last().map_or_else(serving, |shift| shift.to)
}

/// Every move of one unit, the impossible ones with their reason. Moves between prefill and decode come first.
pub fn moves(snapshot: &Snapshot) -> Vec<Move> {
    let now = base(snapshot);
    let pairs = ROLES.into_iter().flat_map(|from| ROLES.into_iter().map(move |to| (from, to)));
    let mut moves: Vec<Move> = pairs
        .filter(|(from, to)| from != to && now.count(*from) > 0)
        .map(|(from, to)| {
            let result = moved(now, from, to);
            let refused = result.check().err().map(|_| {
                let missing = if result.prefill == 0 && result.aggregated == 0 { "prefill" } else { "decode" };
                format!("would leave no unit that can {missing}")
            });
            Move { from, to, result, refused }
        })
        .collect();
    moves.sort_by_key(|m| m.from == Role::Aggregated || m.to == Role::Aggregated);
    moves
}

fn moved(now: Split, from: Role, to: Role) -> Split {
    let mut result = now;
    for (role, count) in [
        (Role::Prefill, &mut result.prefill),
        (Role::Decode, &mut result.decode),
        (Role::Aggregated, &mut result.aggregated),
    ] {
        if role == from {
            *count = count.saturating_sub(1);
        }
        if role == to {
            *count = count.saturating_add(1);
        }
    }
    result
}

/// What `m` does for the side that limits now.
pub fn bearing(snapshot: &Snapshot, m: &Move) -> Bearing {
    let helps = match snapshot.diagnosis.limit.side() {
        Some(Side::Prefill) => Role::can_prefill,
        Some(Side::Decode) => Role::can_decode,
        None => return Bearing::Neutral,
    };
    match (helps(m.from), helps(m.to)) {
        (false, true) => Bearing::Towards,
        (true, false) => Bearing::Away,
        _ => Bearing::Neutral,
    }
}

/// Requests that a unit would have to finish or hand over: running, waiting for their first chunk, and waiting for a hand-off.
pub fn held(unit: &UnitView) -> u32 {
    unit.running.saturating_add(unit.queue).saturating_add(unit.handing_off)
}
