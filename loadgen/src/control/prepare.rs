//! A shift as it is prepared for any control plane: what can never be right is refused, and what an operator should know is said.

use engine::cluster::How;
use engine::units::{Role, Split};

use super::plane::{Adapter, Plan, Topology};
use super::trade::trade;

/// The adapter's plan to get from what is `seen` to `to`, checked, with what is traded and who else decides among its remarks.
///
/// # Errors
/// Why it cannot be done, or shall not.
pub(super) fn prepared<A: Adapter>(adapter: &A, seen: &Topology, to: Split, how: How) -> Result<Plan<A::Call>, String> {
    let abilities = adapter.abilities();
    check(to)?;
    let from = seen.wanted.unwrap_or_else(|| seen.serving());
    if !abilities.counts && to.units() != from.units() {
        return Err(format!(
            "units change their roles here, and are neither started nor ended: {to} has {}, and {from} has {}",
            to.units(),
            from.units()
        ));
    }
    // A unit that can neither be started nor ended keeps its GPUs, whatever its role.
    let traded = if abilities.in_place && !abilities.counts { None } else { trade(seen, from, to)? };
    let mut plan = adapter.propose(to, how)?;
    for step in &plan.steps {
        if let Some(on_the_way) = step.forth.wants {
            check(on_the_way)?;
        }
    }
    let unseen = (!abilities.drain_visible && !plan.steps.is_empty())
        .then(|| "what a unit still holds once it was taken out is not to be seen here".to_owned());
    let rival = seen
        .rival
        .as_ref()
        .map(|rival| format!("{rival} decides on the units, too; what it changes meanwhile is told"));
    plan.remarks = traded.into_iter().chain(plan.remarks).chain(unseen).chain(rival).collect();
    Ok(plan)
}

/// # Errors
/// When there would be nobody left for a role.
fn check(split: Split) -> Result<(), String> {
    for (role, verb) in [(Role::Prefill, "prefill"), (Role::Decode, "decode")] {
        if split.count(role) == 0 && split.aggregated == 0 {
            return Err(format!("{split} would leave nobody to {verb}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::plane::{Action, CallError, Goal, Member, MemberState, Step, Unseen};
    use crate::target::Abilities;

    /// Proposes one step to where it is told, on the way of another split where one is given.
    struct Direct {
        abilities: Abilities,
        on_the_way: Option<Split>,
    }

    impl Adapter for Direct {
        type Call = ();

        fn abilities(&self) -> Abilities {
            self.abilities
        }

        async fn observe(&mut self) -> Result<Topology, Unseen> {
            Ok(Topology::default())
        }

        fn propose(&self, to: Split, _how: How) -> Result<Plan<()>, String> {
            let wants = Some(self.on_the_way.unwrap_or(to));
            let forth = Action { call: (), says: String::new(), goal: Goal::All(to), wants };
            let steps = vec![Step { forth, back: None }];
            Ok(Plan { from: to, steps, moves: None, remarks: vec!["its own".to_owned()] })
        }

        async fn apply(&mut self, _call: &()) -> Result<(), CallError> {
            Ok(())
        }
    }

    fn seen() -> Topology {
        let member = |name: &str, role, gpus| Member::new(name, role, MemberState::Serving).spanning(Some(gpus));
        let members = vec![member("a", Role::Prefill, 2), member("b", Role::Decode, 4), member("c", Role::Decode, 4)];
        Topology { members, rival: Some("an autoscaler".to_owned()), ..Topology::default() }
    }

    const REPLICAS: Abilities = Abilities { in_place: false, ..Abilities::ALL };
    const WORKERS: Abilities = Abilities { counts: false, drain_visible: false, ..Abilities::ALL };

    fn prepare(abilities: Abilities, on_the_way: Option<&str>, to: Split) -> Result<Vec<String>, String> {
        let on_the_way = on_the_way.map(|split| split.parse().expect("a split"));
        prepared(&Direct { abilities, on_the_way }, &seen(), to, How::Drain).map(|plan| plan.remarks)
    }

    fn split(prefill: u16, decode: u16) -> Split {
        Split { prefill, decode, aggregated: 0 }
    }

    #[test]
    fn what_is_traded_and_who_else_decides_is_said() {
        let remarks = prepare(REPLICAS, None, split(3, 1)).expect("a plan");
        let rival = "an autoscaler decides on the units, too; what it changes meanwhile is told";
        assert_eq!(remarks, ["1 decode unit of 4 GPUs becomes 2 prefill units of 2", "its own", rival]);
        let remarks = prepare(WORKERS, None, split(2, 1)).expect("a plan");
        let unseen = "what a unit still holds once it was taken out is not to be seen here";
        assert_eq!(remarks, ["its own", unseen, rival], "a worker keeps its GPUs");
    }

    #[test]
    fn what_can_never_be_right_is_refused_before_anything_is_called() {
        let refused = |abilities, on_the_way, to| prepare(abilities, on_the_way, to).expect_err("refused");
        assert_eq!(refused(REPLICAS, None, split(0, 4)), "0P4D would leave nobody to prefill");
        let nobody = Direct { abilities: REPLICAS, on_the_way: Some(split(3, 0)) };
        let why = prepared(&nobody, &seen(), split(3, 1), How::Drain).expect_err("refused");
        assert_eq!(why, "3P0D would leave nobody to decode", "not even on the way");
        assert!(refused(REPLICAS, None, split(4, 1)).contains("4 GPUs are freed, and 6 are needed"));
        let why = "units change their roles here, and are neither started nor ended: 2P2D has 4, and 1P2D has 3";
        assert_eq!(refused(WORKERS, None, split(2, 2)), why);
    }
}
