//! The way from one split to another, one role after the other.

use engine::units::{Role, Split};

/// The number of units of one role changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) role: Role,
    pub(super) before: Split,
    pub(super) after: Split,
}

impl Leg {
    /// Whether units go.
    pub(super) fn frees(&self) -> bool {
        self.after.count(self.role) < self.before.count(self.role)
    }
}

/// The changes of prefill and decode that lead from one split to another. The role that has fewer units then comes first: what they
/// free may be all there is.
pub(super) fn legs(from: Split, to: Split) -> Vec<Leg> {
    let mut roles = [Role::Prefill, Role::Decode];
    roles.sort_by_key(|role| to.count(*role) > from.count(*role));
    let mut at = from;
    let mut legs = Vec::new();
    for role in roles {
        let before = at;
        match role {
            Role::Prefill => at.prefill = to.prefill,
            _ => at.decode = to.decode,
        }
        if at != before {
            legs.push(Leg { role, before, after: at });
        }
    }
    legs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_freed_comes_before_what_needs_it() {
        let split = |text: &str| text.parse::<Split>().expect("a split");
        let way = |to: &str| {
            let legs = legs(split("2P2D"), split(to));
            legs.iter().map(|leg| format!("{} {} {}", leg.before, leg.after, leg.frees())).collect::<Vec<_>>()
        };
        assert_eq!(way("3P1D"), ["2P2D 2P1D true", "2P1D 3P1D false"]);
        assert_eq!(way("1P3D"), ["2P2D 1P2D true", "1P2D 1P3D false"]);
        assert_eq!(way("1P1D"), ["2P2D 1P2D true", "1P2D 1P1D true"]);
        assert_eq!(way("2P3D"), ["2P2D 2P3D false"]);
        assert_eq!(way("2P2D"), [""; 0]);
    }
}
