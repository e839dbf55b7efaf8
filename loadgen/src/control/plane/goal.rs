//! What must be seen before a call counts as done.

use engine::units::{Role, Split};

use super::{MemberState, Topology};

/// What must be seen before a call counts as done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// So many members of a role serve, and there are no others of that role.
    Count {
        /// The role.
        role: Role,
        /// How many.
        units: usize,
    },
    /// The units of a split serve, and there are no others.
    All(Split),
    /// A member takes no requests any more: it is not there, or out of service.
    Left {
        /// Which.
        name: String,
    },
    /// A member is out of service, and says that it has a role.
    Switched {
        /// Which.
        name: String,
        /// The role.
        role: Role,
    },
    /// A member, which was out of service before, serves in a role.
    Joined {
        /// Which.
        name: String,
        /// The role.
        role: Role,
    },
}

impl Goal {
    /// Whether it is so.
    pub fn is_met(&self, topology: &Topology) -> bool {
        let member = |name: &str| topology.member(name).map(|member| (member.role, member.state));
        match self {
            Self::All(split) => topology.is(*split),
            Self::Count { role, units } => {
                topology.count(*role, MemberState::Serving) == *units
                    && topology.members.iter().filter(|member| member.role == *role).count() == *units
            }
            Self::Left { name } => member(name).is_none_or(|(_, state)| state == MemberState::Out),
            Self::Switched { name, role } => member(name) == Some((*role, MemberState::Out)),
            Self::Joined { name, role } => member(name) == Some((*role, MemberState::Serving)),
        }
    }

    /// Whether what is seen says that the call was taken in, though it may not have come true yet; `None` for goals that do not
    /// tell: of counts, what is wanted does.
    pub fn is_taken_in(&self, topology: &Topology) -> Option<bool> {
        let member = |name: &str| topology.member(name).map(|member| (member.role, member.state));
        match self {
            Self::All(_) | Self::Count { .. } => None,
            Self::Left { name } => {
                Some(member(name).is_none_or(|(_, state)| matches!(state, MemberState::Stopping | MemberState::Out)))
            }
            // An engine that switches may tell nothing at all until it has: whoever called it has only to wait.
            Self::Switched { .. } => Some(true),
            Self::Joined { name, role } => Some(member(name).is_some_and(|(has, state)| {
                has == *role && matches!(state, MemberState::Starting | MemberState::Serving)
            })),
        }
    }

    /// Why it will not come true, where what is seen says so.
    pub fn refuted(&self, topology: &Topology) -> Option<String> {
        let Self::Joined { name, role } = self else { return None };
        let member = topology.member(name)?;
        let elsewhere = member.role != *role && matches!(member.state, MemberState::Starting | MemberState::Serving);
        elsewhere.then(|| format!("{name} came back as {}, and not as {role}", member.role))
    }

    /// Why what was taken in will not come true any more: whoever was on its way up is gone again. Nobody else need have done so.
    pub fn lost(&self, topology: &Topology) -> Option<String> {
        let Self::Joined { name, role } = self else { return None };
        let is_gone = topology.member(name).is_none_or(|member| member.state == MemberState::Out);
        is_gone.then(|| format!("{name} was on its way up as {role}, and is gone again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::plane::Member;

    fn seen(members: &[(&str, Role, MemberState)]) -> Topology {
        let members = members.iter().map(|(name, role, state)| Member::new(*name, *role, *state)).collect();
        Topology { members, ..Topology::default() }
    }

    const P: Role = Role::Prefill;
    const D: Role = Role::Decode;

    #[test]
    fn a_count_is_met_by_units_that_serve_and_by_no_others() {
        let goal = Goal::Count { role: P, units: 1 };
        let mut topology =
            seen(&[("a", P, MemberState::Serving), ("b", P, MemberState::Stopping), ("c", D, MemberState::Starting)]);
        assert!(!goal.is_met(&topology), "one still stops");
        topology.members.remove(1);
        assert!(goal.is_met(&topology));
        let both = Goal::All(Split { prefill: 1, decode: 1, aggregated: 0 });
        assert!(!both.is_met(&topology), "decode is on its way");
        topology.members[1].state = MemberState::Serving;
        assert!(both.is_met(&topology));
        assert_eq!((goal.is_taken_in(&topology), both.refuted(&topology)), (None, None));
    }

    #[test]
    fn a_member_leaves_switches_and_joins() {
        let (left, switched) = (Goal::Left { name: "a".into() }, Goal::Switched { name: "a".into(), role: P });
        let joined = Goal::Joined { name: "a".into(), role: P };
        // What is seen; whether each goal is taken in, and is met.
        for (at, state, expected) in [
            (D, MemberState::Serving, [(false, false), (true, false), (false, false)]),
            (D, MemberState::Stopping, [(true, false), (true, false), (false, false)]),
            (D, MemberState::Out, [(true, true), (true, false), (false, false)]),
            (P, MemberState::Out, [(true, true), (true, true), (false, false)]),
            (P, MemberState::Starting, [(false, false), (true, false), (true, false)]),
            (P, MemberState::Serving, [(false, false), (true, false), (true, true)]),
        ] {
            let topology = seen(&[("a", at, state)]);
            let found = [&left, &switched, &joined]
                .map(|goal| (goal.is_taken_in(&topology).expect("it tells"), goal.is_met(&topology)));
            assert_eq!(found, expected, "{at} {state:?}");
        }
        assert!(left.is_met(&seen(&[])) && !switched.is_met(&seen(&[])) && !joined.is_met(&seen(&[])));
    }

    #[test]
    fn whoever_comes_back_as_something_else_is_found_out() {
        let joined = Goal::Joined { name: "a".into(), role: P };
        let why = "a came back as aggregated, and not as prefill";
        assert_eq!(joined.refuted(&seen(&[("a", Role::Aggregated, MemberState::Starting)])).as_deref(), Some(why));
        for waits in [("a", D, MemberState::Out), ("a", D, MemberState::Stopping), ("a", P, MemberState::Starting)] {
            assert_eq!(joined.refuted(&seen(&[waits])), None, "{waits:?}");
        }
    }

    #[test]
    fn whoever_is_on_its_way_up_and_gone_again_is_lost_and_a_count_never_is() {
        let joined = Goal::Joined { name: "a".into(), role: P };
        let why = "a was on its way up as prefill, and is gone again";
        for gone in [seen(&[]), seen(&[("a", P, MemberState::Out)])] {
            assert_eq!(joined.lost(&gone).as_deref(), Some(why), "{}", gone.account());
            assert_eq!(Goal::Count { role: P, units: 1 }.lost(&gone), None);
        }
        assert_eq!(joined.lost(&seen(&[("a", P, MemberState::Stopping)])), None, "somebody has told it so");
    }
}
