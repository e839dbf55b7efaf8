//! Which calls lead from one split to another, where the number of units of each role is told.

use engine::cluster::How;
use engine::units::{Role, Split};

use super::kind::Kind;
use super::side::Side;
use super::{Call, KubeCall};
use crate::control::legs::legs;
use crate::control::plane::{Action, Goal, Plan, Step};

/// Kinds that make what belongs to them what it shall be: a number that is changed there is changed back.
const MAKERS: [&str; 8] = [
    "DynamoComponentDeployment",
    "DynamoGraphDeployment",
    "LLMInferenceService",
    "LeaderWorkerSet",
    "PodCliqueSet",
    "RoleBasedGroup",
    "RoleSet",
    "StormService",
];

/// How many units of both are worked towards.
pub(super) fn wanted(sides: &[Side; 2]) -> Split {
    let units = |side: &Side| u16::try_from(side.wanted).unwrap_or(u16::MAX);
    Split { prefill: units(&sides[0]), decode: units(&sides[1]), aggregated: 0 }
}

/// How to get to `to`; `remarks` is what is known of others.
///
/// # Errors
/// One line: why it cannot be done, or shall not.
pub(super) fn propose(
    namespace: &str,
    sides: &[Side; 2],
    remarks: &[String],
    to: Split,
    how: How,
) -> Result<Plan<KubeCall>, String> {
    if to.aggregated > 0 {
        return Err("what scales prefill and decode has no aggregated units".to_owned());
    }
    if how == How::Migrate {
        return Err("pods end and others start, which cannot migrate what is in flight: use drain".to_owned());
    }
    let from = wanted(sides);
    let mut plan = Plan { from, steps: Vec::new(), moves: None, remarks: Vec::new() };
    for leg in legs(from, to) {
        let side = &sides[usize::from(leg.role == Role::Decode)];
        plan.remarks.extend(owned(namespace, side)?);
        plan.steps.push(step(namespace, side, leg.before, leg.after));
        if leg.frees() {
            plan.remarks.extend(grace(side));
        }
    }
    if !plan.steps.is_empty() {
        plan.remarks.extend(remarks.iter().cloned());
        plan.remarks.extend(unseen(sides));
    }
    Ok(plan)
}

fn step(namespace: &str, side: &Side, before: Split, after: Split) -> Step<KubeCall> {
    let [from, to] = [before, after].map(|split| u32::from(split.count(side.role)));
    let action = |from: u32, to: u32, wants: Split| Action {
        call: KubeCall(Call::Scale { lever: side.lever.clone(), from, to }),
        says: side.lever.says(namespace, from, to),
        goal: Goal::Count { role: side.role, units: to as usize },
        wants: Some(wants),
    };
    Step { forth: action(from, to, after), back: Some(action(to, from, before)) }
}

/// Whether somebody makes the object what it is.
fn owned(namespace: &str, side: &Side) -> Result<Option<String>, String> {
    let Some(owner) = &side.owner else { return Ok(None) };
    let whose = format!("{} belongs to {}/{}", side.name, owner.kind, owner.name);
    if !MAKERS.contains(&owner.kind.as_str()) {
        return Ok(Some(format!("{whose}, which may set it back")));
    }
    let known = Kind::ALL.into_iter().find(|kind| kind.facts().name == owner.kind);
    let hint = known.map(|kind| format!("\nhint: kube://{namespace}/{}/{}", kind.word(), owner.name));
    Err(format!("{whose}, which would set it back{}", hint.unwrap_or_default()))
}

/// How long what is in flight has.
fn grace(side: &Side) -> Option<String> {
    let seconds = side.grace_s()?;
    Some(format!(
        "a pod of {} that stops has {seconds} s to end its streams (terminationGracePeriodSeconds); what takes longer is cut",
        side.name
    ))
}

fn unseen(sides: &[Side; 2]) -> Option<String> {
    sides.iter().any(|side| side.units.is_none()).then(|| {
        "the pods cannot be seen (the verb list on pods is lacking): only how many are ready is known, and not that one still stops"
            .to_owned()
    })
}
