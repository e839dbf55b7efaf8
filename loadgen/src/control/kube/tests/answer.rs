//! Answers as the API writes them.

use serde_json::{Value, json};

pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) body: String,
}

pub(super) fn ok(object: &Value) -> Answer {
    Answer { code: 200, body: object.to_string() }
}

pub(super) fn status(code: u16, reason: &str, message: &str) -> Answer {
    let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code});
    Answer { code, body: body.to_string() }
}

pub(super) fn absent(path: &str) -> Answer {
    let name = path.rsplit('/').next().unwrap_or_default();
    status(404, "NotFound", &format!("\"{name}\" not found"))
}

pub(super) fn conflict(path: &str) -> Answer {
    let name = path.rsplit('/').next().unwrap_or_default();
    status(
        409,
        "Conflict",
        &format!(
            "Operation cannot be fulfilled on \"{name}\": the object has been modified; please apply your changes to the latest version and try again"
        ),
    )
}

/// What the sub-resource shows of an object.
pub(super) fn scale(object: &Value) -> Value {
    let meta = |what: &str| object.pointer(&format!("/metadata/{what}")).cloned();
    json!({"kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": meta("name"), "namespace": meta("namespace"), "uid": meta("uid"), "resourceVersion": meta("resourceVersion")},
        "spec": {"replicas": object.pointer("/spec/replicas")},
        "status": {"replicas": object.pointer("/status/replicas"), "selector": "app=vllm"}})
}
