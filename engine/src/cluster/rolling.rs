//! In which order units restart, so that those that are up can serve.
//!
//! A unit that is down neither prefills nor decodes, and comes back with what its new role can. Of the roles that lose units and
//! those that gain there are three together, so that moves are of two kinds at most. Those that take nothing away for good go
//! first: then every later one finds as many others as there will ever be. Where both kinds take something away (A to P and A to
//! D), which of them has to be the last depends on the split at the end, and both orders are tried.

use super::event::Side;
use crate::units::{Role, Split, UnitId};

/// A unit that is to change its role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) unit: UnitId,
    pub(crate) from: Role,
    pub(crate) to: Role,
}

/// Whether units can get from one split to another by restarting.
///
/// # Errors
/// What nobody could do at some moment, in whatever order they restart.
pub fn check_restart(from: Split, to: Split) -> Result<(), Side> {
    order(from, &turns(from, to)).map(|_| ())
}

/// The moves from one split to another, as many as needed; which units make them is left open.
fn turns(from: Split, to: Split) -> Vec<Turn> {
    const ROLES: [Role; 3] = [Role::Prefill, Role::Decode, Role::Aggregated];
    let surplus = |a: Split, b: Split| {
        let count = move |role| usize::from(a.count(role).saturating_sub(b.count(role)));
        ROLES.into_iter().flat_map(move |role| std::iter::repeat_n(role, count(role)))
    };
    let pairs = surplus(from, to).zip(surplus(to, from));
    (0..).zip(pairs).map(|(unit, (from, to))| Turn { unit: UnitId(unit), from, to }).collect()
}

/// An order in which the turns can be taken, each when all before it are over, without a moment at which nobody prefills or
/// nobody decodes. Where there is none, what nobody could do.
pub(crate) fn order(from: Split, turns: &[Turn]) -> Result<Vec<Turn>, Side> {
    let mut turns = turns.to_vec();
    turns.sort_by_key(|turn| loss(*turn));
    walk(from, &turns).or_else(|missing| {
        turns.reverse();
        turns.sort_by_key(|turn| loss(*turn));
        walk(from, &turns).map_err(|_| missing)
    })
}

/// What a turn takes away for good.
fn loss(turn: Turn) -> u8 {
    match (turn.from, turn.to) {
        (_, Role::Aggregated) => 0,
        (Role::Aggregated, _) => 2,
        _ => 1,
    }
}

/// Takes the first turn that can be taken, again and again.
fn walk(from: Split, turns: &[Turn]) -> Result<Vec<Turn>, Side> {
    let (mut rest, mut taken) = (turns.to_vec(), Vec::with_capacity(turns.len()));
    let mut now = Able { prefill: from.prefill + from.aggregated, decode: from.decode + from.aggregated };
    while !rest.is_empty() {
        let next = rest.iter().position(|turn| now.without(turn.from).missing().is_none());
        let Some(next) = next else {
            let missing = rest.iter().find_map(|turn| now.without(turn.from).missing());
            return Err(missing.unwrap_or(Side::Prefill));
        };
        let turn = rest.remove(next);
        now = now.without(turn.from).with(turn.to);
        taken.push(turn);
    }
    Ok(taken)
}

/// How many units can do what.
#[derive(Clone, Copy, Debug)]
struct Able {
    prefill: u16,
    decode: u16,
}

impl Able {
    fn without(self, role: Role) -> Self {
        Self {
            prefill: self.prefill.saturating_sub(u16::from(role.can_prefill())),
            decode: self.decode.saturating_sub(u16::from(role.can_decode())),
        }
    }

    fn with(self, role: Role) -> Self {
        Self {
            prefill: self.prefill + u16::from(role.can_prefill()),
            decode: self.decode + u16::from(role.can_decode()),
        }
    }

    /// What nobody can do.
    fn missing(self) -> Option<Side> {
        match (self.prefill, self.decode) {
            (0, _) => Some(Side::Prefill),
            (_, 0) => Some(Side::Decode),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether any order will do, by trying all.
    fn some_order(now: Able, rest: &[Turn]) -> bool {
        rest.is_empty()
            || (0..rest.len()).any(|next| {
                let (mut rest, down) = (rest.to_vec(), now.without(rest[next].from));
                let turn = rest.remove(next);
                down.missing().is_none() && some_order(down.with(turn.to), &rest)
            })
    }

    fn splits(units: u16) -> Vec<Split> {
        let all = (0..=units).flat_map(|prefill| (0..=units - prefill).map(move |decode| (prefill, decode)));
        let all = all.map(|(prefill, decode)| Split { prefill, decode, aggregated: units - prefill - decode });
        all.filter(|split| split.check().is_ok()).collect()
    }

    #[test]
    fn an_order_is_found_exactly_where_there_is_one_and_keeps_everybody_served() {
        for units in 1..=6 {
            for from in splits(units) {
                for to in splits(units) {
                    let turns = turns(from, to);
                    let able = Able { prefill: from.prefill + from.aggregated, decode: from.decode + from.aggregated };
                    let found = order(from, &turns);
                    assert_eq!(found.is_ok(), some_order(able, &turns), "{from} to {to}");
                    let Ok(found) = found else { continue };
                    assert_eq!(found.len(), turns.len());
                    let end = found.iter().fold(able, |now, turn| {
                        assert_eq!(now.without(turn.from).missing(), None, "{from} to {to}");
                        now.without(turn.from).with(turn.to)
                    });
                    assert_eq!(
                        (end.prefill, end.decode),
                        (to.prefill + to.aggregated, to.decode + to.aggregated),
                        "{from} to {to}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_last_of_a_kind_is_named() {
        let missing = |from: &str, to: &str| {
            let (from, to) = (from.parse().expect(from), to.parse().expect(to));
            check_restart(from, to).expect_err("nobody meanwhile")
        };
        assert_eq!(missing("1P1D", "2A"), Side::Prefill);
        assert_eq!(missing("1P1D", "1P1A"), Side::Decode);
        assert_eq!(missing("1P1A", "1P1D"), Side::Decode);
        assert_eq!(missing("2A", "1P1D"), Side::Decode);
    }
}
