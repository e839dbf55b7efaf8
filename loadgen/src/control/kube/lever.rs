//! Where the number of units of a role stands, and the call that changes it.

use serde_json::{Value, json};

use super::api::Patch;
use super::object::{Meta, count};
use super::place::Place;

/// Where a number of replicas stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lever {
    /// The object.
    pub(super) place: Place,
    pub(super) field: Field,
}

/// Where in the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// In `spec.replicas`, which the sub-resource `scale` changes.
    Scale,
    /// At a path from the root.
    Merge(&'static [&'static str]),
    /// In `replicas` of an element of a list.
    Element {
        /// The path of the list from the root.
        list: &'static [&'static str],
        index: usize,
        /// The element's `name`, which must be there when the call is made.
        name: String,
    },
}

impl Lever {
    /// The number in an object, where it is told.
    pub(super) fn read(&self, object: &Value) -> Option<u32> {
        count(object, &self.pointer())
    }

    fn pointer(&self) -> String {
        match &self.field {
            Field::Scale => "/spec/replicas".to_owned(),
            Field::Merge(path) => format!("/{}", path.join("/")),
            Field::Element { list, index, .. } => format!("/{}/{index}/replicas", list.join("/")),
        }
    }

    /// Who has last set the number.
    pub(super) fn manager(&self, object: &Value) -> Option<String> {
        let field = |name: &&str| format!("f:{name}");
        let path: Vec<_> = match &self.field {
            Field::Scale => ["spec", "replicas"].iter().map(field).collect(),
            Field::Merge(path) => path.iter().map(field).collect(),
            Field::Element { list, name, .. } => {
                let key = format!("k:{}", json!({ "name": name }));
                list.iter().map(field).chain([key, "f:replicas".to_owned()]).collect()
            }
        };
        Meta::of(object).manager_of(&path).map(str::to_owned)
    }

    /// The call that sets it to `to`, as what `object` says is known. Where somebody else was quicker, it fails.
    pub(super) fn change(&self, object: &Value, to: u32) -> (Place, Patch, Value) {
        let version = Meta::of(object).resource_version;
        match &self.field {
            Field::Scale => (self.place.scale(), Patch::Merge, with_version(self.merged(to), &version)),
            Field::Merge(_) => (self.place.clone(), Patch::Merge, with_version(self.merged(to), &version)),
            Field::Element { .. } => {
                (self.place.clone(), Patch::Json, Value::Array(self.operations(self.read(object), to)))
            }
        }
    }

    /// The call as people read it.
    pub(super) fn says(&self, namespace: &str, from: u32, to: u32) -> String {
        let (place, body) = match &self.field {
            Field::Scale => (self.place.scale(), self.merged(to)),
            Field::Merge(_) => (self.place.clone(), self.merged(to)),
            Field::Element { .. } => (self.place.clone(), Value::Array(self.operations(Some(from), to))),
        };
        format!("PATCH {} {body} (was {from})", place.path(namespace))
    }

    fn merged(&self, to: u32) -> Value {
        let path: &[&str] = match &self.field {
            Field::Merge(path) => path,
            Field::Scale | Field::Element { .. } => &["spec", "replicas"],
        };
        path.iter().rev().fold(json!(to), |inner, key| json!({ *key: inner }))
    }

    fn operations(&self, from: Option<u32>, to: u32) -> Vec<Value> {
        let pointer = self.pointer();
        let mut operations = Vec::new();
        if let Field::Element { list, index, name } = &self.field {
            // The list may have another order by then.
            operations.push(json!({"op": "test", "path": format!("/{}/{index}/name", list.join("/")), "value": name}));
        }
        operations.extend(from.map(|from| json!({"op": "test", "path": pointer, "value": from})));
        operations.push(json!({"op": "add", "path": pointer, "value": to}));
        operations
    }
}

/// A patch that is taken only of the object as it was read.
fn with_version(mut patch: Value, version: &str) -> Value {
    if !version.is_empty() {
        patch["metadata"] = json!({ "resourceVersion": version });
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::super::kind::Kind;
    use super::*;

    #[test]
    fn every_field_is_read_and_changed_where_it_stands() {
        let scaled = Lever { place: Place::of_kind(Kind::Deployment, "v1", "d"), field: Field::Scale };
        let object = json!({"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 2}});
        assert_eq!(scaled.read(&object), Some(2));
        let (place, how, body) = scaled.change(&object, 3);
        assert_eq!((place.to_string().as_str(), how), ("deployments/d/scale", Patch::Merge));
        assert_eq!(body, json!({"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 3}}));
        assert_eq!(
            scaled.says("llm", 2, 3),
            r#"PATCH /apis/apps/v1/namespaces/llm/deployments/d/scale {"spec":{"replicas":3}} (was 2)"#
        );
        let service = Place::of_kind(Kind::LlmInferenceService, "v1alpha2", "qwen");
        let prefill = Lever { place: service, field: Field::Merge(&["spec", "prefill", "replicas"]) };
        let (_, _, body) = prefill.change(&json!({"spec": {"prefill": {"replicas": 1}}}), 2);
        assert_eq!(body, json!({"spec": {"prefill": {"replicas": 2}}}));
        let element = Lever {
            place: Place::of_kind(Kind::DynamoGraphDeployment, "v1beta1", "vllm"),
            field: Field::Element { list: &["spec", "components"], index: 1, name: "Decode".to_owned() },
        };
        let object = json!({
            "metadata": {"managedFields": [{"manager": "planner", "time": "2026-11-02T09:00:00Z",
                "fieldsV1": {"f:spec": {"f:components": {"k:{\"name\":\"Decode\"}": {"f:replicas": {}}}}}}]},
            "spec": {"components": [{"name": "Prefill"}, {"name": "Decode", "replicas": 4}]}});
        assert_eq!(element.read(&object), Some(4));
        assert_eq!(element.manager(&object).as_deref(), Some("planner"));
        let (_, how, body) = element.change(&object, 3);
        assert_eq!(how, Patch::Json);
        assert_eq!(
            body,
            json!([
                {"op": "test", "path": "/spec/components/1/name", "value": "Decode"},
                {"op": "test", "path": "/spec/components/1/replicas", "value": 4},
                {"op": "add", "path": "/spec/components/1/replicas", "value": 3}])
        );
    }
}
