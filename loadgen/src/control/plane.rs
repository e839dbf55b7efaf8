//! What pdtune asks of a control plane, whatever it is: to be observed, to propose a plan for a shift, and to take its calls.
//!
//! A call that was answered says nothing of what became of it: a 200 or a 202 has been seen to change nothing. What is so is
//! what an observation shows, so every call names what must be seen before it counts as done, and what undoes it.

use std::fmt::Debug;

use engine::cluster::How;
use engine::units::{Role, Split};

use crate::target::Abilities;

/// What a unit's replica or worker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// On its way up: scheduled, loading, warming up, or not seen healthy yet.
    Starting,
    /// Takes requests.
    Serving,
    /// Takes no new requests and ends what it holds.
    Stopping,
}

/// A replica, a worker or a pod that has a role.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// What the control plane calls it; never reused for another.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// What it does.
    pub state: MemberState,
}

/// What a control plane tells of its units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// Everything that has a role, on its way up and down included.
    pub members: Vec<Member>,
    /// How many units of each role it works towards, where it tells.
    pub wanted: Option<Split>,
    /// Why nothing more will come of what it was last asked for, where it says so.
    pub trouble: Option<String>,
}

impl Topology {
    /// How many members of `role` are in `state`.
    pub fn count(&self, role: Role, state: MemberState) -> usize {
        self.members.iter().filter(|member| member.role == role && member.state == state).count()
    }

    /// The units that serve.
    pub fn serving(&self) -> Split {
        let serving = self.members.iter().filter(|member| member.state == MemberState::Serving);
        Split::of(serving.map(|member| member.role))
    }

    /// Whether `split` serves, and nothing is on its way up or down.
    pub fn is(&self, split: Split) -> bool {
        self.serving() == split && self.members.iter().all(|member| member.state == MemberState::Serving)
    }

    /// A plain account of what is there, such as `prefill 1 serving, 1 stopping; decode 2 serving`.
    pub fn account(&self) -> String {
        let of_role = |role| {
            let states = [
                (MemberState::Serving, "serving"),
                (MemberState::Starting, "starting"),
                (MemberState::Stopping, "stopping"),
            ];
            let counts = states.map(|(state, word)| (self.count(role, state), word));
            let said: Vec<_> =
                counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
            (!said.is_empty()).then(|| format!("{role} {}", said.join(", ")))
        };
        let roles = [Role::Prefill, Role::Decode, Role::Aggregated];
        let said: Vec<_> = roles.into_iter().filter_map(of_role).collect();
        if said.is_empty() { "no unit at all".to_owned() } else { said.join("; ") }
    }
}

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
}

impl Goal {
    /// Whether it is so.
    pub fn is_met(&self, topology: &Topology) -> bool {
        match *self {
            Self::All(split) => topology.is(split),
            Self::Count { role, units } => {
                topology.count(role, MemberState::Serving) == units
                    && topology.members.iter().filter(|member| member.role == role).count() == units
            }
        }
    }
}

/// A call to the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action<C> {
    /// What is called.
    pub call: C,
    /// The call as people read it, with everything that it changes.
    pub says: String,
    /// What must be seen then.
    pub goal: Goal,
    /// What the control plane works towards once it has taken the call, where it tells.
    pub wants: Option<Split>,
}

/// A call and what undoes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step<C> {
    /// On the way to the new split.
    pub forth: Action<C>,
    /// On the way back.
    pub back: Option<Action<C>>,
}

/// How a shift is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan<C> {
    /// The split before.
    pub from: Split,
    /// One after the other; each waits until the one before it has come true.
    pub steps: Vec<Step<C>>,
    /// What an operator should know before: what is traded, and what may be lost.
    pub remarks: Vec<String>,
}

/// Why a call has failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was refused: nothing has changed.
    #[error("{0}")]
    Refused(String),
    /// No answer came that says so: it may or may not have been taken.
    #[error("{0}; it may or may not have been taken")]
    Unclear(String),
}

/// A control plane.
pub trait Adapter: Send + 'static {
    /// What it can be told.
    type Call: Clone + Debug + Send + Sync + 'static;

    /// What it lets be done.
    fn abilities(&self) -> Abilities;

    /// Looks. What is seen is what [`Adapter::propose`] starts from.
    ///
    /// # Errors
    /// One line: why nothing was seen.
    fn observe(&mut self) -> impl Future<Output = Result<Topology, String>> + Send;

    /// How to get to `to` from what was last observed. Nothing is changed.
    ///
    /// # Errors
    /// One line: why it cannot be done, or shall not.
    fn propose(&self, to: Split, how: How) -> Result<Plan<Self::Call>, String>;

    /// Makes one call.
    ///
    /// # Errors
    /// When it was not taken, or nobody knows.
    fn apply(&mut self, call: &Self::Call) -> impl Future<Output = Result<(), CallError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, role: Role, state: MemberState) -> Member {
        Member { name: name.to_owned(), role, state }
    }

    #[test]
    fn a_count_is_met_by_units_that_serve_and_by_no_others() {
        let goal = Goal::Count { role: Role::Prefill, units: 1 };
        let mut topology = Topology {
            members: vec![
                member("a", Role::Prefill, MemberState::Serving),
                member("b", Role::Prefill, MemberState::Stopping),
                member("c", Role::Decode, MemberState::Starting),
            ],
            ..Topology::default()
        };
        assert!(!goal.is_met(&topology), "one still stops");
        assert_eq!(topology.account(), "prefill 1 serving, 1 stopping; decode 1 starting");
        topology.members.remove(1);
        assert!(goal.is_met(&topology));
        assert!(!topology.is(Split { prefill: 1, decode: 1, aggregated: 0 }), "decode is on its way");
        topology.members[1].state = MemberState::Serving;
        assert!(topology.is(Split { prefill: 1, decode: 1, aggregated: 0 }));
        assert_eq!(Topology::default().account(), "no unit at all");
    }
}
