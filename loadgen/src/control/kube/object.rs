//! What is read of objects. Everything else, and whatever is to come, is passed over.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A list of objects.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    #[serde(default = "Vec::new")]
    pub(super) items: Vec<T>,
}

/// What all objects have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta {
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) generation: u64,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) deletion_timestamp: Option<String>,
    pub(super) owner_references: Vec<Owner>,
    pub(super) managed_fields: Vec<Managed>,
}

/// Whom an object belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Owner {
    pub(super) kind: String,
    pub(super) name: String,
    /// Whether it is the one that makes the object what it is.
    pub(super) controller: bool,
}

/// Which fields somebody has set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Managed {
    pub(super) manager: String,
    /// RFC 3339, in UTC: texts that sort as the instants do.
    pub(super) time: String,
    pub(super) fields_v1: Value,
}

impl Meta {
    /// Of any object.
    pub(super) fn of(object: &Value) -> Self {
        object.get("metadata").and_then(|meta| Self::deserialize(meta).ok()).unwrap_or_default()
    }

    pub(super) fn controller(&self) -> Option<&Owner> {
        self.owner_references.iter().find(|owner| owner.controller)
    }

    /// Who has last set the field at `path`, as its steps are written there.
    pub(super) fn manager_of(&self, path: &[String]) -> Option<&str> {
        let sets = |entry: &&Managed| path.iter().try_fold(&entry.fields_v1, |at, step| at.get(step)).is_some();
        let last = self.managed_fields.iter().filter(sets).max_by(|one, other| one.time.cmp(&other.time))?;
        Some(last.manager.as_str())
    }
}

/// A condition of an object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) status: String,
    pub(super) reason: String,
    pub(super) message: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pod {
    pub(super) metadata: Meta,
    pub(super) spec: PodSpec,
    pub(super) status: PodStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) containers: Vec<Container>,
    pub(super) termination_grace_period_seconds: Option<u64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Container {
    pub(super) ports: Vec<Port>,
    pub(super) resources: Resources,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Port {
    pub(super) container_port: u16,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Resources {
    pub(super) requests: BTreeMap<String, Value>,
    pub(super) limits: BTreeMap<String, Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct PodStatus {
    pub(super) phase: String,
    pub(super) conditions: Vec<Condition>,
    pub(super) container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerStatus {
    pub(super) state: ContainerState,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ContainerState {
    pub(super) waiting: Option<Waiting>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Waiting {
    pub(super) reason: String,
    pub(super) message: String,
}

/// The conditions of any object.
pub(super) fn conditions(object: &Value) -> Vec<Condition> {
    let told = object.pointer("/status/conditions");
    told.and_then(|told| Vec::deserialize(told).ok()).unwrap_or_default()
}

/// A count at a place within an object.
pub(super) fn count(object: &Value, pointer: &str) -> Option<u32> {
    object.pointer(pointer).and_then(Value::as_u64).and_then(|count| u32::try_from(count).ok())
}

/// A text at a place within an object.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

/// A selector of labels as it stands in a query.
pub(super) fn selector(told: &Value) -> Option<String> {
    let mut parts = Vec::new();
    for (label, value) in told.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
        parts.push(format!("{label}={}", value.as_str()?));
    }
    for rule in told.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
        let key = text(rule, "/key")?;
        let values: Option<Vec<_>> =
            rule.get("values").and_then(Value::as_array).into_iter().flatten().map(Value::as_str).collect();
        let values = values?.join(",");
        parts.push(match text(rule, "/operator")? {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_set_a_field_last_is_found() {
        let meta = Meta::of(&json!({"metadata": {"managedFields": [
            {"manager": "helm", "time": "2026-11-01T10:00:00Z", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "keda-operator", "time": "2026-11-02T09:00:00Z", "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
            {"manager": "kubelet", "time": "2026-11-03T10:00:00Z", "fieldsV1": {"f:status": {}}},
        ]}}));
        let path = ["f:spec", "f:replicas"].map(str::to_owned);
        assert_eq!(meta.manager_of(&path), Some("keda-operator"));
        assert_eq!(meta.manager_of(&["f:metadata".to_owned()]), None);
    }

    #[test]
    fn a_selector_is_written_as_a_query_has_it() {
        let told = json!({"matchLabels": {"app": "vllm"}, "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "old", "operator": "DoesNotExist"}]});
        assert_eq!(selector(&told).as_deref(), Some("app=vllm,tier in (a,b),!old"));
        assert_eq!(selector(&json!({})), None);
        assert_eq!(selector(&json!({"matchExpressions": [{"key": "a", "operator": "Near"}]})), None);
    }
}
