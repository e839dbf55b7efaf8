//! RoleBasedGroup (SGLang's RBG): roles, scaled by an adapter where they have one, else in the list itself.

use engine::units::Role;
use serde_json::Value;

use super::{Lost, parts};
use crate::control::kube::address::ObjectName;
use crate::control::kube::api::Api;
use crate::control::kube::failure::Failure;
use crate::control::kube::lever::{Field, Lever};
use crate::control::kube::object::{List, count, text};
use crate::control::kube::place::Place;
use crate::control::kube::side::{Counts, Scaled, Side, template};

const ROLES: &[&str] = &["spec", "roles"];
const ADAPTERS: &str = "rolebasedgroupscalingadapters";

pub(super) async fn side(api: &Api, role: Role, name: &ObjectName, place: Place, object: &Value) -> Result<Side, Lost> {
    let roles = object.pointer("/spec/roles").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (index, part) = parts::find(role, name, roles).map_err(Lost::Wrong)?;
    let list = Place::list("workloads.x-k8s.io", "v1alpha2", ADAPTERS);
    let adapters = match api.get::<List<Value>>(&list).await {
        Ok(adapters) => adapters.items,
        Err(Failure::Absent(_)) => Vec::new(),
        Err(failure) => return Err(failure.into()),
    };
    let is_ours = |one: &&Value| {
        text(one, "/spec/scaleTargetRef/name") == Some(&name.name)
            && text(one, "/spec/scaleTargetRef/role") == Some(&part)
    };
    let own = format!("{}/{}:{part}", name.kind.word(), name.name);
    let in_list = count(object, &format!("/spec/roles/{index}/replicas")).unwrap_or(1);
    let mut side = if let Some(adapter) = adapters.iter().find(is_ours) {
        let adapter_name = text(adapter, "/metadata/name").unwrap_or_default();
        let lever = Lever { place: list.named(adapter_name), field: Field::Scale };
        let scaled = Side::new(role, own.clone(), lever, adapter, in_list);
        let group = Side::new(role, own, scaled.lever.clone(), object, in_list);
        let target = Scaled { kind: "RoleBasedGroupScalingAdapter", name: adapter_name.to_owned(), part: None };
        Side { wanted: scaled.wanted, manager: scaled.manager, targets: vec![target], ..group }
    } else {
        let field = Field::Element { list: ROLES, index, name: part.clone() };
        Side::new(role, own, Lever { place, field }, object, in_list)
    };
    describe(&mut side, &name.name, &part, &roles[index], object);
    Ok(side)
}

fn describe(side: &mut Side, group: &str, part: &str, spec: &Value, object: &Value) {
    side.selector = Some(format!("rbg.workloads.x-k8s.io/group-name={group},rbg.workloads.x-k8s.io/role-name={part}"));
    let statuses = object.pointer("/status/roleStatuses").and_then(Value::as_array).into_iter().flatten();
    let status = statuses.into_iter().find(|status| text(status, "/name") == Some(part));
    let told = |what| status.and_then(|status| count(status, what)).unwrap_or(0);
    side.counts = Counts { replicas: told("/replicas"), ready: told("/readyReplicas") };
    let size = spec.pointer("/leaderWorkerPattern/size").and_then(Value::as_u64).unwrap_or(1);
    let pods = ["/standalonePattern/template/spec", "/leaderWorkerPattern/template/spec"];
    side.template = template(pods.iter().find_map(|pointer| spec.pointer(pointer)), size);
}
