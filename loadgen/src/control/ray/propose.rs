//! Which calls lead from one split to another.

use std::collections::BTreeMap;

use engine::cluster::How;
use engine::units::{Role, Split};

use super::deployments::{Lever, Pair, Side, whole_gpus};
use super::instance::Bounds;
use crate::control::legs::legs;
use crate::control::plane::{Action, Goal, Plan, Step};

/// What Ray can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RayCall {
    /// State everything anew, with one change.
    Put {
        /// The application with the deployment.
        application: String,
        /// What is changed.
        change: Change,
    },
    /// Want a number of replicas.
    Scale {
        /// The application.
        application: String,
        /// The deployment.
        deployment: String,
        /// How many are to be wanted before.
        was: u32,
        /// How many then.
        target: u32,
    },
}

/// The only things that are ever changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The number of replicas.
    Replicas {
        /// The deployment.
        deployment: String,
        /// How many it is to have before.
        was: u32,
        /// How many then.
        replicas: u32,
    },
    /// Between how many an autoscaler may choose; a bound that is `None` is left out.
    Bounds {
        /// The deployment.
        deployment: String,
        /// What the bounds are to be before.
        was: Bounds,
        /// And then.
        bounds: Bounds,
    },
}

/// How to get to `to`.
///
/// # Errors
/// One line: why it cannot be done, or shall not.
pub(super) fn propose(pair: &Pair, to: Split, how: How) -> Result<Plan<RayCall>, String> {
    if to.aggregated > 0 {
        return Err("a prefill-decode application on Ray Serve has no aggregated units".to_owned());
    }
    if how == How::Migrate {
        return Err("Ray Serve ends one replica and starts another, which cannot migrate what is in flight: use drain"
            .to_owned());
    }
    if let Some(why) = &pair.failed {
        return Err(format!(
            "{}; a shift would ask for the same again: deploy {} as it should be first",
            why.trim_end_matches('.'),
            pair.application
        ));
    }
    let from = pair.wanted();
    let mut plan = Plan { from, steps: Vec::new(), moves: None, remarks: Vec::new() };
    for leg in legs(from, to) {
        let side = pair.side(leg.role);
        plan.steps.push(step(&pair.application, side, (leg.before, leg.after))?);
        if leg.frees() {
            plan.remarks.extend(grace(side));
        }
    }
    plan.remarks.extend(trade(pair, from, to));
    Ok(plan)
}

fn step(application: &str, side: &Side, (before, after): (Split, Split)) -> Result<Step<RayCall>, String> {
    let Side { name: deployment, role, .. } = side;
    let [from, to] = [before, after].map(|split| u32::from(split.count(*role)));
    let action = |target: u32, other: u32, wants: Split, (call, says): (RayCall, String)| {
        debug_assert_ne!(target, other);
        Action { call, says, goal: Goal::Count { role: *role, units: target as usize }, wants: Some(wants) }
    };
    let put = |change, says: String| {
        let call = RayCall::Put { application: application.to_owned(), change };
        (call, format!("PUT /api/serve/applications/ with {application}/{deployment} {says}"))
    };
    let (forth, back) = match side.lever {
        Lever::Replicas => {
            let set = |target: u32, was: u32| {
                let change = Change::Replicas { deployment: deployment.clone(), was, replicas: target };
                put(change, format!("num_replicas {was} -> {target}"))
            };
            (set(to, from), set(from, to))
        }
        Lever::Bounds(before) => {
            let fixed = Bounds { min: Some(to), max: Some(to), initial: before.initial.map(|_| to) };
            let set = |bounds: Bounds, was: Bounds| {
                let change = Change::Bounds { deployment: deployment.clone(), was, bounds };
                put(change, format!("autoscaling_config {bounds}"))
            };
            (set(fixed, before), set(before, fixed))
        }
        Lever::Scale => {
            let set = |target: u32, was: u32| {
                let (application, deployment) = (application.to_owned(), deployment.clone());
                let says = format!(
                    "POST /api/v1/applications/{application}/deployments/{deployment}/scale to {target} replicas"
                );
                (RayCall::Scale { application, deployment, was, target }, says)
            };
            (set(to, from), set(from, to))
        }
        Lever::None => {
            return Err(format!(
                "{deployment} cannot be shifted: a program has deployed an application on this Ray, which a PUT of all applications would end; deploy it with `serve deploy`, or with external_scaler_enabled"
            ));
        }
    };
    Ok(Step { forth: action(to, from, after, forth), back: Some(action(from, to, before, back)) })
}

/// How long what is in flight has.
fn grace(side: &Side) -> Option<String> {
    let seconds = side.grace_s?;
    Some(format!(
        "a replica of {} that stops has {seconds} s to end its streams (graceful_shutdown_timeout_s); what takes longer is cut",
        side.name
    ))
}

/// What is taken beside GPUs, or of parts of them, where it is not as much as before. What is traded in whole GPUs is said for every
/// control plane alike.
fn trade(pair: &Pair, from: Split, to: Split) -> Option<String> {
    let units = |role| (i64::from(to.count(role)) - i64::from(from.count(role))) as f64;
    let mut sum: BTreeMap<&str, f64> = BTreeMap::new();
    for role in [Role::Prefill, Role::Decode] {
        for (what, amount) in
            pair.side(role).resources.iter().filter(|(what, amount)| whole_gpus(what, **amount).is_none())
        {
            *sum.entry(what).or_default() += units(role) * amount;
        }
    }
    let more: Vec<_> = sum.iter().filter(|(_, amount)| amount.abs() > 1e-9).collect();
    if more.is_empty() {
        return None;
    }
    let told: Vec<_> = more
        .into_iter()
        .map(|(what, amount)| format!("{} {what} {}", amount.abs(), if *amount > 0.0 { "more" } else { "less" }))
        .collect();
    Some(format!("{to} takes {} than {from}", told.join(" and ")))
}
