//! DynamoGraphDeployment (NVIDIA Dynamo 1.6): components, scaled by an adapter where there is one, else in the list itself.

use engine::units::Role;
use serde_json::Value;

use super::{Lost, parts};
use crate::control::kube::address::ObjectName;
use crate::control::kube::api::Api;
use crate::control::kube::failure::Failure;
use crate::control::kube::lever::{Field, Lever};
use crate::control::kube::object::{count, text};
use crate::control::kube::place::Place;
use crate::control::kube::side::{Counts, Scaled, Side, template};

const COMPONENTS: &[&str] = &["spec", "components"];
const ADAPTERS: &str = "dynamographdeploymentscalingadapters";

pub(super) async fn side(api: &Api, role: Role, name: &ObjectName, place: Place, object: &Value) -> Result<Side, Lost> {
    let components = object.pointer("/spec/components").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (index, component) = worker(role, name, components).map_err(Lost::Wrong)?;
    let adapter_name = format!("{}-{}", name.name, component.to_lowercase());
    let adapter = Place::list("nvidia.com", "v1beta1", ADAPTERS).named(&adapter_name);
    let mut side = match api.get::<Value>(&adapter).await {
        Ok(adapter_object) => {
            let lever = Lever { place: adapter, field: Field::Scale };
            let default = count(object, &format!("/spec/components/{index}/replicas")).unwrap_or(1);
            let scaled = Side::new(role, name.to_string(), lever, &adapter_object, default);
            // The adapter belongs to the graph that it is for, and its own state tells nothing of pods.
            let graph = Side::new(role, name.to_string(), scaled.lever.clone(), object, 1);
            let target = Scaled { kind: "DynamoGraphDeploymentScalingAdapter", name: adapter_name, part: None };
            Side { wanted: scaled.wanted, manager: scaled.manager, targets: vec![target], ..graph }
        }
        Err(Failure::Absent(_)) => {
            let field = Field::Element { list: COMPONENTS, index, name: component.clone() };
            Side::new(role, name.to_string(), Lever { place, field }, object, 1)
        }
        Err(failure) => return Err(failure.into()),
    };
    describe(&mut side, &name.name, &component, index, object);
    Ok(side)
}

/// The component of a role: by its type or name; a graph with but one plain worker decodes with that.
fn worker(role: Role, name: &ObjectName, components: &[Value]) -> Result<(usize, String), String> {
    parts::find(role, name, components).or_else(|why| {
        let workers: Vec<_> =
            components.iter().enumerate().filter(|(_, one)| text(one, "/type") == Some("worker")).collect();
        match &workers[..] {
            [(index, one)] if role == Role::Decode && name.part.is_none() => {
                Ok((*index, text(one, "/name").unwrap_or_default().to_owned()))
            }
            _ => Err(why),
        }
    })
}

fn describe(side: &mut Side, graph: &str, component: &str, index: usize, object: &Value) {
    side.name = format!("dynamographdeployment/{graph}:{component}");
    side.selector =
        Some(format!("nvidia.com/dynamo-graph-deployment-name={graph},nvidia.com/dynamo-component={component}"));
    let status = object.pointer("/status/components").and_then(|all| all.get(component));
    let told = |what: &str| status.and_then(|status| count(status, what));
    let ready = told("/availableReplicas").or_else(|| told("/readyReplicas"));
    side.counts = Counts { replicas: told("/replicas").unwrap_or(0), ready: ready.unwrap_or(0) };
    let spec = object.pointer(&format!("/spec/components/{index}")).unwrap_or(&Value::Null);
    let nodes = spec.pointer("/multinode/nodeCount").and_then(Value::as_u64).unwrap_or(1);
    side.template = template(spec.pointer("/podTemplate/spec"), nodes);
    let planner = object
        .pointer("/spec/components")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|one| text(one, "/type") == Some("planner") && count(one, "/replicas") != Some(0));
    side.rival =
        planner.map(|one| format!("the planner of {graph}, its component {}", text(one, "/name").unwrap_or("?")));
}
