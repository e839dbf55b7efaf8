//! StormService (AIBrix): roles in the template of its role set, scaled there. Its own `scale` scales whole role sets.

use engine::units::Role;
use serde_json::Value;

use super::parts;
use crate::control::kube::address::ObjectName;
use crate::control::kube::lever::{Field, Lever};
use crate::control::kube::object::{count, text};
use crate::control::kube::place::Place;
use crate::control::kube::side::{Counts, Scaled, Side, template};

const ROLES: &[&str] = &["spec", "template", "spec", "roles"];

pub(super) fn side(role: Role, name: &ObjectName, place: Place, object: &Value) -> Result<Side, String> {
    let sets = count(object, "/spec/replicas").unwrap_or(1);
    if text(object, "/spec/mode") == Some("Replica") || sets != 1 {
        return Err(format!(
            "{name} has {sets} role sets, each with all of the roles: only a StormService of one (mode Pooled) can be shifted"
        ));
    }
    if object.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        return Err(format!("{name} is paused: nothing would come of a change"));
    }
    let roles = object.pointer("/spec/template/spec/roles").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (index, part) = parts::find(role, name, roles)?;
    let lever = Lever { place, field: Field::Element { list: ROLES, index, name: part.clone() } };
    let own = format!("{}/{}:{part}", name.kind.word(), name.name);
    let mut side = Side::new(role, own, lever, object, 1);
    side.selector = Some(format!("storm-service-name={},role-name={part}", name.name));
    side.targets.push(Scaled { kind: "StormService", name: name.name.clone(), part: Some(part.clone()) });
    let statuses = object.pointer("/status/roleStatuses").and_then(Value::as_array).into_iter().flatten();
    let status = statuses.into_iter().find(|status| text(status, "/name") == Some(&part));
    let told = |what| status.and_then(|status| count(status, what)).unwrap_or(0);
    side.counts = Counts { replicas: told("/replicas"), ready: told("/readyReplicas") };
    let size = roles[index].pointer("/podGroupSize").and_then(Value::as_u64).unwrap_or(1);
    side.template = template(roles[index].pointer("/template/spec"), size);
    Ok(side)
}
