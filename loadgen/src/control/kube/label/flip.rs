//! One change of a unit's label, on all of its pods that carry it.

use engine::units::Role;
use serde_json::{Value, json};

use super::labelled::PodId;
use super::{ROLE, word_of};
use crate::control::kube::api::Patch;
use crate::control::kube::place::Place;

/// A change of a unit's label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control::kube) struct Flip {
    /// The unit, as it is called.
    pub(super) unit: String,
    /// The pods whose label it is, beginning with the one that leads where that carries it.
    pub(super) pods: Vec<PodId>,
    /// The value that they have, if they have one.
    pub(super) from: Option<String>,
    /// `None` takes it off.
    pub(super) to: Option<Role>,
}

impl Flip {
    /// The pods in the order in which their label changes. The one that leads a unit is the one that routers send requests to: it
    /// loses its label first, so that nothing comes any more while the others still have theirs, and gets one last, so that nothing
    /// comes before all of them say the same.
    pub(super) fn in_order(&self) -> Vec<&PodId> {
        let mut pods: Vec<_> = self.pods.iter().collect();
        if self.to.is_some() {
            pods.reverse();
        }
        pods
    }

    /// The call that changes what is `word` of a pod now. Where somebody else was quicker, it fails: a label that is not there cannot
    /// be tested for, so then the pod as a whole is to be as it was read.
    pub(super) fn change(&self, pod: &PodId, word: Option<&str>, version: &str) -> (Patch, Value) {
        match (word, self.to) {
            (None, Some(role)) => {
                let labels = json!({ ROLE: word_of(role) });
                (Patch::Merge, json!({ "metadata": { "resourceVersion": version, "labels": labels } }))
            }
            _ => (Patch::Json, self.operations(pod, word)),
        }
    }

    fn operations(&self, pod: &PodId, word: Option<&str>) -> Value {
        let path = format!("/metadata/labels/{}", ROLE.replace('/', "~1"));
        let mut operations = vec![json!({"op": "test", "path": "/metadata/uid", "value": pod.uid})];
        operations.extend(word.map(|word| json!({"op": "test", "path": path, "value": word})));
        operations.push(match self.to {
            Some(role) => json!({"op": "add", "path": path, "value": word_of(role)}),
            None => json!({"op": "remove", "path": path}),
        });
        Value::Array(operations)
    }

    pub(in crate::control::kube) fn says(&self, namespace: &str) -> String {
        let was = self.from.as_deref().map_or_else(|| "none".to_owned(), str::to_owned);
        let becomes = self.to.map_or("none", word_of);
        let calls: Vec<_> = self.in_order().into_iter().map(|pod| Place::pod(&pod.name).path(namespace)).collect();
        format!("PATCH {} label {ROLE} {was} -> {becomes}", calls.join(", then "))
    }
}
