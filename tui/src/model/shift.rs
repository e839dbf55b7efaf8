//! The moves that the shift dialog offers: one unit from one role to another.

use engine::cluster::{How, UnitState, check_restart};
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
    /// How many units move; of more than one, `from` and `to` are the roles of the most.
    pub units: u16,
    /// Why it cannot be done.
    pub refused: Option<String>,
}

impl Move {
    /// What selects it.
    pub fn choice(&self) -> Choice {
        if self.units > 1 { Choice::There } else { Choice::Step(self.from, self.to) }
    }
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

/// What is selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// One unit from one role to another.
    Step(Role, Role),
    /// All units that it takes to get to the split that the dialog was opened for.
    There,
}

/// The shift dialog's own state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShiftDialog {
    /// The selected move: it stays selected while the list changes under it.
    pub selected: Choice,
    /// A split that takes more than one unit, if the dialog was opened for one.
    pub toward: Option<Split>,
    /// How the unit gets to its new role.
    pub how: How,
}

impl ShiftDialog {
    /// A dialog on the first possible move, one towards the limiting side if there is any.
    pub fn open(snapshot: &Snapshot) -> Self {
        let moves = steps(snapshot);
        let possible = |m: &&Move| m.refused.is_none();
        let selected = moves
            .iter()
            .filter(possible)
            .find(|m| bearing(snapshot, m) == Bearing::Towards)
            .or_else(|| moves.iter().find(possible))
            .or(moves.first())
            .map_or(Choice::Step(Role::Prefill, Role::Decode), |m| Choice::Step(m.from, m.to));
        Self { selected, toward: None, how: How::Drain }
    }

    /// A dialog on the way to `to`, which is one of the moves where one unit leads there.
    pub fn there(snapshot: &Snapshot, to: Split) -> Self {
        let step = steps(snapshot).into_iter().find(|m| m.result == to);
        match step {
            Some(step) => Self { selected: Choice::Step(step.from, step.to), toward: None, how: How::Drain },
            None => Self { selected: Choice::There, toward: Some(to), how: How::Drain },
        }
    }

    /// The moves that it offers: the one that it was opened for, then every step.
    pub fn moves(self, snapshot: &Snapshot) -> Vec<Move> {
        let there = self.toward.and_then(|to| whole(base(snapshot), to));
        let moves = there.into_iter().chain(steps(snapshot));
        moves.map(|of| if self.how == How::Restart { restarted(base(snapshot), of) } else { of }).collect()
    }

    /// The way that comes after this one.
    pub fn next_how(self, snapshot: &Snapshot) -> How {
        let offered = |how: &How| snapshot.abilities.ways.contains(*how);
        let behind = How::ALL.into_iter().cycle().skip_while(|how| *how != self.how).skip(1);
        behind.take(How::ALL.len()).find(offered).unwrap_or(self.how)
    }

    /// The place of the selected move among `moves`; the first when it is gone.
    pub fn position(self, moves: &[Move]) -> usize {
        moves.iter().position(|m| m.choice() == self.selected).unwrap_or(0)
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
fn steps(snapshot: &Snapshot) -> Vec<Move> {
    let now = base(snapshot);
    let pairs = ROLES.into_iter().flat_map(|from| ROLES.into_iter().map(move |to| (from, to)));
    let offered = |role: Role| role != Role::Aggregated || snapshot.abilities.aggregated;
    let mut moves: Vec<Move> = pairs
        .filter(|(from, to)| from != to && now.count(*from) > 0 && offered(*to))
        .map(|(from, to)| {
            let result = moved(now, from, to);
            let refused = result.check().err().map(|_| {
                let missing = if result.prefill == 0 && result.aggregated == 0 { "prefill" } else { "decode" };
                format!("would leave no unit that can {missing}")
            });
            Move { from, to, result, units: 1, refused }
        })
        .collect();
    moves.sort_by_key(|m| m.from == Role::Aggregated || m.to == Role::Aggregated);
    moves
}

/// The same move by units that restart: while one is down, others have to prefill and decode.
fn restarted(now: Split, of: Move) -> Move {
    let missing = check_restart(now, of.result).err();
    let gap = missing.map(|missing| format!("would leave no unit that can {missing} while one is down"));
    Move { refused: of.refused.or(gap), ..of }
}

/// The move to `to`, where it takes more than one unit.
fn whole(now: Split, to: Split) -> Option<Move> {
    let units = loadgen::whatif::moves(now, to);
    let lost = |role: &Role| i32::from(now.count(*role)) - i32::from(to.count(*role));
    let from = ROLES.into_iter().max_by_key(lost)?;
    let into = ROLES.into_iter().min_by_key(lost)?;
    let refused = (to.units() != now.units()).then(|| format!("has {} units, there are {}", to.units(), now.units()));
    (units > 1).then_some(Move { from, to: into, result: to, units, refused })
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
