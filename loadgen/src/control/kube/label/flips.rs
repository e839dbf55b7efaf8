//! Which labels change, and in which order.

use std::collections::BTreeMap;

use engine::cluster::How;
use engine::units::{Role, Split};

use super::labelled::Labelled;
use super::{Flip, word_of};
use crate::control::kube::{Call, KubeCall};
use crate::control::plane::{Action, Goal, MemberState, Plan, Step};

const ROLES: [Role; 3] = [Role::Prefill, Role::Decode, Role::Aggregated];

/// How to get to `to`.
///
/// # Errors
/// One line: why it cannot be done, or shall not.
pub(super) fn propose(
    namespace: &str,
    units: &[Labelled],
    from: Split,
    to: Split,
    how: How,
) -> Result<Plan<KubeCall>, String> {
    if how != How::Drain {
        return Err(format!("a label cannot {how} what a pod holds: use drain"));
    }
    let mut plan = Plan { from, steps: Vec::new(), moves: Some(Vec::new()), remarks: Vec::new() };
    let mut at = from;
    // What would be shifted, and what of it would serve as what, is for whoever put the labels there to say.
    if let Some(odds) = units.iter().find_map(Labelled::odds).filter(|_| from != to) {
        return Err(format!("{odds}\nhint: give them the same, or to the first of them alone"));
    }
    let moves = moves(units, from, to)?;
    // Whoever stays may have to stand in.
    let stays = |unit: &&Labelled| unit.role().is_some() && unit.state() != MemberState::Stopping;
    if let Some(ill) = units.iter().filter(stays).find(|unit| unit.state() != MemberState::Serving)
        && !moves.is_empty()
    {
        return Err(format!(
            "pod {} does not serve, and would be needed: the others would have its part, too",
            ill.leads()
        ));
    }
    for (unit, old, new) in moves {
        let mut without = at;
        *part(&mut without, old) -= 1;
        let mut after = without;
        *part(&mut after, new) += 1;
        let name = || unit.name().to_owned();
        let flip = |word: Option<String>, to| Flip { unit: name(), pods: unit.carriers(), from: word, to };
        let (old_word, new_word) = (unit.word().map(str::to_owned), Some(word_of(new).to_owned()));
        let action = |flip: Flip, goal: Goal, wants: Split| Action {
            says: flip.says(namespace),
            call: KubeCall(Call::Flip(flip)),
            goal,
            wants: Some(wants),
        };
        let (left, joined) = (|| Goal::Left { name: name() }, |role| Goal::Joined { name: name(), role });
        plan.moves.get_or_insert_default().push(name());
        let stands_in = without.prefill + without.aggregated > 0 && without.decode + without.aggregated > 0;
        if stands_in {
            plan.steps.push(Step {
                forth: action(flip(old_word.clone(), None), left(), without),
                back: Some(action(flip(None, Some(old)), joined(old), at)),
            });
            plan.steps.push(Step {
                forth: action(flip(None, Some(new)), joined(new), after),
                back: Some(action(flip(new_word, None), left(), without)),
            });
        } else {
            plan.steps.push(Step {
                forth: action(flip(old_word, Some(new)), joined(new), after),
                back: Some(action(flip(new_word, Some(old)), joined(old), at)),
            });
            plan.remarks.push(format!("nobody can stand in for pod {}: its label is replaced at once", unit.leads()));
        }
        at = after;
    }
    if !plan.steps.is_empty() {
        plan.remarks.push("only engines that can do both answer after such a shift; a pod that is replaced comes back with the label of its template".to_owned());
        plan.remarks.push("what a pod still holds is seen by its metrics (the verb get on pods/proxy); where they do not tell, it is given 30 s".to_owned());
        plan.remarks.extend(trade(units, from, to));
    }
    Ok(plan)
}

/// Which unit changes from which role to which: those that serve, in the order of their names.
fn moves(units: &[Labelled], from: Split, to: Split) -> Result<Vec<(&Labelled, Role, Role)>, String> {
    let mut sought: Vec<_> = ROLES
        .into_iter()
        .flat_map(|role| vec![role; usize::from(to.count(role).saturating_sub(from.count(role)))])
        .rev()
        .collect();
    let mut moves = Vec::new();
    for old in ROLES {
        let surplus = usize::from(from.count(old).saturating_sub(to.count(old)));
        let serving: Vec<_> =
            units.iter().filter(|unit| unit.role() == Some(old) && unit.state() == MemberState::Serving).collect();
        if serving.len() < surplus {
            return Err(format!("only {} of the {old} pods serve, and {surplus} would change", serving.len()));
        }
        for unit in serving.into_iter().take(surplus) {
            moves.extend(sought.pop().map(|new| (unit, old, new)));
        }
    }
    Ok(moves)
}

fn part(split: &mut Split, role: Role) -> &mut u16 {
    match role {
        Role::Prefill => &mut split.prefill,
        Role::Decode => &mut split.decode,
        Role::Aggregated => &mut split.aggregated,
    }
}

/// Units of unlike size under one label: then a unit more is not what a unit less was.
fn trade(units: &[Labelled], from: Split, to: Split) -> Option<String> {
    let mut sizes: BTreeMap<Role, u64> = BTreeMap::new();
    for unit in units {
        if let Some(role) = unit.role() {
            let gpus = unit.unit.gpus.values().sum();
            let most = sizes.entry(role).or_insert(gpus);
            *most = gpus.max(*most);
        }
    }
    let unlike = sizes.values().min() != sizes.values().max();
    unlike.then(|| {
        let told: Vec<_> = sizes.iter().map(|(role, gpus)| format!("{role} {gpus}")).collect();
        format!(
            "units differ in their GPUs ({}), and keep them: {to} has not the power that the counts of {from} suggest",
            told.join(", ")
        )
    })
}
