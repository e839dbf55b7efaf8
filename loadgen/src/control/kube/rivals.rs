//! Who else changes the number of units.

use std::collections::BTreeSet;

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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rivals {
    /// Who changes the number of units, too.
    pub(super) names: Vec<String>,
    /// What they do, and what may not be looked at.
    pub(super) remarks: Vec<String>,
}

impl Rivals {
    /// Those of a kind alone.
    fn of_kind<'a>(texts: &'a [String], kind: &str) -> impl Iterator<Item = String> + use<'a> {
        let beginning = format!("{kind}/");
        texts.iter().filter(move |text| text.starts_with(&beginning)).cloned()
    }
}

/// Looks for them among all that scales something in the namespace. Where that cannot be seen for now, they are those of `before`:
/// the units are seen all the same.
pub(super) async fn find(api: &Api, sides: &[Side; 2], before: &Rivals) -> Rivals {
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
            Err(failure) => {
                found.remarks.push(format!("whether a {kind} scales the units cannot be seen for now: {failure}"));
                found.remarks.extend(Rivals::of_kind(&before.remarks, kind));
                found.names.extend(Rivals::of_kind(&before.names, kind));
                continue;
            }
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
    // One that aims at both sides is named once.
    let mut known = BTreeSet::new();
    found.names.retain(|name| known.insert(name.clone()));
    found
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
