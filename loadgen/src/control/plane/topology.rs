//! What a control plane tells of its units.

use std::collections::BTreeMap;

use engine::units::{Role, Split};

use super::trouble::Trouble;

/// Members that an account names; of more it says how many.
const NAMED: usize = 4;

/// What a unit's replica or worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// On its way up: scheduled, loading, warming up, or not seen healthy yet.
    Starting,
    /// Takes requests.
    Serving,
    /// Takes no new requests and ends what it holds.
    Stopping,
    /// Runs, and was taken out of service: nothing sends requests to it.
    Out,
}

/// A replica, a worker or a pod that has a role.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// What the control plane calls it; never reused for another.
    pub name: String,
    /// Its role; of one that is out, that which it says it has.
    pub role: Role,
    /// What it does.
    pub state: MemberState,
    /// How many GPUs it spans, where that is told.
    pub gpus: Option<u32>,
}

impl Member {
    /// One of which nobody tells how many GPUs it spans.
    pub fn new(name: impl Into<String>, role: Role, state: MemberState) -> Self {
        Self { name: name.into(), role, state, gpus: None }
    }

    /// The same, spanning so many GPUs.
    #[must_use]
    pub fn spanning(self, gpus: Option<u32>) -> Self {
        Self { gpus, ..self }
    }
}

/// What a control plane tells of its units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// Everything that has a role, on its way up and down included.
    pub members: Vec<Member>,
    /// How many units of each role it works towards, where it tells.
    pub wanted: Option<Split>,
    /// A number that grows whenever somebody tells the control plane something else, where it has one.
    pub generation: Option<u64>,
    /// Who else decides how many units there are, such as an autoscaler, where that can be known.
    pub rival: Option<String>,
    /// Why nothing more will come of what it was last asked for, where it says so, and of whom.
    pub troubles: Vec<Trouble>,
    /// What answers to requests call a member, by which its name is found, where that is not its name itself.
    pub called: BTreeMap<String, String>,
}

impl Topology {
    /// The member of that name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }

    fn of(&self, role: Role, state: MemberState) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(move |member| member.role == role && member.state == state)
    }

    /// How many members of `role` are in `state`.
    pub fn count(&self, role: Role, state: MemberState) -> usize {
        self.of(role, state).count()
    }

    /// The units that serve.
    pub fn serving(&self) -> Split {
        let serving = self.members.iter().filter(|member| member.state == MemberState::Serving);
        Split::of(serving.map(|member| member.role))
    }

    /// Whether `split` serves, and nothing is on its way up or down. What was left out of service does not count.
    pub fn is(&self, split: Split) -> bool {
        let rests = |member: &Member| matches!(member.state, MemberState::Serving | MemberState::Out);
        self.serving() == split && self.members.iter().all(rests)
    }

    /// The number of GPUs that every unit of `role` spans; `None` where it is not told, or not the same for all.
    pub fn gpus_each(&self, role: Role) -> Option<u32> {
        let mut each = self.members.iter().filter(|member| member.role == role).map(|member| member.gpus);
        let first = each.next()??;
        each.all(|gpus| gpus == Some(first)).then_some(first)
    }

    /// Whoever else decides on the units, as it is told of.
    pub fn others(&self) -> &str {
        self.rival.as_deref().unwrap_or("an autoscaler, or another operator")
    }

    /// A plain account of what is there, such as `prefill 1 serving, 1 stopping (b); decode 2 serving`.
    pub fn account(&self) -> String {
        let of_role = |role| {
            let states = [
                (MemberState::Serving, "serving"),
                (MemberState::Starting, "starting"),
                (MemberState::Stopping, "stopping"),
                (MemberState::Out, "out of service"),
            ];
            let told = states.map(|(state, word)| (self.count(role, state), word, self.named(role, state)));
            let said: Vec<_> = told
                .iter()
                .filter(|(count, ..)| *count > 0)
                .map(|(count, word, named)| format!("{count} {word}{named}"))
                .collect();
            (!said.is_empty()).then(|| format!("{role} {}", said.join(", ")))
        };
        let roles = [Role::Prefill, Role::Decode, Role::Aggregated];
        let said: Vec<_> = roles.into_iter().filter_map(of_role).collect();
        if said.is_empty() { "no unit at all".to_owned() } else { said.join("; ") }
    }

    /// The names of those that do not serve, which an operator may have to look after.
    fn named(&self, role: Role, state: MemberState) -> String {
        if state == MemberState::Serving {
            return String::new();
        }
        let count = self.count(role, state);
        let names: Vec<_> = self.of(role, state).take(NAMED).map(|member| member.name.as_str()).collect();
        let more = count.saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!(" ({}{more})", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(members: &[(&str, Role, MemberState)]) -> Topology {
        let members = members.iter().map(|(name, role, state)| Member::new(*name, *role, *state)).collect();
        Topology { members, ..Topology::default() }
    }

    #[test]
    fn an_account_names_whoever_does_not_serve() {
        let (p, d) = (Role::Prefill, Role::Decode);
        let seen = topology(&[
            ("a", p, MemberState::Serving),
            ("b", p, MemberState::Stopping),
            ("c", d, MemberState::Starting),
            ("d", d, MemberState::Out),
        ]);
        assert_eq!(seen.account(), "prefill 1 serving, 1 stopping (b); decode 1 starting (c), 1 out of service (d)");
        let many: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(|name| (name, d, MemberState::Starting)).into();
        assert_eq!(topology(&many).account(), "decode 6 starting (a, b, c, d and 2 more)");
        assert_eq!(Topology::default().account(), "no unit at all");
    }

    #[test]
    fn what_is_out_of_service_is_no_part_of_the_split() {
        let mut seen =
            topology(&[("a", Role::Prefill, MemberState::Serving), ("b", Role::Decode, MemberState::Serving)]);
        let both = Split { prefill: 1, decode: 1, aggregated: 0 };
        assert!(seen.is(both));
        seen.members.push(Member::new("c", Role::Decode, MemberState::Out));
        assert!(seen.is(both), "{}", seen.account());
        seen.members[2].state = MemberState::Starting;
        assert!(!seen.is(both), "it is on its way");
    }

    #[test]
    fn a_role_has_a_size_where_all_its_units_have_the_same() {
        let mut seen =
            topology(&[("a", Role::Prefill, MemberState::Serving), ("b", Role::Prefill, MemberState::Serving)]);
        assert_eq!(seen.gpus_each(Role::Prefill), None);
        seen.members[0].gpus = Some(4);
        assert_eq!(seen.gpus_each(Role::Prefill), None, "of one it is not told");
        seen.members[1].gpus = Some(4);
        assert_eq!(seen.gpus_each(Role::Prefill), Some(4));
        seen.members[1].gpus = Some(8);
        assert_eq!(seen.gpus_each(Role::Prefill), None);
        assert_eq!(seen.gpus_each(Role::Decode), None, "there is none");
    }
}
