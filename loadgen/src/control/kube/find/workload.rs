//! Deployment, StatefulSet and LeaderWorkerSet: one role each, scaled by the sub-resource.

use engine::units::Role;
use serde_json::Value;

use crate::control::kube::address::ObjectName;
use crate::control::kube::kind::Kind;
use crate::control::kube::lever::{Field, Lever};
use crate::control::kube::object::{count, selector};
use crate::control::kube::place::Place;
use crate::control::kube::side::{Counts, Scaled, Side, template};

pub(super) fn side(role: Role, name: &ObjectName, place: Place, object: &Value) -> Side {
    let lever = Lever { place, field: Field::Scale };
    let mut side = Side::new(role, name.to_string(), lever, object, 1);
    describe(&mut side, name.kind, &name.name, object);
    side
}

/// What a workload says of its pods.
pub(super) fn describe(side: &mut Side, kind: Kind, name: &str, object: &Value) {
    let told = |what| count(object, what).unwrap_or(0);
    side.counts = Counts { replicas: told("/status/replicas"), ready: told("/status/readyReplicas") };
    side.targets.push(Scaled { kind: kind.facts().name, name: name.to_owned(), part: None });
    if kind == Kind::LeaderWorkerSet {
        let of_all = object.pointer("/spec/leaderWorkerTemplate");
        let at = |pointer| of_all.and_then(|of_all| of_all.pointer(pointer));
        let size = at("/size").and_then(Value::as_u64).unwrap_or(1);
        side.selector = Some(format!("leaderworkerset.sigs.k8s.io/name={name}"));
        // A leader is as its workers are where it has no template of its own.
        let workers = at("/workerTemplate/spec");
        let leader = at("/leaderTemplate/spec").or(workers);
        side.template = template(workers, size.saturating_sub(1));
        for (what, amount) in template(leader, 1) {
            *side.template.entry(what).or_default() += amount;
        }
    } else {
        side.selector = object.pointer("/spec/selector").and_then(selector);
        side.template = template(object.pointer("/spec/template/spec"), 1);
    }
}
