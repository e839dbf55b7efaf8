//! LLMInferenceService (KServe): decode at its root and prefill beneath it, in the service itself. Its children are Deployments,
//! or LeaderWorkerSets where a unit spans nodes: they tell of the pods, and whoever changed them would find it undone.

use engine::units::Role;
use serde_json::Value;

use super::{Lost, workload};
use crate::control::kube::address::ObjectName;
use crate::control::kube::api::Api;
use crate::control::kube::failure::Failure;
use crate::control::kube::kind::Kind;
use crate::control::kube::lever::{Field, Lever};
use crate::control::kube::object::count;
use crate::control::kube::place::Place;
use crate::control::kube::side::Side;

pub(super) async fn side(api: &Api, role: Role, name: &ObjectName, place: Place, object: &Value) -> Result<Side, Lost> {
    let (at, path): (_, &[&str]) = match role {
        Role::Prefill => ("/spec/prefill", &["spec", "prefill", "replicas"]),
        _ => ("/spec", &["spec", "replicas"]),
    };
    let spec = object.pointer(at).filter(|spec| !spec.is_null());
    let told = |what: &str| spec.and_then(|spec| spec.get(what)).filter(|value| !value.is_null());
    let bases = object.pointer("/spec/baseRefs").and_then(Value::as_array).is_some_and(|bases| !bases.is_empty());
    if spec.is_none() && !bases {
        return Err(Lost::Wrong(format!("{name} has no `prefill`: its units do both")));
    }
    if told("scaling").is_some() {
        return Err(Lost::Wrong(format!(
            "{name} scales its {role} itself (`scaling`), which excludes a number of replicas: take it out, and set `replicas`"
        )));
    }
    let (kind, version) = match told("worker") {
        Some(_) => (Kind::LeaderWorkerSet, "v1"),
        None => (Kind::Deployment, "v1"),
    };
    let child = child(&name.name, role, kind);
    let told_by = match api.get::<Value>(&Place::of_kind(kind, version, &child)).await {
        Ok(told_by) => Some(told_by),
        // It is made in a moment, or was not: then there are no units.
        Err(Failure::Absent(_)) => None,
        Err(failure) => return Err(failure.into()),
    };
    let default = told_by.as_ref().and_then(|child| count(child, "/spec/replicas")).unwrap_or(1);
    let lever = Lever { place, field: Field::Merge(path) };
    let mut side = Side::new(role, format!("{name} {role}"), lever, object, default);
    if let Some(told_by) = &told_by {
        workload::describe(&mut side, kind, &child, told_by);
        side.trouble = side.trouble.or_else(|| Side::new(role, String::new(), side.lever.clone(), told_by, 0).trouble);
    }
    Ok(side)
}

/// What KServe calls the workload of a role.
fn child(service: &str, role: Role, kind: Kind) -> String {
    let nodes = if kind == Kind::LeaderWorkerSet { "-mn" } else { "" };
    let role = if role == Role::Prefill { "-prefill" } else { "" };
    format!("{service}-kserve{nodes}{role}")
}
