//! Who else changes the number of units.

use engine::remote::one_line;
use serde_json::Value;

use super::api::Api;
use super::failure::Failure;
use super::object::{List, count, text};
use super::place::Place;
use super::side::Side;

/// What aims at the scale of others: where it is, and the beginning of its name for people.
const SCALERS: [(&str, &str, &str, &str); 3] = [
    ("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
    ("llmd.ai", "v1alpha1", "variantautoscalings", "VariantAutoscaling"),
    ("autoscaling.aibrix.ai", "v1alpha1", "podautoscalers", "PodAutoscaler"),
];

/// What is known of others.
#[derive(Debug, Default)]
pub(super) struct Rivals {
    /// Who changes the number of units, too.
    pub(super) names: Vec<String>,
    /// What they do, and what may not be looked at.
    pub(super) remarks: Vec<String>,
}

/// Looks for them among all that scales something in the namespace.
///
/// # Errors
/// When the cluster does not answer.
pub(super) async fn find(api: &Api, sides: &[Side; 2]) -> Result<Rivals, Failure> {
    let mut found = Rivals::default();
    for (group, version, plural, kind) in SCALERS {
        let items = match api.get::<List<Value>>(&Place::list(group, version, plural)).await {
            Ok(list) => list.items,
            // Not installed, or of another version than is known.
            Err(Failure::Absent(_) | Failure::Odd(_)) => continue,
            Err(Failure::Forbidden(_)) => {
                found.remarks.push(format!(
                    "whether a {kind} scales the units cannot be seen: the verb list on {plural} of {group} is lacking"
                ));
                continue;
            }
            Err(failure) => return Err(failure),
        };
        for side in sides {
            for item in items.iter().filter(|item| aims(item, side)) {
                let name = name(kind, item);
                found.remarks.push(format!("{name} scales {}{}", side.name, bounds(item)));
                found.names.push(name);
            }
        }
    }
    found.names.extend(sides.iter().filter_map(|side| side.rival.clone()));
    found.names.dedup();
    Ok(found)
}

/// Whether an autoscaler aims at the units.
fn aims(scaler: &Value, side: &Side) -> bool {
    let (kind, name) = (text(scaler, "/spec/scaleTargetRef/kind"), text(scaler, "/spec/scaleTargetRef/name"));
    let part = text(scaler, "/spec/subTargetSelector/roleName");
    side.targets.iter().any(|target| {
        kind == Some(target.kind)
            && name == Some(&target.name)
            && (part.is_none() || target.part.is_none() || part == target.part.as_deref())
    })
}

fn name(kind: &str, scaler: &Value) -> String {
    let name = one_line(text(scaler, "/metadata/name").unwrap_or("?"));
    let keda = scaler.pointer("/metadata/labels").and_then(|labels| labels.get("scaledobject.keda.sh/name"));
    let of = keda.and_then(Value::as_str).map(|object| format!(" (of KEDA's ScaledObject/{})", one_line(object)));
    format!("{kind}/{name}{}", of.unwrap_or_default())
}

fn bounds(scaler: &Value) -> String {
    match (count(scaler, "/spec/minReplicas"), count(scaler, "/spec/maxReplicas")) {
        (min, Some(max)) => format!(" between {} and {max}", min.unwrap_or(1)),
        (_, None) => String::new(),
    }
}
